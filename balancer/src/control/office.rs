//! What operators and signals ask for is done here; what they see is gathered here.
//!
//! In: commands, mail, the ends of checks, the time. Out: the judge's and the checks' work, in the right order, and what operators see.
//! Never: half of a command.

use super::checks::{Checks, Verdict};
use super::judge::{Judge, Place};
use super::plan::Plan;
use super::view::{Admin, Command, ServerView, View};
use super::{Load, Moment, reload};
use crate::fleet::{Fleet, Outcome, Server};
use crate::health::Health;
use crate::proxy;
use net::engine::Io;
use net::mailbox::Mailer;
use net::time::Time;
use std::sync::Arc;
use std::time::Duration;

/// The largest weight.
const WEIGHT_MAX: u32 = 256;

/// All but operators' connections and their desk.
pub(super) struct Office {
    pub(super) judge: Judge,
    pub(super) checks: Checks,
    load: Load,
    started: Time,
    is_draining: bool,
    reload_error: Option<String>,
}

/// Everything as it is at a moment, to be looked at while it is changed.
pub(super) struct Seen {
    fleet: Arc<Fleet>,
    servers: Vec<Vec<ServerView>>,
    is_failing_open: Vec<bool>,
    at: Moment,
    started: Time,
    is_draining: bool,
    reload_error: Option<String>,
}

impl Seen {
    pub(super) fn view(&self) -> View<'_> {
        View {
            fleet: &self.fleet,
            servers: &self.servers,
            is_failing_open: &self.is_failing_open,
            now: self.at.now,
            wall: self.at.wall,
            started: self.started,
            is_draining: self.is_draining,
            reload_error: self.reload_error.as_deref(),
        }
    }
}

impl Office {
    pub(super) fn new(fleet: Arc<Fleet>, lanes: Vec<Mailer<proxy::Mail>>, load: Load, seed: u64) -> Office {
        Office {
            judge: Judge::new(fleet, lanes),
            checks: Checks::new(seed),
            load,
            started: Time(0),
            is_draining: false,
            reload_error: None,
        }
    }

    /// The process starts.
    pub(super) fn begin(&mut self, at: Moment) {
        self.started = at.now;
        self.judge.begin(at);
        self.plan_checks(None, at);
    }

    /// Begins the checks that are due.
    pub(super) fn start_checks(&mut self, io: &mut Io) {
        self.checks.start(self.judge.fleet(), io);
    }

    /// When something is due.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        [self.judge.next_deadline(), self.checks.next_deadline()].into_iter().flatten().min()
    }

    /// Time has passed.
    pub(super) fn on_time(&mut self, at: Moment) {
        self.judge.on_time(at);
    }

    /// A check ended: what it says goes to the judge, and the next one is planned.
    pub(super) fn on_verdict(&mut self, verdict: Verdict, at: Moment) {
        let Some(place) = self.judge.find(&verdict.server) else { return };
        if let Some(check) = verdict.check {
            self.judge.on_check(place, check, at);
        }
        let is_fast = self.judge.health(place).is_some_and(Health::is_in_doubt);
        let check = self.judge.check_of(place);
        self.checks.plans.follow(place, check, is_fast, verdict.began, at.now);
    }

    /// A lane told of an outcome; of a server that is gone it says nothing.
    pub(super) fn on_told(&mut self, server: &Arc<Server>, outcome: Outcome, took: Duration, at: Moment) {
        let Some(place) = self.judge.find(server) else { return };
        self.judge.on_outcome(place, outcome, took, at);
        if !matches!(outcome, Outcome::Answered(0..500)) {
            self.checks.plans.hasten(place, self.judge.check_of(place), at.now);
        }
    }

    /// The process is ending.
    pub(super) fn drain(&mut self) {
        self.is_draining = true;
    }

    /// Does what an operator asks for. Returns what was done, in words.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn obey(&mut self, command: Command, at: Moment) -> Result<String, String> {
        match command {
            Command::Set { pool, server, admin } => {
                let place = self.judge.find_by_name(&pool, &server)?;
                self.set_admin(place, admin, at);
                Ok(format!("{pool}/{server} is set to {}", admin.name()))
            }
            Command::Weigh { weight: Some(weight), .. } if weight > WEIGHT_MAX => {
                Err(format!("{weight} is no weight: 0 to {WEIGHT_MAX} are"))
            }
            Command::Weigh { pool, server, weight } => {
                let place = self.judge.find_by_name(&pool, &server)?;
                let now = self.judge.weigh(place, weight, at);
                let by = if weight.is_some() { "" } else { ", as configured" };
                Ok(format!("{pool}/{server} has weight {now}{by}"))
            }
            Command::Reload => self.reload(at),
        }
    }

    fn set_admin(&mut self, place: Place, admin: Admin, at: Moment) {
        self.judge.set_admin(place, admin, at);
        self.checks.plans.want(place, self.judge.check_of(place), at.now);
    }

    /// Reads the configuration again, and works by it if it is good. Returns what changed, in words.
    ///
    /// # Errors
    /// What is wrong with it; the one in force stays.
    pub(super) fn reload(&mut self, at: Moment) -> Result<String, String> {
        let read = (self.load)().and_then(|config| reload::allowed(&self.judge.fleet().config, config));
        let config = read.inspect_err(|error| {
            tracing::error!(error, "the configuration is refused, and the one in force stays");
            self.reload_error = Some(error.clone());
        })?;
        let old = self.judge.fleet().clone();
        let new = Arc::new(old.next(config));
        let summary = reload::summary(&old, &new);
        tracing::info!(generation = new.generation, summary, "the configuration was read again");
        self.reload_error = None;
        self.judge.replace(new, at);
        self.plan_checks(Some(&old), at);
        Ok(summary)
    }

    /// Everything as it is now.
    pub(super) fn see(&self, at: Moment) -> Seen {
        Seen {
            fleet: self.judge.fleet().clone(),
            servers: self.judge.view(),
            is_failing_open: self.judge.failing_open(),
            at,
            started: self.started,
            is_draining: self.is_draining,
            reload_error: self.reload_error.clone(),
        }
    }

    /// Plans checks for all servers, for those that were in the `old` fleet as planned before.
    fn plan_checks(&mut self, old: Option<&Fleet>, at: Moment) {
        let fleet = self.judge.fleet().clone();
        let plan_before = |server: &Arc<Server>| {
            let (pool, was) = old?.pools.iter().enumerate().find(|(_, was)| was.name == server.pool)?;
            let server = was.servers.iter().position(|other| Arc::ptr_eq(server, other))?;
            Some(self.checks.plans.of(Place { pool, server }))
        };
        let servers = fleet.pools.iter().map(|pool| pool.servers.iter().map(plan_before).collect());
        let before: Vec<Vec<Option<Plan>>> = servers.collect();
        self.checks.plans.clear(before.iter().map(Vec::len));
        for (pool, plans) in before.into_iter().enumerate() {
            for (server, plan) in plans.into_iter().enumerate() {
                let place = Place { pool, server };
                plan.into_iter().for_each(|plan| self.checks.plans.set(place, plan));
                self.checks.plans.want(place, self.judge.check_of(place), at.now);
            }
        }
    }
}
