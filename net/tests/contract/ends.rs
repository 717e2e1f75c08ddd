//! Connections end: once, for the reason that is true, and nothing comes after.

use crate::checked::{At, Case, Reader, Side, Writer};
use crate::drive::{On, Places, Tune, run};
use net::engine::sim::Rng;
use net::engine::{Close, End, Io, Token};
use net::time::Time;
use std::time::Duration;

const ECONNREFUSED: i32 = 111;

pub(crate) fn a_close_after_flush_delivers_everything_although_the_peer_still_sends(on: &On) {
    let answer = on.size(1 << 20, 4 << 10);
    let (talk, heard) = (Writer::new(1, usize::MAX), Reader::new(2));
    let pace = (on.size(50_000, 200), Duration::from_micros(on.size(200, 5_000) as u64));
    let case = Lingering { answer, pace, caller: None, next: None, talk, heard, ends: 0 };
    let tune = Tune { unsent_bytes_max: on.size(64 << 10, 512), ..Tune::default() };
    assert_eq!(run(on, &tune, case).case.heard.read, answer as u64);
}

/// The caller talks without end, at its own pace (one that fills its output to the limit again and again would
/// never be read); the callee answers the first bytes and closes.
#[derive(Debug)]
struct Lingering {
    answer: usize,
    /// So many bytes, so often.
    pace: (usize, Duration),
    caller: Option<Token>,
    next: Option<Time>,
    talk: Writer,
    heard: Reader,
    ends: usize,
}

impl Case for Lingering {
    fn start(&mut self, to: &Places, io: &mut Io) {
        self.caller = Some(io.connect(to.here.clone()));
    }

    fn open(&mut self, at: At, io: &mut Io) {
        if at.side == Side::Caller {
            self.next = Some(io.now());
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        self.next
    }

    fn deadline(&mut self, io: &mut Io) {
        let (bytes, wait) = self.pace;
        self.next = Some(io.now() + wait);
        if let Some(caller) = self.caller.filter(|caller| !io.is_over(*caller)) {
            self.talk.write(caller, bytes, io);
        }
    }

    fn bytes(&mut self, at: At, bytes: &[u8], io: &mut Io) {
        match at.side {
            Side::Caller => self.heard.read(bytes),
            Side::Callee => {
                assert_eq!(io.unsent(at.token), 0, "bytes after the close");
                Writer::new(2, self.answer).write(at.token, self.answer, io);
                io.close(at.token, Close::AfterFlush);
            }
        }
    }

    fn eof(&mut self, at: At, io: &mut Io) {
        assert_eq!(at.side, Side::Caller, "who has closed is not told of the peer's end");
        assert_eq!(self.heard.read, self.answer as u64);
        self.next = None;
        io.close(at.token, Close::AfterFlush);
    }

    fn end(&mut self, _at: At, end: End, _io: &mut Io) {
        assert_eq!(end, End::Closed);
        self.ends += 1;
    }

    fn is_done(&self) -> bool {
        self.ends == 2
    }
}

pub(crate) fn a_half_close_still_lets_output_through(on: &On) {
    let case = HalfClose { output: Writer::new(3, on.size(3 << 20, 3 << 10)), rng: Rng::new(1), ends: 0 };
    let tune = Tune { unsent_bytes_max: on.size(64 << 10, 512), ..Tune::default() };
    let bytes = case.output.total;
    let ran = run(on, &tune, case);
    assert_eq!(
        ran.stats["received_bytes"],
        5 + bytes,
        "the caller's engine read everything and discarded it"
    );
}

/// The caller says one word and closes; only then the callee begins to write.
#[derive(Debug)]
struct HalfClose {
    output: Writer,
    rng: Rng,
    ends: usize,
}

impl HalfClose {
    fn write(&mut self, at: At, io: &mut Io) {
        self.output.fill(at.token, &mut self.rng, io);
        if self.output.is_done() {
            io.close(at.token, Close::AfterFlush);
        }
    }
}

impl Case for HalfClose {
    fn start(&mut self, to: &Places, io: &mut Io) {
        io.connect(to.here.clone());
    }

    fn open(&mut self, at: At, io: &mut Io) {
        if at.side == Side::Caller {
            io.out(at.token).extend(b"hello");
            io.close(at.token, Close::AfterFlush);
        }
    }

    fn eof(&mut self, at: At, io: &mut Io) {
        self.write(at, io);
    }

    fn drained(&mut self, at: At, io: &mut Io) {
        self.write(at, io);
    }

