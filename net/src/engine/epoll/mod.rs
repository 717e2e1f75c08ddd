//! The epoll engine, on `mio`: for kernels and containers that forbid io_uring.
//!
//! In: listeners, a program. Each turn: one wait, reads of what is readable, then what the program left in
//! [`Io`] is written at once. Edge-triggered, registered once per connection, so that a request costs one
//! read and one write. Never: reads a connection whose program doesn't want bytes.

mod accept;

use super::os::{Spin, Until};
use super::{Close, Connect, End, Ending, Failure, Io, Opened, Program, Settings, Token};
use crate::listen::{self, Listener};
use crate::mailbox::Mailbox;
use crate::stats::EngineStats;
use crate::time::{Time, real};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// Events of one turn; more wait in the kernel for the next.
const EVENTS: usize = 1024;
/// Reads of one connection in one turn: a flooding peer must not hold the lane.
const READS_PER_TURN: usize = 16;
/// Writes of one connection in one turn: nor must a program that makes more output whenever some is taken.
const WRITES_PER_TURN: usize = 16;
/// `epoll_wait` takes milliseconds, and `mio` rounds up.
const SLEEP_GRAIN: Duration = Duration::from_millis(1);
/// The receive buffer that the connections of a lane share, in units of `receive_buffer_bytes`.
pub(in crate::engine) const RECEIVE_BUFFERS: usize = 16;

const BELL: mio::Token = mio::Token(usize::MAX);
const FIRST_LISTENER: usize = usize::MAX / 2;

/// Runs `program` in this thread until it stops.
pub(in crate::engine) fn run<P: Program>(
    listeners: Vec<Listener>,
    program: P,
    mailbox: &Mailbox<P::Mail>,
    settings: &Settings,
    stats: &EngineStats,
) -> Result<P, Failure> {
    let poll = Poll::new().map_err(Failure::system("epoll_create1 (out of descriptors? see ulimit -n)"))?;
    let mut lane = Lane {
        poll,
        listeners: listeners.into_iter().map(|listener| Door { listener, armed: false }).collect(),
        resume_at: None,
        conns: Vec::new(),
        again: Vec::new(),
        buffer: vec![0; settings.receive_buffer_bytes * RECEIVE_BUFFERS],
        spin: Spin::new(settings.busy_poll),
        io: Io::new(settings.unsent_bytes_max),
        program,
        mailbox,
        settings,
        stats,
    };
    lane.start()?;
    let mut events = Events::with_capacity(EVENTS);
    while !lane.io.is_stopping() {
        lane.turn(&mut events)?;
    }
    lane.end_all();
    let Lane { program, .. } = lane;
    Ok(program)
}

struct Lane<'a, P: Program> {
    poll: Poll,
    listeners: Vec<Door>,
    /// Descriptors ran out; accepting goes on then, or when a connection ends.
    resume_at: Option<Time>,
    /// By token index.
    conns: Vec<Option<Conn>>,
    /// Have more to read or write than one turn allows.
    again: Vec<Token>,
    buffer: Vec<u8>,
    spin: Spin,
    io: Io,
    program: P,
    mailbox: &'a Mailbox<P::Mail>,
    settings: &'a Settings,
    stats: &'a EngineStats,
}

struct Door {
    listener: Listener,
    armed: bool,
}

/// The kernel's side of a connection.
struct Conn {
    token: Token,
    fd: OwnedFd,
    stage: Stage,
    readable: bool,
    /// In `again`.
    queued: bool,
    /// The kernel said that the peer has ended: a short read is then not the last.
    read_closed: bool,
    /// Taken from the program, refused by the kernel until it is writable.
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

impl Conn {
    /// Everything is sent: shut down our side, once.
    fn shut_output(&mut self) {
        self.stage = match self.stage {
            Stage::Eof => Stage::Over,
            Stage::Open | Stage::Connecting => Stage::Shut,
            Stage::Shut | Stage::Over => return,
        };
        // ENOTCONN: the peer is gone, and the next read will say so.
        let _ = rustix::net::shutdown(&self.fd, Shutdown::Write);
    }

