//! Tables and charts that parts share: how fast, at which cost, beside the best peer and the floor.
//!
//! In: rows. Out: a table for a case, with a dash where there is no number; a chart of one quantity.

use crate::chart;
use crate::report::{Chart, Table, ends, median};
use crate::results::{BUSY, Better, CPU, ERRORS, P50, P99, P999, RATE, Row};

/// What its columns mean.
pub(super) const SPEED_EXPLAINED: &str = "Medians over rounds, [smallest..largest]; ratios are within a round: to the best \
     peer of the round (above 1 is more: good for requests, bad for CPU), and to the floor of the same kernel interface. CPU \
     is the contender's (all tasks, schedstat) over its answers, from the middle of each window. busy: the share of its core \
     that it used; below 0.95 the limit was elsewhere (the generator, or a neighbour), and req/s says little.";

/// Everybody in one case, as fast as it could.
pub(super) fn speed(all: &[Row], case: &str, title: impl Into<String>) -> Table {
    let head = [
        "contender",
        "req/s",
        "[min..max]",
        "× peer",
        "× floor",
        "CPU µs/req",
        "[min..max]",
        "× peer",
        "× floor",
        "busy",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
        "errors",
    ];
    let mut table = Table::new(&head).titled(title);
    for row in all.iter().filter(|row| row.case == case) {
        let (rate, cpu) = (row.spread(RATE), row.spread(CPU));
        // 0.3 µs pipelined, 100 µs when every request wakes somebody.
        let digits = if cpu.is_some_and(|cpu| cpu.median < 1.0) { 3 } else { 2 };
        table.row(vec![
            row.contender.clone(),
            median(rate, 0),
            ends(rate, 0),
            median(row.over_best_peer(all, RATE, Better::More), 2),
            median(row.over_floor(all, RATE), 2),
            median(cpu, digits),
            ends(cpu, digits),
            median(row.over_best_peer(all, CPU, Better::Less), 2),
            median(row.over_floor(all, CPU), 2),
            median(row.spread(BUSY), 2),
            median(row.spread(P50), 0),
            median(row.spread(P99), 0),
            median(row.spread(P999), 0),
            format!("{:.0}", row.numbers(ERRORS).iter().sum::<f64>()),
        ]);
    }
    table
}

/// One quantity of everybody in a case.
pub(super) fn bars(
    all: &[Row],
    case: &str,
    (quantity, digits): (&str, usize),
    name: &'static str,
    title: String,
    below: &str,
) -> Chart {
    let rows = all.iter().filter(|row| row.case == case);
    let bars: Vec<_> =
        rows.filter_map(|row| Some((row.contender.as_str(), row.sort, row.spread(quantity)?))).collect();
    Chart { name, svg: chart::bars(&title, below, digits, &bars), title }
}

/// Percentiles of everybody in a case.
pub(super) fn percentiles(all: &[Row], case: &str, name: &'static str, title: String, below: &str) -> Chart {
    let rows = all.iter().filter(|row| row.case == case);
    let lines: Vec<_> = rows
        .filter_map(|row| {
            let numbers = [P50, P99, P999].map(|quantity| row.spread(quantity).map(|spread| spread.median));
            Some((row.contender.as_str(), row.sort, numbers.into_iter().collect::<Option<Vec<f64>>>()?))
        })
        .collect();
    Chart { name, svg: chart::lines(&title, below, &["p50", "p99", "p99.9"], &lines), title }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Sort;
    use crate::results::tests::row;

    #[test]
    fn a_table_holds_one_case_with_ratios_to_floor_and_peer() {
        let all = [
            row("floor", Sort::Floor, "64", &[200.0]),
            row("ours", Sort::Ours, "64", &[100.0]),
            row("peer", Sort::Peer, "64", &[50.0]),
            row("peer", Sort::Peer, "256", &[7.0]),
        ];
        let text = speed(&all, "64", "At 64").text();
        let ours = text.lines().find(|line| line.starts_with("ours")).unwrap();
        let cells: Vec<_> = ours.split_whitespace().collect();
        assert_eq!(cells[..6], ["ours", "100", "[100..100]", "2.00", "0.50", "–"]);
        assert_eq!(text.lines().count(), 6, "title, blank, head and three: {text}");
    }

    #[test]
    fn who_was_not_measured_is_not_drawn() {
        let all = [row("a", Sort::Ours, "64", &[1.0]), row("b", Sort::Ours, "64", &[])];
        let chart = bars(&all, "64", (RATE, 0), "x", "X".into(), "");
        assert!(chart.svg.contains(">a</text>") && !chart.svg.contains(">b</text>"));
        let chart = percentiles(&all, "64", "x", "X".into(), "");
        assert!(!chart.svg.contains("<circle"));
    }
}
