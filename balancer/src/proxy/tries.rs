//! One request's tries: which server, over which connection, and what follows when it fails.

use super::answers::Own;
use super::back::{Back, Serving};
use super::front::{Coming, Exchange, Kept, Passing};
use super::{Lane, Proxy, down, get, up};
use crate::config::Balance;
use crate::control;
use crate::fleet::{Fault, Outcome};
use crate::forward::Repeat;
use crate::pick::Refused;
use crate::retry::{self, Decision, Over, Reached};
use net::engine::{Close, End, Io, Token};
use net::time::Time;
use std::time::Duration;

/// What a failed try counts as in the averages that `hot-cold` compares: a server that fails fast must not look fast (linkerd's penalty).
const FAILURE_TOOK: Duration = Duration::from_secs(5);

/// Failures of connect(2) and socket(2) that say nothing about the server: no descriptor, no memory, no local port.
const OUR_LACKS: [i32; 5] = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS, libc::EADDRNOTAVAIL];

impl Proxy {
    /// Picks a server and sends the request there, has it wait, or gives up.
    pub(super) fn try_next(&mut self, token: Token, io: &mut Io) {
        let Some(front) = get(&mut self.fronts, token) else { return };
        let exchange = &mut front.exchange;
        if exchange.generation != self.lane.generation {
            exchange.generation = self.lane.generation;
            exchange.tried.clear();
        }
        match self.lane.pools.pick(exchange.pool, &exchange.tried) {
            Ok((at, server)) => self.send_to(token, at, server, io),
            Err(Refused::AllFull) => self.enqueue(token, io),
            Err(Refused::NoServer) => self.give_up(token, Fault::NoServer, io),
            Err(Refused::OnlyTried) => {
                let fault = exchange.failed.map_or(Fault::NoServer, fault_of);
                self.give_up(token, fault, io);
            }
        }
    }

    /// A place was taken at `server`: the request goes there, over an idle connection if there is one.
    pub(super) fn send_to(&mut self, token: Token, at: u16, server: u32, io: &mut Io) {
        let Some(front) = get(&mut self.fronts, token) else { return self.lane.pools.give_back(server) };
        let exchange = &mut front.exchange;
        exchange.server = Some(server);
        exchange.tried.push(at);
        exchange.tries += 1;
        if let (Some(draft), Some(entry)) = (&mut exchange.log, self.lane.pools.server(server)) {
            draft.server = Some(entry.shared.clone());
        }
        match self.idle_back(server, io) {
            Some(back) => self.attach(token, back, Over::Reused, io),
            None => self.connect(token, server, io),
        }
    }

    /// An idle connection, out of the pool: the one used last.
    fn idle_back(&mut self, server: u32, io: &mut Io) -> Option<Token> {
        loop {
            let entry = self.lane.pools.server_mut(server)?;
            let back = entry.idle.pop()?;
            if let Some(stats) = self.lane.pools.stats(server) {
                down(&stats.idle);
            }
            if get(&mut self.backs, back).is_some_and(|back| back.serving == Serving::Idle) {
                return Some(back);
            }
            self.close_back(back, io);
        }
    }

    fn connect(&mut self, token: Token, server: u32, io: &mut Io) {
        let Some(front) = get(&mut self.fronts, token) else { return };
        let Some(entry) = self.lane.pools.server(server) else { return };
        let back = io.connect(entry.shared.address.clone());
        super::put(&mut self.backs, back, Back::new(server, token, io.now()));
        self.lane.pools.hold(server);
        front.exchange.stage = Passing::Connecting;
        front.exchange.back = Some(back);
        front.exchange.over = Over::Fresh;
        if let Some(pool) = self.lane.pools.pool(front.exchange.pool) {
            self.lane.deadlines.set(back, pool.limits.connect, io.now());
        }
    }

    /// A connection that was asked for is there.
    pub(super) fn on_connected(&mut self, back: Token, io: &mut Io) {
        let Some(entry) = get(&mut self.backs, back) else { return io.close(back, Close::Now) };
        if let Some(stats) = self.lane.pools.stats(entry.server) {
            stats.connects.one();
            up(&stats.open);
        }
        entry.is_open = true;
        match entry.serving {
            Serving::Front(front) => self.attach(front, back, Over::Fresh, io),
            Serving::Idle | Serving::Closing => io.close(back, Close::Now),
        }
    }

