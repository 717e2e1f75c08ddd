//! Where to listen or connect: an IP address with a port, or a Unix socket's path.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Longest path that fits `sockaddr_un` with its closing NUL (unix(7)).
const UNIX_PATH_BYTES_MAX: usize = 107;

/// An address: `127.0.0.1:5000`, `[::1]:5000` or `unix:/run/corelane.sock`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// TCP over IPv4 or IPv6. Port 0 lets the kernel choose.
    Tcp(SocketAddr),
    /// A stream socket in the file system.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("`unix:` needs a path, as in unix:/run/corelane.sock".to_owned()),
            Some(path) if path.len() > UNIX_PATH_BYTES_MAX => {
                Err(format!("the socket path has {} bytes, {UNIX_PATH_BYTES_MAX} at most", path.len()))
            }
            Some(path) => Ok(Address::Unix(PathBuf::from(path))),
            None => text.parse().map(Address::Tcp).map_err(|_| {
                format!("`{text}` is no address: use IP:PORT (127.0.0.1:5000, [::1]:5000) or unix:/PATH")
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_back() {
        for text in ["127.0.0.1:5000", "[::1]:80", "0.0.0.0:0", "unix:/run/corelane.sock", "unix:a"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_says_how_one_looks() {
        for text in
            ["", "5000", ":5000", "localhost:5000", "127.0.0.1", "::1:80x", "unix:", "127.0.0.1:99999"]
        {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.contains("unix:/"), "{text}: {error}");
        }
        assert!(format!("unix:/{}", "x".repeat(107)).parse::<Address>().is_err());
    }
}
