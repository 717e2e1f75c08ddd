//! One request head: its parts, and the parser that takes it whole or not at all.
//!
//! In: bytes from the first byte of a request line. Out: a [`Head`] that borrows from them, or the first thing that is
//! wrong. Never: allocates, or judges half a line, so that the verdict does not depend on how the bytes were cut.

use super::authority;
use super::chars::{is_name, is_token, is_token_byte, members};
use super::connection::Wish;
use super::error::{Reason, Refusal};
use super::fields::{self, Fields, FieldsIter};
use super::framing::{Framing, FramingFields};
use super::limits::Limits;
use super::target::Target;
use super::write::Persistence;
use httparse::Header;
use memchr::memchr;

/// A valid request head, borrowed from the bytes it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// What to do.
    pub method: Method<'a>,
    /// To what.
    pub target: Target<'a>,
    /// The sender's version.
    pub version: Version,
    /// May the connection serve another request after this one (RFC 9112 §9.3)?
    pub keep_alive: bool,
    /// The client waits for `100 (Continue)` before it sends the body (RFC 9110 §10.1.1).
    pub expects_continue: bool,
    /// How the body ends.
    pub framing: Framing,
    /// The value of `Content-Type`.
    pub content_type: Option<&'a [u8]>,
    /// The body is coded, with gzip for instance (RFC 9110 §8.4): who can't decode it answers 415.
    pub is_coded: bool,
    /// The value of `Host`; only HTTP/1.0 may do without. See [`Head::authority`].
    pub host: Option<&'a [u8]>,
    pub(super) fields: Fields<'a>,
}

impl<'a> Head<'a> {
    /// All field lines in the order of arrival, as `(name, value)`.
    pub fn fields(&self) -> FieldsIter<'a> {
        self.fields.into_iter()
    }

    /// The value of the first field with this name, in any case.
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.fields.get(name)
    }

    /// Which host is meant: the target's own authority wins over `Host` (RFC 9112 §3.2.2).
    pub fn authority(&self) -> Option<&'a [u8]> {
        match self.target {
            Target::Absolute { authority, .. } | Target::Authority(authority) => Some(authority.as_bytes()),
            Target::Origin { .. } | Target::Asterisk => self.host,
        }
    }

    /// What a response to this request says about the connection.
    pub fn persistence(&self) -> Persistence {
        match (self.keep_alive, self.version) {
            (true, Version::Http11) => Persistence::KeepAlive,
            (true, Version::Http10) => Persistence::KeepAliveExplicit,
            (false, _) => Persistence::Close,
        }
    }
}

/// The methods of RFC 9110 §9.3 and RFC 5789, and any other. Case matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method<'a> {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
    /// `CONNECT`
    Connect,
    /// `OPTIONS`
    Options,
    /// `TRACE`
    Trace,
    /// `PATCH`
    Patch,
    /// Any other token of at most `Limits::method_bytes_max` bytes.
    Other(&'a str),
}

impl<'a> Method<'a> {
    /// As it is written in a request line.
    pub fn as_str(self) -> &'a str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Connect => "CONNECT",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Patch => "PATCH",
            Method::Other(name) => name,
        }
    }

    /// The same method without a borrow; `None` for another than the known ones.
    pub(super) fn named(self) -> Option<Method<'static>> {
        match self {
            Method::Get => Some(Method::Get),
            Method::Head => Some(Method::Head),
            Method::Post => Some(Method::Post),
            Method::Put => Some(Method::Put),
            Method::Delete => Some(Method::Delete),
            Method::Connect => Some(Method::Connect),
            Method::Options => Some(Method::Options),
            Method::Trace => Some(Method::Trace),
            Method::Patch => Some(Method::Patch),
            Method::Other(_) => None,
        }
    }

    fn of(token: &'a str) -> Method<'a> {
        match token {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            "CONNECT" => Method::Connect,
            "OPTIONS" => Method::Options,
            "TRACE" => Method::Trace,
            "PATCH" => Method::Patch,
            other => Method::Other(other),
        }
    }
}

