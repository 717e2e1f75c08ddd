//! Reading a body: by its length, by its chunks, or until the connection ends.
//!
//! In: bytes cut anywhere. Out: pieces of content, borrowed from them, and the end with its trailers. This is the one
//! state machine for bodies: who wants a whole body gathers its pieces, who passes them on takes them as they come.
//! Never: keeps content, or takes more than `Limits` for one body.

use super::chars::{is_token_byte, is_value_byte};
use super::error::{Reason, Refusal};
use super::fields;
use super::limits::Limits;

/// A body that has not ended.
#[derive(Clone, Debug)]
pub enum Body {
    /// So many bytes are still to come.
    Length(u64),
    /// Chunks are still to come.
    Chunked(Chunked),
    /// All bytes belong to it; so many were read.
    UntilClose(u64),
}

/// What was at the front of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'i> {
    /// Content, not empty; `used` bytes of the input were taken: go on with the rest.
    Content {
        /// Some bytes of the body.
        bytes: &'i [u8],
        /// Taken of the input.
        used: usize,
    },
    /// The body is complete; `used` bytes of the input were taken.
    End {
        /// Taken of the input.
        used: usize,
        /// So many bytes at the end of `lines` are the trailer fields: whole lines, valid, without the empty one.
        trailers: usize,
    },
    /// Everything was taken; more is needed.
    More,
}

impl Body {
    /// Reads the next piece. `lines` is a place to keep the trailer lines, at most `Limits::trailer_bytes_max` bytes:
    /// between calls what this appended must stay its last bytes.
    ///
    /// # Errors
    /// 400 if a chunk or trailer breaks the grammar, 413 or 431 if they go over `limits`.
    pub fn next<'i>(
        &mut self,
        input: &'i [u8],
        lines: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<Piece<'i>, Refusal> {
        match self {
            Body::Length(0) => Ok(Piece::End { used: 0, trailers: 0 }),
            Body::Length(left) => Ok(content(input, left)),
            Body::Chunked(chunked) => chunked.next(input, lines, limits),
            Body::UntilClose(_) if input.is_empty() => Ok(Piece::More),
            Body::UntilClose(read) => {
                *read = bounded_sum(*read, input.len() as u64, limits)?;
                Ok(Piece::Content { bytes: input, used: input.len() })
            }
        }
    }
}

const TRAILER_LF: Refusal = Refusal::new(Reason::Trailer, fields::BARE_LF.why);
const TOO_LARGE: Refusal = Refusal::new(Reason::BodyTooLarge, "the body is larger than is taken here");

/// A sum of content that may not go over the bound, nor past what 64 bits hold: who adds up what is passed on, sees the
/// same number.
fn bounded_sum(sum: u64, more: u64, limits: &Limits) -> Result<u64, Refusal> {
    sum.checked_add(more).filter(|&sum| sum <= limits.body_bytes_max).ok_or(TOO_LARGE)
}

/// Up to `left` bytes of content.
fn content<'i>(input: &'i [u8], left: &mut u64) -> Piece<'i> {
    let used = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
    if used == 0 {
        return Piece::More;
    }
    *left -= used as u64;
    Piece::Content { bytes: &input[..used], used }
}

/// A chunked body (RFC 9112 §7.1), read byte by byte outside of chunk data.
#[derive(Clone, Debug, Default)]
pub struct Chunked {
    at: At,
    /// Hexadecimal digits of the current size.
    digits: u8,
    /// Trailer fields so far.
    fields: u16,
    /// Bytes of the current line: a chunk-size line, or the trailer line that `lines` ends with.
    line_bytes: u32,
    /// Bytes of all extensions so far.
    extension_bytes: u32,
    /// Bytes of the trailer section so far, all of them in `lines`.
    trailer_bytes: u32,
    /// While the size is read, its value; then what is left of the chunk.
    left: u64,
    /// Content that all sizes so far announced.
    total: u64,
}

