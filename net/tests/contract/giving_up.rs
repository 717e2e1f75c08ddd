//! Connections that are given up while bytes are on their way, and what takes their place.

use crate::checked::{At, Case, Reader, Side, Writer};
use crate::drive::{On, Places, Tune, run};
use net::engine::sim::Rng;
use net::engine::{Close, End, Io, Token};
use net::time::Time;
use std::collections::HashMap;
use std::time::Duration;

pub(crate) fn a_close_at_once_ends_both_sides(on: &On) {
    run(on, &Tune::default(), Rounds::new(1, 1, on.size(1 << 20, 2 << 10)));
}

pub(crate) fn late_completions_reach_nobody(on: &On) {
    let ran = run(on, &Tune::default(), Rounds::new(on.size(60, 10), 8, on.size(200 << 10, 1 << 10)));
    if on.is_uring() {
        assert!(ran.stats["late_completions"] > 0, "{:?}", ran.stats);
    }
    assert!(ran.case.index_max < 64, "indexes are used again: {}", ran.case.index_max);
}

/// Descriptors belong to the process: one that a lane has closed is the next lane's new connection.
pub(crate) fn lanes_of_one_process_do_not_meet(on: &On) {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let rounds = Rounds::new(on.size(50, 2), 8, on.size(5_000, 1_000));
                // The others have time to take the descriptor before this turn's output is submitted.
                let slow = Duration::from_micros(on.size(100, 0) as u64);
                run(on, &Tune::default(), Rounds { slow, ..rounds })
            });
        }
    });
}

/// Connections that both sides write on until one gives up, again and again. Each stream has a pattern of its
/// own, so that a byte of another connection would be seen.
#[derive(Debug)]
struct Rounds {
    rng: Rng,
    here: Option<Places>,
    left: usize,
    under_way: usize,
    bytes: usize,
    streams: u64,
    conns: HashMap<Token, (Writer, Option<Reader>)>,
    /// Bytes after which one side of the connections gives up.
    patience: u64,
    index_max: usize,
    /// How long an `on_end` takes.
    slow: Duration,
}

impl Rounds {
    fn new(rounds: usize, width: usize, bytes: usize) -> Rounds {
        let (rng, conns) = (Rng::new(rounds as u64), HashMap::new());
        let (left, patience) = (rounds * width, bytes as u64 / 3);
        let (streams, under_way, index_max, slow) = (0, 0, width, Duration::ZERO);
        Rounds { rng, here: None, left, under_way, bytes, streams, conns, patience, index_max, slow }
    }

    fn next(&mut self, io: &mut Io) {
        if self.left > 0 {
            self.left -= 1;
            self.under_way += 1;
            io.connect(self.here.as_ref().expect("started").here.clone());
        }
    }
}

impl Case for Rounds {
    fn start(&mut self, to: &Places, io: &mut Io) {
        self.here = Some(to.clone());
        for _ in 0..self.index_max {
            self.next(io);
        }
    }

    fn open(&mut self, at: At, io: &mut Io) {
        self.index_max = self.index_max.max(at.token.index());
        self.streams += 1;
        // The first byte names the stream.
        let stream = self.streams % 256;
        io.out(at.token).push(stream as u8);
        let mut writer = Writer::new(stream, self.bytes / 2);
        writer.fill(at.token, &mut self.rng, io);
        writer.total = self.bytes as u64;
        self.conns.insert(at.token, (writer, None));
    }

    fn bytes(&mut self, at: At, bytes: &[u8], io: &mut Io) {
        let (writer, reader) = self.conns.get_mut(&at.token).expect("open");
        match reader {
            Some(reader) => reader.read(bytes),
            None => {
                let mut first = Reader::new(u64::from(bytes[0]));
                first.read(&bytes[1..]);
                *reader = Some(first);
            }
        }
        let read = reader.as_ref().map_or(0, |r| r.read);
        if read >= self.patience || self.rng.chance(0.05) {
            // Output and its end in one turn: what is sent to nobody must not find somebody.
            writer.write(at.token, 1000, io);
            io.close(at.token, Close::Now);
            io.out(at.token).extend(b"dropped");
        }
    }

    fn eof(&mut self, at: At, io: &mut Io) {
        io.close(at.token, if self.rng.chance(0.5) { Close::Now } else { Close::AfterFlush });
    }

