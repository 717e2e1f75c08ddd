//! The floors: bare loops that answer fixed bytes without reading what they are asked, or forward what comes.
//!
//! In: connections, and requests of one known length. Out: as many fixed answers as requests arrived, found by
//! counting bytes. No parsing, no limits, no deadlines: what is left is what the kernel costs, and whatever a
//! real server costs above it is the server's own doing. The floor of proxies is in `forward`.

mod epoll;
mod forward;
mod ring;
mod uring;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::ops::Range;

use clap::{Args, ValueEnum};
use net::address::Address;
use socket2::{Domain, Protocol, Socket, Type};

use crate::failure::Failure;
use crate::request::REQUEST;

/// As deep as the kernel lets a listener be by default (`net.core.somaxconn`): wrk opens all at once.
const BACKLOG: i32 = 4096;

/// One send carries at most this many answers: well over the 16 of the pipelined runs, and still 8 KiB.
const ANSWERS_PER_SEND: usize = 64;

/// Which loop.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Loop {
    /// One io_uring: multishot accept and receive, a buffer ring, one enter per turn
    Ring,
    /// Edge-triggered epoll: one recv and one send per event
    Epoll,
}

/// Options of `bench floor`.
#[derive(Args, Debug)]
#[group(id = "floor")]
pub(crate) struct Options {
    /// The loop to run
    #[arg(value_enum)]
    which: Loop,
    /// Address to listen on; port 0 lets the kernel choose
    #[arg(long, default_value_t = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)))]
    listen: SocketAddr,
    /// Core to pin the one thread to
    #[arg(long, default_value_t = 0)]
    core: usize,
    /// Forward to this address (IP:PORT or unix:/PATH) instead of answering
    #[arg(long, value_name = "ADDR", conflicts_with_all = ["request_bytes", "answer_bytes"])]
    forward_to: Option<Address>,
    /// Length of one request: an answer is owed for each that many bytes
    #[arg(long, default_value_t = REQUEST.len(), value_parser = at_least_one)]
    request_bytes: usize,
    /// Length of one answer; it is padded with spaces in its JSON body [default: corelane's `/add`]
    #[arg(long)]
    answer_bytes: Option<usize>,
}

/// Runs a loop until the process is killed.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    if !core_affinity::set_for_current(core_affinity::CoreId { id: options.core }) {
        return Err(Failure::setup(format!("cannot pin to core {}: is it there?", options.core)));
    }
    let listener = listen(options.listen)
        .map_err(|error| Failure::setup(format!("cannot listen on {}: {error}", options.listen)))?;
    println!("listening on {}", listener.local_addr()?);
    std::io::stdout().flush()?;
    if let Some(backend) = &options.forward_to {
        return Ok(forward::serve(options.which, &listener, backend)?);
    }
    let plan = Plan::new(options.request_bytes, options.answer_bytes.unwrap_or(0));
    match options.which {
        Loop::Ring => ring::serve(&listener, &plan)?,
        Loop::Epoll => epoll::serve(&listener, &plan)?,
    }
    Ok(())
}

/// A listener as a real server has it.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    // Linux copies this to every accepted socket: one call here instead of one per connection.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What to count and what to answer.
struct Plan {
    request_bytes: usize,
    answer_bytes: usize,
    /// The answer, `ANSWERS_PER_SEND` times over, and never freed: the kernel may read it whenever it likes.
    answers: &'static [u8],
}

impl Plan {
    fn new(request_bytes: usize, answer_bytes: usize) -> Self {
        let answer = answer_of(answer_bytes);
        Self {
            request_bytes,
            answer_bytes: answer.len(),
            answers: Vec::leak(answer.repeat(ANSWERS_PER_SEND)),
        }
    }
}

/// The answer of corelane's `/add`, its body padded until the whole has at least `len` bytes.
fn answer_of(len: usize) -> Vec<u8> {
    let render = |padding: usize| {
        format!(
            "HTTP/1.1 200 OK\r\ndate: Sun, 22 Nov 2026 12:00:00 GMT\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{{\"result\":3}}{:padding$}",
            12 + padding,
            ""
        )
    };
    let mut padding = len.saturating_sub(render(0).len());
    // More padding can make `content-length` longer: give those bytes back where that is possible.
    while padding > 0 && render(padding - 1).len() >= len {
        padding -= 1;
    }
    render(padding).into_bytes()
}

/// What one connection has sent and is owed, by counting alone.
#[derive(Debug, Default)]
struct Tally {
    /// Bytes of a request that is not whole yet.
    partial: usize,
    /// Bytes of answers that are owed and not sent.
    owed: usize,
    /// Bytes of the current answer that are sent already: not zero only after a short send.
    into_answer: usize,
}

impl Tally {
    fn received(&mut self, bytes: usize, plan: &Plan) {
        self.partial += bytes;
        self.owed += self.partial / plan.request_bytes * plan.answer_bytes;
        self.partial %= plan.request_bytes;
    }

    /// The part of `plan.answers` to send next; empty when nothing is owed.
    fn next(&self, plan: &Plan) -> Range<usize> {
        let start = self.into_answer;
        start..(start + self.owed).min(plan.answers.len())
    }

    fn sent(&mut self, bytes: usize, plan: &Plan) {
        self.owed -= bytes;
        self.into_answer = (self.into_answer + bytes) % plan.answer_bytes;
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a whole number of 1 or more".into()),
        Ok(number) => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_has_the_length_that_was_asked_for() {
        assert_eq!(answer_of(0).len(), 120);
        assert!(answer_of(0).ends_with(b"\r\n\r\n{\"result\":3}"));
        for len in [120, 121, 500, 1024, 4096] {
            assert_eq!(answer_of(len).len(), len);
        }
    }

    #[test]
    fn the_announced_length_is_the_length_of_the_body() {
        let answer = String::from_utf8(answer_of(700)).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())));
    }

    #[test]
    fn as_many_answers_as_requests_however_they_are_cut() {
        let plan = Plan::new(10, 0);
        let mut tally = Tally::default();
        for piece in [9, 2, 9, 160] {
            tally.received(piece, &plan);
        }
        assert_eq!(tally.owed, 18 * plan.answer_bytes);
        assert_eq!(tally.partial, 0);
    }

    #[test]
    fn a_short_send_goes_on_inside_the_answer() {
        let plan = Plan::new(10, 0);
        let mut tally = Tally::default();
        tally.received(20, &plan);
        tally.sent(100, &plan);
        assert_eq!(tally.next(&plan), 100..2 * plan.answer_bytes);
        tally.sent(2 * plan.answer_bytes - 100, &plan);
        assert!(tally.next(&plan).is_empty());
        assert_eq!(tally.into_answer, 0);
    }
}
