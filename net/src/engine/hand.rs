//! A program held in the hand: fed with bytes, asked for its output. For tests and benches that want nothing
//! else in between.
//!
//! In: what peers and the kernel would do, one event at a time; each is a turn of its own. Out: what the
//! program appended, connects and closes. Nothing happens that wasn't asked for: a connect is not answered, a
//! close is not carried out, output is not taken, until somebody calls for it. Never: keeps bytes back that
//! the program doesn't want; ask `wants_bytes` before feeding where that matters.

use super::{Close, Connect, End, Ending, Io, Opened, Program, Token};
use crate::address::Address;
use crate::time::{Time, UnixSeconds};
use std::net::SocketAddr;

/// One program without an engine. Time stands still until it is told to pass.
pub struct Hand<P> {
    /// The program.
    pub program: P,
    io: Io,
}

impl<P: Program> Hand<P> {
    /// Takes a program in the hand, and starts it. None of its connections is ever over its limit.
    pub fn hold(program: P) -> Hand<P> {
        Hand::hold_with_limit(program, usize::MAX)
    }

    /// The same with a limit: a connection with more unsent bytes than this is over, until `output` (or a
    /// turn of its own) has taken them. Its `on_drained` comes then.
    pub fn hold_with_limit(mut program: P, unsent_bytes_max: usize) -> Hand<P> {
        let mut io = Io::new(unsent_bytes_max);
        program.on_start(&mut io);
        Hand { program, io }
    }

    /// Opens a connection, as if it had been accepted from the first listener.
    pub fn open(&mut self) -> Token {
        self.open_from(0, None)
    }

    /// Opens a connection, as if `peer` had been accepted from this listener.
    pub fn open_from(&mut self, listener: usize, peer: Option<SocketAddr>) -> Token {
        let token = self.io.opened();
        self.program.on_open(token, Opened::Accepted { listener, peer }, &mut self.io);
        self.end_turn();
        token
    }

    /// The connects that the program has asked for since the last call. Each waits for `connected`,
    /// `connect_failed` or `end`.
    pub fn connects(&mut self) -> Vec<(Token, Address)> {
        let asked = std::iter::from_fn(|| self.io.next_connect());
        asked.map(|Connect { token, to }| (token, to)).collect()
    }

    /// A connect succeeds. One that the program has closed meanwhile ends instead, as with an engine.
    pub fn connected(&mut self, token: Token) {
        if !self.io.connected(token) {
            return self.end(token, End::Aborted);
        }
        self.program.on_open(token, Opened::Connected, &mut self.io);
        self.end_turn();
    }

    /// A connect fails with an error number of `connect(2)`.
    pub fn connect_failed(&mut self, token: Token, errno: i32) {
        self.end(token, End::ConnectFailed(errno));
    }

    /// One turn in which `bytes` arrive; what the program appends is added to `out`.
    pub fn feed(&mut self, token: Token, bytes: &[u8], out: &mut Vec<u8>) {
        self.program.on_bytes(token, bytes, &mut self.io);
        self.turn(token, out);
    }

    /// One turn in which the peer ends.
    pub fn eof(&mut self, token: Token, out: &mut Vec<u8>) {
        self.program.on_eof(token, &mut self.io);
        self.turn(token, out);
    }

    /// One turn in which mail arrives.
    pub fn mail(&mut self, mail: P::Mail, token: Token, out: &mut Vec<u8>) {
        self.program.on_mail(mail, &mut self.io);
        self.turn(token, out);
    }

    /// Makes it `now`, on both clocks, and has the program meet its deadlines.
    pub fn pass(&mut self, now: Time, wall: UnixSeconds, token: Token, out: &mut Vec<u8>) {
        self.io.set_now(now);
        self.io.set_wall(wall);
        if self.program.next_deadline().is_some_and(|due| due <= now) {
            self.program.on_deadline(&mut self.io);
        }
        self.turn(token, out);
    }

    /// What time it is for the program.
    pub fn now(&self) -> Time {
        self.io.now()
    }

    /// Takes what the program has appended to this token, as a kernel would. If the token was over its limit,
    /// `on_drained` follows; what is appended in it is left for the next call.
    pub fn output(&mut self, token: Token) -> Vec<u8> {
        let mut out = Vec::new();
        self.take(token, &mut out);
        out
    }

    /// Whether the program has closed the token, and how.
    pub fn closing(&self, token: Token) -> Option<Close> {
        self.io.closing(token)
    }

    /// Whether the program has finished its output on the token and still reads it.
    pub fn is_finished(&self, token: Token) -> bool {
        self.io.ending(token) == Ending::Output
    }

    /// Whether the program wants this token's bytes now.
    pub fn wants_bytes(&self, token: Token) -> bool {
        self.io.wants_bytes(token)
    }

    /// Tells the program that the connection is over.
    pub fn end(&mut self, token: Token, end: End) {
        self.io.end(token);
        self.program.on_end(token, end, &mut self.io);
        self.io.release(token);
        self.end_turn();
    }

    fn turn(&mut self, token: Token, out: &mut Vec<u8>) {
        self.end_turn();
        self.take(token, out);
    }

    /// What an engine does between the events and the wait, without moving any bytes.
    fn end_turn(&mut self) {
        self.program.on_turn(&mut self.io);
        while self.io.next_touched().is_some() {}
    }

    fn take(&mut self, token: Token, out: &mut Vec<u8>) {
        let Some(taken) = self.io.take_out(token) else { return };
        out.extend_from_slice(&taken);
        let drained = self.io.sent(token, taken.len());
        self.io.reuse(taken);
        if drained {
            self.program.on_drained(token, &mut self.io);
            self.end_turn();
        }
    }
}
