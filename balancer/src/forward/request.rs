//! A request's head as the server gets it, written from validated fields.
//!
//! In: a [`Head`] that was parsed strictly. Out: the head to send, without its last lines, which are the client's; and what the
//! request is. Never: passes on a field that is for this hop, two lengths, or a claim that is not believed.

use super::client::{self, Added, Client};
use super::fields::{Fields, Hop};
use super::ids::RequestIds;
use super::lines::{Line, Lines, Places, line, parts};
use super::names::{Claim, Kind, Options, members, protocols};
use super::route::{Router, Unrouted};
use super::{NotPassedOn, Onward, Repeat};
use crate::config::Config;
use net::http1::{Asked, Framing, Head, Method, Target, Version};
use std::ops::Range;

/// So many times a request may have passed us: balancers of one name may stand behind each other, but a request
/// that comes back again and again goes in circles until something breaks.
const PASSES_MAX: usize = 8;

/// The host of a request that names none, as only HTTP/1.0 allows: the one that checks ask for too.
const NO_HOST: &[u8] = b"localhost";

/// What the configuration says of requests.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) router: Router,
    pub(super) added: Added,
    /// Our name in `Via`; empty: none.
    via: Box<str>,
    /// For each pool: no connection to its servers is used again.
    closes: Box<[bool]>,
}

impl Rules {
    pub(super) fn new(config: &Config) -> Rules {
        // What can't stand in a list of tokens would not come back out of it.
        let is_name = config.forward.via.bytes().all(|b| b.is_ascii_graphic() && b != b',');
        Rules {
            router: Router::new(config),
            added: Added::new(&config.forward),
            via: if is_name { config.forward.via.as_str().into() } else { "".into() },
            closes: config.pools.iter().map(|pool| pool.idle.connections_max == 0).collect(),
        }
    }
}

/// How far a head was written.
pub(super) enum Written {
    /// Up to the client's lines: the same for all clients with the same [`Client::key`].
    Shared,
    /// To its end. The id is at this place, from the head's first byte.
    Whole { id: Range<usize> },
}

/// What one look at all fields says.
pub(super) struct Seen<'r> {
    pub(super) lines: Lines<'r>,
    pub(super) options: Options<'r>,
    /// Some protocol is there that may be passed on.
    has_protocol: bool,
    takes_trailers: bool,
    passes: usize,
    has_claims: bool,
    /// Lines with `X-Request-Id`, and the last.
    pub(super) ids: usize,
    pub(super) id: &'r [u8],
    /// Lines with `Max-Forwards`, and the last.
    max_forwards_lines: usize,
    max_forwards: &'r [u8],
}

/// Appends `head` as the server gets it. Whatever refuses it does so before the first byte.
pub(super) fn write(
    head: &Head<'_>,
    raw: &[u8],
    client: &Client,
    rules: &Rules,
    lines: &mut Places,
    ids: &mut RequestIds,
    out: &mut Vec<u8>,
) -> Result<(Onward, Written), NotPassedOn> {
    if matches!(head.method, Method::Connect | Method::Trace) {
        return Err(NotPassedOn::Method);
    }
    let seen = look(lines.find(raw), &rules.via)?;
    let forwards_left = forwards_left(head.method, &seen)?;
    if seen.passes > PASSES_MAX {
        return Err(NotPassedOn::Loop);
    }
    let host = head.authority().unwrap_or_default();
    let pool =
        rules.router.pool(client.listener(), host, head.target.path()).map_err(
            |unrouted| match unrouted {
                Unrouted::NoRoute => NotPassedOn::NoRoute,
                Unrouted::DotSegment => NotPassedOn::BadRequest(
                    "the path has a dot segment, which two readers resolve differently",
                ),
            },
        )?;
    let has_body = !matches!(head.framing, Framing::None | Framing::Length(0));
    let hop = Hop {
        // Only once the request is complete could the server switch (RFC 9110 §7.8): with a body that is a state that
        // nobody needs, and ignoring the wish is always right.
        upgrade: seen.options.upgrade
            && seen.has_protocol
            && head.version == Version::Http11
            && head.method != Method::Head
            && !has_body,
        trailers: seen.takes_trailers && head.version == Version::Http11,
        expect: head.expects_continue && has_body,
        close: rules.closes.get(pool).copied().unwrap_or_default(),
    };
    let onward = Onward {
        pool,
        asked: match head.method {
            Method::Head => Asked::Head,
            _ if hop.upgrade => Asked::Upgrade,
            _ => Asked::Other,
        },
        repeat: Repeat::of(head.method),
        framing: head.framing,
        version: head.version,
        keep_alive: head.keep_alive,
        expects_continue: hop.expect,
        wants_upgrade: hop.upgrade,
        id_at: 0,
        id_len: 0,
    };
    let start = out.len();
    request_line(out, head, raw);
    if head.host.is_none() {
        // RFC 9112 §3.2: in HTTP/1.1 there must be one. It would be empty where nobody knows one, but nginx refuses that.
        line(out, b"Host", if host.is_empty() { NO_HOST } else { host });
    }
    let writer =
        Fields { framing: head.framing, seen: &seen, hop, host, forwards_left, client, added: rules.added };
    let kept_id = writer.fields(out, start);
    writer.hop_fields(out);
    if !rules.via.is_empty() {
        let version = if head.version == Version::Http10 { "1.0 " } else { "1.1 " };
        parts(out, &[b"Via: ", version.as_bytes(), rules.via.as_bytes(), b"\r\n"]);
    }
    if client.is_trusted() && seen.has_claims {
        let id = writer.claims(out, start, kept_id, ids);
        return Ok((onward, Written::Whole { id }));
    }
    if rules.added.x_forwarded && !host.is_empty() {
        line(out, b"X-Forwarded-Host", host);
    }
    if rules.added.forwarded {
        out.extend_from_slice(b"Forwarded: ");
        client::forwarded_host(out, host);
    }
    Ok((onward, Written::Shared))
}

