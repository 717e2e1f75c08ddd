//! One side of a connection ends, and the other one goes on.

use crate::checked::{At, Case, Reader, Side, Writer};
use crate::drive::{On, Places, Tune, run};
use net::engine::sim::Rng;
use net::engine::{Close, End, Io, Token};
use net::time::Time;
use std::time::Duration;

pub(crate) fn a_finished_side_is_ended_and_still_read(on: &On) {
    for unix in [false, true] {
        let bytes = on.size(3 << 20, 3 << 10);
        let case = Letters {
            rng: Rng::new(6),
            letters: [Writer::new(1, bytes), Writer::new(2, bytes)],
            heard: [Reader::new(2), Reader::new(1)],
            callee: None,
            caller: None,
            eofs: 0,
            close_at: None,
            turns: 0,
            ends: 0,
        };
        // The caller's letter is over this limit at once.
        let tune = Tune { unsent_bytes_max: on.size(64 << 10, 512), unix, ..Tune::default() };
        run(on, &tune, case);
    }
}

/// The caller writes a letter and ends its side; then the callee answers with one and ends its own. Both ends
/// are then left alone for a while.
#[derive(Debug)]
struct Letters {
    rng: Rng,
    /// By side.
    letters: [Writer; 2],
    heard: [Reader; 2],
    caller: Option<Token>,
    callee: Option<Token>,
    eofs: usize,
    close_at: Option<Time>,
    /// Since both have ended.
    turns: usize,
    ends: usize,
}

const A_WHILE: Duration = Duration::from_millis(50);
/// Stragglers among events, and the deadline. A lane that spins takes thousands.
const TURNS_OF_A_WHILE_MAX: usize = 500;

impl Letters {
    fn answer(&mut self, at: At, io: &mut Io) {
        let letter = &mut self.letters[Side::Callee as usize];
        letter.fill(at.token, &mut self.rng, io);
        if letter.is_done() {
            finish(at.token, io);
        }
    }
}

fn finish(token: Token, io: &mut Io) {
    io.finish(token);
    assert!(io.is_over(token), "takes no more");
    io.out(token).extend(b"dropped");
    io.finish(token);
}

impl Case for Letters {
    fn start(&mut self, to: &Places, io: &mut Io) {
        let caller = io.connect(to.here.clone());
        // Not open, so that there is nothing to finish.
        io.finish(caller);
        self.caller = Some(caller);
    }

    fn open(&mut self, at: At, io: &mut Io) {
        match at.side {
            Side::Callee => self.callee = Some(at.token),
            Side::Caller => {
                self.letters[0].write(at.token, usize::MAX >> 1, io);
                finish(at.token, io);
            }
        }
    }

    fn bytes(&mut self, at: At, bytes: &[u8], _io: &mut Io) {
        self.heard[at.side as usize].read(bytes);
    }

    fn is_read_while_over(&self, at: At) -> bool {
        at.side == Side::Caller
    }

    fn eof(&mut self, at: At, io: &mut Io) {
        let letter = &self.letters[1 - at.side as usize];
        assert_eq!(self.heard[at.side as usize].read, letter.total, "an end before its bytes");
        self.eofs += 1;
        match at.side {
            Side::Callee => self.answer(at, io),
            Side::Caller => self.close_at = Some(io.now() + A_WHILE),
        }
    }

    fn drained(&mut self, at: At, io: &mut Io) {
        assert_eq!(at.side, Side::Callee, "the caller has finished");
        self.answer(at, io);
    }

    fn turn(&mut self) {
        self.turns += usize::from(self.close_at.is_some());
    }

    fn next_deadline(&self) -> Option<Time> {
        self.close_at
    }

    fn deadline(&mut self, io: &mut Io) {
        assert_eq!(self.eofs, 2);
        assert!(self.turns < TURNS_OF_A_WHILE_MAX, "{} turns with nothing to do", self.turns);
        self.close_at = None;
        self.caller.iter().for_each(|caller| io.close(*caller, Close::AfterFlush));
    }

    fn end(&mut self, at: At, end: End, io: &mut Io) {
        assert_eq!(end, End::Closed);
        assert!(self.eofs == 2 && self.close_at.is_none(), "nothing follows by itself");
        self.ends += 1;
        // Only now: who has ended both ways waits for nobody.
        if at.side == Side::Caller {
            self.callee.iter().for_each(|callee| io.close(*callee, Close::AfterFlush));
        }
    }

    fn is_done(&self) -> bool {
        self.ends == 2
    }
}

pub(crate) fn a_finished_side_is_closed_like_any_other(on: &On) {
    for how in [Close::AfterFlush, Close::Now, Close::Reset] {
        let answer = Writer::new(3, on.size(1 << 20, 4 << 10));
        let ran =
            run(on, &Tune::default(), Leaving { how, rng: Rng::new(4), answer, closed: false, ends: vec![] });
        let end = |side| ran.case.ends.iter().find(|(at, _)| *at == side).map(|(_, end)| *end);
        match how {
            Close::AfterFlush => {
                assert_eq!((end(Side::Caller), end(Side::Callee)), (Some(End::Closed), Some(End::Closed)));
                assert_eq!(
                    ran.stats["received_bytes"],
                    1 + ran.case.answer.total,
                    "all was read, and discarded"
                );
            }
            Close::Now | Close::Reset => assert_eq!(end(Side::Caller), Some(End::Aborted)),
        }
    }
}

/// The caller says a word, ends its side, and closes when the answer begins.
#[derive(Debug)]
struct Leaving {
    how: Close,
    rng: Rng,
    answer: Writer,
    closed: bool,
    ends: Vec<(Side, End)>,
}

impl Leaving {
    fn answer(&mut self, at: At, io: &mut Io) {
        self.answer.fill(at.token, &mut self.rng, io);
        if self.answer.is_done() {
            io.close(at.token, Close::AfterFlush);
        }
    }
}

impl Case for Leaving {
    fn start(&mut self, to: &Places, io: &mut Io) {
        io.connect(to.here.clone());
    }

    fn open(&mut self, at: At, io: &mut Io) {
        if at.side == Side::Caller {
            io.out(at.token).push(1);
            io.finish(at.token);
        }
    }

    fn bytes(&mut self, at: At, _bytes: &[u8], io: &mut Io) {
        if at.side == Side::Caller {
            assert!(!self.closed, "bytes after the close");
            io.close(at.token, self.how);
            self.closed = true;
        }
    }

    fn is_read_while_over(&self, at: At) -> bool {
        at.side == Side::Caller
    }

    fn eof(&mut self, at: At, io: &mut Io) {
        assert_eq!(at.side, Side::Callee, "who has closed is not told of the peer's end");
        self.answer(at, io);
    }

    fn drained(&mut self, at: At, io: &mut Io) {
        self.answer(at, io);
    }

    fn end(&mut self, at: At, end: End, _io: &mut Io) {
        self.ends.push((at.side, end));
    }

    fn is_done(&self) -> bool {
        self.ends.len() == 2
    }
}
