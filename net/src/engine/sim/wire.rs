//! One connection of the world: two pipes, and who holds its ends.
//!
//! In: bytes that an end sends, in segments that arrive in order. Out: bytes that the other end may read, and
//! behind them an end or a break. Never: more bytes between the two than the window.

use super::faults::{Faults, Rng};
use crate::engine::Token;
use crate::time::Time;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plug {
    pub(super) wire: usize,
    pub(super) side: Side,
}

impl Plug {
    pub(super) fn other(self) -> Plug {
        let side = match self.side {
            Side::Connector => Side::Acceptor,
            Side::Acceptor => Side::Connector,
        };
        Plug { side, ..self }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Connector,
    Acceptor,
}

/// Who holds an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// Connected and waiting in a backlog, or not even that: what arrives is kept.
    Nobody,
    Host {
        host: usize,
        token: Token,
    },
    /// Let go: what arrives is answered with a reset.
    Gone,
}

pub(super) struct Wire {
    /// By the side that sends.
    pipes: [Pipe; 2],
    holders: [Holder; 2],
    /// The connector's address, if this is TCP.
    pub(super) from: Option<SocketAddr>,
    /// Delivers a few bytes at a time.
    pub(super) crumbs: bool,
    /// Carries nothing any more.
    pub(super) vanished: bool,
}

pub(super) struct Pipe {
    flight: VecDeque<Segment>,
    flight_bytes: usize,
    /// When the segment that was sent last arrives: none overtakes.
    pub(super) last_at: Time,
    /// Arrived and not read.
    pub(super) arrived: VecDeque<u8>,
    pub(super) tail: Tail,
    pub(super) window: usize,
    /// The sender wants to know when there is room again.
    pub(super) blocked: bool,
    /// The sender has sent its end.
    pub(super) shut: bool,
}

/// What has arrived behind the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    Open,
    Eof,
    Reset,
}

pub(super) enum Segment {
    Bytes(Vec<u8>),
    Fin,
    Reset,
}

impl Wire {
    pub(super) fn new(connector: Holder, from: Option<SocketAddr>, faults: &Faults, rng: &mut Rng) -> Wire {
        let window = *faults.window.start() as u64..=*faults.window.end() as u64;
        let mut pipe = || Pipe {
            flight: VecDeque::new(),
            flight_bytes: 0,
            last_at: Time(0),
            arrived: VecDeque::new(),
            tail: Tail::Open,
            window: rng.spread(&window) as usize,
            blocked: false,
            shut: false,
        };
        let pipes = [pipe(), pipe()];
        let crumbs = rng.chance(faults.crumbs);
        Wire { pipes, holders: [connector, Holder::Nobody], from, crumbs, vanished: false }
    }

    pub(super) fn holder(&self, side: Side) -> Holder {
        self.holders[side as usize]
    }

    pub(super) fn hold(&mut self, side: Side, holder: Holder) {
        self.holders[side as usize] = holder;
    }

    /// What `side` sends.
    pub(super) fn pipe(&mut self, side: Side) -> &mut Pipe {
        &mut self.pipes[side as usize]
    }
}

impl Pipe {
    pub(super) fn room(&self) -> usize {
        self.window.saturating_sub(self.flight_bytes + self.arrived.len())
    }

    pub(super) fn depart(&mut self, segment: Segment) {
        if let Segment::Bytes(bytes) = &segment {
            self.flight_bytes += bytes.len();
        }
        self.flight.push_back(segment);
    }

    /// The oldest segment under way is there.
    pub(super) fn land(&mut self) -> Option<Segment> {
        let segment = self.flight.pop_front()?;
        if let Segment::Bytes(bytes) = &segment {
            self.flight_bytes -= bytes.len();
        }
        Some(segment)
    }
}