    /// Whether there may be something to read.
    fn is_readable(&self) -> bool {
        self.readable && !matches!(self.stage, Stage::Eof | Stage::Over)
    }
}

impl<P: Program> Lane<'_, P> {
    fn start(&mut self) -> Result<(), Failure> {
        self.read_clocks();
        self.register(BELL, self.mailbox.bell().as_raw_fd(), Interest::READABLE)
            .map_err(Failure::system("epoll_ctl for the mailbox"))?;
        for door in &self.listeners {
            door.listener.set_nonblocking().map_err(Failure::system("make the listener non-blocking"))?;
        }
        self.program.on_start(&mut self.io);
        self.settle()
    }

    /// One turn: wait, tell the program what happened, write what it appended.
    fn turn(&mut self, events: &mut Events) -> Result<(), Failure> {
        self.wait(events)?;
        self.read_clocks();
        let again = std::mem::take(&mut self.again);
        for token in again {
            if let Some(conn) = conn(&mut self.conns, token) {
                conn.queued = false;
            }
            self.io.touch(token);
            self.read(token);
        }
        for event in events.iter() {
            match event.token() {
                BELL => self.on_bell(),
                mio::Token(n) if n >= FIRST_LISTENER => self.accept(n - FIRST_LISTENER)?,
                mio::Token(n) => self.on_ready(n, event),
            }
        }
        if self.program.next_deadline().is_some_and(|due| due <= self.io.now()) {
            self.program.on_deadline(&mut self.io);
        }
        self.io.set_now(real::now());
        self.program.on_turn(&mut self.io);
        self.settle()?;
        self.stats.turns.one();
        Ok(())
    }

    fn read_clocks(&mut self) {
        self.io.set_now(real::now());
        self.io.set_wall(real::wall());
    }

    fn wait(&mut self, events: &mut Events) -> Result<(), Failure> {
        if !self.again.is_empty() || self.io.has_wishes() {
            return self.poll(events, Some(Duration::ZERO));
        }
        let due = [self.program.next_deadline(), self.resume_at].into_iter().flatten().min();
        // What was sent since the clock was read took its time; only a watched deadline is worth another look.
        let is_watched = due.is_some() && !self.settings.deadline_watch.is_zero();
        let now = if is_watched { real::now() } else { self.io.now() };
        let wait = due.map(|due| due.since(now));
        match self.settings.until(wait, SLEEP_GRAIN) {
            Until::Watch(time) => self.spin_for(time, events).map(drop),
            Until::Sleep(wait) => self.sleep(wait, events),
        }
    }

    fn sleep(&mut self, wait: Option<Duration>, events: &mut Events) -> Result<(), Failure> {
        if let Some(budget) = self.spin.next() {
            self.stats.spins.one();
            let found = self.spin_for(budget.min(wait.unwrap_or(budget)), events)?;
            self.spin.ended(found);
            if found {
                self.stats.spin_hits.one();
                return Ok(());
            }
        }
        self.poll(events, wait)
    }

    /// Polls without sleeping for at most `budget`.
    fn spin_for(&mut self, budget: Duration, events: &mut Events) -> Result<bool, Failure> {
        let begin = real::now();
        loop {
            self.poll(events, Some(Duration::ZERO))?;
            let (found, spent) = (!events.is_empty(), real::now() - begin);
            if found || spent >= budget {
                self.stats.spin_nanoseconds.add(spent.as_nanos() as u64);
                return Ok(found);
            }
        }
    }

