//! The two clocks that a program sees, both read by its engine: no program reads one itself.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on a monotonic clock, in nanoseconds since an origin that the engine chose.
///
/// Plain data, so that the simulator can make time pass as it likes. Good for 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// Later than anything that happens.
    pub const NEVER: Time = Time(u64::MAX);

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, wait: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Time> for Time {
    type Output = Duration;

    fn sub(self, earlier: Time) -> Duration {
        self.since(earlier)
    }
}

/// Seconds since 1970-01-01 UTC: what a `Date` field is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixSeconds(pub u64);

/// The real clocks, for engines that run on the kernel.
#[cfg(feature = "os")]
pub(crate) mod real {
    use super::{Time, UnixSeconds};
    use rustix::time::{ClockId, clock_gettime};

    /// CLOCK_MONOTONIC: all lanes of a process see the same origin.
    pub(crate) fn now() -> Time {
        let t = clock_gettime(ClockId::Monotonic);
        Time(t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64)
    }

    /// CLOCK_REALTIME_COARSE: a tick old at most, and several times cheaper; a `Date` needs no more.
    pub(crate) fn wall() -> UnixSeconds {
        UnixSeconds(clock_gettime(ClockId::RealtimeCoarse).tv_sec as u64)
    }
}
