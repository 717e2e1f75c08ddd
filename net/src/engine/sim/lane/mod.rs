//! One host's lane: the same turn that the real engines take, on the world's network.
//!
//! In: news from the network, mails, the clock. Out: to the program what happened, to the network what the
//! program left in [`Io`]. Never: does anything between two turns.

mod host;
mod settle;

pub(super) use host::Host;

use super::Setup;
use super::net::{Found, Net, News};
use super::wire::Plug;
use crate::engine::{Accepting, Close, End, Io, Opened, Program, Token};
use crate::stats::EngineStats;
use crate::time::{Time, UnixSeconds};
use std::collections::VecDeque;
use std::time::Duration;

/// Pieces of one connection in one turn; the rest waits for the next.
const READS_PER_TURN: usize = 16;
/// Accepting pauses this long after descriptors ran out, unless a connection ends before.
const DESCRIPTOR_PAUSE: Duration = Duration::from_millis(100);
/// The wall clock when the world begins.
const WALL_START: u64 = 1_800_000_000;

pub(super) struct Lane<P: Program> {
    number: usize,
    life: Life,
    setup: Setup<P::Mail>,
    /// When the next turn is due, and when the last one was done.
    turn_at: Option<Time>,
    busy_until: Time,
    news: Vec<News>,
    mails: VecDeque<P::Mail>,
    /// By token index.
    conns: Vec<Option<Conn>>,
    sends: Sends,
    resume_at: Option<Time>,
    full: bool,
    buffer: Vec<u8>,
    io: Io,
    program: P,
    stats: EngineStats,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// `on_start` is due.
    Fresh,
    Running,
    /// Takes no turns; its kernel goes on.
    Hung,
    /// Its program stopped.
    Stopped,
    Killed,
}

/// When a program learns that output was taken.
#[derive(Clone, Copy)]
enum Sends {
    /// At once, as with epoll.
    AtOnce,
    /// In a later turn, as with io_uring.
    Later,
}

struct Conn {
    token: Token,
    plug: Plug,
    stage: Stage,
    sending: bool,
    /// Taken from the program, not yet taken by the network.
    unsent: Vec<u8>,
    unsent_from: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connecting,
    Open,
    /// The peer has ended, and the program knows.
    Eof,
    /// We have shut down our side; the peer has not ended.
    Shut,
    /// Both sides have ended, and the program knows.
    Over,
}