    fn poll(&mut self, events: &mut Events, wait: Option<Duration>) -> Result<(), Failure> {
        match self.poll.poll(events, wait) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                Err(Failure::system("epoll_wait")(error))
            }
            _ => Ok(()),
        }
    }

    fn register(&self, token: mio::Token, fd: i32, interest: Interest) -> io::Result<()> {
        self.poll.registry().register(&mut SourceFd(&fd), token, interest)
    }

    fn on_bell(&mut self) {
        let mut count = [0; 8];
        // Silences the bell before the box is emptied, so that a mail that comes now rings again.
        let _ = rustix::io::read(self.mailbox.bell(), &mut count);
        while let Some(mail) = self.mailbox.take() {
            self.program.on_mail(mail, &mut self.io);
        }
        self.take_dealt();
    }

    fn on_ready(&mut self, index: usize, event: &mio::event::Event) {
        let Some(conn) = self.conns.get_mut(index).and_then(Option::as_mut) else {
            self.stats.late_completions.one();
            return;
        };
        let token = conn.token;
        conn.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        conn.read_closed |= event.is_read_closed() || event.is_error();
        if conn.stage == Stage::Connecting {
            return self.on_connected(token);
        }
        if event.is_writable() {
            self.io.touch(token);
        }
        self.read(token);
    }

    fn on_connected(&mut self, token: Token) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        match rustix::net::sockopt::socket_error(&conn.fd) {
            Ok(Ok(())) if self.io.connected(token) => {
                conn.stage = Stage::Open;
                self.stats.connects.one();
                self.program.on_open(token, Opened::Connected, &mut self.io);
                self.io.touch(token);
            }
            Ok(Ok(())) => self.io.touch(token),
            Ok(Err(error)) | Err(error) => self.end(token, End::ConnectFailed(error.raw_os_error())),
        }
    }

    /// Reads what there is, as long as the program wants bytes; discards it when we have shut down.
    fn read(&mut self, token: Token) {
        for _ in 0..READS_PER_TURN {
            let Some(conn) = conn(&mut self.conns, token) else { return };
            let discards = self.io.closing(token) == Some(Close::AfterFlush);
            if !conn.is_readable() {
                return;
            }
            if !discards && !self.io.wants_bytes(token) {
                if self.io.is_held_back(token) {
                    self.stats.backpressure_pauses.one();
                }
                return;
            }
            match rustix::net::recv(&conn.fd, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((0, _)) => return self.on_eof(token),
                Ok((count, _)) => {
                    // A short read has emptied the socket (epoll(7)), unless the peer's end is behind it.
                    conn.readable = count == self.buffer.len() || conn.read_closed;
                    self.stats.received_bytes.add(count as u64);
                    if !discards {
                        self.program.on_bytes(token, &self.buffer[..count], &mut self.io);
                    }
                }
                Err(Errno::AGAIN) => conn.readable = false,
                Err(Errno::INTR) => {}
                Err(_) => return self.end(token, End::Reset),
            }
        }
        self.go_on_next_turn(token);
    }

    fn go_on_next_turn(&mut self, token: Token) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        if !std::mem::replace(&mut conn.queued, true) {
            self.again.push(token);
        }
    }

    fn on_eof(&mut self, token: Token) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        let is_shut = conn.stage == Stage::Shut;
        conn.stage = if is_shut { Stage::Over } else { Stage::Eof };
        match self.io.closing(token) {
            Some(_) if is_shut => return self.end(token, End::Closed),
            Some(_) => {}
            None => self.program.on_eof(token, &mut self.io),
        }
        self.io.touch(token);
    }

    fn is_full(&self) -> bool {
        self.io.in_use() >= self.settings.connections_max
    }

    fn open(&mut self, listener: usize, fd: OwnedFd) {
        let token = self.io.opened();
        self.stats.accepts.one();
        let peer = if self.settings.peer_addresses { listen::peer_of(&fd) } else { None };
        if self.insert(token, fd, Stage::Open).is_err() {
            // No memory for an epoll entry: as if the peer had been reset.
            self.stats.ends.one();
            self.stats.resets.one();
            self.io.end(token);
            return self.io.release(token);
        }
        self.program.on_open(token, Opened::Accepted { listener, peer }, &mut self.io);
        self.io.touch(token);
    }

    fn insert(&mut self, token: Token, fd: OwnedFd, stage: Stage) -> io::Result<()> {
        self.register(mio::Token(token.index()), fd.as_raw_fd(), Interest::READABLE | Interest::WRITABLE)?;
        if token.index() >= self.conns.len() {
            self.conns.resize_with(token.index() + 1, || None);
        }
        self.conns[token.index()] = Some(Conn {
            token,
            fd,
            stage,
            readable: false,
            queued: false,
            read_closed: false,
            unsent: Vec::new(),
            unsent_from: 0,
        });
        Ok(())
    }

    /// Makes the kernel's side match what the program left in `Io`.
    fn settle(&mut self) -> Result<(), Failure> {
        // What is asked for from here on is for the next turn, which then comes at once: a program that
        // answers each failed connect with another must not keep the lane in here.
        for _ in 0..self.io.connects_waiting() {
            if let Some(connect) = self.io.next_connect() {
                self.connect(connect);
            }
        }
        self.settle_conns();
        self.settle_accepting()?;
        self.settle_conns();
        Ok(())
    }

    fn settle_conns(&mut self) {
        while let Some(token) = self.io.next_touched() {
            self.settle_conn(token);
        }
    }

    fn settle_conn(&mut self, token: Token) {
        self.write(token);
        let Some(conn) = conn(&mut self.conns, token) else { return };
        match self.io.ending(token) {
            ending @ (Ending::Nothing | Ending::Output) => {
                if ending == Ending::Output && self.io.is_flushed(token) {
                    conn.shut_output();
                }
                // Not at once: reading makes output, output is settled here, and a flooding peer would keep
                // the lane at that.
                if conn.is_readable() && self.io.wants_bytes(token) {
                    self.go_on_next_turn(token);
                }
            }
            Ending::Everything(Close::AfterFlush) => {
                if self.io.is_flushed(token) {
                    self.shut(token);
                }
                self.read(token);
            }
            Ending::Everything(Close::Now) => self.end(token, End::Aborted),
            Ending::Everything(Close::Reset) => {
                listen::reset(&conn.fd);
                self.end(token, End::Aborted);
            }
        }
    }

    /// Writes until everything is sent or the kernel takes no more.
    fn write(&mut self, token: Token) {
        for _ in 0..WRITES_PER_TURN {
            let Some(conn) = conn(&mut self.conns, token) else { return };
            if conn.stage == Stage::Connecting {
                return;
            }
            if conn.unsent.is_empty() {
                let Some(out) = self.io.take_out(token) else { return };
                conn.unsent = out;
                conn.unsent_from = 0;
            }
            let rest = &conn.unsent[conn.unsent_from..];
            let wanted = rest.len();
            match rustix::net::send(&conn.fd, rest, SendFlags::NOSIGNAL) {
                Ok(count) => {
                    conn.unsent_from += count;
                    if count == wanted {
                        self.io.reuse(std::mem::take(&mut conn.unsent));
                    } else {
                        self.stats.short_sends.one();
                    }
                    self.stats.sent_bytes.add(count as u64);
                    if self.io.sent(token, count) {
                        self.program.on_drained(token, &mut self.io);
                    }
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(_) => return self.end(token, End::Reset),
            }
        }
        self.go_on_next_turn(token);
    }

    /// Everything is sent: shut down our side, and wait for the peer's end.
    fn shut(&mut self, token: Token) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        match conn.stage {
            Stage::Eof | Stage::Over => self.end(token, End::Closed),
            Stage::Open | Stage::Connecting | Stage::Shut => conn.shut_output(),
        }
    }

    fn end(&mut self, token: Token, end: End) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        match end {
            End::Reset => self.stats.resets.one(),
            End::ConnectFailed(_) => self.stats.connect_failures.one(),
            End::Closed | End::Aborted => {}
        }
        if conn.stage != Stage::Connecting {
            self.stats.ends.one();
        }
        // Closing takes the descriptor out of the epoll set as well (epoll(7)).
        self.conns[token.index()] = None;
        self.resume_at = None;
        self.io.end(token);
        self.program.on_end(token, end, &mut self.io);
        self.io.release(token);
    }

    fn connect(&mut self, connect: Connect) {
        let Connect { token, to } = connect;
        let started = listen::socket_for(&to).and_then(|(socket, to)| {
            socket.set_nonblocking(true)?;
            match socket.connect(&to) {
                Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
                _ => self.insert(token, socket.into(), Stage::Connecting),
            }
        });
        if let Err(error) = started {
            self.stats.connect_failures.one();
            self.io.end(token);
            let end = End::ConnectFailed(error.raw_os_error().unwrap_or(libc::EINVAL));
            self.program.on_end(token, end, &mut self.io);
            self.io.release(token);
        }
    }

    /// The program has stopped: everything that is still open ends.
    fn end_all(&mut self) {
        self.leave_table();
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
}

fn conn(conns: &mut [Option<Conn>], token: Token) -> Option<&mut Conn> {
    conns.get_mut(token.index())?.as_mut().filter(|conn| conn.token == token)
}
