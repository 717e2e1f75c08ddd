//! The io_uring floor: one ring, one thread, one enter per turn.
//!
//! In: completions. Out: the next receives and sends, pushed while the completions are read and submitted by the
//! next enter. Multishot accept; per connection a multishot receive into a buffer ring that nobody reads, and at
//! most one send in flight.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use io_uring::types::Fd;
use io_uring::{IoUring, cqueue, opcode};
use slab::Slab;

use super::uring::{self, BUFFER_GROUP, Buffers, push};
use super::{Plan, Tally};

/// What a completion is about: the kind of its user data, beside the connection's slot.
const ACCEPT: u64 = 0;
const RECEIVE: u64 = 1;
const SEND: u64 = 2;

struct Connection {
    socket: OwnedFd,
    tally: Tally,
    receiving: bool,
    sending: bool,
    /// The peer has closed or the socket broke: gone as soon as the kernel holds nothing of it.
    over: bool,
}

pub(super) fn serve(listener: &TcpListener, plan: &Plan) -> io::Result<()> {
    let mut ring = uring::create()?;
    let mut floor = Floor {
        plan,
        listener: Fd(listener.as_raw_fd()),
        buffers: Buffers::register(&ring)?,
        connections: Slab::new(),
    };
    floor.accept(&mut ring)?;
    loop {
        for _ in 0..uring::enter(&mut ring)? {
            let Some(completion) = ring.completion().next() else { break };
            floor.turn(&mut ring, &completion)?;
        }
        floor.buffers.publish();
    }
}

struct Floor<'a> {
    plan: &'a Plan,
    listener: Fd,
    buffers: Buffers,
    connections: Slab<Connection>,
}

impl Floor<'_> {
    fn turn(&mut self, ring: &mut IoUring, completion: &cqueue::Entry) -> io::Result<()> {
        let (kind, slot) = uring::kind_and_slot(completion.user_data());
        let more = cqueue::more(completion.flags());
        match kind {
            ACCEPT => {
                if completion.result() < 0 {
                    return Err(io::Error::from_raw_os_error(-completion.result()));
                }
                self.open(ring, completion.result())?;
                if !more {
                    self.accept(ring)?;
                }
                Ok(())
            }
            RECEIVE => self.received(ring, slot, completion, more),
            SEND => self.sent(ring, slot, completion.result()),
            kind => unreachable!("a completion of kind {kind}, which is never submitted"),
        }
    }

    fn accept(&mut self, ring: &mut IoUring) -> io::Result<()> {
        let entry = opcode::AcceptMulti::new(self.listener).flags(libc::SOCK_CLOEXEC).build();
        push(ring, entry, ACCEPT, 0)
    }

    fn open(&mut self, ring: &mut IoUring, fd: i32) -> io::Result<()> {
        // SAFETY: the accept that just completed made this descriptor, and nothing else knows of it.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let slot = self.connections.insert(Connection {
            socket,
            tally: Tally::default(),
            receiving: false,
            sending: false,
            over: false,
        });
        self.receive(ring, slot)
    }

    fn receive(&mut self, ring: &mut IoUring, slot: usize) -> io::Result<()> {
        let connection = &mut self.connections[slot];
        connection.receiving = true;
        let entry = opcode::RecvMulti::new(Fd(connection.socket.as_raw_fd()), BUFFER_GROUP).build();
        push(ring, entry, RECEIVE, slot)
    }

    fn received(
        &mut self,
        ring: &mut IoUring,
        slot: usize,
        completion: &cqueue::Entry,
        more: bool,
    ) -> io::Result<()> {
        if let Some(id) = cqueue::buffer_select(completion.flags()) {
            self.buffers.give_back(id);
        }
        let connection = &mut self.connections[slot];
        connection.receiving = more;
        match completion.result() {
            bytes if bytes > 0 => connection.tally.received(bytes as usize, self.plan),
            // No buffer was free. They are all free again when this turn ends, and only then is this submitted.
            error if error == -libc::ENOBUFS => {}
            _ => connection.over = true,
        }
        if !connection.over && !connection.receiving {
            self.receive(ring, slot)?;
        }
        self.go_on(ring, slot)
    }

    fn sent(&mut self, ring: &mut IoUring, slot: usize, result: i32) -> io::Result<()> {
        let connection = &mut self.connections[slot];
        connection.sending = false;
        if result > 0 {
            connection.tally.sent(result as usize, self.plan);
        } else {
            connection.over = true;
        }
        self.go_on(ring, slot)
    }

    /// Sends what is owed, or lets go of a connection that is over.
    fn go_on(&mut self, ring: &mut IoUring, slot: usize) -> io::Result<()> {
        let connection = &mut self.connections[slot];
        if connection.over {
            if connection.receiving && !connection.sending {
                // A failed send with the receive still armed: the shutdown makes it complete, for the last time.
                let _ = rustix::net::shutdown(&connection.socket, rustix::net::Shutdown::Both);
            } else if !connection.receiving && !connection.sending {
                self.connections.remove(slot);
            }
            return Ok(());
        }
        let next = connection.tally.next(self.plan);
        if connection.sending || next.is_empty() {
            return Ok(());
        }
        connection.sending = true;
        let bytes = &self.plan.answers[next];
        let entry = opcode::Send::new(Fd(connection.socket.as_raw_fd()), bytes.as_ptr(), bytes.len() as u32)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build();
        push(ring, entry, SEND, slot)
    }
}
