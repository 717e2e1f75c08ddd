//! One connection in the server's role, for who passes bodies on.
//!
//! In: bytes as they arrive, cut anywhere. Out: each request as its head, the pieces of its body, and its end. What lies
//! in the input is borrowed from there; only a cut head and trailers are kept. Never: waits, reads a clock, keeps
//! content, or reads on after a refusal.

use super::body::{Body, Chunked, Piece};
use super::error::{Reason, Refusal};
use super::fields::Fields;
use super::framing::Framing;
use super::head::{self, HEAD_TOO_LARGE, Head, Method};
use super::heads::{Heads, Memo};
use super::limits::Limits;
use super::reader::{Reader, Rest};
use super::server::Phase;

/// The reading half of a connection in the server's role that hands bodies out piece by piece. Idle, it holds no memory
/// besides itself.
#[derive(Debug, Default)]
pub struct RequestStream {
    pub(super) reader: Reader,
    /// Before the head that is read.
    empty_lines: u8,
    /// The body that is read is that of a `HEAD` request.
    is_head: bool,
    /// What was refused began like a `HEAD` request.
    refused_head: bool,
}

// A lane has one for each connection, idle ones too.
const _: () = assert!(size_of::<RequestStream>() <= 96);

/// What was at the front of the input. All but `More` say how much of the input they took: call again with the rest,
/// even if that is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestEvent<'s> {
    /// A request begins. Its `End` comes in any case, or else a refusal.
    Head {
        /// Its head, borrowed from the input, the memory of the lane, or the connection.
        head: Head<'s>,
        /// The same as it came, from the first byte of the request line to the empty line, that one included.
        raw: &'s [u8],
        /// Taken of the input, with what stood before the request line.
        used: usize,
    },
    /// A piece of its body.
    Content {
        /// Decoded, never empty, and borrowed from the input.
        bytes: &'s [u8],
        /// Taken of the input: the framing around the piece too.
        used: usize,
    },
    /// The request is complete. Comes once for each `Head`, also if there is no body.
    End {
        /// The trailers, valid; empty if there are none. None of them frames or routes (RFC 9110 §6.5.1).
        trailers: Fields<'s>,
        /// Taken of the input.
        used: usize,
    },
    /// Everything was taken; more is needed.
    More,
}

/// What of a head decides how to go on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) framing: Framing,
    pub(super) expects_continue: bool,
    keep_alive: bool,
    is_head: bool,
}

impl Start {
    pub(super) fn of(head: &Head<'_>) -> Start {
        let Head { framing, expects_continue, keep_alive, .. } = *head;
        Start { framing, expects_continue, keep_alive, is_head: head.method == Method::Head }
    }
}

impl RequestStream {
    /// A connection of which nothing was read.
    pub fn new() -> RequestStream {
        RequestStream::default()
    }

