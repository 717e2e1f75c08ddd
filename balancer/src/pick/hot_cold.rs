//! The hot-cold rule of Prequal (NSDI '24, section 4): servers with many requests in flight are hot; of the
//! cold ones the fastest gets the request, and if none is cold the one with the fewest in flight.
//!
//! In: requests in flight (as the server itself reported them, if it does) and average latencies. Out: a
//! server. Hot is what has more in flight, for its weight, than 84 % of what this lane saw lately. The
//! fastest is the one with the least latency times what it would have in flight: by latency alone all lanes
//! rush to the server that was fast a moment ago, and the answers that show it come too late (in the model of
//! `bench balancing`, equal servers at a load of 0.9 then take 30 times as long).
//!
//! A server without a known latency never looks fast: at best it is like the others' average, which is no
//! better than the fastest of them. One pick in 32 goes to a cold server whatever its latency, first to an
//! unknown one, so that one that is fast again gets known as such.

use super::least::Share;
use super::weights::Weights;
use super::{Load, SCAN_MAX, Servers};
use rand::Rng as _;
use rand::rngs::Xoshiro256PlusPlus;
use std::cmp::Reverse;

/// What was seen lately: with one sample of eight picks, over the last 128.
const SAMPLES: usize = 16;

/// The place of the 0.84 quantile among them: the paper's default; it found 0.6 to 0.9 to be equally good.
const THRESHOLD: usize = 13;

/// The same for a pool of so many servers: of few, the busiest one alone is more than 16 % of what is seen,
/// and has to be hot.
fn threshold_of(servers: usize) -> usize {
    THRESHOLD.min(SAMPLES - 1 - SAMPLES.div_ceil(servers.max(2)))
}

/// One pick in so many is a sample: to keep them in order costs half as much as the rest of a pick.
const SAMPLED: u64 = 8;

/// Servers of a large pool that are looked at: the paper keeps 16 probes, and gains little beyond 4.
const CANDIDATES: usize = 8;

/// One pick in so many ignores latency. With 16 servers each is measured anew once in 512 picks, and a slow
/// one costs no more than 0.2 % of them.
const EXPLORED: u64 = 32;

/// What one lane remembers.
#[derive(Debug, Default)]
pub(super) struct HotCold {
    seen: Seen,
    /// The last sample of a small pool.
    sampled: usize,
    /// Servers with weight, in the round of samples before this one, and in this one so far.
    working: usize,
    counted: usize,
    /// For large pools.
    weights: Weights,
}

impl HotCold {
    /// The best server by the rule, with a place taken; `None` if none is open, or another lane was faster.
    pub(super) fn coldest(&mut self, servers: Servers, chance: &mut Xoshiro256PlusPlus) -> Option<usize> {
        let luck = Luck(chance.next_u64());
        let Servers { loads, .. } = servers;
        let server = if loads.len() <= SCAN_MAX {
            if luck.one_in(SAMPLED) {
                self.sample_next(servers);
            }
            self.of(servers, luck, loads.iter().map(|load| &**load).enumerate())
        } else {
            let some: [usize; CANDIDATES] = self.weights.some(servers, chance)?;
            if luck.one_in(SAMPLED) && loads[some[0]].weight() > 0 {
                self.seen.push(share(&loads[some[0]]), THRESHOLD);
            }
            self.of(servers, luck, some.iter().map(|&server| (server, &*loads[server])))
        }?;
        loads[server].enter().then_some(server)
    }

    /// One server after the other, or chance would decide which are hot.
    fn sample_next(&mut self, servers: Servers) {
        self.sampled = servers.after(self.sampled);
        if self.sampled == 0 {
            self.working = std::mem::take(&mut self.counted);
        }
        let load = &servers.loads[self.sampled];
        if load.weight() > 0 {
            self.counted += 1;
            self.seen.push(share(load), threshold_of(self.working));
        }
    }

    fn of<'a>(&self, servers: Servers, luck: Luck, from: impl Candidates<'a>) -> Option<usize> {
        let view = View { servers, threshold: self.seen.threshold, start: luck.below(servers.loads.len()) };
        let cold = match luck.one_in(EXPLORED) {
            true => view.any(from.clone()),
            false => view.fastest(from.clone()),
        };
        cold.or_else(|| view.least(from))
    }
}

/// Servers with their indices.
trait Candidates<'a>: Iterator<Item = (usize, &'a Load)> + Clone {}

