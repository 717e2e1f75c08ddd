//! One response head: its parts, and the parser that takes it whole or not at all. See `head.rs` for requests.

use super::chars::{is_name, is_value_byte};
use super::client::Asked;
use super::connection::Wish;
use super::error::{Reason, Refusal};
use super::fields::{self, Fields, FieldsIter};
use super::framing::{FramingFields, ResponseFraming};
use super::head::{HEAD_TOO_LARGE, Version};
use super::limits::Limits;
use super::status::Status;
use httparse::Header;
use memchr::memchr;

/// A valid response head, borrowed from the bytes it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHead<'a> {
    /// The server's version.
    pub version: Version,
    /// The outcome.
    pub status: Status,
    /// May another request be sent on this connection? Never after a body that the end of the connection ends, or
    /// where a tunnel begins. Says nothing in a 1xx.
    pub keep_alive: bool,
    /// How the body ends.
    pub framing: ResponseFraming,
    /// The value of `Content-Type`.
    pub content_type: Option<&'a [u8]>,
    pub(super) fields: Fields<'a>,
}

impl<'a> ResponseHead<'a> {
    /// All field lines in the order of arrival, as `(name, value)`.
    pub fn fields(&self) -> FieldsIter<'a> {
        self.fields.into_iter()
    }

    /// The value of the first field with this name, in any case.
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.fields.get(name)
    }

    /// Another response to the same request follows, and no body (RFC 9110 §15.2): a 1xx, but for the 101 that was asked
    /// for.
    pub fn is_interim(&self) -> bool {
        self.status.is_interim() && self.status != Status::SWITCHING_PROTOCOLS
    }

    /// What stands behind this head, which answers a request of the kind `asked`.
    pub(super) fn behind(&self, asked: Asked) -> Behind {
        match self.status {
            _ if self.is_interim() => Behind::Response,
            Status::SWITCHING_PROTOCOLS => Behind::Tunnel,
            status if asked == Asked::Connect && (200..300).contains(&status.code()) => Behind::Tunnel,
            _ => Behind::Body,
        }
    }
}

/// What stands behind a response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// Its body, which may be empty.
    Body,
    /// The response itself: this was an interim one (RFC 9110 §15.2).
    Response,
    /// No HTTP: the server switched to what was asked for (RFC 9110 §9.3.6, §15.2.2).
    Tunnel,
}

/// Parses the head at the front of `bytes`, and says how many bytes it has. `None`: it is cut.
///
/// # Errors
/// The first thing that is wrong: lines in their order, then the fields against each other.
pub(crate) fn parse<'b>(
    bytes: &'b [u8],
    asked: Asked,
    limits: &Limits,
) -> Result<Option<(ResponseHead<'b>, usize)>, Refusal> {
    let window = &bytes[..bytes.len().min(limits.head_bytes_max)];
    let is_full = window.len() == limits.head_bytes_max;
    if window.first().is_some_and(|&first| first != b'H') {
        return Err(Refusal::new(Reason::FirstLine, "a response must begin with HTTP/"));
    }
    let Some(line_end) = memchr(b'\n', window) else {
        return if is_full { Err(HEAD_TOO_LARGE) } else { Ok(None) };
    };
    let (version, status) = status_line(&window[..=line_end])?;
    let visit = |headers: &[Header<'b>]| known_fields(headers);
    let Some(section) = fields::parse(&window[line_end + 1..], limits.fields_max, visit)? else {
        return if is_full { Err(HEAD_TOO_LARGE) } else { Ok(None) };
    };
    let KnownFields { framing, wish, content_type, names_protocol } = section.seen;
    if status == Status::SWITCHING_PROTOCOLS {
        check_switch(asked, version, names_protocol)?;
    }
    let framing = framing.of_response(asked, status, version, limits.body_bytes_max)?;
    let mut head = ResponseHead {
        version,
        status,
        keep_alive: wish.keeps_alive(version) && framing != ResponseFraming::UntilClose,
        framing,
        content_type,
        fields: section.fields,
    };
    head.keep_alive &= head.behind(asked) != Behind::Tunnel;
    Ok(Some((head, line_end + 1 + section.len)))
}

/// Behind a 101 begins another protocol (RFC 9110 §15.2.2): one that was asked for, and that the server names.
fn check_switch(asked: Asked, version: Version, names_protocol: bool) -> Result<(), Refusal> {
    let wrong = |why| Err(Refusal::new(Reason::FirstLine, why));
    if asked != Asked::Upgrade {
        return wrong("the server switches protocols, which was not asked for");
    }
    if version == Version::Http10 {
        return wrong("the server switches protocols in HTTP/1.0, which has no 101");
    }
    if !names_protocol {
        return wrong("the server switches protocols, and no Upgrade says to which (RFC 9110, 7.8)");
    }
    Ok(())
}

/// `HTTP-version SP status-code SP [ reason-phrase ] CRLF` (RFC 9112 §4).
fn status_line(line: &[u8]) -> Result<(Version, Status), Refusal> {
    let wrong = |why| Refusal::new(Reason::FirstLine, why);
    let line = fields::strip_line_end(line)
        .ok_or(wrong("the status line ends with LF alone, where CR LF belongs (RFC 9112, 2.2)"))?;
    let (version, rest) = line.split_at(line.len().min(8));
    let version = Version::parse(version)?;
    let [b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ', phrase @ ..] = rest else {
        return Err(wrong(
            "the status line must have a version, three digits and a phrase, each behind one space",
        ));
    };
    if !phrase.iter().all(|&b| is_value_byte(b)) {
        return Err(wrong("the reason phrase has a control character"));
    }
    let digit = |d: &u8| u16::from(d - b'0');
    let code = digit(a) * 100 + digit(b) * 10 + digit(c);
    let status = Status::new(code).ok_or(wrong("the status is not between 100 and 999"))?;
    Ok((version, status))
}

/// What the fields that we act on say together.
struct KnownFields<'a> {
    framing: FramingFields,
    wish: Wish,
    content_type: Option<&'a [u8]>,
    /// There is an `Upgrade` that is not empty.
    names_protocol: bool,
}

fn known_fields<'b>(headers: &[Header<'b>]) -> Result<KnownFields<'b>, Refusal> {
    let mut framing = FramingFields::default();
    let mut wish = Wish::default();
    let mut content_type = None;
    let mut names_protocol = false;
    for &Header { name, value } in headers {
        let name = name.as_bytes();
        match name.len() {
            7 if is_name(name, b"upgrade") => names_protocol |= !value.is_empty(),
            10 if is_name(name, b"connection") => wish.add(value)?,
            12 if is_name(name, b"content-type") => {
                fields::set_once(&mut content_type, value, fields::TWO_CONTENT_TYPES)?;
            }
            14 if is_name(name, b"content-length") => framing.add_content_length(value)?,
            17 if is_name(name, b"transfer-encoding") => framing.add_transfer_encoding(value)?,
            _ => {}
        }
    }
    Ok(KnownFields { framing, wish, content_type, names_protocol })
}
