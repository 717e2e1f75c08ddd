//! What clients send: read, and passed on as far as it came.
//!
//! A request is first read as far as its piece goes, and then tried: most lie whole in one piece, and what is known to be complete can be
//! answered without closing.

use super::answers::Own;
use super::front::{Coming, Exchange, Front, HELD_BYTES_MAX, Kept, Passing, Stage};
use super::{Lane, Proxy, get, is_attached, up};
use crate::fleet::Fault;
use crate::forward::{Client, Onward, last_chunk};
use net::engine::{Close, Io, Token};
use net::http1::{Fields, Framing, Head, Heads, Phase, Refusal, RequestEvent, write};

/// What is to be done about what was read.
enum Next {
    /// Nothing: all was taken.
    Wait,
    /// The request, as far as it came, is to be tried.
    Try,
    /// The client broke the protocol.
    Refuse(Refusal),
    /// Who does not speak the PROXY protocol here does not speak HTTP to us: nobody is there to be answered.
    Drop,
}

impl Proxy {
    /// Reads requests, one after the other, as far as they may be read now.
    pub(super) fn read_request(&mut self, token: Token, bytes: &[u8], io: &mut Io) {
        let mut rest = bytes;
        while let Some(front) = get(&mut self.fronts, token) {
            let (used, next) = self.lane.read(front, &mut self.heads, rest, io);
            rest = &rest[used..];
            match next {
                Next::Wait => break,
                Next::Try => self.begin(token, io),
                Next::Refuse(refusal) => self.refuse(token, refusal, io),
                Next::Drop => self.drop_front(token, Fault::BadRequest, io),
            }
        }
        self.steer(token, io);
    }

    /// The request was read as far as it came: its first try, or our own answer to it.
    fn begin(&mut self, token: Token, io: &mut Io) {
        let Some(front) = get(&mut self.fronts, token) else { return };
        let exchange = &mut front.exchange;
        if let Some(own) = exchange.own.take() {
            return self.answer(token, own, io);
        }
        if let Some(pool) = self.lane.pools.pool(exchange.pool) {
            if let Some(total) = pool.config.timeouts.total {
                let kind = self.lane.totals.kind(total);
                self.lane.totals.set(token, kind, io.now());
            }
            // Who waits already was first.
            if !pool.queue.is_empty() {
                return self.enqueue(token, io);
            }
        }
        self.try_next(token, io);
    }

    /// The client will send no more.
    pub(super) fn on_front_eof(&mut self, token: Token, io: &mut Io) {
        let Some(front) = get(&mut self.fronts, token) else { return };
        front.eof = true;
        match (front.exchange.stage, front.exchange.coming) {
            (Passing::Tunnel, _) => self.end_tunnel_side(token, io),
            // Half a request is none.
            (Passing::Idle, _) if !front.held.is_empty() => {}
            (Passing::Idle, _) => self.close_front(token, io),
            (_, Coming::Body) => self.abandon(token, Fault::ClientGone, io),
            // It waits for its answer.
            (_, Coming::Complete | Coming::Unwanted) => {}
        }
    }

    /// The client may be read, or not, after what its request waits for.
    pub(super) fn steer(&mut self, token: Token, io: &mut Io) {
        let Some(front) = get(&mut self.fronts, token) else { return };
        let exchange = &front.exchange;
        let waits = match (exchange.stage, exchange.back, &exchange.kept) {
            (stage, Some(back), _) if is_attached(stage) => {
                (exchange.coming == Coming::Body || stage == Passing::Tunnel) && io.is_over(back)
            }
            (Passing::Idle, ..) => false,
            (_, _, Kept::Whole(kept)) => kept.len() > self.lane.keep_bytes_max(exchange),
            _ => false,
        };
        if waits || front.held.len() > HELD_BYTES_MAX {
            self.lane.limit_upload(front, io);
            io.pause(token);
        } else {
            io.resume(token);
        }
    }

    /// The server has taken what it was sent of the request: the client may go on.
    pub(super) fn on_taken(&mut self, token: Token, io: &mut Io) {
        if let Some(front) = get(&mut self.fronts, token) {
            self.lane.limit_upload(front, io);
        }
        self.steer(token, io);
    }
}

