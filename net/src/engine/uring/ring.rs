//! The ring itself, and all unsafe code of the engine.
//!
//! In: operations with the memory they use. Out: completions. What the kernel may touch (send buffers,
//! addresses, receive buffers) is owned here until the operation's last completion, so that callers need no
//! care and no `unsafe`. Never: knows what a connection is.

use crate::engine::{Failure, Settings, Token};
use crate::stats::EngineStats;
use io_uring::types::{BufRingEntry, CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use slab::Slab;
use socket2::SockAddr;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// Submissions of one turn that need no extra call: one for each of as many connections as a busy turn serves.
const SUBMISSIONS: u32 = 512;
/// Completions that fit before the kernel has to keep an overflow list (which works, but costs).
const COMPLETIONS: u32 = 4096;
/// The one buffer group.
const GROUP: u16 = 0;
/// Attempts to collect the last completions at the end, each up to 10 ms.
const FAREWELL_TURNS: usize = 200;

/// What an operation was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Accept { listener: usize },
    Connect,
    Receive,
    Send,
    Bell,
    Cancel,
}

/// Names an operation, once: a slab index with a serial number above it, so that a cancel that is submitted
/// after its operation has ended doesn't hit the next one at that index.
pub(super) type OpId = u64;

struct Op {
    kind: Kind,
    token: Option<Token>,
    owned: Owned,
}

/// What the kernel reads or writes on behalf of an operation.
enum Owned {
    Nothing,
    Bytes(Vec<u8>),
    /// Only kept alive: the kernel reads it.
    Address(#[expect(dead_code)] Box<SockAddr>),
}

/// One completion, understood.
pub(super) struct Completion {
    pub(super) id: OpId,
    pub(super) kind: Kind,
    pub(super) token: Option<Token>,
    /// A count or a descriptor; or the error number.
    pub(super) result: Result<u32, i32>,
    /// More completions of this operation will come.
    pub(super) more: bool,
    /// For a send: its buffer, back.
    pub(super) buffer: Vec<u8>,
    /// For a receive: the buffer that holds the bytes; give it back.
    pub(super) lent: Option<u16>,
}

pub(super) struct Ring {
    ring: IoUring,
    ops: Slab<Op>,
    /// Of the operation that was pushed last.
    serial: u32,
    buffers: Buffers,
    collected: Vec<cqueue::Entry>,
}

impl Ring {
    /// A ring with the flags that the engine needs; `Forbidden` where the kernel refuses them.
    pub(super) fn new(settings: &Settings) -> Result<Ring, Failure> {
        let build = |no_sqarray: bool| {
            let mut builder = IoUring::builder();
            builder.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag();
            builder.setup_submit_all().setup_clamp().setup_cqsize(COMPLETIONS);
            if no_sqarray {
                builder.setup_no_sqarray();
            }
            builder.build(SUBMISSIONS)
        };
        // NO_SQARRAY came with 6.6, DEFER_TASKRUN with 6.1.
        let ring = build(true).or_else(|_| build(false)).map_err(|e| refused("io_uring_setup", e))?;
        let buffers = Buffers::new(settings.receive_buffers, settings.receive_buffer_bytes);
        // SAFETY: `buffers.entries` is page-aligned, zeroed, holds `count` entries, and outlives the ring
        // (`Drop` below leaks it if the kernel might still use it).
        unsafe {
            let ring = ring.submitter();
            ring.register_buf_ring_with_flags(buffers.entries as u64, buffers.count, GROUP, 0)
        }
        .map_err(|e| refused("register a buffer ring (Linux 5.19)", e))?;
        let mut ring = Ring { ring, ops: Slab::new(), serial: 0, buffers, collected: Vec::new() };
        for id in 0..ring.buffers.count {
            ring.give_back(id);
        }
        Ok(ring)
    }

    /// Accepts from a listener, again and again.
    pub(super) fn accept(&mut self, listener: usize, fd: BorrowedFd<'_>, stats: &EngineStats) -> OpId {
        let entry = opcode::AcceptMulti::new(Fd(fd.as_raw_fd())).flags(libc::SOCK_CLOEXEC).build();
        self.push(Op { kind: Kind::Accept { listener }, token: None, owned: Owned::Nothing }, entry, stats)
    }

