//! Names for what goes wrong: few kinds, each with the example of the first.

use crate::record::Failed;
use net::engine::End;
use net::http1::client::ClientError;
use std::borrow::Cow;
use std::io;

/// Bytes shown of an answer that isn't HTTP.
const SHOWN_BYTES: usize = 60;

/// The answer could not be read.
pub(super) fn unreadable(error: ClientError, bytes: &[u8]) -> Failed {
    let example = format!("{error}; the answer's bytes: {}", shown(bytes));
    match error {
        // TLS records: an alert (21) or a handshake (22), version 3.x (RFC 8446, 5.1).
        _ if matches!(bytes, [21 | 22, 3, ..]) => Failed::new("the server speaks TLS", example),
        ClientError::Malformed(_) if !bytes.starts_with(b"H") => {
            Failed::new("the answer is not HTTP", example)
        }
        ClientError::Malformed(why) => Failed::new(format!("malformed answer: {why}"), example),
        ClientError::TooLarge(why) => Failed::new(format!("answer too large: {why}"), example),
        ClientError::CutShort(why) => Failed::new("answer cut short", why),
    }
}

/// Bytes came that answer nothing.
pub(super) fn unasked(bytes: &[u8]) -> Failed {
    if matches!(bytes, [21 | 22, 3, ..]) {
        return Failed::new("the server speaks TLS", shown(bytes));
    }
    Failed::new("an answer that nobody asked for", shown(bytes))
}

/// No answer came in time.
pub(super) fn timeout(limit: std::time::Duration) -> Failed {
    let example = format!("no answer within {}", humantime::format_duration(limit));
    Failed { is_timeout: true, ..Failed::new("timeout", example) }
}

/// The connection ended with requests in flight.
pub(super) fn ended(end: End) -> Failed {
    match end {
        End::ConnectFailed(errno) => connect(errno),
        End::Reset => {
            Failed::new("connection reset", "the server or the network broke it inside an answer or before")
        }
        End::Closed | End::Aborted => {
            Failed::new("closed by the server", "the connection ended before the answer")
        }
    }
}

/// A connection could not be made.
fn connect(errno: i32) -> Failed {
    let error = io::Error::from_raw_os_error(errno);
    let kind: Cow<'static, str> = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::NotFound => "no such socket".into(),
        io::ErrorKind::TimedOut => "connecting timed out".into(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "unreachable".into(),
        io::ErrorKind::AddrNotAvailable => "no local port left".into(),
        io::ErrorKind::PermissionDenied => "not permitted to connect".into(),
        _ if rustix::io::Errno::from_raw_os_error(errno) == rustix::io::Errno::MFILE => {
            "out of file descriptors".into()
        }
        _ => "connecting failed".into(),
    };
    Failed::new(kind, error.to_string())
}

/// The connection was not there in time.
pub(super) fn connect_timeout() -> Failed {
    Failed::new("connecting timed out", "no answer to the connect within --timeout")
}

/// The beginning of what was received, printable.
fn shown(bytes: &[u8]) -> String {
    let cut = if bytes.len() > SHOWN_BYTES { "…" } else { "" };
    format!("\"{}{cut}\"", bytes[..bytes.len().min(SHOWN_BYTES)].escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_http_is_named_by_what_it_is() {
        let malformed = ClientError::Malformed("a response must begin with HTTP/");
        assert_eq!(unreadable(malformed, &[21, 3, 3, 0, 2, 2, 40]).kind, "the server speaks TLS");
        let ssh = unreadable(malformed, b"SSH-2.0-OpenSSH\r\n");
        assert_eq!(ssh.kind, "the answer is not HTTP");
        assert!(ssh.example.contains(r"SSH-2.0-OpenSSH\r\n"), "{ssh:?}");
        assert!(unreadable(malformed, b"HTTP/9").kind.starts_with("malformed answer"));
    }

    #[test]
    fn a_refused_connection_says_so() {
        assert_eq!(ended(End::ConnectFailed(111)).kind, "connection refused");
        assert_eq!(ended(End::ConnectFailed(24)).kind, "out of file descriptors");
        assert_eq!(ended(End::Reset).kind, "connection reset");
    }
}
