//! Messages to bytes, appended to what is to be sent.
//!
//! In: the parts of a message. Out: one valid message, framed by its body and nothing else. What would end a line
//! early never gets in: a field whose name or value can't stand in a field line is left out.

use super::chars::{is_token, is_value_byte};
use super::fields::Fields;
use super::status::Status;
use std::io::Write as _;
use std::time::{Duration, UNIX_EPOCH};

/// The interim response that lets a client send its body (RFC 9110 §15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What ends a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The last second that a `Date` can name: the end of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// The text of the current second, made once for each second.
#[derive(Clone, Debug)]
pub struct DateCache {
    second: u64,
    text: [u8; 29],
}

impl DateCache {
    /// A cache that knows the first second of 1970.
    pub fn new() -> DateCache {
        DateCache { second: 0, text: *b"Thu, 01 Jan 1970 00:00:00 GMT" }
    }

    /// The IMF-fixdate of `unix_seconds` (RFC 9110 §5.6.7), at most the end of the year 9999.
    pub fn at(&mut self, unix_seconds: u64) -> &[u8; 29] {
        let second = unix_seconds.min(LAST_SECOND);
        if second != self.second {
            let date = httpdate::HttpDate::from(UNIX_EPOCH + Duration::from_secs(second));
            // An IMF-fixdate has 29 bytes in each of these years, so that it fits and fills.
            if write!(&mut self.text[..], "{date}").is_ok() {
                self.second = second;
            }
        }
        &self.text
    }
}

impl Default for DateCache {
    fn default() -> DateCache {
        DateCache::new()
    }
}

/// What a response says about the connection (RFC 9112 §9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Nothing: HTTP/1.1 goes on by default.
    KeepAlive,
    /// `connection: keep-alive`, for an HTTP/1.0 client that asked for it.
    KeepAliveExplicit,
    /// `connection: close`.
    Close,
}

/// A response to be written.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// Its status; decides whether there can be content.
    pub status: Status,
    /// Fields besides `date`, `content-type`, `content-length` and `connection`.
    pub fields: &'a [(&'a str, &'a str)],
    /// The type of `body`.
    pub content_type: Option<&'a str>,
    /// The content; not sent with a status that has none (1xx, 204, 205, 304).
    pub body: &'a [u8],
    /// Does the connection go on?
    pub persistence: Persistence,
    /// Send all but the body: the answer to `HEAD` (RFC 9110 §9.3.2).
    pub omit_body: bool,
}