    /// Connects a socket.
    pub(super) fn connect(
        &mut self,
        token: Token,
        fd: BorrowedFd<'_>,
        to: SockAddr,
        stats: &EngineStats,
    ) -> OpId {
        let to = Box::new(to);
        let entry = opcode::Connect::new(Fd(fd.as_raw_fd()), to.as_ptr().cast(), to.len()).build();
        self.push(Op { kind: Kind::Connect, token: Some(token), owned: Owned::Address(to) }, entry, stats)
    }

    /// Completes as a connect that succeeded.
    pub(super) fn connected(&mut self, token: Token, stats: &EngineStats) -> OpId {
        let op = Op { kind: Kind::Connect, token: Some(token), owned: Owned::Nothing };
        self.push(op, opcode::Nop::new().build(), stats)
    }

    /// Receives into lent buffers, again and again.
    pub(super) fn receive(&mut self, token: Token, fd: BorrowedFd<'_>, stats: &EngineStats) -> OpId {
        let entry = opcode::RecvMulti::new(Fd(fd.as_raw_fd()), GROUP).build();
        self.push(Op { kind: Kind::Receive, token: Some(token), owned: Owned::Nothing }, entry, stats)
    }

    /// Receives once, into a lent buffer.
    pub(super) fn receive_once(&mut self, token: Token, fd: BorrowedFd<'_>, stats: &EngineStats) -> OpId {
        // Length 0: as much as the buffer holds.
        let entry = opcode::Recv::new(Fd(fd.as_raw_fd()), std::ptr::null_mut(), 0).buf_group(GROUP).build();
        let entry = entry.flags(squeue::Flags::BUFFER_SELECT);
        self.push(Op { kind: Kind::Receive, token: Some(token), owned: Owned::Nothing }, entry, stats)
    }

    /// Sends `bytes[from..]`; the buffer comes back with the completion.
    pub(super) fn send(
        &mut self,
        token: Token,
        fd: BorrowedFd<'_>,
        bytes: Vec<u8>,
        from: usize,
        stats: &EngineStats,
    ) -> OpId {
        let rest = &bytes[from..];
        let length = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        let entry =
            opcode::Send::new(Fd(fd.as_raw_fd()), rest.as_ptr(), length).flags(libc::MSG_NOSIGNAL).build();
        self.push(Op { kind: Kind::Send, token: Some(token), owned: Owned::Bytes(bytes) }, entry, stats)
    }

    /// Waits for the mailbox's bell.
    pub(super) fn bell(&mut self, fd: BorrowedFd<'_>, stats: &EngineStats) -> OpId {
        let mut count = vec![0; 8];
        let entry = opcode::Read::new(Fd(fd.as_raw_fd()), count.as_mut_ptr(), 8).build();
        self.push(Op { kind: Kind::Bell, token: None, owned: Owned::Bytes(count) }, entry, stats)
    }

    /// Asks for the early end of an operation; its own last completion still comes.
    pub(super) fn cancel(&mut self, id: OpId, stats: &EngineStats) {
        let entry = opcode::AsyncCancel::new(id).build();
        self.push(Op { kind: Kind::Cancel, token: None, owned: Owned::Nothing }, entry, stats);
    }

    fn push(&mut self, op: Op, entry: squeue::Entry, stats: &EngineStats) -> OpId {
        self.serial = self.serial.wrapping_add(1);
        let index = self.ops.insert(op);
        let id = u64::from(self.serial) << 32 | index as u64;
        let entry = entry.user_data(id);
        loop {
            // SAFETY: every pointer in `entry` is into `self.ops[index]`, on the heap, which stays until the
            // operation's last completion.
            if unsafe { self.ring.submission().push(&entry) }.is_ok() {
                return id;
            }
            stats.submission_queue_fulls.one();
            // Makes room: the kernel takes every queued entry (SUBMIT_ALL). EBUSY or EINTR: once more.
            let _ = self.ring.submit();
        }
    }

