//! The list of servers as a table for people.
//!
//! In: the list. Out: lines with aligned columns; the reason, which may be long, is the last. Never: a character that commands
//! a terminal.

use super::{ListedServer, tame};

const TITLES: [&str; 11] =
    ["POOL", "SERVER", "ADDRESS", "STATE", "SINCE", "IN FLIGHT", "WEIGHT", "REQ/S", "ERRORS", "P50", "P99"];
/// Columns from this one on are numbers.
const NUMBERS_FROM: usize = 4;

/// The table, with a line for each server.
pub(super) fn of(servers: &[ListedServer]) -> String {
    let mut rows = vec![(TITLES.map(str::to_owned), "WHY".to_owned())];
    rows.extend(servers.iter().map(row));
    let width = |column: usize| rows.iter().map(|(row, _)| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..TITLES.len()).map(width).collect();
    let mut table = String::new();
    for (row, why) in &rows {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            line += &if column < NUMBERS_FROM {
                format!("{cell:<width$}  ")
            } else {
                format!("{cell:>width$}  ")
            };
        }
        line += why;
        table += line.trim_end();
        table.push('\n');
    }
    table
}

fn row(server: &ListedServer) -> ([String; TITLES.len()], String) {
    let state = match &server.admin[..] {
        "ready" => tame(&server.state),
        admin => format!("{} ({})", tame(&server.state), tame(admin)),
    };
    let in_flight = match server.limit {
        Some(limit) => format!("{}/{limit}", server.in_flight),
        None => server.in_flight.to_string(),
    };
    let weight = match server.weight == server.configured_weight {
        true => server.weight.to_string(),
        false => format!("{} of {}", server.weight, server.configured_weight),
    };
    let number =
        |number: Option<f64>, digits: usize| number.map_or("-".to_owned(), |n| format!("{n:.digits$}"));
    let errors = server.error_share.map_or("-".to_owned(), |share| format!("{:.2}%", share * 100.0));
    let row = [
        tame(&server.pool),
        tame(&server.name),
        tame(&server.address),
        state,
        span(server.state_seconds),
        in_flight,
        weight,
        number(server.requests_per_second, 1),
        errors,
        server.p50_seconds.map_or("-".to_owned(), latency),
        server.p99_seconds.map_or("-".to_owned(), latency),
    ];
    (row, tame(&server.why))
}

/// The two largest units: `3m 20s`, `4d 2h`.
fn span(seconds: u64) -> String {
    let whole = humantime::format_duration(std::time::Duration::from_secs(seconds)).to_string();
    whole.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// Three digits: latencies are known to 6 %.
fn latency(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 1e-3 => (s * 1e6, "us"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str) -> ListedServer {
        ListedServer {
            pool: "web".to_owned(),
            name: name.to_owned(),
            address: "127.0.0.1:80".to_owned(),
            state: "up".to_owned(),
            admin: "ready".to_owned(),
            why: String::new(),
            state_seconds: 7,
            weight: 1,
            configured_weight: 1,
            in_flight: 3,
            limit: None,
            requests_per_second: None,
            error_share: None,
            p50_seconds: Some(0.000_85),
            p99_seconds: None,
        }
    }

    #[test]
    fn columns_are_aligned_and_lines_have_no_blank_ends() {
        let odd = ListedServer {
            state: "down".to_owned(),
            admin: "drain".to_owned(),
            why: "refused\u{1b}[31m\nx".to_owned(),
            limit: Some(100),
            weight: 0,
            state_seconds: 100_000,
            requests_per_second: Some(1234.56),
            error_share: Some(0.5),
            p99_seconds: Some(1.5),
            ..server("ä-long-name")
        };
        let table = of(&[server("a"), odd]);
        let expected = "\
POOL  SERVER       ADDRESS       STATE           SINCE  IN FLIGHT  WEIGHT   REQ/S  ERRORS    P50    P99  WHY
web   a            127.0.0.1:80  up                 7s          3       1       -       -  850us      -
web   ä-long-name  127.0.0.1:80  down (drain)  1day 3h      3/100  0 of 1  1234.6  50.00%  850us  1.50s  refused\u{fffd}[31m\u{fffd}x
";
        assert_eq!(table, expected, "\n{table}");
    }
}
