//! Why a message was refused: a status for the peer, a sentence for people, a label for metrics.

use super::status::Status;
use std::fmt;

/// The peer sent something that is not taken. Answer with `status`, then close: after a refusal nobody knows
/// where the next message begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What to answer.
    pub status: Status,
    /// What is wrong and what would be right; part of a sentence, without a full stop.
    pub why: &'static str,
    reason: Reason,
}

impl Refusal {
    /// A refusal for `reason`, whose status it takes.
    pub(crate) const fn new(reason: Reason, why: &'static str) -> Refusal {
        Refusal { status: reason.status(), why, reason }
    }

    /// The kind, for counting.
    pub const fn reason(&self) -> Reason {
        self.reason
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.why)
    }
}

impl std::error::Error for Refusal {}

/// The kinds of refusal: few and fixed, so that a metric can have one series for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// The first line is not a request line or status line (RFC 9112 §3, §4): 400.
    FirstLine,
    /// The method's name is longer than that of any method (RFC 9112 §3): 501.
    MethodTooLong,
    /// The target has a forbidden byte, or not the form its method needs (RFC 9112 §3.2): 400.
    Target,
    /// The target, or the request line, is longer than we read (RFC 9110 §15.5.15): 414.
    TargetTooLong,
    /// A major version that is not 1 (RFC 9110 §15.6.6): 505.
    Version,
    /// A field line that breaks the grammar, or a field that contradicts itself (RFC 9112 §5): 400.
    Field,
    /// The head is larger than we hold, or has too many fields (RFC 6585 §5): 431.
    HeadTooLarge,
    /// `Host` is missing, doubled or malformed (RFC 9112 §3.2): 400.
    Host,
    /// An expectation other than `100-continue` (RFC 9110 §10.1.1): 417.
    Expectation,
    /// `Content-Length` or `Transfer-Encoding` leave the length in doubt (RFC 9112 §6.3): 400.
    Framing,
    /// A transfer coding besides `chunked` (RFC 9112 §6.1): 501.
    Coding,
    /// The body is, or would be, larger than we hold (RFC 9110 §15.5.14): 413.
    BodyTooLarge,
    /// A chunk that breaks the grammar (RFC 9112 §7.1): 400.
    Chunk,
    /// A trailer field that breaks the grammar or may not be there (RFC 9110 §6.5.1): 400.
    Trailer,
}

impl Reason {
    /// All of them, in the order of [`Reason::index`].
    pub const ALL: [Reason; 14] = [
        Reason::FirstLine,
        Reason::MethodTooLong,
        Reason::Target,
        Reason::TargetTooLong,
        Reason::Version,
        Reason::Field,
        Reason::HeadTooLarge,
        Reason::Host,
        Reason::Expectation,
        Reason::Framing,
        Reason::Coding,
        Reason::BodyTooLarge,
        Reason::Chunk,
        Reason::Trailer,
    ];

    /// Its place in [`Reason::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its name in metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Reason::FirstLine => "first_line",
            Reason::MethodTooLong => "method_too_long",
            Reason::Target => "target",
            Reason::TargetTooLong => "target_too_long",
            Reason::Version => "version",
            Reason::Field => "field",
            Reason::HeadTooLarge => "head_too_large",
            Reason::Host => "host",
            Reason::Expectation => "expectation",
            Reason::Framing => "framing",
            Reason::Coding => "coding",
            Reason::BodyTooLarge => "body_too_large",
            Reason::Chunk => "chunk",
            Reason::Trailer => "trailer",
        }
    }

    /// What a server answers.
    pub const fn status(self) -> Status {
        match self {
            Reason::MethodTooLong | Reason::Coding => Status::NOT_IMPLEMENTED,
            Reason::TargetTooLong => Status::URI_TOO_LONG,
            Reason::Version => Status::VERSION_NOT_SUPPORTED,
            Reason::HeadTooLarge => Status::FIELDS_TOO_LARGE,
            Reason::Expectation => Status::EXPECTATION_FAILED,
            Reason::BodyTooLarge => Status::CONTENT_TOO_LARGE,
            Reason::FirstLine
            | Reason::Target
            | Reason::Field
            | Reason::Host
            | Reason::Framing
            | Reason::Chunk
            | Reason::Trailer => Status::BAD_REQUEST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn a_reason_is_found_at_its_index_and_has_a_label_of_its_own() {
        for (at, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), at);
            assert_eq!(Reason::ALL.iter().filter(|other| other.label() == reason.label()).count(), 1);
        }
    }
}
