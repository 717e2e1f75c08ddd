//! One check of one server: what is sent, and what its answer says.
//!
//! In: a connection's events and bytes. Out: the bytes to send, and once a [`Finding`]. Never: a socket or a clock, or more of an answer than
//! [`CHECK_LIMITS`](super::limits::CHECK_LIMITS) lets it hold.

use crate::config::Check;
use net::engine::End;
use net::http1::write::{self, BodySpec, RequestSpec};
use net::http1::{Asked, ClientConn, ClientError, Response, ResponseHeads, ResponseStep};
use std::io;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// Is the server well?
    pub(super) is_good: bool,
    /// In words: `status 200`, `connection refused`.
    pub(super) said: String,
}

impl Finding {
    pub(super) fn bad(said: impl Into<String>) -> Finding {
        Finding { is_good: false, said: said.into() }
    }
}

/// Appends what the check asks. A finding: a connection was all that was wanted.
pub(super) fn ask(check: &Check, out: &mut Vec<u8>) -> Option<Finding> {
    let Some(path) = &check.path else {
        return Some(Finding { is_good: true, said: "connected".to_owned() });
    };
    let fields = [("connection", "close"), ("user-agent", "corelane-check")];
    let request =
        RequestSpec { method: "GET", target: path, host: &check.host, fields: &fields, body: BodySpec::None };
    write::request(out, &request);
    None
}

/// Reads what came. `None`: more is needed.
pub(super) fn read(
    http: &mut ClientConn,
    bytes: &[u8],
    check: &Check,
    heads: &mut ResponseHeads,
) -> Option<Finding> {
    let mut rest = bytes;
    loop {
        match http.next(rest, Asked::Other, heads) {
            Ok(ResponseStep::Interim { used, .. }) => rest = &rest[used..],
            Ok(ResponseStep::Response { response, .. }) => return Some(judge(&response, check)),
            Ok(ResponseStep::More) => return None,
            Err(error) => return Some(refused(error)),
        }
    }
}

/// The server ends: perhaps that is how its answer ends.
pub(super) fn end(http: &mut ClientConn, check: &Check, heads: &ResponseHeads) -> Finding {
    match http.end(heads) {
        Ok(Some(response)) => judge(&response, check),
        Ok(None) => Finding::bad("closed without an answer"),
        Err(error) => refused(error),
    }
}

/// The connection is over, before there was an answer.
pub(super) fn broken(end: End) -> Finding {
    Finding::bad(match end {
        End::ConnectFailed(errno) => name(&io::Error::from_raw_os_error(errno)),
        End::Reset => "connection reset".to_owned(),
        End::Closed | End::Aborted => "the check was given up".to_owned(),
    })
}

fn judge(response: &Response<'_>, check: &Check) -> Finding {
    let status = response.head.status.code();
    let is_good = check.expect.iter().any(|&(first, last)| (first..=last).contains(&status));
    Finding { is_good, said: format!("status {status}") }
}

fn refused(error: ClientError) -> Finding {
    Finding::bad(error.to_string())
}

/// `connection refused`, without the number; in the kernel's own words where there is no name for it.
fn name(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset | io::ErrorKind::NotFound => {
            error.kind().to_string()
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::TimedOut => {
            error.kind().to_string()
        }
        _ => error.to_string(),
    }
}
