//! Response heads that a lane has parsed before: see `heads.rs`, which does the same for requests.
//!
//! A server answers with the same head again and again, but for its `Content-Length`, and once a second for
//! its `Date`. In: bytes, and what was asked. Out: the head in front of them, either remembered, when the
//! very same bytes were parsed before as the answer to the same kind of request, or parsed now. Never:
//! remembers a head that was refused, or more than a few.

use super::client::Asked;
use super::error::Refusal;
use super::fields::Fields;
use super::framing::ResponseFraming;
use super::head::Version;
use super::heads::{Piece, Remembered, is_memorable};
use super::limits::Limits;
use super::response_head::{ResponseHead, parse};
use super::status::Status;

/// Heads remembered of one layout; a power of two. The lengths of a server's usual answers differ by less
/// than this.
const PLACES: usize = 32;
/// Layouts that are told apart: of an answer, a redirection, an error, and one more.
const LAYOUTS: usize = 4;
/// Where the status code stands in every head.
const STATUS_AT: u16 = 9;
/// The digits of a number that choose a place: a longer number is no length that is taken.
const DIGITS: usize = 8;

/// What a lane needs to read response heads: the limits, and those it read last.
#[derive(Debug)]
pub struct ResponseHeads {
    /// What a message may be.
    pub(super) limits: Limits,
    pub(super) memo: ResponseMemo,
}

