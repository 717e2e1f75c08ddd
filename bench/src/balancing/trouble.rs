//! What differs between servers, and what happens to them: the scenarios of the study.
//!
//! In: a server's index. Out: its weight, its speed, its pauses, and how much work a request is. Never:
//! anything that a balancer could not meet.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

use super::model::SERVICE_NS;

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// All servers are alike.
    None,
    /// One of eight is five times slower, and nobody said so.
    Slow,
    /// The same, with weights that say so.
    SlowWeighted,
    /// The first server stops for 100 service times in each 1,000.
    Stall,
    /// Each server stops for 5 service times about every 200 (a garbage collector).
    Pauses,
    /// Of 20 requests one is 21 times longer than the others.
    LongRequests,
    /// The first server fails what it gets in a twentieth of the time.
    FastFailures,
}

/// A server's times without work, in the model's nanoseconds, one after the other.
#[derive(Debug)]
pub(super) struct Pauses {
    /// From the end of one to the begin of the next, on average; 0: there are none.
    gap: f64,
    length: u64,
    is_regular: bool,
    chance: Xoshiro256PlusPlus,
    next: u64,
}

impl Trouble {
    pub(super) const ALL: [Trouble; 7] = [
        Trouble::None,
        Trouble::Slow,
        Trouble::SlowWeighted,
        Trouble::Stall,
        Trouble::Pauses,
        Trouble::LongRequests,
        Trouble::FastFailures,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Trouble::None => "equal servers",
            Trouble::Slow => "1 of 8 is 5 × slower",
            Trouble::SlowWeighted => "the same, with weights",
            Trouble::Stall => "one stalls at times",
            Trouble::Pauses => "all pause at times",
            Trouble::LongRequests => "5 % long requests",
            Trouble::FastFailures => "one fails fast",
        }
    }

    fn is_slow(self, server: usize) -> bool {
        matches!(self, Trouble::Slow | Trouble::SlowWeighted) && server.is_multiple_of(8)
    }

    /// What all servers can do, in servers of speed 1.
    pub(super) fn capacity(self, servers: usize) -> f64 {
        (0..servers).map(|server| if self.is_slow(server) { 0.2 } else { 1.0 }).sum()
    }

    /// As an operator would configure it.
    pub(super) fn weight(self, server: usize) -> u32 {
        match self {
            Trouble::SlowWeighted if !self.is_slow(server) => 5,
            _ => 1,
        }
    }

    /// How long one request takes a worker, in mean service times.
    pub(super) fn work(self, server: usize, chance: &mut Xoshiro256PlusPlus) -> f64 {
        let exponential = -(1.0 - chance.random::<f64>()).ln();
        match self {
            _ if self.is_slow(server) => 5.0 * exponential,
            // 0.95 · 0.5 + 0.05 · 10.5 = 1.
            Trouble::LongRequests if chance.random_bool(0.05) => 10.5,
            Trouble::LongRequests => 0.5,
            _ if self.is_failing(server) => 0.05 * exponential,
            _ => exponential,
        }
    }

    pub(super) fn is_failing(self, server: usize) -> bool {
        self == Trouble::FastFailures && server == 0
    }

    pub(super) fn pauses(self, server: usize, seed: u64) -> Pauses {
        let (gap, length) = match self {
            Trouble::Stall if server == 0 => (900.0, 100.0),
            Trouble::Pauses => (195.0, 5.0),
            _ => (0.0, 0.0),
        };
        let mut pauses = Pauses {
            gap: gap * SERVICE_NS,
            length: (length * SERVICE_NS) as u64,
            is_regular: self == Trouble::Stall,
            chance: Xoshiro256PlusPlus::seed_from_u64(seed ^ (server as u64) << 32),
            next: u64::MAX,
        };
        if gap > 0.0 {
            pauses.next = pauses.gap_from(0);
        }
        pauses
    }
}

impl Pauses {
    fn gap_from(&mut self, end: u64) -> u64 {
        let gap = if self.is_regular { 1.0 } else { -(1.0 - self.chance.random::<f64>()).ln() };
        end + (gap * self.gap) as u64
    }

    /// When `work` that begins now is done.
    pub(super) fn end_of(&mut self, now: u64, work: u64) -> u64 {
        // Those that are over are of no interest to anybody: requests begin in the order of time.
        while self.next.saturating_add(self.length) <= now {
            self.next = self.gap_from(self.next + self.length);
        }
        let begin = if self.next <= now { self.next + self.length } else { now };
        let end = begin + work;
        // One that begins meanwhile holds it up. A second one would, too, but work is far shorter than gaps
        // are.
        if self.next > begin && self.next < end { end + self.length } else { end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_holds_up_what_begins_in_it_and_what_it_comes_upon() {
        let times = |n: u64| n * SERVICE_NS as u64;
        let mut pauses = Trouble::Stall.pauses(0, 1);
        let mut end = |now, work| pauses.end_of(times(now), times(work));
        assert_eq!(
            [end(10, 5), end(899, 3), end(950, 2), end(1_000, 4)],
            [15, 1_002, 1_002, 1_004].map(times)
        );
        assert_eq!([end(1_950, 1), end(1_900, 1)], [2_001, 2_001].map(times));
        assert_eq!(Trouble::Stall.pauses(1, 1).end_of(times(950), 7), times(950) + 7);
    }

    #[test]
    fn work_is_one_service_time_on_average() {
        let mut chance = Xoshiro256PlusPlus::seed_from_u64(1);
        for (trouble, server, mean) in [
            (Trouble::None, 0, 1.0),
            (Trouble::Slow, 8, 5.0),
            (Trouble::Slow, 9, 1.0),
            (Trouble::LongRequests, 0, 1.0),
            (Trouble::FastFailures, 0, 0.05),
        ] {
            let sum: f64 = (0..100_000).map(|_| trouble.work(server, &mut chance)).sum();
            assert!((sum / 100_000.0 / mean - 1.0).abs() < 0.03, "{trouble:?}: {sum}");
        }
    }
}
