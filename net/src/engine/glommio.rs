//! The glommio engine: the same programs on glommio.
//!
//! In: listeners, a program. Sockets are glommio's, and so are their reads and writes, timers, tasks and queues; the
//! contract is kept in `hub`. Never: chosen by `auto` where there is an engine of our own.
//!
//! Connections and turns are on a queue for which latency matters; mail and new peers are on the default one, which
//! glommio gives as many shares as it has, so that what is done there at a time is bounded in `hub`.

use super::hub::runtime::{self, Pool, Reader, Runtime, Socket, Watch, Writer};
use super::{Failure, Program, Settings, hub};
use crate::listen::Listener;
use crate::mailbox::Mailbox;
use crate::stats::EngineStats;
use futures_lite::io::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use glommio::timer::Timer;
use glommio::{
    GlommioError, Latency, LocalExecutorBuilder, Placement, PoolPlacement, Shares, TaskQueueHandle,
};
use io_uring::opcode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Submissions of a pass that need no extra call; glommio's own default is a quarter of it.
const RING_DEPTH: usize = 512;
/// For files, of which there are none; glommio takes no less.
const IO_MEMORY_BYTES: usize = 64 * 1024;
/// After so long a run of one queue, the kernel is looked at and the other queue gets its share. Tasks of ours rest long
/// before, so that this is for nothing but an accident. And a short one makes one: where it runs out between a look at
/// the kernel and the first task, glommio 0.9 goes to sleep over tasks that are ready.
const LATENCY: Duration = Duration::from_secs(1);
/// What glommio insists on being allowed to lock, although since Linux 5.12 rings are not accounted there.
const LOCKED_BYTES_MIN: u64 = 512 * 1024;
/// A look at the kernel without sleeping: the shortest timer, and a spin that is longer.
const PASS: Duration = Duration::from_micros(1);
const PASS_SPIN: Duration = Duration::from_micros(10);

/// What glommio asks the kernel for, and ends the process without.
const OPERATIONS: [u8; 23] = [
    opcode::Nop::CODE,
    opcode::Readv::CODE,
    opcode::Writev::CODE,
    opcode::Fsync::CODE,
    opcode::ReadFixed::CODE,
    opcode::WriteFixed::CODE,
    opcode::PollAdd::CODE,
    opcode::PollRemove::CODE,
    opcode::SendMsg::CODE,
    opcode::RecvMsg::CODE,
    opcode::Timeout::CODE,
    opcode::TimeoutRemove::CODE,
    opcode::Accept::CODE,
    opcode::LinkTimeout::CODE,
    opcode::Connect::CODE,
    opcode::Fallocate::CODE,
    opcode::OpenAt::CODE,
    opcode::Close::CODE,
    opcode::Statx::CODE,
    opcode::Read::CODE,
    opcode::Write::CODE,
    opcode::Send::CODE,
    opcode::Recv::CODE,
];

/// Whether it works here: a ring, its operations, and memory that may be locked.
pub(super) fn probe() -> Result<(), Failure> {
    runtime::probe("glommio", "the operations that glommio needs (Linux 5.8)", &OPERATIONS)?;
    let limit = getrlimit(Resource::Memlock);
    let is_enough = |bytes: Option<u64>| bytes.is_none_or(|bytes| bytes >= LOCKED_BYTES_MIN);
    if !is_enough(limit.current) && is_enough(limit.maximum) {
        // Raising the soft limit to the hard one needs no privilege; if it fails, the next look says so.
        let _ = setrlimit(Resource::Memlock, Rlimit { current: limit.maximum, ..limit });
    }
    match getrlimit(Resource::Memlock).current {
        Some(bytes) if bytes < LOCKED_BYTES_MIN => {
            Err(Failure::LockedMemory { engine: "glommio", allowed: bytes, needed: LOCKED_BYTES_MIN })
        }
        _ => Ok(()),
    }
}

/// Runs `program` in this thread until it stops.
pub(super) fn run<P: Program + 'static>(
    listeners: Vec<Listener>,
    program: P,
    mailbox: &Mailbox<P::Mail>,
    settings: &Settings,
    stats: &Arc<EngineStats>,
) -> Result<P, Failure> {
    let spin = settings.busy_poll.unwrap_or_default();
    let spin = if settings.deadline_watch.is_zero() { spin } else { spin.max(PASS_SPIN) };
    // Unbound: the thread is a lane's, and pinned already.
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .spin_before_park(spin)
        .io_memory(IO_MEMORY_BYTES)
        .ring_depth(RING_DEPTH)
        .preempt_timer(LATENCY)
        .blocking_thread_pool_placement(PoolPlacement::Unbound(1))
        .make()
        .map_err(|e| Failure::system("start glommio (see ulimit -n, ulimit -l)")(io::Error::from(e)))?;
    executor.run(async {
        let latency = Latency::Matters(LATENCY);
        let queue = glommio::executor().create_task_queue(Shares::default(), latency, "connections");
        hub::run(Glommio { queue }, listeners, program, mailbox, settings, stats).await
    })
}