/// Where in the grammar the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Size,
    /// Bad whitespace behind a size or an extension, which only `;` may follow.
    BeforeSemicolon,
    ExtensionNameStart,
    ExtensionName,
    /// Bad whitespace behind an extension's name.
    BeforeEquals,
    ExtensionValueStart,
    ExtensionToken,
    Quoted,
    QuotedPair,
    AfterQuoted,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailer,
    End,
}

impl Chunked {
    /// See [`Body::next`].
    fn next<'i>(
        &mut self,
        input: &'i [u8],
        lines: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<Piece<'i>, Refusal> {
        let mut used = 0;
        loop {
            match self.at {
                At::End => return Ok(Piece::End { used, trailers: self.trailer_bytes as usize }),
                At::Data => {
                    let piece = content(&input[used..], &mut self.left);
                    if self.left == 0 {
                        self.at = At::DataCr;
                    }
                    return Ok(match piece {
                        Piece::Content { bytes, used: taken } => Piece::Content { bytes, used: used + taken },
                        other => other,
                    });
                }
                At::Trailer => match memchr::memchr(b'\n', &input[used..]) {
                    Some(line_end) => {
                        let end = used + line_end + 1;
                        self.trailer_line(&input[used..end], lines, limits)?;
                        used = end;
                    }
                    None => {
                        self.keep_trailer(&input[used..], lines, limits)?;
                        return Ok(Piece::More);
                    }
                },
                _ => {
                    let Some(&byte) = input.get(used) else {
                        return Ok(Piece::More);
                    };
                    used += 1;
                    self.at = self.step(byte, limits)?;
                }
            }
        }
    }

    /// One byte of a chunk-size line, or of the CRLF behind chunk data.
    fn step(&mut self, byte: u8, limits: &Limits) -> Result<At, Refusal> {
        match self.at {
            At::DataCr if byte == b'\r' => return Ok(At::DataLf),
            At::DataLf if byte == b'\n' => return Ok(At::Size),
            At::DataCr | At::DataLf => {
                return wrong("chunk data must end with CR LF after as many bytes as its size");
            }
            _ => self.count_line_byte(limits)?,
        }
        match (self.at, byte) {
            (At::Size, b'\r' | b';' | b' ' | b'\t') if self.digits == 0 => wrong("a chunk has no size"),
            (At::SizeLf, b'\n') => self.begin_chunk(limits),
            (At::SizeLf, _) => wrong("a chunk-size line must end with CR LF"),
            // A quoted string may hold what would end an unquoted value.
            (At::Quoted, b'"') => Ok(At::AfterQuoted),
            (At::Quoted, b'\\') => Ok(At::QuotedPair),
            (At::Quoted | At::QuotedPair, _) if is_value_byte(byte) => Ok(At::Quoted),
            (At::Size | At::ExtensionName | At::ExtensionToken | At::AfterQuoted, b'\r') => Ok(At::SizeLf),
            (
                At::Size
                | At::BeforeSemicolon
                | At::ExtensionName
                | At::BeforeEquals
                | At::ExtensionToken
                | At::AfterQuoted,
                b';',
            ) => Ok(At::ExtensionNameStart),
            (At::Size | At::BeforeSemicolon | At::ExtensionToken | At::AfterQuoted, b' ' | b'\t') => {
                Ok(At::BeforeSemicolon)
            }
            (At::ExtensionName | At::BeforeEquals, b' ' | b'\t') => Ok(At::BeforeEquals),
            (At::ExtensionName | At::BeforeEquals, b'=') => Ok(At::ExtensionValueStart),
            (At::ExtensionNameStart | At::ExtensionValueStart, b' ' | b'\t') => Ok(self.at),
            (At::ExtensionValueStart, b'"') => Ok(At::Quoted),
            (At::ExtensionNameStart | At::ExtensionName, _) if is_token_byte(byte) => Ok(At::ExtensionName),
            (At::ExtensionValueStart | At::ExtensionToken, _) if is_token_byte(byte) => {
                Ok(At::ExtensionToken)
            }
            (At::Size, _) => self.size_digit(byte),
            _ => wrong("a chunk extension breaks its grammar (RFC 9112, 7.1.1)"),
        }
    }

    /// Sixteen digits fill 64 bits: with one more, a reader that wraps around sees another size.
    fn size_digit(&mut self, byte: u8) -> Result<At, Refusal> {
        let Some(digit) = char::from(byte).to_digit(16) else {
            return wrong("a chunk size must be hexadecimal digits alone");
        };
        if self.digits == 16 {
            return wrong("a chunk size has more than 16 digits");
        }
        self.digits += 1;
        self.left = self.left << 4 | u64::from(digit);
        Ok(At::Size)
    }

    fn count_line_byte(&mut self, limits: &Limits) -> Result<(), Refusal> {
        self.line_bytes = self.line_bytes.saturating_add(1);
        if !matches!(self.at, At::Size | At::SizeLf) {
            self.extension_bytes = self.extension_bytes.saturating_add(1);
        }
        if self.line_bytes as usize > limits.chunk_line_bytes_max
            || self.extension_bytes as usize > limits.chunk_extension_bytes_max
        {
            return Err(Refusal::new(
                Reason::BodyTooLarge,
                "the chunk extensions are longer than is read here",
            ));
        }
        Ok(())
    }

    /// The size line is complete: `left` is the size.
    fn begin_chunk(&mut self, limits: &Limits) -> Result<At, Refusal> {
        self.digits = 0;
        self.line_bytes = 0;
        if self.left == 0 {
            return Ok(At::Trailer);
        }
        self.total = bounded_sum(self.total, self.left, limits)?;
        Ok(At::Data)
    }

    fn keep_trailer(&mut self, part: &[u8], lines: &mut Vec<u8>, limits: &Limits) -> Result<(), Refusal> {
        // Counted against the bound first: neither sum can then overflow, nor `lines` grow past it.
        let bytes_max = limits.trailer_bytes_max.min(u32::MAX as usize);
        if part.len() > bytes_max.saturating_sub(self.trailer_bytes as usize) {
            return Err(Refusal::new(
                Reason::HeadTooLarge,
                "the trailer section is larger than is taken here",
            ));
        }
        self.trailer_bytes += part.len() as u32;
        self.line_bytes += part.len() as u32;
        lines.extend_from_slice(part);
        Ok(())
    }

    /// `end` completes the line whose front may lie in `lines`. A field that is valid stays there, the empty line doesn't.
    fn trailer_line(&mut self, end: &[u8], lines: &mut Vec<u8>, limits: &Limits) -> Result<(), Refusal> {
        self.keep_trailer(end, lines, limits)?;
        let begin = lines.len() - self.line_bytes as usize;
        let line = fields::strip_line_end(&lines[begin..]).ok_or(TRAILER_LF)?;
        if line.is_empty() {
            self.at = At::End;
            self.trailer_bytes -= self.line_bytes;
            lines.truncate(begin);
        } else {
            if usize::from(self.fields) >= limits.trailer_fields_max.min(u16::MAX.into()) {
                return Err(Refusal::new(
                    Reason::HeadTooLarge,
                    "there are more trailer fields than are taken here",
                ));
            }
            self.fields += 1;
            check_trailer(line)?;
        }
        self.line_bytes = 0;
        Ok(())
    }
}

fn wrong<T>(why: &'static str) -> Result<T, Refusal> {
    Err(Refusal::new(Reason::Chunk, why))
}

/// Fields that frame, route or control have their say before the body or not at all (RFC 9110 §6.5.1).
fn check_trailer(line: &[u8]) -> Result<(), Refusal> {
    let (name, _) = fields::field_line(line).map_err(|refusal| Refusal::new(Reason::Trailer, refusal.why))?;
    let forbidden: [&[u8]; 8] = [
        b"content-length",
        b"transfer-encoding",
        b"host",
        b"connection",
        b"expect",
        b"te",
        b"trailer",
        b"content-type",
    ];
    if forbidden.iter().any(|other| name.eq_ignore_ascii_case(other)) {
        return Err(Refusal::new(
            Reason::Trailer,
            "a field that frames or routes stands behind the body (RFC 9110, 6.5.1)",
        ));
    }
    Ok(())
}
