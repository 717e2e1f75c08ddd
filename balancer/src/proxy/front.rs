//! A client's connection, and the request of its that is under way.
//!
//! One request at a time: what a client sends behind it (a pipelined next one) is held, up to a bound, until it is answered.

use super::answers::Own;
use crate::config;
use crate::fleet::Outcome;
use crate::forward::{Client, Framed, Onward};
use crate::proxy_protocol::ProxyHeader;
use crate::retry::Over;
use net::engine::Token;
use net::http1::{Asked, Phase, RequestStream};
use net::time::Time;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// Bytes behind the request under way over which the client is not read: its next requests, usually small.
pub(super) const HELD_BYTES_MAX: usize = 16 * 1024;

/// A client's connection. A lane has one for each, idle ones too: it is kept small.
pub(super) struct Front {
    pub(super) token: Token,
    pub(super) client: Client,
    pub(super) stage: Stage,
    pub(super) http: RequestStream,
    /// Came, and may not be read yet.
    pub(super) held: Vec<u8>,
    /// What the client was waited for when its time limit was set.
    pub(super) phase: Phase,
    /// The client will send no more.
    pub(super) eof: bool,
    /// What the client had taken of its output when a time limit last ran out.
    pub(super) sent_before: u64,
    pub(super) exchange: Exchange,
}

/// How far a client's connection is.
pub(super) enum Stage {
    /// A PROXY protocol header is yet to come.
    Announcing(Box<Announcing>),
    /// Requests are read and passed on.
    Open,
    /// The engine has been told to close.
    Closing,
}

/// A connection of which it is not known yet who it is from.
pub(super) struct Announcing {
    pub(super) header: ProxyHeader,
    /// Who connected.
    pub(super) peer: Option<SocketAddr>,
}

/// A request on its way, from its head to the end of its response. Used again for the next one.
pub(super) struct Exchange {
    pub(super) stage: Passing,
    pub(super) onward: Onward,
    /// The lane's number of its pool.
    pub(super) pool: u32,
    /// Our own answer to it: it is not passed on.
    pub(super) own: Option<Own>,
    /// The servers that were tried, by their place in the pool of that generation of the fleet.
    pub(super) tried: Vec<u16>,
    pub(super) generation: u64,
    /// How the last try failed.
    pub(super) failed: Option<Outcome>,
    /// Tries begun.
    pub(super) tries: u32,
    /// The server that it has a place at now, by the lane's number.
    pub(super) server: Option<u32>,
    /// The connection to it.
    pub(super) back: Option<Token>,
    pub(super) over: Over,
    /// The budget that its retry was taken out of. A reload may give the pool another one meanwhile.
    pub(super) on_budget: Option<Arc<AtomicU32>>,
    /// The request as the server gets it, as far as it has come: for the next try.
    pub(super) kept: Kept,
    pub(super) coming: Coming,
    /// The response's status; 0 before its head.
    pub(super) status: u16,
    /// How the response's content is passed on.
    pub(super) framed: Framed,
    /// Does the client's connection end with this response?
    pub(super) is_last: bool,
    /// When the head came.
    pub(super) began: Time,
    /// When the try under way was sent.
    pub(super) sent: Time,
    /// From there to the response's head.
    pub(super) latency_ns: u64,
    /// Bytes that the engine had taken for the server's connection before this request.
    pub(super) back_taken_before: u64,
    /// Bytes passed on to the client.
    pub(super) response_bytes: u64,
    /// Bytes of the request's content.
    pub(super) request_bytes: u64,
    /// Bytes that the server had taken of it when a time limit last ran out.
    pub(super) upload_sent: u64,
    /// Interim responses passed on.
    pub(super) interims: u32,
    /// For the access log, if this request goes there.
    pub(super) log: Option<Box<super::logging::Draft>>,
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passing {
    /// There is none.
    Idle,
    /// What came of it in one piece is being read; it was not tried yet.
    Starting,
    /// Every server is full: it waits in its pool's queue.
    Queued,
    /// Its connection is being opened.
    Connecting,
    /// It was sent, as far as it came; no head of a final response came.
    Asking,
    /// The response's head was passed on.
    Answering,
    /// The protocol was switched: bytes pass both ways.
    Tunnel,
}

/// What is there of a request for another try.
pub(super) enum Kept {
    /// All that came.
    Whole(Vec<u8>),
    /// Nothing: it grew too long.
    Dropped,
}

/// How far the client is with its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coming {
    /// More of it is to come.
    Body,
    /// It is complete.
    Complete,
    /// What is still to come is not wanted: the server has answered already.
    Unwanted,
}

impl Front {
    pub(super) fn new(
        token: Token,
        listener: usize,
        peer: Option<SocketAddr>,
        config: &config::Config,
    ) -> Front {
        let announces = config.listeners.get(listener).is_some_and(|listener| listener.accept_proxy);
        let stage = match announces {
            true => Stage::Announcing(Box::new(Announcing { header: ProxyHeader::new(), peer })),
            false => Stage::Open,
        };
        Front {
            token,
            client: Client::new(listener, peer, config),
            stage,
            http: RequestStream::new(),
            held: Vec::new(),
            phase: Phase::Idle,
            eof: false,
            sent_before: 0,
            exchange: Exchange::none(),
        }
    }

    /// The client will send no more, and no next request of its is held.
    pub(super) fn has_asked_all(&self) -> bool {
        self.eof && self.held.is_empty()
    }

    /// Nothing of a next request came, and none is under way.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Open)
            && self.exchange.stage == Passing::Idle
            && self.http.phase() == Phase::Idle
            && self.held.is_empty()
    }
}

impl Exchange {
    pub(super) fn none() -> Exchange {
        Exchange {
            stage: Passing::Idle,
            onward: Onward::unread(Asked::Other),
            pool: 0,
            tried: Vec::new(),
            tries: 0,
            own: None,
            generation: 0,
            failed: None,
            server: None,
            back: None,
            over: Over::Fresh,
            on_budget: None,
            kept: Kept::Dropped,
            coming: Coming::Complete,
            status: 0,
            framed: Framed::None,
            is_last: false,
            began: Time(0),
            sent: Time(0),
            latency_ns: 0,
            back_taken_before: 0,
            response_bytes: 0,
            request_bytes: 0,
            upload_sent: 0,
            interims: 0,
            log: None,
        }
    }

    /// For the next request, which begins now. Allocations stay.
    pub(super) fn begin(&mut self, onward: Onward, pool: u32, generation: u64, kept: Vec<u8>, now: Time) {
        let mut tried = std::mem::take(&mut self.tried);
        tried.clear();
        *self = Exchange {
            stage: Passing::Starting,
            onward,
            pool,
            generation,
            tried,
            kept: Kept::Whole(kept),
            coming: Coming::Body,
            began: now,
            sent: now,
            ..Exchange::none()
        };
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.stage != Passing::Idle
    }

    /// The client waits to be told to send the request's content, and so far has neither been nor begun by itself.
    pub(super) fn waits_for_100(&self) -> bool {
        self.onward.expects_continue
            && self.stage == Passing::Asking
            && self.request_bytes == 0
            && self.interims == 0
    }
}
