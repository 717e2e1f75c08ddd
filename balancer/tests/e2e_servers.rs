//! nginx and HAProxy as servers: what they do with HTTP/1.1 passes through unharmed, and their connections are used again.

#[macro_use]
mod support;

use net::http1::Asked;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use support::Scratch;
use support::child::{Backend, Balancer};
use support::ledger::Load;
use support::metrics::{Metrics, nothing_is_left};
use support::noise::Noise;
use support::peers::{At, Peer};
use support::tools::curl;
use support::wire::{Client, read_head};

each_engine! {
    files_of_nginx_pass_whole_in_part_and_not_at_all
    chunks_and_gzip_of_nginx_pass
    uploads_reach_nginx_with_and_without_a_100
    nginx_refuses_what_is_too_large
    a_large_upload_that_nginx_refuses_hears_of_it
    nginx_may_close_idle_connections_at_any_time
    nginx_answers_who_asks_by_http_1_0_without_a_host
    sums_pass_through_haproxy
    answers_of_haproxy_itself_pass
}

/// In front of this one, on one lane, so that one client has one connection to it.
fn balancer(engine: &str, server: &str) -> Balancer {
    Balancer::start(&["--engine", engine, "--listen", "127.0.0.1:0", "--server", server, "--cores", "0"])
}

/// All requests went over one connection.
fn one_connection_served(balancer: &Balancer, requests: u64) {
    let metrics = Metrics::of(balancer);
    let count = |name: &str| metrics.sum(name, &[]);
    let counts = (count("server_tries_total"), count("server_connects_total"), count("server_reuses_total"));
    assert_eq!(counts, (requests, 1, requests - 1), "tries, connects, reuses; {:?}", metrics.faults());
}

fn files_of_nginx_pass_whole_in_part_and_not_at_all(engine: &str) {
    const LARGE: usize = 8 << 20;
    let Some(nginx) = Peer::nginx(At::Socket, "", "location / { etag on; }") else { return };
    let body = Noise::new(5).take(LARGE);
    nginx.put("large", &body);
    nginx.put("small", b"a page\n");
    let balancer = balancer(engine, &nginx.address);
    let mut client = Client::connect(balancer.address());
    let mut get = |method: &str, target: &str, fields: &[(&str, &str)]| {
        let answer = client.ask(method, target, fields, b"").expect("an answer");
        assert!(!answer.closes, "{answer:?}");
        answer
    };
    let whole = get("GET", "/large", &[]);
    assert_eq!((whole.status, whole.field("content-length")), (200, Some("8388608")));
    assert!(whole.body == body, "wrong bytes");
    let head = get("HEAD", "/large", &[]);
    assert_eq!((head.status, head.field("content-length"), head.body.len()), (200, Some("8388608"), 0));

    let part = get("GET", "/large", &[("range", "bytes=1000000-1000009")]);
    assert_eq!((part.status, &part.body[..]), (206, &body[1_000_000..1_000_010]));
    assert_eq!(part.field("content-range"), Some("bytes 1000000-1000009/8388608"));
    let parts = get("GET", "/large", &[("range", "bytes=0-1,10-11")]);
    assert!(parts.field("content-type").is_some_and(|kind| kind.starts_with("multipart/byteranges")));
    assert_eq!(get("GET", "/large", &[("range", "bytes=99999999-")]).status, 416);

    let small = get("GET", "/small", &[]);
    let tag = small.field("etag").expect("nginx has tags").to_owned();
    let since = small.field("last-modified").expect("and dates").to_owned();
    for condition in [("if-none-match", &tag[..]), ("if-modified-since", &since)] {
        let same = get("GET", "/small", &[condition]);
        assert_eq!((same.status, same.body.len(), same.field("etag")), (304, 0, Some(&tag[..])));
    }
    assert_eq!(get("GET", "/nothing", &[]).status, 404);
    one_connection_served(&balancer, 9);
    // Behind this one nginx closes its connection, though it says that it goes on: the next request must not suffer.
    assert_eq!(get("GET", "/small", &[("if-match", "\"another\"")]).status, 412);
    assert_eq!(get("GET", "/small", &[]).text(), "a page\n");
    nothing_is_left(&balancer);
}

