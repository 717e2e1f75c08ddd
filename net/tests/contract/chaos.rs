//! Programs that do anything at any time: only the contract is checked.

use crate::checked::{At, Case, Reader, Writer};
use crate::drive::{On, Places, Tune, run};
use net::engine::sim::{Faults, Rng};
use net::engine::{Close, End, Io, Token};
use net::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) fn whatever_programs_do_the_contract_holds(on: &On) {
    let seed = if let On::Sim(seed, _) = on { *seed } else { 1 };
    run(on, &small(), Chaos::new(seed, on.size(100, 20), on.size(100_000, 1_000)));
}

/// Networks and peers that fail, in many worlds.
#[test]
fn in_hostile_worlds_the_contract_holds_too() {
    for seed in 0..1000 {
        run(&On::Sim(seed, Faults::hostile()), &small(), Chaos::new(seed, 20, 1_000));
    }
}

fn small() -> Tune {
    Tune {
        connections_max: 16,
        unsent_bytes_max: 700,
        receive_buffers: 8,
        receive_buffer_bytes: 512,
        ..Tune::default()
    }
}

#[derive(Debug)]
struct Chaos {
    rng: Rng,
    places: Option<Places>,
    left: usize,
    bytes: usize,
    conns: BTreeMap<Token, Talk>,
    asked: usize,
    next: Option<Time>,
}

#[derive(Debug)]
struct Talk {
    writer: Writer,
    reader: Option<Reader>,
    paused: bool,
    /// Closed, or half-closed by the peer: no bytes from here on.
    deaf: bool,
    /// Finished, or read while over.
    is_read_while_over: bool,
    since: Time,
}

/// A connection that gets old is given up: in hostile worlds some fall silent for ever.
const AGE_MAX: Duration = Duration::from_millis(300);
const CALLERS: usize = 8;

impl Chaos {
    fn new(seed: u64, connects: usize, bytes: usize) -> Chaos {
        let (places, conns) = (None, BTreeMap::new());
        Chaos { rng: Rng::new(seed), places, left: connects, bytes, conns, asked: 0, next: None }
    }

    fn connect(&mut self, io: &mut Io) {
        let Some(places) = self.places.clone() else { return };
        while self.left > 0 && self.asked < CALLERS {
            self.left -= 1;
            self.asked += 1;
            let to = if self.rng.chance(0.1) { places.nowhere.clone() } else { places.here.clone() };
            let token = io.connect(to);
            if self.rng.chance(0.05) {
                io.close(token, Close::AfterFlush);
            }
        }
    }

    /// Any wish, for any connection.
    fn act(&mut self, token: Token, io: &mut Io) {
        let Some(talk) = self.conns.get_mut(&token) else { return };
        match self.rng.below(24) {
            0 => {
                io.close(token, Close::AfterFlush);
                talk.deaf = true;
            }
            1 => {
                io.close(token, Close::Now);
                talk.deaf = true;
            }
            2 | 3 => {
                io.pause(token);
                talk.paused = true;
            }
            4..=6 => {
                io.resume(token);
                talk.paused = false;
            }
            7..=16 => talk.writer.write(token, self.rng.spread(&(0..=2000)) as usize, io),
            17 => {
                io.close(token, Close::Reset);
                talk.deaf = true;
            }
            18 => {
                io.finish(token);
                talk.is_read_while_over = true;
            }
            19 => {
                io.read_while_over(token);
                talk.is_read_while_over = true;
            }
            _ => {}
        }
    }

    fn act_on_any(&mut self, io: &mut Io) {
        let tokens: Vec<Token> = self.conns.keys().copied().collect();
        for _ in 0..self.rng.below(3) {
            if !tokens.is_empty() {
                let any = self.rng.below(tokens.len());
                self.act(tokens[any], io);
            }
        }
    }
}

impl Case for Chaos {
    fn start(&mut self, to: &Places, io: &mut Io) {
        self.places = Some(to.clone());
        self.next = Some(io.now());
        self.connect(io);
    }

    fn open(&mut self, at: At, io: &mut Io) {
        let stream = self.rng.below(256) as u64;
        io.out(at.token).push(stream as u8);
        let writer = Writer::new(stream, self.bytes);
        let (reader, paused, deaf, is_read_while_over) = (None, false, false, false);
        let talk = Talk { writer, reader, paused, deaf, is_read_while_over, since: io.now() };
        self.conns.insert(at.token, talk);
        self.act(at.token, io);
    }

    fn bytes(&mut self, at: At, bytes: &[u8], io: &mut Io) {
        let talk = self.conns.get_mut(&at.token).expect("open");
        assert!(!talk.deaf && !talk.paused, "bytes for {talk:?}");
        match &mut talk.reader {
            Some(reader) => reader.read(bytes),
            None => {
                let mut reader = Reader::new(u64::from(bytes[0]));
                reader.read(&bytes[1..]);
                talk.reader = Some(reader);
            }
        }
        self.act(at.token, io);
        self.act_on_any(io);
    }

    fn is_read_while_over(&self, at: At) -> bool {
        self.conns[&at.token].is_read_while_over
    }

    fn eof(&mut self, at: At, io: &mut Io) {
        let talk = self.conns.get_mut(&at.token).expect("open");
        assert!(!talk.deaf && !talk.paused, "an end for {talk:?}");
        talk.deaf = true;
        if self.rng.chance(0.5) {
            io.close(at.token, Close::AfterFlush);
        } else {
            self.act(at.token, io);
        }
    }

    fn drained(&mut self, at: At, io: &mut Io) {
        self.act(at.token, io);
        self.act_on_any(io);
    }

    fn next_deadline(&self) -> Option<Time> {
        self.next
    }

    fn deadline(&mut self, io: &mut Io) {
        self.next = Some(io.now() + Duration::from_millis(2));
        self.act_on_any(io);
        for (token, talk) in &mut self.conns {
            if io.now().since(talk.since) > AGE_MAX {
                io.close(*token, Close::Now);
                talk.deaf = true;
            }
        }
    }

    fn end(&mut self, at: At, _end: End, io: &mut Io) {
        self.conns.remove(&at.token);
        if at.side == crate::checked::Side::Caller {
            self.asked -= 1;
            self.connect(io);
        }
        self.act_on_any(io);
    }

    fn is_done(&self) -> bool {
        self.left == 0 && self.asked == 0 && self.conns.is_empty()
    }
}
