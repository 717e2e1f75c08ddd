//! The field lines of a head or trailer section: the home of httparse, and the walk that explains a refusal.
//!
//! In: bytes behind the first line. Out: name and value pairs, or the first line that is wrong. The verdict
//! never depends on where the bytes were cut: only whole lines are judged, in order.

use super::chars::{is_token, is_value_byte, trim};
use super::error::{Reason, Refusal};
use super::limits::FIELDS_CAP;
use httparse::{EMPTY_HEADER, Header};
use memchr::memchr;

/// Slots for the first parse: enough for a browser. A head with more is parsed again with [`FIELDS_CAP`].
const FIELDS_USUAL: usize = 24;

/// The field lines of one valid head or trailer section, read anew at each use: nothing is stored for them.
///
/// The default is none at all.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Fields<'a> {
    /// Whole field lines, each with its CRLF, without the empty line. Valid by construction.
    raw: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Of lines that were parsed before, as [`Fields::raw`] gives them.
    pub(crate) fn of_valid(raw: &'a [u8]) -> Fields<'a> {
        Fields { raw }
    }

    /// There is no field.
    pub fn is_empty(self) -> bool {
        self.raw.is_empty()
    }

    /// The value of the first field with this name, in any case.
    pub fn get(self, name: &str) -> Option<&'a [u8]> {
        self.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// The lines as they came, each with its CRLF.
    pub fn raw(self) -> &'a [u8] {
        self.raw
    }
}

impl std::fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = String::from_utf8_lossy;
        f.debug_map().entries(self.into_iter().map(|(name, value)| (text(name), text(value)))).finish()
    }
}

impl<'a> IntoIterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = FieldsIter<'a>;

    fn into_iter(self) -> FieldsIter<'a> {
        FieldsIter { rest: self.raw }
    }
}

/// Yields `(name, value)` in the order of arrival; the value without whitespace around.
#[derive(Clone, Debug)]
pub struct FieldsIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for FieldsIter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let line_end = memchr(b'\n', self.rest)?;
        let (line, rest) = self.rest.split_at(line_end + 1);
        self.rest = rest;
        let colon = memchr(b':', line)?;
        Some((&line[..colon], trim(&line[colon + 1..line_end - 1])))
    }
}

/// What was found behind a first line.
pub(crate) struct Section<'a, T> {
    pub(crate) fields: Fields<'a>,
    /// Bytes of the section, its empty line included.
    pub(crate) len: usize,
    /// What the visitor made of the fields.
    pub(crate) seen: T,
}

/// Parses the field section at the front of `bytes` and shows its fields to `visit`. `None`: it is cut.
///
/// # Errors
/// The first line that is wrong, or 431 at the line after `fields_max`, or what `visit` says.
pub(crate) fn parse<'b, T>(
    bytes: &'b [u8],
    fields_max: usize,
    visit: impl FnOnce(&[Header<'b>]) -> Result<T, Refusal>,
) -> Result<Option<Section<'b, T>>, Refusal> {
    let mut slots = [EMPTY_HEADER; FIELDS_USUAL];
    match httparse::parse_headers(bytes, &mut slots[..fields_max.min(FIELDS_USUAL)]) {
        Ok(httparse::Status::Complete((len, headers))) => finish(bytes, len, headers, fields_max, visit),
        Err(httparse::Error::TooManyHeaders) if fields_max > FIELDS_USUAL => {
            parse_many(bytes, fields_max, visit)
        }
        Ok(httparse::Status::Partial) | Err(_) => explain(bytes, fields_max),
    }
}

#[cold]
fn parse_many<'b, T>(
    bytes: &'b [u8],
    fields_max: usize,
    visit: impl FnOnce(&[Header<'b>]) -> Result<T, Refusal>,
) -> Result<Option<Section<'b, T>>, Refusal> {
    let mut slots = [EMPTY_HEADER; FIELDS_CAP];
    match httparse::parse_headers(bytes, &mut slots[..fields_max.min(FIELDS_CAP)]) {
        Ok(httparse::Status::Complete((len, headers))) => finish(bytes, len, headers, fields_max, visit),
        Ok(httparse::Status::Partial) | Err(_) => explain(bytes, fields_max),
    }
}

