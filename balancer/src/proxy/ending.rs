//! The end of a request: what it held is given back, and its connections go on or are closed.

use super::back::Serving;
use super::front::{Coming, Exchange, Front, Passing, Stage};
use super::tries::is_old;
use super::{Lane, Proxy, down, get, up};
use crate::fleet::{Fault, Outcome};
use crate::forward::Framed;
use crate::retry;
use net::engine::{Close, Io, Token};
use net::http1::Phase;

impl Proxy {
    /// The whole response was passed on.
    pub(super) fn finish(&mut self, token: Token, io: &mut Io) {
        let Some(front) = get(&mut self.fronts, token) else { return };
        let exchange = &mut front.exchange;
        // Only now: a server that begins its responses and never ends them is not well.
        self.lane.tell(exchange, Outcome::Answered(exchange.status), io.now());
        if let Some(stats) = exchange.server.and_then(|server| self.lane.pools.stats(server)) {
            let class = usize::from(exchange.status / 100).clamp(1, stats.responses.len());
            stats.responses[class - 1].one();
        }
        let is_complete = exchange.coming == Coming::Complete;
        if let Some(back) = exchange.back {
            self.keep_back(token, back, is_complete, io);
        }
        let Some(front) = get(&mut self.fronts, token) else { return };
        let is_last = front.exchange.is_last || !is_complete;
        self.lane.end_exchange(token, &mut front.exchange, None, io);
        self.go_on(token, is_last, io);
    }

    /// The connection that carried a response to its end goes to the pool, if it may carry another.
    fn keep_back(&mut self, client: Token, token: Token, is_complete: bool, io: &mut Io) {
        let Some(back) = get(&mut self.backs, token) else { return };
        let Some(front) = get(&mut self.fronts, client) else { return };
        let (server, now) = (back.server, io.now());
        let pool = self.lane.pools.pool(front.exchange.pool);
        let idle = pool.map(|pool| (pool.config.idle.clone(), pool.limits.idle));
        let entry = self.lane.pools.server_mut(server);
        if let (Some((idle, limit)), Some(entry)) = (idle, entry)
            && is_complete
            && back.http.phase() == Phase::Idle
            && !back.eof
            && entry.is_configured()
            && entry.shared.load.weight() > 0
            && entry.idle.len() < idle.connections_max
            && !is_old(back.made, now, idle.age_max)
        {
            back.serving = Serving::Idle;
            entry.idle.push(token);
            io.resume(token);
            self.lane.deadlines.set(token, limit, now);
            if let Some(stats) = self.lane.pools.stats(server) {
                up(&stats.idle);
            }
            return;
        }
        // What of the request is still unsent, or of the server unread, is of no use to anybody.
        self.close_back(token, io);
    }

    /// The client's connection after a response: the next request, or its end.
    pub(super) fn go_on(&mut self, token: Token, is_last: bool, io: &mut Io) {
        let Some(front) = get(&mut self.fronts, token) else { return };
        front.phase = Phase::Idle;
        if is_last || front.has_asked_all() {
            return self.close_front(token, io);
        }
        self.lane.deadlines.set(token, self.lane.limits.idle, io.now());
        if self.lane.drain.is_finishing() && front.is_idle() {
            return self.close_front(token, io);
        }
        if front.held.is_empty() {
            // It may have been paused while its request was kept for a server that never came.
            self.steer(token, io);
        } else {
            self.lane.unheld.push(token);
        }
    }

    /// Reads what clients sent behind a request that is answered by now.
    pub(super) fn read_unheld(&mut self, io: &mut Io) {
        while let Some(token) = self.lane.unheld.pop() {
            let Some(front) = get(&mut self.fronts, token) else { continue };
            let held = std::mem::take(&mut front.held);
            self.read_request(token, &held, io);
            if get(&mut self.fronts, token).is_some_and(|front| front.eof) {
                self.on_front_eof(token, io);
            }
        }
    }

    /// The client's connection is closed once it has what was sent.
    pub(super) fn close_front(&mut self, token: Token, io: &mut Io) {
        let Some(front) = get(&mut self.fronts, token) else { return };
        if matches!(front.stage, Stage::Closing) {
            return;
        }
        self.lane.end_reading(front, io);
        io.close(token, Close::AfterFlush);
        self.lane.deadlines.set(token, self.lane.limits.linger, io.now());
    }

    /// A request that is under way ends without its whole answer, and the client sees that.
    pub(super) fn cut(&mut self, token: Token, fault: Fault, io: &mut Io) {
        let Some(front) = get(&mut self.fronts, token) else { return };
        let exchange = &mut front.exchange;
        if let Some(back) = exchange.back {
            self.close_back_as(back, Close::Reset, io);
        }
        let Some(front) = get(&mut self.fronts, token) else { return };
        // The end of the connection would look like the end of such a body.
        let ends_by_close = front.exchange.framed == Framed::UntilClose;
        let has_begun = matches!(front.exchange.stage, Passing::Answering | Passing::Tunnel);
        self.lane.end_exchange(token, &mut front.exchange, Some(fault), io);
        if matches!(fault, Fault::ClientStalled) || (ends_by_close && has_begun) {
            self.lane.end_reading(front, io);
            io.close(token, Close::Reset);
            return;
        }
        self.close_front(token, io);
    }

    /// The client is not there any more, or can't be answered: nothing is sent.
    pub(super) fn abandon(&mut self, token: Token, fault: Fault, io: &mut Io) {
        self.cut(token, fault, io);
    }

    /// Closes a connection to a server that is of no more use.
    pub(super) fn close_back(&mut self, token: Token, io: &mut Io) {
        self.close_back_as(token, Close::Now, io);
    }

    pub(super) fn close_back_as(&mut self, token: Token, how: Close, io: &mut Io) {
        let Some(back) = get(&mut self.backs, token) else { return };
        let server = back.server;
        if std::mem::replace(&mut back.serving, Serving::Closing) == Serving::Idle {
            self.forget_idle(token, server);
        }
        // A server that does not end its side of a tunnel has until the tunnel's limit.
        if how != Close::AfterFlush {
            self.lane.deadlines.clear(token);
        }
        io.resume(token);
        io.close(token, how);
    }
}

impl Lane {
    /// A request is over: everything it held is given back, and it is counted.
    pub(super) fn end_exchange(
        &mut self,
        token: Token,
        exchange: &mut Exchange,
        fault: Option<Fault>,
        io: &mut Io,
    ) {
        if !exchange.is_under_way() {
            return;
        }
        match exchange.stage {
            Passing::Queued => self.leave_queue(token, exchange.pool),
            Passing::Tunnel => down(&self.stats().tunnels),
            _ => {}
        }
        if let Some(fault) = fault {
            self.stats().faults[fault as usize].one();
        }
        down(&self.stats().active);
        if let Some(logging) = &mut self.logging {
            logging.end(exchange, fault, &self.all_stats[self.number], io);
        }
        if let Some(retries) = exchange.on_budget.take() {
            retry::give_back(&retries);
        }
        self.detach(exchange, io);
        self.give_back(exchange);
        self.drop_kept(exchange);
        self.totals.clear(token);
        self.deadlines.clear(token);
        exchange.stage = Passing::Idle;
    }

    /// No more requests are read from this client.
    pub(super) fn end_reading(&mut self, front: &mut Front, io: &mut Io) {
        front.stage = Stage::Closing;
        front.http.close();
        front.held = Vec::new();
        // Whoever has output left to take is not judged by the short limit of a close: see `on_front_timeout`.
        front.sent_before = 0;
        io.resume(front.token);
    }
}
