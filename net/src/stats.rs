//! Numbers that one lane writes and others read.
//!
//! A lane owns its cells, so adding is a plain load and store: no locked instruction, no shared cache line
//! between writers. A reader sees each number whole, and perhaps a moment old.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// One number, written by one thread.
#[derive(Debug, Default)]
pub struct Cell(AtomicU64);

impl Cell {
    /// Adds; for the owner.
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    /// Adds one; for the owner.
    pub fn one(&self) {
        self.add(1);
    }

    /// Replaces; for the owner.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Reads; for anybody.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Bucket `n` of [`Times`] holds what took less than `2^n` microseconds: 1 µs to 8.4 s, and the rest.
pub const TIME_BUCKETS: usize = 25;

/// How long things took, in buckets that double: written by one lane, read by anybody.
#[derive(Debug, Default)]
pub struct Times {
    buckets: [Cell; TIME_BUCKETS],
    sum_ns: Cell,
}

impl Times {
    /// Records that `count` things took `took` each.
    pub fn record(&self, took: Duration, count: u64) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - (ns / 1000).leading_zeros()) as usize;
        self.buckets[bucket.min(TIME_BUCKETS - 1)].add(count);
        self.sum_ns.add(ns.saturating_mul(count));
    }

    /// The counts of the buckets, and the sum of everything in seconds.
    pub fn read(&self) -> ([u64; TIME_BUCKETS], f64) {
        (std::array::from_fn(|n| self.buckets[n].get()), self.sum_ns.get() as f64 / 1e9)
    }
}

macro_rules! cells {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $field:ident,)* }) => {
        $(#[$about])*
        #[derive(Debug, Default)]
        pub struct $name { $($(#[$doc])* pub $field: Cell,)* }

        impl $name {
            /// Every number with its name, for exposition.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field.get()),)*].into_iter()
            }
        }
    };
}

cells! {
    /// What an engine counts: its traffic, and every state that is normal but rare.
    EngineStats {
        /// Connections accepted.
        accepts,
        /// Connections accepted and dealt to another lane, which counts them as accepted.
        deals,
        /// Our own connects that succeeded.
        connects,
        /// Connections that are over, for whatever reason.
        ends,
        /// Of those, broken by the peer or the network.
        resets,
        /// Our own connects that failed.
        connect_failures,
        /// Bytes received.
        received_bytes,
        /// Bytes sent.
        sent_bytes,
        /// Turns of the loop.
        turns,
        /// Times that accepting paused because descriptors ran out (EMFILE, ENFILE).
        descriptor_pauses,
        /// Times that accepting paused because the lane held as many connections as it may.
        connection_pauses,
        /// Times that a connection was not read because its unsent output was over the limit.
        backpressure_pauses,
        /// Sends that took less than all.
        short_sends,
        /// uring: receives that had to be armed again (no F_MORE).
        receive_rearms,
        /// uring: receives that ended because the buffer ring was empty (ENOBUFS).
        buffer_shortages,
        /// uring: submissions that did not fit in the queue at first.
        submission_queue_fulls,
        /// uring: turns that found the completion queue overflown.
        completion_queue_overflows,
        /// Completions that arrived for a connection that was over.
        late_completions,
        /// Waits that began with a spin (`--busy-poll`).
        spins,
        /// Of those, waits that the spin ended.
        spin_hits,
        /// Nanoseconds spent in spins and in watching for deadlines: time on the CPU that is not work.
        spin_nanoseconds,
    }
}

impl EngineStats {
    /// Connections open now.
    pub fn open(&self) -> u64 {
        (self.accepts.get() + self.connects.get()).saturating_sub(self.ends.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_land_in_the_bucket_below_their_power_of_two() {
        let times = Times::default();
        for (ns, bucket) in [(0, 0), (999, 0), (1000, 1), (1999, 1), (2000, 2), (u64::MAX, TIME_BUCKETS - 1)]
        {
            let before = times.read().0[bucket];
            times.record(Duration::from_nanos(ns), 3);
            assert_eq!(times.read().0[bucket], before + 3, "{ns}");
        }
    }
}
