//! What the control knows of the servers, and what it makes of that.
//!
//! In: checks' findings, outcomes that lanes told of, operators' wishes, new fleets. Out: weights and limits in each server's
//! [`Load`](crate::pick::Load), what its [`Suspicion`](crate::fleet::Suspicion) is to tell, mails to lanes, a log line for each change.
//! The states themselves are `health`'s.

use super::Moment;
use super::adapting::Adapting;
use super::knowledge::Knowledge;
use super::outbox::Outbox;
use super::view::{Admin, CheckView, ServerView, State};
use crate::config;
use crate::fleet::{Fleet, Outcome, Pool, Server};
use crate::health::{Change, Checked, Health, Heard, Order, Rules};
use crate::pick::WEIGHT_ONE;
use crate::proxy;
use net::mailbox::Mailer;
use net::time::{Time, UnixSeconds};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Where a server is in the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) pool: usize,
    pub(super) server: usize,
}

/// What is known of all servers.
pub(super) struct Judge {
    pub(super) fleet: Arc<Fleet>,
    /// In the order of the fleet; none until the start.
    pub(super) pools: Vec<Judged>,
    /// By the names of pool and server: they outlive both.
    wishes: HashMap<(String, String), Wish>,
    pub(super) outbox: Outbox,
    /// Of the process that this one replaces; until the start.
    pub(super) remembered: Knowledge,
}

/// What is known of one pool.
pub(super) struct Judged {
    pub(super) health: crate::health::Pool,
    pub(super) notes: Vec<Note>,
    pub(super) adapting: Option<Adapting>,
    /// When time alone changes something.
    next: Option<Time>,
    /// As it was told last.
    pub(super) is_failing_open: bool,
}

/// What is known of one server beside its health.
#[derive(Clone, Debug)]
pub(super) struct Note {
    pub(super) since_wall: UnixSeconds,
    pub(super) check: Option<CheckView>,
    /// What its load says.
    pub(super) order: Option<Order>,
}

/// What the operator wants of a server.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wish {
    pub(super) admin: Admin,
    pub(super) weight: Option<u32>,
}

impl Judge {
    pub(super) fn new(fleet: Arc<Fleet>, lanes: Vec<Mailer<proxy::Mail>>) -> Judge {
        Judge {
            fleet,
            pools: Vec::new(),
            wishes: HashMap::new(),
            outbox: Outbox::new(lanes),
            remembered: Knowledge::default(),
        }
    }

    /// What is in force.
    pub(super) fn fleet(&self) -> &Arc<Fleet> {
        &self.fleet
    }

    /// Where a server is; `None`: no longer, or not of this fleet.
    pub(super) fn find(&self, server: &Arc<Server>) -> Option<Place> {
        let pool = self.fleet.pools.iter().position(|pool| pool.name == server.pool)?;
        let place = self.fleet.pools[pool].servers.iter().position(|other| Arc::ptr_eq(server, other))?;
        Some(Place { pool, server: place })
    }

    /// Where the server with these names is.
    ///
    /// # Errors
    /// Says what there is.
    pub(super) fn find_by_name(&self, pool: &str, server: &str) -> Result<Place, String> {
        let pools = &self.fleet.pools;
        let at = pools.iter().position(|other| other.name == pool);
        let at = at.ok_or_else(|| missing("pool", pool, "", pools.iter().map(|pool| &*pool.name)))?;
        let servers = &pools[at].servers;
        let place = servers.iter().position(|other| other.name == server);
        let names = || servers.iter().map(|server| &*server.name);
        let place = place.ok_or_else(|| missing("server", server, &format!(" in pool {pool:?}"), names()))?;
        Ok(Place { pool: at, server: place })
    }

    /// The health of a server.
    pub(super) fn health(&self, place: Place) -> Option<&Health> {
        self.pools.get(place.pool)?.health.server(place.server)
    }

    /// What its checks are; `None`: it has none now.
    pub(super) fn check_of(&self, place: Place) -> Option<&config::Check> {
        let check = self.fleet.config.pools.get(place.pool)?.check.as_ref()?;
        (self.health(place)?.admin() != Admin::Maint).then_some(check)
    }

    /// A check of a server ended.
    pub(super) fn on_check(&mut self, place: Place, check: CheckView, at: Moment) {
        let Place { pool, server } = place;
        let fleet = self.fleet.clone();
        let (Some(judged), Some(config)) = (self.pools.get_mut(pool), fleet.config.pools.get(pool)) else {
            return;
        };
        let checked = Checked { is_good: check.is_good, said: &check.said };
        let change = judged.health.on_check(server, checked, &Rules::of(config), at.now);
        if let Some(note) = judged.notes.get_mut(server) {
            note.check = Some(check);
        }
        // Most checks change nothing, and a pool may have many servers.
        if change.is_some() {
            self.apply(pool, change, at);
        }
    }

