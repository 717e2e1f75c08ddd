//! A lane as plain data: the program, its connections, and what of their ends is due.
//!
//! In: what tasks report (opened, received, sent, failed) and what the program left in [`Io`]. Out: what a
//! connection's task should do next. Never: waits, or does I/O on a connection.

use super::doors::{Doors, Stage as Door};
use crate::engine::os::DESCRIPTOR_PAUSE;
use crate::engine::{Accepting, Close, Connect, End, Ending, Failure, Io, Opened, Program, Settings, Token};
use crate::listen::{self, Listener};
use crate::stats::EngineStats;
use crate::time::{Time, real};
use rustix::io::Errno;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

pub(super) struct Lane<P: Program> {
    pub(super) io: Io,
    pub(super) program: P,
    pub(super) settings: Settings,
    pub(super) stats: Arc<EngineStats>,
    doors: Doors,
    /// Descriptors ran out; accepting goes on then, or when a connection ends.
    resume_at: Option<Time>,
    /// By token index.
    conns: Vec<Option<Conn>>,
    /// Whose task runs: it looks at its connection again by itself.
    current: Option<Token>,
    turn: Turn,
    /// Of the task that turns.
    turner: Option<Waker>,
    failure: Option<Failure>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Nothing has happened since the last one.
    Between,
    /// Something has: it ends when whoever else had something to tell has told it.
    Begun,
}

/// A connection, as far as it is no task's own.
struct Conn {
    token: Token,
    stage: Stage,
    /// Of its task, once that has run.
    task: Option<Waker>,
    /// Is not read because its output is over the limit, and that has been counted.
    held_back: bool,
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
    /// For the program it is over; its task lets go of the socket.
    Ended(Parting),
}

/// How a task leaves its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parting {
    Close,
    Reset,
}

/// Whether bytes are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    ByProgram,
    /// Until the peer ends, by nobody.
    Discarded,
    /// The connection is over.
    Never,
}

/// What to do for a connection's output.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output {
    Send(Vec<u8>),
    /// Everything is sent: shut down our side.
    Shut,
    /// The connection is over.
    Over,
}

impl<P: Program> Lane<P> {
    pub(super) fn new(program: P, doors: Doors, settings: &Settings, stats: &Arc<EngineStats>) -> Lane<P> {
        Lane {
            io: Io::new(settings.unsent_bytes_max),
            program,
            settings: settings.clone(),
            stats: stats.clone(),
            doors,
            resume_at: None,
            conns: Vec::new(),
            current: None,
            turn: Turn::Between,
            turner: None,
            failure: None,
        }
    }

    /// Something has happened: tells the program by `tell`, and does what it wishes.
    pub(super) fn event<T>(&mut self, of: Option<Token>, tell: impl FnOnce(&mut Self) -> T) -> T {
        self.begin_turn();
        self.current = of;
        let told = tell(self);
        self.settle();
        self.current = None;
        told
    }

    pub(super) fn begin_turn(&mut self) {
        if self.turn == Turn::Between {
            self.turn = Turn::Begun;
            self.io.set_now(real::now());
            self.io.set_wall(real::wall());
            if let Some(turner) = &self.turner {
                turner.wake_by_ref();
            }
        }
    }

    /// Done when a turn has begun.
    pub(super) fn poll_turn(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.is_turn_due() {
            return Poll::Ready(());
        }
        remember(&mut self.turner, cx);
        Poll::Pending
    }

    pub(super) fn is_turn_due(&self) -> bool {
        self.turn == Turn::Begun
    }

    pub(super) fn next_due(&self) -> Option<Time> {
        [self.program.next_deadline(), self.resume_at].into_iter().flatten().min()
    }

    /// What a turn is for when its events are told. Out: connects to make.
    pub(super) fn turn(&mut self) -> Vec<Connect> {
        self.begin_turn();
        if self.program.next_deadline().is_some_and(|due| due <= self.io.now()) {
            self.program.on_deadline(&mut self.io);
        }
        self.io.set_now(real::now());
        self.program.on_turn(&mut self.io);
        self.settle();
        let mut connects = Vec::new();
        for _ in 0..self.io.connects_waiting() {
            connects.extend(self.io.next_connect().filter(|connect| self.begin_connect(connect.token)));
        }
        connects
    }

