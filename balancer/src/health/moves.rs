//! What moves a server from state to state.
//!
//! ```text
//!            `fall` bad checks                    `rise` good checks
//!   Up ───────────────────────────▶ Down ──────────────────────────────▶ Rising ──▶ Up
//!    │  a run of failures              ▲ a bad check                       ▲  slow start over
//!    └──────────────▶ Ejected ─────────┤                                   │
//!                       ▲ │ time over  │                                   │
//!           one failure │ ▼            │                                   │
//!                     Probation ───────┴───────────────────────────────────┘ successes in a row
//! ```
//!
//! `Rising` falls as `Up` does. In: one event at a time, with the time. Out: the state that it was in, if that changed.

use super::server::{Cause, Health, Run, Stage};
use super::slow_start::SlowStart;
use crate::config::{self, Check, Passive, Recovery};
use crate::control::{Admin, State};
use crate::fleet::Outcome;
use net::time::Time;
use std::time::Duration;

/// An ejection that waits for requests from before it looks again after this part of its length.
const LOOKS: u32 = 8;
/// And no more often than this, however short the ejection: each look is a turn of `control`.
const LOOK_MIN: Duration = Duration::from_millis(10);

/// What a pool's configuration says about health.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Active checks, if there are any.
    pub check: Option<&'a Check>,
    /// What live traffic tells.
    pub passive: &'a Passive,
    /// What is done for a server that comes back.
    pub recovery: &'a Recovery,
}

impl<'a> Rules<'a> {
    /// Those of a pool.
    pub fn of(pool: &'a config::Pool) -> Rules<'a> {
        Rules { check: pool.check.as_ref(), passive: &pool.passive, recovery: &pool.recovery }
    }
}

/// What a check found.
#[derive(Clone, Copy, Debug)]
pub struct Checked<'a> {
    /// Was it as expected?
    pub is_good: bool,
    /// In words: `status 503`, `connection refused`.
    pub said: &'a str,
}

/// What a lane told of.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// How a request ended.
    pub outcome: Outcome,
    /// How long it took: whether it began in the state that the server is in now.
    pub took: Duration,
    /// Requests at that server now.
    pub in_flight: u32,
}

impl Health {
    /// A check ended. Returns the state it was in, if that changed.
    pub fn on_check(&mut self, check: Checked<'_>, rules: &Rules<'_>, now: Time) -> Option<State> {
        let (Some(numbers), true) = (rules.check, self.admin != Admin::Maint) else { return None };
        self.run = self.run.and(check.is_good);
        let said = check.said;
        match (self.stage, self.run) {
            (Stage::Up | Stage::Rising(_), Run::Bad(n)) if n >= numbers.fall => {
                self.fall(format!("{} failed: {said}", in_a_row(n, "check")), rules, now)
            }
            (Stage::Ejected { .. } | Stage::Probation { .. }, Run::Bad(_)) => {
                self.fall(format!("a check failed while it was {}: {said}", self.state().name()), rules, now)
            }
            // A check of a server that answers with errors is answered too: that proves nothing.
            (Stage::Ejected { by: Cause::Connect, .. }, Run::Good(n)) if n >= numbers.rise => {
                self.prove(0, format!("{} found it there: {said}", in_a_row(n, "check")), rules, now)
            }
            // Where no request comes, checks have to do; between requests they are no proof.
            (Stage::Probation { .. }, Run::Good(n)) if n >= rules.recovery.probation => {
                let why = format!("{} passed, and no request came: {said}", in_a_row(n, "check"));
                self.rise(&why, rules.recovery.slow_start, now)
            }
            (Stage::Down, Run::Good(n)) if n >= numbers.rise => {
                self.rise(&format!("{} passed: {said}", in_a_row(n, "check")), rules.recovery.slow_start, now)
            }
            _ => None,
        }
    }

    /// A lane told of an outcome: the last of a run, or any of a server on probation. Returns the state it was in, if that changed.
    pub fn on_outcome(
        &mut self,
        heard: Heard,
        may_be_ejected: bool,
        rules: &Rules<'_>,
        now: Time,
    ) -> Option<State> {
        let Heard { outcome, took, in_flight } = heard;
        // One that the operator takes out is being shut down perhaps: what fails there says nothing.
        if self.admin != Admin::Ready {
            return None;
        }
        let passive = rules.passive;
        let is_error = matches!(outcome, Outcome::Answered(500..=599));
        let is_failure = !matches!(outcome, Outcome::Answered(_));
        match &mut self.stage {
            Stage::Up | Stage::Rising(_) => {
                let length = if is_failure { passive.failures } else { passive.errors_5xx };
                let counts = (is_failure || is_error) && length > 0;
                let why = || format!("{} failed: {}", in_a_row(length, "request"), name(outcome));
                (counts && may_be_ejected)
                    .then(|| self.eject(outcome, why(), in_flight, rules, now))
                    .flatten()
            }
            Stage::Probation { stragglers, .. } => {
                *stragglers = in_flight.min(*stragglers);
                // A request from before shows how the server was.
                if took > now.since(self.since) {
                    return None;
                }
                if is_failure || (is_error && passive.errors_5xx > 0) {
                    let why = format!("a request on probation failed: {}", name(outcome));
                    self.eject(outcome, why, in_flight, rules, now)
                } else {
                    self.succeed(rules, now)
                }
            }
            Stage::Ejected { .. } | Stage::Down => None,
        }
    }

