//! HAProxy and nginx in front of us: who the client is comes through, and their connections are kept.

#[macro_use]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use support::child::{Backend, Balancer};
use support::ledger::Load;
use support::metrics::{Metrics, nothing_is_left};
use support::peers::{At, Peer};
use support::wire::{Client, read_head, serve, serve_mirrors};
use support::{Scratch, eventually};

each_engine! {
    haproxy_says_who_the_client_is_in_text
    haproxy_says_who_the_client_is_in_binary
    nginx_keeps_its_connections_and_says_who_the_client_is
    sums_pass_through_nginx_and_us
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
            if std::io::Write::write_all(&mut socket, answer.as_bytes()).is_err() {
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
