//! A slice of the window as one line of JSON, written as soon as the slice is over.
//!
//! In: an interval. Out: one line for `--intervals`, which other programs follow while the run goes on.

use crate::model::Interval;
use serde::Serialize;

#[derive(Serialize)]
struct Line {
    at_ms: f64,
    length_ms: f64,
    offered: u64,
    sent: u64,
    completed: u64,
    errors: u64,
    response_ns: Response,
    own_lag_ns: OwnLag,
}

#[derive(Serialize)]
struct Response {
    p50: u64,
    p90: u64,
    p99: u64,
    #[serde(rename = "p99.9")]
    p99_9: u64,
    max: u64,
}

#[derive(Serialize)]
struct OwnLag {
    p50: u64,
    p99: u64,
    max: u64,
}

/// The line, without its end. Counts are of this interval alone.
pub fn line(interval: &Interval) -> String {
    let [p50, p90, p99, p99_9, max] = interval.response;
    let [lag_p50, lag_p99, lag_max] = interval.own_lag;
    let line = Line {
        at_ms: interval.at_ns as f64 / 1e6,
        length_ms: interval.length_ns as f64 / 1e6,
        offered: interval.offered,
        sent: interval.sent,
        completed: interval.completed,
        errors: interval.errors,
        response_ns: Response { p50, p90, p99, p99_9, max },
        own_lag_ns: OwnLag { p50: lag_p50, p99: lag_p99, max: lag_max },
    };
    serde_json::to_string(&line).expect("numbers under fixed names are always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_one_line_with_its_units_in_the_names() {
        let interval = Interval {
            at_ns: 1_500_000_000,
            length_ns: 500_000_000,
            offered: 10,
            sent: 9,
            completed: 7,
            errors: 2,
            response: [1, 2, 3, 4, 5],
            own_lag: [6, 7, 8],
            bands: vec![1; 9],
        };
        assert_eq!(
            line(&interval),
            concat!(
                r#"{"at_ms":1500.0,"length_ms":500.0,"offered":10,"sent":9,"completed":7,"errors":2,"#,
                r#""response_ns":{"p50":1,"p90":2,"p99":3,"p99.9":4,"max":5},"#,
                r#""own_lag_ns":{"p50":6,"p99":7,"max":8}}"#
            )
        );
    }
}
