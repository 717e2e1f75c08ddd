//! When each server is checked next.
//!
//! In: which servers want checks, and what their last ones said. Out: the servers whose time has come, those that wait longest first.
//! Never: two checks of one server at a time.

use super::judge::Place;
use super::limits::CHECK_PAUSE_MIN;
use crate::config::Check;
use net::time::Time;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::BTreeSet;
use std::time::Duration;

/// What is planned for one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// No check.
    Off,
    /// One at this time.
    At(Time),
    /// One is under way.
    Running,
}

/// The plans for all servers.
pub(super) struct Plans {
    each: Vec<Vec<Plan>>,
    due: BTreeSet<(Time, Place)>,
    chance: Xoshiro256PlusPlus,
}

impl Plans {
    /// For no server yet.
    pub(super) fn new(seed: u64) -> Plans {
        Plans { each: Vec::new(), due: BTreeSet::new(), chance: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }

    /// Begins anew, for pools of so many servers: nothing is planned.
    pub(super) fn clear(&mut self, sizes: impl Iterator<Item = usize>) {
        self.due.clear();
        self.each = sizes.map(|servers| vec![Plan::Off; servers]).collect();
    }

    pub(super) fn of(&self, place: Place) -> Plan {
        self.each.get(place.pool).and_then(|pool| pool.get(place.server)).copied().unwrap_or(Plan::Off)
    }

    pub(super) fn set(&mut self, place: Place, plan: Plan) {
        let Some(old) = self.each.get_mut(place.pool).and_then(|pool| pool.get_mut(place.server)) else {
            return;
        };
        if let Plan::At(at) = std::mem::replace(old, plan) {
            self.due.remove(&(at, place));
        }
        if let Plan::At(at) = plan {
            self.due.insert((at, place));
        }
    }

    /// Begins to check a server, or ends it; a check that is under way is waited for.
    pub(super) fn want(&mut self, place: Place, check: Option<&Check>, now: Time) {
        match (self.of(place), check) {
            (Plan::Running, _) => {}
            (Plan::Off, Some(check)) => {
                let first = now + self.spread(check);
                self.set(place, Plan::At(first));
            }
            (Plan::At(at), Some(check)) => self.set(place, Plan::At(at.min(now + check.interval))),
            (Plan::Off | Plan::At(_), None) => self.set(place, Plan::Off),
        }
    }

    /// A check that began at `began` is over: plans the next one.
    pub(super) fn follow(&mut self, place: Place, check: Option<&Check>, fast: bool, began: Time, now: Time) {
        let plan = check.map_or(Plan::Off, |check| {
            let interval = if fast { check.fast_interval } else { check.interval };
            Plan::At((began + self.jittered(interval, check.jitter)).max(now + CHECK_PAUSE_MIN))
        });
        self.set(place, plan);
    }

    /// There is doubt about a server: its next check is not to wait longer than doubt does.
    pub(super) fn hasten(&mut self, place: Place, check: Option<&Check>, now: Time) {
        if let (Plan::At(at), Some(check)) = (self.of(place), check) {
            let soon = now + self.jittered(check.fast_interval, check.jitter);
            self.set(place, Plan::At(at.min(soon)));
        }
    }

    /// The server that waits longest for a check whose time has come.
    pub(super) fn first_due(&self, now: Time) -> Option<Place> {
        self.due.first().filter(|(at, _)| *at <= now).map(|(_, place)| *place)
    }

    /// When the next check is due.
    pub(super) fn next(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The first checks of many servers come at once, and yet not in the same instant.
    fn spread(&mut self, check: &Check) -> Duration {
        part(check.interval, check.jitter * self.chance.random_range(0.0..1.0))
    }

    fn jittered(&mut self, interval: Duration, jitter: f64) -> Duration {
        part(interval, 1.0 + jitter * self.chance.random_range(-1.0..1.0))
    }
}

/// An interval times a number; as it is if that makes no interval.
fn part(interval: Duration, times: f64) -> Duration {
    Duration::try_from_secs_f64(interval.as_secs_f64() * times).unwrap_or(interval)
}
