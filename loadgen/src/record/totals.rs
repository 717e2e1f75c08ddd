//! One lane's whole window: histograms, counts, and each kind of error with an example.

use super::Ended;
use crate::model::{Counts, ErrorCount, Latency, TIME_MAX_NS};
use hdrhistogram::Histogram;
use std::borrow::Cow;
use std::time::Duration;

/// Kinds of errors that are told apart; the rest is counted together, as a hostile server could invent kinds.
const KINDS_MAX: usize = 64;
const OTHER: &str = "other errors";

/// Times of one kind, counted in 32 bits: half the cache, and 4 billion of the same time are enough for a lane.
#[derive(Clone, Debug)]
pub struct Times(Histogram<u32>);

impl Times {
    /// Adds one time; one over the longest counts as the longest.
    pub fn record(&mut self, time: Duration) {
        self.0.saturating_record(time.as_nanos() as u64);
    }

    /// Adds to a histogram of all lanes.
    pub fn add_to(&self, all: &mut Latency) {
        for value in self.0.iter_recorded() {
            all.record_n(value.value_iterated_to(), u64::from(value.count_at_value()));
        }
    }
}

impl Default for Times {
    fn default() -> Times {
        let histogram = Histogram::new_with_bounds(1, TIME_MAX_NS, 3);
        Times(histogram.expect("the bounds are in order, the digits are few"))
    }
}

/// What went wrong, in a few words, with one example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The kind: few different ones.
    pub kind: Cow<'static, str>,
    /// This one.
    pub example: String,
    /// Because no answer came in time.
    pub is_timeout: bool,
}

impl Failed {
    /// Of a kind, with an example.
    pub fn new(kind: impl Into<Cow<'static, str>>, example: impl Into<String>) -> Failed {
        Failed { kind: kind.into(), example: example.into(), is_timeout: false }
    }
}

/// One lane's whole window.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Requests, by what became of them.
    pub counts: Counts,
    /// From due to complete.
    pub response: Times,
    /// From handed over to complete.
    pub service: Times,
    /// From sendable to handed over.
    pub own_lag: Times,
    /// From due to sendable.
    pub connection_wait: Times,
    /// From asking for a connection to having it.
    pub connect: Times,
    /// Errors and wrong answers by kind.
    pub errors: Vec<ErrorCount>,
    /// Answers by status.
    pub statuses: Vec<(u16, u64)>,
    /// Requests in flight times nanoseconds, counted as they come and go.
    pub in_flight_ns: u128,
    /// The same, added up from each request's own times. See [`crate::verdict`]: the two must agree.
    pub in_window_ns: u128,
}

impl Totals {
    pub(super) fn handed(&mut self, lag: Duration, wait: Duration, bytes: usize) {
        self.counts.sent += 1;
        self.counts.sent_bytes += bytes as u64;
        self.own_lag.record(lag);
        self.connection_wait.record(wait);
    }

    pub(super) fn ended(&mut self, response: Duration, service: Duration, how: &Ended) {
        self.response.record(response);
        self.service.record(service);
        match how {
            Ended::Completed => self.counts.completed += 1,
            Ended::Wrong(why) => {
                self.counts.wrong += 1;
                self.note(why.clone());
            }
            Ended::Failed(why) => {
                self.counts.failed += 1;
                self.counts.timeouts += u64::from(why.is_timeout);
                self.note(why.clone());
            }
        }
    }

    /// An answer with this status came.
    pub fn status(&mut self, code: u16) {
        // Nearly always the first: a server that works says 200.
        match self.statuses.iter_mut().find(|(known, _)| *known == code) {
            Some((_, count)) => *count += 1,
            None => self.statuses.push((code, 1)),
        }
    }

    /// Whether an error of this kind has its example.
    pub fn knows(&self, kind: &str) -> bool {
        self.errors.iter().any(|error| error.kind == kind) || self.errors.len() >= KINDS_MAX
    }

    /// Counts an error.
    pub fn note(&mut self, failed: Failed) {
        if let Some(known) = self.errors.iter_mut().find(|error| error.kind == failed.kind) {
            known.count += 1;
        } else if self.errors.len() < KINDS_MAX || failed.kind == OTHER {
            self.errors.push(ErrorCount {
                kind: failed.kind.into_owned(),
                count: 1,
                example: failed.example,
            });
        } else {
            self.note(Failed::new(OTHER, format!("{}: {}", failed.kind, failed.example)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_errors_are_counted_and_bounded() {
        let mut totals = Totals::default();
        for n in 0..1000 {
            totals.note(Failed::new(format!("status {}", n % 200), n.to_string()));
        }
        assert_eq!(totals.errors.len(), KINDS_MAX + 1);
        assert_eq!(
            totals.errors[3],
            ErrorCount { kind: "status 3".to_owned(), count: 5, example: "3".to_owned() }
        );
        assert_eq!(totals.errors.iter().map(|error| error.count).sum::<u64>(), 1000);
        assert!(totals.knows("status 3") && totals.knows("never seen"));
    }
}
