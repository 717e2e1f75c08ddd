//! The forwarding floor on io_uring: one ring, one thread, one enter per turn.
//!
//! In: completions. Out: the next sends and receives, submitted by the next enter. Multishot accept and receive; what
//! was received is sent on from the very buffer it lies in, one send under way per way, and the buffer is given back
//! when it is sent. Never: copies a byte. A client that does not read can hold all buffers, and then everybody waits
//! for it: this is for benchmarks.

use std::collections::VecDeque;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use io_uring::types::Fd;
use io_uring::{IoUring, cqueue, opcode};
use rustix::net::{Shutdown, shutdown};
use slab::Slab;
use socket2::SockAddr;

use super::{BACK, FRONT, across, back_socket};
use crate::floor::uring::{self, BUFFER_GROUP, Buffers, push};

/// What a completion is about: the kind of its user data, beside the pair's slot. The last bit of the kind is the
/// side, where there are two.
const ACCEPT: u64 = 0;
const CONNECT: u64 = 2;
const RECEIVE: u64 = 4;
const SEND: u64 = 6;

/// A client's connection and its own connection to the backend.
struct Pair {
    sockets: [OwnedFd; 2],
    ways: [Way; 2],
    phase: Phase,
    /// Operations whose last completion has not come: until then the descriptors stay open.
    under_way: u32,
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
    reading: Reading,
    /// Received and not sent, in order; the first is under way while `sending`.
    pieces: VecDeque<Piece>,
    sending: bool,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Reading {
    #[default]
    NotYet,
    Armed,
    /// To be armed when the turn ends and buffers are free.
    Wanted,
    /// The side sends no more; its last pieces may be under way.
    Ended,
    /// And the other side was told.
    Told,
}

/// Received bytes, in a buffer of ours.
struct Piece {
    buffer: u16,
    bytes: i32,
}

pub(super) fn serve(listener: &TcpListener, backend: &'static SockAddr) -> io::Result<()> {
    let mut ring = uring::create()?;
    let mut floor = Floor {
        backend,
        listener: Fd(listener.as_raw_fd()),
        buffers: Buffers::register(&ring)?,
        lent: 0,
        pairs: Slab::new(),
        wanted: Vec::new(),
    };
    floor.accept(&mut ring)?;
    loop {
        for _ in 0..uring::enter(&mut ring)? {
            let Some(completion) = ring.completion().next() else { break };
            floor.turn(&mut ring, &completion)?;
        }
        floor.buffers.publish();
        floor.arm_wanted(&mut ring)?;
    }
}

struct Floor {
    backend: &'static SockAddr,
    listener: Fd,
    buffers: Buffers,
    /// Buffers that hold pieces.
    lent: usize,
    pairs: Slab<Pair>,
    /// Ways whose receive ended before its side did; some may be gone meanwhile.
    wanted: Vec<(usize, usize)>,
}

impl Floor {
    fn turn(&mut self, ring: &mut IoUring, completion: &cqueue::Entry) -> io::Result<()> {
        let (kind, slot) = uring::kind_and_slot(completion.user_data());
        let more = cqueue::more(completion.flags());
        if kind == ACCEPT {
            if completion.result() < 0 {
                return Err(io::Error::from_raw_os_error(-completion.result()));
            }
            self.open(ring, completion.result())?;
            return if more { Ok(()) } else { self.accept(ring) };
        }
        if !more {
            self.pairs[slot].under_way -= 1;
        }
        let side = (kind & 1) as usize;
        match kind & !1 {
            CONNECT => self.connected(ring, slot, completion.result())?,
            RECEIVE => self.received(ring, slot, side, completion, more)?,
            SEND => self.sent(ring, slot, side, completion.result())?,
            kind => unreachable!("a completion of kind {kind}, which is never submitted"),
        }
        self.forget_if_done(slot);
        Ok(())
    }

    fn accept(&mut self, ring: &mut IoUring) -> io::Result<()> {
        let entry = opcode::AcceptMulti::new(self.listener).flags(libc::SOCK_CLOEXEC).build();
        push(ring, entry, ACCEPT, 0)
    }

    fn open(&mut self, ring: &mut IoUring, fd: i32) -> io::Result<()> {
        // SAFETY: the accept that just completed made this descriptor, and nothing else knows of it.
        let front = unsafe { OwnedFd::from_raw_fd(fd) };
        let back = OwnedFd::from(back_socket(self.backend)?);
        let to = self.backend;
        let entry = opcode::Connect::new(Fd(back.as_raw_fd()), to.as_ptr().cast(), to.len()).build();
        let pair = Pair {
            sockets: [front, back],
            ways: <[Way; 2]>::default(),
            phase: Phase::Connecting,
            under_way: 1,
        };
        let slot = self.pairs.insert(pair);
        push(ring, entry, CONNECT, slot)
    }

