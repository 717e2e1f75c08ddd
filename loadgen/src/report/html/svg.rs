//! A chart's frame: axes, lines, and the text on them, as SVG inside the page.
//!
//! In: shares of width and height, from 0 to 1, with 0 at the left and at the bottom. Out: an `<svg>` as wide as the
//! page lets it be: places across are percentages, heights and letters are pixels, so that text stays readable at
//! any width. Never: a number that is none, or text that isn't escaped.

use super::escape::esc;
use super::scale::Scale;
use std::fmt::Write as _;

/// Width of the coordinates that curves are drawn in; they are stretched to the real width.
const ACROSS: f64 = 1_000.0;
/// Height of a line of text beside another, in pixels.
const LABEL_HEIGHT: f64 = 16.0;

/// A place in a chart: shares of width and height.
pub(super) type Point = (f64, f64);

/// A label at the end of a line.
pub(super) struct Label {
    pub(super) class: &'static str,
    pub(super) text: String,
    /// Of the line's end, as a share of the height.
    pub(super) y: f64,
}

/// A chart that is being drawn.
pub(super) struct Plot {
    height: f64,
    grid: String,
    curves: String,
    marks: String,
    hovers: String,
}

impl Plot {
    /// Empty, of so many pixels' height.
    pub(super) fn new(height: u32) -> Plot {
        let [grid, curves, marks, hovers] = [const { String::new() }; 4];
        Plot { height: f64::from(height), grid, curves, marks, hovers }
    }

    fn down(&self, y: f64) -> f64 {
        (1.0 - y) * self.height
    }