    /// Time has passed. Returns the state it was in, if that changed.
    pub fn on_time(&mut self, in_flight: u32, rules: &Rules<'_>, now: Time) -> Option<State> {
        match &mut self.stage {
            Stage::Ejected { until, latest, look, .. } if now >= *until => {
                // The end of a request from before the ejection would count as one of the probation.
                if in_flight > 0 && now < *latest {
                    *until = (now + *look).min(*latest);
                    return None;
                }
                self.prove(in_flight, "its ejection is over".to_owned(), rules, now)
            }
            Stage::Rising(slow) if slow.is_over(now) => {
                self.go(Stage::Up, "its slow start is over".to_owned(), now)
            }
            _ => None,
        }
    }

    /// The operator wants something of it. Returns the state it was in, if that changed.
    ///
    /// Leaving maintenance is a fresh start, small at first: nobody looked at it meanwhile.
    pub fn set_admin(&mut self, admin: Admin, rules: &Rules<'_>, now: Time) -> Option<State> {
        let before = std::mem::replace(&mut self.admin, admin);
        if before != Admin::Maint || admin == Admin::Maint {
            return None;
        }
        self.run = Run::None;
        if self.stage == Stage::Down && rules.check.is_some() {
            return None;
        }
        self.ejections = 0;
        self.rise("its maintenance is over", rules.recovery.slow_start, now)
    }

    /// The configuration changed. Returns the state it was in, if that changed.
    pub fn on_rules(&mut self, rules: &Rules<'_>, now: Time) -> Option<State> {
        let is_stranded = self.stage == Stage::Down && rules.check.is_none();
        is_stranded.then(|| self.prove(0, "its checks were switched off".to_owned(), rules, now)).flatten()
    }

    /// No slow start any more: it has had all of its share (the pool failed open).
    pub(super) fn skip_slow_start(&mut self, now: Time) -> Option<State> {
        let rises = matches!(self.stage, Stage::Rising(_));
        let why = || format!("{}; it had all of its work before", self.why);
        rises.then(why).and_then(|why| self.go(Stage::Up, why, now))
    }

    fn fall(&mut self, why: String, rules: &Rules<'_>, now: Time) -> Option<State> {
        self.forgive(rules.passive.ejection, now);
        self.go(Stage::Down, why, now)
    }

    fn eject(
        &mut self,
        outcome: Outcome,
        why: String,
        in_flight: u32,
        rules: &Rules<'_>,
        now: Time,
    ) -> Option<State> {
        let Passive { ejection, ejection_max, .. } = *rules.passive;
        self.forgive(ejection, now);
        self.ejections = self.ejections.saturating_add(1);
        let length = ejection.saturating_mul(self.ejections).min(ejection_max);
        let by = match outcome {
            Outcome::ConnectFailed | Outcome::ConnectTimeout => Cause::Connect,
            _ => Cause::Answers,
        };
        let until = now + length;
        // What is under way has this long again to end; tunnels stay for hours.
        let latest = if in_flight == 0 { until } else { until + length };
        self.go(Stage::Ejected { by, until, latest, look: (length / LOOKS).max(LOOK_MIN) }, why, now)
    }

    /// Time in `Up` makes earlier ejections count less.
    fn forgive(&mut self, ejection: Duration, now: Time) {
        if self.stage == Stage::Up {
            let spells = now.since(self.since).as_nanos() / ejection.as_nanos().max(1);
            self.ejections = self.ejections.saturating_sub(u32::try_from(spells).unwrap_or(u32::MAX));
        }
    }

    /// Single requests shall show whether it works.
    fn prove(&mut self, stragglers: u32, why: String, rules: &Rules<'_>, now: Time) -> Option<State> {
        if rules.recovery.probation == 0 {
            return self.rise(&why, rules.recovery.slow_start, now);
        }
        self.go(Stage::Probation { successes: 0, stragglers }, why, now)
    }

    /// One more request on probation was good.
    fn succeed(&mut self, rules: &Rules<'_>, now: Time) -> Option<State> {
        let Stage::Probation { successes, .. } = &mut self.stage else { return None };
        *successes += 1;
        let n = *successes;
        self.run = Run::None;
        let is_proved = n >= rules.recovery.probation;
        let why = || format!("{} succeeded on probation", in_a_row(n, "request"));
        is_proved.then(why).and_then(|why| self.rise(&why, rules.recovery.slow_start, now))
    }

    pub(super) fn rise(&mut self, why: &str, over: Duration, now: Time) -> Option<State> {
        let stage = if over.is_zero() { Stage::Up } else { Stage::Rising(SlowStart { began: now, over }) };
        self.go(stage, why.to_owned(), now)
    }

    fn go(&mut self, stage: Stage, why: String, now: Time) -> Option<State> {
        let (from, worked) = (self.state(), self.works());
        self.stage = stage;
        self.why = why;
        self.run = Run::None;
        self.failures += u64::from(worked && !self.works());
        if self.state() == from {
            return None;
        }
        self.since = now;
        Some(from)
    }
}

fn in_a_row(n: u32, what: &str) -> String {
    match n {
        0 | 1 => format!("a {what}"),
        n => format!("{n} {what}s in a row"),
    }
}

fn name(outcome: Outcome) -> String {
    match outcome {
        Outcome::Answered(status) => format!("status {status}"),
        Outcome::ConnectFailed => "could not connect".to_owned(),
        Outcome::ConnectTimeout => "the connection did not open in time".to_owned(),
        Outcome::Broke => "the connection broke".to_owned(),
        Outcome::TimedOut => "no answer in time".to_owned(),
        Outcome::Malformed => "no HTTP/1.1 came".to_owned(),
    }
}
