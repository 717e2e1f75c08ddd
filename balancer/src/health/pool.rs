//! A pool's servers together: how many may be ejected, and what is done when too few work.
//!
//! In: events about one server each. Out: what changed, and an [`Order`] for each server. Never: the only server that works ejected, or
//! more than the configured share of them.

use super::moves::{Checked, Heard, Rules};
use super::server::Health;
use crate::control::{Admin, State};
use crate::pick::WEIGHT_ONE;
use net::time::Time;

/// The health of a pool's servers, in the order of the pool.
#[derive(Debug)]
pub struct Pool {
    members: Vec<Member>,
    is_failing_open: bool,
}

#[derive(Debug)]
struct Member {
    health: Health,
    /// Configured, or by command: 0 to 256.
    weight: u32,
    maxconn: Option<u32>,
}

/// A server's state became another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its index in the pool.
    pub server: usize,
    /// What it was. What it is, and why, says its [`Health`].
    pub from: State,
}

/// What a server's [`Load`](crate::pick::Load) is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// In units of 1/[`WEIGHT_ONE`]; 0: it gets nothing new.
    pub weight: u32,
    /// Requests at a time.
    pub limit: u32,
    /// Every outcome is to be told.
    pub is_watched: bool,
}

impl Pool {
    /// A pool without servers.
    pub fn new() -> Pool {
        Pool { members: Vec::new(), is_failing_open: false }
    }

    /// Adds the next server, with its weight of 0 to 256.
    pub fn push(&mut self, health: Health, weight: u32, maxconn: Option<u32>) {
        self.members.push(Member { health, weight, maxconn });
    }

    /// Takes what is known of a server out, to push it into the pool that replaces this one; its index is taken by nobody.
    pub fn take(&mut self, server: usize, now: Time) -> Option<Health> {
        Some(std::mem::replace(&mut self.members.get_mut(server)?.health, Health::up(now)))
    }

    /// The servers' health.
    pub fn servers(&self) -> impl ExactSizeIterator<Item = &Health> {
        self.members.iter().map(|member| &member.health)
    }

    /// One server's health.
    pub fn server(&self, server: usize) -> Option<&Health> {
        Some(&self.members.get(server)?.health)
    }

    /// A server's weight, of the configuration or by command.
    pub fn weight(&self, server: usize) -> u32 {
        self.members.get(server).map_or(0, |member| member.weight)
    }

    /// Too few servers work, so that all are used.
    pub fn is_failing_open(&self) -> bool {
        self.is_failing_open
    }

    /// When [`Pool::on_time`] has something to do.
    pub fn next_deadline(&self, now: Time) -> Option<Time> {
        self.servers().filter_map(|health| health.next_deadline(now)).min()
    }

    /// A check of a server ended.
    pub fn on_check(
        &mut self,
        server: usize,
        check: Checked<'_>,
        rules: &Rules<'_>,
        now: Time,
    ) -> Option<Change> {
        let from = self.members.get_mut(server)?.health.on_check(check, rules, now);
        self.changed(server, from, rules, now)
    }

    /// A lane told of an outcome at a server.
    pub fn on_outcome(
        &mut self,
        server: usize,
        heard: Heard,
        rules: &Rules<'_>,
        now: Time,
    ) -> Option<Change> {
        let may_be_ejected = self.may_be_ejected(server, rules);
        let health = &mut self.members.get_mut(server)?.health;
        let from = health.on_outcome(heard, may_be_ejected, rules, now);
        self.changed(server, from, rules, now)
    }

    /// Time has passed: at or after [`Pool::next_deadline`]. `in_flight` says how many requests a server has now.
    pub fn on_time(&mut self, in_flight: impl Fn(usize) -> u32, rules: &Rules<'_>, now: Time) -> Vec<Change> {
        let due = |pool: &mut Pool, server: usize| {
            let from = pool.members[server].health.on_time(in_flight(server), rules, now);
            pool.changed(server, from, rules, now)
        };
        (0..self.members.len()).filter_map(|server| due(self, server)).collect()
    }

