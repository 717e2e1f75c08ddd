//! The router: which pool a request is for, by its listener, host and path.
//!
//! In: host and path as they stand in the head. Out: the index of a pool, or that there is none. The path goes on to the
//! server as it came; only the choice looks at it as a server would. So no spelling leads around a route:
//!
//! - What RFC 3986 §6.2.2 calls equivalent is compared as equal: `/%61pi` is `/api`.
//! - Slashes in a row count as one, as many servers merge them: `//api` is `/api`.
//! - A path with a dot segment is refused where any route of the listener looks at paths: `/api/../admin` and
//!   `/api/%2e%2e/admin` would be chosen by one path and answered by another. So is `..` beside a coded slash (`..%2fadmin`), or before
//!   a parameter (`..;/admin`), which some servers resolve too. Browsers, curl and libraries resolve dot segments
//!   before they send. Where only hosts are looked at, nothing can be led around and nothing is refused.
//!
//! Never: decodes a coded slash, looks at the query, or changes what is passed on.

use crate::config::{Config, HostRule};

/// The routes of every listener.
#[derive(Clone, Debug)]
pub(super) struct Router {
    listeners: Vec<Listener>,
}

/// The routes of one listener, in order; the first that matches decides.
#[derive(Clone, Debug)]
struct Listener {
    rules: Vec<Rule>,
    looks_at_paths: bool,
    default_pool: Option<usize>,
}

#[derive(Clone, Debug)]
struct Rule {
    host: HostRule,
    /// As [`plain`] gives it, without a slash at its end; empty: all.
    prefix: Vec<u8>,
    pool: usize,
}

/// Why there is no pool for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unrouted {
    /// No route takes it, and there is no default: 404.
    NoRoute,
    /// Its path can be read in two ways: 400.
    DotSegment,
}

impl Router {
    pub(super) fn new(config: &Config) -> Router {
        let listener = |(at, listener): (usize, &crate::config::Listener)| {
            let is_for = |route: &&crate::config::Route| route.listener.is_none_or(|index| index == at);
            let rules: Vec<Rule> = config.routes.iter().filter(is_for).map(Rule::new).collect();
            let looks_at_paths = rules.iter().any(|rule| !rule.prefix.is_empty());
            Listener { rules, looks_at_paths, default_pool: listener.default_pool }
        };
        Router { listeners: config.listeners.iter().enumerate().map(listener).collect() }
    }

    /// The pool for a request that came in at `listener`, for the authority `host` (empty: none was named) and `path` (empty: `*`).
    ///
    /// The routes are tried one after the other: some nanoseconds each, and only for a head that is not remembered.
    pub(super) fn pool(&self, listener: usize, host: &[u8], path: &str) -> Result<usize, Unrouted> {
        let listener = self.listeners.get(listener).ok_or(Unrouted::NoRoute)?;
        if listener.looks_at_paths && has_dot_segment(path.as_bytes()) {
            return Err(Unrouted::DotSegment);
        }
        let host = bare_host(host);
        let found = listener.rules.iter().find(|rule| rule.takes(host, path.as_bytes()));
        found.map(|rule| rule.pool).or(listener.default_pool).ok_or(Unrouted::NoRoute)
    }
}

impl Rule {
    fn new(route: &crate::config::Route) -> Rule {
        let mut prefix: Vec<u8> = plain(route.path_prefix.as_bytes()).collect();
        if prefix.last() == Some(&b'/') {
            prefix.pop();
        }
        Rule { host: route.host.clone(), prefix, pool: route.pool }
    }

    fn takes(&self, host: &[u8], path: &[u8]) -> bool {
        self.takes_host(host) && self.takes_path(path)
    }

    fn takes_host(&self, host: &[u8]) -> bool {
        match &self.host {
            HostRule::Any => true,
            HostRule::Exact(name) => host.eq_ignore_ascii_case(name.as_bytes()),
            HostRule::Suffix(suffix) => {
                let at = host.len().checked_sub(suffix.len());
                at.is_some_and(|at| at > 0 && host[at..].eq_ignore_ascii_case(suffix.as_bytes()))
            }
        }
    }

