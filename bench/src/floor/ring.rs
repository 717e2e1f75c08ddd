//! The io_uring floor: one ring, one thread, one enter per turn. The only unsafe code of this crate.
//!
//! In: completions. Out: the next receives and sends, pushed while the completions are read and submitted by the
//! next enter. Multishot accept; per connection a multishot receive into a buffer ring that nobody reads, and at
//! most one send in flight.

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, Fd};
use io_uring::{IoUring, cqueue, opcode, squeue};
use slab::Slab;

use super::{Plan, Tally};

/// The queues: a turn pushes at most one receive and one send per connection; full queues are flushed early.
const SUBMISSIONS: u32 = 1024;
const COMPLETIONS: u32 = 8192;

/// One buffer per piece that can arrive within a turn; each holds 16 pipelined requests.
const BUFFERS: u16 = 512;
const BUFFER_BYTES: usize = 4096;
const BUFFER_GROUP: u16 = 0;

/// What a completion is about: the kind in the high half of its user data, the connection's slot in the low one.
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
    let mut ring = create()?;
    let mut floor = Floor {
        plan,
        listener: Fd(listener.as_raw_fd()),
        buffers: Buffers::register(&ring)?,
        connections: Slab::new(),
    };
    floor.accept(&mut ring)?;
    loop {
        match ring.submit_and_wait(1) {
            Ok(_) => {}
            // EBUSY: completions wait for room; reading them below makes it.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY)) => {}
            Err(error) => return Err(error),
        }
        // What is there now; what arrives while we look is left for the next enter, which it will not delay.
        let ready = ring.completion().len();
        for _ in 0..ready {
            let Some(completion) = ring.completion().next() else { break };
            floor.turn(&mut ring, &completion)?;
        }
        floor.buffers.publish();
    }
}

fn create() -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_clamp()
        .setup_cqsize(COMPLETIONS);
    match builder.clone().setup_no_sqarray().build(SUBMISSIONS) {
        // A kernel before 6.6 does not know NO_SQARRAY.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => builder.build(SUBMISSIONS),
        other => other,
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
        let slot = (completion.user_data() & u64::from(u32::MAX)) as usize;
        let more = cqueue::more(completion.flags());
        match completion.user_data() >> 32 {
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

fn push(ring: &mut IoUring, entry: squeue::Entry, kind: u64, slot: usize) -> io::Result<()> {
    let entry = entry.user_data(kind << 32 | slot as u64);
    // SAFETY: the only memory an entry points to is `Plan::answers`, which is never freed; its descriptor is
    // open, because a connection is kept until its last completion.
    while unsafe { ring.submission().push(&entry) }.is_err() {
        ring.submit()?;
    }
    Ok(())
}

/// The buffer ring, and the memory that the kernel writes into and nobody reads. Both are never freed: the
/// process ends before the ring does.
struct Buffers {
    ring: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    tail: u16,
}

impl Buffers {
    fn register(ring: &IoUring) -> io::Result<Self> {
        let mut buffers = Self {
            ring: zeroed(usize::from(BUFFERS) * size_of::<BufRingEntry>()).cast(),
            memory: zeroed(usize::from(BUFFERS) * BUFFER_BYTES),
            tail: 0,
        };
        // SAFETY: the address is that of BUFFERS entries, page-aligned, and stays valid for good.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(
                buffers.ring.as_ptr() as u64,
                BUFFERS,
                BUFFER_GROUP,
                0,
            )?;
        }
        (0..BUFFERS).for_each(|id| buffers.give_back(id));
        buffers.publish();
        Ok(buffers)
    }

    fn give_back(&mut self, id: u16) {
        let at = usize::from(self.tail % BUFFERS);
        // SAFETY: `at` is below BUFFERS, and an entry past the published tail belongs to us, not to the kernel.
        let entry = unsafe { self.ring.add(at).as_mut() };
        entry.set_addr(self.memory.as_ptr() as u64 + u64::from(id) * BUFFER_BYTES as u64);
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel what was given back.
    fn publish(&self) {
        // SAFETY: the ring's address is that of its first entry, initialised (zeroed) and valid for good; the tail
        // in it is ours to write, aligned, and read by the kernel as one 16-bit atomic.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.ring.as_ptr()).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}

/// Zeroed memory on a page boundary, never freed.
fn zeroed(bytes: usize) -> NonNull<u8> {
    let layout = Layout::from_size_align(bytes, 4096).expect("a page is a power of two");
    // SAFETY: the size is not zero: both callers multiply constants that are not.
    NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}
