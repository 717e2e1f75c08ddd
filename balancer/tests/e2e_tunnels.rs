//! WebSockets and other protocols behind a 101: bytes both ways until both sides have ended; and upgrades that are refused.

#[macro_use]
mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use support::child::Balancer;
use support::eventually;
use support::metrics::{Metrics, nothing_is_left};
use support::noise::Noise;
use support::wire::{Client, read_head, serve};
use support::{PATIENCE, Scratch};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message};

each_engine! {
    a_websocket_echoes_and_closes
    many_websockets_live_side_by_side
    what_comes_at_once_behind_the_heads_reaches_the_other_side
    a_client_that_has_ended_still_gets_the_rest
    a_server_that_has_ended_still_gets_the_rest
    a_tunnel_without_traffic_is_closed
    a_tunnel_with_traffic_outlives_its_limit
    a_tunnel_whose_client_reads_slowly_outlives_its_limit
    a_tunnel_whose_server_dies_is_cut
    a_drain_lets_tunnels_go_on_and_cuts_them_in_the_end
    a_refused_upgrade_is_an_answer_like_any_other
}

fn balancer(engine: &str, server: &str, limit: &str) -> (Balancer, Scratch) {
    balancer_that_holds(engine, server, limit, "256KiB")
}

fn balancer_that_holds(engine: &str, server: &str, limit: &str, unsent_max: &str) -> (Balancer, Scratch) {
    let text = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n[front]\nunsent-max = \"{unsent_max}\"\n[pools.web]\nservers = [\"{server}\"]\n\
         [pools.web.timeouts]\ntunnel = \"{limit}\"\n"
    );
    let file = Scratch::with("tunnel.toml", text);
    (Balancer::start(&["--config", file.as_str(), "--engine", engine, "--cores", "0"]), file)
}

fn tunnels(balancer: &Balancer) -> u64 {
    Metrics::of(balancer).sum("lane_tunnels", &[])
}

/// A WebSocket server that sends back what it gets, until it is closed.
fn websocket_echo() -> String {
    serve(|socket| {
        let Ok(mut socket) = tungstenite::accept(socket) else { return };
        loop {
            match socket.read() {
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                    socket.send(message).expect("it is sent")
                }
                Ok(_) => {}
                // Closed, in whatever way: the client's side of the test says which is right.
                Err(_) => return,
            }
        }
    })
}

fn websocket(address: &str) -> tungstenite::WebSocket<TcpStream> {
    let socket = Client::connect(address).socket;
    let (socket, response) =
        tungstenite::client(format!("ws://{address}/chat"), socket).expect("a handshake");
    assert_eq!(response.status(), 101);
    socket
}

fn a_websocket_echoes_and_closes(engine: &str) {
    let (balancer, _file) = balancer(engine, &websocket_echo(), "1h");
    let mut socket = websocket(balancer.address());
    eventually("it is a tunnel", || tunnels(&balancer) == 1);
    for text in ["", "a", "ein Wort", "\u{1f980}"] {
        socket.send(Message::text(text)).expect("it is sent");
        assert_eq!(socket.read().expect("it comes back"), Message::text(text));
    }
    let mut noise = Noise::new(1);
    for len in [1, 125, 126, 65_535, 65_536, 4 << 20] {
        let message = Message::binary(noise.take(len));
        socket.send(message.clone()).expect("it is sent");
        assert!(socket.read().expect("it comes back") == message, "{len} bytes");
    }
    socket.send(Message::Ping("are you there?".into())).expect("it is sent");
    assert_eq!(socket.read().expect("an answer"), Message::Pong("are you there?".into()));
    let bye = CloseFrame { code: CloseCode::Away, reason: "bye".into() };
    socket.close(Some(bye.clone())).expect("it is sent");
    assert_eq!(socket.read().expect("the server closes too"), Message::Close(Some(bye)));
    assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
    drop(socket);
    nothing_is_left(&balancer);
    let metrics = Metrics::of(&balancer);
    assert_eq!(metrics.sum("server_responses_total", &["class=\"1xx\""]), 1);
    assert_eq!(metrics.faults(), Vec::<&str>::new());
}