    /// The next turn begins with what is told from now on; at once, if the program wished for more meanwhile.
    pub(super) fn end_turn(&mut self) {
        self.stats.turns.one();
        self.turn = Turn::Between;
        if self.io.has_wishes() {
            self.begin_turn();
        }
    }

    fn settle(&mut self) {
        while let Some(token) = self.io.next_touched() {
            match self.io.closing(token) {
                Some(Close::Now) => self.end(token, End::Aborted),
                Some(Close::Reset) => self.end_with(token, End::Aborted, Parting::Reset),
                Some(Close::AfterFlush) | None => self.wake(token),
            }
        }
    }

    fn wake(&self, token: Token) {
        if self.current != Some(token)
            && let Some(Some(conn)) = self.conns.get(token.index())
            && let Some(task) = conn.task.as_ref().filter(|_| conn.token == token)
        {
            task.wake_by_ref();
        }
    }

    /// A connection is accepted.
    pub(super) fn accepted(&mut self, listener: usize, peer: Option<SocketAddr>) -> Token {
        self.stats.accepts.one();
        let token = self.io.opened();
        self.insert(token, Stage::Open);
        self.program.on_open(token, Opened::Accepted { listener, peer }, &mut self.io);
        token
    }

    /// The runtime had no room for a connection that was accepted: as if the peer had been reset.
    pub(super) fn lost(&self) {
        self.stats.accepts.one();
        self.stats.ends.one();
        self.stats.resets.one();
    }

    fn insert(&mut self, token: Token, stage: Stage) {
        if token.index() >= self.conns.len() {
            self.conns.resize_with(token.index() + 1, || None);
        }
        self.conns[token.index()] = Some(Conn { token, stage, task: None, held_back: false });
    }

    /// False if the program has given it up before it began.
    fn begin_connect(&mut self, token: Token) -> bool {
        self.insert(token, Stage::Connecting);
        let is_wanted = self.io.closing(token).is_none();
        if !is_wanted {
            self.end(token, End::Aborted);
            self.release(token);
        }
        is_wanted
    }