fn chunks_and_gzip_of_nginx_pass(engine: &str) {
    // Without `gzip_proxied` nginx compresses nothing that has come by a proxy, as `Via` says.
    let inside = "location /ssi/ { alias ./; ssi on; ssi_types *; }\n\
                  location /gzip/ { alias ./; gzip on; gzip_proxied any; gzip_min_length 0; gzip_types *; }";
    let Some(nginx) = Peer::nginx(At::Socket, "", inside) else { return };
    let page = "<p>a line of a page</p>\n".repeat(20_000);
    nginx.put("page", page.as_bytes());
    let balancer = balancer(engine, &nginx.address);
    let mut client = Client::connect(balancer.address());
    for _ in 0..3 {
        let answer = client.ask("GET", "/ssi/page", &[], b"").expect("an answer");
        assert_eq!((answer.status, answer.field("transfer-encoding")), (200, Some("chunked")));
        assert!(answer.text() == page && !answer.closes);
    }
    let small = client.ask("GET", "/gzip/page", &[("accept-encoding", "gzip")], b"").expect("an answer");
    assert_eq!(small.field("content-encoding"), Some("gzip"));
    assert!(small.body.starts_with(&[0x1f, 0x8b]) && small.body.len() < page.len() / 10);
    one_connection_served(&balancer, 4);
    // For HTTP/1.0 there are no chunks: the end of the connection is the end of the page.
    let url = format!("http://{}", balancer.address());
    let Some(shown) = curl(&["-0", "-i", &format!("{url}/ssi/page")], b"") else { return };
    let (head, body) = shown.split_once("\r\n\r\n").expect("a head");
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding") && body == page, "{head}");
    let Some(shown) = curl(&["--compressed", &format!("{url}/gzip/page")], b"") else { return };
    assert!(shown == page);
    nothing_is_left(&balancer);
}

/// As nginx takes files: it writes them where they then can be had.
const UPLOADS: &str = "location / { dav_methods PUT; client_max_body_size 64m; client_body_buffer_size 16k; }\n\
                       location /small/ { dav_methods PUT; client_max_body_size 1k; create_full_put_path on; }";

fn uploads_reach_nginx_with_and_without_a_100(engine: &str) {
    const LARGE: usize = 8 << 20;
    let Some(nginx) = Peer::nginx(At::Socket, "", UPLOADS) else { return };
    let balancer = balancer(engine, &nginx.address);
    let mut client = Client::connect(balancer.address());
    let body = Noise::new(6).take(LARGE);
    let made = client.ask("PUT", "/plain", &[], &body).expect("an answer");
    assert_eq!((made.status, made.closes), (201, false));
    assert!(nginx.get("plain") == body, "wrong bytes");

    client.send("PUT /chunked HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut chunks = Vec::new();
    body[..1 << 20].chunks(777).for_each(|piece| net::http1::write::chunk(&mut chunks, piece));
    client.send([&chunks[..], b"0\r\n\r\n"].concat());
    assert_eq!(client.answer(Asked::Other).expect("an answer").status, 201);
    assert!(nginx.get("chunked") == body[..1 << 20], "wrong bytes");

    client.send("PUT /expected HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    let interim = read_head(&mut client.socket).expect("the server's word");
    assert!(interim.starts_with("HTTP/1.1 100 "), "{interim}");
    client.send("hello");
    let made = client.answer(Asked::Other).expect("an answer");
    assert_eq!((made.status, made.closes), (201, false));
    assert_eq!(nginx.get("expected"), b"hello");
    assert_eq!(client.ask("GET", "/expected", &[], b"").expect("an answer").text(), "hello");
    one_connection_served(&balancer, 4);
    nothing_is_left(&balancer);
}

fn nginx_refuses_what_is_too_large(engine: &str) {
    let Some(nginx) = Peer::nginx(At::Socket, "", UPLOADS) else { return };
    let balancer = balancer(engine, &nginx.address);
    // Asked first: the refusal comes in place of the 100, and no byte of the body is sent.
    let mut client = Client::connect(balancer.address());
    client
        .send("PUT /small/a HTTP/1.1\r\nHost: test\r\nContent-Length: 99999\r\nExpect: 100-continue\r\n\r\n");
    let head = read_head(&mut client.socket).expect("an answer");
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    // Not asked: the refusal reaches a client that is still sending.
    let mut client = Client::connect(balancer.address());
    let answer = client.ask("PUT", "/small/b", &[], &Noise::new(7).take(99_999)).expect("an answer");
    assert_eq!(answer.status, 413);
    let mut client = Client::connect(balancer.address());
    assert_eq!(client.ask("PUT", "/small/c", &[], b"small").expect("an answer").status, 201);
    nothing_is_left(&balancer);
    let metrics = Metrics::of(&balancer);
    assert_eq!(metrics.sum("server_responses_total", &["class=\"4xx\""]), 2, "{:?}", metrics.faults());
}

/// The client sends all of it before it looks for an answer, much more than the kernel holds.
fn a_large_upload_that_nginx_refuses_hears_of_it(engine: &str) {
    let Some(nginx) = Peer::nginx(At::Socket, "", UPLOADS) else { return };
    let file = Scratch::with(
        "refused.toml",
        format!(
            "[[listeners]]\naddress = \"127.0.0.1:0\"\n[front]\nlinger-timeout = \"5min\"\n\
             [pools.web]\nservers = [\"{}\"]\n",
            nginx.address
        ),
    );
    let balancer = Balancer::start(&["--config", file.as_str(), "--engine", engine]);
    let mut client = Client::connect(balancer.address());
    let answer = client.ask("PUT", "/small/d", &[], &Noise::new(8).take(32 << 20)).expect("an answer");
    assert_eq!((answer.status, answer.closes), (413, true));
    assert_eq!(nginx.get("small/d"), b"", "nothing of it was taken");
    drop(client);
    nothing_is_left(&balancer);
}

/// It closes each connection behind some requests, and those that are idle so soon that this crosses our next request.
fn nginx_may_close_idle_connections_at_any_time(engine: &str) {
    let inside = "location / { keepalive_timeout 5ms; keepalive_requests 7; }";
    let Some(nginx) = Peer::nginx(At::Socket, "", inside) else { return };
    nginx.put("page", b"a page\n");
    let balancer = balancer(engine, &nginx.address);
    let mut client = Client::connect(balancer.address());
    for n in 0..300 {
        let answer = client.ask("GET", "/page", &[], b"").expect("an answer");
        assert_eq!((answer.status, answer.text().as_str()), (200, "a page\n"), "request {n}");
        assert!(!answer.closes, "that nginx closes is no matter of the client's");
        std::thread::sleep(Duration::from_millis(n % 4 * 2));
    }
    let metrics = Metrics::of(&balancer);
    let (connects, reuses) =
        (metrics.sum("server_connects_total", &[]), metrics.sum("server_reuses_total", &[]));
    assert!(connects > 300 / 7 && reuses > 0, "{connects} connects, {reuses} reuses");
    assert_eq!(balancer.state(&nginx.address), "up", "a closed idle connection says nothing about a server");
}

/// As HAProxy's checks do where nothing else is said. We ask by HTTP/1.1, where there has to be one.
fn nginx_answers_who_asks_by_http_1_0_without_a_host(engine: &str) {
    let Some(nginx) = Peer::nginx(At::Socket, "", "location / { return 200 \"host $http_host\"; }") else {
        return;
    };
    let balancer = balancer(engine, &nginx.address);
    let mut client = Client::connect(balancer.address());
    client.send("OPTIONS / HTTP/1.0\r\n\r\n");
    let answer = client.answer(Asked::Other).expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "host localhost"));
    nothing_is_left(&balancer);
}