/// What a message's version lets its reader do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1, and any later minor version, read as 1.1 (RFC 9110 §2.5).
    Http11,
}

impl Version {
    /// `HTTP/d.d` and nothing around it (RFC 9112 §2.3).
    ///
    /// # Errors
    /// 400 if it is not of that shape, 505 if the major version is not 1.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Version, Refusal> {
        match bytes {
            b"HTTP/1.1" => Ok(Version::Http11),
            b"HTTP/1.0" => Ok(Version::Http10),
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                if *major == b'1' {
                    return Ok(Version::Http11);
                }
                Err(Refusal::new(Reason::Version, "only HTTP/1.1 and HTTP/1.0 are spoken here"))
            }
            _ => {
                Err(Refusal::new(Reason::FirstLine, "the version must be HTTP/1.1 or HTTP/1.0, in capitals"))
            }
        }
    }
}

/// Parses the head at the front of `bytes`, and says how many bytes it has. `None`: it is cut.
///
/// # Errors
/// The first thing that is wrong: lines in their order, then the fields against each other.
pub(crate) fn parse<'b>(bytes: &'b [u8], limits: &Limits) -> Result<Option<(Head<'b>, usize)>, Refusal> {
    let window = &bytes[..bytes.len().min(limits.head_bytes_max)];
    let is_full = window.len() == limits.head_bytes_max;
    if let Some(&first) = window.first() {
        check_first_byte(first)?;
    }
    let Some(line_end) = memchr(b'\n', window) else {
        return if is_full { Err(TARGET_TOO_LONG) } else { Ok(None) };
    };
    let line = request_line(&window[..=line_end], limits)?;
    let visit = |headers: &[Header<'b>]| known_fields(headers, line.version, limits);
    match fields::parse(&window[line_end + 1..], limits.fields_max, visit)? {
        Some(section) => {
            let KnownFields { framing, host, content_type, is_coded, wish, expects_continue } = section.seen;
            let head = Head {
                method: line.method,
                target: line.target,
                version: line.version,
                keep_alive: wish.keeps_alive(line.version),
                expects_continue,
                framing,
                content_type,
                is_coded,
                host,
                fields: section.fields,
            };
            Ok(Some((head, line_end + 1 + section.len)))
        }
        None if is_full => Err(HEAD_TOO_LARGE),
        None => Ok(None),
    }
}

/// Used by both roles.
pub(crate) const HEAD_TOO_LARGE: Refusal =
    Refusal::new(Reason::HeadTooLarge, "the head is larger than is taken here");
const TARGET_TOO_LONG: Refusal =
    Refusal::new(Reason::TargetTooLong, "the request target is longer than is read here");

/// What can't become a request is refused at its first byte, not held until a line end that never comes.
fn check_first_byte(byte: u8) -> Result<(), Refusal> {
    match byte {
        _ if is_token_byte(byte) => Ok(()),
        0x16 => {
            Err(Refusal::new(Reason::FirstLine, "a TLS handshake arrived, where plain HTTP/1.1 is spoken"))
        }
        _ => Err(Refusal::new(Reason::FirstLine, "a request must begin with its method")),
    }
}

struct RequestLine<'a> {
    method: Method<'a>,
    target: Target<'a>,
    version: Version,
}