impl ResponseHeads {
    /// For messages within `limits`.
    pub fn new(limits: Limits) -> ResponseHeads {
        ResponseHeads { limits, memo: ResponseMemo::default() }
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// The heads that were read last.
///
/// Several responses may lie in one piece, so that its length says nothing of the first. What tells a
/// server's heads apart is the length that they announce, and it stands where it stood in the heads before:
/// there it is looked for.
#[derive(Debug)]
pub(super) struct ResponseMemo {
    layouts: [Layout; LAYOUTS],
    /// The layout that goes next, when there is a new one.
    oldest: usize,
}

/// Heads of which the number that tells them apart stands in the same place.
#[derive(Debug)]
struct Layout {
    number_at: u16,
    places: [Remembered<Parsed>; PLACES],
}

impl Default for ResponseMemo {
    fn default() -> ResponseMemo {
        let layout =
            |_| Layout { number_at: STATUS_AT, places: std::array::from_fn(|_| Remembered::default()) };
        ResponseMemo { layouts: std::array::from_fn(layout), oldest: 0 }
    }
}

impl ResponseMemo {
    /// The head at the front of `bytes`, and its length. `None`: it is cut. Always ask with the same
    /// `limits`.
    ///
    /// # Errors
    /// As [`parse`].
    // See `Memo::read`.
    #[inline(always)]
    pub(super) fn read<'b>(
        &'b mut self,
        bytes: &'b [u8],
        asked: Asked,
        limits: &Limits,
    ) -> Result<Option<(ResponseHead<'b>, usize)>, Refusal> {
        if let Some((layout, place)) = self.find(bytes, asked) {
            return Ok(head_of(&self.layouts[layout].places[place]));
        }
        let read = parse(bytes, asked, limits)?;
        if let Some((head, len)) = read {
            self.learn(&head, asked, &bytes[..len]);
        }
        Ok(read)
    }

    fn find(&self, bytes: &[u8], asked: Asked) -> Option<(usize, usize)> {
        self.layouts.iter().enumerate().find_map(|(at, layout)| {
            let place = layout.place(bytes);
            let remembered = &layout.places[place];
            let is_asked = remembered.known().is_some_and(|(_, parsed)| parsed.asked == asked);
            (is_asked && remembered.is_front_of(bytes)).then_some((at, place))
        })
    }

    fn learn(&mut self, head: &ResponseHead<'_>, asked: Asked, bytes: &[u8]) {
        if !is_memorable(bytes) {
            return;
        }
        let piece = |part: &[u8]| Piece::of(part, bytes);
        // Without a length, the status is what tells heads apart.
        let number_at = head.field("content-length").map_or(STATUS_AT, |value| piece(value).at());
        let layout = self.layout(number_at);
        let place = layout.place(bytes);
        let parsed = Parsed {
            asked,
            version: head.version,
            status: head.status,
            keep_alive: head.keep_alive,
            framing: head.framing,
            content_type: head.content_type.map(piece),
            fields: piece(head.fields.raw()),
        };
        layout.places[place].learn(bytes, parsed);
    }

    /// The layout with its number at `number_at`; a new one is put in place of the oldest.
    fn layout(&mut self, number_at: u16) -> &mut Layout {
        let known = self.layouts.iter().position(|layout| layout.number_at == number_at);
        let at = known.unwrap_or_else(|| {
            let at = self.oldest;
            self.oldest = (at + 1) % LAYOUTS;
            self.layouts[at].number_at = number_at;
            at
        });
        &mut self.layouts[at]
    }
}

impl Layout {
    /// The place of the head in front of `bytes`: numbers in a row have places in a row, and none in common.
    fn place(&self, bytes: &[u8]) -> usize {
        let digits = bytes.get(usize::from(self.number_at)..).unwrap_or_default().iter().take(DIGITS);
        let digits = digits.take_while(|b| b.is_ascii_digit());
        digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0')) % PLACES
    }
}

/// What a remembered head means.
#[derive(Clone, Copy, Debug)]
struct Parsed {
    /// To what it was the answer: that decides the framing.
    asked: Asked,
    version: Version,
    status: Status,
    keep_alive: bool,
    framing: ResponseFraming,
    content_type: Option<Piece>,
    fields: Piece,
}

/// The head that is remembered, borrowed from its text: it is the same as the bytes that came.
#[inline(always)]
fn head_of(place: &Remembered<Parsed>) -> Option<(ResponseHead<'_>, usize)> {
    let (text, parsed) = place.known()?;
    let bytes = |piece: Piece| &text.as_bytes()[piece.range()];
    let head = ResponseHead {
        version: parsed.version,
        status: parsed.status,
        keep_alive: parsed.keep_alive,
        framing: parsed.framing,
        content_type: parsed.content_type.map(bytes),
        fields: Fields::of_valid(bytes(parsed.fields)),
    };
    Some((head, text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: [Asked; 4] = [Asked::Other, Asked::Head, Asked::Connect, Asked::Upgrade];

    /// What the parser makes of `bytes`.
    fn parsed(bytes: &[u8], asked: Asked) -> String {
        format!("{:?}", parse(bytes, asked, &Limits::default()))
    }

    /// Reads `bytes`, and says what came of it, and whether it was remembered.
    fn read(memo: &mut ResponseMemo, bytes: &[u8], asked: Asked) -> (String, bool) {
        let is_known = memo.find(bytes, asked).is_some();
        (format!("{:?}", memo.read(bytes, asked, &Limits::default())), is_known)
    }

    #[test]
    fn what_is_remembered_is_what_was_parsed() {
        let mut memo = ResponseMemo::default();
        for (text, is_remembered) in [
            ("HTTP/1.1 200 OK\r\ndate: x\r\ncontent-type: a/b\r\ncontent-length: 3\r\n\r\nabc", true),
            ("HTTP/1.1 200 OK\r\ndate: x\r\ncontent-type: a/b\r\ncontent-length: 2\r\n\r\nabHTTP/1.1", true),
            ("HTTP/1.1 200 OK\r\nContent-Length:5\r\nConnection: close\r\nX:\r\n\r\nhello", true),
            ("HTTP/1.1 200 \r\nContent-Length: 007, 7\r\n\r\n", true),
            ("HTTP/1.0 200 OK\r\n\r\nuntil the end", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true),
            ("HTTP/1.1 204 No Content\r\n\r\n", true),
            ("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", true),
            ("HTTP/1.1 200 N\u{e9}\r\nContent-Length: 0\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", false),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1", false),
        ] {
            for asked in ASKED {
                let parsed = parsed(text.as_bytes(), asked);
                assert_eq!(read(&mut memo, text.as_bytes(), asked), (parsed.clone(), false), "{text}");
                assert_eq!(read(&mut memo, text.as_bytes(), asked), (parsed, is_remembered), "{text}");
            }
        }
    }

    #[test]
    fn one_byte_more_or_less_is_another_head() {
        let mut memo = ResponseMemo::default();
        let known = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nServer: a\r\n\r\n";
        for at in 0..known.len() {
            for flip in [1, 0x20, 0x80] {
                read(&mut memo, known, Asked::Other);
                assert_eq!(read(&mut memo, known, Asked::Other), (parsed(known, Asked::Other), true));
                let mut other = known.to_vec();
                other[at] ^= flip;
                assert_eq!(
                    read(&mut memo, &other, Asked::Other),
                    (parsed(&other, Asked::Other), false),
                    "{at}"
                );
            }
        }
    }

    #[test]
    fn a_response_to_head_is_not_taken_for_one_to_get() {
        let mut memo = ResponseMemo::default();
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello, world";
        for asked in [ASKED, ASKED].concat() {
            assert_eq!(read(&mut memo, bytes, asked).0, parsed(bytes, asked));
        }
    }

    /// The usual traffic of a load generator: answers of some lengths, now and then another kind of answer.
    #[test]
    fn heads_of_many_lengths_and_kinds_stay_known_at_once() {
        let heads: Vec<String> = (12..32)
            .map(|length| {
                format!("HTTP/1.1 200 OK\r\nserver: n\r\nContent-Length: {length}\r\nvia: x\r\n\r\n")
            })
            .chain(["HTTP/1.1 503 Service Unavailable\r\ncontent-length: 9\r\n\r\n".to_owned()])
            .chain(["HTTP/1.1 204 No Content\r\nserver: n\r\n\r\n".to_owned()])
            .collect();
        let mut memo = ResponseMemo::default();
        for head in &heads {
            read(&mut memo, head.as_bytes(), Asked::Other);
        }
        for head in &heads {
            assert!(read(&mut memo, head.as_bytes(), Asked::Other).1, "{head}");
        }
    }

    #[test]
    fn a_head_too_long_to_remember_pushes_nothing_out() {
        let mut memo = ResponseMemo::default();
        let known = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
        read(&mut memo, known, Asked::Other);
        for n in 0..20 {
            let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\nContent-Length: 2\r\n\r\n", "x".repeat(600 + n));
            assert!(!read(&mut memo, long.as_bytes(), Asked::Other).1);
            assert!(!read(&mut memo, long.as_bytes(), Asked::Other).1);
        }
        assert!(read(&mut memo, known, Asked::Other).1);
    }
}
