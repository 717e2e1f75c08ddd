//! A program held in the hand: fed with bytes, asked for its output. For tests and benches that want nothing
//! else in between.

use super::{Close, End, Io, Opened, Program, Token};
use crate::time::{Time, UnixSeconds};

/// One program without an engine. Time stands still until it is told to pass.
pub struct Hand<P> {
    /// The program.
    pub program: P,
    io: Io,
}

impl<P: Program> Hand<P> {
    /// Takes a program in the hand, and starts it.
    pub fn hold(mut program: P) -> Hand<P> {
        let mut io = Io::new(usize::MAX);
        program.on_start(&mut io);
        Hand { program, io }
    }

    /// Opens a connection, as if it had been accepted.
    pub fn open(&mut self) -> Token {
        let token = self.io.opened();
        self.program.on_open(token, Opened::Accepted { listener: 0 }, &mut self.io);
        token
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

    /// Whether the program has closed the token, and how.
    pub fn closing(&self, token: Token) -> Option<Close> {
        self.io.closing(token)
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
    }

    fn turn(&mut self, token: Token, out: &mut Vec<u8>) {
        self.program.on_turn(&mut self.io);
        while self.io.next_touched().is_some() {}
        while let Some(taken) = self.io.take_out(token) {
            out.extend_from_slice(&taken);
            self.io.sent(token, taken.len());
            self.io.reuse(taken);
        }
    }
}