fn look<'r>(lines: Lines<'r>, via: &str) -> Result<Seen<'r>, NotPassedOn> {
    let mut options = Options::default();
    let mut has_protocol = false;
    let mut takes_trailers = false;
    let mut passes = 0;
    let mut has_claims = false;
    let (mut ids, mut id) = (0, &b""[..]);
    let (mut max_forwards_lines, mut max_forwards) = (0, &b""[..]);
    for Line { value, kind, .. } in lines.iter() {
        match kind {
            Kind::Connection => {
                members(value).try_for_each(|option| options.add(option)).map_err(NotPassedOn::BadRequest)?;
            }
            Kind::Upgrade => has_protocol |= protocols(value).next().is_some(),
            Kind::Te => takes_trailers |= members(value).any(|it| it.eq_ignore_ascii_case(b"trailers")),
            Kind::Via => passes += members(value).filter(|member| is_by(member, via)).count(),
            Kind::MaxForwards => {
                max_forwards = value;
                max_forwards_lines += 1;
            }
            Kind::Claim(claim) => {
                has_claims = true;
                if claim == Claim::RequestId {
                    id = value;
                    ids += 1;
                }
            }
            _ => {}
        }
    }
    Ok(Seen {
        lines,
        options,
        has_protocol,
        takes_trailers,
        passes,
        has_claims,
        ids,
        id,
        max_forwards_lines,
        max_forwards,
    })
}

/// Was this member of `Via` written by `name`? `1.1 name (comment)`, `HTTP/1.1 name`. Nobody has no name.
fn is_by(member: &[u8], name: &str) -> bool {
    let mut words = member.split(|&b| matches!(b, b' ' | b'\t')).filter(|word| !word.is_empty());
    words.nth(1).is_some_and(|by| by.eq_ignore_ascii_case(name.as_bytes()))
}

/// `Max-Forwards` as it goes on with `OPTIONS` (RFC 9110 §7.6.2); other methods pass it on untouched.
fn forwards_left(method: Method<'_>, seen: &Seen<'_>) -> Result<Option<u64>, NotPassedOn> {
    if method != Method::Options || seen.max_forwards_lines == 0 {
        return Ok(None);
    }
    let value = seen.max_forwards;
    if seen.max_forwards_lines > 1 || value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(NotPassedOn::BadRequest("Max-Forwards must be one number (RFC 9110, 7.6.2)"));
    }
    let number = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    match value.iter().fold(0, number) {
        0 => Err(NotPassedOn::AskedUs),
        forwards => Ok(Some(forwards - 1)),
    }
}

/// `method SP target SP HTTP/1.1`: the version is ours (RFC 9110 §2.5), the target loses scheme and authority.
fn request_line(out: &mut Vec<u8>, head: &Head<'_>, raw: &[u8]) {
    parts(out, &[head.method.as_str().as_bytes(), b" "]);
    match head.target {
        // `OPTIONS http://host` is `OPTIONS *` to that host (RFC 9112 §3.2.4); no path there means none, not `/`.
        Target::Absolute { authority, query: None, .. }
            if head.method == Method::Options && target_of(raw).ends_with(authority.as_bytes()) =>
        {
            out.push(b'*');
        }
        Target::Origin { path, query } | Target::Absolute { path, query, .. } => {
            out.extend_from_slice(path.as_bytes());
            if let Some(query) = query {
                parts(out, &[b"?", query.as_bytes()]);
            }
        }
        Target::Authority(authority) => out.extend_from_slice(authority.as_bytes()),
        Target::Asterisk => out.push(b'*'),
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// The target as it came.
fn target_of(raw: &[u8]) -> &[u8] {
    raw.split(|&b| b == b' ').nth(1).unwrap_or_default()
}