    /// The path is the prefix, or goes on behind it with a slash.
    fn takes_path(&self, path: &[u8]) -> bool {
        if self.prefix.is_empty() {
            return true;
        }
        let mut path = plain(path);
        self.prefix.iter().all(|&b| path.next() == Some(b)) && path.next().is_none_or(|b| b == b'/')
    }
}

/// A host without its port and the dot that may end it. `[::1]` keeps its brackets.
fn bare_host(authority: &[u8]) -> &[u8] {
    let host = match authority {
        [b'[', ..] => authority.iter().position(|&b| b == b']').map_or(authority, |end| &authority[..=end]),
        _ => authority.split(|&b| b == b':').next().unwrap_or_default(),
    };
    host.strip_suffix(b".").unwrap_or(host)
}

/// The path as the choice sees it: coded letters, digits, `-`, `.`, `_` and `~` decoded, other triplets in capitals
/// (RFC 3986 §6.2.2), slashes in a row as one.
fn plain(path: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = path;
    let mut hex = [0; 2];
    let mut hex_left = 0;
    let mut before = 0;
    std::iter::from_fn(move || {
        loop {
            if hex_left > 0 {
                hex_left -= 1;
                return Some(hex[1 - hex_left]);
            }
            let byte;
            (byte, rest) = match rest {
                [b'%', high, low, behind @ ..] => match coded(*high, *low) {
                    Some(decoded) if is_unreserved(decoded) => (decoded, behind),
                    _ => {
                        hex = [high.to_ascii_uppercase(), low.to_ascii_uppercase()];
                        hex_left = 2;
                        (b'%', behind)
                    }
                },
                [byte, behind @ ..] => (*byte, behind),
                [] => return None,
            };
            if byte == b'/' && before == b'/' {
                continue;
            }
            before = byte;
            return Some(byte);
        }
    })
}

