//! One connection in the client's role.
//!
//! In: bytes as they arrive, cut anywhere, and what was asked. Out: responses in order, each with its whole body, and the
//! interim ones before them. Never: waits, reads a clock, grows past `Limits`, or reads on after an error.

use super::error::Refusal;
use super::framing::ResponseFraming;
use super::head::HEAD_TOO_LARGE;
use super::limits::Limits;
use super::reader::Reading;
pub use super::response_head::ResponseHead;
use super::response_head::parse;
use super::response_heads::ResponseHeads;
use super::response_stream::{Ended, ResponseStream, Start};
use super::server::Phase;
use super::status::Status;
use std::fmt;
use std::mem;

/// What of the request decides how its response ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    /// `HEAD`: no body comes, whatever the fields say.
    Head,
    /// `CONNECT`: behind a 2xx begins a tunnel.
    Connect,
    /// Any other method, in HTTP/1.1, with `Upgrade` and the connection option of that name (RFC 9110 §7.8): only then
    /// is a 101 an answer, and behind it begins another protocol.
    Upgrade,
    /// Any other method, without an upgrade.
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
    /// The response; the 101 to [`Asked::Upgrade`] too, with nothing read behind it. Bytes behind it that answer no other request are a reason to close (RFC 9112 §9.2).
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
    /// It keeps a cut head; or here a whole head, and behind it what came of the body, decoded. Empty when idle.
    stream: ResponseStream,
    /// Bytes of the whole head.
    head_len: usize,
    /// What the head that is kept answers.
    asked: Asked,
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
        let stream = &mut self.stream;
        stream.reader.free_handed();
        let mut at = 0;
        if stream.reader.is_fresh() {
            let Some((head, head_len)) = stream.read_fresh(input, asked, memo, limits)? else {
                return Ok(ResponseStep::More);
            };
            let rest = Start::of(&head, asked).rest;
            // The usual case, and the fast path: all of the response lies in the input.
            if let Some(body) = whole_body(head.framing, &input[head_len..]) {
                stream.reader.pass(rest.keep_alive);
                return Ok(step(Response { head, body }, head_len + body.len()));
            }
            stream.reader.begin(rest);
            stream.reader.kept.extend_from_slice(&input[..head_len]);
            (self.head_len, self.asked, at) = (head_len, asked, head_len);
        } else if stream.reader.awaits_head() {
            let Some((_, used)) = stream.read_cut(input, asked, limits)? else {
                return Ok(ResponseStep::More);
            };
            (self.head_len, self.asked, at) = (stream.reader.kept.len(), asked, used);
        }
        let taken = stream.reader.gather(&input[at..], limits).map_err(|refusal| stream.refuse(refusal))?;
        match taken {
            Some(taken) => Ok(step(self.kept(limits)?, at + taken)),
            None => Ok(ResponseStep::More),
        }
    }

    /// The server has closed. That is how a body without a length ends: then it is the response.
    ///
    /// # Errors
    /// The connection ended inside a response.
    pub fn end(&mut self, heads: &ResponseHeads) -> Result<Option<Response<'_>>, ClientError> {
        match self.stream.end()? {
            Ended::Complete => Ok(Some(self.kept(heads.limits())?)),
            Ended::Idle => Ok(None),
        }
    }

    /// What the connection waits for. `Idle` also when a response is awaited of which no byte has come.
    pub fn phase(&self) -> Phase {
        self.stream.phase()
    }

    /// Reads nothing any more, and frees what is kept.
    pub fn close(&mut self) {
        self.stream.close();
    }

    /// Bytes of memory kept for a response that is cut: zero when idle.
    pub fn kept_bytes(&self) -> usize {
        self.stream.kept_bytes()
    }

    /// The response that is kept: its head parsed before, and can fail now only if `limits` became tighter since.
    fn kept(&mut self, limits: &Limits) -> Result<Response<'_>, ClientError> {
        let reader = &mut self.stream.reader;
        let reading = mem::replace(&mut reader.reading, Reading::Closed);
        let (head, body) = reader.kept.split_at(self.head_len);
        let (head, _) = parse(head, self.asked, limits)?.ok_or(HEAD_TOO_LARGE)?;
        reader.reading = reading;
        Ok(Response { head, body })
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
    let head = response.head;
    if head.is_interim() {
        ResponseStep::Interim { head, used }
    } else {
        ResponseStep::Response { response, used }
    }
}
