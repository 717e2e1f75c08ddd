//! Bytes arrive: all of them, in order, once.

use crate::checked::{At, Case, Reader, Side, Writer, pattern};
use crate::drive::{On, Places, Tune, run};
use net::engine::sim::Rng;
use net::engine::{Close, End, Io, Token};
use std::collections::HashMap;
use std::time::Duration;

pub(crate) fn an_echo_returns_everything_in_order(on: &On) {
    let tunes = [
        Tune::default(),
        Tune { unix: true, ..Tune::default() },
        Tune { busy_poll: Some(Duration::from_micros(20)), unsent_bytes_max: 1000, ..Tune::default() },
    ];
    for tune in tunes {
        let bytes = on.size(2 << 20, 3 << 10);
        let echo = Echo::new(3, bytes, tune.unsent_bytes_max / 2);
        let ran = run(on, &tune, echo);
        assert_eq!(ran.stats["received_bytes"], 2 * 3 * bytes as u64);
        assert_eq!(ran.stats["sent_bytes"], 2 * 3 * bytes as u64);
        assert_eq!((ran.stats["accepts"], ran.stats["connects"], ran.stats["ends"]), (3, 3, 6));
    }
}

pub(crate) fn hundreds_of_connections_live_side_by_side(on: &On) {
    // More than the ring's submission queue takes at once.
    let count = on.size(700, 50);
    let echo = Echo::new(count, 100, 100);
    let ran = run(on, &Tune::default(), echo);
    assert_eq!(ran.stats["accepts"], count as u64);
    if on.is_uring() {
        assert!(ran.stats["submission_queue_fulls"] > 0, "{:?}", ran.stats);
    }
}

pub(crate) fn small_receive_buffers_lose_nothing(on: &On) {
    let tune = Tune { receive_buffers: 2, receive_buffer_bytes: 64, ..Tune::default() };
    let bytes = on.size(100 << 10, 2 << 10);
    let ran = run(on, &tune, Echo::new(5, bytes, bytes));
    assert_eq!(ran.stats["received_bytes"], 2 * 5 * bytes as u64);
    if on.is_uring() {
        assert!(ran.stats["buffer_shortages"] > 0, "{:?}", ran.stats);
    }
}

/// Callers write streams, callees return them.
#[derive(Debug)]
struct Echo {
    rng: Rng,
    count: usize,
    bytes: usize,
    /// Sent and not returned: below the limit, so that a caller is always read. (Two sides that both wait for
    /// the other to read would wait for ever.)
    under_way_max: usize,
    callers: HashMap<Token, (Writer, Reader)>,
    opened: usize,
    ends: usize,
}

impl Echo {
    fn new(count: usize, bytes: usize, under_way_max: usize) -> Echo {
        let (rng, callers) = (Rng::new(7), HashMap::new());
        Echo { rng, count, bytes, under_way_max, callers, opened: 0, ends: 0 }
    }

    fn write(&mut self, at: At, io: &mut Io) {
        let (writer, reader) = self.callers.get_mut(&at.token).expect("a caller");
        while !writer.is_done() && writer.written - reader.read < self.under_way_max as u64 {
            let room = self.under_way_max - (writer.written - reader.read) as usize;
            writer.write(at.token, self.rng.spread(&(1..=room as u64)) as usize, io);
        }
        if reader.read == writer.total {
            io.close(at.token, Close::AfterFlush);
        }
    }
}

impl Case for Echo {
    fn start(&mut self, to: &Places, io: &mut Io) {
        for _ in 0..self.count {
            io.connect(to.here.clone());
        }
    }

    fn open(&mut self, at: At, io: &mut Io) {
        if at.side == Side::Caller {
            self.opened += 1;
            let stream = self.opened as u64;
            self.callers.insert(at.token, (Writer::new(stream, self.bytes), Reader::new(stream)));
            self.write(at, io);
        }
    }

    fn bytes(&mut self, at: At, bytes: &[u8], io: &mut Io) {
        match at.side {
            Side::Callee => io.out(at.token).extend(bytes),
            Side::Caller => {
                self.callers.get_mut(&at.token).expect("a caller").1.read(bytes);
                self.write(at, io);
            }
        }
    }

    fn end(&mut self, _at: At, end: End, _io: &mut Io) {
        assert_eq!(end, End::Closed);
        self.ends += 1;
    }

    fn is_done(&self) -> bool {
        self.ends == 2 * self.count
    }
}

/// One stream each way on connections of their own, as fast as there is room.
#[derive(Debug)]
struct OneWay {
    rng: Rng,
    bytes: usize,
    writers: HashMap<Token, Writer>,
    readers: HashMap<Token, Reader>,
    opened: [usize; 2],
    drained: usize,
    ends: usize,
}

