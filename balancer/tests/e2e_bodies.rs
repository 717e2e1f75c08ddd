//! Large bodies and peers that don't take them: memory stays bounded, others are served, and every byte arrives.

#[macro_use]
mod support;

use net::engine::{Engine, Settings};
use net::http1::{Asked, Heads, Limits, RequestEvent, RequestStream, write};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use support::child::Balancer;
use support::metrics::{Metrics, nothing_is_left};
use support::noise::Noise;
use support::wire::{Client, read_head, serve};
use support::{Scratch, eventually, skipped};

each_engine! {
    a_thousand_clients_that_do_not_read_cost_little_and_disturb_nobody
    an_upload_waits_outside_for_a_server_that_does_not_read
    a_download_waits_outside_for_a_client_that_does_not_read
    chunks_pass_both_ways_at_once
    the_end_of_the_last_answer_waits_for_a_slow_client
}

/// Much less than the kernel takes by itself, so that what is measured is ours.
const UNSENT_MAX: usize = 16 * 1024;
/// The most of ours for a connection without what it has to send; a request has two.
const CONNECTION_BYTES: usize = 4 * 1024;
/// The most that one connection delivers before it is seen that the other side is full: one piece of `epoll`; with `uring` what the
/// kernel had already put into receive buffers.
const PIECE_MAX: usize = 64 * 1024;
/// What an allocator keeps beside what is asked of it: a run of its own for each size, and what was given back.
const ALLOCATOR_BYTES: usize = 2 * 1024 * 1024;

const SLOW_CLIENTS: usize = 1000;
/// In this process each client has both of its ends, and there may be both engines at a time.
const DESCRIPTORS_EACH: usize = 4;
const DESCRIPTORS_SPARE: usize = 200;
const SLOW_BODY: usize = 2 * 1024 * 1024;
const LARGE_BODY: usize = 64 * 1024 * 1024;
const SEED: u64 = 0x005e_ed0f_b0d1_e500;

/// In front of this server on one lane, with time limits that a slow machine doesn't reach.
fn balancer(engine: &str, server: &str) -> (Balancer, Scratch) {
    let patience = "body = \"10min\"\nresponse-head = \"10min\"";
    let text = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n[front]\nunsent-max = \"{UNSENT_MAX}B\"\nbody-timeout = \"10min\"\n\
         [pools.web]\nservers = [\"{server}\"]\n[pools.web.timeouts]\n{patience}\n"
    );
    let file = Scratch::with("bodies.toml", text);
    (Balancer::start(&["--config", file.as_str(), "--engine", engine, "--cores", "0"]), file)
}

/// What so many requests may hold in the balancer whose peers don't take what they are sent.
///
/// For each there is at most the limit and what came before it was seen; of this the kernel may have one buffer while the next one
/// fills. Beside, there are the lane's receive buffers, which are touched for the first time.
fn held_max(engine: &str, requests: usize) -> usize {
    let engine = Engine::ALL.iter().find(|known| known.name() == engine).expect("it is compiled in");
    let buffers = Settings::default().receive_bytes(*engine);
    let each = 2 * (UNSENT_MAX + PIECE_MAX) + 2 * CONNECTION_BYTES;
    ALLOCATOR_BYTES + buffers + requests * each
}