/// `method SP request-target SP HTTP-version CRLF`, with single spaces (RFC 9112 §3).
fn request_line<'b>(line: &'b [u8], limits: &Limits) -> Result<RequestLine<'b>, Refusal> {
    let wrong = |why| Refusal::new(Reason::FirstLine, why);
    let line = fields::strip_line_end(line)
        .ok_or(wrong("the request line ends with LF alone, where CR LF belongs (RFC 9112, 2.2)"))?;
    let method_end = memchr(b' ', line).unwrap_or(line.len());
    let method = &line[..method_end];
    if method_end > limits.method_bytes_max {
        return Err(Refusal::new(Reason::MethodTooLong, "the method is longer than any that is known"));
    }
    if !is_token(method) {
        return Err(wrong("the method must be a token (RFC 9110, 9.1)"));
    }
    let rest = line.get(method_end + 1..).ok_or(wrong("the request line has a method and nothing else"))?;
    let target_end = memchr(b' ', rest).unwrap_or(rest.len());
    if target_end > limits.target_bytes_max {
        return Err(TARGET_TOO_LONG);
    }
    let version = rest.get(target_end + 1..).ok_or(wrong("the request line has no version (RFC 9112, 3)"))?;
    let version = Version::parse(version)?;
    let Ok(text) = str::from_utf8(&line[..method_end + 1 + target_end]) else {
        return Err(Refusal::new(Reason::Target, "the request target must be ASCII, percent-encoded"));
    };
    let (method, target) = (&text[..method_end], &text[method_end + 1..]);
    let method = Method::of(method);
    Ok(RequestLine { method, target: Target::parse(method, target)?, version })
}

/// What the fields that we act on say together.
struct KnownFields<'a> {
    framing: Framing,
    host: Option<&'a [u8]>,
    content_type: Option<&'a [u8]>,
    is_coded: bool,
    wish: Wish,
    expects_continue: bool,
}

const TWO_HOSTS: Refusal = Refusal::new(Reason::Host, "there is more than one Host (RFC 9112, 3.2)");

/// One pass over all fields: by the length of the name first, as nearly all are told apart by it.
fn known_fields<'b>(
    headers: &[Header<'b>],
    version: Version,
    limits: &Limits,
) -> Result<KnownFields<'b>, Refusal> {
    let mut framing = FramingFields::default();
    let mut wish = Wish::default();
    let mut host = None;
    let mut content_type = None;
    let mut is_coded = false;
    let mut expects_continue = false;
    for &Header { name, value } in headers {
        let name = name.as_bytes();
        match name.len() {
            4 if is_name(name, b"host") => fields::set_once(&mut host, value, TWO_HOSTS)?,
            6 if is_name(name, b"expect") => expects_continue |= expects(value, version)?,
            10 if is_name(name, b"connection") => wish.add(value)?,
            12 if is_name(name, b"content-type") => {
                fields::set_once(&mut content_type, value, fields::TWO_CONTENT_TYPES)?;
            }
            14 if is_name(name, b"content-length") => framing.add_content_length(value)?,
            16 if is_name(name, b"content-encoding") => {
                is_coded |= members(value).any(|it| !it.is_empty() && !it.eq_ignore_ascii_case(b"identity"));
            }
            17 if is_name(name, b"transfer-encoding") => framing.add_transfer_encoding(value)?,
            _ => {}
        }
    }
    check_host(host, version)?;
    let framing = framing.of_request(version, limits.body_bytes_max)?;
    Ok(KnownFields { framing, host, content_type, is_coded, wish, expects_continue })
}

/// RFC 9112 §3.2: exactly one valid `Host` in HTTP/1.1; 1.0 may do without.
fn check_host(host: Option<&[u8]>, version: Version) -> Result<(), Refusal> {
    match host {
        Some(host) if authority::parse(host).is_none() => {
            Err(Refusal::new(Reason::Host, "Host must be a host and perhaps a port (RFC 9110, 7.2)"))
        }
        None if version == Version::Http11 => {
            Err(Refusal::new(Reason::Host, "a request needs a Host (RFC 9112, 3.2)"))
        }
        Some(_) | None => Ok(()),
    }
}

/// The one expectation there is (RFC 9110 §10.1.1). HTTP/1.0 knows none, so there it is ignored, as the RFC says.
fn expects(value: &[u8], version: Version) -> Result<bool, Refusal> {
    if version == Version::Http10 {
        return Ok(false);
    }
    if members(value).all(|member| member.eq_ignore_ascii_case(b"100-continue")) {
        return Ok(true);
    }
    Err(Refusal::new(Reason::Expectation, "the only expectation that can be met is 100-continue"))
}
