//! How an answer can be wrong, in a word to count by and a sentence to show.

use super::expect::Statuses;
use net::http1::ResponseHead;
use std::borrow::Cow;
use std::fmt::Write as _;

/// Characters of a body that are shown of a wrong answer.
const SHOWN_CHARS: usize = 100;
/// Bytes of a description at most.
const DESCRIPTION_BYTES_MAX: usize = 200;

/// An answer that came whole, but is not what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wrong {
    /// A status that is not among the expected ones.
    Status(u16),
    /// A number, but not the sum.
    Sum,
    /// No JSON object with a number in `result`.
    NoSum,
    /// Not the expected bytes.
    Body,
    /// Not the expected JSON.
    Json,
    /// The ledger: the answer to another request, which was in flight or had not got it.
    Swapped,
    /// The ledger: an answer that had come before.
    Duplicated,
    /// The ledger: the answer to a request of another lane or another run.
    Misrouted,
    /// The ledger: an answer to no request there ever was.
    Corrupted,
}

impl Wrong {
    /// A few words, the same for all of a kind.
    pub fn label(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Wrong::Status(code) => return Cow::Owned(format!("status {code}")),
            Wrong::Sum => "wrong sum",
            Wrong::NoSum => "not the JSON that was expected",
            Wrong::Body => "unexpected body",
            Wrong::Json => "unexpected JSON",
            Wrong::Swapped => "swapped answer",
            Wrong::Duplicated => "duplicated answer",
            Wrong::Misrouted => "misrouted answer",
            Wrong::Corrupted => "corrupted answer",
        })
    }
}

/// One wrong answer in a sentence of at most some 200 bytes, without control characters.
pub(crate) fn describe(
    wrong: &Wrong,
    sum: Option<i64>,
    statuses: &Statuses,
    head: &ResponseHead<'_>,
    body: &[u8],
) -> String {
    let expected = match (wrong, sum) {
        (Wrong::Status(_), _) => format!("expected {statuses}"),
        (Wrong::Body | Wrong::Json, _) => "expected another body".to_owned(),
        (_, Some(sum)) => format!("expected {{\"result\":{sum}}}"),
        (_, None) => "expected another answer".to_owned(),
    };
    let mut text = format!("{expected}, got {}", head.status);
    if body.is_empty() {
        text.push_str(" without a body");
    } else {
        text.push_str(": ");
        push_shown(&mut text, body);
    }
    text
}

/// Appends the front of `body`, as far as it can be shown on one line.
fn push_shown(text: &mut String, body: &[u8]) {
    // A character has at most four bytes; one that is cut at the end shows as a mark, and is over the bound.
    let front = &body[..body.len().min(SHOWN_CHARS * 4)];
    let mut is_cut = body.len() > front.len();
    for (at, char) in String::from_utf8_lossy(front).chars().enumerate() {
        // The longest escape has ten bytes, and the mark of a cut three.
        if at == SHOWN_CHARS || text.len() + 13 > DESCRIPTION_BYTES_MAX {
            is_cut = true;
            break;
        }
        match char {
            '"' | '\'' | '\\' => text.push(char),
            // Writing to a string does not fail.
            char => _ = write!(text, "{}", char.escape_debug()),
        }
    }
    if is_cut {
        text.push('…');
    }
}
