//! HAProxy and nginx in front of us: who the client is comes through, and their connections are kept.

#[macro_use]
mod support;

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use support::child::{Backend, Balancer};
use support::ledger::Load;
use support::metrics::{Metrics, nothing_is_left};
use support::noise::Noise;
use support::peers::{At, Peer};
use support::tools::curl;
use support::wire::{Client, read_head, serve, serve_mirrors};
use support::{Scratch, eventually, has_ipv6};

each_engine! {
    haproxy_says_who_the_client_is_in_text
    haproxy_says_who_the_client_is_in_binary
    haproxy_may_know_the_client_by_ipv6_or_not_at_all
    nginx_keeps_its_connections_and_says_who_the_client_is
    a_websocket_passes_through_nginx_and_us
    sums_pass_through_nginx_and_us
    nginx_as_it_comes_asks_by_http_1_0
    what_a_server_cuts_is_seen_to_be_cut_behind_others
}

/// An address of this machine that nobody else connects from.
const CLIENT: [u8; 4] = [127, 1, 2, 3];

/// The balancer, with an access log.
fn balancer(engine: &str, listener: &str, forward: &str, server: &str) -> (Balancer, Scratch) {
    let log = Scratch::new("front.log");
    let file = Scratch::with(
        "front.toml",
        format!(
            "[[listeners]]\naddress = \"127.0.0.1:0\"\n{listener}\n[forward]\n{forward}\n[pools.web]\nservers = [\"{server}\"]\n\
             [access-log]\nto = \"{}\"\n",
            log.as_str()
        ),
    );
    (Balancer::start(&["--config", file.as_str(), "--engine", engine, "--cores", "0"]), log)
}

/// The line of the access log that is about this target.
fn logged(log: &Scratch, target: &str) -> serde_json::Value {
    let mut found = None;
    eventually("it is logged", || {
        let text = std::fs::read_to_string(&log.0).unwrap_or_default();
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let mut lines = lines.map(|line| serde_json::from_str::<serde_json::Value>(line).expect("an object"));
        found = lines.find(|line| line["target"] == target);
        found.is_some()
    });
    found.expect("it was just found")
}

fn haproxy_says_who_the_client_is_in_text(engine: &str) {
    haproxy_says_who_the_client_is(engine, "send-proxy");
}

fn haproxy_says_who_the_client_is_in_binary(engine: &str) {
    haproxy_says_who_the_client_is(engine, "send-proxy-v2");
}

