//! Checks of servers under way: their connections, their time limits, and when to begin the next.
//!
//! In: which servers want checks, an engine's events. Out: a [`Verdict`] for each check. Never: more than [`CHECKS_MAX`] at a time, or a
//! verdict about a server when it is us who are out of means.

use super::drop_now;
use super::judge::Place;
use super::limits::{CHECK_LIMITS, CHECKS_MAX};
use super::plan::{Plan, Plans};
use super::probe::{self, Finding};
use super::view::CheckView;
use crate::config::{Check, Config};
use crate::fleet::{Fleet, Server};
use net::engine::{End, Io, Token};
use net::http1::{ClientConn, ResponseHeads};
use net::time::Time;
use std::sync::Arc;

/// How a check ended.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Of which server.
    pub(super) server: Arc<Server>,
    /// When it began.
    pub(super) began: Time,
    /// `None`: nothing was learned.
    pub(super) check: Option<CheckView>,
}

/// All checks.
pub(super) struct Checks {
    pub(super) plans: Plans,
    /// By token index.
    running: Vec<Option<Running>>,
    count: usize,
    heads: ResponseHeads,
}

struct Running {
    token: Token,
    server: Arc<Server>,
    config: Arc<Config>,
    pool: usize,
    began: Time,
    until: Time,
    stage: Stage,
}

enum Stage {
    Connecting,
    Asked(ClientConn),
    /// The verdict is out; the connection has yet to end.
    Concluded,
}

impl Running {
    /// What it was begun by; there is one, or it would not have been begun.
    fn check(&self) -> Option<&Check> {
        self.config.pools.get(self.pool)?.check.as_ref()
    }
}

impl Checks {
    pub(super) fn new(seed: u64) -> Checks {
        Checks {
            plans: Plans::new(seed),
            running: Vec::new(),
            count: 0,
            heads: ResponseHeads::new(CHECK_LIMITS),
        }
    }

    /// Checks whose connections have not ended.
    pub(super) fn running(&self) -> usize {
        self.count
    }

    /// Whether the token is a check's.
    pub(super) fn knows(&self, token: Token) -> bool {
        self.running.get(token.index()).and_then(Option::as_ref).is_some_and(|check| check.token == token)
    }

    /// When a check is to be begun or has had its time. With [`CHECKS_MAX`] under way, the end of one is waited for.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        let times = self.running.iter().flatten().filter(|check| !matches!(check.stage, Stage::Concluded));
        let next = if self.count < CHECKS_MAX { self.plans.next() } else { None };
        times.map(|check| check.until).chain(next).min()
    }

    /// Begins the checks that are due.
    pub(super) fn start(&mut self, fleet: &Fleet, io: &mut Io) {
        while self.count < CHECKS_MAX {
            let Some(place) = self.plans.first_due(io.now()) else { break };
            let pool = fleet.pools.get(place.pool);
            let server = pool.and_then(|pool| pool.servers.get(place.server));
            let check = fleet.config.pools.get(place.pool).and_then(|pool| pool.check.as_ref());
            match (server, check) {
                (Some(server), Some(check)) => self.begin(place, server, check, &fleet.config, io),
                _ => self.plans.set(place, Plan::Off),
            }
        }
    }

    fn begin(
        &mut self,
        place: Place,
        server: &Arc<Server>,
        check: &Check,
        config: &Arc<Config>,
        io: &mut Io,
    ) {
        let token = io.connect(server.address.clone());
        if token.index() >= self.running.len() {
            self.running.resize_with(token.index() + 1, || None);
        }
        self.running[token.index()] = Some(Running {
            token,
            server: server.clone(),
            config: config.clone(),
            pool: place.pool,
            began: io.now(),
            until: io.now() + check.timeout,
            stage: Stage::Connecting,
        });
        self.count += 1;
        self.plans.set(place, Plan::Running);
    }

    pub(super) fn on_open(&mut self, token: Token, io: &mut Io) -> Option<Verdict> {
        let running = running(&mut self.running, token)?;
        if !matches!(running.stage, Stage::Connecting) {
            return None;
        }
        running.stage = Stage::Asked(ClientConn::new());
        let found = probe::ask(running.check()?, io.out(token))?;
        Some(running.conclude(Some(found), io))
    }

    pub(super) fn on_bytes(&mut self, token: Token, bytes: &[u8], io: &mut Io) -> Option<Verdict> {
        let running = running(&mut self.running, token)?;
        let config = running.config.clone();
        let check = config.pools.get(running.pool)?.check.as_ref()?;
        let Stage::Asked(http) = &mut running.stage else { return None };
        let found = probe::read(http, bytes, check, &mut self.heads)?;
        Some(running.conclude(Some(found), io))
    }

    pub(super) fn on_eof(&mut self, token: Token, io: &mut Io) -> Option<Verdict> {
        let running = running(&mut self.running, token)?;
        let config = running.config.clone();
        let check = config.pools.get(running.pool)?.check.as_ref()?;
        let Stage::Asked(http) = &mut running.stage else { return None };
        let found = probe::end(http, check, &self.heads);
        Some(running.conclude(Some(found), io))
    }

    pub(super) fn on_end(&mut self, token: Token, end: End, now: Time) -> Option<Verdict> {
        running(&mut self.running, token)?;
        let ended = self.running[token.index()].take()?;
        self.count -= 1;
        if matches!(ended.stage, Stage::Concluded) {
            return None;
        }
        let found = (!is_ours(end)).then(|| probe::broken(end));
        Some(ended.verdict(found, now))
    }

    /// Ends the checks that have had their time.
    pub(super) fn time_out(&mut self, io: &mut Io) -> Vec<Verdict> {
        let now = io.now();
        let due = |running: &&mut Running| running.until <= now && !matches!(running.stage, Stage::Concluded);
        let end = |running: &mut Running| {
            let what = if matches!(running.stage, Stage::Connecting) { "connection" } else { "answer" };
            let timeout = humantime::format_duration(running.until.since(running.began));
            running.conclude(Some(Finding::bad(format!("no {what} in {timeout}"))), io)
        };
        self.running.iter_mut().flatten().filter(due).map(end).collect()
    }
}

impl Running {
    fn conclude(&mut self, found: Option<Finding>, io: &mut Io) -> Verdict {
        self.stage = Stage::Concluded;
        drop_now(self.token, io);
        self.verdict(found, io.now())
    }

    fn verdict(&self, found: Option<Finding>, now: Time) -> Verdict {
        let view = |found: Finding| CheckView {
            at: now,
            took: now.since(self.began),
            is_good: found.is_good,
            said: found.said,
        };
        Verdict { server: self.server.clone(), began: self.began, check: found.map(view) }
    }
}

/// The check did not end for a reason of the server's: this process has no descriptor, port or memory left (connect(2), socket(2)).
fn is_ours(end: End) -> bool {
    matches!(
        end,
        End::Aborted
            | End::ConnectFailed(
                libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::EADDRNOTAVAIL
            )
    )
}

fn running(running: &mut [Option<Running>], token: Token) -> Option<&mut Running> {
    running.get_mut(token.index())?.as_mut().filter(|running| running.token == token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_out_of_descriptors_knows_nothing_about_servers() {
        for ours in [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EADDRNOTAVAIL] {
            assert!(is_ours(End::ConnectFailed(ours)));
        }
        for theirs in [libc::ECONNREFUSED, libc::EHOSTUNREACH, libc::ETIMEDOUT, libc::ENOENT] {
            assert!(!is_ours(End::ConnectFailed(theirs)));
        }
        assert!(!is_ours(End::Reset));
    }
}