pub(crate) fn output_that_waits_for_room_arrives_in_order(on: &On) {
    let bytes = on.size(8 << 20, 10 << 10);
    let one_way = OneWay {
        rng: Rng::new(8),
        bytes,
        writers: HashMap::new(),
        readers: HashMap::new(),
        opened: [0, 0],
        drained: 0,
        ends: 0,
    };
    let tune = Tune { unsent_bytes_max: on.size(64 << 10, 1 << 10), ..Tune::default() };
    let ran = run(on, &tune, one_way);
    assert_eq!(ran.stats["received_bytes"], 2 * bytes as u64);
    assert!(ran.case.drained > 0);
}

impl OneWay {
    fn write(&mut self, at: At, io: &mut Io) {
        let Some(writer) = self.writers.get_mut(&at.token) else { return };
        writer.fill(at.token, &mut self.rng, io);
        if writer.is_done() {
            io.close(at.token, Close::AfterFlush);
        }
    }
}

impl Case for OneWay {
    fn start(&mut self, to: &Places, io: &mut Io) {
        io.connect(to.here.clone());
        io.connect(to.here.clone());
    }

    fn open(&mut self, at: At, io: &mut Io) {
        self.opened[at.side as usize] += 1;
        // The first caller writes, and whoever accepts the first byte of nobody does: see `bytes` and `drained`.
        if at.side == Side::Caller {
            let role = self.opened[0] as u8;
            io.out(at.token).push(role);
            if role == 1 {
                self.writers.insert(at.token, Writer::new(1, self.bytes - 1));
                self.write(at, io);
            } else {
                self.readers.insert(at.token, Reader::new(2));
            }
        }
    }

    fn bytes(&mut self, at: At, bytes: &[u8], io: &mut Io) {
        if let Some(reader) = self.readers.get_mut(&at.token) {
            return reader.read(bytes);
        }
        let (role, rest) = (bytes[0], &bytes[1..]);
        if role == 1 {
            let mut reader = Reader::new(1);
            reader.read(rest);
            self.readers.insert(at.token, reader);
        } else {
            self.writers.insert(at.token, Writer::new(2, self.bytes - 1));
            self.write(at, io);
        }
    }

    fn drained(&mut self, at: At, io: &mut Io) {
        self.drained += 1;
        self.write(at, io);
    }

    fn end(&mut self, at: At, end: End, _io: &mut Io) {
        assert_eq!(end, End::Closed);
        if let Some(reader) = self.readers.get(&at.token) {
            assert_eq!(reader.read, self.bytes as u64 - 1);
        }
        self.ends += 1;
    }

    fn is_done(&self) -> bool {
        self.ends == 4
    }
}

pub(crate) fn what_one_call_appended_arrives_in_order(on: &On) {
    let ran = run(on, &Tune::default(), Appends::default());
    for (token, got) in &ran.case.got {
        let stream = u64::from(got[0]);
        let expected: Vec<u8> = (0..PIECES).map(|n| pattern(stream, n)).collect();
        assert_eq!(got[1..], expected, "{token:?}");
    }
    assert_eq!(ran.case.got.len(), 5);
}

const PIECES: u64 = 300;

/// Appends small pieces to several connections in turns, from one call.
#[derive(Debug, Default)]
struct Appends {
    callers: Vec<Token>,
    got: HashMap<Token, Vec<u8>>,
    ends: usize,
}

impl Case for Appends {
    fn start(&mut self, to: &Places, io: &mut Io) {
        for _ in 0..5 {
            io.connect(to.here.clone());
        }
    }

    fn open(&mut self, at: At, io: &mut Io) {
        if at.side == Side::Callee {
            return;
        }
        self.callers.push(at.token);
        if self.callers.len() < 5 {
            return;
        }
        for (stream, token) in self.callers.iter().enumerate() {
            io.out(*token).push(stream as u8);
        }
        for n in 0..PIECES {
            for (stream, token) in self.callers.iter().enumerate() {
                io.out(*token).push(pattern(stream as u64, n));
            }
        }
        for token in &self.callers {
            io.close(*token, Close::AfterFlush);
            io.out(*token).extend(b"appended after the close, so dropped");
        }
    }

    fn bytes(&mut self, at: At, bytes: &[u8], _io: &mut Io) {
        self.got.entry(at.token).or_default().extend(bytes);
    }

    fn end(&mut self, _at: At, end: End, _io: &mut Io) {
        assert_eq!(end, End::Closed);
        self.ends += 1;
    }

    fn is_done(&self) -> bool {
        self.ends == 10
    }
}
