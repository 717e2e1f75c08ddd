//! What servers send: read, and passed on piece by piece to the client that waits for it.

use super::back::{Back, Serving};
use super::front::{Coming, Exchange, Front, Passing};
use super::tries::reached;
use super::{Lane, Proxy, get};
use crate::fleet::Outcome;
use crate::forward::{Asker, Framed, last_chunk};
use crate::retry::Reached;
use net::engine::{Close, Io, Token};
use net::http1::{Ended, Fields, ResponseEvent, ResponseHead, ResponseHeads, write};
use std::time::Duration;

/// Interim responses that one request may get: a server that sends more is no server.
const INTERIMS_MAX: u32 = 100;

/// From where on a status says that the rest of the request is not wanted: an error that came early.
const REFUSES: u16 = 400;

/// What the bytes of a server came to.
enum Came {
    /// More is to come.
    Part,
    /// The response is complete, with this many bytes behind it.
    Whole(usize),
    /// The protocol was switched: the last so many bytes are of the new one.
    Switched(usize),
    /// It is no response.
    Malformed,
}

impl Proxy {
    /// Reads a response, as far as it came.
    pub(super) fn read_response(&mut self, token: Token, bytes: &[u8], io: &mut Io) {
        let Some(back) = get(&mut self.backs, token) else { return };
        let Serving::Front(client) = back.serving else {
            // A response that nobody asked for belongs to nobody.
            return self.close_back_as(token, Close::Reset, io);
        };
        if let Some(stats) = self.lane.pools.stats(back.server) {
            stats.received_bytes.add(bytes.len() as u64);
        }
        let Some(front) = get(&mut self.fronts, client) else {
            return self.close_back_as(token, Close::Reset, io);
        };
        if front.exchange.stage == Passing::Tunnel {
            return self.lane.pass_to_client(front, bytes, io);
        }
        // Nothing of the request has left yet: whatever this answers, it is not that.
        if front.exchange.stage == Passing::Asking && reached(&front.exchange, io) == Reached::Nothing {
            return self.fail_back(token, client, Outcome::Broke, io);
        }
        match self.lane.pass_response(front, back, &mut self.response_heads, bytes, io) {
            Came::Part => self.lane.limit_stalls(front, token, io),
            Came::Whole(0) => self.finish(client, io),
            Came::Whole(_) => {
                // Bytes behind a response that no request stands for: the connection can't be trusted.
                back.eof = true;
                self.finish(client, io);
            }
            Came::Switched(behind) => self.begin_tunnel(client, &bytes[bytes.len() - behind..], io),
            Came::Malformed => self.fail_back(token, client, Outcome::Malformed, io),
        }
    }

    /// The server will send no more.
    pub(super) fn on_back_eof(&mut self, token: Token, io: &mut Io) {
        let Some(back) = get(&mut self.backs, token) else { return };
        back.eof = true;
        let (serving, server) = (back.serving, back.server);
        match serving {
            Serving::Closing => {}
            Serving::Idle => {
                self.forget_idle(token, server);
                self.close_back(token, io);
            }
            Serving::Front(client) => {
                let Some(front) = get(&mut self.fronts, client) else { return self.close_back(token, io) };
                if front.exchange.stage == Passing::Tunnel {
                    return self.end_tunnel_side(client, io);
                }
                match back.http.end() {
                    Ok(Ended::Complete) => {
                        self.lane.end_response(front, Fields::default(), io);
                        self.finish(client, io);
                    }
                    Ok(Ended::Idle) | Err(_) => {
                        self.close_back(token, io);
                        self.on_failed(client, Outcome::Broke, io);
                    }
                }
            }
        }
    }
}

impl Lane {
    /// Passes on what came, up to the end of the response.
    fn pass_response(
        &mut self,
        front: &mut Front,
        back: &mut Back,
        heads: &mut ResponseHeads,
        bytes: &[u8],
        io: &mut Io,
    ) -> Came {
        let asked = front.exchange.onward.asked;
        let mut used = 0;
        loop {
            match back.http.next(&bytes[used..], asked, heads) {
                Ok(ResponseEvent::More) => return Came::Part,
                Ok(ResponseEvent::Interim { head, raw, used: taken }) => {
                    used += taken;
                    if front.exchange.interims == INTERIMS_MAX {
                        return Came::Malformed;
                    }
                    self.pass_interim(front, &head, raw, io);
                }
                Ok(ResponseEvent::Head { head, raw, used: taken }) => {
                    used += taken;
                    self.begin_response(front, &head, raw, io);
                }
                Ok(ResponseEvent::Content { bytes: content, used: taken }) => {
                    used += taken;
                    let out = io.out(front.token);
                    match front.exchange.framed {
                        Framed::Chunked => write::chunk(out, content),
                        Framed::None | Framed::Length(_) | Framed::UntilClose => {
                            out.extend_from_slice(content);
                        }
                    }
                    front.exchange.response_bytes += content.len() as u64;
                }
                Ok(ResponseEvent::End { trailers, used: taken }) => {
                    used += taken;
                    self.end_response(front, trailers, io);
                    return Came::Whole(bytes.len() - used);
                }
                Ok(ResponseEvent::Switched { head, raw, used: taken }) => {
                    self.begin_response(front, &head, raw, io);
                    return Came::Switched(bytes.len() - used - taken);
                }
                Err(_) => return Came::Malformed,
            }
        }
    }