impl Lane {
    /// Reads up to the end of one request. Says how many bytes were taken.
    fn read(&mut self, front: &mut Front, heads: &mut Heads, bytes: &[u8], io: &mut Io) -> (usize, Next) {
        let mut used = 0;
        match &mut front.stage {
            Stage::Closing => return (bytes.len(), Next::Wait),
            Stage::Announcing(announcing) => match announcing.header.read(bytes) {
                Ok(Some((announced, taken))) => {
                    let (listener, peer) = (front.client.listener(), announcing.peer);
                    front.client = Client::announced(listener, &announced, peer, &self.config);
                    front.stage = Stage::Open;
                    used = taken;
                }
                Ok(None) => return (bytes.len(), Next::Wait),
                Err(_) => return (bytes.len(), Next::Drop),
            },
            Stage::Open => {}
        }
        // What came before them is read first; see `read_unheld`.
        if !front.held.is_empty() {
            front.held.extend_from_slice(&bytes[used..]);
            return (bytes.len(), Next::Wait);
        }
        loop {
            let exchange = &mut front.exchange;
            match (exchange.stage, exchange.coming) {
                (Passing::Tunnel, _) => {
                    self.pass_to_server(exchange, &bytes[used..], io);
                    return (bytes.len(), Next::Wait);
                }
                // Who takes no answers gets no more of them: a next one would add to what is not taken.
                (Passing::Idle, _) if used < bytes.len() && io.is_over(front.token) => {
                    front.held.extend_from_slice(&bytes[used..]);
                    return (bytes.len(), Next::Wait);
                }
                (Passing::Idle, _) | (_, Coming::Body) => {}
                (Passing::Starting, Coming::Complete) => return (used, Next::Try),
                (_, Coming::Complete) => {
                    front.held.extend_from_slice(&bytes[used..]);
                    return (bytes.len(), Next::Wait);
                }
                (_, Coming::Unwanted) => return (bytes.len(), Next::Wait),
            }
            match front.http.next(&bytes[used..], heads) {
                Ok(RequestEvent::Head { head, raw, used: taken }) => {
                    used += taken;
                    self.begin_exchange(front.token, &front.client, &mut front.exchange, &head, raw, io);
                }
                Ok(RequestEvent::Content { bytes: content, used: taken }) => {
                    used += taken;
                    self.pass_content(exchange, content, io);
                }
                Ok(RequestEvent::End { trailers, used: taken }) => {
                    used += taken;
                    self.pass_end(exchange, trailers, io);
                    // In the queue it is under the limit of that.
                    if exchange.stage != Passing::Queued {
                        self.deadlines.clear(front.token);
                    }
                }
                Ok(RequestEvent::More) => {
                    self.limit_reading(front, io);
                    let next = if front.exchange.stage == Passing::Starting { Next::Try } else { Next::Wait };
                    return (bytes.len(), next);
                }
                Err(refusal) => return (bytes.len(), Next::Refuse(refusal)),
            }
        }
    }

    /// A request begins: its head is written as a server gets it.
    fn begin_exchange(
        &mut self,
        token: Token,
        client: &Client,
        exchange: &mut Exchange,
        head: &Head<'_>,
        raw: &[u8],
        io: &Io,
    ) {
        let stats = &self.all_stats[self.number];
        stats.requests.one();
        up(&stats.active);
        let mut kept = self.spare();
        let (onward, own) = match self.forwarder.request(head, raw, client, &mut kept) {
            Ok(onward) => (onward, None),
            Err(why) => (Onward::unrouted(head), Some(Own::not_passed_on(why))),
        };
        exchange.begin(onward, self.pools.of_config(onward.pool), self.generation, kept, io.now());
        exchange.own = own;
        if let Some(logging) = &mut self.logging {
            let id = match &exchange.kept {
                Kept::Whole(written) => exchange.onward.request_id(written),
                Kept::Dropped => b"",
            };
            exchange.log = Some(logging.begin(head, client.ip(), id));
        }
        self.deadlines.clear(token);
    }

    /// Bytes of the request's content.
    fn pass_content(&mut self, exchange: &mut Exchange, content: &[u8], io: &mut Io) {
        let awaited = exchange.waits_for_100();
        exchange.request_bytes += content.len() as u64;
        if awaited {
            self.limit_response(exchange, io);
        }
        match exchange.onward.framing {
            Framing::Chunked => self.pass(exchange, io, |out| write::chunk(out, content)),
            Framing::Length(_) | Framing::None => {
                self.pass(exchange, io, |out| out.extend_from_slice(content));
            }
        }
    }

