//! A distribution as HdrHistogram's percentile table, as wrk2 prints it and the HdrHistogram plotter reads it.
//!
//! In: one distribution. Out: four columns of numbers, values in milliseconds, and a footer. Never: rounds to what
//! other tools keep: six digits behind the point are the nanosecond.

use crate::model::Latency;
use std::fmt::Write as _;

/// Lines per halving of the distance to 100 %: the usual number (HdrHistogram, `outputPercentileDistribution`).
const TICKS_PER_HALF_DISTANCE: u32 = 5;
const NS_PER_MS: f64 = 1e6;

/// The table. The last line's fourth column is `inf`, as in HdrHistogram's C library; the plotter skips that line.
pub fn hgrm(latency: &Latency) -> String {
    let histogram = &latency.0;
    let mut out =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut count = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        count += step.count_since_last_iteration();
        let value = ms(step.value_iterated_to().min(histogram.max()));
        let quantile = step.quantile_iterated_to();
        let _ = write!(out, "{value:12.6} {quantile:2.12} {count:10} ");
        let _ = if quantile < 1.0 {
            writeln!(out, "{:14.2}", 1.0 / (1.0 - quantile))
        } else {
            writeln!(out, "{:>14}", "inf")
        };
    }
    let (mean, deviation) = (histogram.mean() / NS_PER_MS, histogram.stdev() / NS_PER_MS);
    let (max, total) = (ms(histogram.max()), histogram.len());
    let sub_buckets = sub_buckets(histogram.sigfig());
    let _ = writeln!(out, "#[Mean    = {mean:12.6}, StdDeviation   = {deviation:12.6}]");
    let _ = writeln!(out, "#[Max     = {max:12.6}, Total count    = {total:12}]");
    let _ = writeln!(out, "#[Buckets = {:12}, SubBuckets     = {sub_buckets:12}]", histogram.buckets());
    out
}

fn ms(ns: u64) -> f64 {
    ns as f64 / NS_PER_MS
}

/// As the library has it: the power of two that holds twice as many steps as the digits tell apart.
fn sub_buckets(digits: u8) -> u64 {
    (2 * 10u64.pow(u32::from(digits))).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_rise_to_the_whole_and_the_largest() {
        let mut latency = Latency::new();
        for n in 0..50_000u64 {
            latency.record(10_000 + n * n / 100);
        }
        let table = hgrm(&latency);
        let mut lines = table.lines();
        let header: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
        assert_eq!(header, ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]);
        assert_eq!(lines.next(), Some(""));
        let rows: Vec<Vec<f64>> = lines.take_while(|line| !line.starts_with('#')).map(numbers).collect();
        assert!(rows.len() > 50, "{}", rows.len());
        for pair in rows.windows(2) {
            for column in 0..4 {
                assert!(pair[0][column] <= pair[1][column], "{column}: {pair:?}");
            }
        }
        let last = rows.last().unwrap();
        assert_eq!(last[1..], [1.0, 50_000.0, f64::INFINITY]);
        assert!((last[0] - latency.0.max() as f64 / 1e6).abs() < 1e-6, "{last:?}");
        // Half lies below the median, which is known: 10,000 + 25,000²/100 ns.
        let median = rows.iter().find(|row| row[1] == 0.5).unwrap();
        assert!((median[0] - 6.26).abs() < 0.01, "{median:?}");
        assert_eq!(median[3], 2.0);
    }

    #[test]
    fn the_footer_is_what_the_plotter_s_users_know() {
        let mut latency = Latency::new();
        latency.record(2_000_000);
        let table = hgrm(&latency);
        let footer: Vec<&str> = table.lines().filter(|line| line.starts_with('#')).collect();
        assert_eq!(footer.len(), 3);
        assert!(footer[0].starts_with("#[Mean    =     2.000"), "{}", footer[0]);
        assert!(footer[1].ends_with("Total count    =            1]"), "{}", footer[1]);
        assert!(footer[2].ends_with("SubBuckets     =         2048]"), "{}", footer[2]);
    }

    #[test]
    fn of_no_times_there_is_a_table_without_lines() {
        let table = hgrm(&Latency::new());
        assert!(!table.contains("NaN"), "{table}");
        assert_eq!(table.lines().count(), 5);
    }

    fn numbers(line: &str) -> Vec<f64> {
        line.split_whitespace().map(|column| column.parse().unwrap()).collect()
    }
}
