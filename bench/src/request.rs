//! The fixed request, byte for byte, and the check that a contender answers it.
//!
//! Who does not add gets these bytes alone, from our generator and from wrk; their length is known, which is what lets
//! the floor answer without reading. Who adds is asked for all kinds of sums, once it has answered this one.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::failure::Failure;

/// `POST /add` of two small numbers. The host has no port in it, so that the length depends on nothing.
pub(crate) const REQUEST: &str = "POST /add HTTP/1.1\r\n\
     Host: localhost\r\n\
     Content-Type: application/json\r\n\
     Content-Length: 13\r\n\
     \r\n\
     {\"a\":1,\"b\":2}";

/// What is asked for.
pub(crate) const BODY: &str = "{\"a\":1,\"b\":2}";

/// What a contender can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Sums of all kinds, each of which is checked.
    Sums,
    /// The fixed request, as the answer is fixed; its status and body are checked.
    Fixed,
}

/// The body of the right answer, with which every answer ends.
pub(crate) const ANSWER_BODY: &[u8] = b"{\"result\":3}";

/// Longer than any server here needs for one answer, short enough to wait for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// No contender's answer to `REQUEST` is longer.
const ANSWER_BYTES_MAX: usize = 4096;

/// Sends one request on a new connection and demands the right answer.
pub(crate) fn check(address: SocketAddr) -> Result<(), Failure> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    ask(&mut stream).map(drop)
}

/// One request, one answer, blocking; returns the answer's length.
pub(crate) fn ask(stream: &mut TcpStream) -> Result<usize, Failure> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(REQUEST.as_bytes())?;
    let mut answer = [0; ANSWER_BYTES_MAX];
    let mut len = 0;
    while !answer[..len].ends_with(ANSWER_BODY) {
        match stream.read(&mut answer[len..]) {
            Ok(bytes) if bytes > 0 => len += bytes,
            _ => break,
        }
    }
    judge(&answer[..len]).map(|()| len)
}

fn judge(answer: &[u8]) -> Result<(), Failure> {
    if answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(ANSWER_BODY) {
        return Ok(());
    }
    let answer = String::from_utf8_lossy(answer);
    Err(Failure::run(format!(
        "the answer to {:?} should be a 200 with {{\"result\":3}}, but is {:?}",
        "POST /add",
        if answer.is_empty() { "nothing" } else { &answer }
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_announced_length_is_the_length_of_the_body() {
        let (head, body) = REQUEST.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
        assert_eq!(body, BODY);
    }

    #[test]
    fn our_generator_sends_as_many_bytes() {
        use net::http1::write::{self, BodySpec, RequestSpec};
        let mut written = Vec::new();
        let fields = &[("content-type", "application/json")];
        let body = BodySpec::Length(BODY.as_bytes());
        let spec = RequestSpec { method: "POST", target: "/add", host: "localhost", fields, body };
        write::request(&mut written, &spec);
        assert_eq!(written.to_ascii_lowercase(), REQUEST.to_ascii_lowercase().as_bytes());
    }

    #[test]
    fn only_a_200_with_the_sum_will_do() {
        assert!(judge(b"HTTP/1.1 200 Ok\r\ncontent-length: 12\r\n\r\n{\"result\":3}").is_ok());
        assert!(judge(b"HTTP/1.1 404 Not Found\r\ncontent-length: 12\r\n\r\n{\"result\":3}").is_err());
        assert!(judge(b"HTTP/1.1 200 OK\r\n\r\n{\"result\":4}").is_err());
        assert!(judge(b"").is_err());
    }
}