fn a_thousand_clients_that_do_not_read_cost_little_and_disturb_nobody(engine: &str) {
    let limit = net::listen::raise_descriptor_limit() as usize;
    let count = SLOW_CLIENTS.min(limit.saturating_sub(DESCRIPTORS_SPARE) / DESCRIPTORS_EACH);
    if count < SLOW_CLIENTS {
        skipped(&format!("only {count} of {SLOW_CLIENTS} clients: the hard limit on open files is {limit}"));
    }
    let body = Arc::new(Noise::new(SEED).take(SLOW_BODY));
    let whole = body.clone();
    let server = serve(move |mut socket| {
        // So the kernel takes little of each response.
        rustix::net::sockopt::set_socket_send_buffer_size(&socket, 64 * 1024).expect("it can be set");
        while let Some(head) = read_head(&mut socket) {
            let body: &[u8] = if head.starts_with("GET /small ") { b"small" } else { &whole };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            if socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(body)).is_err() {
                return;
            }
        }
    });
    let (balancer, _file) = balancer(engine, &server);
    let mut other = Client::connect(balancer.address());
    let ask = |other: &mut Client| {
        let answer = other.ask("GET", "/small", &[], b"").expect("an answer");
        assert_eq!((answer.status, answer.text().as_str()), (200, "small"));
    };
    (0..100).for_each(|_| ask(&mut other));
    let before = balancer.running.own_bytes();

    let mut slow: Vec<Client> = Vec::new();
    for n in 0..count {
        let mut client = Client::connect_from_afar(balancer.address());
        client.send("GET /large HTTP/1.1\r\nHost: test\r\n\r\n");
        // It reads a little, and stops.
        assert!(read_head(&mut client.socket).is_some_and(|head| head.starts_with("HTTP/1.1 200 ")));
        slow.push(client);
        if n % 10 == 0 {
            ask(&mut other);
        }
    }
    let metrics = Metrics::of(&balancer);
    assert_eq!(metrics.sum("lane_active_requests", &[]), count as u64, "the kernel took a whole body");
    (0..100).for_each(|_| ask(&mut other));
    let held = balancer.running.own_bytes().saturating_sub(before);
    let held_max = held_max(engine, count);
    assert!(held <= held_max, "{held} bytes for {count} clients, more than {held_max}");

    // Those that read again get what they asked for; the others go.
    for mut client in slow.drain(..).take(10) {
        Noise::new(SEED).read(&mut client.socket, SLOW_BODY).expect("the rest comes");
    }
    nothing_is_left(&balancer);
    ask(&mut other);
}

fn an_upload_waits_outside_for_a_server_that_does_not_read(engine: &str) {
    let gate = Gate::default();
    let opens = gate.clone();
    let server = serve(move |mut socket| {
        if read_head(&mut socket).is_some() {
            opens.wait();
            Noise::new(SEED).read(&mut socket, LARGE_BODY).expect("the whole body comes");
            socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole").expect("it is answered");
        }
    });
    let (balancer, _file) = balancer(engine, &server);
    let before = balancer.running.own_bytes();
    let out = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let upload = scope.spawn(|| {
            let mut client = Client::connect(balancer.address());
            client.send(format!("PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: {LARGE_BODY}\r\n\r\n"));
            Noise::new(SEED).write(&mut client.socket, LARGE_BODY, &out).expect("it is sent");
            client.answer(Asked::Other).expect("an answer")
        });
        waits(&out);
        gate.open();
        let held = most(&balancer, || upload.is_finished()).saturating_sub(before);
        let answer = upload.join().expect("the client ends well");
        assert_eq!((answer.status, answer.text().as_str(), answer.closes), (200, "whole", false));
        assert!(held <= held_max(engine, 1), "{held} bytes, more than {}", held_max(engine, 1));
    });
    nothing_is_left(&balancer);
}

fn a_download_waits_outside_for_a_client_that_does_not_read(engine: &str) {
    let out = Arc::new(AtomicU64::new(0));
    let counted = out.clone();
    let server = serve(move |mut socket| {
        while read_head(&mut socket).is_some() {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE_BODY}\r\n\r\n");
            socket.write_all(head.as_bytes()).expect("it is sent");
            Noise::new(SEED).write(&mut socket, LARGE_BODY, &counted).expect("it is sent");
        }
    });
    let (balancer, _file) = balancer(engine, &server);
    let before = balancer.running.own_bytes();
    let mut client = Client::connect(balancer.address());
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        read_head(&mut client.socket).expect("a head");
        waits(&out);
        std::thread::scope(|scope| {
            let download = scope.spawn(|| Noise::new(SEED).read(&mut client.socket, LARGE_BODY));
            let held = most(&balancer, || download.is_finished()).saturating_sub(before);
            download.join().expect("every byte is right").expect("the rest comes");
            assert!(held <= held_max(engine, 1), "{held} bytes, more than {}", held_max(engine, 1));
        });
    }
    nothing_is_left(&balancer);
}

fn chunks_pass_both_ways_at_once(engine: &str) {
    let (balancer, _file) = balancer(engine, &serve(echo));
    let before = balancer.running.own_bytes();
    let body = Noise::new(SEED).take(LARGE_BODY / 4);
    for _ in 0..2 {
        // A response that begins before its request has ended is the connection's last.
        let mut client = Client::connect(balancer.address());
        let mut writer = client.socket.try_clone().expect("a socket can be cloned");
        let answer = std::thread::scope(|scope| {
            let sent = scope.spawn(|| send_chunked(&mut writer, &body));
            let answer = scope.spawn(|| client.answer(Asked::Other).expect("an answer"));
            let held = most(&balancer, || answer.is_finished()).saturating_sub(before);
            assert!(held <= held_max(engine, 1), "{held} bytes, more than {}", held_max(engine, 1));
            sent.join().expect("it is sent");
            answer.join().expect("it is read")
        });
        assert_eq!((answer.status, answer.field("transfer-encoding")), (200, Some("chunked")));
        assert!(answer.body == body, "wrong bytes, {} of {}", answer.body.len(), body.len());
    }
    nothing_is_left(&balancer);
}

