//! One host's lane: the same turn that the real engines take, on the world's network.
//!
//! In: news from the network, mails, the clock. Out: to the program what happened, to the network what the
//! program left in [`Io`]. Never: does anything between two turns.

use super::Setup;
use super::net::{Event, Found, Leave, Net, News};
use super::wire::Plug;
use crate::engine::{Accepting, Close, Connect, End, Io, Opened, Program, Token};
use crate::stats::EngineStats;
use crate::time::{Time, UnixSeconds};
use std::any::Any;
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
    /// We have shut down our side, and wait for the peer's end.
    Shut,
}

/// A lane whose program's type the world has forgotten.
pub(super) trait Host {
    fn life(&self) -> Life;
    fn revive(&mut self, net: &mut Net);
    fn hang(&mut self);
    fn kill(&mut self, net: &mut Net);
    fn collect_mail(&mut self, net: &mut Net);
    fn hear(&mut self, news: News, net: &mut Net);
    fn turn(&mut self, net: &mut Net);
    fn stats(&self) -> &EngineStats;
    fn program(&self) -> &dyn Any;
    fn program_mut(&mut self) -> &mut dyn Any;
    fn into_program(self: Box<Self>) -> Box<dyn Any>;
    /// Replaces a dead program by one of the same type.
    fn restart(&mut self, program: Box<dyn Any>, net: &mut Net);
}