    /// A 1xx: passed on to who understands it. From now on there is no other try.
    fn pass_interim(&mut self, front: &mut Front, head: &ResponseHead<'_>, raw: &[u8], io: &mut Io) {
        let awaited = front.exchange.waits_for_100();
        front.exchange.interims += 1;
        if awaited {
            self.limit_response(&front.exchange, io);
            self.limit_upload(front, io);
        }
        self.drop_kept(&mut front.exchange);
        let asker = self.asker(front, true);
        let date = self.date.at(io.wall().0);
        self.forwarder.response(head, raw, &asker, date, io.out(front.token));
    }

    /// The head of the response: from now on the client has something, and there is no other try.
    fn begin_response(&mut self, front: &mut Front, head: &ResponseHead<'_>, raw: &[u8], io: &mut Io) {
        let exchange = &mut front.exchange;
        let took = io.now().since(exchange.sent);
        exchange.latency_ns = took.as_nanos() as u64;
        exchange.status = head.status.code();
        exchange.stage = Passing::Answering;
        self.note_response(exchange, head, took);
        if exchange.coming == Coming::Body && head.status.code() >= REFUSES {
            exchange.coming = Coming::Unwanted;
            self.deadlines.clear(front.token);
            // It is read to its end, for clients that read nothing before they have sent all.
            io.resume(front.token);
        }
        self.drop_kept(&mut front.exchange);
        let is_complete = front.exchange.coming == Coming::Complete;
        let asker = self.asker(front, is_complete && self.drain.is_off());
        let date = self.date.at(io.wall().0);
        let out = io.out(front.token);
        let before = out.len();
        let sent = self.forwarder.response(head, raw, &asker, date, out);
        front.exchange.response_bytes += (out.len() - before) as u64;
        front.exchange.framed = sent.framed;
        front.exchange.is_last = !sent.keep_alive;
    }

    /// What the response's head says about its server.
    fn note_response(&mut self, exchange: &Exchange, head: &ResponseHead<'_>, took: Duration) {
        let Some(server) = exchange.server else { return };
        if let Some(stats) = self.pools.stats(server) {
            stats.latencies.record(took);
            stats.latency_sum_ns.add(took.as_nanos() as u64);
        }
        let pool = self.pools.pool(exchange.pool);
        if let Some(name) = pool.and_then(|pool| pool.config.report_header.as_deref())
            && let Some(load) = head.field(name).and_then(number)
            && let Some(entry) = self.pools.server(server)
        {
            entry.shared.load.report(load);
        }
    }

    fn asker(&self, front: &Front, keep_alive: bool) -> Asker {
        let onward = &front.exchange.onward;
        onward.asker(keep_alive && !front.has_asked_all())
    }

    /// The end of the response's content.
    fn end_response(&mut self, front: &mut Front, trailers: Fields<'_>, io: &mut Io) {
        if front.exchange.framed == Framed::Chunked {
            last_chunk(io.out(front.token), trailers);
        }
    }

    /// A part came: the next one is awaited, unless the client does not take them.
    pub(super) fn limit_stalls(&mut self, front: &Front, back: Token, io: &mut Io) {
        if front.exchange.stage != Passing::Answering {
            return;
        }
        if io.is_over(front.token) {
            io.pause(back);
        }
        self.limit_rest(&front.exchange, io);
    }

    /// The next part of the response is awaited.
    pub(super) fn limit_rest(&mut self, exchange: &Exchange, io: &Io) {
        if let (Some(back), Some(pool)) = (exchange.back, self.pools.pool(exchange.pool)) {
            self.deadlines.set(back, pool.limits.body, io.now());
        }
    }
}

/// What a server reports of its load: a number of requests.
fn number(value: &[u8]) -> Option<u32> {
    str::from_utf8(value).ok()?.trim().parse().ok()
}
