//! What the engines on asynchronous runtimes share: the contract.
//!
//! In: a [`Runtime`], listeners, a program. One task per connection moves its bytes with the runtime's own reads and
//! writes (`serve.rs`); one task turns (`turns.rs`); the caller's future looks after mail and new peers, off the data
//! path. All of them share one [`Lane`], in turns and never while they wait. Never: a second task for one
//! connection, a thread, a lock.

mod doors;
mod lane;
pub(super) mod runtime;
mod serve;
mod turns;

use self::doors::{Doors, Ring};
use self::lane::Lane;
use self::runtime::{Pool, Runtime, Watch};
use super::{Accepting, Failure, Program, Seat, Settings, Token};
use crate::address::Address;
use crate::listen::{self, Listener};
use crate::mailbox::Mailbox;
use crate::stats::EngineStats;
use std::cell::{Cell, RefCell, RefMut};
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Accepts from one listener before others have their turn.
const ACCEPTS_PER_TURN: usize = 256;
/// Looks at the kernel after the last task's end: what closes the last sockets is submitted by then.
const PASSES_AT_THE_END: usize = 2;

/// Runs `program` on `runtime`, in whose context this has to be polled, until it stops.
pub(super) async fn run<R: Runtime, P: Program + 'static>(
    runtime: R,
    listeners: Vec<Listener>,
    program: P,
    mailbox: &Mailbox<P::Mail>,
    settings: &Settings,
    stats: &Arc<EngineStats>,
) -> Result<P, Failure> {
    let doors = Doors::new(listeners, mailbox.bell())?;
    let watch = runtime.watch(doors.descriptor()?).map_err(Failure::system("watch the listeners"))?;
    let hub = Rc::new(Hub {
        pool: Pool::new(settings.receive_buffer_bytes),
        lane: RefCell::new(Lane::new(program, doors, settings, stats)),
        stage: Cell::new(Stage::Running),
        keeper: RefCell::new(None),
        runtime,
    });
    hub.lane().event(None, |lane| lane.program.on_start(&mut lane.io));
    hub.runtime.spawn(turns::turns(hub.clone()));
    while hub.attend(&watch).await {
        hub.answer(mailbox);
    }
    hub.until(Stage::Empty).await;
    for _ in 0..PASSES_AT_THE_END {
        hub.runtime.pass().await;
    }
    let hub = Rc::into_inner(hub).expect("each task has let go of it at its end");
    hub.lane.into_inner().into_result()
}

struct Hub<R: Runtime, P: Program> {
    runtime: R,
    pool: Pool,
    lane: RefCell<Lane<P>>,
    stage: Cell<Stage>,
    /// Of the future that looks after the doors.
    keeper: RefCell<Option<Waker>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Running,
    /// The program has stopped, and everything has ended for it; tasks let go of their sockets.
    Stopped,
    /// All have.
    Empty,
}