    fn connected(&mut self, ring: &mut IoUring, slot: usize, result: i32) -> io::Result<()> {
        let pair = &mut self.pairs[slot];
        if result < 0 {
            pair.give_up();
            return Ok(());
        }
        pair.phase = Phase::Open;
        self.receive(ring, slot, FRONT)?;
        self.receive(ring, slot, BACK)
    }

    fn receive(&mut self, ring: &mut IoUring, slot: usize, side: usize) -> io::Result<()> {
        let pair = &mut self.pairs[slot];
        pair.ways[side].reading = Reading::Armed;
        pair.under_way += 1;
        let entry = opcode::RecvMulti::new(Fd(pair.sockets[side].as_raw_fd()), BUFFER_GROUP).build();
        push(ring, entry, RECEIVE | side as u64, slot)
    }

    fn received(
        &mut self,
        ring: &mut IoUring,
        slot: usize,
        side: usize,
        completion: &cqueue::Entry,
        more: bool,
    ) -> io::Result<()> {
        let buffer = cqueue::buffer_select(completion.flags());
        let pair = &mut self.pairs[slot];
        let way = &mut pair.ways[side];
        match (completion.result(), buffer) {
            (bytes @ 1.., Some(buffer)) if pair.phase == Phase::Open => {
                way.pieces.push_back(Piece { buffer, bytes });
                self.lent += 1;
            }
            (result, buffer) => {
                if let Some(buffer) = buffer {
                    self.buffers.give_back(buffer);
                }
                match result {
                    0 => way.reading = Reading::Ended,
                    // No buffer was free: armed again as soon as one is.
                    error if error == -libc::ENOBUFS => {}
                    _ => pair.give_up(),
                }
            }
        }
        let way = &mut self.pairs[slot].ways[side];
        if !more && way.reading == Reading::Armed {
            way.reading = Reading::Wanted;
            self.wanted.push((slot, side));
        }
        self.go_on(ring, slot, side)
    }

    fn sent(&mut self, ring: &mut IoUring, slot: usize, side: usize, result: i32) -> io::Result<()> {
        let pair = &mut self.pairs[slot];
        let way = &mut pair.ways[side];
        way.sending = false;
        let first = way.pieces.front().expect("a piece stays until it is sent");
        // Less than all comes before an error only (MSG_WAITALL).
        if result < first.bytes {
            pair.give_up();
            return Ok(());
        }
        self.buffers.give_back(first.buffer);
        self.lent -= 1;
        way.pieces.pop_front();
        self.go_on(ring, slot, side)
    }

    /// Sends the way's next piece; behind the last of all, says that it was.
    fn go_on(&mut self, ring: &mut IoUring, slot: usize, side: usize) -> io::Result<()> {
        let pair = &mut self.pairs[slot];
        let way = &mut pair.ways[side];
        if pair.phase == Phase::Over || way.sending {
            return Ok(());
        }
        let Some(piece) = way.pieces.front() else {
            if way.reading == Reading::Ended {
                way.reading = Reading::Told;
                // An error means that the other side is gone: its own receive tells.
                let _ = shutdown(&pair.sockets[across(side)], Shutdown::Write);
                if pair.ways[across(side)].reading == Reading::Told {
                    pair.phase = Phase::Over;
                }
            }
            return Ok(());
        };
        way.sending = true;
        pair.under_way += 1;
        let bytes = self.buffers.at(piece.buffer);
        let fd = Fd(pair.sockets[across(side)].as_raw_fd());
        let entry = opcode::Send::new(fd, bytes, piece.bytes as u32)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build();
        push(ring, entry, SEND | side as u64, slot)
    }

    /// Arms the receives that ran out of buffers. While all are lent, a send is under way that will free one.
    fn arm_wanted(&mut self, ring: &mut IoUring) -> io::Result<()> {
        if self.lent >= Buffers::count() {
            return Ok(());
        }
        while let Some((slot, side)) = self.wanted.pop() {
            // The pair may have ended since, and another may have its slot.
            let way = self.pairs.get(slot).filter(|pair| pair.phase == Phase::Open);
            if way.is_some_and(|pair| pair.ways[side].reading == Reading::Wanted) {
                self.receive(ring, slot, side)?;
            }
        }
        Ok(())
    }

    /// Lets go of a pair that is over, once the kernel holds nothing of it.
    fn forget_if_done(&mut self, slot: usize) {
        let pair = &self.pairs[slot];
        if pair.phase != Phase::Over || pair.under_way > 0 {
            return;
        }
        for way in self.pairs.remove(slot).ways {
            for piece in way.pieces {
                self.buffers.give_back(piece.buffer);
                self.lent -= 1;
            }
        }
    }
}

impl Pair {
    /// One side broke: both end, and what is under way completes for the last time.
    fn give_up(&mut self) {
        self.phase = Phase::Over;
        for socket in &self.sockets {
            let _ = shutdown(socket, Shutdown::Both);
        }
    }
}
