//! The forwarding floor on epoll: one thread, edge-triggered, one recv and one send per event.
//!
//! In: events. Out: what a recv took, sent on at once. What did not fit is held, and its side is not read until it is
//! gone, so that a pair holds one buffer per way at most. As in the other epoll floor, a recv that does not fill the
//! buffer has emptied the socket, and whatever comes later makes a new edge.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, SocketFlags, accept_with, recv, send, shutdown};
use slab::Slab;
use socket2::SockAddr;

use super::{BACK, FRONT, across, back_socket};

const LISTENER: u64 = u64::MAX;

/// One wait takes the events of every connection of the biggest run at once.
const EVENTS_PER_TURN: usize = 1024;

/// As much as the other epoll floor takes at once.
const RECEIVE_BYTES: usize = 16 * 1024;

/// A client's connection and its own connection to the backend.
struct Pair {
    sockets: [OwnedFd; 2],
    ways: [Way; 2],
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Connecting,
    Open,
    Over,
}

/// What one side sends, on its way to the other.
#[derive(Default)]
struct Way {
    /// Received and not sent, as the other side's socket was full.
    held: Vec<u8>,
    reading: Reading,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Reading {
    #[default]
    On,
    /// The side sends no more, and the other was told.
    Ended,
}

/// How far to read: a short recv means that the socket is empty, unless the end is known to be behind the bytes.
#[derive(Clone, Copy, PartialEq)]
enum Until {
    Short,
    Empty,
}

pub(super) fn serve(listener: &TcpListener, backend: &SockAddr) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;

    let mut pairs: Slab<Pair> = Slab::new();
    let mut events: Vec<Event> = Vec::with_capacity(EVENTS_PER_TURN);
    let mut buffer = vec![0; RECEIVE_BYTES];
    loop {
        events.clear();
        match epoll::wait(&epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let data = event.data.u64();
            if data == LISTENER {
                accept_all(&epoll, listener, backend, &mut pairs)?;
                continue;
            }
            let (slot, side) = ((data >> 1) as usize, (data & 1) as usize);
            // An event of a pair that ended in this turn reaches nobody, or a new pair, which finds nothing to do.
            let Some(pair) = pairs.get_mut(slot) else { continue };
            pair.turn(side, event.flags, &mut buffer);
            if pair.phase == Phase::Over {
                pairs.remove(slot);
            }
        }
    }
}

fn accept_all(
    epoll: &OwnedFd,
    listener: &TcpListener,
    backend: &SockAddr,
    pairs: &mut Slab<Pair>,
) -> io::Result<()> {
    loop {
        let front = match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(socket) => socket,
            Err(Errno::AGAIN) => return Ok(()),
            Err(Errno::INTR | Errno::CONNABORTED) => continue,
            Err(error) => return Err(error.into()),
        };
        let back = back_socket(backend)?;
        back.set_nonblocking(true)?;
        match back.connect(backend) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            // Nobody is there: dropping the front tells the client.
            Err(_) => continue,
        }
        let sockets = [front, back.into()];
        let entry = pairs.vacant_entry();
        // Both directions at once: an edge for OUT comes only after a send that did not fit.
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        for (side, socket) in sockets.iter().enumerate() {
            let data = (entry.key() << 1 | side) as u64;
            epoll::add(epoll, socket, EventData::new_u64(data), interest)?;
        }
        entry.insert(Pair { sockets, ways: <[Way; 2]>::default(), phase: Phase::Connecting });
    }
}

impl Pair {
    fn turn(&mut self, side: usize, flags: EventFlags, buffer: &mut [u8]) {
        if self.phase == Phase::Connecting {
            if side == BACK && flags.intersects(EventFlags::OUT | EventFlags::ERR | EventFlags::HUP) {
                self.connected(buffer);
            }
            return;
        }
        // Room on this side, for what the way to it holds.
        if flags.contains(EventFlags::OUT) && !self.ways[across(side)].held.is_empty() {
            self.flush(across(side));
            self.forward(across(side), Until::Empty, buffer);
        }
        if flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR) {
            self.forward(side, Until::Empty, buffer);
        } else if flags.contains(EventFlags::IN) {
            self.forward(side, Until::Short, buffer);
        }
    }

    fn connected(&mut self, buffer: &mut [u8]) {
        self.phase = Phase::Open;
        // The edges of what came meanwhile have passed. Where nobody was there, the first call says so.
        self.forward(FRONT, Until::Empty, buffer);
        self.forward(BACK, Until::Empty, buffer);
    }

    /// Moves what one side has sent to the other.
    fn forward(&mut self, side: usize, until: Until, buffer: &mut [u8]) {
        while self.phase == Phase::Open
            && self.ways[side].held.is_empty()
            && self.ways[side].reading == Reading::On
        {
            match recv(&self.sockets[side], &mut *buffer, RecvFlags::empty()) {
                Ok((0, _)) => self.end(side),
                Ok((bytes, _)) => {
                    let sent = self.send(side, &buffer[..bytes]);
                    self.ways[side].held.extend_from_slice(&buffer[sent..bytes]);
                    if bytes < buffer.len() && until == Until::Short {
                        break;
                    }
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(_) => self.phase = Phase::Over,
            }
        }
    }

    /// How many of the bytes the other side's socket took.
    fn send(&mut self, side: usize, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < bytes.len() {
            match send(&self.sockets[across(side)], &bytes[sent..], SendFlags::NOSIGNAL) {
                Ok(more) => sent += more,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(_) => {
                    self.phase = Phase::Over;
                    break;
                }
            }
        }
        sent
    }

    fn flush(&mut self, side: usize) {
        let held = std::mem::take(&mut self.ways[side].held);
        let sent = self.send(side, &held);
        self.ways[side].held.extend_from_slice(&held[sent..]);
    }

    /// A side sends no more: the other is told. Nothing is held, or the side would not have been read.
    fn end(&mut self, side: usize) {
        self.ways[side].reading = Reading::Ended;
        // An error means that the other side is gone: its own recv tells.
        let _ = shutdown(&self.sockets[across(side)], Shutdown::Write);
        if self.ways[across(side)].reading == Reading::Ended {
            self.phase = Phase::Over;
        }
    }
}