impl<R: Runtime, P: Program + 'static> Hub<R, P> {
    /// Waits until somebody is at the doors. False when the lane has stopped.
    async fn attend(&self, watch: &R::Watch) -> bool {
        let mut readable = pin!(watch.readable());
        let told = poll_fn(|cx| match self.poll_stage(Stage::Stopped, cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => readable.as_mut().poll(cx).map(Some),
        });
        match told.await {
            Some(Ok(())) => true,
            Some(Err(error)) => {
                self.lane().fail(Failure::system("wait for mail and peers")(error));
                self.until(Stage::Stopped).await;
                false
            }
            None => false,
        }
    }

    fn answer(self: &Rc<Self>, mailbox: &Mailbox<P::Mail>) {
        let rings = self.lane().doors().rings();
        match rings {
            Ok(rings) => rings.iter().for_each(|ring| match ring {
                Ring::Bell => self.on_bell(mailbox),
                Ring::Listener(index) => self.accept(*index),
            }),
            Err(failure) => self.lane().fail(failure),
        }
    }

    fn on_bell(self: &Rc<Self>, mailbox: &Mailbox<P::Mail>) {
        let mut count = [0; 8];
        // Silences the bell before the box is emptied, so that a mail that comes now rings again.
        let _ = rustix::io::read(mailbox.bell(), &mut count);
        // A turn follows, also without any mail: whoever rang may want to see just that.
        self.lane().event(None, |_| ());
        while let Some(mail) = mailbox.take() {
            self.lane().event(None, |lane| lane.program.on_mail(mail, &mut lane.io));
        }
        self.take_dealt();
    }

    fn accept(self: &Rc<Self>, listener: usize) {
        for _ in 0..ACCEPTS_PER_TURN {
            let accepted = self.lane().next_accept(listener);
            let Some(socket) = accepted else { return };
            let kept = self.lane().deal(listener, socket);
            if let Some(socket) = kept {
                self.open(listener, socket);
            }
        }
    }

    /// Opens what other lanes dealt to this one.
    fn take_dealt(self: &Rc<Self>) {
        loop {
            let dealt = self.lane().settings.seat.as_ref().and_then(Seat::take);
            let Some((listener, socket)) = dealt else { return };
            self.open(listener, socket);
            let lane = self.lane();
            lane.settings.seat.iter().for_each(|seat| seat.opened(lane.io.in_use()));
        }
    }

    /// Nothing is dealt to this lane any more. What was, was promised a connection.
    fn leave_table(self: &Rc<Self>) {
        self.lane().settings.seat.iter().for_each(Seat::close);
        self.take_dealt();
    }

    fn open(self: &Rc<Self>, listener: usize, socket: OwnedFd) {
        let asks = self.lane().settings.peer_addresses;
        let peer = if asks { listen::peer_of(&socket) } else { None };
        match self.runtime.adopt(socket) {
            Ok(socket) => {
                let token = self.lane().event(None, |lane| lane.accepted(listener, peer));
                self.runtime.spawn(serve::serve(self.clone(), token, socket));
            }
            Err(_) => self.lane().event(None, |lane| lane.lost()),
        }
    }

    /// The end of a turn. False if it was the last.
    fn turn(self: &Rc<Self>) -> bool {
        let connects = self.lane().turn();
        for connect in connects {
            self.runtime.spawn(serve::connect(self.clone(), connect));
        }
        let closing = self.lane().settle_accepting();
        for (index, listener) in closing.into_iter().enumerate() {
            // What waits in the backlog was promised a connection: it is taken before the listener closes.
            for socket in listener.accept_backlog() {
                self.open(index, socket);
            }
        }
        let is_stopping = self.lane().is_stopping();
        let is_leaving = is_stopping || self.lane().io.wants_accept() == Accepting::Off;
        if is_leaving {
            self.leave_table();
        }
        let mut lane = self.lane();
        lane.end_turn();
        if !is_stopping {
            return true;
        }
        lane.end_all();
        let stage = if lane.is_empty() { Stage::Empty } else { Stage::Stopped };
        drop(lane);
        self.enter(stage);
        false
    }
}

impl<R: Runtime, P: Program> Hub<R, P> {
    /// Never held while a task waits.
    fn lane(&self) -> RefMut<'_, Lane<P>> {
        self.lane.borrow_mut()
    }

    fn pool(&self) -> &Pool {
        &self.pool
    }

    fn runtime(&self) -> &R {
        &self.runtime
    }

    async fn connect(&self, to: &Address) -> io::Result<R::Socket> {
        match to {
            Address::Tcp(address) => self.runtime.connect(*address).await,
            // Done or refused at once. A ring would make one that a full backlog refuses wait for room instead.
            Address::Unix(_) => {
                let (socket, at) = listen::socket_for(to)?;
                socket.connect(&at)?;
                self.runtime.adopt(socket.into())
            }
        }
    }

    /// A task has let go of its socket.
    fn released(&self, token: Token) {
        let mut lane = self.lane();
        lane.release(token);
        if self.stage.get() == Stage::Stopped && lane.is_empty() {
            drop(lane);
            self.enter(Stage::Empty);
        }
    }

    fn enter(&self, stage: Stage) {
        self.stage.set(stage);
        if let Some(keeper) = &*self.keeper.borrow() {
            keeper.wake_by_ref();
        }
    }

    async fn until(&self, stage: Stage) {
        poll_fn(|cx| self.poll_stage(stage, cx)).await;
    }

    fn poll_stage(&self, stage: Stage, cx: &Context<'_>) -> Poll<()> {
        if self.stage.get() >= stage {
            return Poll::Ready(());
        }
        self.keeper.replace(Some(cx.waker().clone()));
        Poll::Pending
    }
}
