//! Generators: ours, and those of others. Each is started against a server, and says what it counted.
//!
//! In: a server that runs, and how hard to drive it. Out: a sample: what the generator counted, and what the server's
//! core was used for meanwhile. CPU is read from outside and in the middle of a run, the same for everybody: starting,
//! connecting and reporting are not in it.

pub(crate) mod h2load;
pub(crate) mod loadgen;
pub(crate) mod oha;
pub(crate) mod wrk;

use std::fmt;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::child::{self, Child};
use crate::failure::Failure;
use crate::field::Server;
use crate::proc;
use crate::request::PATIENCE;
use crate::results::{BUSY, CPU, ERRORS, P50, P99, P999, RATE, Sample};
use loadgen::{Load, Loadgen};

/// Left out at both ends of a window: a share of it, and at most so long.
const MARGIN_MAX: Duration = Duration::from_millis(500);
const MARGIN_SHARE: u32 = 4;

/// How many, and how deep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) connections: u32,
    /// Requests in flight on a connection.
    pub(crate) depth: u32,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.depth {
            1 => write!(f, "{}", self.connections),
            depth => write!(f, "{} × {depth}", self.connections),
        }
    }
}

/// What another generator than ours counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counted {
    pub(crate) per_second: f64,
    pub(crate) errors: u64,
}

/// Drives a server with our generator.
pub(crate) fn measure(loadgen: &Loadgen, server: &Server, load: &Load) -> Result<Sample, Failure> {
    let generator = loadgen.start(server.address, load)?;
    let busy = middle(&[&server.child], load.warmup, load.window)?[0];
    let outcome = loadgen.finish(generator, load)?;
    if outcome.answers == 0 {
        return Err(Failure::run(format!("no answers at {} connections", load.shape)));
    }
    Ok(Sample::from([
        (RATE, outcome.per_second),
        (BUSY, busy),
        (CPU, busy * 1e6 / outcome.per_second.max(1.0)),
        (P50, outcome.response.p50_us),
        (P99, outcome.response.p99_us),
        (P999, outcome.response.p999_us),
        (ERRORS, outcome.errors as f64),
    ]))
}

/// Shares of a core that programs use in the middle of a window, which begins now, behind a warm-up.
pub(crate) fn middle(programs: &[&Child], warmup: Duration, window: Duration) -> Result<Vec<f64>, Failure> {
    let margin = MARGIN_MAX.min(window / MARGIN_SHARE);
    let used = || programs.iter().map(|program| proc::cpu_time(program.pid())).collect::<Result<Vec<_>, _>>();
    child::pause(warmup + margin)?;
    let (began, before) = (Instant::now(), used()?);
    child::pause(window - 2 * margin)?;
    let (time, after) = (began.elapsed(), used()?);
    let share = |(before, after): (&Duration, &Duration)| {
        after.saturating_sub(*before).as_secs_f64() / time.as_secs_f64()
    };
    Ok(before.iter().zip(&after).map(share).collect())
}

/// The length of a generator's first request, as it sends it to an address like those of our servers: the floor,
/// which does not read, has to be told.
pub(crate) fn request_bytes(
    start: impl FnOnce(SocketAddr) -> Result<Child, Failure>,
) -> Result<usize, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let _generator = start(listener.local_addr()?)?;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match listener.accept() {
            // wrk opens a connection only to see whether it can, and closes it.
            Ok((stream, _)) => {
                if let Some(bytes) = first_request(stream) {
                    return Ok(bytes);
                }
            }
            Err(_) => child::pause(Duration::from_millis(5))?,
        }
    }
    Err(Failure::run("it sends no request"))
}

fn first_request(mut stream: TcpStream) -> Option<usize> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buffer).ok()? {
            0 => return None,
            len => bytes.extend_from_slice(&buffer[..len]),
        }
        if let Some(length) = whole(&bytes) {
            return Some(length);
        }
    }
}

/// The length of the request that these bytes begin with, if all of it is there.
fn whole(bytes: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(bytes);
    let head = text.find("\r\n\r\n")? + 4;
    let length = text[..head].lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let length: usize = head + length.unwrap_or(0);
    (bytes.len() >= length).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::REQUEST;

    #[test]
    fn a_request_is_as_long_as_its_head_says() {
        let bytes = REQUEST.as_bytes();
        assert_eq!(whole(bytes), Some(bytes.len()));
        assert_eq!(whole(&bytes[..bytes.len() - 1]), None);
        assert_eq!(whole(&[bytes, bytes].concat()), Some(bytes.len()), "a second one behind it");
        assert_eq!(whole(b"GET / HTTP/1.1\r\n\r\n"), Some(18));
    }

    #[test]
    fn a_shape_is_named_by_what_is_not_usual() {
        assert_eq!(Shape { connections: 64, depth: 1 }.to_string(), "64");
        assert_eq!(Shape { connections: 64, depth: 16 }.to_string(), "64 × 16");
    }
}