    /// A lane told of an outcome.
    pub(super) fn on_outcome(&mut self, place: Place, outcome: Outcome, took: Duration, at: Moment) {
        let Place { pool, server } = place;
        let fleet = self.fleet.clone();
        let in_flight = fleet.pools[pool].loads[server].in_flight();
        let rules = Rules::of(&fleet.config.pools[pool]);
        let Some(judged) = self.pools.get_mut(pool) else { return };
        let change = judged.health.on_outcome(server, Heard { outcome, took, in_flight }, &rules, at.now);
        self.apply(pool, change, at);
    }

    /// The operator wants something of a server.
    pub(super) fn set_admin(&mut self, place: Place, admin: Admin, at: Moment) {
        let Place { pool, server } = place;
        let fleet = self.fleet.clone();
        let shared = &fleet.pools[pool].servers[server];
        let before = std::mem::replace(&mut self.wish_mut(shared).admin, admin);
        tracing::info!(
            pool = shared.pool,
            server = shared.name,
            from = before.name(),
            to = admin.name(),
            "set by the operator"
        );
        if before == Admin::Maint && admin != Admin::Maint {
            shared.load.forget();
        }
        if admin != Admin::Ready {
            self.outbox.send_close_idle(shared, at.now);
        }
        let Some(judged) = self.pools.get_mut(pool) else { return };
        let change = judged.health.set_admin(server, admin, &Rules::of(&fleet.config.pools[pool]), at.now);
        self.apply(pool, change, at);
    }

    /// The operator gives a server a weight of 0 to 256, or the configured one again. Returns the one it has now.
    pub(super) fn weigh(&mut self, place: Place, weight: Option<u32>, at: Moment) -> u32 {
        let Place { pool, server } = place;
        let fleet = self.fleet.clone();
        let shared = &fleet.pools[pool].servers[server];
        self.wish_mut(shared).weight = weight;
        let weight = weight.unwrap_or(fleet.config.pools[pool].servers[server].weight);
        tracing::info!(pool = shared.pool, server = shared.name, weight, "weighed by the operator");
        if let Some(judged) = self.pools.get_mut(pool) {
            judged.health.set_weight(server, weight, &Rules::of(&fleet.config.pools[pool]));
        }
        self.apply(pool, None, at);
        weight
    }

    /// When time alone changes something.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        let adapts = |pool: &Judged| pool.adapting.as_ref().map(Adapting::next_deadline);
        let pools = self.pools.iter().flat_map(|pool| [pool.next, adapts(pool)]);
        pools.chain([self.outbox.next_deadline()]).flatten().min()
    }

    /// Time has passed.
    pub(super) fn on_time(&mut self, at: Moment) {
        if self.outbox.next_deadline().is_some_and(|due| due <= at.now) {
            self.outbox.deliver(at.now);
        }
        let fleet = self.fleet.clone();
        for (n, pool) in fleet.pools.iter().enumerate().take(self.pools.len()) {
            if let Some(changes) = self.pools[n].on_time(pool, &fleet.config.pools[n], at.now) {
                self.apply(n, changes, at);
            }
        }
    }

    /// The servers as operators see them.
    pub(super) fn view(&self) -> Vec<Vec<ServerView>> {
        self.pools.iter().map(Judged::view).collect()
    }

    /// How many servers work and may, and how many there are.
    pub(super) fn census(&self) -> (u64, u64) {
        let servers = || self.pools.iter().flat_map(|pool| pool.health.servers());
        let working = servers().filter(|health| health.works() && health.admin() == Admin::Ready);
        (working.count() as u64, servers().count() as u64)
    }

    /// For each pool, whether too few of its servers work.
    pub(super) fn failing_open(&self) -> Vec<bool> {
        self.pools.iter().map(|pool| pool.health.is_failing_open()).collect()
    }

    /// Tells of changes in a pool, and has its servers' loads say what they are to get now.
    pub(super) fn apply(&mut self, pool: usize, changes: impl IntoIterator<Item = Change>, at: Moment) {
        let fleet = self.fleet.clone();
        for Change { server, from } in changes {
            self.tell(&fleet.pools[pool].servers[server], Place { pool, server }, from, at);
        }
        let Some(judged) = self.pools.get_mut(pool) else { return };
        judged.tell_fail_open(&fleet.pools[pool].name);
        judged.next = judged.health.next_deadline(at.now);
        let factors = judged.adapting.as_ref().map_or(&[][..], Adapting::factors);
        let orders = judged.health.orders(factors, at.now);
        for ((order, note), server) in orders.zip(&mut judged.notes).zip(&fleet.pools[pool].servers) {
            obey(order, note.order.replace(order), server);
        }
    }

    /// A server's state became another.
    fn tell(&mut self, shared: &Arc<Server>, place: Place, from: State, at: Moment) {
        let Some(judged) = self.pools.get_mut(place.pool) else { return };
        let (Some(health), Some(note)) =
            (judged.health.server(place.server), judged.notes.get_mut(place.server))
        else {
            return;
        };
        note.since_wall = at.wall;
        let (to, why) = (health.state(), health.why());
        let (pool, server, from_name, to_name) = (&*shared.pool, &*shared.name, from.name(), to.name());
        if matches!(to, State::Down | State::Ejected) {
            tracing::warn!(pool, server, from = from_name, to = to_name, why, "server changed");
            self.outbox.send_close_idle(shared, at.now);
        } else {
            tracing::info!(pool, server, from = from_name, to = to_name, why, "server changed");
            if matches!(from, State::Down | State::Ejected) {
                shared.load.forget();
            }
        }
    }

    pub(super) fn wish(&self, server: &Server) -> Wish {
        self.wishes.get(&key(server)).copied().unwrap_or_default()
    }

    pub(super) fn wish_mut(&mut self, server: &Server) -> &mut Wish {
        self.wishes.entry(key(server)).or_default()
    }
}