    /// The end of the request.
    fn pass_end(&mut self, exchange: &mut Exchange, trailers: Fields<'_>, io: &mut Io) {
        exchange.coming = Coming::Complete;
        if exchange.onward.framing == Framing::Chunked {
            self.pass(exchange, io, |out| last_chunk(out, trailers));
        }
        match exchange.stage {
            Passing::Answering => self.limit_rest(exchange, io),
            _ => self.limit_response(exchange, io),
        }
    }

    /// To the server, if there is one already, and to what is kept for another try.
    fn pass(&mut self, exchange: &mut Exchange, io: &mut Io, write: impl Fn(&mut Vec<u8>)) {
        if let Some(back) = exchange.back.filter(|_| is_attached(exchange.stage)) {
            write(io.out(back));
        }
        if let Kept::Whole(kept) = &mut exchange.kept {
            write(kept);
            self.bound_kept(exchange);
        }
    }

    /// What is kept for another try has a bound; who was not sent yet is paused there instead (see `steer`).
    pub(super) fn bound_kept(&mut self, exchange: &mut Exchange) {
        let is_over =
            |kept: &Kept| matches!(kept, Kept::Whole(kept) if kept.len() > self.keep_bytes_max(exchange));
        if is_attached(exchange.stage) && is_over(&exchange.kept) {
            self.drop_kept(exchange);
        }
    }

    /// There will be no other try.
    pub(super) fn drop_kept(&mut self, exchange: &mut Exchange) {
        if let Kept::Whole(kept) = std::mem::replace(&mut exchange.kept, Kept::Dropped) {
            self.recycle(kept);
        }
    }

    fn keep_bytes_max(&self, exchange: &Exchange) -> usize {
        self.pools.pool(exchange.pool).map_or(0, |pool| pool.config.retry.keep_bytes_max)
    }

    /// Which limit the client is under, now that all it sent was read. A head's limit runs from its first byte, so it is set once.
    fn limit_reading(&mut self, front: &mut Front, io: &Io) {
        let phase = front.http.phase();
        let kind = match (front.exchange.stage, phase) {
            (Passing::Idle, Phase::Head) if front.phase == Phase::Head => return,
            (Passing::Idle, Phase::Head) => self.limits.head,
            (Passing::Idle, _) => self.limits.idle,
            (Passing::Asking | Passing::Answering, Phase::Body) => self.limits.body,
            _ => return,
        };
        front.phase = phase;
        self.deadlines.set(front.token, kind, io.now());
    }

    /// Whoever holds up the rest of the request is under a limit: the client that sends it, or the server that does not take it.
    pub(super) fn limit_upload(&mut self, front: &Front, io: &Io) {
        let exchange = &front.exchange;
        let is_sent = matches!(exchange.stage, Passing::Asking | Passing::Answering);
        let Some(back) = exchange.back.filter(|_| is_sent && exchange.coming == Coming::Body) else { return };
        let limit = match self.pools.pool(exchange.pool) {
            Some(pool) if io.is_over(back) => pool.limits.body,
            _ => self.limits.body,
        };
        self.deadlines.set(front.token, limit, io.now());
    }

    /// Once the request is out, or the server is asked whether it may come, the response is awaited.
    pub(super) fn limit_response(&mut self, exchange: &Exchange, io: &Io) {
        let Some(back) = exchange.back.filter(|_| exchange.stage == Passing::Asking) else { return };
        let awaits = exchange.coming == Coming::Complete || exchange.waits_for_100();
        match self.pools.pool(exchange.pool) {
            Some(pool) if awaits => self.deadlines.set(back, pool.limits.response_head, io.now()),
            _ => self.deadlines.clear(back),
        }
    }
}

impl Proxy {
    /// A client's connection ended, however.
    pub(super) fn on_front_end(&mut self, mut front: Front, io: &mut Io) {
        self.lane.open -= 1;
        super::down(&self.lane.stats().front_open);
        if front.exchange.is_under_way() {
            let was_tunnel = front.exchange.stage == Passing::Tunnel;
            if let Some(back) = front.exchange.back {
                // A server that still works on it learns that nobody waits for the answer.
                let how = if was_tunnel && front.eof { Close::AfterFlush } else { Close::Reset };
                self.close_back_as(back, how, io);
            }
            let fault = (!was_tunnel).then_some(Fault::ClientGone);
            self.lane.end_exchange(front.token, &mut front.exchange, fault, io);
        }
        self.lane.stop_if_drained(io);
    }
}
