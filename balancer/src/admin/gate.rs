//! Who may ask: the admin address has no password, so that what a browser can be made to do must not be enough.
//!
//! In: a request's head. Out: nothing, or why it is refused. A page from elsewhere can make an operator's browser send
//! requests here in two ways. *Rebinding*: its own name is pointed at this address, so that it is of the same origin; but
//! then `Host` has its name, which is not an address. *Forgery*: a form or a fetch across origins; but then the browser
//! names the origin, and it can't say `application/json` without asking us first (CORS), which is never allowed.

use super::Refused;
use net::http1::{Head, Status};
use std::net::IpAddr;

/// Refuses a request that was meant for a host with a name, other than localhost.
///
/// Whoever needs a name (a browser always sends one) can use the address instead; without `Host` it is no browser.
pub(super) fn check_host(head: &Head<'_>) -> Result<(), Refused> {
    let authority = head.authority().unwrap_or_default();
    if authority.is_empty() || is_address(&String::from_utf8_lossy(authority)) {
        return Ok(());
    }
    Err(Refused::new(
        Status::MISDIRECTED_REQUEST,
        "ask by an IP address or localhost: a host name is refused here, as any web page could have chosen it (DNS rebinding)",
    ))
}

/// An IP address or localhost, with a port or without.
fn is_address(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    // RFC 6761 §6.3: these never leave the machine.
    host.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

/// Refuses a change that a page from elsewhere could have sent.
pub(super) fn check_change(head: &Head<'_>) -> Result<(), Refused> {
    let authority = head.authority().unwrap_or_default();
    let is_foreign = head.fields().any(|(name, value)| {
        (name.eq_ignore_ascii_case(b"origin") && !is_origin(value, authority))
            || (name.eq_ignore_ascii_case(b"sec-fetch-site") && !matches!(value, b"same-origin" | b"none"))
    });
    if is_foreign {
        return Err(Refused::new(Status::FORBIDDEN, "changes are not taken from a page of another origin"));
    }
    if !is_json(head.content_type.unwrap_or_default()) {
        return Err(Refused::new(
            Status::UNSUPPORTED_MEDIA_TYPE,
            "a change needs `Content-Type: application/json`, with a body or without: a page from elsewhere can't send that",
        ));
    }
    Ok(())
}

/// `https` too: a proxy in front may add that.
fn is_origin(origin: &[u8], authority: &[u8]) -> bool {
    let host = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
    !authority.is_empty() && host.is_some_and(|host| host.eq_ignore_ascii_case(authority))
}

fn is_json(content_type: &[u8]) -> bool {
    let kind = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(super::JSON.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_not_be_rebound_is_an_address() {
        for good in [
            "127.0.0.1",
            "127.0.0.1:90",
            "10.1.2.3:9000",
            "[::1]",
            "[::1]:80",
            "localhost",
            "LOCALHOST:1",
            "localhost.",
            "a.localhost:80",
        ] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "evil.example",
            "evil.example:9000",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "xlocalhost",
            "[evil]",
            "1",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }

    #[test]
    fn an_origin_is_ours_if_it_is_whom_the_request_is_for() {
        let ours = |origin: &str| is_origin(origin.as_bytes(), b"127.0.0.1:9000");
        assert!(ours("http://127.0.0.1:9000") && ours("https://127.0.0.1:9000"));
        for foreign in
            ["null", "", "http://127.0.0.1", "http://127.0.0.1:9001", "http://evil.example", "127.0.0.1:9000"]
        {
            assert!(!ours(foreign), "{foreign}");
        }
        assert!(!is_origin(b"http://", b""));
    }

    #[test]
    fn json_is_json_with_parameters_and_in_any_case() {
        assert!(is_json(b"application/json") && is_json(b"Application/JSON ; charset=utf-8"));
        assert!(!is_json(b"") && !is_json(b"text/plain") && !is_json(b"text/plain; application/json"));
    }
}
