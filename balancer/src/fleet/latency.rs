//! How long answers take: a histogram that one lane writes and anybody reads.
//!
//! In: durations. Out: counts in buckets that are an eighth of their octave wide, hence quantiles within 6 %. Its octaves are those of
//! [`net::stats::Times`], so that coarser exports are exact. Never: a lock or an allocation when recording.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// Buckets of an octave.
pub const STEPS: usize = 8;
/// Octaves: up to 1 µs, 2, 4 ... 134 s; the last takes the rest.
pub const OCTAVES: usize = 28;
/// Buckets in all.
pub const BUCKETS: usize = STEPS * OCTAVES;

/// The buckets, written by one lane. Counts wrap at 2^32; readers take differences.
#[derive(Debug)]
pub struct Latencies([AtomicU32; BUCKETS]);

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies(std::array::from_fn(|_| AtomicU32::new(0)))
    }
}

impl Latencies {
    /// Counts one; for the owner.
    pub fn record(&self, took: Duration) {
        let bucket = &self.0[bucket_of(took)];
        bucket.store(bucket.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Adds the counts to `sum`; for anybody.
    pub fn add_to(&self, sum: &mut Counts) {
        for (sum, bucket) in sum.0.iter_mut().zip(&self.0) {
            *sum = sum.wrapping_add(bucket.load(Relaxed));
        }
    }
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts(pub [u32; BUCKETS]);

impl Default for Counts {
    fn default() -> Counts {
        Counts([0; BUCKETS])
    }
}

impl Counts {
    /// What came since `earlier`.
    pub fn since(&self, earlier: &Counts) -> Counts {
        Counts(std::array::from_fn(|n| self.0[n].wrapping_sub(earlier.0[n])))
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|&count| u64::from(count)).sum()
    }

    /// The least time that at least this share (0 to 1) took no longer than, as the upper end of its bucket; `None` without any.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let total = self.total();
        let rank = ((total as f64 * share).ceil() as u64).max(1);
        let mut below = 0;
        (0..BUCKETS).filter(|_| total > 0).find_map(|bucket| {
            below += u64::from(self.0[bucket]);
            (below >= rank).then(|| upper_end(bucket))
        })
    }
}

/// Where `took` belongs.
fn bucket_of(took: Duration) -> usize {
    // In eighths of a microsecond: the first octave has its steps too.
    let eighths = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) / 125;
    if eighths < STEPS as u64 {
        return eighths as usize;
    }
    let octave = eighths.ilog2() as usize - STEPS.ilog2() as usize;
    let step = (eighths >> octave) as usize - STEPS;
    (STEPS * (octave + 1) + step).min(BUCKETS - 1)
}

/// The end of a bucket, which belongs to the next.
pub fn upper_end(bucket: usize) -> Duration {
    let (octave, step) = (bucket / STEPS, bucket % STEPS);
    let eighths = match octave {
        0 => step as u64 + 1,
        _ => ((STEPS + step + 1) as u64) << (octave - 1),
    };
    Duration::from_nanos(eighths * 125)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_in_its_bucket() {
        for ns in (0..64).map(|bit| 1u64 << bit).flat_map(|ns| [ns - 1, ns, ns + ns / 3]) {
            let bucket = bucket_of(Duration::from_nanos(ns));
            assert!(bucket == BUCKETS - 1 || Duration::from_nanos(ns) < upper_end(bucket), "{ns}");
            assert!(bucket == 0 || Duration::from_nanos(ns) >= upper_end(bucket - 1), "{ns}");
        }
    }

    #[test]
    fn octaves_end_where_times_doubles() {
        assert_eq!(upper_end(STEPS - 1), Duration::from_micros(1));
        assert_eq!(upper_end(2 * STEPS - 1), Duration::from_micros(2));
        assert_eq!(upper_end(11 * STEPS - 1), Duration::from_micros(1024));
    }

    #[test]
    fn a_quantile_is_within_a_bucket_of_the_truth() {
        let latencies = Latencies::default();
        (1..=1000).for_each(|us| latencies.record(Duration::from_micros(us)));
        let mut counts = Counts::default();
        latencies.add_to(&mut counts);
        let p99 = counts.quantile(0.99).unwrap().as_micros();
        assert!((990..=1056).contains(&p99), "{p99}");
        assert_eq!(counts.since(&counts.clone()).quantile(0.5), None);
    }
}