    /// Hands over what is queued and waits until something has completed, at most for `wait` (`None`: for
    /// ever; zero: not at all), then collects all that has.
    pub(super) fn enter(&mut self, wait: Option<Duration>, stats: &EngineStats) -> Result<(), Failure> {
        let ready = !self.ring.completion().is_empty();
        let result = match wait {
            _ if ready => self.ring.submit_and_wait(0),
            Some(Duration::ZERO) => self.ring.submit_and_wait(0),
            None => self.ring.submit_and_wait(1),
            Some(wait) => {
                let wait = Timespec::from(wait);
                self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&wait))
            }
        };
        match result.map_err(|e| (e.raw_os_error(), e)) {
            // ETIME: the wait is over. EINTR: a signal came. EBUSY: completions must be collected first.
            // EAGAIN: the kernel is short of memory for requests; collecting frees some.
            Ok(_) | Err((Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN), _)) => {}
            Err((_, error)) => return Err(Failure::system("io_uring_enter")(error)),
        }
        if self.ring.submission().cq_overflow() {
            stats.completion_queue_overflows.one();
        }
        self.collected.extend(self.ring.completion());
        Ok(())
    }

    /// Whether something has completed or could be completed by entering: a look at shared memory, no call.
    pub(super) fn is_ready(&mut self) -> bool {
        // SAFETY: the queue is only looked at; `&mut self` excludes every other user.
        let taskrun = unsafe { self.ring.submission_shared() }.taskrun();
        taskrun || !self.ring.completion().is_empty()
    }

    /// How many completions were collected.
    pub(super) fn collected(&self) -> usize {
        self.collected.len()
    }

    /// The `n`-th collected completion. Its operation is forgotten if this was its last.
    pub(super) fn completion(&mut self, n: usize) -> Completion {
        let entry = &self.collected[n];
        let id = entry.user_data();
        let index = id as u32 as usize;
        let more = cqueue::more(entry.flags());
        let lent = cqueue::buffer_select(entry.flags());
        let result = u32::try_from(entry.result()).map_err(|_| -entry.result());
        let (kind, token, buffer) = if more {
            let op = &self.ops[index];
            (op.kind, op.token, Vec::new())
        } else {
            let op = self.ops.remove(index);
            let buffer = match op.owned {
                Owned::Bytes(bytes) => bytes,
                Owned::Nothing | Owned::Address(_) => Vec::new(),
            };
            (op.kind, op.token, buffer)
        };
        Completion { id, kind, token, result, more, buffer, lent }
    }

    /// The collected completions have been dealt with.
    pub(super) fn clear_collected(&mut self) {
        self.collected.clear();
    }

    /// The received bytes in a lent buffer.
    pub(super) fn lent(&self, id: u16, length: u32) -> &[u8] {
        self.buffers.bytes(id, length as usize)
    }

    /// Gives a lent buffer back for the next receive.
    pub(super) fn give_back(&mut self, id: u16) {
        self.buffers.give_back(id);
    }

    /// Makes a descriptor that an accept delivered our own.
    pub(super) fn adopt(fd: u32) -> OwnedFd {
        // SAFETY: the kernel has just made this descriptor for us (accept without a direct slot), and a
        // completion is looked at once, so nobody else owns it.
        unsafe { OwnedFd::from_raw_fd(fd as i32) }
    }
}

impl Drop for Ring {
    /// Nothing of ours may be freed while the kernel can still use it: cancel everything and wait for the
    /// last completions. If they don't come, leak.
    fn drop(&mut self) {
        let stats = EngineStats::default();
        let _ = self.ring.submit();
        let _ = self.ring.submitter().register_sync_cancel(None, CancelBuilder::any());
        for _ in 0..FAREWELL_TURNS {
            self.clear_collected();
            if self.ops.is_empty() || self.enter(Some(Duration::from_millis(10)), &stats).is_err() {
                break;
            }
            for n in 0..self.collected() {
                let completion = self.completion(n);
                if let (Kind::Accept { .. }, Ok(fd)) = (completion.kind, completion.result) {
                    drop(Self::adopt(fd));
                }
            }
        }
        let _ = self.ring.submitter().unregister_buf_ring(GROUP);
        if !self.ops.is_empty() {
            std::mem::forget(std::mem::take(&mut self.ops));
            self.buffers.leak();
        }
    }
}

/// The buffer ring: memory that the kernel picks from when bytes arrive (io_uring_register_buf_ring(3)).
struct Buffers {
    entries: *mut BufRingEntry,
    bytes: *mut u8,
    count: u16,
    size: usize,
    tail: u16,
}

