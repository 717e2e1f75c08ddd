//! Request targets: what is asked for, in the four forms of RFC 9112 §3.2.

use super::authority;
use super::chars::is_target_text;
use super::error::{Reason, Refusal};
use super::head::Method;

/// A valid request target. Nothing is decoded or normalised: `%41` stays `%41`, `//` stays `//`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// `/path?query`: the usual form (RFC 9112 §3.2.1).
    Origin {
        /// Begins with `/`.
        path: &'a str,
        /// Behind the first `?`, if there is one.
        query: Option<&'a str>,
    },
    /// `http://host:port/path?query`, as sent to proxies; every server must take it (RFC 9112 §3.2.2).
    Absolute {
        /// Host and port; wins over the `Host` field.
        authority: &'a str,
        /// Begins with `/`; an absent path is `/` (RFC 9110 §4.2.3).
        path: &'a str,
        /// Behind the first `?`, if there is one.
        query: Option<&'a str>,
    },
    /// `host:port`, for `CONNECT` and nothing else (RFC 9112 §3.2.3).
    Authority(&'a str),
    /// `*`, for `OPTIONS` and nothing else (RFC 9112 §3.2.4).
    Asterisk,
}

impl<'a> Target<'a> {
    /// The path to route by: `*` and an authority are paths of nothing, and come back empty.
    pub fn path(self) -> &'a str {
        match self {
            Target::Origin { path, .. } | Target::Absolute { path, .. } => path,
            Target::Authority(_) | Target::Asterisk => "",
        }
    }

    /// What stands behind the first `?`.
    pub fn query(self) -> Option<&'a str> {
        match self {
            Target::Origin { query, .. } | Target::Absolute { query, .. } => query,
            Target::Authority(_) | Target::Asterisk => None,
        }
    }

    /// Reads `text` as the target of a request with `method`.
    ///
    /// # Errors
    /// 400, with the reason.
    pub(crate) fn parse(method: Method<'_>, text: &'a str) -> Result<Target<'a>, Refusal> {
        match (method, text.as_bytes()) {
            (_, []) => wrong("the request target is empty"),
            (Method::Connect, _) => for_connect(text),
            (Method::Options, b"*") => Ok(Target::Asterisk),
            (_, b"*") => wrong("the target * is for OPTIONS alone (RFC 9112, 3.2.4)"),
            (_, [b'/', ..]) => {
                let (path, query) = path_and_query(text)?;
                Ok(Target::Origin { path, query })
            }
            _ => absolute(text),
        }
    }
}

fn wrong<T>(why: &'static str) -> Result<T, Refusal> {
    Err(Refusal::new(Reason::Target, why))
}

fn path_and_query(text: &str) -> Result<(&str, Option<&str>), Refusal> {
    if !is_target_text(text.as_bytes()) {
        return wrong(
            "the request target has a byte that must be percent-encoded, or a fragment (RFC 3986, 3.3)",
        );
    }
    Ok(match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    })
}

/// The port must be there, and not zero (RFC 9110 §9.3.6).
fn for_connect(text: &str) -> Result<Target<'_>, Refusal> {
    match authority::parse(text.as_bytes()) {
        Some(authority) if authority.port.is_some_and(|port| port != 0) => Ok(Target::Authority(text)),
        _ => wrong("the target of CONNECT must be host:port (RFC 9112, 3.2.3)"),
    }
}

fn absolute(text: &str) -> Result<Target<'_>, Refusal> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return wrong("the request target must begin with / or http:// (RFC 9112, 3.2)");
    };
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return wrong("the request target's scheme must be http or https");
    }
    let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if authority.is_empty() || authority::parse(authority.as_bytes()).is_none() {
        return wrong("the request target needs a valid host, without user information (RFC 9110, 4.2)");
    }
    let (path, query) = path_and_query(rest)?;
    Ok(Target::Absolute { authority, path: if path.is_empty() { "/" } else { path }, query })
}
