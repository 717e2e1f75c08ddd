//! Who may come in, and when.

use crate::checked::{At, Case, Side};
use crate::drive::{On, Places, Tune, run};
use net::engine::{Accepting, Close, End, Io};
use net::time::Time;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const ECONNREFUSED: i32 = 111;
const CALLERS: usize = 5;

pub(crate) fn paused_leaves_peers_waiting_and_off_serves_them_and_then_refuses(on: &On) {
    let case = Door {
        places: None,
        stage: Stage::Paused,
        at: None,
        callers: 0,
        callees: 0,
        answers: 0,
        ends: vec![],
    };
    let ran = run(on, &Tune::default(), case);
    assert_eq!(ran.case.ends, [End::ConnectFailed(ECONNREFUSED)]);
    assert_eq!(ran.stats["accepts"], 3 * CALLERS as u64);
}

/// Each caller says a word and keeps the connection; each callee answers it.
#[derive(Debug)]
struct Door {
    places: Option<Places>,
    stage: Stage,
    at: Option<Time>,
    callers: usize,
    callees: usize,
    answers: usize,
    ends: Vec<End>,
}

#[derive(Debug, PartialEq)]
enum Stage {
    /// Peers wait in the backlog.
    Paused,
    On,
    PausedAgain,
    /// Those who waited are served.
    Off,
    /// Who comes now is refused.
    Closed,
}

const A_WHILE: Duration = Duration::from_millis(30);

impl Door {
    fn connect(&self, count: usize, io: &mut Io) {
        for _ in 0..count {
            io.connect(self.places.as_ref().expect("started").here.clone());
        }
    }

    fn step(&mut self, io: &mut Io) {
        let all = self.callers;
        self.stage = match self.stage {
            Stage::Paused if all == CALLERS && self.at.is_none_or(|at| at <= io.now()) => {
                assert_eq!(self.callees, 0, "accepted while paused");
                io.accepting(Accepting::On);
                self.at = None;
                // On from here on: these don't wait.
                self.connect(CALLERS, io);
                Stage::On
            }
            Stage::On if self.answers == 2 * CALLERS => {
                io.accepting(Accepting::Paused);
                self.at = Some(io.now() + A_WHILE);
                Stage::PausedAgain
            }
            Stage::PausedAgain if all == 2 * CALLERS && self.at.is_some_and(|at| at <= io.now()) => {
                self.connect(CALLERS, io);
                self.at = None;
                return;
            }
            Stage::PausedAgain if all == 3 * CALLERS => {
                assert_eq!(self.callees, 2 * CALLERS, "accepted while paused");
                io.accepting(Accepting::Off);
                io.accepting(Accepting::On);
                Stage::Off
            }
            Stage::Off if self.answers == 3 * CALLERS => {
                self.connect(1, io);
                Stage::Closed
            }
            _ => return,
        };
    }
}

impl Case for Door {
    fn start(&mut self, to: &Places, io: &mut Io) {
        self.places = Some(to.clone());
        io.accepting(Accepting::Paused);
        self.connect(CALLERS, io);
        self.at = Some(io.now() + A_WHILE);
    }

    fn open(&mut self, at: At, io: &mut Io) {
        match at.side {
            Side::Caller => {
                self.callers += 1;
                io.out(at.token).push(1);
            }
            Side::Callee => self.callees += 1,
        }
        self.step(io);
    }

    fn bytes(&mut self, at: At, _bytes: &[u8], io: &mut Io) {
        match at.side {
            Side::Callee => io.out(at.token).push(2),
            Side::Caller => self.answers += 1,
        }
        self.step(io);
    }

    fn next_deadline(&self) -> Option<Time> {
        self.at
    }

    fn deadline(&mut self, io: &mut Io) {
        self.step(io);
        // Not all callers are there yet: look again.
        self.at = self.at.map(|at| at.max(io.now() + Duration::from_millis(1)));
    }

    fn end(&mut self, _at: At, end: End, _io: &mut Io) {
        if !self.is_done() {
            self.ends.push(end);
        }
    }

    fn is_done(&self) -> bool {
        !self.ends.is_empty()
    }
}

pub(crate) fn a_full_lane_leaves_peers_waiting(on: &On) {
    let full = Full { open: 0, answers: 0, ends: 0 };
    let ran = run(on, &Tune { connections_max: FULL_AT, ..Tune::default() }, full);
    assert_eq!(ran.case.answers, FULL_CALLERS);
    assert!(ran.stats["connection_pauses"] > 0, "{:?}", ran.stats);
}

const FULL_AT: usize = 10;
const FULL_CALLERS: usize = 8;

/// Callers take most of what the lane may hold, so callees come in a few at a time, as callers leave.
#[derive(Debug)]
struct Full {
    open: usize,
    answers: usize,
    ends: usize,
}

impl Case for Full {
    fn start(&mut self, to: &Places, io: &mut Io) {
        self.open = FULL_CALLERS;
        for _ in 0..FULL_CALLERS {
            io.connect(to.here.clone());
        }
    }

    fn open(&mut self, at: At, io: &mut Io) {
        match at.side {
            Side::Caller => io.out(at.token).push(1),
            Side::Callee => {
                self.open += 1;
                assert!(self.open <= FULL_AT);
            }
        }
    }

    fn bytes(&mut self, at: At, _bytes: &[u8], io: &mut Io) {
        match at.side {
            Side::Callee => io.out(at.token).push(2),
            Side::Caller => {
                self.answers += 1;
                io.close(at.token, Close::AfterFlush);
            }
        }
    }

    fn end(&mut self, _at: At, end: End, _io: &mut Io) {
        assert_eq!(end, End::Closed);
        self.open -= 1;
        self.ends += 1;
    }

    fn is_done(&self) -> bool {
        self.ends == 2 * FULL_CALLERS
    }
}

pub(crate) fn a_peers_address_is_known_where_it_is_asked_for(on: &On) {
    for (unix, peer_addresses) in [(false, true), (false, false), (true, true)] {
        let tune = Tune { unix, peer_addresses, ..Tune::default() };
        let peers = run(on, &tune, Peers::default()).case.peers;
        let known: BTreeSet<SocketAddr> = peers.iter().copied().flatten().collect();
        let hosts: BTreeSet<IpAddr> = known.iter().map(SocketAddr::ip).collect();
        // In worlds an address costs nothing, and all are as TCP.
        if on.is_sim() || peer_addresses && !unix {
            assert_eq!((peers.len(), known.len(), hosts.len()), (CALLERS, CALLERS, 1), "{peers:?}");
            assert!(known.iter().all(|peer| peer.port() >= 1024), "{peers:?}");
        } else {
            assert_eq!(peers, [None; CALLERS]);
        }
    }
}

/// Callers that come and stay, so that no port is used twice.
#[derive(Debug, Default)]
struct Peers {
    peers: Vec<Option<SocketAddr>>,
}

impl Case for Peers {
    fn start(&mut self, to: &Places, io: &mut Io) {
        for _ in 0..CALLERS {
            io.connect(to.here.clone());
        }
    }

    fn peer(&mut self, peer: Option<SocketAddr>) {
        self.peers.push(peer);
    }

    fn end(&mut self, _at: At, end: End, _io: &mut Io) {
        assert_eq!(end, End::Aborted, "the engine stops");
    }

    fn is_done(&self) -> bool {
        self.peers.len() == CALLERS
    }
}