    /// The request has a connection: all that came of it is sent.
    fn attach(&mut self, token: Token, back: Token, over: Over, io: &mut Io) {
        let (Some(front), Some(entry)) = (get(&mut self.fronts, token), get(&mut self.backs, back)) else {
            return self.close_back(back, io);
        };
        let exchange = &mut front.exchange;
        entry.serving = Serving::Front(token);
        exchange.stage = Passing::Asking;
        (exchange.back, exchange.over, exchange.sent) = (Some(back), over, io.now());
        exchange.back_taken_before = io.taken_so_far(back);
        if let Kept::Whole(kept) = &exchange.kept {
            io.out(back).extend_from_slice(kept);
        }
        if let Some(stats) = self.lane.pools.stats(entry.server) {
            stats.tries.one();
            if over == Over::Reused {
                stats.reuses.one();
            }
        }
        self.lane.limit_response(exchange, io);
        self.lane.bound_kept(exchange);
        if exchange.coming == Coming::Body {
            self.lane.deadlines.set(token, self.lane.limits.body, io.now());
        }
        // It may have been paused until now, whether more of the request is to come or not.
        self.steer(token, io);
    }

    /// A connection to a server ended, however.
    pub(super) fn on_back_end(&mut self, token: Token, back: Back, end: End, io: &mut Io) {
        if let Some(stats) = self.lane.pools.stats(back.server)
            && back.is_open
        {
            down(&stats.open);
        }
        match back.serving {
            Serving::Idle => self.forget_idle(token, back.server),
            Serving::Closing => {}
            Serving::Front(front) => match end {
                // That is our lack, and no server's: the next one would meet it too.
                End::ConnectFailed(errno) if OUR_LACKS.contains(&errno) => {
                    self.give_up(front, Fault::NoSocket, io);
                }
                End::ConnectFailed(_) => self.on_failed(front, Outcome::ConnectFailed, io),
                End::Closed | End::Aborted | End::Reset => self.on_failed(front, Outcome::Broke, io),
            },
        }
        self.lane.pools.let_go(back.server);
    }

    pub(super) fn forget_idle(&mut self, token: Token, server: u32) {
        if let Some(entry) = self.lane.pools.server_mut(server)
            && let Some(at) = entry.idle.iter().rposition(|&idle| idle == token)
        {
            entry.idle.remove(at);
            if let Some(stats) = self.lane.pools.stats(server) {
                down(&stats.idle);
            }
        }
    }

    /// The try under way failed. Its connection is closed, or about to be, and no longer the request's.
    pub(super) fn on_failed(&mut self, token: Token, outcome: Outcome, io: &mut Io) {
        let Some(front) = get(&mut self.fronts, token) else { return };
        let exchange = &mut front.exchange;
        if exchange.stage == Passing::Tunnel {
            self.lane.detach(exchange, io);
            return self.cut_tunnel(token, io);
        }
        let reached = reached(exchange, io);
        self.lane.note(exchange, outcome, reached, io.now());
        self.lane.detach(exchange, io);
        exchange.failed = Some(outcome);
        let is_kept = matches!(exchange.kept, Kept::Whole(_));
        let pool = self.lane.pools.pool(exchange.pool);
        let (attempts, repeat) = pool.map_or((0, Repeat::No), |pool| {
            let all = pool.config.retry.all_idempotent.then_some(Repeat::Idempotent);
            (pool.config.retry.attempts, all.unwrap_or(exchange.onward.repeat))
        });
        let decision = match retry::decide(outcome, reached, exchange.over, repeat, is_kept) {
            Decision::SameServer => Decision::SameServer,
            Decision::GiveUp => Decision::GiveUp,
            _ if exchange.tries >= attempts => Decision::GiveUp,
            Decision::OtherServerOnBudget if !self.lane.take_budget(exchange) => Decision::GiveUp,
            decision => decision,
        };
        let server = exchange.server;
        match (decision, server) {
            (Decision::GiveUp, _) => return self.give_up(token, fault_of(outcome), io),
            (Decision::SameServer, Some(server)) => self.connect(token, server, io),
            _ => {
                self.lane.give_back(exchange);
                self.try_next(token, io);
            }
        }
        // Where no server was left, nothing was repeated.
        if get(&mut self.fronts, token).is_some_and(|front| front.exchange.is_under_way()) {
            self.lane.stats().retries.one();
            if let Some(stats) = server.and_then(|server| self.lane.pools.stats(server)) {
                stats.retried.one();
            }
        }
    }

    /// No more tries: our own answer, or the end of one that has begun already.
    pub(super) fn give_up(&mut self, token: Token, fault: Fault, io: &mut Io) {
        let Some(front) = get(&mut self.fronts, token) else { return };
        match front.exchange.stage {
            Passing::Answering | Passing::Tunnel => {
                let fault = match fault {
                    Fault::ResponseTimeout => Fault::ResponseStalled,
                    Fault::ClientStalled | Fault::RequestTimeout | Fault::BadRequest | Fault::Draining => {
                        fault
                    }
                    _ => Fault::ResponseCut,
                };
                self.cut(token, fault, io);
            }
            _ => {
                let pool = self.lane.pools.pool(front.exchange.pool);
                let own = Own::of_fault(fault, pool.map(|pool| &pool.config));
                self.answer(token, own, io);
            }
        }
    }
}

