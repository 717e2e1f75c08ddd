//! One connection in the client's role, for who passes bodies on.
//!
//! In: bytes as they arrive, cut anywhere, and what was asked. Out: each response as its head, the pieces of its body,
//! and its end; interim heads before it. What lies in the input is borrowed from there; only a cut head and trailers are
//! kept. Never: waits, reads a clock, keeps content, or reads on after an error or a switch of protocols.

use super::body::{Body, Chunked, Piece};
use super::client::{Asked, ClientError};
use super::error::Refusal;
use super::fields::Fields;
use super::framing::ResponseFraming;
use super::head::HEAD_TOO_LARGE;
use super::limits::Limits;
use super::reader::{Reader, Reading, Rest};
use super::response_head::{Behind, ResponseHead, parse};
use super::response_heads::{ResponseHeads, ResponseMemo};
use super::server::Phase;

/// The reading half of a connection in the client's role that hands bodies out piece by piece. Idle, it holds no memory
/// besides itself.
#[derive(Debug, Default)]
pub struct ResponseStream {
    pub(super) reader: Reader,
}

// A lane has one for each connection, idle ones too.
const _: () = assert!(size_of::<ResponseStream>() <= 96);

/// What was at the front of the input. All but `More` say how much of the input they took: call again with the rest,
/// even if that is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseEvent<'s> {
    /// A 1xx: the response itself is still to come (RFC 9110 §15.2). It has no `End`. Nothing here bounds how many come.
    Interim {
        /// The head, which is all there is.
        head: ResponseHead<'s>,
        /// The same as it came, its empty line included.
        raw: &'s [u8],
        /// Taken of the input.
        used: usize,
    },
    /// The response begins. Its end comes in any case, or else an error.
    Head {
        /// Its head, borrowed from the input, the memory of the lane, or the connection.
        head: ResponseHead<'s>,
        /// The same as it came, its empty line included.
        raw: &'s [u8],
        /// Taken of the input.
        used: usize,
    },
    /// A piece of its body.
    Content {
        /// Decoded, never empty, and borrowed from the input.
        bytes: &'s [u8],
        /// Taken of the input: the framing around the piece too.
        used: usize,
    },
    /// The response is complete. Comes once for each `Head`, also if there is no body; only a body that the end of the
    /// connection ends has [`Ended::Complete`] in its place. Bytes behind it that answer no other request are a reason
    /// to close (RFC 9112 §9.2).
    End {
        /// The trailers, valid; empty if there are none. None of them frames or routes (RFC 9110 §6.5.1).
        trailers: Fields<'s>,
        /// Taken of the input.
        used: usize,
    },
    /// The 101 to [`Asked::Upgrade`], or the 2xx to [`Asked::Connect`]: what follows is no HTTP. The bytes behind `used`
    /// are the other protocol's. It has no `End`, and nothing is read ever again.
    Switched {
        /// The head, which is all there is.
        head: ResponseHead<'s>,
        /// The same as it came, its empty line included.
        raw: &'s [u8],
        /// Taken of the input.
        used: usize,
    },
    /// Everything was taken; more is needed.
    More,
}

/// What the end of the connection meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It completed the response under way, which has no other end.
    Complete,
    /// No response was under way; one may have been awaited.
    Idle,
}

/// What of a head decides how to go on.
pub(super) struct Start {
    behind: Behind,
    pub(super) rest: Rest,
}

impl Start {
    pub(super) fn of(head: &ResponseHead<'_>, asked: Asked) -> Start {
        let behind = head.behind(asked);
        // In a 1xx, `close` is about the response to come.
        let keep_alive = head.keep_alive || behind == Behind::Response;
        let body = match head.framing {
            ResponseFraming::None => Body::Length(0),
            ResponseFraming::Length(length) => Body::Length(length),
            ResponseFraming::Chunked => Body::Chunked(Chunked::default()),
            ResponseFraming::UntilClose => Body::UntilClose(0),
        };
        Start { behind, rest: Rest { body, keep_alive } }
    }
}

impl ResponseStream {
    /// A connection of which nothing was read.
    pub fn new() -> ResponseStream {
        ResponseStream::default()
    }

