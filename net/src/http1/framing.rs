//! How long a body is: decided here and nowhere else, in the order of RFC 9112 §6.3.
//!
//! In: the values of `Content-Length` and `Transfer-Encoding`. Out: one framing, or a refusal. Wherever the RFC
//! lets a recipient choose between repair and refusal, we refuse: a length that two readers see differently is
//! how requests are smuggled.

use super::chars::{is_token, members, trim};
use super::client::Asked;
use super::error::{Reason, Refusal};
use super::head::Version;
use super::status::Status;

/// How a request's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Neither field was there: no body (clause 7).
    None,
    /// So many bytes, by `Content-Length`; may be zero. Never over `Limits::body_bytes_max`.
    Length(u64),
    /// By the last chunk.
    Chunked,
}

/// How a response's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseFraming {
    /// No body, whatever the fields say (clauses 1 and 2).
    None,
    /// So many bytes, by `Content-Length`; may be zero. Never over `Limits::body_bytes_max`.
    Length(u64),
    /// By the last chunk.
    Chunked,
    /// When the server closes the connection (clause 8).
    UntilClose,
}

/// What the framing fields of one head say, gathered field by field.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FramingFields {
    length: Option<u64>,
    codings: Codings,
}

/// The transfer codings in the order of their application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Codings {
    #[default]
    Absent,
    /// Others, and no `chunked` yet.
    Other,
    /// `chunked` is last, and alone.
    Chunked,
    /// `chunked` is last, behind others.
    OtherThenChunked,
}

impl FramingFields {
    /// Reads the value of one `Content-Length` field.
    ///
    /// # Errors
    /// 400 unless it is a number, or a list of one number, that equals all the earlier ones (clause 5).
    pub(crate) fn add_content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        for member in members(value) {
            let length = parse_length(member)?;
            // Two lengths that agree are still one length (RFC 9112, 6.3); two that differ are an attack.
            if self.length.is_some_and(|earlier| earlier != length) {
                return framing("two values of Content-Length differ (RFC 9112, 6.3)");
            }
            self.length = Some(length);
        }
        Ok(())
    }

    /// Reads the value of one `Transfer-Encoding` field.
    ///
    /// # Errors
    /// 400 if a member is empty or malformed, or if anything follows `chunked` (RFC 9112 §6.1, §7).
    pub(crate) fn add_transfer_encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        for member in members(value) {
            let (name, parameters) = match memchr::memchr(b';', member) {
                Some(at) => (trim(&member[..at]), Some(&member[at + 1..])),
                None => (member, None),
            };
            if !is_token(name) {
                return framing("Transfer-Encoding has an empty or malformed coding (RFC 9112, 6.1)");
            }
            let is_chunked = name.eq_ignore_ascii_case(b"chunked");
            if is_chunked && parameters.is_some() {
                return framing("the chunked coding has no parameters (RFC 9112, 7.1)");
            }
            self.codings = match (self.codings, is_chunked) {
                (Codings::Chunked | Codings::OtherThenChunked, true) => {
                    return framing("chunked is applied twice (RFC 9112, 6.1)");
                }
                (Codings::Chunked | Codings::OtherThenChunked, false) => {
                    return framing("chunked must be the final transfer coding (RFC 9112, 6.3)");
                }
                (Codings::Absent, true) => Codings::Chunked,
                (Codings::Other, true) => Codings::OtherThenChunked,
                (Codings::Absent | Codings::Other, false) => Codings::Other,
            };
        }
        Ok(())
    }

    /// The framing of a request. (Clauses 1, 2 and 8 are about responses.)
    ///
    /// # Errors
    /// 400 if the length is in doubt, 501 for a coding that we don't have, 413 for a length over `body_bytes_max`.
    pub(crate) fn of_request(self, version: Version, body_bytes_max: u64) -> Result<Framing, Refusal> {
        self.check_codings(version)?;
        match (self.codings, self.length) {
            // Clause 4, chunked: read chunks.
            (Codings::Chunked, _) => Ok(Framing::Chunked),
            // Clause 6.
            (_, Some(length)) => bounded(length, body_bytes_max).map(Framing::Length),
            // Clause 7.
            (_, None) => Ok(Framing::None),
        }
    }

    /// The framing of a response with `status` to a request of the kind `asked`.
    ///
    /// # Errors
    /// As for a request; besides, if a 1xx or 204 announces content.
    pub(crate) fn of_response(
        self,
        asked: Asked,
        status: Status,
        version: Version,
        body_bytes_max: u64,
    ) -> Result<ResponseFraming, Refusal> {
        let has_content_fields =
            self.codings != Codings::Absent || self.length.is_some_and(|length| length > 0);
        if (status.is_interim() || status.code() == 204) && has_content_fields {
            // Clause 1 would ignore the fields; but a server may not send them (RFC 9110 §8.6, RFC 9112 §6.1),
            // and a reader that believes them takes the next response for this one's body.
            return framing("a response without content announces some (RFC 9112, 6.3)");
        }
        // Clause 1.
        if asked == Asked::Head || status.is_bodyless() {
            return Ok(ResponseFraming::None);
        }
        // Clause 2: what follows is a tunnel, not a body.
        if asked == Asked::Connect && (200..300).contains(&status.code()) {
            return Ok(ResponseFraming::None);
        }
        self.check_codings(version)?;
        match (self.codings, self.length) {
            // Clause 4.
            (Codings::Chunked, _) => Ok(ResponseFraming::Chunked),
            // Clause 6.
            (_, Some(length)) => bounded(length, body_bytes_max).map(ResponseFraming::Length),
            // Clause 8.
            (_, None) => Ok(ResponseFraming::UntilClose),
        }
    }

    /// Clauses 3 and 4 as far as they refuse, for both roles. (Clause 5 was checked as the fields were read.)
    fn check_codings(self, version: Version) -> Result<(), Refusal> {
        match self.codings {
            Codings::Absent => Ok(()),
            // RFC 9112 §6.1: faulty framing, even with a Content-Length: something in between did not know it.
            _ if version == Version::Http10 => framing("HTTP/1.0 has no Transfer-Encoding (RFC 9112, 6.1)"),
            // Clause 3: "ought to be handled as an error".
            _ if self.length.is_some() => {
                framing("Transfer-Encoding and Content-Length are both there (RFC 9112, 6.3)")
            }
            // Clause 4, not chunked.
            Codings::Other => framing("chunked must be the final transfer coding (RFC 9112, 6.3)"),
            // RFC 9112 §6.1: "SHOULD respond with 501".
            Codings::OtherThenChunked => {
                Err(Refusal::new(Reason::Coding, "no transfer coding is known besides chunked"))
            }
            Codings::Chunked => Ok(()),
        }
    }
}

fn framing<T>(why: &'static str) -> Result<T, Refusal> {
    Err(Refusal::new(Reason::Framing, why))
}

/// `1*DIGIT`, at most 2^64 - 1 (RFC 9110 §8.6). Leading zeros are digits like any other.
fn parse_length(digits: &[u8]) -> Result<u64, Refusal> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return framing("Content-Length must be digits alone (RFC 9110, 8.6)");
    }
    let step = |sum: u64, digit: &u8| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    match digits.iter().try_fold(0, step) {
        Some(length) => Ok(length),
        None => framing("Content-Length is larger than any message can be"),
    }
}

fn bounded(length: u64, body_bytes_max: u64) -> Result<u64, Refusal> {
    if length > body_bytes_max {
        return Err(Refusal::new(Reason::BodyTooLarge, "the body is larger than is taken here"));
    }
    Ok(length)
}
