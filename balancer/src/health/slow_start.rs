//! The slow start of a server that comes back: what part of its work it has at a time.
//!
//! In: when it began, how long it takes. Out: parts of a weight and of a limit, growing in equal steps, and when the next one is due.

use net::time::Time;
use std::time::Duration;

/// Each step is a twentieth of the time, so that none is a jolt for server or queue.
const STEPS: u32 = 20;
/// It begins with a tenth, and each step adds as much again. Of [`PARTS`].
const FIRST_PARTS: u32 = 20;
const STEP_PARTS: u32 = 9;
const PARTS: u32 = FIRST_PARTS + STEPS * STEP_PARTS;

/// A slow start under way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SlowStart {
    pub(super) began: Time,
    /// Not zero.
    pub(super) over: Duration,
}

impl SlowStart {
    /// The part of a weight: a tenth to 1.
    pub(super) fn share(self, now: Time) -> f64 {
        f64::from(self.parts(now)) / f64::from(PARTS)
    }

    /// The same part of a limit, rounded up.
    pub(super) fn limit(self, all: u32, now: Time) -> u32 {
        let part = (u64::from(all) * u64::from(self.parts(now))).div_ceil(u64::from(PARTS));
        u32::try_from(part).unwrap_or(all)
    }

    pub(super) fn is_over(self, now: Time) -> bool {
        now >= self.began + self.over
    }

    /// When the next step is due: never at a time when it isn't yet.
    pub(super) fn next_step(self, now: Time) -> Time {
        let steps = u128::from((self.steps(now) + 1).min(STEPS));
        let ns = (self.over.as_nanos() * steps).div_ceil(u128::from(STEPS));
        self.began + Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
    }

    fn parts(self, now: Time) -> u32 {
        FIRST_PARTS + self.steps(now) * STEP_PARTS
    }

    /// Steps that are done.
    fn steps(self, now: Time) -> u32 {
        let done = now.since(self.began).as_nanos() * u128::from(STEPS) / self.over.as_nanos().max(1);
        u32::try_from(done).unwrap_or(STEPS).min(STEPS)
    }
}
