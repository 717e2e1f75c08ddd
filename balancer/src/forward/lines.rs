//! Field lines, read from a head's bytes and appended to another's.
//!
//! In: the bytes of a head that a strict parser took. Out: its lines with what each is; or lines appended. Never: judges a line again:
//! all that a line may not have was refused before.

use super::names::Kind;
use memchr::memchr;

/// One field line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'r> {
    /// With its CRLF.
    whole: &'r [u8],
    pub(super) name: &'r [u8],
    /// Without whitespace around.
    pub(super) value: &'r [u8],
    pub(super) kind: Kind,
}

impl Line<'_> {
    /// Appends it as `Name: value`.
    pub(super) fn copy(&self, out: &mut Vec<u8>) {
        let Line { whole, name, value, .. } = *self;
        let is_plain =
            whole.len() == name.len() + value.len() + 4 && whole.get(name.len() + 1) == Some(&b' ');
        if is_plain { out.extend_from_slice(whole) } else { line(out, name, value) }
    }
}

/// A lane's memory of where the lines of the head at hand are: they are looked at twice, and found once. It grows to the
/// lines of the longest head, which the parser bounds.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<Place>);

/// Where one line is, from the head's first byte.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: u32,
    name_len: u32,
    value_at: u32,
    value_len: u32,
    len: u32,
    kind: Kind,
}

impl Places {
    /// The field lines of the head `raw`, which was parsed.
    pub(super) fn find<'r>(&'r mut self, raw: &'r [u8]) -> Lines<'r> {
        self.0.clear();
        let mut at = first_line(raw).len();
        while let Some(place) = place(raw, at) {
            at += place.len as usize;
            self.0.push(place);
        }
        Lines { raw, places: &self.0 }
    }
}

/// The line that begins at `at`; `None` if it is the empty line, or none.
fn place(raw: &[u8], at: usize) -> Option<Place> {
    let rest = raw.get(at..)?;
    let whole = &rest[..=memchr(b'\n', rest)?];
    // The empty line has no colon.
    let name_len = memchr(b':', whole)?;
    let (name, behind) = (&whole[..name_len], &whole[name_len + 1..]);
    let value = behind.trim_ascii_start();
    let value_at = at + whole.len() - value.len();
    let kind = Kind::of(name);
    // A head is far shorter than 4 GiB.
    let short = |len: usize| len as u32;
    Some(Place {
        at: short(at),
        name_len: short(name_len),
        value_at: short(value_at),
        value_len: short(value.trim_ascii_end().len()),
        len: short(whole.len()),
        kind,
    })
}

/// The lines of one head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines<'r> {
    raw: &'r [u8],
    places: &'r [Place],
}

impl<'r> Lines<'r> {
    pub(super) fn iter(self) -> impl Iterator<Item = Line<'r>> {
        let part = move |at: u32, len: u32| &self.raw[at as usize..(at + len) as usize];
        self.places.iter().map(move |place| Line {
            whole: part(place.at, place.len),
            name: part(place.at, place.name_len),
            value: part(place.value_at, place.value_len),
            kind: place.kind,
        })
    }
}

/// The first line, with its CRLF.
pub(super) fn first_line(raw: &[u8]) -> &[u8] {
    memchr(b'\n', raw).map_or(raw, |end| &raw[..=end])
}

/// Appends one field line. Name and value are valid: they come from a strict parser, or from here.
pub(super) fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    parts(out, &[name, b": ", value, b"\r\n"]);
}

/// Appends a field with these members; nothing if there are none.
pub(super) fn list<'m>(out: &mut Vec<u8>, name: &str, members: impl IntoIterator<Item = &'m [u8]>) {
    let start = out.len();
    for member in members {
        let (name, separator) = if out.len() == start { (name, ": ") } else { ("", ", ") };
        parts(out, &[name.as_bytes(), separator.as_bytes(), member]);
    }
    if out.len() > start {
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends one after the other.
pub(super) fn parts(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_copied_in_one_shape() {
        let raw = b"GET /:_ HTTP/1.1\r\nA: b\r\nA:b\r\nA:  b\r\nA: b \r\nA:\tb\r\nA:\r\nA: \r\nA_b: c: d\r\n\r\nX: y\r\n";
        let mut out = Vec::new();
        Places::default().find(raw).iter().for_each(|line| line.copy(&mut out));
        assert_eq!(out, b"A: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: \r\nA: \r\nA_b: c: d\r\n");
    }

    #[test]
    fn what_is_no_head_has_no_lines() {
        for raw in [
            "",
            "\r\n",
            "GET / HTTP/1.1",
            "GET / HTTP/1.1\r\n",
            "GET / HTTP/1.1\r\nA: b",
            "\n\n\n",
            "a\r\n\r\nA: b\r\n",
        ] {
            assert_eq!(Places::default().find(raw.as_bytes()).iter().count(), 0, "{raw:?}");
        }
    }
}
