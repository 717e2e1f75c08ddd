//! One connection of ours: what is in flight on it, and how far its answers have been read.

use crate::record::Instants;
use crate::workload::Expected;
use net::engine::Token;
use net::http1::client::ClientConn;
use net::time::Time;
use std::collections::VecDeque;

/// A request that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub(super) at: Instants,
    pub(super) expected: Expected,
}

/// Whether a connection takes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Yes.
    Taking,
    /// No more: it closes when what is in flight is answered.
    Last,
    /// It is being closed.
    Closing,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) token: Token,
    pub(super) reader: ClientConn,
    pub(super) in_flight: VecDeque<Flight>,
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) using: Use,
}

impl Conn {
    pub(super) fn new(token: Token) -> Conn {
        let (reader, in_flight) = (ClientConn::new(), VecDeque::new());
        Conn { token, reader, in_flight, sent: 0, answered: 0, using: Use::Taking }
    }
}

/// Connections by the index of their token.
#[derive(Debug, Default)]
pub(super) struct Conns(Vec<Option<Conn>>);

impl Conns {
    pub(super) fn insert(&mut self, conn: Conn) {
        let index = conn.token.index();
        if index >= self.0.len() {
            self.0.resize_with(index + 1, || None);
        }
        self.0[index] = Some(conn);
    }

    pub(super) fn get(&mut self, token: Token) -> Option<&mut Conn> {
        self.0.get_mut(token.index())?.as_mut().filter(|conn| conn.token == token)
    }

    pub(super) fn remove(&mut self, token: Token) -> Option<Conn> {
        self.get(token)?;
        self.0[token.index()].take()
    }

    /// Everything that is in flight on any connection.
    pub(super) fn take_in_flight(&mut self) -> VecDeque<Flight> {
        let conns = self.0.iter_mut().flatten();
        conns.flat_map(|conn| std::mem::take(&mut conn.in_flight)).collect()
    }
}

/// A connection that has room for another request, and since when. Each that has room is queued once, whatever its
/// pipeline still takes: so requests go to the connections in turn, and queue behind each other only where all are busy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) token: Token,
    pub(super) since: Time,
}
