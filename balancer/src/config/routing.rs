//! Routes: how their hosts and paths are written, which comes first, and which can never match.
//!
//! In: routes as the file has them. Out: the list in the order of its trial (see [`Route`]). Never: a route that no request reaches.

use super::file::RouteKeys;
use super::keys::did_you_mean;
use super::refusal::Refusal;
use super::resolve::{Origin, pool_named};
use super::values::{HOST_BYTES_MAX, TARGET_BYTES_MAX};
use super::{HostRule, Listener, Route};
use std::cmp::Reverse;
use std::net::Ipv6Addr;

/// The routes, sorted.
pub(super) fn routes(
    keys: &[RouteKeys],
    listeners: &[Listener],
    pools: &[String],
    origin: &Origin<'_>,
) -> Result<Vec<Route>, Refusal> {
    let mut routes: Vec<Route> = Vec::with_capacity(keys.len());
    for (at, keys) in keys.iter().enumerate() {
        let at = at.to_string();
        let of = |key: &'static str| ["routes", &*at, key];
        let listener =
            listener(&keys.listener, listeners).map_err(|why| origin.refuse(&of("listener"), &why))?;
        let host = host(&keys.host).map_err(|why| origin.refuse(&of("host"), &why))?;
        check_path(&keys.path).map_err(|why| origin.refuse(&of("path"), &why))?;
        if keys.pool.is_empty() {
            return Err(origin.refuse(&of("pool"), "a route needs a pool: write pool = \"NAME\""));
        }
        let pool = pool_named(&keys.pool, pools, &of("pool"), origin)?;
        let route = Route { listener, host, path_prefix: keys.path.clone(), pool };
        if let Some(first) =
            routes.iter().position(|other| takes_same(other, &route) && other.listener == route.listener)
        {
            let first = origin.place_of(&["routes", &first.to_string()]);
            return Err(
                origin.refuse(&["routes", &at], &format!("takes the same requests as the route at {first}"))
            );
        }
        routes.push(route);
    }
    check_shadows(&routes, listeners.len(), origin)?;
    routes.sort_by_cached_key(rank);
    Ok(routes)
}

/// Each listener needs somewhere to send requests; and one that sends all of them by routes has no use for a pool of its own.
pub(super) fn check_reach(
    listeners: &[Listener],
    routes: &[Route],
    origin: &Origin<'_>,
) -> Result<(), Refusal> {
    for (at, listener) in listeners.iter().enumerate() {
        let mut own = routes.iter().filter(|route| route.listener.is_none_or(|listener| listener == at));
        let key = ["listeners", &at.to_string(), "pool"].map(str::to_owned);
        let key = key.each_ref().map(String::as_str);
        if listener.default_pool.is_none() && own.clone().next().is_none() {
            let why = format!(
                "no request at {} has a pool to go to: add pool = \"NAME\", or a route",
                listener.address
            );
            return Err(origin.refuse(&key, &why));
        }
        if listener.default_pool.is_some()
            && own.any(|route| route.host == HostRule::Any && route.path_prefix == "/")
        {
            return Err(origin.refuse(&key, "a route takes every request here: this pool never gets one"));
        }
    }
    Ok(())
}

/// A route for all listeners is of no use if each of them has one of its own for the same.
fn check_shadows(routes: &[Route], listeners: usize, origin: &Origin<'_>) -> Result<(), Refusal> {
    for (at, route) in routes.iter().enumerate().filter(|(_, route)| route.listener.is_none()) {
        let own = routes.iter().filter(|other| other.listener.is_some() && takes_same(other, route));
        // Two of one listener would have been refused as the same.
        if own.count() == listeners {
            let why = "can never match: every listener has a route of its own for this host and path";
            return Err(origin.refuse(&["routes", &at.to_string()], why));
        }
    }
    Ok(())
}

/// What is tried first comes first: exact hosts, then wildcards (longer ones first), then any; then longer paths; then what is
/// for one listener.
fn rank(route: &Route) -> (u8, Reverse<usize>, Reverse<usize>, bool) {
    let (class, length) = match &route.host {
        HostRule::Exact(_) => (0, 0),
        HostRule::Suffix(suffix) => (1, suffix.len()),
        HostRule::Any => (2, 0),
    };
    (class, Reverse(length), Reverse(route.path_prefix.len()), route.listener.is_none())
}

fn takes_same(one: &Route, other: &Route) -> bool {
    one.host == other.host && one.path_prefix == other.path_prefix
}

fn listener(text: &str, listeners: &[Listener]) -> Result<Option<usize>, String> {
    if text == "*" {
        return Ok(None);
    }
    let address = text.parse()?;
    let found = listeners.iter().position(|listener| listener.address == address);
    found.map(Some).ok_or_else(|| {
        let known: Vec<String> = listeners.iter().map(|listener| listener.address.to_string()).collect();
        let nearest = did_you_mean(text, known.iter().map(String::as_str));
        format!("nobody listens on {text}{nearest}")
    })
}

/// `*`, `*.example.com` or `www.example.com`, in any case.
fn host(text: &str) -> Result<HostRule, String> {
    let lower = text.to_ascii_lowercase();
    if lower == "*" {
        return Ok(HostRule::Any);
    }
    let suffix = lower.strip_prefix("*.");
    let name = suffix.unwrap_or(&lower);
    let is_ipv6 = || {
        name.strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .is_some_and(|name| name.parse::<Ipv6Addr>().is_ok())
    };
    if is_name(name) || (suffix.is_none() && is_ipv6()) {
        return Ok(match suffix {
            Some(suffix) => HostRule::Suffix(format!(".{suffix}")),
            None => HostRule::Exact(lower),
        });
    }
    let hint = if lower.contains('*') {
        "a * may stand alone, or before the first dot as in *.example.com"
    } else if lower.contains(':') {
        "hosts are compared without their port: leave it out"
    } else {
        "write it as in www.example.com, *.example.com or *"
    };
    Err(format!("`{text}` is no host: {hint}"))
}

fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.len() <= HOST_BYTES_MAX
        && text.split('.').all(|label| (1..=63).contains(&label.len()) && label.bytes().all(is_part))
}

/// A path as it stands in requests: RFC 3986 §3.3, without the segments that clients take out themselves.
fn check_path(text: &str) -> Result<(), String> {
    let wrong = |hint: &str| Err(format!("`{text}` is no path of a route: {hint}"));
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/".contains(&byte);
    if !text.starts_with('/') {
        return wrong("it begins with /");
    }
    if text.len() > TARGET_BYTES_MAX {
        return Err(format!("has {} bytes, {TARGET_BYTES_MAX} at most", text.len()));
    }
    if let Some(byte) = text.chars().find(|&c| !u8::try_from(c).is_ok_and(is_part)) {
        return wrong(&format!("{byte:?} can't stand in one"));
    }
    if text == "/" {
        return Ok(());
    }
    if let Some(whole) = text.strip_suffix('/') {
        return wrong(&format!("write {whole}, which takes {whole} and all below it"));
    }
    if text[1..].split('/').any(|segment| ["", ".", ".."].contains(&segment)) {
        return wrong("it has an empty segment, or one of dots");
    }
    Ok(())
}
