//! What can be wrong with a body, and the words for it.
//!
//! Every message says what is wrong and what would be right. None has a quote, a backslash or a
//! control character in it, and none repeats a byte of the body: it can go between two quotes as it is.

use std::borrow::Cow;
use std::fmt;

/// Why a body has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The body is no JSON that we accept. Answered with 400.
    #[error("the body {0}; send a JSON object with two numbers, a and b")]
    Malformed(#[from] Malformed),
    /// The body is JSON, but there is nothing in it to add. Answered with 422.
    #[error("{0}")]
    Unprocessable(#[from] Unprocessable),
}

/// In which way a body is not JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// RFC 8259, 8.1: JSON between systems is UTF-8.
    #[error("is not UTF-8 from byte {at} on")]
    NotUtf8 {
        /// How many bytes before it were good.
        at: usize,
    },
    /// RFC 8259, 2; also anything but whitespace behind the value.
    #[error("is not JSON: {why}")]
    NotJson {
        /// What serde_json has to say, with line and column.
        why: String,
    },
    /// RFC 8259, 8.2: one half of a UTF-16 pair, written as an escape.
    #[error("is not JSON: half a surrogate pair in a string")]
    LoneSurrogate,
    /// RFC 8259, 4: nobody can say which of two members of one name is meant.
    #[error("has the member {0} more than once")]
    Repeated(Member),
}

/// In which way a JSON body is not an addition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unprocessable {
    /// The whole body is some other value.
    #[error("the body is {0}; send an object with two numbers, a and b")]
    NotAnObject(Kind),
    /// The object lacks a member.
    #[error("the member {0} is missing; send an object with two numbers, a and b")]
    Missing(Member),
    /// The member is there, and is of another type.
    #[error("the member {0} is {1}; send a number")]
    NotANumber(Member, Kind),
    /// An integer beyond [`super::DIGITS_MAX`].
    #[error("the member {member} has {digits} digits; send at most {max}", max = super::DIGITS_MAX)]
    TooManyDigits {
        /// Which of the two.
        member: Member,
        /// How many it has, without the sign.
        digits: usize,
    },
    /// One of the two has a fraction or an exponent, and this one is beyond a double.
    #[error("the member {0} is too large for a double; send a number between -1.79e308 and 1.79e308")]
    TooLarge(Member),
    /// Both are doubles, and their sum is beyond one.
    #[error("the sum is too large for a double; send numbers whose sum is between -1.79e308 and 1.79e308")]
    SumTooLarge,
}

/// One of the two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// `a`
    A,
    /// `b`
    B,
}

/// What a JSON value is (RFC 8259, 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{}`
    Object,
    /// `[]`
    Array,
    /// `""`
    String,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
    /// Anything else that is JSON.
    Number,
}

impl Problem {
    /// The words for the caller: what is wrong, and what would be right. Needs no escaping inside a
    /// JSON string. Under 300 bytes.
    pub fn message(&self) -> Cow<'static, str> {
        Cow::Owned(self.to_string())
    }
}

impl Kind {
    /// What `json` is, by its first byte. It must be JSON, with no whitespace before it.
    pub(super) fn of(json: &str) -> Kind {
        match json.as_bytes().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Member::A => "a",
            Member::B => "b",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Object => "an object",
            Kind::Array => "an array",
            Kind::String => "a string",
            Kind::Bool => "a boolean",
            Kind::Null => "null",
            Kind::Number => "a number",
        })
    }
}
