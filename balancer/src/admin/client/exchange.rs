//! One request to the admin address, and its answer.
//!
//! In: an address, a request. Out: a status and a whole body. Never: longer than [`PATIENCE`], nor more than [`BODY_BYTES_MAX`].

use super::ClientFailure;
use net::address::Address;
use net::http1::write::{BodySpec, RequestSpec, request};
use net::http1::{Asked, ClientConn, Limits, ResponseHeads, ResponseStep, Status};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// From the first byte sent to the last received. A reload reads a file and makes a fleet: far below a second.
const PATIENCE: Duration = Duration::from_secs(10);
/// For a connection. Beyond, packets are thrown away: a firewall, or a host that is gone.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);
/// A server takes some 500 bytes in the list: this is for sixteen thousand.
const BODY_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// What is sent.
pub(super) struct Ask<'a> {
    pub(super) method: &'static str,
    pub(super) target: &'a str,
    /// JSON.
    pub(super) body: Option<&'a [u8]>,
}

/// Sends it, and waits for the answer.
pub(super) fn ask(admin: &Address, ask: &Ask<'_>) -> Result<(Status, Vec<u8>), ClientFailure> {
    let until = Instant::now() + PATIENCE;
    let answer = connect(admin).and_then(|wire| exchange(wire, admin, ask, until));
    answer.map_err(|error| explain(admin, &error))
}

/// A stream with a bound on each wait.
trait Wire: Read + Write {
    fn wait_at_most(&self, left: Duration) -> io::Result<()>;
}

impl Wire for TcpStream {
    fn wait_at_most(&self, left: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(left))?;
        self.set_write_timeout(Some(left))
    }
}

impl Wire for UnixStream {
    fn wait_at_most(&self, left: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(left))?;
        self.set_write_timeout(Some(left))
    }
}

fn connect(admin: &Address) -> io::Result<Box<dyn Wire>> {
    Ok(match admin {
        Address::Tcp(address) => Box::new(TcpStream::connect_timeout(address, CONNECT_PATIENCE)?),
        // Done at once, or refused.
        Address::Unix(path) => Box::new(UnixStream::connect(path)?),
    })
}

fn exchange(
    mut wire: Box<dyn Wire>,
    admin: &Address,
    ask: &Ask<'_>,
    until: Instant,
) -> io::Result<(Status, Vec<u8>)> {
    // By an address: a name would be refused.
    let host = match admin {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(_) => "localhost".to_owned(),
    };
    let fields = [("content-type", "application/json"), ("connection", "close")];
    let fields = if ask.body.is_some() { &fields[..] } else { &fields[1..] };
    let body = ask.body.map_or(BodySpec::None, BodySpec::Length);
    let mut sent = Vec::new();
    request(&mut sent, &RequestSpec { method: ask.method, target: ask.target, host: &host, fields, body });
    wire.wait_at_most(PATIENCE)?;
    // A refusal may come before all was read: what it says counts for more than that it closed.
    let written = wire.write_all(&sent);
    match read(&mut *wire, until) {
        Ok(answer) => Ok(answer),
        Err(error) => Err(written.err().unwrap_or(error)),
    }
}

fn read(wire: &mut dyn Wire, until: Instant) -> io::Result<(Status, Vec<u8>)> {
    let foreign = |why: String| io::Error::new(ErrorKind::InvalidData, why);
    let mut heads = ResponseHeads::new(Limits { body_bytes_max: BODY_BYTES_MAX, ..Limits::default() });
    let mut conn = ClientConn::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        wire.wait_at_most(left)?;
        let count = match wire.read(&mut piece) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        if count == 0 {
            let last = conn.end(&heads).map_err(|error| foreign(error.to_string()))?;
            let last = last.ok_or_else(|| foreign("it closed without an answer".to_owned()))?;
            return Ok((last.head.status, last.body.to_vec()));
        }
        let mut rest = &piece[..count];
        loop {
            match conn.next(rest, Asked::Other, &mut heads).map_err(|error| foreign(error.to_string()))? {
                ResponseStep::Interim { used, .. } => rest = &rest[used..],
                ResponseStep::Response { response, .. } => {
                    return Ok((response.head.status, response.body.to_vec()));
                }
                ResponseStep::More => break,
            }
        }
    }
}

/// What went wrong, and what to try.
fn explain(admin: &Address, error: &io::Error) -> ClientFailure {
    let unreachable = |why: String| ClientFailure::Unreachable(why);
    match error.kind() {
        ErrorKind::InvalidData => ClientFailure::Foreign(admin.clone(), error.to_string()),
        ErrorKind::ConnectionRefused | ErrorKind::NotFound => unreachable(format!(
            "nothing listens at {admin}: is the balancer running? It names its admin address when it starts; say it with `--admin`"
        )),
        ErrorKind::PermissionDenied => {
            unreachable(format!("{admin} may not be opened by this user: it belongs to the balancer's"))
        }
        ErrorKind::TimedOut | ErrorKind::WouldBlock => unreachable(format!(
            "no answer from {admin} in time: is it the balancer's admin address (`--admin`), and is that process stopped or cut off?"
        )),
        _ => unreachable(format!("can't ask {admin}: {error}")),
    }
}
