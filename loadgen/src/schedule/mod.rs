//! When requests are due: the offered rate over time, each lane's share of it, and how the sending came out.
//!
//! In: pieces of rate, a kind of arrivals, a seed. Out: due times, in nanoseconds since time 0, the begin of the
//! first piece. Never: reads a clock, waits, allocates once a lane runs, or lets the last due time decide the next
//! (an error would add up): each follows from the total so far.
//!
//! Time and **mass** are two views of one axis: the mass of a moment is the number of requests, of all lanes, that
//! are expected to be due before it. In mass the rate is 1 throughout, whatever it is in time.

mod arrivals;
mod gaps;
mod profile;

pub use arrivals::Schedule;
pub use gaps::GapMeter;
pub use profile::Profile;

use std::fmt;
use std::str::FromStr;

/// How due times lie along the mass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ArrivalKind {
    /// As many users who know nothing of each other: gaps are exponential.
    #[default]
    Poisson,
    /// All gaps alike. Hides queueing: a server's p99 looks half of what such users would see, or less.
    Constant,
}

impl fmt::Display for ArrivalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ArrivalKind::Poisson => "poisson",
            ArrivalKind::Constant => "constant",
        })
    }
}

impl FromStr for ArrivalKind {
    type Err = String;

    fn from_str(text: &str) -> Result<ArrivalKind, String> {
        match text {
            "poisson" => Ok(ArrivalKind::Poisson),
            "constant" => Ok(ArrivalKind::Constant),
            _ => Err(format!("'{text}' is no kind of arrivals; say poisson or constant")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_written_as_it_is_read() {
        for kind in [ArrivalKind::Poisson, ArrivalKind::Constant] {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!("uniform".parse::<ArrivalKind>().unwrap_err().contains("poisson or constant"));
    }
}
