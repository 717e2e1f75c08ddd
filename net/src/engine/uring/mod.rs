//! The io_uring engine: our own completion loop.
//!
//! In: listeners, a program. Each turn: one enter, then every completion is told to the program, then what the
//! program left in [`Io`] is compared with what is under way, and the difference is submitted with the next
//! enter. Never: waits anywhere else, copies received bytes (except for a paused connection), uses `unsafe`
//! (that is in `ring.rs`).

mod accept;
mod ring;

use self::ring::{Completion, Kind, OpId, Ring};
use super::os::{Spin, Until};
use super::{Close, Connect, End, Ending, Failure, Io, Opened, Program, Settings, Token};
use crate::address::Address;
use crate::listen::{self, Listener};
use crate::mailbox::Mailbox;
use crate::stats::EngineStats;
use crate::time::{Time, real};
use rustix::net::Shutdown;
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Looks at shared memory between two looks at the clock, while spinning.
const LOOKS_PER_CLOCK: usize = 32;
/// A timed wait takes nanoseconds; a shorter one than this is over before the call returns.
const SLEEP_GRAIN: Duration = Duration::from_micros(5);

/// Whether this engine works here: the set-up, a no-op and a multishot receive.
pub(super) fn probe() -> Result<(), Failure> {
    ring::probe()
}

/// Runs `program` in this thread until it stops.
pub(super) fn run<P: Program>(
    listeners: Vec<Listener>,
    program: P,
    mailbox: &Mailbox<P::Mail>,
    settings: &Settings,
    stats: &EngineStats,
) -> Result<P, Failure> {
    let mut lane = Lane {
        ring: Ring::new(settings)?,
        listeners: listeners.into_iter().map(|l| Door { listener: Some(l), accept: None }).collect(),
        resume_at: None,
        parked: VecDeque::new(),
        conns: Vec::new(),
        spin: Spin::new(settings.busy_poll),
        io: Io::new(settings.unsent_bytes_max),
        program,
        mailbox,
        settings,
        stats,
    };
    lane.start();
    while !lane.io.is_stopping() {
        lane.turn()?;
    }
    lane.end_all();
    let Lane { program, .. } = lane;
    Ok(program)
}

struct Lane<'a, P: Program> {
    ring: Ring,
    listeners: Vec<Door>,
    /// Descriptors ran out; accepting goes on then, or when a connection ends.
    resume_at: Option<Time>,
    /// Accepted while the lane was full or paused: a multishot accept may deliver some more before it is cancelled.
    parked: VecDeque<(usize, OwnedFd)>,
    /// By token index.
    conns: Vec<Option<Conn>>,
    spin: Spin,
    io: Io,
    program: P,
    mailbox: &'a Mailbox<P::Mail>,
    settings: &'a Settings,
    stats: &'a EngineStats,
}

struct Door {
    listener: Option<Listener>,
    accept: Option<OpId>,
}

/// The kernel's side of a connection.
struct Conn {
    token: Token,
    /// Kept until the last completion: an operation that is queued and not submitted names it by number, and
    /// the number of a closed descriptor is the next connection's, perhaps another lane's.
    fd: OwnedFd,
    receiving: Receiving,
    sending: Option<Sending>,
    connecting: Option<OpId>,
    /// We have shut down our side.
    shut: bool,
    /// Arrived while the program did not want bytes; the first `held_from` of them are delivered.
    held: Vec<u8>,
    held_from: usize,
    /// Was stopped because output was over its limit, its own or that of the connection it is passed on to:
    /// from then on one piece is received at a time, as a multishot receive may bring a whole ring of buffers
    /// before its cancel is seen.
    careful: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Receiving {
    Off,
    Armed(OpId),
    /// To be ended because the program doesn't want bytes; more may still come.
    Cancelling(OpId),
    /// The peer has ended; the program doesn't know yet.
    EofDue,
    /// The peer has ended, and the program knows.
    Eof,
}

/// How far the send under way has come, across short sends.
struct Sending {
    from: usize,
}

impl<P: Program> Lane<'_, P> {
    fn start(&mut self) {
        self.read_clocks();
        self.ring.bell(self.mailbox.bell(), self.stats);
        self.program.on_start(&mut self.io);
        self.settle();
    }

    /// One turn: wait, tell the program what happened, make the kernel match what it wishes.
    fn turn(&mut self) -> Result<(), Failure> {
        self.wait()?;
        self.read_clocks();
        for n in 0..self.ring.collected() {
            let completion = self.ring.completion(n);
            self.dispatch(completion)?;
        }
        self.ring.clear_collected();
        if self.program.next_deadline().is_some_and(|due| due <= self.io.now()) {
            self.program.on_deadline(&mut self.io);
        }
        self.io.set_now(real::now());
        self.program.on_turn(&mut self.io);
        self.settle();
        self.stats.turns.one();
        Ok(())
    }

