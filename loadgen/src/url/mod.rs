//! Where requests go: `http://127.0.0.1:5000/add`, `http://[::1]:5000/`, `http://unix:/run/x.sock:/add`, each
//! perhaps with a weight, as in `3@http://localhost/`.
//!
//! In: what the user typed. Out: what to connect to, what `Host` says, and the target as it was typed. Never:
//! decodes or normalises a target, or sends one that a strict server would refuse.

use crate::workload::front_door;
use crate::workload::template::Template;
use net::address::Address;
use std::fmt;
use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::str::FromStr;

/// The port of `http://` (RFC 9110 §4.2.1).
const PORT: u16 = 80;
/// What `Host` says where a socket file has no name: as nginx.
const UNIX_HOST: &str = "localhost";

/// One URL of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Url {
    /// Its share among the URLs of a run, in proportion to theirs; over zero. One unless given.
    pub weight: f64,
    /// What to connect to.
    pub place: Place,
    /// The value of `Host`: host and port as typed.
    pub host_field: String,
    /// The request target in origin form as typed, perhaps with `{{variables}}` (RFC 9112 §3.2.1).
    pub target: String,
}

/// What to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A name or an IP address, and a port.
    Name {
        /// Without the brackets around an IPv6 address.
        host: String,
        /// Not zero.
        port: u16,
    },
    /// A socket file.
    Unix(PathBuf),
}

impl Place {
    /// The addresses it has now, in the system's order, at least one. Asks the name service: may wait.
    ///
    /// # Errors
    /// The name is not known, in a sentence for the user.
    pub fn resolve(&self) -> Result<Vec<Address>, String> {
        let (host, port) = match self {
            Place::Name { host, port } => (host, *port),
            Place::Unix(path) => return Ok(vec![Address::Unix(path.clone())]),
        };
        let found = (&host[..], port).to_socket_addrs();
        let found = found.map_err(|error| format!("can't resolve `{host}`: {error}; check the name"))?;
        let mut addresses: Vec<Address> = Vec::new();
        for address in found.map(Address::Tcp) {
            // The system may list an address once for each way to reach its name.
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            return Err(format!("can't resolve `{host}`: it has no address; check the name"));
        }
        Ok(addresses)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Name { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Place::Name { host, port } => write!(f, "{host}:{port}"),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The one place of all URLs of a run: its connections are shared by them.
///
/// # Errors
/// There are none, or two places, which are named.
pub fn common_place(urls: &[Url]) -> Result<&Place, String> {
    let [first, others @ ..] = urls else {
        return Err("a URL is needed, as in http://127.0.0.1:5000/add".to_owned());
    };
    match others.iter().find(|url| url.place != first.place) {
        None => Ok(&first.place),
        Some(other) => Err(format!(
            "the URLs of one run must be on one address: `{}` and `{}` are two; \
             to compare two servers, use `corelane-loadgen ab`",
            first.place, other.place
        )),
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.weight != 1.0 {
            write!(f, "{}@", self.weight)?;
        }
        match &self.place {
            Place::Name { .. } => write!(f, "http://{}{}", self.host_field, self.target),
            Place::Unix(path) => write!(f, "http://unix:{}:{}", path.display(), self.target),
        }
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Url, String> {
        let (weight, url) = weight(text)?;
        let rest = behind_scheme(url)?;
        let (place, host_field, target) = match unix(rest) {
            Some((path, target)) => (unix_place(path)?, UNIX_HOST.to_owned(), target),
            None => {
                let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
                let authority = authority.strip_suffix(':').unwrap_or(authority);
                (name(authority, url)?, authority.to_owned(), target)
            }
        };
        if target.contains('#') {
            return Err(format!(
                "`{url}` has a fragment, which is never sent: leave out `#` and what follows"
            ));
        }
        // An absent path is `/` (RFC 9110 §4.2.3).
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let example = Template::parse(&target)?.example("0");
        front_door::check("GET", &example, &host_field, &[]).map_err(|why| format!("`{url}`: {why}"))?;
        Ok(Url { weight, place, host_field, target })
    }
}

/// `3@http://…`: the weight, and the rest. User information has its `@` behind the scheme.
fn weight(text: &str) -> Result<(f64, &str), String> {
    let Some((front, url)) = text.split_once('@').filter(|(front, _)| !front.contains([':', '/'])) else {
        return Ok((1.0, text));
    };
    match front.parse() {
        Ok(weight) if weight > 0.0 && f64::is_finite(weight) => Ok((weight, url)),
        _ => Err(format!("`{front}` in front of `@` must be a weight over zero, as in 3@http://localhost/")),
    }
}

fn behind_scheme(url: &str) -> Result<&str, String> {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?', '#', '{']) => (scheme, rest),
        _ => return Err(format!("`{url}` has no scheme: write `http://{}`", url.trim_start_matches('/'))),
    };
    if scheme.eq_ignore_ascii_case("http") {
        Ok(rest)
    } else if scheme.eq_ignore_ascii_case("https") {
        Err(format!(
            "`{url}`: TLS is not spoken yet; measure the server's plain port with http://, \
             or put a proxy that speaks TLS to the server (nginx, HAProxy, stunnel) in between"
        ))
    } else {
        Err(format!("`{url}`: `{scheme}` is not spoken, only http"))
    }
}

/// The socket's path, and the target behind it. `unix:5000` is a host of that name with a port.
fn unix(rest: &str) -> Option<(&str, &str)> {
    let path = rest.strip_prefix("unix:").filter(|path| path.starts_with(['/', '.']))?;
    Some(path.split_once(':').unwrap_or((path, "/")))
}

fn unix_place(path: &str) -> Result<Place, String> {
    match format!("unix:{path}").parse()? {
        Address::Unix(path) => Ok(Place::Unix(path)),
        Address::Tcp(_) => Err(format!("`{path}` is no path of a socket")),
    }
}

/// Host and port of an authority (RFC 3986 §3.2). Whether the host is of the right letters says the front door
/// to say.
fn name(authority: &str, url: &str) -> Result<Place, String> {
    if authority.contains('@') {
        return Err(format!("`{url}` has user information: send it with -H 'Authorization: …' instead"));
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
        _ => (authority, Some(PORT)),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match port {
        _ if host.is_empty() => Err(format!("`{url}` has no host: write it as in http://127.0.0.1:5000/add")),
        Some(port) if port > 0 => Ok(Place::Name { host: host.to_owned(), port }),
        _ => Err(format!("`{url}` has no port from 1 to 65535 behind the colon")),
    }
}

#[cfg(test)]
mod tests;