impl<P: Program + 'static> Lane<P> {
    fn read_clocks(&mut self, net: &Net) {
        self.io.set_now(net.now);
        self.io.set_wall(UnixSeconds(WALL_START + net.now.0 / 1_000_000_000));
    }

    fn is_due(&self, net: &Net) -> bool {
        let due = [self.program.next_deadline(), self.resume_at].into_iter().flatten().min();
        self.has_work() || due.is_some_and(|due| due <= net.now)
    }

    fn has_work(&self) -> bool {
        !self.news.is_empty() || !self.mails.is_empty() || self.io.has_wishes()
    }

    /// Tells the program what happened, then makes the network match what it wishes.
    fn run_turn(&mut self, net: &mut Net) {
        self.read_clocks(net);
        let mail_first = net.rng.chance(0.5);
        if mail_first {
            self.deliver_mails(net);
        }
        let mut news = std::mem::take(&mut self.news);
        if news.len() > 1 && net.rng.chance(net.faults.straggle) {
            net.rng.shuffle(&mut news);
            self.news = news.split_off(net.rng.within(1..=news.len()));
        }
        for news in news {
            self.on_news(news, net);
        }
        if !mail_first {
            self.deliver_mails(net);
        }
        if self.program.next_deadline().is_some_and(|due| due <= self.io.now()) {
            net.trace.note([4, self.number as u64, 0, net.now.0]);
            self.program.on_deadline(&mut self.io);
        }
        net.now = net.now + net.rng.duration(&net.faults.turn);
        self.io.set_now(net.now);
        self.program.on_turn(&mut self.io);
        self.settle(net);
        self.stats.turns.one();
    }

    fn deliver_mails(&mut self, net: &mut Net) {
        while let Some(mail) = self.mails.pop_front() {
            net.trace.note([5, self.number as u64, 0, net.now.0]);
            self.program.on_mail(mail, &mut self.io);
        }
    }

    fn on_news(&mut self, news: News, net: &mut Net) {
        match news {
            News::Acceptable(listener) => self.accept(listener, net),
            News::Connected(token, result) => self.on_connected(token, result, net),
            News::Sent(token, count) => self.on_sent(token, count),
            News::Ready(token) => {
                if conn(&mut self.conns, token).is_none() {
                    return self.stats.late_completions.one();
                }
                self.io.touch(token);
                self.read(token, net);
            }
            News::Released(token) => self.io.release(token),
        }
    }

    fn accept(&mut self, listener: usize, net: &mut Net) {
        while self.io.wants_accept() == Accepting::On && !self.is_full() && self.resume_at.is_none() {
            if net.rng.chance(net.faults.shortage) {
                self.stats.descriptor_pauses.one();
                self.resume_at = Some(net.now + DESCRIPTOR_PAUSE);
                return;
            }
            let Some(plug) = net.accept(self.number, listener) else { return };
            self.open(listener, plug, net);
        }
    }

    fn is_full(&self) -> bool {
        self.io.in_use() >= self.setup.connections_max
    }

    fn open(&mut self, listener: usize, plug: Plug, net: &mut Net) {
        let token = self.io.opened();
        let peer = net.peer_of(plug);
        net.hold(plug, self.number, token);
        self.insert(token, plug, Stage::Open);
        self.stats.accepts.one();
        net.trace.note([1, self.number as u64, token.index() as u64, net.now.0]);
        self.program.on_open(token, Opened::Accepted { listener, peer }, &mut self.io);
        self.io.touch(token);
    }

    fn insert(&mut self, token: Token, plug: Plug, stage: Stage) {
        if token.index() >= self.conns.len() {
            self.conns.resize_with(token.index() + 1, || None);
        }
        let conn = Conn { token, plug, stage, sending: false, unsent: Vec::new(), unsent_from: 0 };
        self.conns[token.index()] = Some(conn);
    }

    fn on_connected(&mut self, token: Token, result: Result<(), i32>, net: &mut Net) {
        let Some(conn) = conn(&mut self.conns, token) else { return self.stats.late_completions.one() };
        match result {
            Ok(()) if self.io.connected(token) => {
                conn.stage = Stage::Open;
                self.stats.connects.one();
                net.trace.note([1, self.number as u64, token.index() as u64, net.now.0]);
                self.program.on_open(token, Opened::Connected, &mut self.io);
                self.io.touch(token);
            }
            Ok(()) => self.io.touch(token),
            Err(error) => self.end(token, End::ConnectFailed(error), net),
        }
    }

    /// Reads what there is, as long as the program wants bytes; discards it when we have shut down.
    fn read(&mut self, token: Token, net: &mut Net) {
        for _ in 0..READS_PER_TURN {
            let Some(conn) = conn(&mut self.conns, token) else { return };
            let discards = self.io.closing(token) == Some(Close::AfterFlush);
            if matches!(conn.stage, Stage::Connecting | Stage::Eof | Stage::Over) {
                return;
            }
            if !discards && !self.io.wants_bytes(token) {
                if self.io.is_held_back(token) {
                    self.stats.backpressure_pauses.one();
                }
                return;
            }
            match net.receive(conn.plug, self.setup.receive_buffer_bytes, &mut self.buffer) {
                Found::Nothing => return,
                Found::Eof => return self.on_eof(token, net),
                Found::Reset => return self.end(token, End::Reset, net),
                Found::Bytes => {
                    let count = self.buffer.len() as u64;
                    self.stats.received_bytes.add(count);
                    if !discards {
                        net.trace.note([2, token.index() as u64, count, net.now.0]);
                        self.program.on_bytes(token, &self.buffer, &mut self.io);
                    }
                }
            }
        }
        net.tell(self.number, News::Ready(token));
    }

    fn on_eof(&mut self, token: Token, net: &mut Net) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        let is_shut = conn.stage == Stage::Shut;
        conn.stage = if is_shut { Stage::Over } else { Stage::Eof };
        match self.io.closing(token) {
            Some(_) if is_shut => return self.end(token, End::Closed, net),
            Some(_) => {}
            None => {
                net.trace.note([3, self.number as u64, token.index() as u64, net.now.0]);
                self.program.on_eof(token, &mut self.io);
            }
        }
        self.io.touch(token);
    }
}

fn conn(conns: &mut [Option<Conn>], token: Token) -> Option<&mut Conn> {
    conns.get_mut(token.index())?.as_mut().filter(|conn| conn.token == token)
}
