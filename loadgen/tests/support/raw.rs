//! A little HTTP server that writes down what arrives, and answers with the bytes it was given.
//!
//! In: connections over TCP or a Unix socket. Out: requests as they came, told apart by connection. It shares no code
//! with what it tests. Never: understands more of HTTP than a generator sends: heads, and bodies by their length.

use super::{Scratch, skipped};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// One request, as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// By order of arrival, from 0.
    pub connection: usize,
    pub method: String,
    pub target: String,
    fields: Vec<(String, String)>,
    pub body: String,
}

impl Seen {
    /// The value of the only field of this name, which is in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(key, _)| key == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} twice: {self:?}");
        value
    }
}

/// What a connection does behind an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Waits for the next request.
    GoOn,
    /// Ends in order.
    Close,
    /// Breaks it (RST).
    Reset,
}

/// The server. It ends with its process: a test is over when its assertions are.
pub struct Recorder {
    host: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    socket: Option<Scratch>,
}

/// What every connection's thread has.
#[derive(Clone)]
struct Script {
    answer: Arc<Vec<u8>>,
    after: After,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// An answer with this status and body.
pub fn answer(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

impl Recorder {
    /// On a port of 127.0.0.1; each request is answered by 200 and `{"ok":true,"n":1}`.
    pub fn start() -> Recorder {
        Recorder::answering(answer("200 OK", r#"{"ok":true,"n":1}"#), After::GoOn)
    }

    /// Each request is answered by these bytes.
    pub fn answering(answer: Vec<u8>, after: After) -> Recorder {
        Recorder::on("127.0.0.1:0", answer, after).expect("a port is left")
    }

    /// On this address; an error if the machine has no such.
    pub fn on(address: &str, answer: Vec<u8>, after: After) -> std::io::Result<Recorder> {
        let listener = TcpListener::bind(address)?;
        let host = listener.local_addr()?.to_string();
        let seen = Arc::default();
        let script = Script { answer: Arc::new(answer), after, seen: Arc::clone(&seen) };
        thread::spawn(move || {
            for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
                let script = script.clone();
                thread::spawn(move || script.serve(number, stream));
            }
        });
        Ok(Recorder { host, seen, socket: None })
    }

    /// On a Unix socket, answering as [`Recorder::start`].
    pub fn on_unix() -> Recorder {
        let socket = Scratch::new("recorder.sock");
        let listener = UnixListener::bind(&socket.0).expect("a socket of ours can be bound");
        let seen = Arc::default();
        let answer = answer("200 OK", r#"{"ok":true,"n":1}"#);
        let script = Script { answer: Arc::new(answer), after: After::GoOn, seen: Arc::clone(&seen) };
        thread::spawn(move || {
            for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
                let script = script.clone();
                thread::spawn(move || script.serve(number, stream));
            }
        });
        Recorder { host: format!("unix:{}:", socket.as_str()), seen, socket: Some(socket) }
    }

    /// The URL of a target, which begins with a slash.
    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.host)
    }

    /// What stands in `Host` of who uses [`Recorder::url`].
    pub fn host(&self) -> &str {
        if self.socket.is_some() { "localhost" } else { &self.host }
    }

    /// All requests so far; those of a connection in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A TCP or a Unix stream.
trait Stream: Read + Write {
    fn reset(self);
}

impl Stream for TcpStream {
    fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self, Some(Duration::ZERO))
            .expect("a socket can linger for no time");
    }
}

impl Stream for UnixStream {
    fn reset(self) {}
}

impl Script {
    /// One connection, until its peer ends it. Errors are its end, too: the generator may break a connection.
    fn serve(&self, connection: usize, mut stream: impl Stream) {
        let mut kept = Vec::new();
        while let Some(seen) = next(&mut stream, &mut kept, connection) {
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
            if stream.write_all(&self.answer).is_err() {
                return;
            }
            match self.after {
                After::GoOn => {}
                After::Close => return,
                After::Reset => return stream.reset(),
            }
        }
    }
}

/// The next request; `None` at the connection's end.
fn next(stream: &mut impl Read, kept: &mut Vec<u8>, connection: usize) -> Option<Seen> {
    let head_len = loop {
        match kept.windows(4).position(|four| four == b"\r\n\r\n") {
            Some(at) => break at + 4,
            None => receive(stream, kept)?,
        }
    };
    let head = String::from_utf8(kept[..head_len].to_vec()).expect("a head is text");
    let mut lines = head.trim_end().split("\r\n");
    let first: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, "HTTP/1.1"] = first[..] else { panic!("no request line: {head:?}") };
    let field = |line: &str| {
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no field: {line:?}"));
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    let fields: Vec<(String, String)> = lines.map(field).collect();
    let length = fields.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(0, |(_, value)| value.parse().expect("a length is a number"));
    while kept.len() < head_len + length {
        receive(stream, kept)?;
    }
    let body = String::from_utf8_lossy(&kept[head_len..head_len + length]).into_owned();
    let seen = Seen { connection, method: method.to_owned(), target: target.to_owned(), fields, body };
    kept.drain(..head_len + length);
    Some(seen)
}

fn receive(stream: &mut impl Read, kept: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 16 * 1024];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return None,
            Ok(count) => {
                kept.extend_from_slice(&piece[..count]);
                return Some(());
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

/// A listener whose queue is full, and that accepts nobody: a connect to it waits.
pub struct FullBacklog {
    pub address: SocketAddr,
    _listener: OwnedFd,
    _waiting: Vec<TcpStream>,
}

impl FullBacklog {
    /// `None`, said aloud, on a kernel that has no such thing.
    pub fn new() -> Option<FullBacklog> {
        use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
        let listener = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&listener, &SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port is left");
        listen(&listener, 0).expect("it listens");
        let address = getsockname(&listener).ok().and_then(|address| address.try_into().ok());
        let address = address.expect("it was bound to an address of IPv4");
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            waiting.push(stream);
            if waiting.len() > 64 {
                skipped("this kernel takes connections beyond the backlog");
                return None;
            }
        }
        Some(FullBacklog { address, _listener: listener, _waiting: waiting })
    }
}
