//! Operators' connections.
//!
//! In: what an engine tells of them. Out: an answer to each request, in order. Never: more than
//! [`OPERATORS_MAX`] at a time, a wait without a limit, or answers piled up for one that does not read.

use super::desk::Answer;
use super::drop_now;
use super::limits::{
    IDLE_TIMEOUT, LINGER_TIMEOUT, OPERATOR_LIMITS, OPERATORS_MAX, REQUEST_TIMEOUT, UNSENT_BYTES_MAX,
};
use net::deadlines::Deadlines;
use net::engine::{Close, Io, Token};
use net::http1::write::{self, Response};
use net::http1::{DateCache, Heads, Method, Persistence, Phase, Refusal, Request, ServerConn, Status, Step};
use net::time::Time;

/// The kinds of time limit.
const REQUEST: u16 = 0;
const IDLE: u16 = 1;
const LINGER: u16 = 2;

/// All of them.
pub(super) struct Door {
    /// By token index.
    conns: Vec<Option<Conn>>,
    open: usize,
    heads: Heads,
    deadlines: Deadlines,
    date: DateCache,
}

struct Conn {
    token: Token,
    http: ServerConn,
    stage: Stage,
    /// Which limit it is under.
    waits: u16,
    /// What the kernel had taken of its answers when its limit was set.
    sent_before: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    Closing,
}

impl Door {
    pub(super) fn new() -> Door {
        Door {
            conns: Vec::new(),
            open: 0,
            heads: Heads::new(OPERATOR_LIMITS),
            deadlines: Deadlines::new(&[REQUEST_TIMEOUT, IDLE_TIMEOUT, LINGER_TIMEOUT]),
            date: DateCache::new(),
        }
    }

    /// Connections open now.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.deadlines.next()
    }

    pub(super) fn on_open(&mut self, token: Token, io: &mut Io) {
        if token.index() >= self.conns.len() {
            self.conns.resize_with(token.index() + 1, || None);
        }
        let conn =
            Conn { token, http: ServerConn::new(), stage: Stage::Open, waits: REQUEST, sent_before: 0 };
        let conn = self.conns[token.index()].insert(conn);
        self.open += 1;
        self.deadlines.set(token, REQUEST, io.now());
        if self.open > OPERATORS_MAX {
            let why = "too many connections at the admin address\n";
            let answer = text(Status::SERVICE_UNAVAILABLE, why);
            send(&answer, Persistence::Close, false, token, &mut self.date, io);
            close(conn, &mut self.deadlines, io);
        }
    }

    /// Reads requests, and has each answered by `answer`.
    pub(super) fn on_bytes(
        &mut self,
        token: Token,
        bytes: &[u8],
        io: &mut Io,
        answer: &mut dyn FnMut(&Request<'_>) -> Answer,
    ) {
        let Door { conns, heads, deadlines, date, .. } = self;
        let Some(conn) = conn(conns, token) else { return };
        let mut rest = bytes;
        let mut answered = false;
        while conn.stage == Stage::Open {
            match conn.http.next(rest, heads) {
                Ok(Step::Request { request, used }) => {
                    rest = &rest[used..];
                    answered = true;
                    let persistence = if io.unsent(token) > UNSENT_BYTES_MAX {
                        Persistence::Close
                    } else {
                        request.head.persistence()
                    };
                    let is_head = request.head.method == Method::Head;
                    send(&answer(&request), persistence, is_head, token, date, io);
                    if persistence == Persistence::Close {
                        close(conn, deadlines, io);
                    }
                }
                Ok(Step::Expect { used, .. }) => {
                    rest = &rest[used..];
                    io.out(token).extend_from_slice(write::CONTINUE);
                }
                Ok(Step::More) => break,
                Err(refusal) => {
                    let is_head = conn.http.asks_head();
                    send(&refused(refusal), Persistence::Close, is_head, token, date, io);
                    close(conn, deadlines, io);
                }
            }
        }
        if conn.stage == Stage::Open {
            conn.sent_before = io.sent_so_far(token);
            let waits = match conn.http.phase() {
                Phase::Head | Phase::Body => REQUEST,
                Phase::Idle | Phase::Closed if answered => IDLE,
                Phase::Idle | Phase::Closed => conn.waits,
            };
            // A request's limit runs from its first byte: each further one does not put it off.
            if answered || waits != conn.waits {
                conn.waits = waits;
                deadlines.set(token, waits, io.now());
            }
        }
    }

    pub(super) fn on_eof(&mut self, token: Token, io: &mut Io) {
        if let Some(conn) = conn(&mut self.conns, token).filter(|conn| conn.stage == Stage::Open) {
            close(conn, &mut self.deadlines, io);
        }
    }

    pub(super) fn on_end(&mut self, token: Token) {
        self.deadlines.clear(token);
        if conn(&mut self.conns, token).is_some() {
            self.conns[token.index()] = None;
            self.open -= 1;
        }
    }

    pub(super) fn on_deadline(&mut self, io: &mut Io) {
        while let Some((token, kind)) = self.deadlines.pop_due(io.now()) {
            let Some(conn) = conn(&mut self.conns, token) else { continue };
            let sent = io.sent_so_far(token);
            let takes = io.unsent(token) > 0 && sent > std::mem::replace(&mut conn.sent_before, sent);
            match kind {
                // It takes its answers, slowly: the same time again.
                _ if takes => self.deadlines.set(token, kind, io.now()),
                REQUEST if conn.stage == Stage::Open && conn.http.phase() != Phase::Idle => {
                    let answer = text(Status::REQUEST_TIMEOUT, "the request did not come in time\n");
                    let is_head = conn.http.asks_head();
                    send(&answer, Persistence::Close, is_head, token, &mut self.date, io);
                    close(conn, &mut self.deadlines, io);
                }
                REQUEST | IDLE if conn.stage == Stage::Open && io.unsent(token) == 0 => {
                    close(conn, &mut self.deadlines, io);
                }
                _ => drop_now(token, io),
            }
        }
    }
}

/// Ends the connection when its answers are out.
fn close(conn: &mut Conn, deadlines: &mut Deadlines, io: &mut Io) {
    conn.http.close();
    conn.stage = Stage::Closing;
    io.close(conn.token, Close::AfterFlush);
    deadlines.set(conn.token, LINGER, io.now());
}

fn send(
    answer: &Answer,
    persistence: Persistence,
    omit_body: bool,
    token: Token,
    date: &mut DateCache,
    io: &mut Io,
) {
    let date = date.at(io.wall().0);
    let fields: Vec<(&str, &str)> = answer.fields.iter().map(|(name, value)| (*name, &**value)).collect();
    let response = Response {
        status: answer.status,
        fields: &fields,
        content_type: Some(answer.content_type),
        body: &answer.body,
        persistence,
        omit_body,
    };
    write::response(io.out(token), &response, date);
}

fn text(status: Status, why: &str) -> Answer {
    Answer { status, content_type: "text/plain", fields: Vec::new(), body: why.as_bytes().to_vec() }
}

fn refused(refusal: Refusal) -> Answer {
    text(refusal.status, &format!("{refusal}\n"))
}

fn conn(conns: &mut [Option<Conn>], token: Token) -> Option<&mut Conn> {
    conns.get_mut(token.index())?.as_mut().filter(|conn| conn.token == token)
}