/// Appends one response. `date` stands right behind the status line, where [`date_at`] finds it.
///
/// Not for the 2xx that answers a `CONNECT`, which may not have a length.
pub fn response(out: &mut Vec<u8>, response: &Response<'_>, date: &[u8; 29]) {
    let Response { status, fields, content_type, body, persistence, omit_body } = *response;
    let content = match Content::of(status) {
        Content::Sent if omit_body => Content::Announced,
        content => content,
    };
    let sent = if content == Content::Sent { body } else { b"" };
    out.reserve(HEAD_BYTES_USUAL + sent.len());
    match status.line_to_date() {
        Some(line) => out.extend_from_slice(line.as_bytes()),
        None => unnamed_line_to_date(out, status),
    }
    out.extend_from_slice(date);
    out.extend_from_slice(b"\r\n");
    if let Some(content_type) = content_type {
        field(out, "content-type", content_type);
    }
    match content {
        Content::Sent | Content::Announced => content_length(out, body.len()),
        Content::Reset => content_length(out, 0),
        Content::Never => {}
    }
    match persistence {
        Persistence::KeepAlive => {}
        Persistence::KeepAliveExplicit => out.extend_from_slice(b"connection: keep-alive\r\n"),
        Persistence::Close => out.extend_from_slice(b"connection: close\r\n"),
    }
    for (name, value) in fields {
        field(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(sent);
}

/// A response head without fields of its own fits in this.
const HEAD_BYTES_USUAL: usize = 192;

/// What a response does with its body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    /// With its length.
    Sent,
    /// Only its length.
    Announced,
    /// A length of zero: 205 has no content, and must say so (RFC 9110 §15.3.6).
    Reset,
    /// Neither: 1xx and 204 may not have a length (RFC 9110 §8.6); the length for 304 is that of a 200 unknown here.
    Never,
}

impl Content {
    fn of(status: Status) -> Content {
        match status.code() {
            205 => Content::Reset,
            _ if status.is_bodyless() => Content::Never,
            _ => Content::Sent,
        }
    }
}

/// Where the 29 bytes of the date are, from the first byte of a response with `status`.
pub const fn date_at(status: Status) -> usize {
    match status.line_to_date() {
        Some(line) => line.len(),
        None => UNNAMED_LINE.len(),
    }
}

/// Puts a new date into a response that was written before, at the front of `written`. Does nothing if that is too short.
pub fn patch_date(written: &mut [u8], status: Status, date: &[u8; 29]) {
    let at = date_at(status);
    if let Some(old) = written.get_mut(at..at + date.len()) {
        old.copy_from_slice(date);
    }
}

/// The shape of a status line for a code that has no phrase here; the space behind the code must stay (RFC 9112 §4).
const UNNAMED_LINE: &[u8] = b"HTTP/1.1 000 \r\ndate: ";

fn unnamed_line_to_date(out: &mut Vec<u8>, status: Status) {
    out.extend_from_slice(b"HTTP/1.1 ");
    number(out, usize::from(status.code()));
    out.extend_from_slice(b" \r\ndate: ");
}

/// A request to be written.
#[derive(Clone, Copy, Debug)]
pub struct RequestSpec<'a> {
    /// A token. Case matters.
    pub method: &'a str,
    /// In the form that the method needs (RFC 9112 §3.2), without spaces or line ends.
    pub target: &'a str,
    /// The value of `Host`.
    pub host: &'a str,
    /// Fields besides `host`, `content-length` and `transfer-encoding`.
    pub fields: &'a [(&'a str, &'a str)],
    /// The content and how it is framed.
    pub body: BodySpec<'a>,
}

/// The body of a request to be written.
#[derive(Clone, Copy, Debug)]
pub enum BodySpec<'a> {
    /// None, and no framing field.
    None,
    /// With `content-length`, zero too.
    Length(&'a [u8]),
    /// One chunk for each piece; empty pieces are skipped, as an empty chunk would be the last.
    Chunked(&'a [&'a [u8]]),
}

/// Appends one request. `method`, `target` and `host` are the caller's to keep valid: they come from configuration.
pub fn request(out: &mut Vec<u8>, request: &RequestSpec<'_>) {
    let RequestSpec { method, target, host, fields, body } = *request;
    for part in [method, " ", target, " HTTP/1.1\r\nhost: ", host, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    for (name, value) in fields {
        field(out, name, value);
    }
    match body {
        BodySpec::None => out.extend_from_slice(b"\r\n"),
        BodySpec::Length(bytes) => {
            content_length(out, bytes.len());
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(bytes);
        }
        BodySpec::Chunked(pieces) => {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
            for piece in pieces {
                chunk(out, piece);
            }
            out.extend_from_slice(LAST_CHUNK);
        }
    }
}

/// Appends one chunk of a chunked body (RFC 9112 §7.1); nothing for an empty piece, as that chunk would be the last.
pub fn chunk(out: &mut Vec<u8>, piece: &[u8]) {
    if piece.is_empty() {
        return;
    }
    out.reserve(piece.len() + 20);
    let digits = (usize::BITS - piece.len().leading_zeros()).div_ceil(4);
    for place in (0..digits).rev() {
        let digit = (piece.len() >> (4 * place)) & 0xf;
        out.push(b"0123456789abcdef"[digit]);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(piece);
    out.extend_from_slice(b"\r\n");
}

/// Appends what ends a chunked body, with `trailers` as they came (RFC 9112 §7.1.2). Which of them may be passed on is
/// the caller's to say: a reader may merge them into the head's fields.
pub fn last_chunk(out: &mut Vec<u8>, trailers: Fields<'_>) {
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(trailers.raw());
    out.extend_from_slice(b"\r\n");
}

/// Appends one field line, or nothing if name or value would not stay in it (response splitting).
pub fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    if !is_token(name.as_bytes()) || !value.bytes().all(is_value_byte) {
        return;
    }
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

fn content_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(b"content-length: ");
    number(out, length);
    out.extend_from_slice(b"\r\n");
}

fn number(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