    /// Lines across at the scale's ticks, with their text on the left, and the base line.
    pub(super) fn y_axis(&mut self, scale: Scale, about: usize, text: impl Fn(f64) -> String) {
        for tick in scale.ticks(about) {
            let y = self.down(scale.place(tick));
            let (line, below) = (number(y), number(y + 4.0));
            let _ = write!(self.grid, r#"<line class="grid" x2="100%" y1="{line}" y2="{line}"/>"#);
            let _ = write!(self.grid, r#"<text class="y" x="-8" y="{below}">{}</text>"#, esc(&text(tick)));
        }
        let base = number(self.height);
        let _ = write!(self.grid, r#"<line class="axis" x2="100%" y1="{base}" y2="{base}"/>"#);
    }

    /// A tick on the base line. One that is not `always` gives way on a narrow page.
    pub(super) fn x_tick(&mut self, at: f64, text: &str, always: bool) {
        let x = percent(at);
        let anchor = match at {
            at if at > 0.97 => "last",
            at if at < 0.03 => "first",
            _ => "x",
        };
        let wide = if always { "" } else { " wide" };
        let below = number(self.height + 18.0);
        let _ = write!(self.grid, r#"<line class="grid{wide}" x1="{x}" x2="{x}" y2="100%"/>"#);
        let _ = write!(self.grid, r#"<text class="{anchor}{wide}" x="{x}" y="{below}">{}</text>"#, esc(text));
    }

    /// What the base line stands for.
    pub(super) fn x_name(&mut self, text: &str) {
        let below = number(self.height + 35.0);
        let _ = write!(self.grid, r#"<text class="name" x="50%" y="{below}">{}</text>"#, esc(text));
    }

    /// A line through the points.
    pub(super) fn line(&mut self, class: &str, points: &[Point]) {
        if let Some(path) = self.path(points.iter().copied()) {
            let _ = write!(self.curves, r#"<path class="{class}" d="{path}"/>"#);
        }
    }

    /// The area between two lines that run beside each other.
    pub(super) fn area(&mut self, class: &str, upper: &[Point], lower: &[Point]) {
        if let Some(path) = self.path(upper.iter().chain(lower.iter().rev()).copied()) {
            let _ = write!(self.curves, r#"<path class="area {class}" d="{path}Z"/>"#);
        }
    }

    fn path(&self, points: impl Iterator<Item = Point>) -> Option<String> {
        let mut path = String::new();
        let mut count = 0;
        for (x, y) in points {
            let lead = if count == 0 { "M" } else { "L" };
            let _ = write!(path, "{lead}{} {}", number(x * ACROSS), number(self.down(y)));
            count += 1;
        }
        (count > 1).then_some(path)
    }

    /// Something that is drawn in coordinates of its own, stretched over the whole.
    pub(super) fn stretched(&mut self, class: &str, columns: f64, rows: usize, inner: &str) {
        let _ = write!(
            self.curves,
            concat!(
                r#"<svg class="{}" width="{}" height="{}" viewBox="-.5 0 {} {}" "#,
                r#"preserveAspectRatio="none">{}</svg>"#
            ),
            class,
            ACROSS,
            number(self.height),
            number(columns),
            rows,
            inner
        );
    }

    /// A line across the whole chart.
    pub(super) fn across(&mut self, class: &str, y: f64) {
        let y = number(self.down(y));
        let _ = write!(self.marks, r#"<line class="{class}" x2="100%" y1="{y}" y2="{y}"/>"#);
    }

    /// A line from top to bottom.
    pub(super) fn upright(&mut self, class: &str, x: f64) {
        let x = percent(x);
        let _ = write!(self.marks, r#"<line class="{class}" x1="{x}" x2="{x}" y2="100%"/>"#);
    }

    /// A shade from top to bottom.
    pub(super) fn shade(&mut self, class: &str, from: f64, to: f64) {
        let (x, width) = (percent(from), percent((to - from).max(0.001)));
        let _ = write!(self.grid, r#"<rect class="{class}" x="{x}" width="{width}" height="100%"/>"#);
    }

    /// A mark at the foot of the chart.
    pub(super) fn foot(&mut self, class: &str, from: f64, to: f64) {
        let (x, width) = (percent(from), percent((to - from).max(0.002)));
        let y = number(self.height - 6.0);
        let _ = write!(self.marks, r#"<rect class="{class}" x="{x}" width="{width}" y="{y}" height="6"/>"#);
    }

    /// A dot with its interval upright, and what it says when looked at closely.
    pub(super) fn dot(
        &mut self,
        class: &str,
        dot: &str,
        (x, y): Point,
        (low, high): (f64, f64),
        title: &str,
    ) {
        let x = percent(x);
        let [y, low, high] = [y, low, high].map(|y| number(self.down(y)));
        let _ = write!(
            self.marks,
            r#"<g class="{class}"><title>{}</title><line class="bar" x1="{x}" x2="{x}" y1="{low}""#,
            esc(title)
        );
        let _ = write!(self.marks, r#" y2="{high}"/><circle class="{dot}" cx="{x}" cy="{y}" r="4.5"/></g>"#);
    }

    /// Text in the chart; it ends at `x` where it would not fit behind it.
    pub(super) fn note(&mut self, class: &str, (x, y): Point, text: &str) {
        let (anchor, aside) = if x > 0.55 { ("last", -6) } else { ("first", 6) };
        let (x, y) = (percent(x), number((self.down(y) - 6.0).max(12.0)));
        let text = esc(text);
        let _ = write!(
            self.marks,
            r#"<text class="label {anchor} {class}" x="{x}" dx="{aside}" y="{y}">{text}</text>"#
        );
    }

    /// Names at the right ends of lines, moved apart where they would lie on each other.
    pub(super) fn labels(&mut self, mut labels: Vec<Label>) {
        labels.sort_by(|a, b| b.y.total_cmp(&a.y));
        let mut free = 5.0;
        let mut places = Vec::new();
        for label in &labels {
            let place = (self.down(label.y) - 7.0).max(free);
            places.push(place);
            free = place + LABEL_HEIGHT;
        }
        // What was pushed over the bottom comes back up, with those above it.
        let mut bottom = self.height - 5.0;
        for place in places.iter_mut().rev() {
            *place = place.min(bottom);
            bottom = *place - LABEL_HEIGHT;
        }
        for (label, place) in labels.iter().zip(places) {
            let (class, y, text) = (label.class, number(place), esc(&label.text));
            let _ = write!(
                self.marks,
                r#"<text class="label last {class}" x="100%" dx="-4" y="{y}">{text}</text>"#
            );
        }
    }

    /// What is said of a part of the width when it is looked at closely.
    pub(super) fn hover(&mut self, from: f64, to: f64, title: &str) {
        let (x, width) = (percent(from), percent(to - from));
        let title = esc(title);
        let _ = write!(
            self.hovers,
            r#"<rect class="hover" x="{x}" width="{width}" height="100%"><title>{title}</title></rect>"#
        );
    }

    /// The chart. `summary` is for those who can't see it.
    pub(super) fn finish(self, class: &str, summary: &str) -> String {
        let height = number(self.height);
        let summary = esc(summary);
        let curves = format!(
            concat!(
                r#"<svg width="100%" height="{0}" viewBox="0 0 {1} {0}" preserveAspectRatio="none">"#,
                "{2}</svg>"
            ),
            height, ACROSS, self.curves
        );
        format!(
            r#"<svg class="plot{class}" height="{height}" role="img" aria-label="{summary}">{}{}{}{}</svg>"#,
            self.grid, curves, self.marks, self.hovers
        )
    }
}

/// A coordinate, as short as it gets at a tenth of a pixel.
pub(super) fn number(value: f64) -> String {
    let value = if value.is_finite() { (value * 10.0).round() / 10.0 } else { 0.0 };
    if value == 0.0 { "0".into() } else { value.to_string() }
}

/// A share of the width, to a hundredth of a percent.
pub(super) fn percent(share: f64) -> String {
    let share = if share.is_finite() { (share * 10_000.0).round() / 100.0 } else { 0.0 };
    format!("{}%", if share == 0.0 { 0.0 } else { share })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_apart_and_stay_on_the_chart() {
        let mut plot = Plot::new(60);
        plot.labels((0..3).map(|n| Label { class: "c0", text: n.to_string(), y: 0.0 }).collect());
        let places: Vec<&str> =
            plot.marks.split(" y=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(places, ["23", "39", "55"]);
    }

    #[test]
    fn numbers_are_short_and_are_numbers() {
        assert_eq!(
            [1.0, 0.04, -0.04, 12.345, f64::NAN, f64::INFINITY].map(number),
            ["1", "0", "0", "12.3", "0", "0"]
        );
        assert_eq!([0.5, 1.0 / 3.0, f64::NAN].map(percent), ["50%", "33.33%", "0%"]);
    }
}
