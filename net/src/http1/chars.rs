//! Which byte may stand where: one table of 256 entries, one bit for each kind of place.

/// `tchar`, what names and methods are made of (RFC 9110 §5.6.2).
const TOKEN: u8 = 1;
/// A byte of a target's path or query, `%` apart (RFC 3986 §3.3, §3.4).
const TARGET: u8 = 2;
/// A byte of a registered host name, `%` apart (RFC 3986 §3.2.2). Without the comma that the grammar has: in a
/// `Host` field it reads as two hosts to a list parser.
const HOST: u8 = 4;
/// A byte of a field's value, the spaces around and inside it included (RFC 9110 §5.5).
const VALUE: u8 = 8;

static KINDS: [u8; 256] = kinds();

const fn kinds() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        let alphanumeric = b.is_ascii_alphanumeric();
        if alphanumeric || is_one_of(b, b"!#$%&'*+-.^_`|~") {
            table[byte] |= TOKEN;
        }
        if alphanumeric || is_one_of(b, b"-._~!$&'()*+,;=:@/?") {
            table[byte] |= TARGET;
        }
        if alphanumeric || is_one_of(b, b"-._~!$&'()*+;=") {
            table[byte] |= HOST;
        }
        if b == b'\t' || (b >= b' ' && b != 0x7f) {
            table[byte] |= VALUE;
        }
        byte += 1;
    }
    table
}

const fn is_one_of(byte: u8, set: &[u8]) -> bool {
    let mut at = 0;
    while at < set.len() {
        if set[at] == byte {
            return true;
        }
        at += 1;
    }
    false
}

fn is(byte: u8, kind: u8) -> bool {
    KINDS[usize::from(byte)] & kind != 0
}

/// Is this one `tchar`?
pub(crate) fn is_token_byte(byte: u8) -> bool {
    is(byte, TOKEN)
}

/// Is this a token: at least one `tchar`, nothing else?
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&b| is(b, TOKEN))
}

/// Is this field's name `lower`, in any case? `name` must be a token, and `lower` of small letters and hyphens: setting
/// one bit then folds the case of a letter, and makes nothing else equal to a letter or hyphen.
pub(crate) fn is_name<const N: usize>(name: &[u8], lower: &[u8; N]) -> bool {
    let Ok(name) = <&[u8; N]>::try_from(name) else {
        return false;
    };
    // No early exit: so it is a few vector instructions, where comparing byte by byte is a loop.
    name.iter().zip(lower).fold(0, |difference, (a, b)| difference | (a | 0x20) ^ b) == 0
}

/// May this byte stand in a field's value or a reason phrase?
pub(crate) fn is_value_byte(byte: u8) -> bool {
    is(byte, VALUE)
}

/// May these bytes stand in a path or query? Any `%` must begin a whole triplet.
pub(crate) fn is_target_text(bytes: &[u8]) -> bool {
    is_text(bytes, TARGET)
}

/// May these bytes stand in a registered host name? Any `%` must begin a whole triplet.
pub(crate) fn is_host_text(bytes: &[u8]) -> bool {
    is_text(bytes, HOST)
}

fn is_text(bytes: &[u8], kind: u8) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&b| !is(b, kind)) {
        match rest[at..] {
            [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest = &rest[at + 3..];
            }
            _ => return false,
        }
    }
    true
}

/// Without the optional whitespace around (OWS, RFC 9110 §5.6.3).
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The members of a comma-separated list, each trimmed; an empty member is yielded as such (RFC 9110 §5.6.1).
pub(crate) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(trim)
}