fn finish<'b, T>(
    bytes: &'b [u8],
    len: usize,
    headers: &[Header<'b>],
    fields_max: usize,
    visit: impl FnOnce(&[Header<'b>]) -> Result<T, Refusal>,
) -> Result<Option<Section<'b, T>>, Refusal> {
    if !ends_lines_with_crlf(&bytes[..len], headers) {
        return explain(bytes, fields_max);
    }
    let seen = visit(headers)?;
    Ok(Some(Section { fields: Fields { raw: &bytes[..len - 2] }, len, seen }))
}

/// httparse takes a bare LF for a line end (RFC 9112 §2.2 lets it); two readers that differ there see two
/// different messages, so we don't. Every LF it accepted lies right before a name, or ends the section.
fn ends_lines_with_crlf(section: &[u8], headers: &[Header<'_>]) -> bool {
    let Some((_, behind_first)) = headers.split_first() else {
        return section == b"\r\n";
    };
    let start = section.as_ptr().addr();
    section.ends_with(b"\r\n\r\n")
        && behind_first.iter().all(|header| section[..header.name.as_ptr().addr() - start].ends_with(b"\r\n"))
}

/// Walks the whole lines to say which is the first wrong one. `None`: all are right, so the section is cut.
#[cold]
fn explain<T>(bytes: &[u8], fields_max: usize) -> Result<Option<T>, Refusal> {
    let mut rest = bytes;
    let mut count = 0;
    while let Some(line_end) = memchr(b'\n', rest) {
        let line = strip_line_end(&rest[..=line_end]).ok_or(BARE_LF)?;
        if line.is_empty() {
            return Err(Refusal::new(Reason::Field, "the field lines could not be read"));
        }
        if count == fields_max.min(FIELDS_CAP) {
            return Err(Refusal::new(
                Reason::HeadTooLarge,
                "there are more field lines than this server reads",
            ));
        }
        field_line(line)?;
        count += 1;
        rest = &rest[line_end + 1..];
    }
    Ok(None)
}

/// Puts `value` into `slot`, for a field that may stand there once.
///
/// # Errors
/// `twice`, if the slot is taken.
pub(crate) fn set_once<'b>(
    slot: &mut Option<&'b [u8]>,
    value: &'b [u8],
    twice: Refusal,
) -> Result<(), Refusal> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(twice),
    }
}

/// Some readers take the first and some the last: a doubt about what the body is.
pub(crate) const TWO_CONTENT_TYPES: Refusal =
    Refusal::new(Reason::Field, "there is more than one Content-Type (RFC 9110, 8.3)");

/// A line that ends with LF alone.
pub(crate) const BARE_LF: Refusal =
    Refusal::new(Reason::Field, "a line ends with LF alone, where CR LF belongs (RFC 9112, 2.2)");

/// The line without its CRLF; `None` if it does not end so.
pub(crate) fn strip_line_end(line: &[u8]) -> Option<&[u8]> {
    line.strip_suffix(b"\r\n")
}

/// One field line without its CRLF, by the grammar of RFC 9112 §5.
///
/// # Errors
/// 400, with the reason.
pub(crate) fn field_line(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let wrong = |why| Err(Refusal::new(Reason::Field, why));
    if let [b' ' | b'\t', ..] = line {
        return wrong("a field line begins with whitespace, and folded lines are obsolete (RFC 9112, 5.2)");
    }
    let Some(colon) = memchr(b':', line) else {
        return wrong("a field line has no colon");
    };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    match name {
        [] => return wrong("a field has no name"),
        [.., b' ' | b'\t'] => return wrong("whitespace stands before a colon (RFC 9112, 5.1)"),
        _ if !is_token(name) => return wrong("a field's name has a byte that names do not have"),
        _ => {}
    }
    if !value.iter().all(|&b| is_value_byte(b)) {
        return wrong("a field's value has a control character, such as NUL or a CR without LF");
    }
    Ok((name, trim(value)))
}

#[cfg(test)]
mod tests {
    use super::{explain, parse};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

        /// There are two readers of field lines: httparse, and the walk that explains and judges trailers. This holds them
        /// to one grammar: a whole section parses if, and only if, the walk finds no fault before its empty line.
        #[test]
        fn the_walk_and_httparse_agree(lines in prop::collection::vec("[aZ:]{0,2}[a: \t\r\n\0\x7f\u{e9}(!]{0,6}(\r\n)?", 0..5)) {
            let section = [lines.concat().as_bytes(), b"\r\n\r\n"].concat();
            let end = section.windows(4).position(|bytes| bytes == b"\r\n\r\n").map_or(0, |at| at + 2);
            let is_empty = section.starts_with(b"\r\n");
            let is_right = is_empty || explain::<()>(&section[..end], 100).is_ok();
            let parsed = parse(&section, 100, |_| Ok(()));
            prop_assert_eq!(parsed.is_ok(), is_right);
            if is_right {
                prop_assert_eq!(parsed.ok().flatten().map(|section| section.len), Some(if is_empty { 2 } else { end + 2 }));
            }
        }
    }
}
