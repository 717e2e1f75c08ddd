//! Charts: small SVG, readable on light and dark pages, in print and by a screen reader.
//!
//! In: names with numbers. Out: a file. The numbers stand beside the shapes, so that nothing is said by colour or
//! length alone.

use std::fmt::Write as _;

use crate::results::Sort;
use crate::stats::Spread;

/// Without variables, which not every viewer of SVG knows.
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1f2328}.t{font-weight:600}\
    .s{font-size:12px;fill:#59636e}.c{text-anchor:middle}.r{text-anchor:end}.g{stroke:#d1d9e0}.e{stroke:#1f2328}\
    .l{fill:none;stroke-width:2}.f{stroke-width:1;stroke-opacity:.5}\
    .floor rect,.floor .d{fill:#8c959f}.floor .l{stroke:#8c959f}\
    .ours rect,.ours .d{fill:#c2410c}.ours .l{stroke:#c2410c}\
    .peer rect,.peer .d{fill:#57749b}.peer .l{stroke:#57749b}\
    @media(prefers-color-scheme:dark){text{fill:#f0f6fc}.s{fill:#9198a1}.g{stroke:#3d444d}.e{stroke:#f0f6fc}\
    .ours rect,.ours .d{fill:#fb923c}.ours .l{stroke:#fb923c}\
    .peer rect,.peer .d{fill:#7a9cc6}.peer .l{stroke:#7a9cc6}}";

/// Characters of the longest name, and room for each.
const NAME_WIDTH: f64 = 7.6;
const BAR_WIDTH: f64 = 420.0;
const ROW: f64 = 24.0;
const TOP: f64 = 52.0;

/// What an XML file may not hold as it is.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A file around its shapes, with its title, also for who can't see it.
pub(crate) fn svg(width: f64, height: f64, title: &str, style: &str, shapes: &str) -> String {
    let title = escaped(title);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" role=\"img\">\n<title>{title}</title>\n<style>{STYLE}{style}</style>\n\
         <text class=\"t\" x=\"10\" y=\"22\">{title}</text>\n{shapes}</svg>\n"
    )
}

/// A bar for each name, from zero, with a whisker from the smallest to the largest.
pub(crate) fn bars(title: &str, below: &str, digits: usize, bars: &[(&str, Sort, Spread)]) -> String {
    let longest = bars.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
    let left = 20.0 + NAME_WIDTH * longest as f64;
    let most = bars.iter().map(|(.., spread)| spread.max).fold(f64::MIN_POSITIVE, f64::max);
    let at = |number: f64| left + BAR_WIDTH * number / most;
    let mut shapes = format!("<text class=\"s\" x=\"10\" y=\"40\">{}</text>\n", escaped(below));
    for (number, (name, sort, spread)) in bars.iter().enumerate() {
        let y = TOP + ROW * number as f64;
        let middle = y + ROW / 2.0;
        let _ = writeln!(
            shapes,
            "<g class=\"{}\"><text class=\"r\" x=\"{:.0}\" y=\"{:.0}\">{}</text>\
             <rect x=\"{left:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"2\"/>\
             <path class=\"e\" d=\"M{:.1} {middle:.1}H{:.1}\"/>\
             <text class=\"s\" x=\"{:.0}\" y=\"{:.0}\">{:.digits$}</text></g>",
            class(*sort),
            left - 8.0,
            middle + 4.5,
            escaped(name),
            y + 4.0,
            at(spread.median) - left,
            ROW - 8.0,
            at(spread.min),
            at(spread.max),
            at(spread.max) + 8.0,
            middle + 4.5,
            spread.median
        );
    }
    svg(left + BAR_WIDTH + 80.0, TOP + ROW * bars.len() as f64 + 10.0, title, "", &shapes)
}

/// A line for each name over the same few points, on a scale where each step is ten times the one before.
pub(crate) fn lines(title: &str, below: &str, points: &[&str], lines: &[(&str, Sort, Vec<f64>)]) -> String {
    const LEFT: f64 = 70.0;
    const STEP: f64 = 150.0;
    const HEIGHT: f64 = 320.0;
    let all =
        || lines.iter().flat_map(|(.., numbers)| numbers.iter().copied()).filter(|&number| number > 0.0);
    let low = all().fold(f64::INFINITY, f64::min).log10().floor();
    let high = all().fold(1.0, f64::max).log10().ceil().max(low + 1.0);
    let x = |point: usize| LEFT + 30.0 + STEP * point as f64;
    let y = |number: f64| TOP + HEIGHT * (high - number.max(1e-9).log10()) / (high - low);
    let right = x(points.len().saturating_sub(1));

    let mut shapes = format!("<text class=\"s\" x=\"10\" y=\"40\">{}</text>\n", escaped(below));
    if low.is_finite() {
        for power in low as i32..=high as i32 {
            let at = y(10_f64.powi(power));
            let _ = writeln!(
                shapes,
                "<path class=\"g\" d=\"M{LEFT} {at:.1}H{right:.1}\"/>\
                 <text class=\"r s\" x=\"{}\" y=\"{:.0}\">{}</text>",
                LEFT - 8.0,
                at + 4.0,
                10_f64.powi(power)
            );
        }
    }
    for (point, name) in points.iter().enumerate() {
        let at = TOP + HEIGHT + 20.0;
        let _ = writeln!(shapes, "<text class=\"c s\" x=\"{:.0}\" y=\"{at}\">{name}</text>", x(point));
    }
    for (place, (name, sort, numbers)) in lines.iter().enumerate() {
        let path: Vec<String> = numbers
            .iter()
            .enumerate()
            .map(|(point, &number)| format!("{:.1} {:.1}", x(point), y(number)))
            .collect();
        let dots: String = path
            .iter()
            .filter_map(|at| at.split_once(' '))
            .map(|(x, y)| format!("<circle class=\"d\" cx=\"{x}\" cy=\"{y}\" r=\"2.5\"/>"))
            .collect();
        // Names stand in the order of their last points, each on a line of its own, so that none hides another.
        let is_higher = |other: &Vec<f64>| other.last() > numbers.last();
        let ties = lines[..place].iter().filter(|(.., other)| other.last() == numbers.last()).count();
        let rank = lines.iter().filter(|(.., other)| is_higher(other)).count() + ties;
        let last = numbers.last().copied().unwrap_or_default();
        let name_y = TOP + 12.0 + 18.0 * rank as f64;
        let _ = writeln!(
            shapes,
            "<g class=\"{}\"><path class=\"l\" d=\"M{}\"/>{dots}<path class=\"l f\" d=\"M{right:.1} {:.1}L{:.1} {:.1}\"/>\
             <text x=\"{:.0}\" y=\"{:.0}\">{} <tspan class=\"s\">{last:.0}</tspan></text></g>",
            class(*sort),
            path.join("L"),
            y(last),
            right + 40.0,
            name_y - 4.0,
            right + 46.0,
            name_y,
            escaped(name),
        );
    }
    let height = HEIGHT.max(18.0 * lines.len() as f64);
    svg(right + 270.0, TOP + height + 36.0, title, "", &shapes)
}

fn class(sort: Sort) -> &'static str {
    match sort {
        Sort::Floor => "floor",
        Sort::Ours => "ours",
        Sort::Peer => "peer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(median: f64) -> Spread {
        Spread { median, min: median - 1.0, max: median + 1.0 }
    }

    #[test]
    fn every_bar_has_its_name_and_number() {
        let svg = bars(
            "CPU",
            "less is better",
            2,
            &[("a<b", Sort::Floor, spread(3.5)), ("c", Sort::Ours, spread(7.0))],
        );
        assert_eq!(svg.matches("<rect ").count(), 2);
        assert!(
            svg.contains(">a&lt;b</text>") && svg.contains(">3.50</text>") && svg.contains(">7.00</text>")
        );
        assert!(svg.contains("prefers-color-scheme:dark") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn a_bar_is_as_long_as_its_number() {
        let svg = bars("x", "", 0, &[("a", Sort::Peer, Spread { median: 5.0, min: 5.0, max: 10.0 })]);
        assert!(svg.contains("width=\"210.0\""), "half of the whole width: {svg}");
    }

    #[test]
    fn names_of_lines_stand_apart_and_in_order() {
        let svg = lines(
            "p",
            "",
            &["p50", "p99"],
            &[
                ("slow", Sort::Peer, vec![10.0, 900.0]),
                ("fast", Sort::Ours, vec![5.0, 20.0]),
                ("also", Sort::Peer, vec![5.0, 20.0]),
            ],
        );
        let y = |name: &str| {
            let before = &svg[..svg.find(&format!(">{name} <tspan")).unwrap()];
            before.rsplit("y=\"").next().unwrap().trim_end_matches('"').parse::<f64>().unwrap()
        };
        assert!(y("slow") < y("fast") && y("fast") < y("also"));
    }

    #[test]
    fn nothing_measured_is_an_empty_chart_and_no_panic() {
        assert!(bars("x", "", 0, &[]).contains("<svg"));
        assert!(lines("x", "", &[], &[]).contains("<svg"));
        assert!(lines("x", "", &["p50"], &[("a", Sort::Ours, vec![0.0])]).contains("<svg"));
    }
}
