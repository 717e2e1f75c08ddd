//! A connection to a server: in use by one request, or idle in its lane's pool.

use net::engine::Token;
use net::http1::ResponseStream;
use net::time::Time;

/// A connection to a server.
pub(super) struct Back {
    /// The lane's number of its server.
    pub(super) server: u32,
    pub(super) http: ResponseStream,
    pub(super) serving: Serving,
    /// When it was asked for.
    pub(super) made: Time,
    /// `on_open` came.
    pub(super) is_open: bool,
    /// The server will send no more.
    pub(super) eof: bool,
}

/// For whom a connection to a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serving {
    /// This client.
    Front(Token),
    /// Nobody now: it waits in the pool.
    Idle,
    /// Nobody any more: the engine has been told to close it.
    Closing,
}

impl Back {
    pub(super) fn new(server: u32, front: Token, now: Time) -> Back {
        Back {
            server,
            http: ResponseStream::new(),
            serving: Serving::Front(front),
            made: now,
            is_open: false,
            eof: false,
        }
    }
}
