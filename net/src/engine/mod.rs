//! The seam: a [`Program`] decides, an engine moves bytes.
//!
//! An engine is a function: it takes listeners and a program, turns until the program says stop, and gives
//! the program back. Each turn it collects what happened, tells the program, and then makes the world match
//! what the program left in [`Io`]. The contract that every engine keeps is in `docs/engines.md`, and as a
//! test in `net/tests/contract`.

pub mod hand;
mod io;
pub mod sim;

#[cfg(feature = "os")]
mod dealing;
#[cfg(feature = "os")]
mod os;

#[cfg(feature = "epoll")]
pub mod epoll;
#[cfg(feature = "glommio")]
mod glommio;
#[cfg(any(feature = "monoio", feature = "glommio"))]
mod hub;
#[cfg(feature = "monoio")]
mod monoio;
#[cfg(feature = "uring")]
pub mod uring;

#[cfg(feature = "os")]
pub use dealing::{Seat, seats};
pub(crate) use io::Ending;
pub use io::{Accepting, Close, Io};
#[cfg(feature = "os")]
pub use os::{Engine, Failure, Probe, Settings, run};

use crate::address::Address;
use std::net::SocketAddr;

/// Names one connection: after its `on_end` a token is not used again.
///
/// A slab index with a generation (of four billion, for each index), so that whatever arrives late for a connection that is gone reaches nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token {
    index: u32,
    generation: u32,
}

impl Token {
    /// A dense small number, unique among the connections that are open now: an index for a program's own table.
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// How a connection came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// A peer connected to the listener with this number (in the order they were given to the engine).
    Accepted {
        /// Index into the engine's listeners.
        listener: usize,
        /// The peer's address. `None` for a Unix socket, for a peer that has already reset the connection, and
        /// unless `Settings::peer_addresses` asks for it; in simulated worlds it is always asked for.
        peer: Option<SocketAddr>,
    },
    /// Our own `Io::connect` succeeded.
    Connected,
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// We closed it: everything that was appended has been handed to the kernel.
    Closed,
    /// The program gave it up with `Close::Now` or `Close::Reset`.
    Aborted,
    /// The peer or the network broke it; output may be lost.
    Reset,
    /// `Io::connect` failed, with the error number of `connect(2)`. There was no `on_open`.
    ConnectFailed(i32),
}

/// What decides: told what happened on one lane, it appends bytes and wishes to [`Io`].
///
/// No call may wait: a lane has one thread, and everybody on it waits along.
pub trait Program {
    /// What other threads may send to this program through its lane's mailbox.
    type Mail: Send + 'static;

    /// Before anything else, once.
    fn on_start(&mut self, _io: &mut Io) {}

    /// A connection is open. Once, before any of its bytes.
    fn on_open(&mut self, token: Token, opened: Opened, io: &mut Io);

    /// Bytes arrived: in order, in pieces of any size (never empty), lent from the receive buffer for this
    /// call. The program takes all of them; what it can't use yet it keeps itself.
    fn on_bytes(&mut self, token: Token, bytes: &[u8], io: &mut Io);

    /// The peer will send no more (half-close). At most once. Output still flows until the program closes.
    fn on_eof(&mut self, token: Token, io: &mut Io) {
        io.close(token, Close::AfterFlush);
    }

    /// The token's unsent output had passed the limit and has drained to half of it.
    fn on_drained(&mut self, _token: Token, _io: &mut Io) {}

    /// The connection is over. Exactly once for each token that was opened or asked for; nothing after.
    fn on_end(&mut self, token: Token, end: End, io: &mut Io);

    /// Another thread sent something.
    fn on_mail(&mut self, mail: Self::Mail, io: &mut Io);

    /// When `on_deadline` should be called; `None` for never. Asked once per turn.
    fn next_deadline(&self) -> Option<crate::time::Time> {
        None
    }

    /// `io.now()` has reached `next_deadline()`.
    fn on_deadline(&mut self, _io: &mut Io) {}

    /// The turn's events are done and its output is about to be submitted; `io.now()` has been read again.
    fn on_turn(&mut self, _io: &mut Io) {}
}

/// A connection that a program asked for.
#[derive(Clone, Debug)]
pub(crate) struct Connect {
    pub(crate) token: Token,
    pub(crate) to: Address,
}

#[cfg(test)]
impl Token {
    /// A token for tests of what only carries tokens around.
    pub(crate) fn test(index: u32) -> Token {
        Token { index, generation: 0 }
    }
}
