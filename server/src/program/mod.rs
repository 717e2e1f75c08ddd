//! The server as a program: bytes in, bytes out, and nothing else.
//!
//! In: what an engine tells of one lane's connections. Out: answers in the order of their requests, and the
//! decision when a connection has had its time. Never: waits, reads a clock, touches a socket.

mod answering;
mod conn;

use self::answering::Answering;
use self::conn::{Conn, Stage};
use crate::cache::Cache;
use crate::metrics::{LaneStats, Shared};
use crate::pool::Background;
use crate::routes::{Reply, Route};
use net::deadlines::Deadlines;
use net::engine::{Accepting, Close, End, Io, Opened, Program, Token};
use net::http1::{DateCache, Heads, Limits, Phase, Step};
use net::mailbox::Mailer;
use net::time::Time;
use std::sync::Arc;
use std::time::Duration;

/// What other threads tell a lane.
pub enum Mail {
    /// Finish what you have, and end.
    Drain,
    /// A background job is done.
    Done {
        /// The connection that waits.
        token: Token,
        /// Which of its requests.
        ticket: u32,
        /// The answer.
        reply: Reply,
    },
}

/// The time limits and bounds of the program; `options` documents each for users.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What a request may be.
    pub limits: Limits,
    /// From the first byte of a head to its end (and from a connection's start to its first byte).
    pub head_timeout: Duration,
    /// From one piece of a body to the next.
    pub body_timeout: Duration,
    /// From one answer to the next request.
    pub idle_timeout: Duration,
    /// For the peer to take the rest of the output and end, once we have closed.
    pub linger_timeout: Duration,
    /// From the call to drain to the end of everything.
    pub drain_timeout: Duration,
    /// While draining, how long idle connections may still bring a request (answered, and then closed).
    pub drain_idle: Duration,
    /// Requests of one connection that are being worked on; its next ones wait unread.
    pub in_flight_max: usize,
    /// Bytes that the cut requests of a lane may hold together.
    pub held_bytes_max: usize,
    /// Bytes that the lane's response cache may hold; 0 switches it off.
    pub cache_bytes: usize,
}

/// The kinds of time limit, in the order of [`crate::metrics::TIMEOUTS`].
const HEAD: u16 = 0;
const BODY: u16 = 1;
const IDLE: u16 = 2;
const LINGER: u16 = 3;

/// One lane of the server.
pub struct Server {
    /// By token index.
    conns: Vec<Option<Conn>>,
    lane: Lane,
}

/// What all connections of a lane share.
struct Lane {
    settings: Settings,
    heads: Heads,
    deadlines: Deadlines,
    open: usize,
    /// Bytes that cut requests hold.
    held: usize,
    drain: Drain,
    /// This turn brought bytes.
    heard: bool,
    answering: Answering,
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drain {
    /// It hasn't been asked for.
    Off,
    /// This very turn: what waits in the backlog is yet to be opened.
    Asked { idle_until: Time, until: Time },
    /// Idle connections may still bring a request until `idle_until`.
    Idling { idle_until: Time, until: Time },
    /// Only what is in flight is waited for.
    Finishing { until: Time },
}

impl Server {
    /// A lane that serves `routes` and counts in `stats`. Background work goes to `background` and comes back
    /// through `mailer`, which must lead to this lane's mailbox.
    pub fn new(
        routes: &'static [Route],
        settings: &Settings,
        stats: Arc<LaneStats>,
        shared: Arc<Shared>,
        background: Arc<dyn Background>,
        mailer: Mailer<Mail>,
    ) -> Server {
        let limits =
            [settings.head_timeout, settings.body_timeout, settings.idle_timeout, settings.linger_timeout];
        let answering = Answering {
            routes,
            cache: Cache::new(settings.cache_bytes),
            date: DateCache::new(),
            body: Vec::new(),
            answered: 0,
            turn_began: Time(0),
            stats,
            shared,
            background,
            mailer,
        };
        Server {
            conns: Vec::new(),
            lane: Lane {
                settings: settings.clone(),
                heads: Heads::new(settings.limits),
                deadlines: Deadlines::new(&limits),
                open: 0,
                held: 0,
                drain: Drain::Off,
                heard: false,
                answering,
            },
        }
    }

    /// Bytes that cut requests hold now.
    pub fn held_bytes(&self) -> usize {
        self.lane.held
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.lane.open
    }
}

impl Program for Server {
    type Mail = Mail;

    fn on_open(&mut self, token: Token, _: Opened, io: &mut Io) {
        if token.index() >= self.conns.len() {
            self.conns.resize_with(token.index() + 1, || None);
        }
        self.conns[token.index()] = Some(Conn::new(token));
        self.lane.open += 1;
        self.lane.deadlines.set(token, HEAD, io.now());
    }

    fn on_bytes(&mut self, token: Token, bytes: &[u8], io: &mut Io) {
        self.lane.heard = true;
        if let Some(conn) = conn(&mut self.conns, token) {
            self.lane.read(conn, bytes, io);
        }
    }

