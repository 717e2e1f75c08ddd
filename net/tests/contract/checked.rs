//! What must hold in every run of every case, whatever it is about.
//!
//! A [`Case`] plays both sides of its connections: it connects to its own address. `Checked` stands between it
//! and the engine and compares each call with the contract. (That calls are never nested needs no check: a
//! program is lent as `&mut`.)

use crate::drive::Places;
use net::engine::sim::Rng;
use net::engine::{Close, End, Io, Opened, Program, Token};
use net::time::Time;
use std::any::Any;
use std::collections::HashMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::Duration;

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct At {
    pub(crate) token: Token,
    pub(crate) side: Side,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    /// We connected.
    Caller,
    /// We accepted.
    Callee,
}

/// A program of this suite: a [`Program`] with less to write.
pub(crate) trait Case: Debug + Send + 'static {
    fn start(&mut self, to: &Places, io: &mut Io);
    /// Of a callee, before it opens.
    fn peer(&mut self, _peer: Option<SocketAddr>) {}
    fn open(&mut self, _at: At, _io: &mut Io) {}
    fn bytes(&mut self, _at: At, _bytes: &[u8], _io: &mut Io) {}
    fn eof(&mut self, at: At, io: &mut Io) {
        io.close(at.token, Close::AfterFlush);
    }
    fn drained(&mut self, _at: At, _io: &mut Io) {}
    fn end(&mut self, at: At, end: End, io: &mut Io);
    fn mail(&mut self, _mail: u64, _io: &mut Io) {}
    fn next_deadline(&self) -> Option<Time> {
        None
    }
    fn deadline(&mut self, _io: &mut Io) {}
    fn turn(&mut self) {}
    /// Whether its bytes may come although it takes no more output.
    fn is_read_while_over(&self, _at: At) -> bool {
        false
    }
    /// Then the engine is stopped.
    fn is_done(&self) -> bool;
}

/// A case of any kind. The engines are compiled for this one, and not for each of the suite's cases.
pub(crate) type AnyCase = Box<dyn Kept>;