impl<P: Program + 'static> Lane<P> {
    pub(super) fn start(number: usize, program: P, setup: Setup<P::Mail>, net: &mut Net) -> Lane<P> {
        let mut lane = Lane {
            number,
            life: Life::Fresh,
            turn_at: None,
            busy_until: net.now,
            news: Vec::new(),
            mails: VecDeque::new(),
            conns: Vec::new(),
            sends: if net.rng.chance(0.5) { Sends::AtOnce } else { Sends::Later },
            resume_at: None,
            full: false,
            buffer: Vec::new(),
            io: Io::new(setup.unsent_bytes_max),
            setup,
            program,
            stats: EngineStats::default(),
        };
        lane.begin(net);
        lane
    }

    fn begin(&mut self, net: &mut Net) {
        for (listener, address) in self.setup.listen.iter().enumerate() {
            net.listen(self.number, listener, address.clone());
        }
        self.schedule(net.now, net);
    }

    fn schedule(&mut self, at: Time, net: &mut Net) {
        let at = at.max(self.busy_until).max(net.now);
        if self.turn_at.is_none_or(|earlier| at < earlier) {
            self.turn_at = Some(at);
            net.push(at, Event::Turn(self.number));
        }
    }

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
        net.hold(plug, self.number, token);
        self.insert(token, plug, Stage::Open);
        self.stats.accepts.one();
        net.trace.note([1, self.number as u64, token.index() as u64, net.now.0]);
        self.program.on_open(token, Opened::Accepted { listener }, &mut self.io);
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
            if matches!(conn.stage, Stage::Connecting | Stage::Eof) {
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
        if conn.stage == Stage::Shut {
            return self.end(token, End::Closed, net);
        }
        conn.stage = Stage::Eof;
        if self.io.closing(token).is_none() {
            net.trace.note([3, self.number as u64, token.index() as u64, net.now.0]);
            self.program.on_eof(token, &mut self.io);
        }
        self.io.touch(token);
    }

    /// Makes the network match what the program left in `Io`.
    fn settle(&mut self, net: &mut Net) {
        for _ in 0..self.io.connects_waiting() {
            if let Some(Connect { token, to }) = self.io.next_connect() {
                let plug = net.connect(self.number, token, to);
                self.insert(token, plug, Stage::Connecting);
            }
        }
        self.settle_conns(net);
        self.settle_accepting(net);
        self.settle_conns(net);
    }

    fn settle_conns(&mut self, net: &mut Net) {
        while let Some(token) = self.io.next_touched() {
            self.settle_conn(token, net);
        }
    }

    fn settle_conn(&mut self, token: Token, net: &mut Net) {
        self.write(token, net);
        let Some(conn) = conn(&mut self.conns, token) else { return };
        match self.io.closing(token) {
            None => self.read(token, net),
            Some(Close::Now) => self.end(token, End::Aborted, net),
            Some(Close::AfterFlush) => {
                if self.io.is_flushed(token) {
                    match conn.stage {
                        Stage::Eof => return self.finish(token, net),
                        Stage::Open | Stage::Connecting => {
                            conn.stage = Stage::Shut;
                            net.shut(conn.plug);
                        }
                        Stage::Shut => {}
                    }
                }
                self.read(token, net);
            }
        }
    }

    /// Both sides have ended.
    fn finish(&mut self, token: Token, net: &mut Net) {
        if let Some(conn) = conn(&mut self.conns, token) {
            net.shut(conn.plug);
        }
        self.end(token, End::Closed, net);
    }

    /// Writes until everything is sent or the network takes no more.
    fn write(&mut self, token: Token, net: &mut Net) {
        loop {
            let Some(conn) = conn(&mut self.conns, token) else { return };
            if conn.stage == Stage::Connecting || conn.sending {
                return;
            }
            if conn.unsent.is_empty() {
                let Some(out) = self.io.take_out(token) else { return };
                conn.unsent = out;
                conn.unsent_from = 0;
            }
            let rest = &conn.unsent[conn.unsent_from..];
            match net.send(conn.plug, rest) {
                Err(()) => return self.end(token, End::Reset, net),
                Ok(0) => return,
                Ok(count) => {
                    if count < rest.len() {
                        self.stats.short_sends.one();
                    }
                    conn.sending = true;
                    match self.sends {
                        Sends::AtOnce => self.on_sent(token, count),
                        Sends::Later => net.tell(self.number, News::Sent(token, count)),
                    }
                }
            }
        }
    }

    fn on_sent(&mut self, token: Token, count: usize) {
        let Some(conn) = conn(&mut self.conns, token) else { return self.stats.late_completions.one() };
        conn.sending = false;
        conn.unsent_from += count;
        if conn.unsent_from == conn.unsent.len() {
            self.io.reuse(std::mem::take(&mut conn.unsent));
        }
        self.stats.sent_bytes.add(count as u64);
        self.io.touch(token);
        if self.io.sent(token, count) {
            self.program.on_drained(token, &mut self.io);
        }
    }

    fn end(&mut self, token: Token, end: End, net: &mut Net) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        match end {
            End::Reset => self.stats.resets.one(),
            End::ConnectFailed(_) => self.stats.connect_failures.one(),
            End::Closed | End::Aborted => {}
        }
        if conn.stage != Stage::Connecting {
            self.stats.ends.one();
        }
        net.leave(conn.plug, if end == End::Aborted { Leave::Abort } else { Leave::Done });
        net.trace.note([6, self.number as u64, token.index() as u64, net.now.0]);
        self.conns[token.index()] = None;
        self.resume_at = None;
        self.io.end(token);
        self.program.on_end(token, end, &mut self.io);
        // The kernel may hold on to a connection for a while: its index is not free before.
        if net.rng.chance(net.faults.straggle) {
            net.tell(self.number, News::Released(token));
        } else {
            self.io.release(token);
        }
    }

    /// Takes who waits, if the program wants it.
    fn settle_accepting(&mut self, net: &mut Net) {
        if self.resume_at.is_some_and(|at| at <= self.io.now()) {
            self.resume_at = None;
        }
        let listeners = 0..self.setup.listen.len();
        match self.io.wants_accept() {
            Accepting::On => listeners.for_each(|listener| self.accept(listener, net)),
            Accepting::Paused => {}
            // What waits in the backlog was promised a connection: it is taken before the listener closes.
            Accepting::Off => {
                for listener in listeners {
                    while let Some(plug) = net.accept(self.number, listener) {
                        self.open(listener, plug, net);
                    }
                }
                net.unlisten(self.number);
            }
        }
        let full = self.is_full();
        if full && !std::mem::replace(&mut self.full, full) {
            self.stats.connection_pauses.one();
        }
        self.full = full;
    }

    /// The program has stopped: everything that is still open ends.
    fn end_all(&mut self, net: &mut Net) {
        net.unlisten(self.number);
        for token in self.io.live_tokens() {
            if conn(&mut self.conns, token).is_some() {
                self.end(token, End::Aborted, net);
            } else {
                // Asked for and not yet begun.
                self.io.end(token);
                self.program.on_end(token, End::Aborted, &mut self.io);
            }
        }
        self.life = Life::Stopped;
    }
}