    /// Reads what is at the front of `input`, which are the bytes behind those taken so far. `asked` is about the oldest
    /// request without a complete response, the same until that is there: don't call with bytes when there is none.
    ///
    /// `heads` belongs to the lane, and remembers for all of its connections. Call until it says
    /// [`ResponseEvent::More`]: a head or trailers that were kept are freed by the call after. Empty input is fine.
    /// After the end of a response with `keep_alive == false`, after [`ResponseEvent::Switched`] or an error, it says
    /// `More` and takes everything.
    ///
    /// # Errors
    /// The response can't be used, perhaps behind its head and some of its body: close.
    pub fn next<'s>(
        &'s mut self,
        input: &'s [u8],
        asked: Asked,
        heads: &'s mut ResponseHeads,
    ) -> Result<ResponseEvent<'s>, ClientError> {
        let ResponseHeads { limits, memo } = heads;
        self.reader.free_handed();
        if !self.reader.awaits_head() {
            return self.next_piece(input, limits);
        }
        if self.reader.is_fresh() {
            let Some((head, used)) = self.read_fresh(input, asked, memo, limits)? else {
                return Ok(ResponseEvent::More);
            };
            let Start { behind, rest } = Start::of(&head, asked);
            match behind {
                Behind::Body => self.reader.begin(rest),
                Behind::Response | Behind::Tunnel => self.reader.pass(rest.keep_alive),
            }
            return Ok(event(behind, head, &input[..used], used));
        }
        let Some((behind, used)) = self.read_cut(input, asked, limits)? else {
            return Ok(ResponseEvent::More);
        };
        match behind {
            Behind::Body => self.reader.lend_head(),
            Behind::Response | Behind::Tunnel => self.reader.finish(),
        }
        let raw = &self.reader.kept[..];
        // It was parsed with these limits just now.
        let (head, _) = parse(raw, asked, limits)?.ok_or(HEAD_TOO_LARGE)?;
        Ok(event(behind, head, raw, used))
    }

    /// The server has closed. That is how a body without a length ends: then this is its end. Nothing is read any more.
    ///
    /// # Errors
    /// The connection ended inside a head or a body.
    pub fn end(&mut self) -> Result<Ended, ClientError> {
        if self.reader.phase() == Phase::Head {
            self.close();
            return Err(ClientError::CutShort("the connection ended inside a head"));
        }
        self.reader.free_handed();
        match std::mem::replace(&mut self.reader.reading, Reading::Closed) {
            // A length of zero: nothing is missing, the caller only didn't ask for the end yet.
            Reading::Body(Rest { body: Body::UntilClose(_) | Body::Length(0), .. }) => Ok(Ended::Complete),
            Reading::Body(_) => {
                self.close();
                Err(ClientError::CutShort("the connection ended inside a body"))
            }
            // `free_handed` leaves neither a head that was begun nor a message that was handed out.
            Reading::Head | Reading::Begun(_) | Reading::Handed | Reading::Closed => Ok(Ended::Idle),
        }
    }

    /// What the connection waits for; `Body` until the `End` was handed out. `Idle` also when a response is awaited of
    /// which no byte has come.
    pub fn phase(&self) -> Phase {
        self.reader.phase()
    }

    /// Reads nothing any more, and frees what is kept: for a caller that decided to close.
    pub fn close(&mut self) {
        self.reader.close();
    }

    /// Bytes of memory kept for a cut head or trailers: zero when idle, and while content comes. At most twice what
    /// `Limits` lets the larger of the two have, as a growing buffer doubles.
    pub fn kept_bytes(&self) -> usize {
        self.reader.kept.capacity()
    }

    /// Frees what the last event lent, which the caller has seen by now; [`ResponseStream::next`] does so too.
    pub fn release(&mut self) {
        self.reader.free_handed();
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) -> ClientError {
        self.close();
        refusal.into()
    }

    /// The head at the front of `input`, of which nothing was read before, and its length. If it is cut, it is kept.
    #[inline(always)]
    pub(super) fn read_fresh<'b>(
        &mut self,
        input: &'b [u8],
        asked: Asked,
        memo: &'b mut ResponseMemo,
        limits: &Limits,
    ) -> Result<Option<(ResponseHead<'b>, usize)>, ClientError> {
        if input.is_empty() {
            return Ok(None);
        }
        let read = memo.read(input, asked, limits).map_err(|refusal| self.refuse(refusal))?;
        if read.is_none() {
            self.reader.kept.extend_from_slice(input);
        }
        Ok(read)
    }

    /// Adds the input to a head that is cut, and begins its body, empty if there is none, if it is whole now. The second
    /// value: taken of the input.
    pub(super) fn read_cut(
        &mut self,
        input: &[u8],
        asked: Asked,
        limits: &Limits,
    ) -> Result<Option<(Behind, usize)>, ClientError> {
        let parse = |kept: &[u8]| {
            let read = parse(kept, asked, limits)?;
            Ok(read.map(|(head, len)| (Start::of(&head, asked), len)))
        };
        let read = self.reader.read_cut(input, limits, parse);
        let Some((Start { behind, rest }, used)) = read.map_err(|refusal| self.refuse(refusal))? else {
            return Ok(None);
        };
        self.reader.begin(rest);
        Ok(Some((behind, used)))
    }

    fn next_piece<'s>(
        &'s mut self,
        input: &'s [u8],
        limits: &Limits,
    ) -> Result<ResponseEvent<'s>, ClientError> {
        let piece = self.reader.read_body(input, limits).map_err(|refusal| self.refuse(refusal))?;
        Ok(match piece {
            Piece::Content { bytes, used } => ResponseEvent::Content { bytes, used },
            // Trailers are all that is kept behind a head that was lent.
            Piece::End { used, .. } => {
                ResponseEvent::End { trailers: Fields::of_valid(&self.reader.kept), used }
            }
            Piece::More => ResponseEvent::More,
        })
    }
}

fn event<'s>(behind: Behind, head: ResponseHead<'s>, raw: &'s [u8], used: usize) -> ResponseEvent<'s> {
    match behind {
        Behind::Response => ResponseEvent::Interim { head, raw, used },
        Behind::Body => ResponseEvent::Head { head, raw, used },
        Behind::Tunnel => ResponseEvent::Switched { head, raw, used },
    }
}
