//! One connection in the client's role.
//!
//! In: bytes as they arrive, cut anywhere, and what was asked. Out: responses in order, each with its whole body, and the
//! interim ones before them. Never: waits, reads a clock, grows past `Limits`, or reads on after an error.

use super::body::{Body, Chunked};
use super::error::Refusal;
use super::framing::ResponseFraming;
use super::limits::Limits;
pub use super::response_head::ResponseHead;
use super::response_head::parse;
use super::response_heads::ResponseHeads;
use super::server::Phase;
use super::status::Status;
use memchr::memchr;
use std::fmt;

/// What of the request decides how its response ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    /// `HEAD`: no body comes, whatever the fields say.
    Head,
    /// `CONNECT`: behind a 2xx begins a tunnel.
    Connect,
    /// Any other method.
    #[default]
    Other,
}

/// Why a response can't be used. The connection is of no more use either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// The server sent something that HTTP/1.1 does not allow, or that we did not ask for.
    Malformed(&'static str),
    /// The server sent more than `Limits` lets us hold.
    TooLarge(&'static str),
    /// The connection ended inside a response.
    CutShort(&'static str),
}

impl From<Refusal> for ClientError {
    fn from(refusal: Refusal) -> ClientError {
        match refusal.status {
            Status::CONTENT_TOO_LARGE | Status::FIELDS_TOO_LARGE => ClientError::TooLarge(refusal.why),
            _ => ClientError::Malformed(refusal.why),
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, why) = match self {
            ClientError::Malformed(why) => ("malformed response", why),
            ClientError::TooLarge(why) => ("response too large", why),
            ClientError::CutShort(why) => ("response cut short", why),
        };
        write!(f, "{kind}: {why}")
    }
}

impl std::error::Error for ClientError {}

/// A whole response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response<'s> {
    /// Its head.
    pub head: ResponseHead<'s>,
    /// Its body, decoded.
    pub body: &'s [u8],
}

/// What came of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseStep<'s> {
    /// A 1xx: the response itself is still to come (RFC 9110 §15.2). Call again with the rest.
    Interim {
        /// The head, which is all there is.
        head: ResponseHead<'s>,
        /// Taken of the input.
        used: usize,
    },
    /// The response. Bytes behind it that answer no other request are a reason to close (RFC 9112 §9.2).
    Response {
        /// The response, borrowed from the input or the connection.
        response: Response<'s>,
        /// Taken of the input.
        used: usize,
    },
    /// Everything was taken; more is needed.
    More,
}

/// The reading half of a client's connection. Idle, it holds no memory besides itself.
#[derive(Debug, Default)]
pub struct ClientConn {
    /// A cut head; or a whole head, and behind it what came of the body, decoded. Empty when idle.
    kept: Vec<u8>,
    reading: Reading,
}

#[derive(Debug, Default)]
enum Reading {
    /// A head, none or some of which is kept.
    #[default]
    Head,
    /// The body behind the head that is kept, of `head_len` bytes.
    Body { head_len: usize, asked: Asked, body: Body },
    /// Nothing. The caller may still look at the last response, in what is kept.
    Handed,
    /// Nothing, ever again.
    Closed,
}

/// A whole response, or interim one, in the bytes that are kept: its head, and its body behind it.
struct Kept {
    head_len: usize,
    asked: Asked,
    used: usize,
}

impl ClientConn {
    /// A connection of which nothing was read.
    pub fn new() -> ClientConn {
        ClientConn::default()
    }

