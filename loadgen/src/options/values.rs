//! Values of flags: rates and lengths of time.

use crate::units;
use std::str::FromStr;

/// A length of time with its unit, as in `30s` or `50us`.
pub use net::command_line::Time as Duration;

/// Requests per second: one rate, or a ramp from one to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// At the begin.
    pub from: f64,
    /// At the end.
    pub to: f64,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        let (from, to) = text.split_once(':').unwrap_or((text, text));
        let (from, to) = (units::rate(from)?, units::rate(to)?);
        if from.max(to) <= 0.0 {
            return Err(format!("`{text}` is no rate: write requests per second, as in 50k or 10k:200k"));
        }
        Ok(Rate { from, to })
    }
}

/// A share between 0 and 1, as in `0.02`.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.001..=0.5).contains(share));
    share.ok_or_else(|| format!("`{text}` is no share: write a number from 0.001 to 0.5"))
}