fn sums_pass_through_haproxy(engine: &str) {
    let (a, b) = (Backend::start(), Backend::start());
    let behind = format!("backend add\n  server a {}\n  server b {}", a.address, b.address);
    let Some(haproxy) = Peer::haproxy(At::Socket, "  default_backend add", &behind) else { return };
    let balancer = balancer(engine, &haproxy.address);
    let load = Load::start(balancer.address(), 8);
    load.more(1000);
    let tally = load.stop();
    assert_eq!((tally.refused.load(Relaxed), tally.lost.load(Relaxed)), (0, 0), "{tally:?}");
    nothing_is_left(&balancer);
    let metrics = Metrics::of(&balancer);
    assert!(metrics.sum("server_connects_total", &[]) <= 8, "one for each client, used again");
}

fn answers_of_haproxy_itself_pass(engine: &str) {
    let inside = "  http-request return status 200 content-type text/plain lf-string \"%[method] %[req.hdr(x-forwarded-for)]\" if { path /own }\n\
                  \x20 http-request deny deny_status 429 if { path /deny }\n\
                  \x20 http-request redirect location /own if { path /moved }\n\
                  \x20 default_backend none";
    let Some(haproxy) = Peer::haproxy(At::Socket, inside, "backend none") else { return };
    let balancer = balancer(engine, &haproxy.address);
    let mut client = Client::connect(balancer.address());
    let mut ask = |method: &str, target: &str| {
        let answer = client.ask(method, target, &[], b"").expect("an answer");
        assert!(!answer.closes, "{method} {target}: {answer:?}");
        answer
    };
    for (method, target, status, text) in [
        ("GET", "/own", 200, "GET 127.0.0.1"),
        ("DELETE", "/own", 200, "DELETE 127.0.0.1"),
        ("HEAD", "/own", 200, ""),
        ("GET", "/own", 200, "GET 127.0.0.1"),
    ] {
        let answer = ask(method, target);
        assert_eq!((answer.status, answer.text().as_str()), (status, text), "{method} {target}");
    }
    let moved = ask("GET", "/moved");
    assert_eq!((moved.status, moved.field("location")), (302, Some("/own")));
    // An error of its own closes its connection to us, and leaves the client's open.
    assert_eq!(ask("GET", "/deny").status, 429);
    assert_eq!(ask("GET", "/none").status, 503);
    assert_eq!(ask("GET", "/own").status, 200);
    nothing_is_left(&balancer);
}
