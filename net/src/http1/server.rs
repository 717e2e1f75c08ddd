//! One connection in the server's role.
//!
//! In: bytes as they arrive, cut anywhere. Out: requests in order, each with its whole body. A request that lies whole
//! in what arrived is borrowed from there; only one that is cut is kept. Never: waits, reads a clock, grows past
//! `Limits`, or reads on after a refusal.

use super::body::{Body, Chunked};
use super::error::{Reason, Refusal};
use super::framing::Framing;
use super::head::{self, Head};
use super::heads::Heads;
use super::limits::Limits;
use memchr::memchr;
use std::mem;

/// A body of which some has come makes us reserve this many times as much, at most what was announced: memory
/// grows with the bytes that came, so that announcing a large body costs the announcer about as much as us.
const RESERVE_TIMES: usize = 4;

/// The reading half of a server's connection. Idle, it holds no memory besides itself.
#[derive(Debug, Default)]
pub struct ServerConn {
    /// A cut head; or a whole head, and behind it what came of the body, decoded. Empty when idle.
    kept: Vec<u8>,
    reading: Reading,
    /// What was refused began like a `HEAD` request.
    refused_head: bool,
}

// A lane has one for each connection, idle ones too.
const _: () = assert!(size_of::<ServerConn>() <= 96);

#[derive(Debug)]
enum Reading {
    /// A head, none or some of which is kept, after so many empty lines.
    Head { empty_lines: u8 },
    /// The body behind the head that is kept, of `head_len` bytes.
    Body { head_len: usize, body: Body },
    /// Nothing. The caller may still look at the last request, in what is kept.
    Handed,
    /// Nothing, ever again.
    Closed,
}

impl Default for Reading {
    fn default() -> Reading {
        Reading::Head { empty_lines: 0 }
    }
}

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

/// The head that begins what is kept, as far as it decides how to go on.
struct KeptHead {
    len: usize,
    framing: Framing,
    expects_continue: bool,
}

impl KeptHead {
    fn new(head: &Head<'_>, len: usize) -> KeptHead {
        KeptHead { len, framing: head.framing, expects_continue: head.expects_continue }
    }
}

/// What was found in the bytes that are kept, named by lengths.
enum Found {
    /// A whole request: its head, and its body behind it.
    Request {
        head_len: usize,
        used: usize,
    },
    /// A head that expects 100.
    Expect {
        head_len: usize,
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
        self.free_handed();
        let at = self.skip_empty_lines(input, limits).map_err(|refusal| self.refuse(refusal, b""))?;
        let is_fresh = matches!(self.reading, Reading::Head { .. }) && self.kept.is_empty();
        let found = if !is_fresh {
            self.read(input, at, limits)
        } else if let Some((head, head_len)) =
            memo.read(&input[at..], limits).map_err(|refusal| self.refuse(refusal, &input[at..]))?
        {
            let body_at = at + head_len;
            // The usual case, and the fast path: all of the request lies in the input.
            if let Some(body) = whole_body(head.framing, &input[body_at..]) {
                self.reading = if head.keep_alive { Reading::default() } else { Reading::Closed };
                return Ok(Step::Request { request: Request { head, body }, used: body_at + body.len() });
            }
            self.kept.extend_from_slice(&input[at..body_at]);
            self.read_body(KeptHead::new(&head, head_len), input, body_at, limits)
        } else {
            self.kept.extend_from_slice(&input[at..]);
            Ok(Found::More)
        };
        let found = found.map_err(|refusal| self.refuse(refusal, b""))?;
        self.hand_out(found, limits)
    }

    /// What the connection waits for.
    pub fn phase(&self) -> Phase {
        match self.reading {
            Reading::Head { .. } if self.kept.is_empty() => Phase::Idle,
            Reading::Head { .. } => Phase::Head,
            Reading::Body { .. } => Phase::Body,
            Reading::Handed => Phase::Idle,
            Reading::Closed => Phase::Closed,
        }
    }

    /// Reads nothing any more, and frees what is kept: for a caller that decided to close.
    pub fn close(&mut self) {
        self.kept = Vec::new();
        self.reading = Reading::Closed;
    }

    /// Bytes of memory kept for a request that is cut: zero when idle. At most twice what `Limits` lets a request have,
    /// as a growing buffer doubles.
    pub fn kept_bytes(&self) -> usize {
        self.kept.capacity()
    }

    /// Frees what the last request kept, which the caller has seen by now; [`ServerConn::next`] does so too.
    pub fn release(&mut self) {
        self.free_handed();
    }

    /// The message that is cut, or was refused, is a `HEAD` request: its answer has no content (RFC 9110 §9.3.2).
    pub fn asks_head(&self) -> bool {
        self.refused_head || self.kept.starts_with(b"HEAD ")
    }

    /// `fresh`: the front of a message of which nothing is kept.
    fn refuse(&mut self, refusal: Refusal, fresh: &[u8]) -> Refusal {
        self.refused_head = self.asks_head() || fresh.starts_with(b"HEAD ");
        self.close();
        refusal
    }

