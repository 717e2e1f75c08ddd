//! What the hub asks of an asynchronous runtime: tasks, timers, and the sockets' own reads and writes.
//!
//! In: futures, descriptors, lengths of time. Out: completed operations. An implementation is thin: it names the
//! runtime's calls, and decides nothing.

use crate::engine::Failure;
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// A runtime that runs in one thread.
pub(in crate::engine) trait Runtime: 'static {
    /// The shortest time that its timers tell apart.
    const SLEEP_GRAIN: Duration;
    /// Whether the runtime spins by itself before it sleeps (`Settings::busy_poll`).
    const SPINS: bool;
    type Socket: Socket;
    type Watch: Watch;
    type Sleep: Future;

    /// Starts a task on the data path; not within this call.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);

    /// Takes over a connected stream socket that does not block. One that it can't take is closed.
    fn adopt(&self, socket: OwnedFd) -> io::Result<Self::Socket>;

    /// Connects over TCP. Given up when the future is dropped.
    fn connect(&self, to: SocketAddr) -> impl Future<Output = io::Result<Self::Socket>>;

    /// Watches any descriptor that can be polled.
    fn watch(&self, descriptor: OwnedFd) -> io::Result<Self::Watch>;

    fn sleep(&self, time: Duration) -> Self::Sleep;

    /// Looks once whether something has happened, without sleeping.
    fn pass(&self) -> impl Future<Output = ()>;
}

/// A descriptor whose readiness is waited for.
pub(in crate::engine) trait Watch {
    /// Level-triggered: done at once if it is readable already.
    fn readable(&self) -> impl Future<Output = io::Result<()>>;
}

/// A stream socket: one task reads and writes it, both at a time.
pub(in crate::engine) trait Socket: AsRawFd + 'static {
    type Reader: Reader;
    type Writer: Writer;

    /// Both own the descriptor together.
    fn split(self) -> (Self::Reader, Self::Writer);
}

pub(in crate::engine) trait Reader {
    /// Receives into a buffer of the pool's, which is given back by the caller; zero bytes are the peer's end.
    fn read(&mut self, pool: &Pool) -> impl Future<Output = (io::Result<usize>, Vec<u8>)>;
}

pub(in crate::engine) trait Writer {
    /// Sends what stands behind `from`, or a part of it. The bytes come back.
    fn write(&mut self, bytes: Vec<u8>, from: usize) -> impl Future<Output = (io::Result<usize>, Vec<u8>)>;
}

/// Receive buffers that wait for the next reader. More than a turn needs at once would never be used again.
const SPARE_BUFFERS_MAX: usize = 256;

/// The receive buffers of a lane.
pub(in crate::engine) struct Pool {
    size: usize,
    spare: RefCell<Vec<Vec<u8>>>,
}

impl Pool {
    pub(super) fn new(size: usize) -> Pool {
        Pool { size, spare: RefCell::new(Vec::new()) }
    }

    pub(in crate::engine) fn rent(&self) -> Vec<u8> {
        self.spare.borrow_mut().pop().unwrap_or_else(|| vec![0; self.size])
    }

    pub(in crate::engine) fn give_back(&self, buffer: Vec<u8>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE_BUFFERS_MAX {
            spare.push(buffer);
        }
    }
}

/// Whether a runtime's own ring can be set up here, and knows the operations that it can't do without.
pub(in crate::engine) fn probe(
    engine: &'static str,
    needs: &'static str,
    operations: &[u8],
) -> Result<(), Failure> {
    let refused = |what, source: io::Error| match source.raw_os_error() {
        Some(libc::ENOSYS | libc::EPERM | libc::EACCES | libc::EINVAL) => {
            Failure::Forbidden { engine, what, source }
        }
        _ => Failure::System {
            what: "io_uring_setup (out of memory or descriptors? see ulimit -n, ulimit -l)",
            source,
        },
    };
    let ring = io_uring::IoUring::new(2).map_err(|e| refused("io_uring_setup", e))?;
    let mut known = io_uring::Probe::new();
    ring.submitter().register_probe(&mut known).map_err(|e| refused(needs, e))?;
    match operations.iter().all(|operation| known.is_supported(*operation)) {
        true => Ok(()),
        false => Err(refused(needs, io::Error::from_raw_os_error(libc::EINVAL))),
    }
}
