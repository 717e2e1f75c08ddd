//! A client that sends bytes as they are and reads whole answers, strictly: what it can't read fails the test.

use super::PATIENCE;
use net::address::Address;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// One connection.
pub struct Client {
    stream: Stream,
    /// Received; up to `taken` it was part of answers that are out.
    kept: Vec<u8>,
    taken: usize,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// One whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Whether an answer has a body after its head.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    Body,
    /// As to HEAD: a length, and nothing of it.
    HeadAlone,
}

impl Client {
    pub fn connect(address: &Address) -> io::Result<Client> {
        let stream = match address {
            Address::Tcp(address) => Stream::Tcp(tcp(*address)?),
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Stream::Unix(stream)
            }
        };
        Ok(Client { stream, kept: Vec::new(), taken: 0 })
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes.as_ref()).expect("the server reads");
    }

    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer().write_all(bytes)
    }

    /// Sends one request and reads its answer.
    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.send(request);
        self.answer()
    }

    /// The next answer.
    pub fn answer(&mut self) -> Answer {
        self.try_answer(Expected::Body).expect("a whole answer")
    }

    /// The next answer, of which the head is all.
    pub fn answer_without_body(&mut self) -> Answer {
        self.try_answer(Expected::HeadAlone).expect("a whole answer")
    }

    /// The next answer. `UnexpectedEof` with an empty text: the server closed between two answers.
    pub fn try_answer(&mut self, expected: Expected) -> io::Result<Answer> {
        let head_len = loop {
            match self.rest().windows(4).position(|four| four == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => self.receive()?,
            }
        };
        let mut answer = Answer::of_head(&self.rest()[..head_len]);
        let len = head_len + answer.body_len(expected);
        while self.rest().len() < len {
            self.receive()?;
        }
        answer.body = self.rest()[head_len..len].to_vec();
        self.taken += len;
        Ok(answer)
    }

    /// Received, not yet part of an answer.
    fn rest(&self) -> &[u8] {
        &self.kept[self.taken..]
    }

    /// Reads some more; the end of the connection is an error that shows what is missing the rest.
    fn receive(&mut self) -> io::Result<()> {
        self.kept.drain(..std::mem::take(&mut self.taken));
        let mut piece = [0; 64 * 1024];
        match self.reader().read(&mut piece) {
            Ok(0) => Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                String::from_utf8_lossy(&self.kept).into_owned(),
            )),
            Ok(count) => {
                self.kept.extend_from_slice(&piece[..count]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The server closes the connection in order, and sends nothing before.
    pub fn must_end(&mut self) {
        let error = self.receive().expect_err("the connection should be over");
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
        assert!(self.rest().is_empty(), "more than the answers: {error}");
    }

    /// The connection ends somehow; what came before is dropped.
    pub fn drain_to_the_end(&mut self) {
        while self.receive().is_ok() {
            self.kept.clear();
        }
    }

    /// The connection still serves.
    pub fn must_serve(&mut self) {
        assert_eq!(self.ask(get("/healthz")).status, 200);
    }

    /// Nothing more will be sent.
    pub fn half_close(&self) {
        let done = match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
        done.expect("an open connection can be shut down");
    }

    /// How long a write may wait for the server.
    pub fn set_write_timeout(&self, timeout: Duration) {
        let done = match &self.stream {
            Stream::Tcp(stream) => stream.set_write_timeout(Some(timeout)),
            Stream::Unix(stream) => stream.set_write_timeout(Some(timeout)),
        };
        done.expect("a timeout over zero");
    }

    /// Writes as much of `bytes` as the kernel takes at once.
    pub fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer().write(bytes)
    }

    /// A second handle, to send from another thread.
    pub fn sender(&self) -> TcpStream {
        match &self.stream {
            Stream::Tcp(stream) => stream.try_clone().expect("a descriptor is left"),
            Stream::Unix(_) => unreachable!("only used with TCP"),
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match &mut self.stream {
            Stream::Tcp(stream) => stream,
            Stream::Unix(stream) => stream,
        }
    }

    fn reader(&mut self) -> &mut dyn Read {
        match &mut self.stream {
            Stream::Tcp(stream) => stream,
            Stream::Unix(stream) => stream,
        }
    }
}

fn tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Answer {
    fn of_head(head: &[u8]) -> Answer {
        let head = std::str::from_utf8(head).expect("a head is text");
        let mut lines = head.trim_end().split("\r\n");
        let first = lines.next().expect("a head has a first line");
        let status =
            first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {first}"));
        let field = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no field line: {line:?}"));
            (name.to_ascii_lowercase(), value.to_owned())
        };
        Answer { status, fields: lines.map(field).collect(), body: Vec::new() }
    }

    fn body_len(&self, expected: Expected) -> usize {
        let length = self.field("content-length").map(|length| length.parse::<usize>().expect("a length"));
        match self.status {
            100..200 | 204 => {
                assert_eq!(length, None, "{} has no content, and no length", self.status);
                0
            }
            _ if expected == Expected::HeadAlone => 0,
            _ => length.expect("every other answer has a length"),
        }
    }

    /// The value of the only field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(n, _)| n == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} twice");
        value
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body is text")
    }

    /// The last answer of its connection.
    pub fn closes(&self) -> bool {
        self.field("connection") == Some("close")
    }

    /// What the body's `error` says.
    pub fn error(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).expect("errors are JSON");
        assert_eq!(json.as_object().map(|members| members.len()), Some(1), "{json}");
        json["error"].as_str().expect("an error is a text").to_owned()
    }
}

/// `GET`, as plain as it can be.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

/// `POST /add` with this body.
pub fn post(body: &str) -> String {
    let length = body.len();
    format!(
        "POST /add HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// `POST /add` of these two.
pub fn add(a: u64, b: u64) -> String {
    post(&format!("{{\"a\":{a},\"b\":{b}}}"))
}

/// The body of the answer to [`add`].
pub fn sum(a: u64, b: u64) -> String {
    format!("{{\"result\":{}}}", a + b)
}