impl<'a, I: Iterator<Item = (usize, &'a Load)> + Clone> Candidates<'a> for I {}

/// What it has to do for its weight.
fn share(load: &Load) -> Share {
    // A report is as old as the last answer, and counts other balancers' requests too: what we know to be
    // there, is.
    let requests = load.in_flight().max(load.reported().unwrap_or(0));
    Share { requests, weight: load.weight() }
}

/// Sixty-four random bits for one pick: the lowest decide whether it is special, the others where to look
/// first.
#[derive(Clone, Copy)]
struct Luck(u64);

impl Luck {
    fn one_in(self, many: u64) -> bool {
        self.0.is_multiple_of(many)
    }

    fn below(self, bound: usize) -> usize {
        (((self.0 >> 32) * bound as u64) >> 32) as usize
    }
}

/// How one pick sees the servers.
#[derive(Clone, Copy)]
struct View<'a> {
    servers: Servers<'a>,
    threshold: Share,
    /// Of equals the first from here on is chosen.
    start: usize,
}

impl View<'_> {
    /// Its place from `start` on.
    fn rank(&self, server: usize) -> usize {
        if server >= self.start {
            server - self.start
        } else {
            server + self.servers.loads.len() - self.start
        }
    }

    fn is_cold(&self, server: usize, share: Share) -> bool {
        share.weight > 0 && !self.threshold.is_less(share) && self.servers.is_open(server)
    }

    /// The cold one whose next request will be over first, by its known latency and what it has to do.
    fn fastest<'a>(&self, from: impl Candidates<'a>) -> Option<usize> {
        let (mut best, mut fastest) = (u64::MAX, None);
        for (server, load) in from {
            let (latency, share) = (u64::from(load.latency_us()), share(load));
            let expected = latency * (u64::from(share.requests) + 1);
            let is_better = expected < best
                || expected == best && fastest.is_some_and(|other| self.rank(server) < self.rank(other));
            if latency > 0 && is_better && self.is_cold(server, share) {
                (best, fastest) = (expected, Some(server));
            }
        }
        fastest
    }

    /// The one with the least to do, cold or not.
    fn least<'a>(&self, from: impl Candidates<'a>) -> Option<usize> {
        let mut best: Option<(Share, usize)> = None;
        for (server, load) in from {
            let share = share(load);
            let is_better = best.is_none_or(|(least, other)| {
                share.is_less(least) || !least.is_less(share) && self.rank(server) < self.rank(other)
            });
            if is_better && self.servers.is_open(server) {
                best = Some((share, server));
            }
        }
        best.map(|(_, server)| server)
    }

    /// A cold one to learn about.
    fn any<'a>(&self, from: impl Candidates<'a>) -> Option<usize> {
        let cold = from.filter(|&(server, load)| self.is_cold(server, share(load)));
        let best = cold.max_by_key(|&(server, load)| (load.latency_us() == 0, Reverse(self.rank(server))));
        best.map(|(server, _)| server)
    }
}

/// The last few shares that were seen.
#[derive(Debug)]
struct Seen {
    by_age: [Share; SAMPLES],
    oldest: usize,
    sorted: [Share; SAMPLES],
    /// More than this is hot.
    threshold: Share,
}

impl Default for Seen {
    /// As if all had been idle: until more is known, a server with a request is hot and the next one gets the
    /// next.
    fn default() -> Seen {
        let idle = Share { requests: 0, weight: 1 };
        Seen { by_age: [idle; SAMPLES], oldest: 0, sorted: [idle; SAMPLES], threshold: idle }
    }
}

impl Seen {
    /// One more sample; the oldest goes.
    fn push(&mut self, share: Share, threshold: usize) {
        let old = std::mem::replace(&mut self.by_age[self.oldest], share);
        self.oldest = (self.oldest + 1) % SAMPLES;
        let mut at = self.sorted.partition_point(|&other| other.is_less(old));
        while at + 1 < SAMPLES && self.sorted[at + 1].is_less(share) {
            self.sorted[at] = self.sorted[at + 1];
            at += 1;
        }
        while at > 0 && share.is_less(self.sorted[at - 1]) {
            self.sorted[at] = self.sorted[at - 1];
            at -= 1;
        }
        self.sorted[at] = share;
        self.threshold = self.sorted[threshold];
    }
}