fn haproxy_says_who_the_client_is(engine: &str, how: &str) {
    let checks = Arc::new(AtomicU64::new(0));
    let counted = checks.clone();
    let server = serve(move |mut socket| {
        while let Some(head) = read_head(&mut socket) {
            counted.fetch_add(u64::from(head.starts_with("OPTIONS /check ")), Relaxed);
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}", head.len());
            if socket.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    let (balancer, log) = balancer(engine, "accept-proxy = true", "forwarded = true", &server);
    // Its checks come with a PROXY header too, that speaks of no client.
    let behind = format!(
        "backend us\n  option httpchk OPTIONS /check\n  http-check send hdr Host test\n  server us {} {how} check inter 100",
        balancer.address()
    );
    let Some(haproxy) = Peer::haproxy(At::Port, "  default_backend us", &behind) else { return };
    let mut client = Client::connect_from(CLIENT, &haproxy.address);
    for n in 0..5 {
        let target = format!("/{how}/{n}");
        let lie = [("x-forwarded-for", "9.9.9.9")];
        let answer = client.ask("GET", &target, &lie, b"").expect("an answer");
        let head = answer.text().to_ascii_lowercase();
        assert_eq!(answer.status, 200, "{head}");
        assert!(head.contains("\r\nx-forwarded-for: 127.1.2.3\r\n"), "{head}");
        assert!(head.contains("\r\nforwarded: host=test;for=127.1.2.3;proto=http\r\n"), "{head}");
        assert_eq!(logged(&log, &target)["client"], "127.1.2.3");
    }
    // Another client gets a connection of its own, as the header is said once for each.
    let mut another = Client::connect(&haproxy.address);
    let answer = another.ask("GET", "/another", &[], b"").expect("an answer");
    assert!(
        answer.text().to_ascii_lowercase().contains("\r\nx-forwarded-for: 127.0.0.1\r\n"),
        "{}",
        answer.text()
    );
    eventually("it was checked", || checks.load(Relaxed) >= 3);
    assert_eq!(client.ask("GET", "/", &[], b"").expect("it is still up").status, 200);
    assert!(!haproxy.running.said().contains("DOWN"), "{}", haproxy.running.said());
    let metrics = Metrics::of(&balancer);
    assert_eq!(metrics.sum("lane_faults_total", &["fault=\"bad-request\""]), 0, "{:?}", metrics.faults());
}

fn haproxy_may_know_the_client_by_ipv6_or_not_at_all(engine: &str) {
    let (balancer, _log) = balancer(engine, "accept-proxy = true", "forwarded = true", &serve_mirrors());
    for how in ["send-proxy", "send-proxy-v2"] {
        let behind = format!("backend us\n  server us {} {how}", balancer.address());
        if has_ipv6() {
            let Some(haproxy) = Peer::haproxy(At::Port6, "  default_backend us", &behind) else { return };
            let answer = Client::connect(&haproxy.address).ask("GET", "/", &[], b"").expect("an answer");
            let head = answer.text().to_ascii_lowercase();
            assert!(head.contains("\r\nx-forwarded-for: ::1\r\n"), "{how}: {head}");
            assert!(head.contains("\r\nforwarded: host=test;for=\"[::1]\";proto=http\r\n"), "{how}: {head}");
        }
        // Whoever comes over a Unix socket has no address. In text HAProxy says so; in binary it speaks of itself (`LOCAL`).
        let Some(haproxy) = Peer::haproxy(At::Socket, "  default_backend us", &behind) else { return };
        let socket = haproxy.address.strip_prefix("unix:").expect("it is one");
        let args = ["--unix-socket", socket, "-H", "x-forwarded-for: 9.9.9.9", "http://test/"];
        let Some(shown) = curl(&args, b"") else { return };
        let head = shown.to_ascii_lowercase();
        let (known, client) = if how == "send-proxy" { (false, "unknown") } else { (true, "127.0.0.1") };
        assert_eq!(head.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"), known, "{how}: {head}");
        assert!(!head.contains("9.9.9.9"), "{how}: {head}");
        assert!(
            head.contains(&format!("\r\nforwarded: host=test;for={client};proto=http\r\n")),
            "{how}: {head}"
        );
    }
}

/// nginx as its manual says for keep-alive.
fn nginx(balancer: &Balancer) -> Option<Peer> {
    let before = format!("upstream us {{ server {}; keepalive 8; }}", balancer.address());
    let inside = "location / { proxy_pass http://us; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
                  proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr; }";
    Peer::nginx(At::Port, &before, inside)
}

fn nginx_keeps_its_connections_and_says_who_the_client_is(engine: &str) {
    let (balancer, log) = balancer(engine, "", "trusted-proxies = [\"127.0.0.1\"]", &serve_mirrors());
    let Some(nginx) = nginx(&balancer) else { return };
    for n in 0..20 {
        let mut client = Client::connect_from(CLIENT, &nginx.address);
        let answer = client.ask("GET", &format!("/{n}"), &[], b"").expect("an answer");
        let head = answer.text().to_ascii_lowercase();
        assert_eq!(answer.status, 200, "{head}");
        assert!(head.contains("\r\nx-forwarded-for: 127.1.2.3, 127.0.0.1\r\n"), "{head}");
        assert!(head.contains("\r\nhost: test\r\n"), "{head}");
    }
    assert_eq!(logged(&log, "/19")["status"], 200);
    let metrics = Metrics::of(&balancer);
    assert_eq!(metrics.sum("engine_accepts_total", &[]), 1, "nginx keeps one connection to us");
    assert_eq!(metrics.sum("server_connects_total", &[]), 1, "and we keep one to the server");
    nothing_is_left(&balancer);
}

fn a_websocket_passes_through_nginx_and_us(engine: &str) {
    let server = serve(|socket| {
        let Ok(mut socket) = tungstenite::accept(socket) else { return };
        while let Ok(message) = socket.read() {
            if message.is_text() && socket.send(message).is_err() {
                return;
            }
        }
    });
    let (balancer, _log) = balancer(engine, "", "", &server);
    let inside = format!(
        "location / {{ proxy_pass http://{}; proxy_http_version 1.1; proxy_set_header Host $http_host;\n\
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }}",
        balancer.address()
    );
    let Some(nginx) = Peer::nginx(At::Port, "", &inside) else { return };
    let socket = Client::connect(&nginx.address).socket;
    let url = format!("ws://{}/chat", nginx.address);
    let (mut socket, _) = tungstenite::client(url, socket).expect("a handshake");
    for n in 0..100 {
        let message = tungstenite::Message::text(format!("{n}"));
        socket.send(message.clone()).expect("it is sent");
        assert_eq!(socket.read().expect("it comes back"), message);
    }
    socket.close(None).expect("it is sent");
    assert!(socket.read().expect("the server closes too").is_close());
    drop(socket);
    nothing_is_left(&balancer);
    assert_eq!(Metrics::of(&balancer).faults(), Vec::<&str>::new());
}

fn sums_pass_through_nginx_and_us(engine: &str) {
    let (a, b) = (Backend::start(), Backend::start());
    let balancer = Balancer::of(engine, &[&a, &b], &["--cores", "0"]);
    let Some(nginx) = nginx(&balancer) else { return };
    let load = Load::start(&nginx.address, 8);
    load.more(1000);
    let tally = load.stop();
    assert_eq!((tally.refused.load(Relaxed), tally.lost.load(Relaxed)), (0, 0), "{tally:?}");
    nothing_is_left(&balancer);
    let metrics = Metrics::of(&balancer);
    assert!(metrics.sum("engine_accepts_total", &[]) <= 16, "nginx keeps up to 8 connections to us");
    assert_eq!(metrics.sum("lane_retries_total", &[]), 0);
}

/// nginx without a word about the version: HTTP/1.0, and a connection for each request.
fn nginx_1_0(balancer: &Balancer) -> Option<Peer> {
    Peer::nginx(At::Port, "", &format!("location / {{ proxy_pass http://{}; }}", balancer.address()))
}

/// For it there are no chunks: the end of the connection is that of the body.
fn nginx_as_it_comes_asks_by_http_1_0(engine: &str) {
    let body = Noise::new(10).take(300_000);
    let expected = body.clone();
    let server = serve(move |mut socket| {
        while read_head(&mut socket).is_some() {
            let mut out = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            body.chunks(9999).for_each(|piece| net::http1::write::chunk(&mut out, piece));
            out.extend_from_slice(b"0\r\n\r\n");
            if socket.write_all(&out).is_err() {
                return;
            }
        }
    });
    let (balancer, _log) = balancer(engine, "", "", &server);
    let Some(nginx) = nginx_1_0(&balancer) else { return };
    let mut client = Client::connect(&nginx.address);
    for _ in 0..20 {
        let answer = client.ask("GET", "/", &[], b"").expect("an answer");
        assert!(answer.status == 200 && answer.body == expected, "{}", answer.status);
    }
    nothing_is_left(&balancer);
    let metrics = Metrics::of(&balancer);
    assert_eq!(metrics.sum("engine_accepts_total", &[]), 20);
    assert_eq!(metrics.sum("server_connects_total", &[]), 1, "to the server it is kept all the same");
}

/// Half a body that looks like a whole one would be the worst: it is stored, and served again.
fn what_a_server_cuts_is_seen_to_be_cut_behind_others(engine: &str) {
    let server = serve(|mut socket| {
        if read_head(&mut socket).is_some() {
            let half = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
            socket.write_all(half).expect("it is sent");
        }
    });
    let (balancer, _log) = balancer(engine, "", "", &server);
    let behind = format!("backend us\n  server us {}", balancer.address());
    let others =
        [nginx_1_0(&balancer), nginx(&balancer), Peer::haproxy(At::Port, "  default_backend us", &behind)];
    for other in others.iter().flatten() {
        for _ in 0..5 {
            let answer = Client::connect(&other.address).ask("GET", "/", &[], b"");
            // Who has not begun to pass it on may say that it is broken.
            assert!(answer.as_ref().map_or(true, |answer| answer.status >= 500), "{answer:?}");
        }
    }
    let mut client = Client::connect(balancer.address());
    client.send("GET / HTTP/1.0\r\n\r\n");
    let mut got = Vec::new();
    let error = client.socket.read_to_end(&mut got).expect_err("no clean end");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    nothing_is_left(&balancer);
}