fn coded(high: u8, low: u8) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Is there a segment `.` or `..`, in whatever coding? A coded slash or backslash and a `;` end a segment here.
fn has_dot_segment(path: &[u8]) -> bool {
    // Nearly all paths: no dot follows a slash, and nothing is coded.
    if !path.contains(&b'%') && !path.windows(2).any(|pair| pair == b"/.") {
        return false;
    }
    let mut dots = 0;
    let mut is_dots = false;
    let mut rest = path;
    loop {
        let (byte, behind) = match rest {
            [b'%', high, low, behind @ ..] => (coded(*high, *low).unwrap_or(b'%'), behind),
            [byte, behind @ ..] => (*byte, behind),
            [] => return is_dots && (1..=2).contains(&dots),
        };
        match byte {
            b'/' | b'\\' | b';' => {
                if is_dots && (1..=2).contains(&dots) {
                    return true;
                }
                // Behind a `;` are parameters, not a segment.
                is_dots = byte != b';';
                dots = 0;
            }
            b'.' => dots += 1,
            _ => is_dots = false,
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(rules: &[(HostRule, &str, usize)], default_pool: Option<usize>) -> Router {
        let rule = |(host, prefix, pool): &(HostRule, &str, usize)| {
            let route = crate::config::Route {
                listener: None,
                host: host.clone(),
                path_prefix: (*prefix).to_owned(),
                pool: *pool,
            };
            Rule::new(&route)
        };
        let rules: Vec<Rule> = rules.iter().map(rule).collect();
        let looks_at_paths = rules.iter().any(|rule| !rule.prefix.is_empty());
        Router { listeners: vec![Listener { rules, looks_at_paths, default_pool }] }
    }

    fn exact(name: &str) -> HostRule {
        HostRule::Exact(name.to_owned())
    }

    #[test]
    fn a_prefix_ends_at_the_border_of_a_segment() {
        let router = listener(&[(HostRule::Any, "/api", 1), (HostRule::Any, "/b/", 2)], Some(0));
        for (path, pool) in [
            ("/api", 1),
            ("/api/", 1),
            ("/api/x", 1),
            ("/apis", 0),
            ("/ap", 0),
            ("/API", 0),
            ("/", 0),
            ("", 0),
            ("/x/api", 0),
            ("/b", 2),
            ("/b/c", 2),
            ("/bc", 0),
            ("/.api", 0),
            ("/api/.well-known", 1),
            ("/api/a..b/...", 1),
        ] {
            assert_eq!(router.pool(0, b"h", path), Ok(pool), "{path}");
        }
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let router = listener(
            &[(HostRule::Any, "/a/b", 1), (HostRule::Any, "/a", 2), (HostRule::Any, "/a/b/c", 3)],
            None,
        );
        assert_eq!(router.pool(0, b"", "/a/b/c"), Ok(1));
        assert_eq!(router.pool(0, b"", "/a/c"), Ok(2));
        assert_eq!(router.pool(0, b"", "/c"), Err(Unrouted::NoRoute));
        assert_eq!(router.pool(1, b"", "/a"), Err(Unrouted::NoRoute));
    }

    #[test]
    fn a_host_is_compared_without_case_port_and_last_dot() {
        let suffix = HostRule::Suffix(".example.com".to_owned());
        let router =
            listener(&[(exact("example.com"), "/", 1), (suffix, "/", 2), (exact("[::1]"), "/", 3)], Some(0));
        for (host, pool) in [
            ("example.com", 1),
            ("EXAMPLE.com:8080", 1),
            ("example.com.", 1),
            ("example.com.:80", 1),
            ("a.example.com", 2),
            ("A.b.Example.Com:1", 2),
            (".example.com", 0),
            ("aexample.com", 0),
            ("example.com.evil", 0),
            ("[::1]:80", 3),
            ("[::1]", 3),
            ("[::2]", 0),
            ("", 0),
            ("example.com..", 0),
        ] {
            assert_eq!(router.pool(0, host.as_bytes(), "/"), Ok(pool), "{host}");
        }
    }

    #[test]
    fn no_spelling_of_a_path_leads_around_its_route() {
        let router = listener(&[(HostRule::Any, "/admin", 1), (HostRule::Any, "/caf%c3%a9~", 2)], Some(0));
        for path in ["/%61dmin", "//admin", "/admin//x", "/%61%64min/x", "///%61dmin"] {
            assert_eq!(router.pool(0, b"", path), Ok(1), "{path}");
        }
        for path in ["/caf%C3%A9~", "/caf%c3%a9%7E/x", "/caf%c3%A9%7e"] {
            assert_eq!(router.pool(0, b"", path), Ok(2), "{path}");
        }
        for path in ["/admin%2f", "/%2fadmin", "/%2561dmin", "/caf%c3%a8~", "/caf%c3", "/%"] {
            assert_eq!(router.pool(0, b"", path), Ok(0), "{path}");
        }
    }

    #[test]
    fn a_dot_segment_is_refused_where_paths_decide() {
        let by_path = listener(&[(HostRule::Any, "/api", 1)], Some(0));
        let by_host = listener(&[(exact("h"), "/", 1)], Some(0));
        for path in [
            "/api/../admin",
            "/api/..",
            "/..",
            "/.",
            "/./api",
            "/api/.",
            "/api/%2e%2e/x",
            "/api/.%2E/x",
            "/api/%2e",
            "/api/..%2fx",
            "/api/..%5Cx",
            "/api%2f..%2fx",
            "/api/..;/x",
            "/api/..;a=b/x",
            "/api/x%5c..",
        ] {
            assert_eq!(by_path.pool(0, b"h", path), Err(Unrouted::DotSegment), "{path}");
            assert_eq!(by_host.pool(0, b"h", path), Ok(1), "{path}");
        }
        for path in [
            "/api/a.b",
            "/api/...",
            "/api/.a",
            "/api/a..",
            "/api/%2ea",
            "/api/;..",
            "/api/%61;..",
            "/api/%2e%2e%2e",
            "/api/a%2f.b",
        ] {
            assert_eq!(by_path.pool(0, b"h", path), Ok(1), "{path}");
        }
    }
}