    fn on_eof(&mut self, token: Token, io: &mut Io) {
        if let Some(conn) = conn(&mut self.conns, token) {
            self.lane.on_eof(conn, io);
        }
    }

    fn on_end(&mut self, token: Token, _: End, io: &mut Io) {
        self.lane.deadlines.clear(token);
        if let Some(conn) = self.conns.get_mut(token.index()).and_then(Option::take) {
            self.lane.open -= 1;
            self.lane.held -= conn.held;
        }
        self.lane.stop_if_drained(io);
    }

    fn on_mail(&mut self, mail: Mail, io: &mut Io) {
        match mail {
            Mail::Drain => self.lane.drain(io),
            Mail::Done { token, ticket, reply } => match conn(&mut self.conns, token) {
                Some(conn) => self.lane.on_done(conn, ticket, &reply, io),
                None => self.lane.answering.stats.jobs_orphaned.one(),
            },
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        let drain = match self.lane.drain {
            Drain::Off => None,
            Drain::Idling { .. } if self.lane.open == 0 => Some(Time(0)),
            Drain::Asked { idle_until, until } | Drain::Idling { idle_until, until } => {
                Some(idle_until.min(until))
            }
            Drain::Finishing { until } => Some(until),
        };
        [self.lane.deadlines.next(), drain].into_iter().flatten().min()
    }

    fn on_deadline(&mut self, io: &mut Io) {
        while let Some((token, kind)) = self.lane.deadlines.pop_due(io.now()) {
            if let Some(conn) = conn(&mut self.conns, token) {
                self.lane.on_timeout(conn, kind, io);
            }
        }
        match self.lane.drain {
            Drain::Idling { .. } if self.lane.open == 0 => io.stop(),
            Drain::Idling { until, .. } | Drain::Finishing { until } if io.now() >= until => {
                tracing::warn!(
                    open = self.lane.open,
                    "the drain timeout has passed: what is still open is cut off"
                );
                io.stop();
            }
            // A turn that brought bytes may have left some unread, and what looks idle may wait for the lane: idle
            // connections are closed in the first quiet turn.
            Drain::Idling { idle_until, until } if io.now() >= idle_until && !self.lane.heard => {
                self.lane.drain = Drain::Finishing { until };
                for conn in self.conns.iter_mut().flatten().filter(|conn| conn.is_idle()) {
                    self.lane.close(conn, io);
                }
                self.lane.stop_if_drained(io);
            }
            _ => {}
        }
    }

    fn on_turn(&mut self, io: &mut Io) {
        self.lane.answering.end_turn(io.now());
        self.lane.heard = false;
        if let Drain::Asked { idle_until, until } = self.lane.drain {
            self.lane.drain = Drain::Idling { idle_until, until };
        }
    }
}

impl Lane {
    /// Reads requests and answers them, until the bytes are used up or the connection has enough to do.
    fn read(&mut self, conn: &mut Conn, bytes: &[u8], io: &mut Io) {
        let mut rest = bytes;
        let mut answered = false;
        while conn.stage == Stage::Open {
            if conn.in_flight() >= self.settings.in_flight_max {
                conn.http.release();
                conn.keep(rest);
                io.pause(conn.token);
                break;
            }
            match conn.http.next(rest, &mut self.heads) {
                Ok(Step::Request { request, used }) => {
                    rest = &rest[used..];
                    answered = true;
                    let last = !request.head.keep_alive || self.drain != Drain::Off;
                    self.answering.answer(conn.token, &mut conn.queue, &request, last, io);
                    if last {
                        self.close(conn, io);
                    }
                }
                Ok(Step::Expect { head, used }) => {
                    rest = &rest[used..];
                    if !self.answering.expect(conn.token, &mut conn.queue, &head, io) {
                        self.close(conn, io);
                    }
                }
                Ok(Step::More) => break,
                Err(refusal) => {
                    self.answering.refuse(conn.token, &mut conn.queue, refusal, conn.http.asks_head(), io);
                    self.close(conn, io);
                }
            }
        }
        self.weigh(conn, io);
        self.set_deadline(conn, answered, io.now());
    }

    /// Keeps the sum of what cut requests hold, and refuses the one that would push it over the limit.
    fn weigh(&mut self, conn: &mut Conn, io: &mut Io) {
        let held = conn.http.kept_bytes();
        if held == conn.held {
            return;
        }
        self.held = self.held - conn.held + held;
        conn.held = held;
        let is_cut = matches!(conn.http.phase(), Phase::Head | Phase::Body);
        if is_cut && self.held > self.settings.held_bytes_max {
            self.answering.stats.held_refusals.one();
            self.answering.overloaded(conn.token, &mut conn.queue, conn.http.asks_head(), io);
            self.close(conn, io);
        }
    }

