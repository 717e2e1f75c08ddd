//! The monoio engines: the same programs on monoio, on its io_uring driver and on its epoll driver.
//!
//! In: listeners, a program. Sockets are monoio's, and so are their reads and writes, timers and tasks; the contract is
//! kept in `hub`. Never: chosen by `auto` where there is an engine of our own.
//!
//! A read under way owns its buffer until the kernel is done with it, so each connection that waits for bytes holds
//! one. Waiting for readiness first, and taking a buffer then, would save that memory for a second operation, and a
//! second pass through the loop, for each request.

use super::hub::runtime::{self, Pool, Reader, Runtime, Socket, Watch, Writer};
use super::{Failure, Program, Settings, hub};
use crate::listen::Listener;
use crate::mailbox::Mailbox;
use crate::stats::EngineStats;
use io_uring::opcode;
use monoio::buf::IoBuf;
use monoio::io::{AsyncReadRent, AsyncWriteRent, OwnedReadHalf, OwnedWriteHalf, Splitable};
use monoio::net::TcpStream;
use monoio::{Buildable, Driver, IoUringDriver, LegacyDriver, RuntimeBuilder};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// Submissions of a pass that need no extra call; monoio's own default is a quarter of it.
const ENTRIES: u32 = 4096;

/// What monoio's driver submits for what it is asked here.
const OPERATIONS: [u8; 6] = [
    opcode::AsyncCancel::CODE,
    opcode::Close::CODE,
    opcode::Connect::CODE,
    opcode::PollAdd::CODE,
    opcode::Recv::CODE,
    opcode::Send::CODE,
];

/// Whether its io_uring driver works here.
pub(super) fn probe() -> Result<(), Failure> {
    runtime::probe("monoio", "the operations that monoio needs (Linux 5.6)", &OPERATIONS)
}

/// Runs `program` in this thread until it stops, on io_uring.
pub(super) fn run<P: Program + 'static>(
    listeners: Vec<Listener>,
    program: P,
    mailbox: &Mailbox<P::Mail>,
    settings: &Settings,
    stats: &Arc<EngineStats>,
) -> Result<P, Failure> {
    start::<IoUringDriver, P>(listeners, program, mailbox, settings, stats)
}

/// Runs `program` in this thread until it stops, on epoll.
pub(super) fn run_on_epoll<P: Program + 'static>(
    listeners: Vec<Listener>,
    program: P,
    mailbox: &Mailbox<P::Mail>,
    settings: &Settings,
    stats: &Arc<EngineStats>,
) -> Result<P, Failure> {
    start::<LegacyDriver, P>(listeners, program, mailbox, settings, stats)
}

fn start<D: 'static, P: Program + 'static>(
    listeners: Vec<Listener>,
    program: P,
    mailbox: &Mailbox<P::Mail>,
    settings: &Settings,
    stats: &Arc<EngineStats>,
) -> Result<P, Failure>
where
    monoio::time::TimeDriver<D>: Buildable + Driver,
{
    let builder = RuntimeBuilder::<monoio::time::TimeDriver<D>>::new().with_entries(ENTRIES);
    let mut runtime = Buildable::build(builder)
        .map_err(Failure::system("start monoio (out of memory or descriptors? see ulimit -n, ulimit -l)"))?;
    let passes = Rc::new(Passes::default());
    let monoio = Monoio { passes: passes.clone() };
    runtime.block_on(passes.drive(hub::run(monoio, listeners, program, mailbox, settings, stats)))
}

struct Monoio {
    passes: Rc<Passes>,
}

/// Tasks that wait until the driver has looked at the kernel.
///
/// A task that wakes itself runs again before others do, and several times before the driver has its turn. The future
/// that the runtime runs for is polled between the two: whom it wakes runs behind that look, and, woken the second time,
/// behind those whom the look woke.
#[derive(Default)]
struct Passes {
    done: Cell<u64>,
    waiting: RefCell<Vec<Waker>>,
    driving: RefCell<Option<Waker>>,
}

impl Passes {
    async fn drive<T>(&self, run: impl Future<Output = T>) -> T {
        let mut run = pin!(run);
        poll_fn(|cx| {
            self.driving.borrow_mut().get_or_insert_with(|| cx.waker().clone());
            let ran = run.as_mut().poll(cx);
            self.done.set(self.done.get() + 1);
            self.waiting.borrow_mut().drain(..).for_each(Waker::wake);
            ran
        })
        .await
    }

    async fn next(&self) {
        for _ in 0..2 {
            let before = self.done.get();
            let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
            self.waiting.borrow_mut().push(waker);
            self.driving.borrow().iter().for_each(Waker::wake_by_ref);
            poll_fn(|_| if self.done.get() > before { Poll::Ready(()) } else { Poll::Pending }).await;
        }
    }
}

impl Runtime for Monoio {
    /// Its timers count whole milliseconds.
    const SLEEP_GRAIN: Duration = Duration::from_millis(1);
    const SPINS: bool = false;
    type Socket = TcpStream;
    type Watch = TcpStream;
    type Sleep = monoio::time::Sleep;

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        // Without its handle it goes on by itself.
        drop(monoio::spawn(task));
    }

    fn adopt(&self, socket: OwnedFd) -> io::Result<TcpStream> {
        // Receiving and sending ask for no more than a stream socket, so a Unix one will do.
        TcpStream::from_std(socket.into())
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_addr(to).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn watch(&self, descriptor: OwnedFd) -> io::Result<TcpStream> {
        // Only its readiness is asked for, which any descriptor has.
        TcpStream::from_std(descriptor.into())
    }

    fn sleep(&self, time: Duration) -> monoio::time::Sleep {
        monoio::time::sleep(time)
    }

    async fn pass(&self) {
        self.passes.next().await;
    }
}

impl Watch for TcpStream {
    async fn readable(&self) -> io::Result<()> {
        TcpStream::readable(self, false).await
    }
}

impl Socket for TcpStream {
    type Reader = OwnedReadHalf<TcpStream>;
    type Writer = OwnedWriteHalf<TcpStream>;

    fn split(self) -> (Self::Reader, Self::Writer) {
        self.into_split()
    }
}

impl Reader for OwnedReadHalf<TcpStream> {
    async fn read(&mut self, pool: &Pool) -> (io::Result<usize>, Vec<u8>) {
        AsyncReadRent::read(self, pool.rent()).await
    }
}

impl Writer for OwnedWriteHalf<TcpStream> {
    async fn write(&mut self, bytes: Vec<u8>, from: usize) -> (io::Result<usize>, Vec<u8>) {
        let (result, rest) = AsyncWriteRent::write(self, bytes.slice(from..)).await;
        (result, rest.into_inner())
    }
}
