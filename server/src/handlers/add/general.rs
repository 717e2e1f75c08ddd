//! Any body at all: checked as JSON first, looked at as an addition second.
//!
//! In: a body. Out: the sum or the problem. The two steps are kept apart so that a body which is both no
//! JSON and no addition is answered as no JSON (400), wherever in it the mistakes stand.
//! Never: recurses with the body's nesting. serde_json skips a value that nobody asked for in a loop.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::exact::{self, Sum};
use super::problem::{Kind, Malformed, Member, Problem, Unprocessable};

/// The sum of `a` and `b` in `body`.
#[inline(never)]
pub(super) fn sum(body: &[u8]) -> Result<Sum, Problem> {
    // Whole and first: serde_json does not look inside the strings that it skips.
    let text = std::str::from_utf8(body).map_err(|e| Malformed::NotUtf8 { at: e.valid_up_to() })?;
    // Only an object can be an addition. Anything else is read for its syntax alone.
    if !text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{') {
        serde_json::from_str::<IgnoredAny>(text).map_err(not_json)?;
        check_surrogates(text)?;
        return Err(Unprocessable::NotAnObject(Kind::of(text.trim_ascii())).into());
    }
    let members: Members<'_> = serde_json::from_str(text).map_err(not_json)?;
    check_surrogates(text)?;
    if let Some(member) = members.repeated {
        return Err(Malformed::Repeated(member).into());
    }
    Ok(exact::sum(number(Member::A, members.a)?, number(Member::B, members.b)?)?)
}

/// serde_json writes no quote and no byte of the body, but it spells control characters with a backslash.
fn not_json(error: serde_json::Error) -> Malformed {
    Malformed::NotJson { why: error.to_string().replace("\\u", "U+") }
}

/// The text of a member that must be a number.
fn number(member: Member, value: Option<&RawValue>) -> Result<&str, Unprocessable> {
    let text = value.ok_or(Unprocessable::Missing(member))?.get();
    match Kind::of(text) {
        Kind::Number => Ok(text),
        kind => Err(Unprocessable::NotANumber(member, kind)),
    }
}

/// What an object has to say about an addition: values as they are written, nothing judged yet.
#[derive(Default)]
struct Members<'a> {
    a: Option<&'a RawValue>,
    b: Option<&'a RawValue>,
    repeated: Option<Member>,
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Members<'de>, M::Error> {
        let mut members = Members::default();
        while let Some(Name(name)) = map.next_key()? {
            let Some(member) = name else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let place = match member {
                Member::A => &mut members.a,
                Member::B => &mut members.b,
            };
            if place.replace(map.next_value()?).is_some() {
                members.repeated.get_or_insert(member);
            }
        }
        Ok(members)
    }
}

/// A member's name with its escapes undone, so that `"\u0061"` is `a`; None for one that is ignored.
struct Name(Option<Member>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(Name(match name {
            "a" => Some(Member::A),
            "b" => Some(Member::B),
            _ => None,
        }))
    }
}

/// Half a surrogate pair spells no character (RFC 8259, 8.2). serde_json refuses it in the strings
/// that it decodes; this holds the ones that it skips to the same rule.
///
/// `text` must be JSON already: then a backslash stands in a string, and four hex digits follow `\u`.
fn check_surrogates(text: &str) -> Result<(), Malformed> {
    // Most bodies have no escape, and `find` is fast at saying so. Between many escapes it would be slow.
    let Some(first) = text.find('\\') else { return Ok(()) };
    let mut rest = &text.as_bytes()[first..];
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        let escape = &rest[at..];
        let len = match code_unit(escape) {
            None => 2,
            Some(0xD800..=0xDBFF) => match escape.get(6..).and_then(code_unit) {
                Some(0xDC00..=0xDFFF) => 12,
                _ => return Err(Malformed::LoneSurrogate),
            },
            Some(0xDC00..=0xDFFF) => return Err(Malformed::LoneSurrogate),
            Some(_) => 6,
        };
        rest = escape.get(len..).unwrap_or_default();
    }
    Ok(())
}

/// The number in an escape of the form `\u0061` at the start of `text`.
fn code_unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.first_chunk::<4>()?;
    digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)? as u16))
}