    /// Which limit the connection is under now. A head's limit runs from its first byte, so it is set once.
    fn set_deadline(&mut self, conn: &mut Conn, answered: bool, now: Time) {
        let phase = conn.http.phase();
        let kind = match phase {
            _ if conn.stage != Stage::Open => return,
            Phase::Head => HEAD,
            Phase::Body => BODY,
            // While a job is at work, it is us who are slow.
            Phase::Idle | Phase::Closed if conn.in_flight() > 0 => return self.deadlines.clear(conn.token),
            Phase::Idle | Phase::Closed => IDLE,
        };
        if phase != Phase::Head || conn.phase != Phase::Head || answered {
            self.deadlines.set(conn.token, kind, now);
        }
        conn.phase = phase;
    }

    /// A background job is done: its answer goes out as soon as it is its turn.
    fn on_done(&mut self, conn: &mut Conn, ticket: u32, reply: &Reply, io: &mut Io) {
        let is_last = self.drain != Drain::Off && conn.stage == Stage::Open && conn.is_last(ticket);
        self.answering.finish(conn.token, &mut conn.queue, ticket, reply, is_last, io);
        if is_last {
            self.stop_reading(conn, io);
            conn.stage = Stage::Finishing;
        }
        match conn.stage {
            Stage::Open if conn.in_flight() < self.settings.in_flight_max => {
                let kept = conn.take_kept();
                io.resume(conn.token);
                self.read(conn, &kept, io);
                if conn.eof {
                    self.on_eof(conn, io);
                }
                // Its last answer was planned before the drain, and idle connections have been closed since.
                if matches!(self.drain, Drain::Finishing { .. }) && conn.is_idle() {
                    self.close(conn, io);
                }
            }
            Stage::Finishing if conn.in_flight() == 0 => {
                conn.queue = None;
                self.close(conn, io);
            }
            Stage::Open | Stage::Finishing | Stage::Closing => {}
        }
    }

    /// No more requests from this peer: what is in flight is answered, and then it is over.
    fn on_eof(&mut self, conn: &mut Conn, io: &mut Io) {
        conn.eof = true;
        if conn.stage == Stage::Open && !conn.has_kept() {
            self.close(conn, io);
        }
    }

    /// Ends the connection when its answers are out. No request is read any more.
    fn close(&mut self, conn: &mut Conn, io: &mut Io) {
        self.stop_reading(conn, io);
        if conn.queue.is_some() {
            conn.stage = Stage::Finishing;
            return self.deadlines.clear(conn.token);
        }
        conn.stage = Stage::Closing;
        conn.sent_before = io.sent_so_far(conn.token);
        io.close(conn.token, Close::AfterFlush);
        self.deadlines.set(conn.token, LINGER, io.now());
    }

    /// What else comes is discarded, and what was kept of a request is freed.
    fn stop_reading(&mut self, conn: &mut Conn, io: &mut Io) {
        conn.http.close();
        self.held -= conn.held;
        conn.held = 0;
        io.resume(conn.token);
    }

    fn on_timeout(&mut self, conn: &mut Conn, kind: u16, io: &mut Io) {
        if let Some(kind) = self.is_still_taking(conn, kind, io) {
            return self.deadlines.set(conn.token, kind, io.now());
        }
        self.answering.stats.timeouts[usize::from(kind)].one();
        match (kind, conn.http.phase()) {
            (HEAD | BODY, Phase::Head | Phase::Body) => {
                self.answering.time_out(conn.token, &mut conn.queue, conn.http.asks_head(), io);
                self.close(conn, io);
            }
            // A peer that doesn't even take its answers gets no more time.
            (HEAD | BODY | IDLE, _) if io.unsent(conn.token) == 0 => self.close(conn, io),
            _ => io.close(conn.token, Close::Now),
        }
    }

    /// The limit that goes on, for a peer that is not to blame or still at it.
    fn is_still_taking(&self, conn: &mut Conn, kind: u16, io: &Io) -> Option<u16> {
        let unsent = io.unsent(conn.token);
        let sent = io.sent_so_far(conn.token);
        let takes = unsent > 0 && sent > conn.sent_before;
        conn.sent_before = sent;
        match kind {
            // It is we who don't read its request, because of the answers that it has yet to take.
            HEAD | BODY if unsent > 0 && io.is_over(conn.token) => {
                conn.phase = Phase::Idle;
                Some(IDLE)
            }
            // A large send buffer opens in large steps: a few seconds don't show whether the peer reads.
            LINGER if unsent > 0 => Some(IDLE),
            // It takes its output, slowly: the same time again.
            IDLE if takes => Some(IDLE),
            _ => None,
        }
    }

    fn drain(&mut self, io: &mut Io) {
        if self.drain != Drain::Off {
            return;
        }
        let until = io.now() + self.settings.drain_timeout;
        let idle_until = io.now() + self.settings.drain_idle;
        self.drain = Drain::Asked { idle_until, until };
        io.accepting(Accepting::Off);
    }

    fn stop_if_drained(&self, io: &mut Io) {
        if self.open == 0 && matches!(self.drain, Drain::Finishing { .. }) {
            io.stop();
        }
    }
}

fn conn(conns: &mut [Option<Conn>], token: Token) -> Option<&mut Conn> {
    conns.get_mut(token.index())?.as_mut().filter(|conn| conn.token == token)
}
