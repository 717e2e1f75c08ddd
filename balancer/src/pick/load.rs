//! One server's live load: the few numbers that a pick looks at, shared by all lanes.
//!
//! In: requests that begin and end, on any lane; weights and limits from `control`. Out: what `pick` compares. One cache line
//! for each server: lanes that pick read it, lanes that send write it. Never: a lock.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A weight of one, in the unit of [`Load::weight`]: slow start and `adaptive` need steps smaller than one.
pub const WEIGHT_ONE: u32 = 256;

/// The live numbers of one server. Health, slow start, draining and weights come to a pick as `weight` and `limit` alone.
#[derive(Debug)]
#[repr(align(64))]
pub struct Load {
    in_flight: AtomicU32,
    limit: AtomicU32,
    weight: AtomicU32,
    latency_us: AtomicU32,
    reported: AtomicU32,
}

impl Load {
    /// A server that may take `limit` requests at a time, with a weight in units of 1/[`WEIGHT_ONE`]; 0 takes nothing.
    pub fn new(weight: u32, limit: u32) -> Load {
        Load {
            in_flight: AtomicU32::new(0),
            limit: AtomicU32::new(limit),
            weight: AtomicU32::new(weight),
            latency_us: AtomicU32::new(0),
            reported: AtomicU32::new(0),
        }
    }

    /// Requests that it is working on, from all lanes.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Requests that it may work on at a time.
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Its weight now, in units of 1/[`WEIGHT_ONE`]; 0: it gets nothing new.
    pub fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }

    /// How long its answers take, a moving average in microseconds; 0: not known yet.
    pub fn latency_us(&self) -> u32 {
        self.latency_us.load(Ordering::Relaxed)
    }

    /// The load that it last reported itself (requests in flight on its side, from all of its balancers); `None`: never.
    pub fn reported(&self) -> Option<u32> {
        self.reported.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Takes a place for one request, if it may have one more. Exact over all lanes. Every `true` needs one [`Load::leave`].
    pub fn enter(&self) -> bool {
        let limit = self.limit();
        if limit == u32::MAX {
            self.in_flight.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        let more = |now: u32| (now < limit).then_some(now + 1);
        // SeqCst: against the flag by which a lane says that it waits for a place (see `fleet::Waiting`).
        self.in_flight.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
    }

    /// Gives the place back.
    pub fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    /// An answer took `took`. A failure is to be told with a time that is slow, or fast failures would look like speed.
    ///
    /// Two lanes at once may lose one of two samples: it is an average.
    pub fn took(&self, took: Duration) {
        let sample = u32::try_from(took.as_micros()).unwrap_or(u32::MAX).max(1);
        let old = self.latency_us();
        let new = if old == 0 { sample } else { old - old / LATENCY_MEMORY + sample / LATENCY_MEMORY };
        self.latency_us.store(new.max(1), Ordering::Relaxed);
    }

    /// It reported its own load.
    pub fn report(&self, load: u32) {
        self.reported.store(load.saturating_add(1), Ordering::Relaxed);
    }

    /// Forgets how it was: it comes back after a failure, perhaps as another process.
    pub fn forget(&self) {
        self.latency_us.store(0, Ordering::Relaxed);
        self.reported.store(0, Ordering::Relaxed);
    }

    /// Sets the weight; for `control`.
    pub fn set_weight(&self, weight: u32) {
        self.weight.store(weight, Ordering::Relaxed);
    }

    /// Sets the limit; for `control`. Those in flight over it stay.
    pub fn set_limit(&self, limit: u32) {
        self.limit.store(limit, Ordering::Relaxed);
    }
}

/// The average forgets one part in so many with each answer: it follows a change within a few dozen requests.
const LATENCY_MEMORY: u32 = 16;