    /// A connect has succeeded.
    pub(super) fn connected(&mut self, token: Token) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        if conn.stage == Stage::Connecting && self.io.connected(token) {
            conn.stage = Stage::Open;
            self.stats.connects.one();
            self.program.on_open(token, Opened::Connected, &mut self.io);
        }
    }

    /// Done when the connection is over.
    pub(super) fn poll_ended(&mut self, token: Token, cx: &Context<'_>) -> Poll<()> {
        let Some(conn) = conn(&mut self.conns, token) else { return Poll::Ready(()) };
        remember(&mut conn.task, cx);
        if matches!(conn.stage, Stage::Ended(_)) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// How to leave the socket, if the connection is over.
    pub(super) fn parting(&mut self, token: Token) -> Option<Parting> {
        match conn(&mut self.conns, token)?.stage {
            Stage::Ended(parting) => Some(parting),
            _ => None,
        }
    }

    /// Done when bytes may be read, or when it is clear that they never will be again.
    pub(super) fn poll_wanted(&mut self, token: Token, cx: &Context<'_>) -> Poll<Wanted> {
        let Some(conn) = conn(&mut self.conns, token) else { return Poll::Ready(Wanted::Never) };
        remember(&mut conn.task, cx);
        match conn.stage {
            Stage::Ended(_) => return Poll::Ready(Wanted::Never),
            Stage::Connecting | Stage::Eof | Stage::Over => return Poll::Pending,
            Stage::Open | Stage::Shut => {}
        }
        if self.io.closing(token) == Some(Close::AfterFlush) {
            return Poll::Ready(Wanted::Discarded);
        }
        if self.io.wants_bytes(token) {
            conn.held_back = false;
            return Poll::Ready(Wanted::ByProgram);
        }
        if self.io.is_held_back(token) && !std::mem::replace(&mut conn.held_back, true) {
            self.stats.backpressure_pauses.one();
        }
        Poll::Pending
    }

    /// What was received is `wanted`.
    pub(super) fn received(&mut self, token: Token, bytes: &[u8], wanted: Wanted) {
        self.stats.received_bytes.add(bytes.len() as u64);
        match wanted {
            Wanted::ByProgram => self.program.on_bytes(token, bytes, &mut self.io),
            Wanted::Discarded => {}
            Wanted::Never => self.stats.late_completions.one(),
        }
    }

    /// The peer has ended.
    pub(super) fn eof(&mut self, token: Token) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        let is_shut = conn.stage == Stage::Shut;
        conn.stage = match conn.stage {
            Stage::Ended(_) => return self.stats.late_completions.one(),
            Stage::Shut => Stage::Over,
            _ => Stage::Eof,
        };
        match self.io.closing(token) {
            Some(_) if is_shut => self.end(token, End::Closed),
            Some(_) => {}
            None => self.program.on_eof(token, &mut self.io),
        }
    }

    /// What to send next, or what follows when all is sent.
    pub(super) fn poll_output(&mut self, token: Token, cx: &Context<'_>) -> Poll<Output> {
        let Some(conn) = conn(&mut self.conns, token) else { return Poll::Ready(Output::Over) };
        remember(&mut conn.task, cx);
        if matches!(conn.stage, Stage::Ended(_)) {
            return Poll::Ready(Output::Over);
        }
        if let Some(out) = self.io.take_out(token) {
            return Poll::Ready(Output::Send(out));
        }
        match (self.io.ending(token), conn.stage) {
            (Ending::Everything(_), Stage::Eof | Stage::Over) => {
                self.event(Some(token), |lane| lane.end(token, End::Closed));
                Poll::Ready(Output::Over)
            }
            (Ending::Everything(_) | Ending::Output, Stage::Open | Stage::Eof) => Poll::Ready(Output::Shut),
            _ => Poll::Pending,
        }
    }

    /// Our side is shut down.
    pub(super) fn shut(&mut self, token: Token) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        conn.stage = match conn.stage {
            Stage::Eof => Stage::Over,
            Stage::Open => Stage::Shut,
            stage => stage,
        };
    }

    /// The kernel took `count` bytes; `is_short` if that was not all it was given. False if the connection is over.
    pub(super) fn sent(&mut self, token: Token, count: usize, is_short: bool) -> bool {
        if !self.io.is_live(token) {
            self.stats.late_completions.one();
            return false;
        }
        self.stats.sent_bytes.add(count as u64);
        if is_short {
            self.stats.short_sends.one();
        }
        if self.io.sent(token, count) {
            self.event(Some(token), |lane| lane.program.on_drained(token, &mut lane.io));
        } else {
            // Nothing that the program hears of, so that no turn need begin.
            self.current = Some(token);
            self.settle();
            self.current = None;
        }
        self.io.is_live(token)
    }

    /// The peer or the network has broken it.
    pub(super) fn broken(&mut self, token: Token) {
        if self.io.is_live(token) {
            self.end(token, End::Reset);
        } else {
            self.stats.late_completions.one();
        }
    }

    pub(super) fn end(&mut self, token: Token, end: End) {
        self.end_with(token, end, Parting::Close);
    }

    /// The connection is over for the program; its task learns of it.
    fn end_with(&mut self, token: Token, end: End, parting: Parting) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        let was_open = match conn.stage {
            Stage::Ended(_) => return,
            Stage::Connecting => false,
            _ => true,
        };
        conn.stage = Stage::Ended(parting);
        match end {
            End::Reset => self.stats.resets.one(),
            End::ConnectFailed(_) => self.stats.connect_failures.one(),
            End::Closed | End::Aborted => {}
        }
        if was_open {
            self.stats.ends.one();
        }
        self.io.end(token);
        self.program.on_end(token, end, &mut self.io);
        self.wake(token);
    }

    /// Its task is done with it, and so is the kernel.
    pub(super) fn release(&mut self, token: Token) {
        if conn(&mut self.conns, token).is_some() {
            self.conns[token.index()] = None;
            self.io.release(token);
            self.resume_at = None;
            if self.doors.stage() == Door::Shut {
                // There is room for the next one.
                self.begin_turn();
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.conns.iter().all(Option::is_none)
    }

    /// The next connection of a listener, if there is one and it may come in.
    pub(super) fn next_accept(&mut self, listener: usize) -> Option<OwnedFd> {
        loop {
            if self.is_full() || self.io.wants_accept() != Accepting::On {
                self.begin_turn();
                self.shut_doors();
            }
            match self.doors.listener(listener)?.accept() {
                Ok(socket) => return Some(socket),
                Err(Errno::AGAIN) => return None,
                Err(error) if listen::is_out_of_descriptors(error.raw_os_error()) => {
                    self.begin_turn();
                    if self.resume_at.is_none() {
                        self.stats.descriptor_pauses.one();
                        listen::log_out_of_descriptors(self.stats.descriptor_pauses.get());
                    }
                    self.resume_at = Some(self.io.now() + DESCRIPTOR_PAUSE);
                    self.shut_doors();
                }
                Err(error) if listen::is_fatal_to_accept(error.raw_os_error()) => {
                    self.fail(Failure::system("accept")(error.into()));
                    return None;
                }
                // One peer's trouble (ECONNABORTED and the like).
                Err(_) => {}
            }
        }
    }

    /// Gives a connection to the lane with the fewest; back, if that is this one, or none is asked.
    pub(super) fn deal(&self, listener: usize, socket: OwnedFd) -> Option<OwnedFd> {
        let Some(seat) = &self.settings.seat else { return Some(socket) };
        let kept = seat.deal(self.io.in_use(), listener, socket);
        if kept.is_none() {
            self.stats.deals.one();
        }
        kept
    }

    fn is_full(&self) -> bool {
        self.io.in_use() >= self.settings.connections_max
    }

    fn shut_doors(&mut self) {
        match self.doors.shut() {
            Ok(true) if self.is_full() => self.stats.connection_pauses.one(),
            Ok(_) => {}
            Err(failure) => self.fail(failure),
        }
    }

    /// Lets peers in or leaves them waiting. Out: listeners that end, whose backlogs are still to be taken.
    pub(super) fn settle_accepting(&mut self) -> Vec<Listener> {
        if self.resume_at.is_some_and(|at| at <= self.io.now()) {
            self.resume_at = None;
        }
        let takes = self.io.wants_accept() == Accepting::On && !self.is_full() && self.resume_at.is_none();
        if let Some(seat) = &self.settings.seat {
            seat.tell(takes.then(|| self.io.in_use()));
        }
        let settled = match self.io.wants_accept() {
            Accepting::Off => self.doors.take(),
            Accepting::On if takes => self.doors.open().map(|()| Vec::new()),
            Accepting::On | Accepting::Paused => {
                self.shut_doors();
                Ok(Vec::new())
            }
        };
        settled.unwrap_or_else(|failure| {
            self.fail(failure);
            Vec::new()
        })
    }

    pub(super) fn doors(&self) -> &Doors {
        &self.doors
    }

    /// The lane can't go on.
    pub(super) fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
        self.begin_turn();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.io.is_stopping() || self.failure.is_some()
    }

    /// The program has stopped: everything that is still open ends.
    pub(super) fn end_all(&mut self) {
        for token in self.io.live_tokens() {
            if conn(&mut self.conns, token).is_some() {
                self.end(token, End::Aborted);
            } else {
                // Asked for and not yet begun.
                self.io.end(token);
                self.program.on_end(token, End::Aborted, &mut self.io);
            }
        }
    }

    pub(super) fn into_result(self) -> Result<P, Failure> {
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(self.program),
        }
    }
}

fn conn(conns: &mut [Option<Conn>], token: Token) -> Option<&mut Conn> {
    conns.get_mut(token.index())?.as_mut().filter(|conn| conn.token == token)
}

/// A task's waker stays the same as long as the task.
fn remember(slot: &mut Option<Waker>, cx: &Context<'_>) {
    if slot.is_none() {
        *slot = Some(cx.waker().clone());
    }
}
