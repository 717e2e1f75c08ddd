//! Heads that a lane has parsed before.
//!
//! A client sends the same head again and again, but for its `Content-Length`. In: bytes. Out: the head in front of
//! them, either remembered, when the very same bytes were parsed before (the same limits give them the same verdict),
//! or parsed now. Never: remembers a head that was refused, or more than a few. `response_heads.rs` is the same for the
//! client's role, of the same parts.

use super::error::Refusal;
use super::fields::Fields;
use super::framing::Framing;
use super::head::{self, Head, Method, Version};
use super::limits::Limits;
use super::target::Target;
use std::ops::Range;

/// Heads remembered; a power of two. The lengths of a client's bodies differ by less than this.
const PLACES: usize = 16;
/// A longer head is parsed each time: comparing it would cost as much, and it would push the memory of a lane.
const REMEMBERED_BYTES_MAX: usize = 512;

/// What a lane needs to read heads: the limits, and those it read last.
#[derive(Debug)]
pub struct Heads {
    /// What a message may be.
    pub(super) limits: Limits,
    pub(super) memo: Memo,
}

impl Heads {
    /// For messages within `limits`.
    pub fn new(limits: Limits) -> Heads {
        Heads { limits, memo: Memo::default() }
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// The heads that were read last.
#[derive(Debug, Default)]
pub(super) struct Memo {
    places: [Remembered<Parsed>; PLACES],
}

impl Memo {
    /// The head at the front of `bytes`, and its length. `None`: it is cut. Always ask with the same `limits`.
    ///
    /// # Errors
    /// As [`head::parse`].
    // Several readers call this and what it needs. As calls, they would copy the head at each return, which is a third of
    // what reading a remembered one costs; hence also the other `inline(always)` on this way.
    #[inline(always)]
    pub(super) fn read<'b>(
        &'b mut self,
        bytes: &'b [u8],
        limits: &Limits,
    ) -> Result<Option<(Head<'b>, usize)>, Refusal> {
        // One request is often all there is, and then its length tells apart what differs by its body's length.
        let place = &mut self.places[bytes.len() % PLACES];
        if place.is_front_of(bytes) {
            return Ok(head_of(place));
        }
        let read = head::parse(bytes, limits)?;
        if let Some((head, len)) = read {
            learn(place, &head, &bytes[..len]);
        }
        Ok(read)
    }
}

/// One head that was parsed before: its text, and what it means, as offsets into it.
#[derive(Debug)]
pub(super) struct Remembered<P> {
    /// Empty: nothing is remembered.
    text: String,
    parsed: Option<P>,
}

impl<P> Default for Remembered<P> {
    fn default() -> Remembered<P> {
        Remembered { text: String::new(), parsed: None }
    }
}

impl<P> Remembered<P> {
    pub(super) fn is_front_of(&self, bytes: &[u8]) -> bool {
        !self.text.is_empty() && bytes.starts_with(self.text.as_bytes())
    }

    /// The bytes, and what they mean.
    pub(super) fn known(&self) -> Option<(&str, &P)> {
        self.parsed.as_ref().map(|parsed| (&self.text[..], parsed))
    }

    /// Remembers the head `bytes` in place of the last one; it must be [memorable](is_memorable).
    pub(super) fn learn(&mut self, bytes: &[u8], parsed: P) {
        self.parsed = Some(parsed);
        self.text.clear();
        self.text.extend(str::from_utf8(bytes));
    }
}

/// Is it of the usual size, and of ASCII?
pub(super) fn is_memorable(head: &[u8]) -> bool {
    head.len() <= REMEMBERED_BYTES_MAX && head.is_ascii()
}

/// A part of a remembered text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    at: u16,
    end: u16,
}

impl Piece {
    /// Where `part` lies in the head `whole`, which must be [memorable](is_memorable).
    pub(super) fn of(part: &[u8], whole: &[u8]) -> Piece {
        let at = part.as_ptr().addr() - whole.as_ptr().addr();
        Piece { at: at as u16, end: (at + part.len()) as u16 }
    }