    /// The operator wants something of a server.
    pub fn set_admin(&mut self, server: usize, admin: Admin, rules: &Rules<'_>, now: Time) -> Option<Change> {
        let from = self.members.get_mut(server)?.health.set_admin(admin, rules, now);
        self.changed(server, from, rules, now)
    }

    /// The operator, or the configuration, gives a server another weight: 0 to 256.
    pub fn set_weight(&mut self, server: usize, weight: u32, rules: &Rules<'_>) {
        if let Some(member) = self.members.get_mut(server) {
            member.weight = weight;
        }
        self.judge(rules);
    }

    /// The configuration changed: to be called when all servers are in.
    pub fn on_rules(&mut self, rules: &Rules<'_>, now: Time) -> Vec<Change> {
        let each = |pool: &mut Pool, server: usize| {
            let from = pool.members[server].health.on_rules(rules, now);
            pool.changed(server, from, rules, now)
        };
        let changes = (0..self.members.len()).filter_map(|server| each(self, server)).collect();
        self.judge(rules);
        changes
    }

    /// What each server is to get now. `factors`: what `adaptive` makes of each weight; a server without one keeps its weight.
    pub fn orders<'a>(&'a self, factors: &'a [f64], now: Time) -> impl Iterator<Item = Order> + 'a {
        self.members.iter().enumerate().map(move |(server, member)| {
            let factor = factors.get(server).copied().unwrap_or(1.0);
            member.order(factor, self.is_failing_open, now)
        })
    }

    /// One that works, at least, must be left; and no more than the configured share may be out.
    fn may_be_ejected(&self, server: usize, rules: &Rules<'_>) -> bool {
        let others = || self.members.iter().enumerate().filter(|(n, _)| *n != server).map(|(_, other)| other);
        let out = others().filter(|other| other.health.is_out()).count();
        let percent = rules.passive.ejected_percent_max as usize;
        out < (self.members.len() * percent / 100).max(1) && others().any(Member::has_work)
    }

    /// Looks at the pool again after a server may have changed.
    fn changed(
        &mut self,
        server: usize,
        from: Option<State>,
        rules: &Rules<'_>,
        now: Time,
    ) -> Option<Change> {
        // It has had all of its work until now, so that nothing is new to it.
        let skipped =
            self.is_failing_open.then(|| self.members[server].health.skip_slow_start(now)).flatten();
        self.judge(rules);
        from.or(skipped).map(|from| Change { server, from })
    }

    /// Fails open, or no longer. A share that is reached exactly is enough. With none that works it does not: then checks and traffic
    /// agree, and the answer is 503 at once.
    fn judge(&mut self, rules: &Rules<'_>) {
        let ready = self.members.iter().filter(|member| member.is_wanted()).count();
        let working = self.members.iter().filter(|member| member.has_work()).count();
        self.is_failing_open =
            working > 0 && working * 100 < rules.recovery.fail_open_percent as usize * ready;
    }
}

impl Default for Pool {
    fn default() -> Pool {
        Pool::new()
    }
}

impl Member {
    /// The operator wants it to work.
    fn is_wanted(&self) -> bool {
        self.health.admin() == Admin::Ready && self.weight > 0
    }

    fn has_work(&self) -> bool {
        self.is_wanted() && self.health.works()
    }

    fn order(&self, factor: f64, is_failing_open: bool, now: Time) -> Order {
        let (share, limit) = match is_failing_open {
            true => (1.0, self.maxconn.unwrap_or(u32::MAX)),
            false => (self.health.share(now), self.health.limit(self.maxconn, now)),
        };
        let weight = if self.is_wanted() {
            f64::from(self.weight) * f64::from(WEIGHT_ONE) * share * factor
        } else {
            0.0
        };
        Order {
            // Whoever has work has a little at least: a weight that is rounded away would look like one taken away.
            weight: if weight > 0.0 { (weight.round() as u32).max(1) } else { 0 },
            limit,
            is_watched: self.health.is_watched(),
        }
    }
}
