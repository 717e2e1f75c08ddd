//! The results as tables: a row for each case, a column for each rule.
//!
//! In: rows. Out: tables, with a dash or a word where there is no number.

use super::cases::Question;
use super::model::Outcome;
use super::{OVERLOADED, RULES, Row};
use crate::report::Table;

/// All tables.
pub(super) fn of(rows: &[Row]) -> Vec<Table> {
    let table = |title: &str, question, cell: fn(&Outcome) -> String| {
        let head: Vec<&str> = std::iter::once("case").chain(RULES.map(|(_, name)| name)).collect();
        let mut table = Table::new(&head).titled(title);
        for row in rows.iter().filter(|row| row.case.question == question) {
            let cells = row.outcomes.iter().map(cell);
            table.row(std::iter::once(row.case.name()).chain(cells).collect());
        }
        table
    };
    vec![
        table("What can happen to 16 servers, 16 lanes", Question::Trouble, times),
        table("Who gets the most of it", Question::Trouble, most),
        table("Lanes: 16 servers at a load of 0.9", Question::Lanes, times),
        table("Servers: 16 lanes", Question::Servers, times),
    ]
}

fn times(outcome: &Outcome) -> String {
    if outcome.left > OVERLOADED {
        return "overload".into();
    }
    outcome.quantiles.map(short).join(" / ")
}

fn most(outcome: &Outcome) -> String {
    let failed = outcome.failed * 100.0;
    let most = format!("{:.2}", outcome.most);
    if failed > 0.0 { format!("{most} ({} %)", short(failed)) } else { most }
}

/// Two digits that mean something, or three.
pub(super) fn short(number: f64) -> String {
    match number {
        number if number < 2.0 => format!("{number:.2}"),
        number if number < 20.0 => format!("{number:.1}"),
        number => format!("{number:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_they_mean_something() {
        assert_eq!([0.764, 4.68, 17.75, 432.1].map(short), ["0.76", "4.7", "17.8", "432"]);
    }

    #[test]
    fn a_queue_without_end_has_no_quantiles() {
        let outcome = Outcome { quantiles: [0.5, 4.0, 30.0], most: 1.0, failed: 0.0, left: 2.0 };
        assert_eq!(times(&outcome), "0.50 / 4.0 / 30");
        assert_eq!(times(&Outcome { left: 50.0, ..outcome }), "overload");
    }

    #[test]
    fn failures_stand_beside_who_gets_the_most() {
        let outcome = Outcome { quantiles: [1.0; 3], most: 1.1, failed: 0.0, left: 0.0 };
        assert_eq!(most(&outcome), "1.10");
        assert_eq!(most(&Outcome { failed: 0.345, ..outcome }), "1.10 (34 %)");
    }
}