    /// Reads what is at the front of `input`, which are the bytes behind those taken so far.
    ///
    /// `heads` belongs to the lane, and remembers for all of its connections. Call until it says
    /// [`RequestEvent::More`]: a head or trailers that were kept are freed by the call after. Empty input is fine.
    /// After the end of a request with `keep_alive == false` or a refusal, it says `More` and takes everything.
    ///
    /// Behind an `End` it reads the next request as soon as it is called with its bytes. Who forwarded a request that
    /// asks for an upgrade calls it again only when the answer is there: it may make other bytes than HTTP of them.
    ///
    /// # Errors
    /// The request is refused, perhaps behind its head and some of its body: answer with the status if no other answer
    /// has begun, and close.
    pub fn next<'s>(
        &'s mut self,
        input: &'s [u8],
        heads: &'s mut Heads,
    ) -> Result<RequestEvent<'s>, Refusal> {
        let Heads { limits, memo } = heads;
        self.reader.free_handed();
        if !self.reader.awaits_head() {
            return self.next_piece(input, limits);
        }
        let at = self.skip_empty_lines(input, limits)?;
        if self.reader.is_fresh() {
            let Some((head, len)) = self.read_fresh(&input[at..], memo, limits)? else {
                return Ok(RequestEvent::More);
            };
            self.begin(&Start::of(&head));
            return Ok(RequestEvent::Head { head, raw: &input[at..at + len], used: at + len });
        }
        let Some((_, used)) = self.read_cut(input, at, limits)? else {
            return Ok(RequestEvent::More);
        };
        self.reader.lend_head();
        let raw = &self.reader.kept[..];
        // It was parsed with these limits just now.
        let (head, _) = head::parse(raw, limits)?.ok_or(HEAD_TOO_LARGE)?;
        Ok(RequestEvent::Head { head, raw, used })
    }

    /// What the connection waits for; `Body` until the `End` was handed out.
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

    /// Frees what the last event lent, which the caller has seen by now; [`RequestStream::next`] does so too.
    pub fn release(&mut self) {
        self.reader.free_handed();
    }

    /// The request under way, or that was refused, is a `HEAD` request: its answer has no content (RFC 9110 §9.3.2).
    pub fn asks_head(&self) -> bool {
        match self.reader.phase() {
            Phase::Idle | Phase::Head => self.reader.kept.starts_with(b"HEAD "),
            Phase::Body => self.is_head,
            Phase::Closed => self.refused_head,
        }
    }

    /// `fresh`: the front of a message of which nothing is kept.
    pub(super) fn refuse(&mut self, refusal: Refusal, fresh: &[u8]) -> Refusal {
        self.refused_head = self.asks_head() || fresh.starts_with(b"HEAD ");
        self.close();
        refusal
    }

    /// The body of a request with this head begins.
    pub(super) fn begin(&mut self, start: &Start) {
        self.is_head = start.is_head;
        self.empty_lines = 0;
        let body = match start.framing {
            Framing::None => Body::Length(0),
            Framing::Length(length) => Body::Length(length),
            Framing::Chunked => Body::Chunked(Chunked::default()),
        };
        self.reader.begin(Rest { body, keep_alive: start.keep_alive });
    }

    /// A whole request was read, and nothing of it is kept.
    #[inline(always)]
    pub(super) fn pass(&mut self, keep_alive: bool) {
        self.empty_lines = 0;
        self.reader.pass(keep_alive);
    }

    /// The head at the front of `bytes`, of which nothing was read before, and its length. If it is cut, it is kept.
    #[inline(always)]
    pub(super) fn read_fresh<'b>(
        &mut self,
        bytes: &'b [u8],
        memo: &'b mut Memo,
        limits: &Limits,
    ) -> Result<Option<(Head<'b>, usize)>, Refusal> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let read = memo.read(bytes, limits).map_err(|refusal| self.refuse(refusal, bytes))?;
        if read.is_none() {
            self.reader.kept.extend_from_slice(bytes);
        }
        Ok(read)
    }

    /// Adds the input behind its first `at` bytes to a head that is cut, and begins its body if it is whole now. The
    /// second value: taken of the input.
    pub(super) fn read_cut(
        &mut self,
        input: &[u8],
        at: usize,
        limits: &Limits,
    ) -> Result<Option<(Start, usize)>, Refusal> {
        let parse = |kept: &[u8]| Ok(head::parse(kept, limits)?.map(|(head, len)| (Start::of(&head), len)));
        let read = self.reader.read_cut(&input[at..], limits, parse);
        let Some((start, used)) = read.map_err(|refusal| self.refuse(refusal, b""))? else {
            return Ok(None);
        };
        self.begin(&start);
        Ok(Some((start, at + used)))
    }

    /// Skips the empty lines that may stand before a request line (RFC 9112 §2.2). A lone CR is kept.
    #[inline(always)]
    pub(super) fn skip_empty_lines(&mut self, input: &[u8], limits: &Limits) -> Result<usize, Refusal> {
        let wrong = |why| Refusal::new(Reason::FirstLine, why);
        let mut at = 0;
        loop {
            // What is kept of a head begins with CR only if it is nothing else.
            let (has_cr, behind) = match (self.reader.kept.first(), input.get(at)) {
                (Some(b'\r'), _) => (true, at),
                (None, Some(b'\r')) => (true, at + 1),
                _ => (false, at),
            };
            match input.get(behind) {
                _ if !has_cr => return Ok(at),
                None => {
                    self.reader.kept = vec![b'\r'];
                    return Ok(behind);
                }
                Some(b'\n') if self.empty_lines < limits.empty_lines_max => {
                    self.reader.kept = Vec::new();
                    self.empty_lines += 1;
                    at = behind + 1;
                }
                Some(b'\n') => {
                    return Err(self.refuse(wrong("there are too many empty lines before a request"), b""));
                }
                Some(_) => return Err(self.refuse(wrong("a request must begin with its method"), b"")),
            }
        }
    }

    fn next_piece<'s>(&'s mut self, input: &'s [u8], limits: &Limits) -> Result<RequestEvent<'s>, Refusal> {
        let piece = self.reader.read_body(input, limits).map_err(|refusal| self.refuse(refusal, b""))?;
        Ok(match piece {
            Piece::Content { bytes, used } => RequestEvent::Content { bytes, used },
            // Trailers are all that is kept behind a head that was lent.
            Piece::End { used, .. } => {
                RequestEvent::End { trailers: Fields::of_valid(&self.reader.kept), used }
            }
            Piece::More => RequestEvent::More,
        })
    }
}