    fn read_clocks(&mut self) {
        self.io.set_now(real::now());
        self.io.set_wall(real::wall());
    }

    fn wait(&mut self) -> Result<(), Failure> {
        let due = [self.program.next_deadline(), self.resume_at].into_iter().flatten().min();
        let wait = match self.io.has_wishes() {
            true => Some(Duration::ZERO),
            false => due.map(|due| due.since(real::now())),
        };
        match self.settings.until(wait, SLEEP_GRAIN) {
            _ if wait == Some(Duration::ZERO) => self.ring.enter(wait, self.stats),
            Until::Watch(time) => {
                self.ring.enter(Some(Duration::ZERO), self.stats)?;
                if self.ring.collected() == 0 && self.spin_for(time) {
                    self.ring.enter(Some(Duration::ZERO), self.stats)?;
                }
                Ok(())
            }
            Until::Sleep(wait) => self.sleep(wait),
        }
    }

    fn sleep(&mut self, wait: Option<Duration>) -> Result<(), Failure> {
        if let Some(budget) = self.spin.next() {
            self.ring.enter(Some(Duration::ZERO), self.stats)?;
            let found = self.ring.collected() > 0 || self.busy_poll(budget.min(wait.unwrap_or(budget)));
            self.spin.ended(found);
            if self.ring.collected() > 0 {
                return Ok(());
            }
        }
        self.ring.enter(wait, self.stats)
    }

    fn busy_poll(&mut self, budget: Duration) -> bool {
        self.stats.spins.one();
        let found = self.spin_for(budget);
        if found {
            self.stats.spin_hits.one();
        }
        found
    }

    /// Watches the ring's shared memory for at most `budget`.
    fn spin_for(&mut self, budget: Duration) -> bool {
        let begin = real::now();
        loop {
            let found = (0..LOOKS_PER_CLOCK).any(|_| {
                std::hint::spin_loop();
                self.ring.is_ready()
            });
            let spent = real::now() - begin;
            if found || spent >= budget {
                self.stats.spin_nanoseconds.add(spent.as_nanos() as u64);
                return found;
            }
        }
    }

    fn dispatch(&mut self, completion: Completion) -> Result<(), Failure> {
        match (completion.kind, completion.token) {
            (Kind::Receive, Some(token)) => self.on_received(token, completion),
            (Kind::Send, Some(token)) => self.on_sent(token, completion),
            (Kind::Connect, Some(token)) => self.on_connected(token, completion),
            (Kind::Accept { listener }, _) => return self.on_accepted(listener, completion),
            (Kind::Bell, _) => {
                self.ring.bell(self.mailbox.bell(), self.stats);
                while let Some(mail) = self.mailbox.take() {
                    self.program.on_mail(mail, &mut self.io);
                }
                self.take_dealt();
            }
            // A cancel's own result says nothing: the operation it meant has its own last completion.
            (Kind::Cancel | Kind::Receive | Kind::Send | Kind::Connect, _) => {}
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.io.in_use() >= self.settings.connections_max
    }

    fn open(&mut self, listener: usize, fd: OwnedFd) {
        let token = self.io.opened();
        self.stats.accepts.one();
        let peer = if self.settings.peer_addresses { listen::peer_of(&fd) } else { None };
        self.insert(token, fd);
        self.program.on_open(token, Opened::Accepted { listener, peer }, &mut self.io);
        self.io.touch(token);
    }

    fn insert(&mut self, token: Token, fd: OwnedFd) {
        if token.index() >= self.conns.len() {
            self.conns.resize_with(token.index() + 1, || None);
        }
        self.conns[token.index()] = Some(Conn {
            token,
            fd,
            receiving: Receiving::Off,
            sending: None,
            connecting: None,
            shut: false,
            held: Vec::new(),
            held_from: 0,
            careful: false,
        });
    }

    fn on_received(&mut self, token: Token, completion: Completion) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        if !completion.more {
            conn.receiving = Receiving::Off;
        } else if conn.receiving == Receiving::Cancelling(completion.id) {
            // A cancel can miss a multishot receive that is just being run: asked again if need be.
            conn.receiving = Receiving::Armed(completion.id);
            self.io.touch(token);
        }
        if !self.io.is_live(token) {
            self.stats.late_completions.one();
            if let Some(lent) = completion.lent {
                self.ring.give_back(lent);
            }
            return self.forget_if_done(token);
        }
        match completion.result {
            Ok(length) if length > 0 => {
                self.stats.received_bytes.add(u64::from(length));
                if let Some(lent) = completion.lent {
                    self.deliver(token, lent, length);
                    self.ring.give_back(lent);
                }
                if !completion.more {
                    self.stats.receive_rearms.one();
                    self.io.touch(token);
                }
            }
            Ok(_) => {
                conn.receiving = Receiving::EofDue;
                self.io.touch(token);
            }
            Err(libc::ENOBUFS) => {
                // Every buffer was lent. They have been given back by the time this is armed again.
                self.stats.buffer_shortages.one();
                self.io.touch(token);
            }
            Err(libc::ECANCELED | libc::EINTR | libc::EAGAIN) => self.io.touch(token),
            Err(_) => self.end(token, End::Reset),
        }
        self.forget_if_done(token);
    }

