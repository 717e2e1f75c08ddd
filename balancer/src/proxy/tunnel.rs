//! A connection whose protocol was switched (RFC 9110 §7.8): bytes pass both ways, until both sides have ended.

use super::front::{Coming, Exchange, Front, Passing};
use super::{Lane, Proxy, get, up};
use crate::fleet::Outcome;
use net::engine::{Close, Io, Token};

impl Proxy {
    /// The server switched protocols; `behind` its head came the first bytes of the new one.
    pub(super) fn begin_tunnel(&mut self, token: Token, behind: &[u8], io: &mut Io) {
        let Some(front) = get(&mut self.fronts, token) else { return };
        front.exchange.stage = Passing::Tunnel;
        front.exchange.coming = Coming::Complete;
        front.http.close();
        up(&self.lane.stats().tunnels);
        self.lane.tell(&front.exchange, Outcome::Answered(front.exchange.status), io.now());
        if let Some(stats) = front.exchange.server.and_then(|server| self.lane.pools.stats(server)) {
            stats.responses[0].one();
        }
        self.lane.deadlines.clear(token);
        self.lane.totals.clear(token);
        self.lane.pass_to_client(front, behind, io);
        // What the client sent behind its request was for the new protocol.
        let held = std::mem::take(&mut front.held);
        self.lane.pass_to_server(&mut front.exchange, &held, io);
        let is_over = front.eof;
        self.steer(token, io);
        if is_over {
            self.end_tunnel_side(token, io);
        }
    }

    /// One side has ended: the other one is told, and may go on. The last one ends the tunnel.
    pub(super) fn end_tunnel_side(&mut self, token: Token, io: &mut Io) {
        let Some(front) = get(&mut self.fronts, token) else { return };
        let Some(back_token) = front.exchange.back else { return };
        let Some(back) = get(&mut self.backs, back_token) else { return };
        match (front.eof, back.eof) {
            (true, true) => {
                self.close_back_as(back_token, Close::AfterFlush, io);
                let Some(front) = get(&mut self.fronts, token) else { return };
                self.lane.end_exchange(token, &mut front.exchange, None, io);
                self.close_front(token, io);
            }
            (true, false) => io.finish(back_token),
            (false, true) => io.finish(token),
            (false, false) => {}
        }
    }

    /// The server's side of a tunnel is gone.
    pub(super) fn cut_tunnel(&mut self, token: Token, io: &mut Io) {
        let Some(front) = get(&mut self.fronts, token) else { return };
        self.lane.end_exchange(token, &mut front.exchange, None, io);
        self.lane.end_reading(front, io);
        io.close(token, Close::Reset);
    }
}

impl Lane {
    /// Bytes of a tunnel, or of nothing if there is none.
    pub(super) fn pass_to_server(&mut self, exchange: &mut Exchange, bytes: &[u8], io: &mut Io) {
        let Some(back) = exchange.back.filter(|_| !bytes.is_empty()) else { return };
        exchange.request_bytes += bytes.len() as u64;
        io.out(back).extend_from_slice(bytes);
        self.limit_tunnel(exchange, back, io);
    }

    pub(super) fn pass_to_client(&mut self, front: &mut Front, bytes: &[u8], io: &mut Io) {
        let Some(back) = front.exchange.back else { return };
        front.exchange.response_bytes += bytes.len() as u64;
        io.out(front.token).extend_from_slice(bytes);
        if io.is_over(front.token) {
            io.pause(back);
        }
        self.limit_tunnel(&front.exchange, back, io);
    }

    /// From now on, something has to move again within the limit.
    pub(super) fn limit_tunnel(&mut self, exchange: &Exchange, back: Token, io: &Io) {
        if let Some(pool) = self.pools.pool(exchange.pool) {
            self.deadlines.set(back, pool.limits.tunnel, io.now());
        }
    }
}
