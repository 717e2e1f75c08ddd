//! A plain blocking client, and a plain server that does as a test says.

use super::PATIENCE;
use net::http1::{Asked, ClientConn, Limits, ResponseHeads, ResponseStep};
use socket2::{Domain, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// One connection to the balancer.
pub struct Client {
    pub socket: TcpStream,
    http: ClientConn,
    heads: ResponseHeads,
    kept: Vec<u8>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The connection ends behind it.
    pub closes: bool,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &value[..])
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub fn connect(address: &str) -> Client {
        Client::over(TcpStream::connect(address).unwrap_or_else(|e| panic!("connect to {address}: {e}")))
    }

    /// From another address of this machine than usual.
    pub fn connect_from(ip: [u8; 4], address: &str) -> Client {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((ip, 0)).into()).expect("all of 127.0.0.0/8 is this machine");
        let to: SocketAddr = address.parse().expect("an address");
        socket.connect(&to.into()).unwrap_or_else(|e| panic!("connect to {address}: {e}"));
        Client::over(socket.into())
    }

    /// As one far away: short segments, and a small window. So the kernel holds little of what is sent to it.
    pub fn connect_from_afar(address: &str) -> Client {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_tcp_mss(1400).expect("an option can be set");
        socket.set_recv_buffer_size(4096).expect("an option can be set");
        let to: SocketAddr = address.parse().expect("an address");
        socket.connect(&to.into()).unwrap_or_else(|e| panic!("connect to {address}: {e}"));
        Client::over(socket.into())
    }

    /// Over a connection that is there.
    pub fn over(socket: TcpStream) -> Client {
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        socket.set_nodelay(true).expect("an option can be set");
        let limits = Limits { body_bytes_max: 1 << 30, ..Limits::default() };
        Client { socket, http: ClientConn::new(), heads: ResponseHeads::new(limits), kept: Vec::new() }
    }

    /// One request, and its answer.
    pub fn ask(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut request = format!("{method} {target} HTTP/1.1\r\nhost: test\r\n");
        fields.iter().for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
        if !body.is_empty() {
            request.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        let bytes = [request.as_bytes(), b"\r\n", body].concat();
        self.socket.write_all(&bytes)?;
        self.answer(if method == "HEAD" { Asked::Head } else { Asked::Other })
    }

    /// Sends this, as it is.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).expect("it is sent");
    }

    /// The next answer.
    pub fn answer(&mut self, asked: Asked) -> io::Result<Answer> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let input = std::mem::take(&mut self.kept);
            let (used, answer) = match self.http.next(&input, asked, &mut self.heads) {
                Ok(ResponseStep::More) => (input.len(), None),
                Ok(ResponseStep::Interim { used, .. }) => (used, None),
                Ok(ResponseStep::Response { response, used }) => {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    let fields = response.head.fields().map(|(name, value)| (text(name), text(value)));
                    let answer = Answer {
                        status: response.head.status.code(),
                        fields: fields.collect(),
                        body: response.body.to_vec(),
                        closes: !response.head.keep_alive,
                    };
                    (used, Some(answer))
                }
                Err(error) => return Err(io::Error::other(error)),
            };
            self.kept = input[used..].to_vec();
            if let Some(answer) = answer {
                return Ok(answer);
            }
            if self.kept.is_empty() {
                match self.socket.read(&mut buffer)? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    count => self.kept.extend_from_slice(&buffer[..count]),
                }
            }
        }
    }
}

/// A server that gives each of its connections to `serve`, on a thread of its own.
pub fn serve(serve: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound").to_string();
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let serve = serve.clone();
            // There may be a thousand, and none of them needs much.
            let spawned = thread::Builder::new().stack_size(256 * 1024).spawn(move || {
                socket.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
                socket.set_nodelay(true).expect("an option can be set");
                serve(socket);
            });
            spawned.expect("a thread starts");
        }
    });
    address
}

/// A server that answers each request with the head that it got.
pub fn serve_mirrors() -> String {
    serve(|mut socket| {
        while let Some(head) = read_head(&mut socket) {
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}", head.len());
            if socket.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    })
}

/// Reads one head; `None` at the end of the connection.
pub fn read_head(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}