    /// Bytes go straight from the receive buffer to the program, unless it doesn't want them now.
    fn deliver(&mut self, token: Token, lent: u16, length: u32) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        let bytes = self.ring.lent(lent, length);
        if conn.held.is_empty() && self.io.wants_bytes(token) {
            self.program.on_bytes(token, bytes, &mut self.io);
        } else if self.io.closing(token).is_none() {
            conn.held.extend_from_slice(bytes);
            self.io.touch(token);
        }
    }

    fn on_sent(&mut self, token: Token, completion: Completion) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        let from = conn.sending.take().map_or(0, |s| s.from);
        match completion.result {
            Ok(count) if self.io.is_live(token) => {
                self.stats.sent_bytes.add(u64::from(count));
                let sent = from + count as usize;
                if sent < completion.buffer.len() {
                    self.stats.short_sends.one();
                    self.send(token, completion.buffer, sent);
                } else {
                    self.io.reuse(completion.buffer);
                }
                if self.io.sent(token, count as usize) {
                    self.program.on_drained(token, &mut self.io);
                }
            }
            Err(libc::EINTR | libc::EAGAIN) if self.io.is_live(token) => {
                self.send(token, completion.buffer, from)
            }
            Err(_) if self.io.is_live(token) => self.end(token, End::Reset),
            _ => {
                self.stats.late_completions.one();
                self.io.reuse(completion.buffer);
            }
        }
        self.forget_if_done(token);
    }

    fn send(&mut self, token: Token, bytes: Vec<u8>, from: usize) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        conn.sending = Some(Sending { from });
        self.ring.send(token, conn.fd.as_fd(), bytes, from, self.stats);
    }

    fn on_connected(&mut self, token: Token, completion: Completion) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        conn.connecting = None;
        match completion.result {
            _ if !self.io.is_live(token) => self.stats.late_completions.one(),
            Ok(_) => {
                self.stats.connects.one();
                if self.io.connected(token) {
                    self.program.on_open(token, Opened::Connected, &mut self.io);
                }
                self.io.touch(token);
            }
            Err(error) => self.end(token, End::ConnectFailed(error)),
        }
        self.forget_if_done(token);
    }

    /// Makes the kernel's side match what the program left in `Io`.
    fn settle(&mut self) {
        // What is asked for from here on is for the next turn, which then comes at once: a program that
        // answers each failed connect with another must not keep the lane in here.
        for _ in 0..self.io.connects_waiting() {
            if let Some(connect) = self.io.next_connect() {
                self.connect(connect);
            }
        }
        while let Some(token) = self.io.next_touched() {
            self.settle_conn(token);
        }
        self.settle_accepting();
    }

    fn settle_conn(&mut self, token: Token) {
        if let Some(out) = self.io.take_out(token) {
            self.send(token, out, 0);
        }
        match self.io.ending(token) {
            Ending::Nothing => self.settle_reading(token),
            Ending::Output => {
                if self.io.is_flushed(token) {
                    self.shut_output(token);
                }
                self.settle_reading(token);
            }
            Ending::Everything(Close::AfterFlush) if self.io.is_flushed(token) => self.shut(token),
            Ending::Everything(Close::AfterFlush) => self.arm(token),
            Ending::Everything(Close::Now) => self.end(token, End::Aborted),
            Ending::Everything(Close::Reset) => self.reset(token),
        }
        self.forget_if_done(token);
    }

    /// Delivers what was held, tells of the peer's end, and arms or cancels the receive.
    fn settle_reading(&mut self, token: Token) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        if conn.connecting.is_some() || !self.io.is_live(token) {
            return;
        }
        if !self.io.wants_bytes(token) {
            if let Receiving::Armed(id) = conn.receiving {
                conn.receiving = Receiving::Cancelling(id);
                self.ring.cancel(id, self.stats);
                if self.io.is_held_back(token) {
                    conn.careful = true;
                    self.stats.backpressure_pauses.one();
                }
                conn.careful |= self.io.is_read_while_over(token);
            }
            return;
        }
        if !conn.held.is_empty() {
            let from = conn.held_from;
            let end = conn.held.len().min(from + self.settings.receive_buffer_bytes);
            self.program.on_bytes(token, &conn.held[from..end], &mut self.io);
            conn.held_from = end;
            if end == conn.held.len() {
                conn.held = Vec::new();
                conn.held_from = 0;
            }
            // What the program appended comes first, and it may have changed its mind about reading.
            self.io.touch(token);
            return;
        }
        match conn.receiving {
            Receiving::EofDue => {
                conn.receiving = Receiving::Eof;
                self.program.on_eof(token, &mut self.io);
                self.io.touch(token);
            }
            Receiving::Off => self.arm(token),
            Receiving::Armed(_) | Receiving::Cancelling(_) | Receiving::Eof => {}
        }
    }

    fn arm(&mut self, token: Token) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        if conn.receiving == Receiving::Off {
            let id = match conn.careful {
                true => self.ring.receive_once(token, conn.fd.as_fd(), self.stats),
                false => self.ring.receive(token, conn.fd.as_fd(), self.stats),
            };
            conn.receiving = Receiving::Armed(id);
        }
    }

    /// Everything is sent: shut down our side, and wait for the peer's end (discarding what it still sends).
    fn shut(&mut self, token: Token) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        conn.held = Vec::new();
        if matches!(conn.receiving, Receiving::EofDue | Receiving::Eof) {
            return self.end(token, End::Closed);
        }
        self.shut_output(token);
        self.arm(token);
    }

    /// Everything is sent: shut down our side, once.
    fn shut_output(&mut self, token: Token) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        if !std::mem::replace(&mut conn.shut, true) {
            // ENOTCONN: the peer is gone, and the receive will say so.
            let _ = rustix::net::shutdown(&conn.fd, Shutdown::Write);
        }
    }

    fn reset(&mut self, token: Token) {
        if let Some(conn) = conn(&mut self.conns, token) {
            listen::reset(&conn.fd);
        }
        self.end(token, End::Aborted);
    }

    /// The connection is over for the program. The kernel may need a moment more.
    fn end(&mut self, token: Token, end: End) {
        if !self.io.is_live(token) {
            return;
        }
        match end {
            End::Reset => self.stats.resets.one(),
            End::ConnectFailed(_) => self.stats.connect_failures.one(),
            End::Closed | End::Aborted => {}
        }
        let Some(conn) = conn(&mut self.conns, token) else { return };
        match conn.connecting {
            // Not submitted perhaps, so that there is nothing to shut down yet.
            Some(id) => self.ring.cancel(id, self.stats),
            None if matches!(end, End::ConnectFailed(_)) => {}
            None => self.stats.ends.one(),
        }
        // Closing the descriptor would not end the operations that hold its socket; this does.
        let _ = rustix::net::shutdown(&conn.fd, Shutdown::Both);
        conn.held = Vec::new();
        self.io.end(token);
        self.program.on_end(token, end, &mut self.io);
    }

    /// Frees the token's index when the kernel is done with everything of it.
    fn forget_if_done(&mut self, token: Token) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        let receiving = matches!(conn.receiving, Receiving::Armed(_) | Receiving::Cancelling(_));
        let busy = receiving || conn.sending.is_some() || conn.connecting.is_some();
        if busy || self.io.is_live(token) {
            return;
        }
        self.conns[token.index()] = None;
        self.io.release(token);
        self.resume_at = None;
    }

    fn connect(&mut self, connect: Connect) {
        let Connect { token, to } = connect;
        let started = listen::socket_for(&to).and_then(|(socket, at)| match to {
            Address::Tcp(_) => Ok((socket, Some(at))),
            // Done or refused at once. The ring would make one that a full backlog refuses wait for room
            // instead, on a thread of the kernel's. That it is done comes round as from the ring.
            Address::Unix(_) => socket.connect(&at).map(|()| (socket, None)),
        });
        match started {
            Ok((socket, at)) => {
                self.insert(token, socket.into());
                if let Some(conn) = conn(&mut self.conns, token) {
                    conn.connecting = Some(match at {
                        Some(at) => self.ring.connect(token, conn.fd.as_fd(), at, self.stats),
                        None => self.ring.connected(token, self.stats),
                    });
                }
            }
            Err(error) => {
                self.stats.connect_failures.one();
                self.io.end(token);
                let end = End::ConnectFailed(error.raw_os_error().unwrap_or(libc::EINVAL));
                self.program.on_end(token, end, &mut self.io);
                self.io.release(token);
            }
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