/// The server is done and we have closed: what we hold is still the client's, although it pauses for longer than `linger-timeout`.
fn the_end_of_the_last_answer_waits_for_a_slow_client(engine: &str) {
    const BODY: usize = 1024 * 1024;
    let server = serve(|mut socket| {
        while read_head(&mut socket).is_some() {
            let mut out = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            write::chunk(&mut out, &Noise::new(SEED).take(BODY));
            out.extend_from_slice(b"0\r\n\r\n");
            socket.write_all(&out).expect("it is sent");
        }
    });
    let file = Scratch::with(
        "linger.toml",
        format!(
            "[[listeners]]\naddress = \"127.0.0.1:0\"\n[front]\nlinger-timeout = \"100ms\"\nunsent-max = \"4MiB\"\n\
             [pools.web]\nservers = [\"{server}\"]\n"
        ),
    );
    let balancer = Balancer::start(&["--config", file.as_str(), "--engine", engine, "--cores", "0"]);
    // To the second one, a body that ends with the connection looks whole wherever that ends.
    let requests = ["GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"];
    for (n, request) in (1..).zip(requests) {
        let mut client = Client::connect_from_afar(balancer.address());
        client.send(request);
        eventually("the server is done", || {
            Metrics::of(&balancer).sum("server_responses_total", &["class=\"2xx\""]) == n
        });
        std::thread::sleep(Duration::from_secs(1));
        let mut got = Vec::new();
        client.socket.read_to_end(&mut got).expect("it ends well");
        assert!(got.len() > BODY, "{} bytes came: {}", got.len(), request.escape_debug());
    }
}

/// A request with this body, in chunks of every size.
fn send_chunked(to: &mut TcpStream, body: &[u8]) {
    let mut out = b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let (mut rest, mut size) = (body, 1);
    while !rest.is_empty() {
        let (chunk, behind) = rest.split_at(size.min(rest.len()));
        write::chunk(&mut out, chunk);
        to.write_all(&out).expect("it is sent");
        out.clear();
        (rest, size) = (behind, size % 40_000 * 3 + 1);
    }
    to.write_all(b"0\r\n\r\n").expect("it is sent");
}

/// A server that sends back what it gets, piece by piece, while it comes.
fn echo(mut socket: TcpStream) {
    let limits = Limits { body_bytes_max: u64::MAX, ..Limits::default() };
    let (mut http, mut heads) = (RequestStream::new(), Heads::new(limits));
    let mut buffer = vec![0; 32 * 1024];
    while let Ok(count @ 1..) = socket.read(&mut buffer) {
        let (mut input, mut out) = (&buffer[..count], Vec::new());
        loop {
            let used = match http.next(input, &mut heads).expect("the balancer sends valid requests") {
                RequestEvent::More => break,
                RequestEvent::Head { used, .. } => {
                    out.extend_from_slice(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                    used
                }
                RequestEvent::Content { bytes, used } => {
                    write::chunk(&mut out, bytes);
                    used
                }
                RequestEvent::End { used, .. } => {
                    out.extend_from_slice(b"0\r\n\r\n");
                    used
                }
            };
            input = &input[used..];
        }
        if socket.write_all(&out).is_err() {
            return;
        }
    }
}

/// Waits until what is sent goes on no more: it is all out, or somebody doesn't take it.
fn waits(out: &AtomicU64) {
    let mut seen = (0, Instant::now());
    eventually("the sender waits", || {
        let count = out.load(Relaxed);
        if count != seen.0 {
            seen = (count, Instant::now());
        }
        count > 0 && seen.1.elapsed() > Duration::from_millis(300)
    });
}

/// The most memory that the balancer has until then.
fn most(balancer: &Balancer, mut is_over: impl FnMut() -> bool) -> usize {
    let mut most = 0;
    eventually("it comes to its end", || {
        most = most.max(balancer.running.own_bytes());
        is_over()
    });
    most
}

/// Who waits here goes on when it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<AtomicBool>);

impl Gate {
    fn open(&self) {
        self.0.store(true, Relaxed);
    }

    fn wait(&self) {
        eventually("the gate is opened", || self.0.load(Relaxed));
    }
}
