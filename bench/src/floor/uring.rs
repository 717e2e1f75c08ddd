//! What both ring floors need of io_uring: the ring with the engine's flags, one enter per turn, the buffer ring.
//!
//! In: submissions. Out: completions, and received bytes in buffers of ours. Never: frees memory that the kernel may
//! still use. Nothing here is freed at all, as a floor ends with its process.

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;
use io_uring::{IoUring, squeue};

/// The queues: a turn pushes at most one receive and one send per direction; full queues are flushed early.
const SUBMISSIONS: u32 = 1024;
const COMPLETIONS: u32 = 8192;

/// One buffer per piece that can arrive within a turn; each holds 16 pipelined requests.
const BUFFERS: u16 = 512;
const BUFFER_BYTES: usize = 4096;
/// The one group of buffers.
pub(super) const BUFFER_GROUP: u16 = 0;

/// A ring with the flags of corelane's own engine (docs/engines.md).
pub(super) fn create() -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_clamp()
        .setup_cqsize(COMPLETIONS);
    match builder.clone().setup_no_sqarray().build(SUBMISSIONS) {
        // A kernel before 6.6 does not know NO_SQARRAY.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => builder.build(SUBMISSIONS),
        other => other,
    }
}

/// Submits, waits, and says how many completions are there now. What arrives while they are looked at is left for
/// the next enter, which it will not delay.
pub(super) fn enter(ring: &mut IoUring) -> io::Result<usize> {
    match ring.submit_and_wait(1) {
        Ok(_) => {}
        // EBUSY: completions wait for room; reading them makes it.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY)) => {}
        Err(error) => return Err(error),
    }
    Ok(ring.completion().len())
}

/// Queues an operation; its completion tells the kind and the slot in the halves of its user data.
pub(super) fn push(ring: &mut IoUring, entry: squeue::Entry, kind: u64, slot: usize) -> io::Result<()> {
    let entry = entry.user_data(kind << 32 | slot as u64);
    // SAFETY: what entries of the floors point to is never freed: the answers of `Plan`, the memory of `Buffers`, the
    // address of the backend. Their descriptors are open, because a connection is kept until its last completion.
    while unsafe { ring.submission().push(&entry) }.is_err() {
        ring.submit()?;
    }
    Ok(())
}

/// The two halves of a completion's user data.
pub(super) fn kind_and_slot(user_data: u64) -> (u64, usize) {
    (user_data >> 32, (user_data & u64::from(u32::MAX)) as usize)
}

/// The buffer ring, and the memory that the kernel writes into. Both are never freed: the process ends before the
/// ring does.
pub(super) struct Buffers {
    ring: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    tail: u16,
}

impl Buffers {
    pub(super) fn register(ring: &IoUring) -> io::Result<Self> {
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

    /// How many there are.
    pub(super) fn count() -> usize {
        usize::from(BUFFERS)
    }

    /// Where the bytes of a buffer begin. It is the kernel's to read from while a send of it is under way.
    pub(super) fn at(&self, id: u16) -> *const u8 {
        assert!(id < BUFFERS, "the kernel fills buffers of ours");
        // SAFETY: inside of the memory, by the line above.
        unsafe { self.memory.as_ptr().add(usize::from(id) * BUFFER_BYTES) }
    }

    pub(super) fn give_back(&mut self, id: u16) {
        let at = usize::from(self.tail % BUFFERS);
        // SAFETY: `at` is below BUFFERS, and an entry past the published tail belongs to us, not to the kernel.
        let entry = unsafe { self.ring.add(at).as_mut() };
        entry.set_addr(self.memory.as_ptr() as u64 + u64::from(id) * BUFFER_BYTES as u64);
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel what was given back.
    pub(super) fn publish(&self) {
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
