//! The task of one connection: it receives, tells the program, and sends what that appended, all by itself.
//!
//! In: a socket of the runtime's. Out: calls of the program, by way of the [`Lane`]. Reading and writing are two
//! futures of the one task, polled in turns: an answer is on its way before anything else is woken, and a peer that
//! takes no output is still read where the program wants that.

use super::Hub;
use super::lane::{Output, Parting, Wanted};
use super::runtime::{Reader, Runtime, Socket, Writer};
use crate::engine::{Connect, End, Program, Token};
use crate::listen;
use rustix::net::Shutdown;
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

/// Pieces, received or sent, that a task may take in one go: no peer may hold the lane.
const STEPS_PER_TURN: usize = 16;

/// Serves a connection to its end.
pub(super) async fn serve<R: Runtime, P: Program>(hub: Rc<Hub<R, P>>, token: Token, socket: R::Socket) {
    converse(&hub, token, socket).await;
    hub.released(token);
}

/// Connects, and serves the connection.
pub(super) async fn connect<R: Runtime, P: Program>(hub: Rc<Hub<R, P>>, connect: Connect) {
    let token = connect.token;
    let connected = {
        let mut connected = pin!(hub.connect(&connect.to));
        // Whoever gives it up goes first.
        poll_fn(|cx| match hub.lane().poll_ended(token, cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => connected.as_mut().poll(cx).map(Some),
        })
        .await
    };
    match connected {
        Some(Ok(socket)) => {
            hub.lane().event(Some(token), |lane| lane.connected(token));
            converse(&hub, token, socket).await;
        }
        Some(Err(error)) => {
            let end = End::ConnectFailed(error.raw_os_error().unwrap_or(libc::EINVAL));
            hub.lane().event(Some(token), |lane| lane.end(token, end));
        }
        None => {}
    }
    hub.released(token);
}

async fn converse<R: Runtime, P: Program>(hub: &Hub<R, P>, token: Token, socket: R::Socket) {
    let fd = socket.as_raw_fd();
    let (mut reader, mut writer) = socket.split();
    // SAFETY: `reader` and `writer` own the descriptor, and live to the end of this function, as `fd` does not.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let steps = Steps::default();
    let mut has_parted = false;
    let mut reads = pin!(reads(hub, &steps, token, &mut reader));
    let mut writes = pin!(writes(hub, &steps, token, fd, &mut writer));
    let (mut has_read, mut has_written) = (false, false);
    let mut converse = poll_fn(|cx| {
        for _ in 0..STEPS_PER_TURN {
            steps.begin();
            has_read = has_read || reads.as_mut().poll(cx).is_ready();
            has_written = has_written || writes.as_mut().poll(cx).is_ready();
            let is_done = has_read && has_written;
            if !is_done && steps.any() {
                continue;
            }
            let parting = hub.lane().parting(token);
            // What is under way would hold the socket; this ends it.
            if let Some(parting) = parting.filter(|how| !has_parted && (!is_done || *how == Parting::Reset)) {
                part(fd, parting);
                has_parted = true;
            }
            return if is_done { Poll::Ready(Pause::End) } else { Poll::Pending };
        }
        Poll::Ready(Pause::Rest)
    });
    while (&mut converse).await == Pause::Rest {
        hub.runtime().pass().await;
    }
}

#[derive(PartialEq)]
enum Pause {
    /// There is more to do, and others come first.
    Rest,
    End,
}

/// Ends whatever is under way on a socket. Closing its descriptor would not.
fn part(fd: BorrowedFd<'_>, parting: Parting) {
    if parting == Parting::Reset {
        listen::reset(fd);
    }
    // ENOTCONN: reset, or gone.
    let _ = rustix::net::shutdown(fd, Shutdown::Both);
}

/// Delivers what the peer sends, for as long as it is wanted.
async fn reads<R: Runtime, P: Program>(
    hub: &Hub<R, P>,
    steps: &Steps,
    token: Token,
    reader: &mut impl Reader,
) {
    while wanted(hub, token).await != Wanted::Never {
        let (result, buffer) = reader.read(hub.pool()).await;
        match result {
            // The wish may have changed while it was under way: then what has come waits here.
            Ok(0) => {
                if wanted(hub, token).await != Wanted::Never {
                    hub.lane().event(Some(token), |lane| lane.eof(token));
                }
            }
            Ok(count) => {
                let wanted = wanted(hub, token).await;
                let bytes = &buffer[..count.min(buffer.len())];
                hub.lane().event(Some(token), |lane| lane.received(token, bytes, wanted));
            }
            Err(error) if is_passing(&error) => {}
            Err(_) => hub.lane().event(Some(token), |lane| lane.broken(token)),
        }
        hub.pool().give_back(buffer);
        // What was appended goes out before more is read.
        steps.take().await;
    }
}

async fn wanted<R: Runtime, P: Program>(hub: &Hub<R, P>, token: Token) -> Wanted {
    poll_fn(|cx| hub.lane().poll_wanted(token, cx)).await
}

/// Sends what the program appends, and ends our side behind it when it says so.
async fn writes<R: Runtime, P: Program>(
    hub: &Hub<R, P>,
    steps: &Steps,
    token: Token,
    fd: BorrowedFd<'_>,
    writer: &mut impl Writer,
) {
    loop {
        let output = poll_fn(|cx| hub.lane().poll_output(token, cx)).await;
        match output {
            // Found out here perhaps, so that the other half does not know.
            Output::Over => return steps.tell(),
            Output::Shut => {
                // ENOTCONN: the peer is gone, and the next read will say so.
                let _ = rustix::net::shutdown(fd, Shutdown::Write);
                hub.lane().shut(token);
            }
            Output::Send(bytes) => send(hub, steps, token, writer, bytes).await,
        }
    }
}

async fn send<R: Runtime, P: Program>(
    hub: &Hub<R, P>,
    steps: &Steps,
    token: Token,
    writer: &mut impl Writer,
    bytes: Vec<u8>,
) {
    let (mut bytes, mut from) = (bytes, 0);
    while from < bytes.len() {
        let (result, back) = writer.write(bytes, from).await;
        bytes = back;
        let goes_on = match result {
            Ok(count) if count > 0 => {
                from += count;
                hub.lane().sent(token, count, from < bytes.len())
            }
            Err(error) if is_passing(&error) => true,
            Ok(_) | Err(_) => {
                hub.lane().event(Some(token), |lane| lane.broken(token));
                false
            }
        };
        // Room for output may mean that bytes are wanted again.
        steps.take().await;
        if !goes_on {
            break;
        }
    }
    hub.lane().io.reuse(bytes);
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN))
}

/// Steps that one half has taken: the other one is to look whether that concerns it.
#[derive(Default)]
struct Steps(Cell<bool>);

impl Steps {
    fn begin(&self) {
        self.0.set(false);
    }

    fn any(&self) -> bool {
        self.0.get()
    }

    fn tell(&self) {
        self.0.set(true);
    }

    /// Lets the other half have its turn.
    async fn take(&self) {
        let mut is_other_done = false;
        poll_fn(|_| {
            if std::mem::replace(&mut is_other_done, true) {
                return Poll::Ready(());
            }
            self.tell();
            Poll::Pending
        })
        .await;
    }
}