impl<P: Program + 'static> Host for Lane<P> {
    fn life(&self) -> Life {
        self.life
    }

    fn revive(&mut self, net: &mut Net) {
        if self.life == Life::Hung {
            self.life = Life::Running;
            self.schedule(net.now, net);
        }
    }

    fn hang(&mut self) {
        if self.life == Life::Running {
            self.life = Life::Hung;
        }
    }

    fn kill(&mut self, net: &mut Net) {
        net.unlisten(self.number);
        for conn in std::mem::take(&mut self.conns).into_iter().flatten() {
            net.leave(conn.plug, Leave::Die);
        }
        self.life = Life::Killed;
    }

    fn collect_mail(&mut self, net: &mut Net) {
        let Some(mailbox) = &self.setup.mailbox else { return };
        if !matches!(self.life, Life::Running | Life::Fresh) {
            return;
        }
        let before = self.mails.len();
        self.mails.extend(std::iter::from_fn(|| mailbox.take()));
        if self.mails.len() > before {
            let at = net.soon();
            self.schedule(at, net);
        }
    }

    fn hear(&mut self, news: News, net: &mut Net) {
        if matches!(self.life, Life::Running | Life::Fresh | Life::Hung) {
            self.news.push(news);
            self.schedule(net.now, net);
        }
    }

    fn turn(&mut self, net: &mut Net) {
        // A turn that was scheduled and then moved forward, or one of a host that is dead.
        if self.turn_at.is_none_or(|at| at > net.now) {
            return;
        }
        self.turn_at = None;
        let began = net.now;
        match self.life {
            Life::Fresh => {
                self.life = Life::Running;
                self.read_clocks(net);
                self.program.on_start(&mut self.io);
                self.settle(net);
            }
            Life::Running if self.is_due(net) => self.run_turn(net),
            Life::Running => {}
            Life::Hung | Life::Stopped | Life::Killed => return,
        }
        if self.io.is_stopping() {
            self.end_all(net);
        }
        // The lane was busy until now; the other hosts were not.
        self.busy_until = std::mem::replace(&mut net.now, began);
        if self.life != Life::Running {
            return;
        }
        if self.has_work() {
            self.schedule(net.now, net);
        } else if let Some(due) = [self.program.next_deadline(), self.resume_at].into_iter().flatten().min() {
            self.schedule(due, net);
        }
    }

    fn stats(&self) -> &EngineStats {
        &self.stats
    }

    fn program(&self) -> &dyn Any {
        &self.program
    }

    fn program_mut(&mut self) -> &mut dyn Any {
        &mut self.program
    }

    fn into_program(self: Box<Self>) -> Box<dyn Any> {
        Box::new(self.program)
    }

    fn restart(&mut self, program: Box<dyn Any>, net: &mut Net) {
        let Ok(program) = program.downcast::<P>() else { return };
        let setup = std::mem::take(&mut self.setup);
        *self = Lane::start(self.number, *program, setup, net);
    }
}

fn conn(conns: &mut [Option<Conn>], token: Token) -> Option<&mut Conn> {
    conns.get_mut(token.index())?.as_mut().filter(|conn| conn.token == token)
}