impl Buffers {
    fn new(count: u16, size: usize) -> Buffers {
        assert!(count.is_power_of_two() && size > 0, "a buffer ring has a power of two of buffers");
        let (entries, bytes) = Buffers::layouts(count, size);
        // SAFETY: neither layout has size zero.
        let (entries, bytes) = unsafe { (alloc_zeroed(entries), alloc_zeroed(bytes)) };
        if entries.is_null() || bytes.is_null() {
            handle_alloc_error(Buffers::layouts(count, size).1);
        }
        Buffers { entries: entries.cast(), bytes, count, size, tail: 0 }
    }

    fn layouts(count: u16, size: usize) -> (Layout, Layout) {
        let layout = |bytes| Layout::from_size_align(bytes, 4096).expect("a ring is far smaller than memory");
        (layout(usize::from(count) * size_of::<BufRingEntry>()), layout(usize::from(count) * size))
    }

    fn bytes(&self, id: u16, length: usize) -> &[u8] {
        assert!(
            id < self.count && length <= self.size,
            "the kernel fills a buffer of ours, no further than its end"
        );
        // SAFETY: in bounds by the line above; the memory was zeroed at first; the kernel writes to this
        // buffer only after `give_back`, which needs `&mut self`.
        unsafe { std::slice::from_raw_parts(self.bytes.add(usize::from(id) * self.size), length) }
    }

    fn give_back(&mut self, id: u16) {
        assert!(id < self.count, "only a lent buffer is given back");
        let at = usize::from(self.tail & (self.count - 1));
        // SAFETY: `at` is below `count`, and the kernel reads an entry only after the tail has passed it.
        let entry = unsafe { &mut *self.entries.add(at) };
        entry.set_addr(self.bytes as u64 + (usize::from(id) * self.size) as u64);
        entry.set_len(self.size as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: `entries` is the ring's base, as `tail` requires; the field is only ever accessed atomically
        // while the ring is registered.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    fn leak(&mut self) {
        self.entries = std::ptr::null_mut();
        self.bytes = std::ptr::null_mut();
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        if self.bytes.is_null() {
            return;
        }
        let (entries, bytes) = Buffers::layouts(self.count, self.size);
        // SAFETY: allocated with these layouts in `new`; the ring has ended (`Ring::drop` leaks otherwise).
        unsafe {
            dealloc(self.entries.cast(), entries);
            dealloc(self.bytes, bytes);
        }
    }
}

/// What `auto` passes over is what a kernel or container forbids; running out of something is an error.
fn refused(what: &'static str, source: io::Error) -> Failure {
    match source.raw_os_error() {
        Some(libc::ENOSYS | libc::EPERM | libc::EACCES | libc::EINVAL) => {
            Failure::Forbidden { engine: "uring", what, source }
        }
        _ => Failure::System {
            what: "io_uring_setup (out of memory or descriptors? see ulimit -n, ulimit -l)",
            source,
        },
    }
}

/// Runs a NOP and a multishot receive on a socket pair: the calls that the engine lives on.
pub(super) fn probe() -> Result<(), Failure> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use std::os::fd::AsFd;

    let settings = Settings { receive_buffers: 2, receive_buffer_bytes: 64, ..Settings::default() };
    let stats = EngineStats::default();
    let mut ring = Ring::new(&settings)?;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(|e| Failure::system("socketpair")(e.into()))?;
    rustix::io::write(&theirs, b"ping").map_err(|e| Failure::system("write to a socketpair")(e.into()))?;
    let op = Op { kind: Kind::Cancel, token: None, owned: Owned::Nothing };
    ring.push(op, opcode::Nop::new().build(), &stats);
    let token = Token { index: 0, generation: 0 };
    ring.receive(token, ours.as_fd(), &stats);
    let mut left = 2;
    for _ in 0..10 {
        ring.enter(Some(Duration::from_millis(100)), &stats)?;
        for n in 0..ring.collected() {
            let completion = ring.completion(n);
            let result = completion.result.map_err(io::Error::from_raw_os_error);
            let result = result.map_err(|e| refused("a no-op and a multishot receive (Linux 6.0)", e))?;
            if let Some(lent) = completion.lent {
                if ring.lent(lent, result) != b"ping" {
                    return Err(refused("a multishot receive", io::Error::from_raw_os_error(libc::EINVAL)));
                }
                ring.give_back(lent);
            }
            left -= 1;
        }
        ring.clear_collected();
        if left <= 0 {
            return Ok(());
        }
    }
    Err(refused("a multishot receive did not complete", io::Error::from_raw_os_error(libc::EINVAL)))
}
