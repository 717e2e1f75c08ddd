//! One server's state: what it is, since when, why, and what that gives it. What moves it is in `moves.rs`.
//!
//! In: nothing but the time. Out: a share of its weight, a limit, a deadline. Never: a look at other servers; what depends on those is
//! `pool`'s.

use super::moves::Rules;
use super::slow_start::SlowStart;
use crate::control::{Admin, State};
use net::time::Time;
use std::time::Duration;

/// One server's health.
#[derive(Clone, Debug)]
pub struct Health {
    pub(super) stage: Stage,
    pub(super) admin: Admin,
    pub(super) since: Time,
    pub(super) why: String,
    /// Of checks, since the state began (on probation also: since a request was good).
    pub(super) run: Run,
    /// Ejections in a row; less by one for each `ejection` of time in `Up`.
    pub(super) ejections: u32,
    pub(super) failures: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stage {
    Up,
    Rising(SlowStart),
    Ejected { by: Cause, until: Time, latest: Time, look: Duration },
    Probation { successes: u32, stragglers: u32 },
    Down,
}

/// What ejected a server: only a connect is what a check tries too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Connect,
    Answers,
}

/// Checks in a row that say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    None,
    Good(u32),
    Bad(u32),
}

impl Run {
    pub(super) fn and(self, is_good: bool) -> Run {
        match (self, is_good) {
            (Run::Good(n), true) => Run::Good(n.saturating_add(1)),
            (Run::Bad(n), false) => Run::Bad(n.saturating_add(1)),
            (_, true) => Run::Good(1),
            (_, false) => Run::Bad(1),
        }
    }
}

impl Health {
    /// A server at the start of the process: it works until something says otherwise, so that a service starts without waiting.
    pub fn up(now: Time) -> Health {
        Health {
            stage: Stage::Up,
            admin: Admin::Ready,
            since: now,
            why: String::new(),
            run: Run::None,
            ejections: 0,
            failures: 0,
        }
    }

    /// A server that joins others which have work: it begins small, as one that comes back.
    pub fn added(rules: &Rules<'_>, now: Time) -> Health {
        let mut health = Health::up(now);
        health.rise("it was added", rules.recovery.slow_start, now);
        health
    }

    /// Its state.
    pub fn state(&self) -> State {
        match self.stage {
            Stage::Up => State::Up,
            Stage::Rising(_) => State::Rising,
            Stage::Ejected { .. } => State::Ejected,
            Stage::Probation { .. } => State::Probation,
            Stage::Down => State::Down,
        }
    }

    /// What the operator wants of it.
    pub fn admin(&self) -> Admin {
        self.admin
    }

    /// Since when it is in its state.
    pub fn since(&self) -> Time {
        self.since
    }

    /// Why it is in its state; empty for one that was never in doubt.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Times that it stopped working: from `Up` or `Rising` to anything else.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// When its ejection ends, as far as is known.
    pub fn ejected_until(&self) -> Option<Time> {
        match self.stage {
            Stage::Ejected { until, .. } => Some(until),
            _ => None,
        }
    }

    /// `Up` or `Rising`, whatever the operator wants.
    pub fn works(&self) -> bool {
        matches!(self.stage, Stage::Up | Stage::Rising(_))
    }

    /// Live traffic failed there and has not proved it since: it counts as ejected.
    pub fn is_out(&self) -> bool {
        matches!(self.stage, Stage::Ejected { .. } | Stage::Probation { .. })
    }

    /// Every outcome of a request is to be told.
    pub fn is_watched(&self) -> bool {
        matches!(self.stage, Stage::Probation { .. })
    }

    /// The last check said otherwise than its state, or traffic did: check it more often.
    pub fn is_in_doubt(&self) -> bool {
        match self.stage {
            Stage::Up | Stage::Rising(_) => matches!(self.run, Run::Bad(_)),
            Stage::Ejected { .. } | Stage::Probation { .. } => true,
            Stage::Down => matches!(self.run, Run::Good(_)),
        }
    }

    /// The part of its weight that its state gives it: 0 to 1. On probation it is all: its limit keeps it small, and a small weight would
    /// leave it without the requests that could prove it.
    pub fn share(&self, now: Time) -> f64 {
        match self.stage {
            Stage::Up | Stage::Probation { .. } => 1.0,
            Stage::Rising(slow) => slow.share(now),
            Stage::Ejected { .. } | Stage::Down => 0.0,
        }
    }

    /// How many requests it may work on, where it may work on `maxconn` when it is up. A tenth of any number is any number.
    pub fn limit(&self, maxconn: Option<u32>, now: Time) -> u32 {
        let all = maxconn.unwrap_or(u32::MAX);
        match self.stage {
            Stage::Probation { stragglers, .. } => stragglers.saturating_add(1).min(all),
            Stage::Rising(slow) => maxconn.map_or(all, |all| slow.limit(all, now)),
            Stage::Up | Stage::Ejected { .. } | Stage::Down => all,
        }
    }

    /// When [`Health::on_time`] has something to do.
    pub fn next_deadline(&self, now: Time) -> Option<Time> {
        match self.stage {
            Stage::Ejected { until, .. } => Some(until),
            Stage::Rising(slow) => Some(slow.next_step(now)),
            Stage::Up | Stage::Probation { .. } | Stage::Down => None,
        }
    }
}