struct Glommio {
    queue: TaskQueueHandle,
}

impl Runtime for Glommio {
    const SLEEP_GRAIN: Duration = Duration::from_micros(5);
    const SPINS: bool = true;
    type Socket = Stream;
    type Watch = Watched;
    type Sleep = Timer;

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let spawned = glommio::spawn_local_into(task, self.queue);
        spawned.expect("the queue is there as long as the executor").detach();
    }

    fn adopt(&self, socket: OwnedFd) -> io::Result<Stream> {
        Ok(Stream::of(stream(socket)))
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<Stream> {
        let stream = TcpStream::connect(to).await.map_err(system)?;
        stream.set_nodelay(true).map_err(system)?;
        Ok(Stream::of(stream))
    }

    fn watch(&self, descriptor: OwnedFd) -> io::Result<Watched> {
        let copy = descriptor.try_clone()?;
        Ok(Watched { descriptor, copy: RefCell::new(Some(copy)) })
    }

    fn sleep(&self, time: Duration) -> Timer {
        Timer::new(time)
    }

    async fn pass(&self) {
        Timer::new(PASS).await;
    }
}

/// A descriptor of any kind.
///
/// glommio watches sockets alone, from when they are made; then it reads, which fails for any other kind of
/// descriptor, at once, and changes nothing. So each wait is for a copy, made as the one before is closed: a process that
/// is out of descriptors has that one.
struct Watched {
    descriptor: OwnedFd,
    copy: RefCell<Option<OwnedFd>>,
}

/// How long to wait for the copy, should another thread have taken its place.
const COPY_PAUSE: Duration = Duration::from_millis(10);

impl Watched {
    async fn copy(&self) -> OwnedFd {
        loop {
            let kept = self.copy.take();
            if let Some(copy) = kept.or_else(|| self.descriptor.try_clone().ok()) {
                return copy;
            }
            Timer::new(COPY_PAUSE).await;
        }
    }
}

impl Watch for Watched {
    async fn readable(&self) -> io::Result<()> {
        let mut stream = stream(self.copy().await);
        let mut byte = [0];
        let _ = poll_fn(|cx| Pin::new(&mut stream).poll_read(cx, &mut byte)).await;
        drop(stream);
        self.copy.replace(self.descriptor.try_clone().ok());
        Ok(())
    }
}

/// A socket that two futures of one task have together.
#[derive(Clone)]
struct Stream(Rc<RefCell<TcpStream>>);

impl Stream {
    fn of(stream: TcpStream) -> Stream {
        Stream(Rc::new(RefCell::new(stream)))
    }
}

fn stream(descriptor: OwnedFd) -> TcpStream {
    // SAFETY: the descriptor was owned here, and the stream owns it from now on.
    unsafe { TcpStream::from_raw_fd(descriptor.into_raw_fd()) }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        self.0.borrow().as_raw_fd()
    }
}

impl Socket for Stream {
    type Reader = Stream;
    type Writer = Stream;

    fn split(self) -> (Stream, Stream) {
        (self.clone(), self)
    }
}

impl Reader for Stream {
    /// A buffer is taken only when there is something to read: an idle connection holds none.
    async fn read(&mut self, pool: &Pool) -> (io::Result<usize>, Vec<u8>) {
        poll_fn(|cx| {
            let mut buffer = pool.rent();
            match Pin::new(&mut *self.0.borrow_mut()).poll_read(cx, &mut buffer) {
                Poll::Ready(result) => Poll::Ready((result, buffer)),
                Poll::Pending => {
                    pool.give_back(buffer);
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Writer for Stream {
    async fn write(&mut self, bytes: Vec<u8>, from: usize) -> (io::Result<usize>, Vec<u8>) {
        let result = poll_fn(|cx| Pin::new(&mut *self.0.borrow_mut()).poll_write(cx, &bytes[from..])).await;
        (result, bytes)
    }
}

/// glommio's errors wrap the system's.
fn system(error: GlommioError<()>) -> io::Error {
    match error {
        GlommioError::IoError(error) => error,
        GlommioError::EnhancedIoError { source, .. } => source,
        other => io::Error::other(other.to_string()),
    }
}