impl Judged {
    pub(super) fn empty() -> Judged {
        Judged {
            health: crate::health::Pool::new(),
            notes: Vec::new(),
            adapting: None,
            next: None,
            is_failing_open: false,
        }
    }

    /// What changed because of the time; `None`: nothing was due.
    fn on_time(&mut self, pool: &Pool, config: &config::Pool, now: Time) -> Option<Vec<Change>> {
        let health_due = self.next.is_some_and(|due| due <= now);
        let adapting = self.adapting.as_mut().filter(|adapting| adapting.next_deadline() <= now);
        if !health_due && adapting.is_none() {
            return None;
        }
        if let Some(adapting) = adapting {
            adapting.step(pool, &self.health, now);
        }
        Some(self.health.on_time(|server| pool.loads[server].in_flight(), &Rules::of(config), now))
    }

    fn tell_fail_open(&mut self, pool: &str) {
        let is_open = self.health.is_failing_open();
        if is_open == std::mem::replace(&mut self.is_failing_open, is_open) {
            return;
        }
        if is_open {
            tracing::warn!(pool, "too few servers work: all are used, whatever is known of them");
        } else {
            tracing::info!(pool, "enough servers work, or none: only those that work are used");
        }
    }

    fn view(&self) -> Vec<ServerView> {
        let one = |(n, (health, note)): (usize, (&Health, &Note))| ServerView {
            state: health.state(),
            admin: health.admin(),
            why: health.why().to_owned(),
            since: health.since(),
            since_wall: note.since_wall,
            until: health.ejected_until(),
            weight: self.health.weight(n),
            effective_weight: note.order.map_or(0.0, |order| f64::from(order.weight) / f64::from(WEIGHT_ONE)),
            check: note.check.clone(),
            failures: health.failures(),
        };
        self.health.servers().zip(&self.notes).enumerate().map(one).collect()
    }
}

/// Writes what is new of an order. The limit goes first: a server that comes back small is not to be met with its old one.
fn obey(order: Order, before: Option<Order>, server: &Server) {
    if before.is_none_or(|before| before.limit != order.limit) {
        server.load.set_limit(order.limit);
    }
    if before.is_none_or(|before| before.weight != order.weight) {
        server.load.set_weight(order.weight);
    }
    if before.is_some_and(|before| before.is_watched) != order.is_watched {
        server.suspicion.watch(order.is_watched);
    }
}

fn key(server: &Server) -> (String, String) {
    (server.pool.clone(), server.name.clone())
}

/// `no pool "x": there are a, b`.
fn missing<'a>(what: &str, name: &str, place: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let (verb, names) = match names.len() {
        0 => ("are", "none".to_owned()),
        1 => ("is", names.join(", ")),
        _ => ("are", names.join(", ")),
    };
    format!("no {what} {name:?}{place}: there {verb} {names}")
}
