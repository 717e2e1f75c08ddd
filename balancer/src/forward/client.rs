//! Who asks, and what the server is told about it.
//!
//! In: the address that a connection came from, or that a PROXY protocol header announced. Out: the field lines that say so,
//! made once for each connection. Never: believes what the client says of itself.

use crate::config::{Config, Forward};
use crate::proxy_protocol::Announced;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

/// Who asks: made once for each connection, and anew when the configuration changes: it must be of the same one as its [`Forwarder`].
///
/// [`Forwarder`]: super::Forwarder
#[derive(Clone, Debug)]
pub struct Client {
    listener: usize,
    ip: Option<IpAddr>,
    is_local: bool,
    is_trusted: bool,
    scheme: Scheme,
    lines: Box<[u8]>,
}

/// How the client came to the first proxy that we know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    /// Over TLS, which a proxy before us took off and announced by the PROXY protocol.
    Https,
}

impl Scheme {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// Which fields are added. The end of a head is written in two parts, one remembered with the head and one from the client;
/// both must be made for the same ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Added {
    pub(super) x_forwarded: bool,
    pub(super) forwarded: bool,
    pub(super) request_id: bool,
}

impl Added {
    pub(super) fn new(forward: &Forward) -> Added {
        Added {
            x_forwarded: forward.x_forwarded,
            forwarded: forward.forwarded,
            request_id: forward.request_id,
        }
    }
}

impl Client {
    /// A client that connected to the listener with index `listener` from `peer`; `None`: over a Unix socket.
    ///
    /// Whoever may open our Unix socket is on this machine and was given the right to: it is believed like a trusted proxy.
    pub fn new(listener: usize, peer: Option<SocketAddr>, config: &Config) -> Client {
        let ip = peer.map(|peer| peer.ip().to_canonical());
        Client::made(listener, ip, ip.is_none(), Scheme::Http, config)
    }

    /// A client that a PROXY protocol header announced. It is trusted if the announced address is, whoever announced it.
    ///
    /// Without an address in the header the client is nobody: not trusted, and `unknown` in `Forwarded`. But a connection that
    /// the proxy made for itself (a check of its own) is the proxy's, from `peer`.
    pub fn announced(
        listener: usize,
        announced: &Announced,
        peer: Option<SocketAddr>,
        config: &Config,
    ) -> Client {
        match *announced {
            Announced::Itself => Client::new(listener, peer, config),
            Announced::Client { source, is_tls } => {
                let ip = source.map(|source| source.ip().to_canonical());
                let scheme = if is_tls { Scheme::Https } else { Scheme::Http };
                Client::made(listener, ip, false, scheme, config)
            }
        }
    }

    fn made(listener: usize, ip: Option<IpAddr>, is_local: bool, scheme: Scheme, config: &Config) -> Client {
        let is_trusted = is_local || ip.is_some_and(|ip| is_trusted(ip, config));
        let lines = lines(Added::new(&config.forward), ip, scheme).into();
        Client { listener, ip, is_local, is_trusted, scheme, lines }
    }

    /// The same client, by another configuration.
    pub fn by(&self, config: &Config) -> Client {
        Client::made(self.listener, self.ip, self.is_local, self.scheme, config)
    }

    /// Index of the listener.
    pub fn listener(&self) -> usize {
        self.listener
    }

    /// Its address; `None`: it came over a Unix socket, or was announced without one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// Is what it says of other clients believed and kept?
    pub fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    pub(super) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The lines that end a head whose fields are `added`, up to the request id.
    pub(super) fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// What, besides the head, decides what becomes of a request.
    pub(super) fn key(&self) -> u32 {
        (self.listener as u32) << 1 | u32::from(self.is_trusted)
    }
}

fn is_trusted(ip: IpAddr, config: &Config) -> bool {
    config.forward.trusted_proxies.iter().any(|net| net.contains(&ip))
}

/// The first line is the rest of a `Forwarded` that the head's own part began: there stands the host, which the client has not.
fn lines(added: Added, ip: Option<IpAddr>, scheme: Scheme) -> Vec<u8> {
    let mut out = Vec::new();
    if added.forwarded {
        forwarded_node(&mut out, ip, scheme);
        out.extend_from_slice(b"\r\n");
    }
    if added.x_forwarded {
        if let Some(ip) = ip {
            out.extend_from_slice(b"X-Forwarded-For: ");
            address(&mut out, ip);
            out.extend_from_slice(b"\r\n");
        }
        x_forwarded_proto(&mut out, scheme);
    }
    if added.request_id {
        out.extend_from_slice(b"X-Request-Id: ");
    }
    out
}

pub(super) fn x_forwarded_proto(out: &mut Vec<u8>, scheme: Scheme) {
    for part in ["X-Forwarded-Proto: ", scheme.as_str(), "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// As it stands in `X-Forwarded-For`: an IPv6 address without brackets.
pub(super) fn address(out: &mut Vec<u8>, ip: IpAddr) {
    // Writing to a Vec can't fail.
    let _ = write!(out, "{ip}");
}

/// `for=` and `proto=` of one element (RFC 7239 §4, §6): an IPv6 address has brackets, and therefore quotes.
pub(super) fn forwarded_node(out: &mut Vec<u8>, ip: Option<IpAddr>, scheme: Scheme) {
    // Writing to a Vec can't fail.
    let _ = match ip {
        Some(IpAddr::V4(ip)) => write!(out, "for={ip};proto="),
        Some(IpAddr::V6(ip)) => write!(out, "for=\"[{ip}]\";proto="),
        None => write!(out, "for=unknown;proto="),
    };
    out.extend_from_slice(scheme.as_str().as_bytes());
}

/// `host=` and a `;` behind it; nothing if there is no host. Whatever is not a token goes into quotes (RFC 7239 §4).
pub(super) fn forwarded_host(out: &mut Vec<u8>, host: &[u8]) {
    if host.is_empty() {
        return;
    }
    out.extend_from_slice(b"host=");
    if host.iter().all(|&b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)) {
        out.extend_from_slice(host);
    } else {
        out.push(b'"');
        for &byte in host {
            if matches!(byte, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(byte);
        }
        out.push(b'"');
    }
    out.push(b';');
}

#[cfg(test)]
mod tests {
    use super::forwarded_host;

    #[test]
    fn a_host_that_is_no_token_is_quoted() {
        for (host, written) in [
            ("", ""),
            ("a.example", "host=a.example;"),
            ("a_b~!$&'*+", "host=a_b~!$&'*+;"),
            ("a.example:80", "host=\"a.example:80\";"),
            ("[::1]", "host=\"[::1]\";"),
            ("a;for=b", "host=\"a;for=b\";"),
            ("a\"b\\c", "host=\"a\\\"b\\\\c\";"),
        ] {
            let mut out = Vec::new();
            forwarded_host(&mut out, host.as_bytes());
            assert_eq!(String::from_utf8_lossy(&out), written, "{host}");
        }
    }
}
