//! One connection in the server's role.
//!
//! In: bytes as they arrive, cut anywhere. Out: requests in order, each with its whole body. A request that lies whole
//! in what arrived is borrowed from there; only one that is cut is kept. Never: waits, reads a clock, grows past
//! `Limits`, or reads on after a refusal.

use super::error::Refusal;
use super::framing::Framing;
use super::head::{self, Head};
use super::heads::Heads;
use super::limits::Limits;
use super::reader::Reading;
use super::request_stream::{RequestStream, Start};
use std::mem;

/// A body of which some has come makes us reserve this many times as much, at most what was announced: memory
/// grows with the bytes that came, so that announcing a large body costs the announcer about as much as us.
const RESERVE_TIMES: usize = 4;

/// The reading half of a server's connection. Idle, it holds no memory besides itself.
#[derive(Debug, Default)]
pub struct ServerConn {
    /// It keeps a cut head; or here a whole head, and behind it what came of the body, decoded. Empty when idle.
    stream: RequestStream,
    /// Bytes of the whole head.
    head_len: usize,
}

// A lane has one for each connection, idle ones too.
const _: () = assert!(size_of::<ServerConn>() <= 96);

/// What the connection waits for, for the caller to choose a time limit by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A request of which no byte has come.
    Idle,
    /// The rest of a head.
    Head,
    /// The rest of a body.
    Body,
    /// Nothing: a request was refused, or was the last one. All further input is ignored.
    Closed,
}

/// A whole request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'s> {
    /// Its head.
    pub head: Head<'s>,
    /// Its body, decoded; empty if there is none. See `head.framing` for whether one was announced.
    pub body: &'s [u8],
}

/// What came of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'s> {
    /// A whole request; `used` bytes of the input were taken: call again with the rest, even if that is empty.
    Request {
        /// The request, borrowed from the input or the connection.
        request: Request<'s>,
        /// Taken of the input.
        used: usize,
    },
    /// The client waits for `100 (Continue)`, and nothing of its body has come. Either append
    /// [`write::CONTINUE`](super::write::CONTINUE) and call again with the rest, or answer with a final status and close.
    Expect {
        /// The head of the request.
        head: Head<'s>,
        /// Taken of the input.
        used: usize,
    },
    /// Everything was taken; more is needed.
    More,
}

/// What was found in the bytes that are kept.
enum Found {
    /// A whole request: its head, and its body behind it.
    Request {
        used: usize,
    },
    /// A head that expects 100.
    Expect {
        used: usize,
    },
    More,
}

impl ServerConn {
    /// A connection of which nothing was read.
    pub fn new() -> ServerConn {
        ServerConn::default()
    }

    /// Reads the next request from the front of `input`, which are the bytes behind those taken so far.
    ///
    /// `heads` belongs to the lane, and remembers for all of its connections.
    /// Call until it says [`Step::More`]: what a request kept is freed by the call after it. Empty input is fine.
    /// After a request with `keep_alive == false` or a refusal, it says `More` and takes everything.
    ///
    /// # Errors
    /// The request is refused: answer with the status and close.
    pub fn next<'s>(&'s mut self, input: &'s [u8], heads: &'s mut Heads) -> Result<Step<'s>, Refusal> {
        let Heads { limits, memo } = heads;
        let stream = &mut self.stream;
        stream.reader.free_handed();
        if !stream.reader.awaits_head() {
            let found = self.read_body(input, 0, limits)?;
            return self.hand_out(found, limits);
        }
        let at = stream.skip_empty_lines(input, limits)?;
        let (start, body_at) = if stream.reader.is_fresh() {
            let Some((head, head_len)) = stream.read_fresh(&input[at..], memo, limits)? else {
                return Ok(Step::More);
            };
            let body_at = at + head_len;
            // The usual case, and the fast path: all of the request lies in the input.
            if let Some(body) = whole_body(head.framing, &input[body_at..]) {
                stream.pass(head.keep_alive);
                return Ok(Step::Request { request: Request { head, body }, used: body_at + body.len() });
            }
            let start = Start::of(&head);
            stream.begin(&start);
            stream.reader.kept.extend_from_slice(&input[at..body_at]);
            (start, body_at)
        } else {
            match stream.read_cut(input, at, limits)? {
                Some(read) => read,
                None => return Ok(Step::More),
            }
        };
        let found = self.begin_body(start, input, body_at, limits)?;
        self.hand_out(found, limits)
    }

    /// What the connection waits for.
    pub fn phase(&self) -> Phase {
        self.stream.phase()
    }

    /// Reads nothing any more, and frees what is kept: for a caller that decided to close.
    pub fn close(&mut self) {
        self.stream.close();
    }

    /// Bytes of memory kept for a request that is cut: zero when idle. At most twice what `Limits` lets a request have,
    /// as a growing buffer doubles.
    pub fn kept_bytes(&self) -> usize {
        self.stream.kept_bytes()
    }

    /// Frees what the last request kept, which the caller has seen by now; [`ServerConn::next`] does so too.
    pub fn release(&mut self) {
        self.stream.release();
    }

    /// The message that is cut, or was refused, is a `HEAD` request: its answer has no content (RFC 9110 §9.3.2).
    pub fn asks_head(&self) -> bool {
        self.stream.asks_head()
    }

    /// A head is all that is kept; its body begins behind the first `at` bytes of the input.
    fn begin_body(
        &mut self,
        start: Start,
        input: &[u8],
        at: usize,
        limits: &Limits,
    ) -> Result<Found, Refusal> {
        let kept = &mut self.stream.reader.kept;
        self.head_len = kept.len();
        let come = input.len() - at;
        if let Framing::Length(length) = start.framing {
            kept.reserve((come * RESERVE_TIMES).min(usize::try_from(length).unwrap_or(usize::MAX)));
        }
        match self.read_body(input, at, limits)? {
            Found::More if start.expects_continue && come == 0 => Ok(Found::Expect { used: at }),
            found => Ok(found),
        }
    }

    /// Adds the input behind its first `at` bytes to what is kept of the body.
    fn read_body(&mut self, input: &[u8], at: usize, limits: &Limits) -> Result<Found, Refusal> {
        let taken = self.stream.reader.gather(&input[at..], limits);
        let taken = taken.map_err(|refusal| self.stream.refuse(refusal, b""))?;
        Ok(taken.map_or(Found::More, |taken| Found::Request { used: at + taken }))
    }

    /// Looks at what is kept. Its head parsed before, and can fail now only if `limits` became tighter since.
    fn hand_out(&mut self, found: Found, limits: &Limits) -> Result<Step<'_>, Refusal> {
        let (used, is_whole) = match found {
            Found::More => return Ok(Step::More),
            Found::Request { used } => (used, true),
            Found::Expect { used } => (used, false),
        };
        let reader = &mut self.stream.reader;
        let reading = mem::replace(&mut reader.reading, Reading::Closed);
        let (head, body) = reader.kept.split_at(self.head_len);
        let (head, _) = head::parse(head, limits)?.ok_or(head::HEAD_TOO_LARGE)?;
        reader.reading = reading;
        Ok(if is_whole {
            Step::Request { request: Request { head, body }, used }
        } else {
            Step::Expect { head, used }
        })
    }
}

/// The body, if it needs no decoding and lies whole at the front of `behind`.
fn whole_body(framing: Framing, behind: &[u8]) -> Option<&[u8]> {
    match framing {
        Framing::None => Some(b""),
        Framing::Length(length) => behind.get(..usize::try_from(length).ok()?),
        Framing::Chunked => None,
    }
}
