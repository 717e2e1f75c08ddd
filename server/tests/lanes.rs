//! Whole servers in this process: what a handler may do to its lane, and what it may not.

use net::address::Address;
use net::http1::{Request, Status};
use server::handlers::{Context, add};
use server::options::Options;
use server::routes::{Answer, Reply, Route};
use server::serve::{self, Failure, Running};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

const ROUTES: &[Route] =
    &[Route::post("/add", add::respond), Route::get("/gated", gated), Route::get("/broken", broken)];

#[test]
fn a_slow_handler_leaves_its_lane_to_everybody_else() {
    for engine in engines() {
        let running = start(&["--engine", engine, "--cores", "0", "--workers", "1"]);
        let address = address(&running);
        let mut slow = connect(address);
        slow.write_all(b"GET /gated HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        slow.write_all(&add(1, 1)).unwrap();
        let mut quick = connect(address);
        for n in 0..500 {
            assert_eq!(ask(&mut quick, &add(n, n)), (200, format!("{{\"result\":{}}}", 2 * n)), "{engine}");
        }
        GATE.open();
        // In the order of the requests, although the second was ready long before the first.
        let mut slow = BufReader::new(slow);
        assert_eq!(read(&mut slow), (200, "through".to_owned()), "{engine}");
        assert_eq!(read(&mut slow), (200, "{\"result\":2}".to_owned()), "{engine}");
        GATE.close();
        drop((slow, quick));
        running.lanes().drain();
        running.wait().unwrap();
    }
}

#[test]
fn a_very_long_body_is_added_in_the_background() {
    let running = start(&["--cores", "0"]);
    let mut client = connect(address(&running));
    let pad = " ".repeat(add::INLINE_BYTES_MAX);
    let body = format!("{{\"a\":1,{pad}\"b\":2}}");
    let length = body.len();
    let head = format!(
        "POST /add HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    let answer = ask(&mut client, format!("{head}{body}").as_bytes());
    assert_eq!(answer, (200, "{\"result\":3}".to_owned()));
    drop(client);
    running.lanes().drain();
    running.wait().unwrap();
}

#[test]
fn a_handler_that_panics_on_its_lane_ends_the_whole_server() {
    for engine in engines() {
        let running = start(&["--engine", engine]);
        let mut client = connect(address(&running));
        client.write_all(b"GET /broken HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        let failure = running.wait().unwrap_err();
        assert_eq!(failure.exit_code(), 1);
        assert!(matches!(&failure, Failure::Ended { why, .. } if why == "panicked: on purpose"), "{failure}");
    }
}

/// Says `through` once the gate is open; waits on a worker, not on the lane.
fn gated(_: &Request<'_>, _: &mut Context<'_>) -> Answer {
    Answer::Later(Box::new(|| {
        GATE.wait();
        Reply { status: Status::OK, body: b"through".to_vec() }
    }))
}

fn broken(_: &Request<'_>, _: &mut Context<'_>) -> Answer {
    panic!("on purpose")
}

static GATE: Gate = Gate { is_open: Mutex::new(false), opened: Condvar::new() };

struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn close(&self) {
        *self.is_open.lock().unwrap() = false;
    }

    fn wait(&self) {
        let mut is_open = self.is_open.lock().unwrap();
        while !*is_open {
            is_open = self.opened.wait(is_open).unwrap();
        }
    }
}

/// The engines that work here.
fn engines() -> Vec<&'static str> {
    let works = |name: &&str| {
        let args = ["corelane-server", "--engine", name].map(OsString::from);
        let probe = Options::read(args).map(|(options, _)| options.engine.resolve());
        let works = matches!(probe, Ok(Ok(_)));
        if !works {
            println!("SKIPPED: the {name} engine does not work here");
        }
        works
    };
    ["uring", "epoll", "monoio", "monoio-epoll", "glommio"].into_iter().filter(works).collect()
}

fn start(args: &[&str]) -> Running {
    let fixed = ["corelane-server", "--listen", "127.0.0.1:0", "--admin", "off"];
    let args: Vec<OsString> = fixed.iter().chain(args).map(OsString::from).collect();
    serve::start_with(&Options::read(args).unwrap().0, ROUTES).unwrap()
}

fn address(running: &Running) -> SocketAddr {
    match running.addresses()[0] {
        Address::Tcp(address) => address,
        Address::Unix(_) => unreachable!("these servers listen on TCP"),
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn add(a: u64, b: u64) -> Vec<u8> {
    let body = format!("{{\"a\":{a},\"b\":{b}}}");
    let length = body.len();
    let head = "POST /add HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length:";
    format!("{head} {length}\r\n\r\n{body}").into_bytes()
}

fn ask(stream: &mut TcpStream, request: &[u8]) -> (u16, String) {
    let mut writer = stream.try_clone().unwrap();
    let request = request.to_vec();
    let sent = thread::spawn(move || writer.write_all(&request));
    let answer = read(&mut BufReader::new(stream));
    sent.join().unwrap().unwrap();
    answer
}

/// One answer with a length: its status and its body.
fn read(stream: &mut impl BufRead) -> (u16, String) {
    let mut length = 0;
    let mut status = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        match line.trim_end().split_once(' ') {
            Some(("HTTP/1.1", rest)) => status = rest[..3].parse().unwrap(),
            Some(("content-length:", value)) => length = value.parse().unwrap(),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (status, String::from_utf8(body).unwrap())
}
