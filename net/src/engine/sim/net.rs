//! The network of a world and its clock.
//!
//! In: what lanes send, connect, shut and let go. Out: events in the order of virtual time, and for lanes what
//! happened to their connections. Never: calls a program.

use super::faults::{Faults, Rng};
use super::wire::{Holder, Plug, Segment, Side, Tail, Wire};
use crate::address::Address;
use crate::engine::Token;
use crate::time::Time;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

pub(super) const ECONNREFUSED: i32 = 111;
pub(super) const ETIMEDOUT: i32 = 110;
const EAGAIN: i32 = 11;
/// Connections that wait to be accepted; more have their connect tried again by TCP, and refused by a Unix
/// socket.
const BACKLOG: usize = 4096;
/// A connect that a full backlog dropped is sent again (RFC 6298's initial timeout).
const CONNECT_RETRY: Duration = Duration::from_secs(1);
/// Linux gives up a connect that nobody answers after about this long (tcp_syn_retries = 6).
const CONNECT_PATIENCE: Duration = Duration::from_secs(127);
/// And sent bytes that nobody acknowledges after this (tcp_retries2 = 15).
const SEND_PATIENCE: Duration = Duration::from_secs(924);

/// Ports of connectors: those above the well-known ones.
const FIRST_PORT: u16 = 1024;
const PORTS: usize = 65_536 - FIRST_PORT as usize;

pub(super) struct Net {
    /// When the event that is being handled happens.
    pub(super) now: Time,
    pub(super) faults: Faults,
    pub(super) rng: Rng,
    pub(super) trace: Trace,
    /// By time; events of one instant in the order in which they were pushed.
    events: BTreeMap<(Time, u64), Event>,
    pushed: u64,
    wires: Vec<Wire>,
    ports: Vec<Port>,
}

/// A listener's side of the network.
struct Port {
    address: Address,
    host: usize,
    listener: usize,
    backlog: VecDeque<usize>,
}

pub(super) enum Event {
    /// The host may take a turn.
    Turn(usize),
    /// Something for a host's next turn.
    News(usize, News),
    /// The oldest segment that this end sent arrives.
    Segment(Plug),
    /// A connect arrives.
    Syn(usize, Address),
    /// Nobody has acknowledged what this end sent.
    GiveUp(Plug),
}

/// What a lane learns in its turn.
#[derive(Debug)]
pub(super) enum News {
    Acceptable(usize),
    Connected(Token, Result<(), i32>),
    /// Readable, writable, ended or broken.
    Ready(Token),
    /// A send's completion.
    Sent(Token, usize),
    /// Nothing refers to the token any more.
    Released(Token),
}

/// What a read finds.
pub(super) enum Found {
    Bytes,
    Nothing,
    Eof,
    Reset,
}

/// How an end is let go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// Both sides have ended, or it is broken already.
    Done,
    /// The program gave it up.
    Abort,
    /// The program resets it, or the process died.
    Reset,
}

impl Net {
    pub(super) fn new(seed: u64, faults: Faults) -> Net {
        Net {
            now: Time(0),
            faults,
            rng: Rng::new(seed),
            trace: Trace(seed),
            events: BTreeMap::new(),
            pushed: 0,
            wires: Vec::new(),
            ports: Vec::new(),
        }
    }