    /// Reads the next response from the front of `input`, which are the bytes behind those taken so far. `asked` is about
    /// the oldest request without a final response: don't call with bytes when there is none.
    ///
    /// `heads` belongs to the lane, and remembers for all of its connections.
    /// After a response with `keep_alive == false` or an error, it says `More` and takes everything.
    ///
    /// # Errors
    /// The response can't be used: close.
    pub fn next<'s>(
        &'s mut self,
        input: &'s [u8],
        asked: Asked,
        heads: &'s mut ResponseHeads,
    ) -> Result<ResponseStep<'s>, ClientError> {
        let ResponseHeads { limits, memo } = heads;
        self.free_handed();
        let is_fresh = matches!(self.reading, Reading::Head) && self.kept.is_empty();
        let kept = if !is_fresh {
            self.read(input, asked, limits)
        } else if let Some((head, head_len)) =
            memo.read(input, asked, limits).map_err(|refusal| self.refuse(refusal))?
        {
            // The usual case, and the fast path: all of the response lies in the input.
            if let Some(body) = whole_body(head.framing, &input[head_len..]) {
                self.reading = reading_after(&head);
                return Ok(step(Response { head, body }, head_len + body.len()));
            }
            self.kept.extend_from_slice(&input[..head_len]);
            self.read_body(head.framing, input, head_len, head_len, asked, limits)
        } else {
            self.kept.extend_from_slice(input);
            Ok(None)
        };
        let Some(Kept { head_len, asked, used }) = kept.map_err(|refusal| self.refuse(refusal))? else {
            return Ok(ResponseStep::More);
        };
        self.reading = Reading::Closed;
        let response = of_kept(&self.kept, head_len, asked, limits)?;
        self.reading = reading_after(&response.head);
        Ok(step(response, used))
    }

    /// The server has closed. That is how a body without a length ends: then it is the response.
    ///
    /// # Errors
    /// The connection ended inside a response.
    pub fn end(&mut self, heads: &ResponseHeads) -> Result<Option<Response<'_>>, ClientError> {
        let inside = !self.kept.is_empty();
        match std::mem::replace(&mut self.reading, Reading::Closed) {
            Reading::Body { head_len, asked, body: Body::UntilClose(_) } => {
                Ok(Some(of_kept(&self.kept, head_len, asked, heads.limits())?))
            }
            Reading::Body { .. } => Err(ClientError::CutShort("the connection ended inside a body")),
            Reading::Head if inside => Err(ClientError::CutShort("the connection ended inside a head")),
            Reading::Head | Reading::Handed | Reading::Closed => Ok(None),
        }
    }

    /// What the connection waits for. `Idle` also when a response is awaited of which no byte has come.
    pub fn phase(&self) -> Phase {
        match self.reading {
            Reading::Head if self.kept.is_empty() => Phase::Idle,
            Reading::Head => Phase::Head,
            Reading::Body { .. } => Phase::Body,
            Reading::Handed => Phase::Idle,
            Reading::Closed => Phase::Closed,
        }
    }

    /// Reads nothing any more, and frees what is kept.
    pub fn close(&mut self) {
        self.kept = Vec::new();
        self.reading = Reading::Closed;
    }

    /// Bytes of memory kept for a response that is cut: zero when idle.
    pub fn kept_bytes(&self) -> usize {
        self.kept.capacity()
    }

    fn refuse(&mut self, refusal: Refusal) -> ClientError {
        self.close();
        refusal.into()
    }

    /// What the last call handed out from what is kept, the caller has seen by now.
    fn free_handed(&mut self) {
        match self.reading {
            Reading::Handed => {
                self.kept = Vec::new();
                self.reading = Reading::Head;
            }
            Reading::Closed => self.kept = Vec::new(),
            Reading::Head | Reading::Body { .. } => {}
        }
    }

    /// Adds the input to what is kept.
    fn read(&mut self, input: &[u8], asked: Asked, limits: &Limits) -> Result<Option<Kept>, Refusal> {
        match self.reading {
            Reading::Handed | Reading::Closed => Ok(None),
            Reading::Head => self.read_head(input, asked, limits),
            Reading::Body { head_len, asked, ref mut body } => {
                let taken = body.gather(input, &mut self.kept, limits)?;
                Ok(taken.map(|used| Kept { head_len, asked, used }))
            }
        }
    }

    /// Adds to what is kept of a head. See `ServerConn::read_head`.
    fn read_head(&mut self, input: &[u8], asked: Asked, limits: &Limits) -> Result<Option<Kept>, Refusal> {
        let kept_before = self.kept.len();
        let room = limits.head_bytes_max.saturating_sub(kept_before);
        let taken = &input[..input.len().min(room)];
        self.kept.extend_from_slice(taken);
        if memchr(b'\n', taken).is_none() && taken.len() < room {
            return Ok(None);
        }
        let Some((head, head_len)) = parse(&self.kept, asked, limits)? else {
            return Ok(None);
        };
        let framing = head.framing;
        self.kept.truncate(head_len);
        self.read_body(framing, input, head_len - kept_before, head_len, asked, limits)
    }

    /// The head is kept, of `head_len` bytes; the body begins behind the first `at` bytes of the input.
    fn read_body(
        &mut self,
        framing: ResponseFraming,
        input: &[u8],
        at: usize,
        head_len: usize,
        asked: Asked,
        limits: &Limits,
    ) -> Result<Option<Kept>, Refusal> {
        let mut body = match framing {
            ResponseFraming::None => Body::Length(0),
            ResponseFraming::Length(length) => Body::Length(length),
            ResponseFraming::Chunked => Body::Chunked(Chunked::default()),
            ResponseFraming::UntilClose => Body::UntilClose(0),
        };
        let taken = body.gather(&input[at..], &mut self.kept, limits)?;
        self.reading = Reading::Body { head_len, asked, body };
        Ok(taken.map(|taken| Kept { head_len, asked, used: at + taken }))
    }
}

/// The body, if it needs no decoding and lies whole at the front of `behind`.
fn whole_body(framing: ResponseFraming, behind: &[u8]) -> Option<&[u8]> {
    match framing {
        ResponseFraming::None => Some(b""),
        ResponseFraming::Length(length) => behind.get(..usize::try_from(length).ok()?),
        ResponseFraming::Chunked | ResponseFraming::UntilClose => None,
    }
}

fn step(response: Response<'_>, used: usize) -> ResponseStep<'_> {
    if response.head.status.is_interim() {
        ResponseStep::Interim { head: response.head, used }
    } else {
        ResponseStep::Response { response, used }
    }
}

fn reading_after(head: &ResponseHead<'_>) -> Reading {
    if head.status.is_interim() || head.keep_alive { Reading::Handed } else { Reading::Closed }
}

/// The response that is kept: its head parsed before, and can fail now only if `limits` became tighter since.
fn of_kept<'k>(
    kept: &'k [u8],
    head_len: usize,
    asked: Asked,
    limits: &Limits,
) -> Result<Response<'k>, ClientError> {
    let (head, body) = kept.split_at(head_len);
    match parse(head, asked, limits)? {
        Some((head, _)) => Ok(Response { head, body }),
        None => Err(ClientError::TooLarge("the head is larger than is taken here")),
    }
}
