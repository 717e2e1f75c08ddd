//! Text from elsewhere, made harmless to show, and names in paths.
//!
//! In: what servers said, names as they stand in a path. Out: text without characters that command a terminal or turn a
//! line around; decoded names. Never: longer than [`SHOWN_MAX`]. Markup is not looked at: JSON and the page need no escapes.

use std::borrow::Cow;

/// Characters of one text that are shown: a reason is a line, whatever a server said. The longest of ours has 300.
pub(super) const SHOWN_MAX: usize = 600;

/// `text` in one line, cut if it is too long.
pub(super) fn tame(text: &str) -> String {
    let mut shown: String =
        text.chars().take(SHOWN_MAX).map(|c| if is_wild(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        shown.pop();
        shown.push('…');
    }
    shown
}

/// Controls, and what changes the direction of writing (Unicode's `Bidi_Control`): `drained` must not read `deniard`.
fn is_wild(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A segment of a path with its `%41` decoded (RFC 3986 §2.1); `None` if it is not UTF-8 then, or a `%` has no digits.
pub(super) fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

/// A name as a segment of a path: all but the unreserved characters (RFC 3986 §2.3) is encoded, `/` too.
pub(super) fn encode(name: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if name.bytes().all(is_plain) {
        return Cow::Borrowed(name);
    }
    let one = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    Cow::Owned(name.bytes().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for name in ["a", "unix:/run/a.sock", "[::1]:80", "100 %", "ä/ö", "%2F", ""] {
            let encoded = encode(name);
            assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"%-._~".contains(&b)), "{encoded}");
            assert_eq!(decode(&encoded).as_deref(), Some(name));
        }
        assert_eq!(encode("unix:/a"), "unix%3A%2Fa");
    }

    #[test]
    fn what_is_no_encoding_names_nothing() {
        for segment in ["%", "%4", "%zz", "%+1", "%ff", "a%"] {
            assert_eq!(decode(segment), None, "{segment}");
        }
    }

    #[test]
    fn no_text_commands_a_terminal_or_turns_a_line() {
        assert_eq!(
            tame("a\u{1b}[2J\r\nb\u{7f}\u{9b}\u{202e}\u{2028}<i>"),
            "a\u{fffd}[2J\u{fffd}\u{fffd}b\u{fffd}\u{fffd}\u{fffd}\u{fffd}<i>"
        );
        let long = tame(&"x".repeat(SHOWN_MAX + 1));
        assert!(long.chars().count() == SHOWN_MAX && long.ends_with("x…"));
        assert_eq!(tame(&"x".repeat(SHOWN_MAX)).chars().last(), Some('x'));
    }
}
