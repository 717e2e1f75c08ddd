//! The `Connection` field: does the connection go on after this message?

use super::chars::{is_token, members};
use super::error::{Reason, Refusal};
use super::head::Version;

/// What the `Connection` fields read so far ask for. The order is that of precedence: `close` always wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wish {
    /// Nothing about persistence.
    #[default]
    Default,
    KeepAlive,
    Close,
}

impl Wish {
    /// Reads one more field's value. Empty members are ignored, as RFC 9110 §5.6.1.2 asks of a recipient.
    ///
    /// # Errors
    /// 400 if an option is not a token: a `close` that we can't read is a doubt about the whole connection.
    pub(crate) fn add(&mut self, value: &[u8]) -> Result<(), Refusal> {
        for option in members(value) {
            if option.eq_ignore_ascii_case(b"close") {
                *self = Wish::Close;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                *self = (*self).max(Wish::KeepAlive);
            } else if !option.is_empty() && !is_token(option) {
                return Err(Refusal::new(
                    Reason::Field,
                    "an option of Connection is not a token (RFC 9110, 7.6.1)",
                ));
            }
        }
        Ok(())
    }

    /// RFC 9112 §9.3.
    pub(crate) fn keeps_alive(self, version: Version) -> bool {
        match self {
            Wish::Close => false,
            Wish::KeepAlive => true,
            Wish::Default => version == Version::Http11,
        }
    }
}
