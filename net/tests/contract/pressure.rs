//! Who doesn't want bytes gets none, and loses none.

use crate::checked::{At, Case, Reader, Side, Writer};
use crate::drive::{On, Places, Tune, run};
use net::engine::sim::Rng;
use net::engine::{Close, End, Io, Token};
use net::time::Time;
use std::time::Duration;

pub(crate) fn a_peer_that_does_not_read_is_not_read(on: &On) {
    // Far more than the sockets between the two hold, so that the callee must be held back.
    let total = on.size(64 << 20, 600 << 10);
    let limit = on.size(64 << 10, 2 << 10);
    let case = Echo {
        stage: Stage::Filling,
        caller: None,
        callee: None,
        writer: Writer::new(4, total),
        reader: Reader::new(4),
        next: None,
        limit,
        drained: 0,
        ends: 0,
    };
    let ran = run(on, &Tune { unsent_bytes_max: limit, ..Tune::default() }, case);
    assert!(ran.case.reader.read > 0 && ran.case.reader.read == ran.case.writer.total);
    assert!(ran.case.drained > 0);
    assert!(ran.stats["backpressure_pauses"] > 0);
}

/// A caller that writes and doesn't read, to a callee that returns what it gets.
#[derive(Debug)]
struct Echo {
    stage: Stage,
    caller: Option<Token>,
    callee: Option<Token>,
    writer: Writer,
    reader: Reader,
    next: Option<Time>,
    limit: usize,
    drained: usize,
    ends: usize,
}

#[derive(Debug, PartialEq)]
enum Stage {
    Filling,
    /// The callee's output is over its limit, for some ticks by now.
    Stuck(u32),
    Reading,
}

const TICK: Duration = Duration::from_millis(1);

impl Case for Echo {
    fn start(&mut self, to: &Places, io: &mut Io) {
        io.connect(to.here.clone());
    }

    fn open(&mut self, at: At, io: &mut Io) {
        match at.side {
            Side::Callee => self.callee = Some(at.token),
            Side::Caller => {
                self.caller = Some(at.token);
                io.pause(at.token);
                self.next = Some(io.now());
            }
        }
    }

    fn bytes(&mut self, at: At, bytes: &[u8], io: &mut Io) {
        match at.side {
            Side::Caller => {
                assert_eq!(self.stage, Stage::Reading, "bytes while paused");
                self.reader.read(bytes);
                if self.reader.read == self.writer.total {
                    io.close(at.token, Close::AfterFlush);
                }
            }
            Side::Callee => {
                io.out(at.token).extend(bytes);
                assert!(io.unsent(at.token) <= self.limit + bytes.len());
            }
        }
    }

    fn drained(&mut self, at: At, _io: &mut Io) {
        assert_eq!(at.side, Side::Callee, "the caller never goes over its limit");
        self.drained += 1;
    }

    fn next_deadline(&self) -> Option<Time> {
        self.next
    }

    fn deadline(&mut self, io: &mut Io) {
        let (Some(caller), next) = (self.caller, io.now() + TICK) else { return };
        self.next = Some(next);
        let held_back = self.callee.is_some_and(|callee| io.is_over(callee));
        self.stage = match self.stage {
            Stage::Filling if held_back => Stage::Stuck(0),
            // Only until the sockets in between took it.
            Stage::Stuck(_) if !held_back => Stage::Filling,
            Stage::Stuck(ticks) if ticks < 100 => Stage::Stuck(ticks + 1),
            Stage::Stuck(_) => {
                io.resume(caller);
                self.writer.total = self.writer.written;
                self.next = None;
                Stage::Reading
            }
            _ => Stage::Filling,
        };
        // Stays below the limit of its own, or it would not be read either.
        let room = (self.limit / 2).saturating_sub(io.unsent(caller));
        self.writer.write(caller, room, io);
        assert!(!self.writer.is_done() || self.stage == Stage::Reading, "all of it fits into the sockets");
    }

    fn end(&mut self, _at: At, end: End, _io: &mut Io) {
        assert_eq!(end, End::Closed);
        self.ends += 1;
    }

    fn is_done(&self) -> bool {
        self.ends == 2
    }
}

pub(crate) fn a_pause_delivers_nothing_and_loses_nothing(on: &On) {
    let bytes = on.size(300 << 10, 5 << 10);
    let case = Pauses {
        rng: Rng::new(3),
        writer: Writer::new(9, bytes),
        reader: Reader::new(9),
        paused: None,
        resume_at: None,
        pauses: 0,
        ends: 0,
    };
    let ran = run(on, &Tune { unsent_bytes_max: 1 << 20, ..Tune::default() }, case);
    assert_eq!(ran.case.reader.read, bytes as u64);
    assert!(ran.case.pauses > 1);
}

/// A callee that pauses after a random number of bytes, for a random while; the caller's end comes into that.
#[derive(Debug)]
struct Pauses {
    rng: Rng,
    writer: Writer,
    reader: Reader,
    paused: Option<Token>,
    resume_at: Option<Time>,
    pauses: usize,
    ends: usize,
}

impl Case for Pauses {
    fn start(&mut self, to: &Places, io: &mut Io) {
        io.connect(to.here.clone());
    }

    fn open(&mut self, at: At, io: &mut Io) {
        match at.side {
            Side::Caller => {
                self.writer.write(at.token, usize::MAX >> 1, io);
                io.close(at.token, Close::AfterFlush);
            }
            Side::Callee => self.pause(at.token, io),
        }
    }

    fn bytes(&mut self, at: At, bytes: &[u8], io: &mut Io) {
        assert_eq!(self.paused, None, "bytes while paused");
        self.reader.read(bytes);
        if self.reader.read == self.writer.total || self.rng.chance(0.5) {
            self.pause(at.token, io);
        }
    }

    fn eof(&mut self, at: At, io: &mut Io) {
        assert_eq!(self.paused, None, "an end while paused");
        assert_eq!(self.reader.read, self.writer.total, "an end before its bytes");
        io.close(at.token, Close::AfterFlush);
    }

    fn next_deadline(&self) -> Option<Time> {
        self.resume_at
    }

    fn deadline(&mut self, io: &mut Io) {
        self.resume_at = None;
        if let Some(token) = self.paused.take() {
            io.resume(token);
            // A change of mind within one call, and none in the end.
            io.pause(token);
            io.resume(token);
        }
    }

    fn end(&mut self, _at: At, end: End, _io: &mut Io) {
        assert_eq!(end, End::Closed);
        self.ends += 1;
    }

    fn is_done(&self) -> bool {
        self.ends == 2
    }
}

impl Pauses {
    fn pause(&mut self, token: Token, io: &mut Io) {
        io.pause(token);
        self.pauses += 1;
        self.paused = Some(token);
        let wait = self.rng.duration(&(Duration::ZERO..=Duration::from_millis(3)));
        self.resume_at = Some(io.now() + wait);
    }
}