    pub(super) fn at(self) -> u16 {
        self.at
    }

    pub(super) fn range(self) -> Range<usize> {
        usize::from(self.at)..usize::from(self.end)
    }
}

#[derive(Clone, Copy, Debug)]
struct Parsed {
    method: Method<'static>,
    path: Piece,
    query: Option<Piece>,
    version: Version,
    keep_alive: bool,
    expects_continue: bool,
    framing: Framing,
    content_type: Option<Piece>,
    is_coded: bool,
    host: Option<Piece>,
    fields: Piece,
}

/// The head that is remembered, borrowed from its text: it is the same as the bytes that came.
#[inline(always)]
fn head_of(place: &Remembered<Parsed>) -> Option<(Head<'_>, usize)> {
    let (known, parsed) = place.known()?;
    let text = |piece: Piece| &known[piece.range()];
    let bytes = |piece: Piece| &known.as_bytes()[piece.range()];
    let head = Head {
        method: parsed.method,
        target: Target::Origin { path: text(parsed.path), query: parsed.query.map(text) },
        version: parsed.version,
        keep_alive: parsed.keep_alive,
        expects_continue: parsed.expects_continue,
        framing: parsed.framing,
        content_type: parsed.content_type.map(bytes),
        is_coded: parsed.is_coded,
        host: parsed.host.map(bytes),
        fields: Fields::of_valid(bytes(parsed.fields)),
    };
    Some((head, known.len()))
}

/// Remembers a head of the usual kind: a method by name, a target in origin form.
fn learn(place: &mut Remembered<Parsed>, head: &Head<'_>, bytes: &[u8]) {
    let (Some(method), Target::Origin { path, query }) = (head.method.named(), head.target) else {
        return;
    };
    if !is_memorable(bytes) {
        return;
    }
    let piece = |part: &[u8]| Piece::of(part, bytes);
    let parsed = Parsed {
        method,
        path: piece(path.as_bytes()),
        query: query.map(|query| piece(query.as_bytes())),
        version: head.version,
        keep_alive: head.keep_alive,
        expects_continue: head.expects_continue,
        framing: head.framing,
        content_type: head.content_type.map(piece),
        is_coded: head.is_coded,
        host: head.host.map(piece),
        fields: piece(head.fields.raw()),
    };
    place.learn(bytes, parsed);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `bytes` twice, and says what the first and the second reading made of it.
    fn twice(memo: &mut Memo, bytes: &[u8]) -> (String, String) {
        let mut say = || format!("{:?}", memo.read(bytes, &Limits::default()));
        (say(), say())
    }

    #[test]
    fn what_is_remembered_is_what_was_parsed() {
        let mut memo = Memo::default();
        for text in [
            "POST /add?x=1 HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\nabc",
            "GET / HTTP/1.0\r\n\r\n",
            "POST / HTTP/1.0\r\nContent-Encoding: gzip\r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\nX: \r\n\r\n",
            "PUT /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
            "BREW /a HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET http://a/b HTTP/1.1\r\nHost: h\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h",
        ] {
            let (first, second) = twice(&mut memo, text.as_bytes());
            assert_eq!(first, second, "{text}");
            let parsed = format!("{:?}", head::parse(text.as_bytes(), &Limits::default()));
            assert_eq!(first, parsed, "{text}");
        }
    }

    #[test]
    fn one_byte_more_or_less_is_another_head() {
        let mut memo = Memo::default();
        let known = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
        for at in 0..known.len() {
            let (first, second) = twice(&mut memo, known);
            assert_eq!(first, second);
            let mut other = known.to_vec();
            other[at] ^= 1;
            let parsed = format!("{:?}", head::parse(&other, &Limits::default()));
            assert_eq!(twice(&mut memo, &other).0, parsed, "{at}");
        }
    }
}