/// A [`Case`] that can be had back when it has run.
pub(crate) trait Kept: Case {
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<C: Case> Kept for C {
    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[derive(Debug)]
pub(crate) struct Checked {
    case: AnyCase,
    places: Places,
    time_max: Duration,
    give_up_at: Option<Time>,
    now: Time,
    stage: Stage,
    /// Every token there ever was.
    tokens: HashMap<Token, Known>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Fresh,
    Running,
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Open(Side),
    /// The peer will send no more.
    HalfOpen(Side),
    Ended,
}

impl Checked {
    pub(crate) fn new(case: AnyCase, places: &Places, time_max: Duration) -> Checked {
        let places = places.clone();
        let (give_up_at, now, stage) = (None, Time(0), Stage::Fresh);
        Checked { case, places, time_max, give_up_at, now, stage, tokens: HashMap::new() }
    }

    /// The engine has returned.
    pub(crate) fn finish(self) -> AnyCase {
        assert_eq!(self.stage, Stage::Stopped);
        for (token, known) in &self.tokens {
            assert_eq!(*known, Known::Ended, "{token:?} was opened and has no end");
        }
        self.case
    }

    fn turn(&mut self, io: &mut Io) {
        assert!(io.now() >= self.now, "time went back from {:?} to {:?}", self.now, io.now());
        self.now = io.now();
        assert_ne!(self.stage, Stage::Fresh, "a call before on_start");
    }

    fn after(&mut self, io: &mut Io) {
        if self.case.is_done() {
            self.stage = Stage::Stopped;
            io.stop();
        }
    }

    fn open_one(&self, token: Token) -> At {
        match self.tokens.get(&token) {
            Some(Known::Open(side)) => At { token, side: *side },
            known => panic!("a call for {token:?}, which is {known:?}"),
        }
    }

    fn known(&self, token: Token) -> At {
        match self.tokens.get(&token) {
            Some(Known::Open(side) | Known::HalfOpen(side)) => At { token, side: *side },
            known => panic!("a call for {token:?}, which is {known:?}"),
        }
    }
}

impl Program for Checked {
    type Mail = u64;

    fn on_start(&mut self, io: &mut Io) {
        assert_eq!(self.stage, Stage::Fresh, "on_start twice");
        self.stage = Stage::Running;
        self.give_up_at = Some(io.now() + self.time_max);
        self.turn(io);
        self.case.start(&self.places, io);
        self.after(io);
    }

    fn on_open(&mut self, token: Token, opened: Opened, io: &mut Io) {
        self.turn(io);
        let side = match opened {
            Opened::Connected => Side::Caller,
            Opened::Accepted { listener, peer } => {
                assert_eq!(listener, 0);
                self.case.peer(peer);
                Side::Callee
            }
        };
        let before = self.tokens.insert(token, Known::Open(side));
        assert_eq!(before, None, "{token:?} was used before");
        self.case.open(At { token, side }, io);
        self.after(io);
    }

    fn on_bytes(&mut self, token: Token, bytes: &[u8], io: &mut Io) {
        self.turn(io);
        assert!(!bytes.is_empty());
        let at = self.open_one(token);
        assert!(
            !io.is_over(token) || self.case.is_read_while_over(at),
            "bytes of {token:?}, whose unsent output of {} is over",
            io.unsent(token)
        );
        self.case.bytes(at, bytes, io);
        self.after(io);
    }

    fn on_eof(&mut self, token: Token, io: &mut Io) {
        self.turn(io);
        let at = self.open_one(token);
        self.tokens.insert(token, Known::HalfOpen(at.side));
        self.case.eof(at, io);
        self.after(io);
    }

    fn on_drained(&mut self, token: Token, io: &mut Io) {
        self.turn(io);
        assert!(!io.is_over(token), "drained, with {} unsent", io.unsent(token));
        self.case.drained(self.known(token), io);
        self.after(io);
    }

    fn on_end(&mut self, token: Token, end: End, io: &mut Io) {
        self.turn(io);
        let at = match (self.tokens.get(&token), end) {
            // A connect that failed or was given up: this is the first that is heard of it, and the last.
            (None, End::ConnectFailed(_) | End::Aborted) => At { token, side: Side::Caller },
            (_, End::ConnectFailed(_)) => panic!("{token:?} was open, so its connect did not fail"),
            _ => self.known(token),
        };
        self.tokens.insert(token, Known::Ended);
        assert_eq!(io.unsent(token), 0, "what is gone has nothing unsent");
        self.case.end(at, end, io);
        self.after(io);
    }

    fn on_mail(&mut self, mail: u64, io: &mut Io) {
        self.turn(io);
        self.case.mail(mail, io);
        self.after(io);
    }

    fn next_deadline(&self) -> Option<Time> {
        [self.case.next_deadline(), self.give_up_at].into_iter().flatten().min()
    }

    fn on_deadline(&mut self, io: &mut Io) {
        self.turn(io);
        let give_up_at = self.give_up_at.unwrap_or(Time::NEVER);
        assert!(io.now() < give_up_at, "not done after {:?}: {:#?}", self.time_max, self.case);
        let due = self.case.next_deadline().expect("a deadline was set");
        assert!(due <= io.now(), "a deadline came early");
        self.case.deadline(io);
        self.after(io);
    }

    fn on_turn(&mut self, io: &mut Io) {
        self.turn(io);
        self.case.turn();
    }
}

/// Bytes that say where in which stream they belong.
pub(crate) fn pattern(stream: u64, offset: u64) -> u8 {
    ((offset.wrapping_mul(0x9e37_79b9).wrapping_add(offset >> 7)) >> 11) as u8
        ^ (stream.wrapping_mul(0x35)) as u8
}

/// Writes a stream's pattern, piece by piece.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) stream: u64,
    pub(crate) written: u64,
    pub(crate) total: u64,
}

impl Writer {
    pub(crate) fn new(stream: u64, total: usize) -> Writer {
        Writer { stream, written: 0, total: total as u64 }
    }

    /// Appends at most `count` bytes.
    pub(crate) fn write(&mut self, token: Token, count: usize, io: &mut Io) {
        let end = self.total.min(self.written + count as u64);
        let stream = self.stream;
        io.out(token).extend((self.written..end).map(|offset| pattern(stream, offset)));
        self.written = end;
    }

    /// Appends pieces of any size until the connection has enough.
    pub(crate) fn fill(&mut self, token: Token, rng: &mut Rng, io: &mut Io) {
        while !self.is_done() && !io.is_over(token) {
            self.write(token, rng.spread(&(1..=32 * 1024)) as usize, io);
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.written == self.total
    }
}

/// Checks that what arrives is a stream's pattern without gap.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    pub(crate) stream: u64,
    pub(crate) read: u64,
}

impl Reader {
    pub(crate) fn new(stream: u64) -> Reader {
        Reader { stream, read: 0 }
    }

    pub(crate) fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            assert_eq!(*byte, pattern(self.stream, self.read), "stream {} at {}", self.stream, self.read);
            self.read += 1;
        }
    }
}
