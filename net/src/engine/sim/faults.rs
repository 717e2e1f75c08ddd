//! What may go wrong in a world, how often, and the numbers that decide it.
//!
//! In: a seed. Out: choices, the same ones for the same seed on every machine. Never: reads a clock, an
//! address or a hash map's order.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The odds of a world: ranges are drawn from so that each order of magnitude is as likely as the next;
/// chances are between 0 and 1.
#[derive(Clone, Debug)]
pub struct Faults {
    /// How long each segment, acknowledgement or wake-up takes.
    pub delay: RangeInclusive<Duration>,
    /// How long a lane's turn takes.
    pub turn: RangeInclusive<Duration>,
    /// Bytes that fit between a sender and its reader: both sockets' buffers and the wire, one way.
    pub window: RangeInclusive<usize>,
    /// That bytes which were sent together arrive apart.
    pub cut: f64,
    /// That a connection delivers one to three bytes at a time.
    pub crumbs: f64,
    /// That a send takes less than would fit.
    pub short_send: f64,
    /// That an event waits for a later turn than its neighbours.
    pub straggle: f64,
    /// That a connect is refused although somebody listens.
    pub refuse: f64,
    /// That a send breaks its connection.
    pub reset: f64,
    /// That the network swallows everything of a connection from some send on.
    pub vanish: f64,
    /// That an accept finds the process out of descriptors.
    pub shortage: f64,
}

impl Faults {
    /// Nothing goes wrong: everything takes 50 µs and arrives whole.
    pub fn calm() -> Faults {
        let delay = Duration::from_micros(50);
        Faults {
            delay: delay..=delay,
            turn: Duration::ZERO..=Duration::ZERO,
            window: 256 * 1024..=256 * 1024,
            cut: 0.0,
            crumbs: 0.0,
            short_send: 0.0,
            straggle: 0.0,
            refuse: 0.0,
            reset: 0.0,
            vanish: 0.0,
            shortage: 0.0,
        }
    }

    /// Everything that a correct network may do: cuts, delays, short sends, small windows. Nothing is lost.
    pub fn rough() -> Faults {
        Faults {
            delay: Duration::from_micros(1)..=Duration::from_millis(20),
            turn: Duration::from_micros(1)..=Duration::from_millis(1),
            window: 16..=256 * 1024,
            cut: 0.3,
            crumbs: 0.15,
            short_send: 0.2,
            straggle: 0.2,
            shortage: 0.02,
            ..Faults::calm()
        }
    }

    /// A rough network with peers and routers that fail: resets, refusals, connections that fall silent.
    pub fn hostile() -> Faults {
        Faults { refuse: 0.03, reset: 0.01, vanish: 0.002, ..Faults::rough() }
    }
}

/// A small generator of choices (splitmix64).
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The same choices for the same seed.
    pub fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.any()) * end as u128) >> 64) as usize
    }

    /// A number between the ends of the range, each as likely as the other.
    pub fn within(&mut self, range: RangeInclusive<usize>) -> usize {
        range.start() + self.below(range.end() - range.start() + 1)
    }

    /// True as often as `odds` says. Odds of zero draw nothing, so that a calm world has few choices.
    pub fn chance(&mut self, odds: f64) -> bool {
        odds > 0.0 && ((self.any() >> 11) as f64) < odds * (1u64 << 53) as f64
    }

    /// A number from the range, small ones as likely as large ones.
    pub fn spread(&mut self, range: &RangeInclusive<u64>) -> u64 {
        let (low, high) = (*range.start(), *range.end());
        if low >= high {
            return low;
        }
        let bits = |n: u64| (u64::BITS - n.leading_zeros()) as usize;
        let top =
            1u64.checked_shl(self.within(bits(low)..=bits(high)) as u32).map_or(u64::MAX, |top| top - 1);
        let top = top.clamp(low, high) - low;
        low + self.below(top as usize + 1) as u64
    }

    /// A duration from the range, in the same way.
    pub fn duration(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let ns = |d: &Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.spread(&(ns(range.start())..=ns(range.end()))))
    }

    /// Puts the items in any order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for n in (1..items.len()).rev() {
            items.swap(n, self.below(n + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_stays_in_its_range_and_reaches_both_ends() {
        let mut rng = Rng::new(1);
        let drawn: Vec<u64> = (0..20_000).map(|_| rng.spread(&(3..=900))).collect();
        assert!(drawn.iter().all(|n| (3..=900).contains(n)));
        assert!(drawn.contains(&3) && drawn.iter().any(|n| *n > 800));
        let small = drawn.iter().filter(|n| **n < 30).count();
        assert!(small > 5_000, "{small}");
        assert_eq!(rng.spread(&(7..=7)), 7);
        assert!((0..1000).all(|_| rng.within(0..=2) < 3));
    }
}
