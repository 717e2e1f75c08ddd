//! When to make connections: all at once or at a rate, again when one is lost, and ever more slowly where it fails.
//!
//! In: what became of each. Out: how many to ask for now, and when to ask again. Never: more than are wanted.

use net::time::Time;
use std::time::Duration;

/// The wait behind the first failure; each further one in a row doubles it.
const BACKOFF_MIN: Duration = Duration::from_millis(10);
/// A server that comes back is found within this.
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// Asked for in one turn: the rest of the lane's work goes on in between.
const PER_TURN_MAX: usize = 256;

/// How many connections there are and ought to be.
#[derive(Debug)]
pub(super) struct Opener {
    wanted: usize,
    /// Open or asked for.
    held: usize,
    /// Between two; zero for no limit.
    gap: Duration,
    next_at: Time,
    failures_in_a_row: u32,
}

impl Opener {
    /// For `wanted` connections, at most so many per second.
    pub(super) fn new(wanted: usize, per_second: Option<f64>) -> Opener {
        let gap = per_second.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
        Opener { wanted, held: 0, gap, next_at: Time(0), failures_in_a_row: 0 }
    }

    /// How many to ask for now.
    pub(super) fn take(&mut self, now: Time) -> usize {
        if now < self.next_at {
            return 0;
        }
        let missing = self.wanted.saturating_sub(self.held).min(PER_TURN_MAX);
        let count = if self.gap.is_zero() { missing } else { missing.min(1) };
        if count > 0 && !self.gap.is_zero() {
            // From the time it was due: a late turn doesn't lower the rate. But nothing is made up for long, and
            // nothing at the start.
            let due = if self.next_at == Time(0) { now } else { self.next_at };
            self.next_at = (due + self.gap).max(Time(now.0.saturating_sub(self.gap.as_nanos() as u64)));
        }
        self.held += count;
        count
    }

    /// When to ask again.
    pub(super) fn next(&self) -> Option<Time> {
        (self.held < self.wanted).then_some(self.next_at)
    }

    /// A connection did something useful.
    pub(super) fn worked(&mut self) {
        self.failures_in_a_row = 0;
    }

    /// A connection is over; a failure if it never did anything useful.
    pub(super) fn lost(&mut self, is_failure: bool, now: Time) {
        self.held -= 1;
        if is_failure {
            let backoff = BACKOFF_MIN * 2u32.saturating_pow(self.failures_in_a_row.min(16));
            self.failures_in_a_row += 1;
            self.next_at = self.next_at.max(now + backoff.min(BACKOFF_MAX));
        }
    }

    /// No more connections are made.
    pub(super) fn stop(&mut self) {
        self.wanted = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_made_at_the_rate_that_was_asked_for() {
        let mut opener = Opener::new(100, Some(1000.0));
        let made: usize = (0..50_000).map(|us| opener.take(Time(us * 1000))).sum();
        assert!((49..=51).contains(&made), "{made}");
        assert_eq!(Opener::new(100, None).take(Time(0)), 100);
        // The clock doesn't begin with the run.
        let mut late = Opener::new(100, Some(1000.0));
        let made: usize = (5_000_000..5_050_000).map(|us| late.take(Time(us * 1000))).sum();
        assert!((50..=51).contains(&made), "{made}");
    }

    #[test]
    fn failures_in_a_row_are_retried_ever_more_slowly() {
        let mut opener = Opener::new(1, None);
        let mut tries = Vec::new();
        let mut now = Time(0);
        for _ in 0..10 {
            assert_eq!(opener.take(now), 1);
            tries.push(now.0 / 1_000_000);
            opener.lost(true, now);
            now = opener.next().unwrap();
        }
        assert_eq!(tries, [0, 10, 30, 70, 150, 310, 630, 1270, 2270, 3270]);
        assert_eq!(opener.take(now), 1);
        opener.worked();
        opener.lost(false, now);
        assert_eq!(opener.take(now), 1);
    }
}
