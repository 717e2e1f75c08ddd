//! `uri-host [":" port]`: what `Host` holds, and what stands in a target with an authority.
//!
//! No user information: nobody may send it (RFC 9110 §4.2.4), and it hides which host is meant.

use super::chars::is_host_text;
use std::net::Ipv6Addr;

/// The two halves of a valid authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    pub(crate) host: &'a [u8],
    pub(crate) port: Option<u16>,
}

/// `None` if the grammar does not have it, if a port is over 65535, or if there is a port but no host.
///
/// A wholly empty authority is valid here: `Host` may be empty (RFC 9110 §7.2). So is an empty port (RFC 3986 §3.2.3).
pub(crate) fn parse(bytes: &[u8]) -> Option<Authority<'_>> {
    let (host, port) = match bytes {
        [] => return Some(Authority { host: b"", port: None }),
        [b'[', ..] => bracketed(bytes)?,
        _ => named(bytes)?,
    };
    let port = match port {
        [] => None,
        [b':', digits @ ..] => port_number(digits)?,
        _ => return None,
    };
    (!host.is_empty()).then_some(Authority { host, port })
}

fn named(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (host, port) = bytes.split_at(memchr::memchr(b':', bytes).unwrap_or(bytes.len()));
    is_host_text(host).then_some((host, port))
}

/// An IPv6 address. The grammar's `IPvFuture` is refused: no such future has come.
fn bracketed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (host, port) = bytes.split_at(memchr::memchr(b']', bytes)? + 1);
    let address = str::from_utf8(&host[1..host.len() - 1]).ok()?;
    address.parse::<Ipv6Addr>().ok()?;
    Some((host, port))
}

/// The outer `None`: not a port. The inner: none was given.
fn port_number(digits: &[u8]) -> Option<Option<u16>> {
    if digits.is_empty() {
        return Some(None);
    }
    let mut port: u16 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        port = port.checked_mul(10)?.checked_add(u16::from(digit - b'0'))?;
    }
    Some(Some(port))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn hosts_of_every_kind_are_read() {
        for good in ["", "a", "a.example", "a:80", "a:", "127.0.0.1:8080", "[::1]", "[::1]:443", "a_b", "%41"]
        {
            assert!(parse(good.as_bytes()).is_some(), "{good}");
        }
        assert_eq!(parse(b"[::1]:443").map(|a| (a.host, a.port)), Some((&b"[::1]"[..], Some(443))));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for bad in [
            "a b", "u@a", "a,b", "a:65536", "a:1:2", "a:x", ":80", "[::1", "[]", "[1]", "[::1]x", "a/b", "%4",
        ] {
            assert!(parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