impl Lane {
    /// Counts how a try failed, and tells the control if that is due.
    fn note(&mut self, exchange: &Exchange, outcome: Outcome, reached: Reached, now: Time) {
        let Some(entry) = exchange.server.and_then(|server| self.pools.server(server)) else { return };
        let stats = &entry.shared.lanes[self.number];
        let count = match outcome {
            Outcome::ConnectFailed | Outcome::ConnectTimeout => &stats.connect_failures,
            Outcome::Broke => &stats.breaks,
            Outcome::TimedOut => &stats.timeouts,
            Outcome::Malformed => &stats.malformed,
            Outcome::Answered(_) => return,
        };
        count.one();
        // A server may close a connection that was idle: that says nothing about it.
        let crossed =
            outcome == Outcome::Broke && exchange.over == Over::Reused && reached != Reached::Answering;
        if !crossed {
            self.tell(exchange, outcome, now);
        }
    }

    /// Tells of one outcome to whom it may concern.
    pub(super) fn tell(&mut self, exchange: &Exchange, outcome: Outcome, now: Time) {
        let Some(entry) = exchange.server.and_then(|server| self.pools.server(server)) else { return };
        let is_failure = !matches!(outcome, Outcome::Answered(..500));
        let by_latency = self.pools.pool(exchange.pool).is_some_and(|p| p.config.balance == Balance::HotCold);
        if by_latency {
            let took = Duration::from_nanos(exchange.latency_ns);
            entry.shared.load.took(if is_failure { took.max(FAILURE_TOOK) } else { took });
        }
        if entry.shared.suspicion.note(outcome) {
            let took = now.since(exchange.sent);
            let told = control::Mail::Told { server: entry.shared.clone(), outcome, took };
            // A box that is full has heard enough; a control that is gone takes the process along.
            let _ = self.control.send(told);
        }
    }

    /// Takes the retry out of the pool's budget, once for a request.
    fn take_budget(&mut self, exchange: &mut Exchange) -> bool {
        let Some(pool) = self.pools.pool(exchange.pool) else { return false };
        let (config, retries) = (&pool.config.retry, &pool.shared.retries);
        if exchange.on_budget.is_none()
            && retry::take(retries, pool.live(), config.budget_percent, config.budget_floor)
        {
            exchange.on_budget = Some(retries.clone());
        }
        if exchange.on_budget.is_none() {
            self.stats().retries_refused.one();
        }
        exchange.on_budget.is_some()
    }

    /// Counts what the connection to the server carried of the request, and lets go of it.
    pub(super) fn detach(&self, exchange: &mut Exchange, io: &Io) {
        let Some(back) = exchange.back.take() else { return };
        if let Some(stats) = exchange.server.and_then(|server| self.pools.stats(server)) {
            stats.sent_bytes.add(io.taken_so_far(back).saturating_sub(exchange.back_taken_before));
        }
    }

    /// Gives back the place at the server, if the request has one.
    pub(super) fn give_back(&mut self, exchange: &mut Exchange) {
        let Some(server) = exchange.server.take() else { return };
        self.pools.give_back(server);
        self.room_at(exchange.pool);
    }
}

/// How far the try under way has come.
pub(super) fn reached(exchange: &Exchange, io: &Io) -> Reached {
    let has_sent = |back| io.taken_so_far(back) != exchange.back_taken_before;
    match exchange.stage {
        Passing::Answering | Passing::Tunnel => Reached::Answering,
        _ if exchange.interims > 0 => Reached::Answering,
        Passing::Asking if exchange.back.is_none_or(has_sent) => Reached::Sent,
        _ => Reached::Nothing,
    }
}

pub(super) fn fault_of(outcome: Outcome) -> Fault {
    match outcome {
        Outcome::ConnectFailed => Fault::ConnectFailed,
        Outcome::ConnectTimeout => Fault::ConnectTimeout,
        Outcome::Broke | Outcome::Answered(_) => Fault::ServerClosed,
        Outcome::TimedOut => Fault::ResponseTimeout,
        Outcome::Malformed => Fault::BadResponse,
    }
}

/// Has a connection reached its greatest age?
pub(super) fn is_old(made: Time, now: Time, age_max: Duration) -> bool {
    now.since(made) >= age_max
}