    fn drained(&mut self, at: At, io: &mut Io) {
        let (writer, _) = self.conns.get_mut(&at.token).expect("open");
        writer.fill(at.token, &mut self.rng, io);
    }

    fn end(&mut self, at: At, end: End, io: &mut Io) {
        assert!(matches!(end, End::Aborted | End::Reset | End::Closed), "{end:?}");
        self.conns.remove(&at.token);
        if !self.slow.is_zero() {
            std::thread::sleep(self.slow);
        }
        if at.side == Side::Caller {
            self.under_way -= 1;
            self.next(io);
        }
    }

    fn is_done(&self) -> bool {
        self.left == 0 && self.under_way == 0 && self.conns.is_empty()
    }
}

pub(crate) fn a_reset_is_seen_as_one_and_not_as_an_end(on: &On) {
    for unix in [false, true] {
        // Hardly more connections than there are at a time: one that is not let go stops the rest.
        let tune = Tune { connections_max: 4, unix, ..Tune::default() };
        let bytes = on.size(16 << 20, 4 << 10);
        let (caller, callee, reset_at, ends) = (None, None, None, vec![]);
        let here = None;
        let ran = run(on, &tune, Cut { unix, bytes, here, round: 0, caller, callee, reset_at, ends });
        for end in &ran.case.ends {
            match end {
                (Side::Callee, end) => assert_eq!(*end, End::Aborted),
                (Side::Caller, End::Closed) => assert!(unix && !on.is_sim(), "a cut answer looked complete"),
                (Side::Caller, end) => assert_eq!(*end, End::Reset),
            }
        }
    }
}

const ROUNDS: usize = 12;

/// The callee answers one byte with many, and resets: at once, or when all buffers are full because the
/// caller does not read for a while; as its first word or after another.
#[derive(Debug)]
struct Cut {
    /// Has no reset on real engines.
    unix: bool,
    bytes: usize,
    here: Option<Places>,
    round: usize,
    caller: Option<Token>,
    callee: Option<Token>,
    reset_at: Option<Time>,
    ends: Vec<(Side, End)>,
}

impl Cut {
    fn next(&mut self, io: &mut Io) {
        if self.round < ROUNDS {
            self.round += 1;
            self.caller = self.here.as_ref().map(|to| io.connect(to.here.clone()));
        }
    }

    fn reset(&self, token: Token, io: &mut Io) {
        match self.round % 6 {
            0 | 1 => io.close(token, Close::AfterFlush),
            2 | 3 => io.close(token, Close::Now),
            _ => {}
        }
        io.close(token, Close::Reset);
        io.close(token, Close::Now);
        io.close(token, Close::AfterFlush);
    }
}

impl Case for Cut {
    fn start(&mut self, to: &Places, io: &mut Io) {
        self.here = Some(to.clone());
        self.next(io);
    }

    fn open(&mut self, at: At, io: &mut Io) {
        if at.side == Side::Caller {
            io.out(at.token).push(1);
            if self.round.is_multiple_of(2) {
                io.pause(at.token);
            }
        }
    }

    fn bytes(&mut self, at: At, _bytes: &[u8], io: &mut Io) {
        if at.side == Side::Caller {
            return;
        }
        self.callee = Some(at.token);
        Writer::new(1, self.bytes).write(at.token, self.bytes, io);
        match self.round % 2 {
            0 => self.reset_at = Some(io.now() + Duration::from_millis(5)),
            _ => self.reset(at.token, io),
        }
    }

    fn eof(&mut self, at: At, io: &mut Io) {
        assert!(self.unix, "{at:?}: a cut answer looks complete");
        io.close(at.token, Close::AfterFlush);
    }

    fn next_deadline(&self) -> Option<Time> {
        self.reset_at
    }

    fn deadline(&mut self, io: &mut Io) {
        self.reset_at = None;
        self.callee.iter().for_each(|callee| self.reset(*callee, io));
    }

    fn end(&mut self, at: At, end: End, io: &mut Io) {
        self.ends.push((at.side, end));
        match at.side {
            Side::Callee => self.caller.iter().for_each(|caller| io.resume(*caller)),
            Side::Caller => self.next(io),
        }
    }

    fn is_done(&self) -> bool {
        self.ends.len() == 2 * ROUNDS
    }
}
