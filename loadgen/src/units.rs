//! Rates, times and counts as people write and read them.
//!
//! In: `184k`, `1.5ms`; or numbers. Out: numbers; or text of at most three significant digits, its unit behind it.
//! Never: takes a number that isn't finite, or is below zero.

/// Requests per second. Due times are whole nanoseconds, so that more couldn't be told apart.
pub const RATE_MAX: f64 = 1e9;

/// The units of a time, the long ones last, so that `ms` is found before `s` is.
const TIMES: [(&str, f64); 5] = [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)];

/// Reads requests per second: `200000`, `184k`, `1.5M`; at most [`RATE_MAX`].
pub fn rate(text: &str) -> Result<f64, String> {
    let number = text.trim();
    let (number, factor) = match number.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1e3),
        None => number.strip_suffix('M').map_or((number, 1.0), |number| (number, 1e6)),
    };
    let rate = decimal(number).map(|number| number * factor);
    let rate = rate.ok_or_else(|| format!("'{text}' is no rate; say requests per second, such as 184k"))?;
    if rate > RATE_MAX {
        return Err(format!("'{text}' is more than {} requests per second", format_rate(RATE_MAX)));
    }
    Ok(rate)
}

/// Reads a time into nanoseconds: `300us`, `1.5ms`, `2s`. The unit is a must.
pub fn time_ns(text: &str) -> Result<u64, String> {
    let time = text.trim();
    let parts = TIMES.iter().find_map(|&(unit, ns)| Some((time.strip_suffix(unit)?, ns)));
    let number = parts.and_then(|(number, ns)| Some(decimal(number.trim_end())? * ns));
    let Some(number) = number else {
        let hint = match decimal(time) {
            Some(_) => format!("has no unit; say {time}ms"),
            None => "is no time; say 300us, 1.5ms or 2s".to_owned(),
        };
        return Err(format!("'{text}' {hint}"));
    };
    Ok(number.round() as u64)
}

/// Digits with at most one dot. What else `f64` would read (`inf`, `nan`, `1e9`, `-1`) is a slip here.
pub(crate) fn decimal(text: &str) -> Option<f64> {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then(|| text.parse().ok())?
}

/// `812 ns`, `14.2 µs`, `1.27 s`.
pub fn format_ns(ns: u64) -> String {
    if ns < 1_000 {
        return format!("{ns} ns");
    }
    scaled(ns as f64, &[(" µs", 1e3), (" ms", 1e6), (" s", 1e9)])
}

/// `p99.9`, from 0.999.
pub fn percentile_name(quantile: f64) -> String {
    // At six decimals what is off by rounding is gone, and so are the zeros behind.
    let text = format!("{:.6}", quantile * 100.0);
    format!("p{}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// `950`, `184k`, `1.02M`: requests per second.
pub fn format_rate(rate: f64) -> String {
    scaled(rate.max(0.0), &[("", 1.0), ("k", 1e3), ("M", 1e6)])
}

/// `1,234,567`.
pub fn format_count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share as `0.42 %`; two significant digits, and never zero for what isn't.
pub fn format_share(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if p <= 0.0 => "0 %".to_owned(),
        p if p < 0.001 => "< 0.001 %".to_owned(),
        p if p < 0.0995 => format!("{p:.3} %"),
        p if p < 9.95 => format!("{p:.2} %"),
        p => format!("{p:.1} %"),
    }
}

/// Three significant digits in the first unit whose next one would be too large; units ascending.
fn scaled(value: f64, units: &[(&str, f64)]) -> String {
    // What rounds to 1000 of a unit is 1.00 of the next.
    let fits = |&&(_, factor): &&(&str, f64)| value / factor < 999.5;
    let (unit, factor) = *units.iter().find(fits).unwrap_or(&units[units.len() - 1]);
    let number = value / factor;
    let decimals = match number {
        0.0 => 0,
        n if n < 9.995 => 2,
        n if n < 99.95 => 1,
        _ => 0,
    };
    format!("{number:.decimals$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rates_have_suffixes() {
        for (text, value) in [
            ("200000", 200_000.0),
            ("184k", 184_000.0),
            ("1.5M", 1.5e6),
            (" 2K ", 2_000.0),
            ("0", 0.0),
            (".5", 0.5),
        ] {
            assert_eq!(rate(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_rate_is_answered_with_an_example() {
        for text in ["", "k", "fast", "-5", "inf", "nan", "1e9", "1.2.3", "5m", "10 k/s", "1 000", "."] {
            let error = rate(text).unwrap_err();
            assert!(error.contains("such as 184k"), "{text}: {error}");
        }
        assert!(rate("2000M").unwrap_err().contains("more than"));
    }

    #[test]
    fn times_have_units() {
        for (text, ns) in [
            ("300us", 300_000),
            ("1ms", 1_000_000),
            ("1.5 ms", 1_500_000),
            ("2s", 2_000_000_000),
            ("7ns", 7),
            ("4µs", 4_000),
        ] {
            assert_eq!(time_ns(text), Ok(ns), "{text}");
        }
        assert_eq!(time_ns("1"), Err("'1' has no unit; say 1ms".into()));
        for text in ["", "ms", "1parsec", "-1ms", "infs", "1m"] {
            assert!(time_ns(text).unwrap_err().contains("say 300us, 1.5ms or 2s"), "{text}");
        }
    }

    #[test]
    fn numbers_keep_three_digits() {
        for (ns, text) in [
            (0, "0 ns"),
            (812, "812 ns"),
            (1_000, "1.00 µs"),
            (14_249, "14.2 µs"),
            (99_949, "99.9 µs"),
            (99_960, "100 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (1_270_000_000, "1.27 s"),
            (9_996_000_000, "10.0 s"),
            (137_438_953_471, "137 s"),
            (1_234_000_000_000, "1234 s"),
        ] {
            assert_eq!(format_ns(ns), text);
        }
        for (rate, text) in [
            (0.0, "0"),
            (-1.0, "0"),
            (0.5, "0.50"),
            (9.5, "9.50"),
            (950.0, "950"),
            (999.6, "1.00k"),
            (1_230.0, "1.23k"),
            (184_000.0, "184k"),
            (1_020_000.0, "1.02M"),
            (1e9, "1000M"),
        ] {
            assert_eq!(format_rate(rate), text);
        }
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        for (count, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(format_count(count), text);
        }
        assert_eq!(format_count(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn a_share_that_is_not_zero_does_not_look_like_zero() {
        for (share, text) in [
            (0.0, "0 %"),
            (1e-9, "< 0.001 %"),
            (0.000_02, "0.002 %"),
            (0.001, "0.10 %"),
            (0.0123, "1.23 %"),
            (1.0, "100.0 %"),
        ] {
            assert_eq!(format_share(share), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_within_half_of_its_last_digit(ns in 1u64..100_000_000_000) {
            let shown = time_ns(&format_ns(ns)).unwrap();
            prop_assert!(shown.abs_diff(ns) as f64 <= 0.0051 * ns as f64, "{ns} {}", format_ns(ns));
        }
    }

    #[test]
    fn percentiles_are_named_without_noise() {
        for (q, name) in [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9"), (0.99999, "p99.999"), (0.07, "p7")] {
            assert_eq!(percentile_name(q), name);
        }
    }
}