    fn end(&mut self, _at: At, end: End, _io: &mut Io) {
        assert_eq!(end, End::Closed);
        self.ends += 1;
    }

    fn is_done(&self) -> bool {
        self.ends == 2
    }
}

pub(crate) fn a_reset_is_told_once(on: &On) {
    run(on, &Tune::default(), Reset::default());
}

/// The callee gives up with bytes unread, which resets the connection.
#[derive(Debug, Default)]
struct Reset {
    caller: Option<Token>,
    next: Option<Time>,
    ends: Vec<(Side, End)>,
}

impl Case for Reset {
    fn start(&mut self, to: &Places, io: &mut Io) {
        io.connect(to.here.clone());
    }

    fn open(&mut self, at: At, io: &mut Io) {
        if at.side == Side::Caller {
            self.caller = Some(at.token);
            io.out(at.token).extend([1; 64 * 1024]);
            self.next = Some(io.now());
        }
    }

    fn bytes(&mut self, at: At, _bytes: &[u8], io: &mut Io) {
        io.close(at.token, Close::Now);
    }

    /// The callee's end may arrive before the reset; who goes on writing hears of the reset.
    fn eof(&mut self, at: At, _io: &mut Io) {
        assert_eq!(at.side, Side::Caller);
    }

    fn next_deadline(&self) -> Option<Time> {
        self.next
    }

    fn deadline(&mut self, io: &mut Io) {
        if let Some(token) = self.caller {
            io.out(token).push(1);
            self.next = Some(io.now() + Duration::from_millis(1));
        }
    }

    fn end(&mut self, at: At, end: End, _io: &mut Io) {
        self.ends.push((at.side, end));
        self.next = self.next.filter(|_| at.side == Side::Callee);
        match at.side {
            Side::Caller => assert_eq!(end, End::Reset),
            Side::Callee => assert_eq!(end, End::Aborted),
        }
    }

    fn is_done(&self) -> bool {
        self.ends.len() == 2
    }
}

pub(crate) fn a_refused_connect_ends_without_having_opened(on: &On) {
    let ran = run(on, &Tune::default(), Failing { asked: vec![], ends: vec![], then: Then::Wait });
    let mut ends = ran.case.ends;
    ends.sort_by_key(|(token, _)| *token);
    assert_eq!(
        ends,
        ran.case.asked.iter().map(|t| (*t, End::ConnectFailed(ECONNREFUSED))).collect::<Vec<_>>()
    );
    assert_eq!((ran.stats["connect_failures"], ran.stats["connects"], ran.stats["ends"]), (3, 0, 0));
}

pub(crate) fn a_connect_that_is_closed_at_once_never_opens(on: &On) {
    for how in [Close::AfterFlush, Close::Now] {
        let ran = run(on, &Tune::default(), Failing { asked: vec![], ends: vec![], then: Then::Close(how) });
        assert!(ran.case.ends.iter().all(|(_, end)| *end == End::Aborted), "{:?}", ran.case);
        assert_eq!(ran.stats["connects"], 0);
    }
}

pub(crate) fn a_connect_asked_for_in_the_last_call_of_a_turn_is_made(on: &On) {
    let ran = run(on, &Tune::default(), Failing { asked: vec![], ends: vec![], then: Then::Again(5) });
    assert_eq!(ran.case.ends.len(), 8);
}

/// Connects to nobody.
#[derive(Debug)]
struct Failing {
    asked: Vec<Token>,
    ends: Vec<(Token, End)>,
    then: Then,
}

#[derive(Debug)]
enum Then {
    Wait,
    Close(Close),
    /// An `on_end` may be the last call of a turn.
    Again(usize),
}

impl Case for Failing {
    fn start(&mut self, to: &Places, io: &mut Io) {
        for _ in 0..3 {
            let token = io.connect(to.nowhere.clone());
            self.asked.push(token);
            io.out(token).extend(b"dropped: not open yet");
            match self.then {
                Then::Close(how) => io.close(token, how),
                Then::Again(_) => io.close(token, Close::Now),
                Then::Wait => {}
            }
        }
    }

    fn open(&mut self, at: At, _io: &mut Io) {
        panic!("{at:?} opened");
    }

    fn end(&mut self, at: At, end: End, io: &mut Io) {
        self.ends.push((at.token, end));
        if let Then::Again(left) = &mut self.then
            && *left > 0
        {
            *left -= 1;
            let again = io.connect("127.0.0.1:1".parse().unwrap());
            io.close(again, Close::Now);
            self.asked.push(again);
        }
    }

    fn is_done(&self) -> bool {
        self.ends.len() == self.asked.len()
    }
}