fn many_websockets_live_side_by_side(engine: &str) {
    const SOCKETS: u64 = 50;
    let (balancer, _file) = balancer(engine, &websocket_echo(), "1h");
    let mut sockets: Vec<_> = (0..SOCKETS).map(|_| websocket(balancer.address())).collect();
    assert_eq!(tunnels(&balancer), SOCKETS);
    for round in 0..5 {
        for (n, socket) in (0..).zip(&mut sockets) {
            socket.send(Message::text(format!("{round} {n}"))).expect("it is sent");
        }
        for (n, socket) in (0..).zip(&mut sockets) {
            assert_eq!(socket.read().expect("it comes back"), Message::text(format!("{round} {n}")));
        }
    }
    // Half of them just go.
    sockets.truncate(sockets.len() / 2);
    eventually("the others are left", || tunnels(&balancer) == SOCKETS / 2);
    drop(sockets);
    nothing_is_left(&balancer);
}

const HELLO: &str = "GET /raw HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: raw/1\r\n\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw/1\r\n\r\n";

/// A server that switches to whatever `raw` does then.
fn switches(raw: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> String {
    serve(move |mut socket| {
        let Some(head) = read_head(&mut socket) else { return };
        let head = head.to_ascii_lowercase();
        assert!(
            head.contains("\r\nupgrade: raw/1\r\n") && head.contains("\r\nconnection: upgrade\r\n"),
            "{head}"
        );
        socket.write_all(SWITCHING.as_bytes()).expect("it is sent");
        raw(socket);
    })
}

/// A client behind the 101.
fn switched(balancer: &Balancer) -> TcpStream {
    let mut client = Client::connect(balancer.address());
    client.send(HELLO);
    expect_switch(&mut client.socket);
    client.socket
}

fn expect_switch(socket: &mut TcpStream) {
    let head = read_head(socket).expect("a head").to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 ") && head.contains("\r\nupgrade: raw/1\r\n"), "{head}");
}

/// All up to the end of the connection.
fn rest(socket: &mut TcpStream) -> String {
    let mut rest = String::new();
    socket.read_to_string(&mut rest).expect("it ends well");
    rest
}

fn what_comes_at_once_behind_the_heads_reaches_the_other_side(engine: &str) {
    let server = serve(|mut socket| {
        let Some(_) = read_head(&mut socket) else { return };
        socket.write_all(format!("{SWITCHING}from the server").as_bytes()).expect("it is sent");
        let mut early = [0; 15];
        socket.read_exact(&mut early).expect("it was sent behind the head");
        socket.write_all(&early).expect("it is sent");
    });
    let (balancer, _file) = balancer(engine, &server, "1h");
    let mut client = Client::connect(balancer.address());
    client.send(format!("{HELLO}from the client"));
    expect_switch(&mut client.socket);
    assert_eq!(rest(&mut client.socket), "from the serverfrom the client");
    drop(client);
    nothing_is_left(&balancer);
}

fn a_client_that_has_ended_still_gets_the_rest(engine: &str) {
    const LEN: usize = 2 << 20;
    let (told, seen) = mpsc::channel();
    let server = switches(move |mut socket| {
        let heard = rest(&mut socket);
        Noise::new(3).write(&mut socket, LEN, &Default::default()).expect("it is sent");
        told.send(heard).expect("the test listens");
    });
    let (balancer, _file) = balancer(engine, &server, "1h");
    let mut client = switched(&balancer);
    client.write_all(b"that is all").expect("it is sent");
    client.shutdown(Shutdown::Write).expect("it can be ended");
    Noise::new(3).read(&mut client, LEN).expect("the rest comes");
    assert_eq!(rest(&mut client), "");
    assert_eq!(seen.recv_timeout(PATIENCE).as_deref(), Ok("that is all"));
    nothing_is_left(&balancer);
}

fn a_server_that_has_ended_still_gets_the_rest(engine: &str) {
    const LEN: usize = 2 << 20;
    let (told, seen) = mpsc::channel();
    let server = switches(move |mut socket| {
        socket.write_all(b"that is all").expect("it is sent");
        socket.shutdown(Shutdown::Write).expect("it can be ended");
        Noise::new(4).read(&mut socket, LEN).expect("the rest comes");
        told.send(rest(&mut socket)).expect("the test listens");
    });
    let (balancer, _file) = balancer(engine, &server, "1h");
    let mut client = switched(&balancer);
    assert_eq!(rest(&mut client), "that is all");
    assert_eq!(tunnels(&balancer), 1, "one side still goes on");
    Noise::new(4).write(&mut client, LEN, &Default::default()).expect("it is sent");
    client.shutdown(Shutdown::Write).expect("it can be ended");
    assert_eq!(seen.recv_timeout(PATIENCE).as_deref(), Ok(""));
    nothing_is_left(&balancer);
}

fn a_tunnel_without_traffic_is_closed(engine: &str) {
    let (told, seen) = mpsc::channel();
    let server = switches(move |mut socket| {
        told.send(ends(&mut socket)).expect("the test listens");
    });
    let (balancer, _file) = balancer(engine, &server, "1s");
    let start = Instant::now();
    let mut client = switched(&balancer);
    assert!(ends(&mut client), "the client sees an end");
    assert!(start.elapsed() >= Duration::from_secs(1), "too early: {:?}", start.elapsed());
    assert_eq!(seen.recv_timeout(PATIENCE), Ok(true), "the server sees an end");
    nothing_is_left(&balancer);
}

/// Does the connection end, by an end or a reset, without another byte?
fn ends(socket: &mut TcpStream) -> bool {
    match socket.read(&mut [0; 16]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

/// The limit of tunnels in which something moves, and how long they are watched.
const LIMIT: Duration = Duration::from_secs(1);
const WATCHED: Duration = Duration::from_millis(2500);
const STEP: Duration = Duration::from_millis(25);

/// Does something each few milliseconds while a tunnel is watched, until it fails. Says whether that shows anything: not if the machine
/// held this test up for about as long as the limit.
fn keeps_on(mut what: impl FnMut() -> std::io::Result<()>) -> bool {
    let (start, mut last, mut longest) = (Instant::now(), Instant::now(), Duration::ZERO);
    let mut result = Ok(());
    while start.elapsed() < WATCHED && result.is_ok() {
        std::thread::sleep(STEP);
        result = what();
        longest = longest.max(last.elapsed());
        last = Instant::now();
    }
    if longest >= LIMIT / 2 {
        support::skipped(&format!("the machine stood still for {longest:?}"));
        return false;
    }
    result.unwrap_or_else(|error| panic!("cut behind {:?}: {error}", start.elapsed()));
    true
}

/// Traffic in one direction alone is traffic.
fn a_tunnel_with_traffic_outlives_its_limit(engine: &str) {
    let server = switches(|mut socket| drop(rest(&mut socket)));
    let (balancer, _file) = balancer(engine, &server, "1s");
    let mut client = switched(&balancer);
    if keeps_on(|| client.write_all(b".")) {
        assert_eq!(tunnels(&balancer), 1);
    }
    drop(client);
    nothing_is_left(&balancer);
}

/// The server has said everything at once, and is not read as long as the client has not taken half of what is held for it.
fn a_tunnel_whose_client_reads_slowly_outlives_its_limit(engine: &str) {
    const LEN: usize = 8 << 20;
    const HELD: usize = 2 << 20;
    const PIECE: usize = 8000;
    let server = switches(|mut socket| {
        let _ = Noise::new(9).write(&mut socket, LEN, &Default::default());
        drop(rest(&mut socket));
    });
    let (balancer, _file) = balancer_that_holds(engine, &server, "1s", "2MiB");
    let mut client = Client::connect_from_afar(balancer.address());
    client.send(HELLO);
    expect_switch(&mut client.socket);
    let mut noise = Noise::new(9);
    if keeps_on(|| noise.read(&mut client.socket, PIECE)) {
        assert_eq!(tunnels(&balancer), 1);
        let read = WATCHED.div_duration_f32(STEP) as usize * PIECE;
        assert!(read < HELD / 2, "the server was read again: this shows nothing");
    }
    drop(client);
    nothing_is_left(&balancer);
}

fn a_tunnel_whose_server_dies_is_cut(engine: &str) {
    let server = switches(|mut socket| {
        let mut byte = [0];
        socket.read_exact(&mut byte).expect("a byte");
        // Closed with a byte unread: a reset.
        socket.peek(&mut byte).expect("another byte");
    });
    let (balancer, _file) = balancer(engine, &server, "1h");
    let mut client = switched(&balancer);
    client.write_all(b"ab").expect("it is sent");
    let error = client.read(&mut [0; 16]).expect_err("no clean end for what was cut");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    nothing_is_left(&balancer);
}

fn a_drain_lets_tunnels_go_on_and_cuts_them_in_the_end(engine: &str) {
    let text = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n[front]\ndrain-idle = \"0s\"\ndrain-timeout = \"1s\"\n\
         [pools.web]\nservers = [\"{}\"]\n",
        websocket_echo()
    );
    let file = Scratch::with("drain.toml", text);
    let mut balancer = Balancer::start(&["--config", file.as_str(), "--engine", engine]);
    let mut sockets: Vec<_> = (0..4).map(|_| websocket(balancer.address())).collect();
    let start = Instant::now();
    balancer.running.signal("TERM");
    eventually("no more clients are taken", || TcpStream::connect(balancer.address()).is_err());
    for socket in &mut sockets {
        let is_early = start.elapsed() < Duration::from_millis(500);
        let goes_on = socket.send(Message::text("on")).is_ok() && socket.read().is_ok_and(|m| m.is_text());
        assert!(goes_on || !is_early, "it was cut before its time");
    }
    assert_eq!(balancer.running.wait().code(), Some(0), "{}", balancer.running.said());
    assert!(start.elapsed() >= Duration::from_secs(1), "too early: {:?}", start.elapsed());
    for socket in &mut sockets {
        assert!(socket.read().is_err(), "it has ended");
    }
}

fn a_refused_upgrade_is_an_answer_like_any_other(engine: &str) {
    let server = serve(|mut socket| {
        while let Some(head) = read_head(&mut socket) {
            let answer: &[u8] = match head.split(' ').nth(1) {
                Some("/426") => {
                    b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: raw/2\r\nConnection: Upgrade\r\nContent-Length: 3\r\n\r\nnew"
                }
                Some("/400") => b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno",
                _ => b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain",
            };
            socket.write_all(answer).expect("it is sent");
        }
    });
    let (balancer, _file) = balancer(engine, &server, "1h");
    let mut client = Client::connect(balancer.address());
    let upgrade = [("connection", "Upgrade"), ("upgrade", "raw/1")];
    for (target, status, text) in [("/426", 426, "new"), ("/400", 400, "no"), ("/200", 200, "plain")] {
        let answer = client.ask("GET", target, &upgrade, b"").expect("an answer");
        assert_eq!((answer.status, answer.text().as_str(), answer.closes), (status, text, false));
        assert_eq!(answer.field("upgrade"), (status == 426).then_some("raw/2"));
        let plain = client.ask("GET", "/", &[], b"").expect("HTTP goes on");
        assert_eq!((plain.status, plain.text().as_str()), (200, "plain"));
    }
    // h2c is no protocol to be switched to here: the server is not even asked.
    let h2c = [
        ("connection", "Upgrade, HTTP2-Settings"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
    ];
    assert_eq!(client.ask("GET", "/", &h2c, b"").expect("an answer").status, 200);
    nothing_is_left(&balancer);
    let metrics = Metrics::of(&balancer);
    assert_eq!(metrics.sum("server_responses_total", &["class=\"1xx\""]), 0);
    assert_eq!(metrics.sum("engine_accepts_total", &[]), 1);
}