    /// Looks at what is kept. Its head parsed before, and can fail now only if `limits` became tighter since.
    fn hand_out(&mut self, found: Found, limits: &Limits) -> Result<Step<'_>, Refusal> {
        let (head_len, used, is_whole) = match found {
            Found::More => return Ok(Step::More),
            Found::Request { head_len, used } => (head_len, used, true),
            Found::Expect { head_len, used } => (head_len, used, false),
        };
        let reading = mem::replace(&mut self.reading, Reading::Closed);
        let (head, body) = self.kept.split_at(head_len);
        let (head, _) = head::parse(head, limits)?.ok_or(head::HEAD_TOO_LARGE)?;
        if !is_whole {
            self.reading = reading;
            return Ok(Step::Expect { head, used });
        }
        if head.keep_alive {
            self.reading = Reading::Handed;
        }
        Ok(Step::Request { request: Request { head, body }, used })
    }

    /// What the last call handed out from what is kept, the caller has seen by now.
    fn free_handed(&mut self) {
        match self.reading {
            Reading::Handed => {
                self.kept = Vec::new();
                self.reading = Reading::default();
            }
            Reading::Closed => self.kept = Vec::new(),
            Reading::Head { .. } | Reading::Body { .. } => {}
        }
    }

    /// Skips the empty lines that may stand before a request line (RFC 9112 §2.2). A lone CR is kept.
    fn skip_empty_lines(&mut self, input: &[u8], limits: &Limits) -> Result<usize, Refusal> {
        let Reading::Head { empty_lines } = &mut self.reading else {
            return Ok(0);
        };
        let mut at = 0;
        loop {
            // What is kept of a head begins with CR only if it is nothing else.
            let (has_cr, behind) = match (self.kept.first(), input.get(at)) {
                (Some(b'\r'), _) => (true, at),
                (None, Some(b'\r')) => (true, at + 1),
                _ => (false, at),
            };
            match input.get(behind) {
                _ if !has_cr => return Ok(at),
                None => {
                    self.kept = vec![b'\r'];
                    return Ok(behind);
                }
                Some(b'\n') if *empty_lines < limits.empty_lines_max => {
                    self.kept = Vec::new();
                    *empty_lines += 1;
                    at = behind + 1;
                }
                Some(b'\n') => {
                    return Err(Refusal::new(
                        Reason::FirstLine,
                        "there are too many empty lines before a request",
                    ));
                }
                Some(_) => {
                    return Err(Refusal::new(Reason::FirstLine, "a request must begin with its method"));
                }
            }
        }
    }

    /// Adds the input behind its first `at` bytes to what is kept.
    fn read(&mut self, input: &[u8], at: usize, limits: &Limits) -> Result<Found, Refusal> {
        match self.reading {
            Reading::Handed | Reading::Closed => Ok(Found::More),
            Reading::Head { .. } => self.read_head(input, at, limits),
            Reading::Body { head_len, ref mut body } => {
                let taken = body.gather(&input[at..], &mut self.kept, limits)?;
                Ok(taken.map_or(Found::More, |taken| Found::Request { head_len, used: at + taken }))
            }
        }
    }

    /// Adds to what is kept of a head.
    fn read_head(&mut self, input: &[u8], at: usize, limits: &Limits) -> Result<Found, Refusal> {
        let kept_before = self.kept.len();
        let room = limits.head_bytes_max.saturating_sub(kept_before);
        let taken = &input[at..input.len().min(at + room)];
        self.kept.extend_from_slice(taken);
        // Only a line end can change the verdict. Parsing at each piece would be quadratic for a peer that sends single
        // bytes; so it is at most once for each of `fields_max` lines.
        if memchr(b'\n', taken).is_none() && taken.len() < room {
            return Ok(Found::More);
        }
        let Some((head, head_len)) = head::parse(&self.kept, limits)? else {
            return Ok(Found::More);
        };
        let head = KeptHead::new(&head, head_len);
        self.kept.truncate(head_len);
        self.read_body(head, input, at + head_len - kept_before, limits)
    }

    /// The body begins behind the first `at` bytes of the input.
    fn read_body(
        &mut self,
        head: KeptHead,
        input: &[u8],
        at: usize,
        limits: &Limits,
    ) -> Result<Found, Refusal> {
        let head_len = head.len;
        let mut body = match head.framing {
            Framing::None | Framing::Length(0) => return Ok(Found::Request { head_len, used: at }),
            Framing::Length(length) => {
                let come = (input.len() - at) * RESERVE_TIMES;
                self.kept.reserve(come.min(usize::try_from(length).unwrap_or(usize::MAX)));
                Body::Length(length)
            }
            Framing::Chunked => Body::Chunked(Chunked::default()),
        };
        let behind = &input[at..];
        if head.expects_continue && behind.is_empty() {
            self.reading = Reading::Body { head_len, body };
            return Ok(Found::Expect { head_len, used: at });
        }
        match body.gather(behind, &mut self.kept, limits)? {
            Some(taken) => Ok(Found::Request { head_len, used: at + taken }),
            None => {
                self.reading = Reading::Body { head_len, body };
                Ok(Found::More)
            }
        }
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