    pub(super) fn next_at(&self) -> Option<Time> {
        self.events.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next event; the clock is then at its time.
    pub(super) fn pop(&mut self) -> Option<Event> {
        let ((at, _), event) = self.events.pop_first()?;
        self.now = self.now.max(at);
        Some(event)
    }

    pub(super) fn push(&mut self, at: Time, event: Event) {
        self.pushed += 1;
        self.events.insert((at, self.pushed), event);
    }

    /// When what starts now is there.
    pub(super) fn soon(&mut self) -> Time {
        self.now + self.rng.duration(&self.faults.delay)
    }

    pub(super) fn tell(&mut self, host: usize, news: News) {
        let at = self.soon();
        self.push(at, Event::News(host, news));
    }

    fn tell_holder(&mut self, plug: Plug) {
        if let Holder::Host { host, token } = self.wires[plug.wire].holder(plug.side) {
            self.tell(host, News::Ready(token));
        }
    }

    /// Nothing that was meant for a dead process may reach its successor.
    pub(super) fn forget(&mut self, dead: usize) {
        let for_dead =
            |event: &Event| matches!(event, Event::Turn(host) | Event::News(host, _) if *host == dead);
        self.events.retain(|_, event| !for_dead(event));
    }

    pub(super) fn listen(&mut self, host: usize, listener: usize, address: Address) {
        self.ports.push(Port { address, host, listener, backlog: VecDeque::new() });
    }

    /// Closes the host's listeners; who waits there is reset.
    pub(super) fn unlisten(&mut self, host: usize) {
        let (closed, open) = std::mem::take(&mut self.ports).into_iter().partition(|port| port.host == host);
        self.ports = open;
        let closed: Vec<Port> = closed;
        for wire in closed.into_iter().flat_map(|port| port.backlog) {
            self.leave(Plug { wire, side: Side::Acceptor }, Leave::Reset);
        }
    }

    /// The connection that has waited longest; it is the host's now, under a token to be given by `hold`.
    pub(super) fn accept(&mut self, host: usize, listener: usize) -> Option<Plug> {
        let port = self.ports.iter_mut().find(|port| port.host == host && port.listener == listener)?;
        let wire = port.backlog.pop_front()?;
        Some(Plug { wire, side: Side::Acceptor })
    }

    /// Where the connector of an accepted connection is.
    pub(super) fn peer_of(&self, accepted: Plug) -> Option<SocketAddr> {
        self.wires[accepted.wire].from
    }

    pub(super) fn hold(&mut self, plug: Plug, host: usize, token: Token) {
        self.wires[plug.wire].hold(plug.side, Holder::Host { host, token });
    }

    pub(super) fn connect(&mut self, host: usize, token: Token, to: Address) -> Plug {
        let wire = self.wires.len();
        let from = match to {
            Address::Tcp(_) => Some(invented(host, wire)),
            Address::Unix(_) => None,
        };
        self.wires.push(Wire::new(Holder::Host { host, token }, from, &self.faults, &mut self.rng));
        if self.rng.chance(self.faults.vanish) {
            self.push(self.now + CONNECT_PATIENCE, Event::News(host, News::Connected(token, Err(ETIMEDOUT))));
        } else {
            let at = self.soon();
            self.push(at, Event::Syn(wire, to));
        }
        Plug { wire, side: Side::Connector }
    }

    pub(super) fn on_syn(&mut self, wire: usize, to: Address) {
        let Holder::Host { host, token } = self.wires[wire].holder(Side::Connector) else { return };
        let refused = self.rng.chance(self.faults.refuse);
        let open: Vec<usize> = (0..self.ports.len()).filter(|&n| self.ports[n].address == to).collect();
        if refused || open.is_empty() {
            return self.tell(host, News::Connected(token, Err(ECONNREFUSED)));
        }
        // Several lanes on one address: the kernel deals by a hash of addresses and ports.
        let port = &mut self.ports[open[if open.len() == 1 { 0 } else { self.rng.below(open.len()) }]];
        if port.backlog.len() >= BACKLOG {
            return match to {
                Address::Tcp(_) => self.push(self.now + CONNECT_RETRY, Event::Syn(wire, to)),
                Address::Unix(_) => self.tell(host, News::Connected(token, Err(EAGAIN))),
            };
        }
        port.backlog.push_back(wire);
        let (acceptor, listener) = (port.host, port.listener);
        self.tell(acceptor, News::Acceptable(listener));
        self.tell(host, News::Connected(token, Ok(())));
    }

    /// Sends from `bytes` what fits; the rest is for when `Ready` comes. Fails on a broken connection.
    pub(super) fn send(&mut self, from: Plug, bytes: &[u8]) -> Result<usize, ()> {
        let wire = &mut self.wires[from.wire];
        if wire.pipe(from.other().side).tail == Tail::Reset {
            return Err(());
        }
        let pipe = wire.pipe(from.side);
        let fits = pipe.room().min(bytes.len());
        pipe.blocked = fits < bytes.len();
        if fits == 0 {
            return Ok(0);
        }
        let count = if self.rng.chance(self.faults.short_send) { self.rng.within(1..=fits) } else { fits };
        if count < fits {
            self.tell_holder(from);
        }
        let mut rest = &bytes[..count];
        while !rest.is_empty() {
            let cut =
                if self.rng.chance(self.faults.cut) { self.rng.within(1..=rest.len()) } else { rest.len() };
            self.depart(from, Segment::Bytes(rest[..cut].to_vec()));
            rest = &rest[cut..];
        }
        if self.rng.chance(self.faults.reset) {
            self.depart(from, Segment::Reset);
            self.depart(from.other(), Segment::Reset);
        }
        Ok(count)
    }

    /// No more will be sent from this end.
    pub(super) fn shut(&mut self, from: Plug) {
        let pipe = self.wires[from.wire].pipe(from.side);
        if !std::mem::replace(&mut pipe.shut, true) {
            self.depart(from, Segment::Fin);
        }
    }

    fn depart(&mut self, from: Plug, segment: Segment) {
        let vanishes = matches!(segment, Segment::Bytes(_)) && self.rng.chance(self.faults.vanish);
        let at = self.soon();
        let wire = &mut self.wires[from.wire];
        wire.vanished |= vanishes;
        let vanished = wire.vanished;
        let pipe = wire.pipe(from.side);
        pipe.last_at = pipe.last_at.max(at);
        let at = pipe.last_at;
        pipe.depart(segment);
        if vanished {
            self.push(self.now + SEND_PATIENCE, Event::GiveUp(from));
        } else {
            self.push(at, Event::Segment(from));
        }
    }

    pub(super) fn on_segment(&mut self, from: Plug) {
        let to = from.other();
        let wire = &mut self.wires[from.wire];
        let (vanished, reader) = (wire.vanished, wire.holder(to.side));
        let pipe = wire.pipe(from.side);
        let Some(segment) = pipe.land() else { return };
        // What was under way when the network failed is lost as well.
        if vanished || pipe.tail == Tail::Reset {
            return;
        }
        match segment {
            Segment::Bytes(_) if reader == Holder::Gone => return self.depart(to, Segment::Reset),
            Segment::Bytes(bytes) => pipe.arrived.extend(bytes),
            Segment::Fin => pipe.tail = Tail::Eof,
            Segment::Reset => pipe.tail = Tail::Reset,
        }
        // A reset may overtake what its victim has not read yet.
        if pipe.tail == Tail::Reset && self.rng.chance(0.5) {
            self.wires[from.wire].pipe(from.side).arrived.clear();
        }
        self.tell_holder(to);
    }

    pub(super) fn give_up(&mut self, plug: Plug) {
        self.wires[plug.wire].pipe(plug.other().side).tail = Tail::Reset;
        self.tell_holder(plug);
    }

    /// Reads a piece of at most `most` bytes into `buffer`.
    pub(super) fn receive(&mut self, at: Plug, most: usize, buffer: &mut Vec<u8>) -> Found {
        let wire = &mut self.wires[at.wire];
        let crumbs = wire.crumbs;
        let pipe = wire.pipe(at.other().side);
        if pipe.arrived.is_empty() {
            return match pipe.tail {
                Tail::Open => Found::Nothing,
                Tail::Eof => Found::Eof,
                Tail::Reset => Found::Reset,
            };
        }
        let most = if crumbs { self.rng.within(1..=3) } else { most };
        let most = if self.rng.chance(self.faults.cut) { self.rng.within(1..=most) } else { most };
        let count = most.min(pipe.arrived.len());
        buffer.clear();
        buffer.extend(pipe.arrived.drain(..count));
        if pipe.blocked && pipe.room() > 0 {
            pipe.blocked = false;
            self.tell_holder(at.other());
        }
        Found::Bytes
    }

    /// The holder lets go of its end.
    pub(super) fn leave(&mut self, plug: Plug, how: Leave) {
        let wire = &mut self.wires[plug.wire];
        wire.hold(plug.side, Holder::Gone);
        let unread = !std::mem::take(&mut wire.pipe(plug.other().side).arrived).is_empty();
        match how {
            Leave::Done => {}
            // Closing a socket with unread bytes resets the connection; otherwise it ends.
            Leave::Abort if !unread && !self.rng.chance(self.faults.cut) => self.shut(plug),
            Leave::Abort | Leave::Reset => self.depart(plug, Segment::Reset),
        }
    }
}

/// An address for a connector: one IP address for each host, and a port for each connection, which comes
/// again only after all the others.
fn invented(host: usize, wire: usize) -> SocketAddr {
    let [.., high, low] = host.to_be_bytes();
    let port = FIRST_PORT + (wire % PORTS) as u16;
    SocketAddr::from(([10, 1, high, low], port))
}

/// A running hash of everything that programs were told: equal traces are equal runs.
#[derive(Clone, Copy)]
pub(super) struct Trace(pub(super) u64);

impl Trace {
    pub(super) fn note(&mut self, numbers: [u64; 4]) {
        for number in numbers {
            self.0 = (self.0 ^ number).wrapping_mul(0x9fb2_1c65_1e98_df25).rotate_left(23);
        }
    }
}
