//! The real binary on real ports: what it answers, what it refuses, and what it says about itself.
//!
//! Each case runs on every engine that this machine permits. What takes time on purpose is in
//! `e2e_patience.rs`, the end of a server in `e2e_drain.rs`, and many connections in `e2e_scale.rs`.

#[macro_use]
mod support;

use support::client::{Client, add, get, post, sum};
use support::metrics::Metrics;
use support::server::{Scratch, Server, command, run_to_the_end};
use support::{eventually, skipped};

use std::thread;

each_engine! {
    every_row_of_the_table_of_add_is_answered_as_documented
    what_leaves_the_framing_in_doubt_is_refused_and_closed
    health_and_readiness_are_answered
    head_has_the_length_and_no_body
    a_refused_head_has_no_body_either
    a_request_that_waits_for_its_turn_is_answered_once
    http_1_0_closes_unless_asked_to_keep_the_connection
    a_connection_is_closed_when_the_client_says_so
    a_thousand_pipelined_requests_are_answered_in_order
    long_bodies_leave_the_lane_and_their_answers_keep_their_place
    chunked_bodies_are_read_at_every_cut
    a_body_is_asked_for_when_it_is_welcome
    a_body_is_not_asked_for_when_the_head_decides
    a_half_closed_connection_gets_its_answers
    ipv6_is_served
    a_unix_socket_is_served_and_removed_at_the_end
    several_addresses_are_served_at_once
    metrics_count_what_happened
    without_an_admin_port_the_rest_works
}

/// What the documentation says of `/add`, and the requests that get there. None of these puts the framing in
/// doubt, so that the connection serves on.
fn every_row_of_the_table_of_add_is_answered_as_documented(engine: &str) {
    let server = Server::start(engine, &[]);
    let mut client = server.connect();
    let nines = "9".repeat(4_300);
    let good = [
        (r#"{"a":1,"b":2}"#, r#"{"result":3}"#.to_owned()),
        (" { \"b\" : -7 ,\r\n\t\"a\" : 2 } ", r#"{"result":-5}"#.to_owned()),
        (r#"{"a":1,"b":2,"c":[{"a":null}]}"#, r#"{"result":3}"#.to_owned()),
        (r#"{"a":9223372036854775807,"b":1}"#, r#"{"result":9223372036854775808}"#.to_owned()),
        (
            r#"{"a":170141183460469231731687303715884105727,"b":1}"#,
            r#"{"result":170141183460469231731687303715884105728}"#.to_owned(),
        ),
        (r#"{"a":0.1,"b":0.2}"#, r#"{"result":0.30000000000000004}"#.to_owned()),
        (&format!("{{\"a\":{nines},\"b\":1}}"), format!("{{\"result\":1{}}}", "0".repeat(4_300))),
    ];
    for (body, result) in good {
        // The second answer comes from the cache.
        for _ in 0..2 {
            let answer = client.ask(post(body));
            assert_eq!((answer.status, answer.text()), (200, &*result), "{body}");
            assert_eq!(answer.field("content-type"), Some("application/json"));
            assert!(answer.field("date").is_some_and(|date| date.ends_with(" GMT")), "{answer:?}");
            assert!(!answer.closes());
        }
    }
    for content_type in ["application/json; charset=utf-8", "APPLICATION/Json", "application/vnd.api+json"] {
        let request = typed(content_type, br#"{"a":1,"b":2}"#);
        assert_eq!(client.ask(request).text(), r#"{"result":3}"#, "{content_type}");
    }
    let json = |body: &str| typed("application/json", body.as_bytes());
    let refused = [
        (400, "JSON", json("{")),
        (400, "JSON", json("")),
        (400, "JSON", json(r#"{"a":1,"b":2}x"#)),
        (400, "JSON", json(r#"{"a":NaN,"b":2}"#)),
        (400, "UTF-8", typed("application/json", b"{\"a\":1,\"b\":2,\"\xff\":3}")),
        (400, "more than once", json(r#"{"a":1,"b":2,"a":1}"#)),
        (422, "a is missing", json(r#"{"b":2}"#)),
        (422, "b is missing", json(r#"{"a":2}"#)),
        (422, "b is a string", json(r#"{"a":1,"b":"2"}"#)),
        (422, "b is a boolean", json(r#"{"a":1,"b":true}"#)),
        (422, "b is null", json(r#"{"a":1,"b":null}"#)),
        (422, "b is an array", json(r#"{"a":1,"b":[2]}"#)),
        (422, "b is an object", json(r#"{"a":1,"b":{}}"#)),
        (422, "the body is an array", json("[1,2]")),
        (422, "the body is a number", json("3")),
        (422, "too large", json(r#"{"a":1.7e308,"b":1.7e308}"#)),
        (422, "4301 digits", json(&format!("{{\"a\":9{nines},\"b\":1}}"))),
        (415, "application/json", typed("text/plain", br#"{"a":1,"b":2}"#)),
        (415, "application/json", typed("application/x-www-form-urlencoded", b"a=1&b=2")),
        (415, "application/json", b"POST /add HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}".to_vec()),
        (415, "Content-Encoding", typed("application/json\r\ncontent-encoding: gzip", b"{}")),
        (411, "Content-Length", b"POST /add HTTP/1.1\r\nhost: a\r\n\r\n".to_vec()),
        (404, "no such path", get("/ad").into_bytes()),
        (404, "no such path", get("/add/").into_bytes()),
        (404, "no such path", get("/").into_bytes()),
    ];
    for (status, says, request) in refused {
        let answer = client.ask(&request);
        let shown = String::from_utf8_lossy(&request);
        assert_eq!(answer.status, status, "{shown}");
        assert!(answer.error().contains(says), "{}: {shown}", answer.text());
        assert_eq!(answer.field("content-type"), Some("application/json"));
        assert!(!answer.closes(), "{shown}");
        client.must_serve();
    }
    for method in ["GET", "PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
        let answer = client.ask(format!("{method} /add HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert_eq!((answer.status, answer.field("allow")), (405, Some("POST, OPTIONS")), "{method}");
        assert_eq!(answer.text(), r#"{"error":"Invalid request method"}"#);
        assert!(!answer.closes());
    }
    let answer = client.ask("OPTIONS /add HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!((answer.status, answer.field("allow")), (204, Some("POST, OPTIONS")));
    let answer = client.ask("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!((answer.status, answer.field("allow")), (204, Some("GET, HEAD, POST, OPTIONS")));
    let answer = client.ask("GET http://a/healthz HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(answer.status, 200, "the absolute form means the same");
    client.must_serve();
}

fn what_leaves_the_framing_in_doubt_is_refused_and_closed(engine: &str) {
    let server = Server::start(engine, &[]);
    let long = "x".repeat(16 * 1024);
    let refused = [
        (413, "POST /add HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 1048577\r\n\r\n".to_owned()),
        (431, format!("GET / HTTP/1.1\r\nhost: a\r\nx: {long}\r\n\r\n")),
        (431, format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(100))),
        (414, format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", &long[..8 * 1024])),
        (400, "GET / HTTP/1.1\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\nhost: a\n\n".to_owned()),
        (400, "POST /add HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}".to_owned()),
        (400, "POST /add HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned()),
        (400, "POST /add HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nx\r\n".to_owned()),
        (417, "GET / HTTP/1.1\r\nhost: a\r\nexpect: wonders\r\n\r\n".to_owned()),
        (501, "POST /add HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n".to_owned()),
        (505, "GET / HTTP/2.0\r\nhost: a\r\n\r\n".to_owned()),
    ];
    for (status, request) in refused {
        let mut client = server.connect();
        let answer = client.ask(&request);
        assert_eq!(answer.status, status, "{}: {}", &request[..request.len().min(200)], answer.text());
        assert!(!answer.error().is_empty());
        assert!(answer.closes());
        client.must_end();
    }
    server.connect().must_serve();
}

fn health_and_readiness_are_answered(engine: &str) {
    let server = Server::start(engine, &[]);
    let mut client = server.connect();
    for (path, body) in [("/healthz", r#"{"status":"ok"}"#), ("/readyz", r#"{"status":"ready"}"#)] {
        let answer = client.ask(get(path));
        assert_eq!((answer.status, answer.text()), (200, body));
        let answer = client.ask(format!("DELETE {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert_eq!((answer.status, answer.field("allow")), (405, Some("GET, HEAD, OPTIONS")));
        let answer = client.ask(format!("OPTIONS {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert_eq!((answer.status, answer.field("allow")), (204, Some("GET, HEAD, OPTIONS")));
    }
    client.must_serve();
}

fn head_has_the_length_and_no_body(engine: &str) {
    let server = Server::start(engine, &[]);
    let mut client = server.connect();
    for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/nowhere", 404), ("/add", 405)] {
        let whole = client.ask(get(path));
        client.send(get(path).replace("GET", "HEAD"));
        let head = client.answer_without_body();
        assert_eq!(head.status, status, "{path}");
        assert_eq!(head.field("content-length"), whole.field("content-length"), "{path}");
        assert_eq!(head.field("content-type"), whole.field("content-type"), "{path}");
    }
    // A byte of a body would stand before this answer.
    client.must_serve();
}

fn a_refused_head_has_no_body_either(engine: &str) {
    let server = Server::start(engine, &[]);
    for (request, status) in [
        ("HEAD / HTTP/1.1\r\n\r\n", 400),
        ("HEAD /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999\r\n\r\n", 413),
        ("HEAD /healthz HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400),
    ] {
        let mut client = server.connect();
        client.send(request);
        assert_eq!(client.answer_without_body().status, status, "{request}");
        client.must_end();
    }
}

/// Its bytes are no unfinished request's, although they are still there.
fn a_request_that_waits_for_its_turn_is_answered_once(engine: &str) {
    let options = ["--body-max", "68KiB", "--held-max", "170KiB", "--in-flight-max", "1"];
    let server = Server::with_one_lane(engine, &options);
    let mut client = server.connect();
    let request = post(&format!("{}{{\"a\":1,\"b\":2}}", " ".repeat(66_500)));
    for cut in [0..40_000, 40_000..60_000, 60_000..65_000, 65_000..request.len()] {
        client.send(&request[cut]);
    }
    assert_eq!(client.answer().text(), sum(1, 2));
    client.must_serve();
}

fn http_1_0_closes_unless_asked_to_keep_the_connection(engine: &str) {
    let server = Server::start(engine, &[]);
    let mut client = server.connect();
    let answer = client.ask("GET /healthz HTTP/1.0\r\n\r\n");
    assert_eq!(answer.status, 200);
    assert!(answer.closes());
    client.must_end();

    let mut client = server.connect();
    for _ in 0..3 {
        let body = r#"{"a":1,"b":2}"#;
        let kept = format!(
            "POST /add HTTP/1.0\r\nconnection: keep-alive\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = client.ask(kept);
        assert_eq!((answer.status, answer.text()), (200, r#"{"result":3}"#));
        assert_eq!(answer.field("connection"), Some("keep-alive"));
    }
    assert!(client.ask("GET /healthz HTTP/1.0\r\n\r\n").closes());
    client.must_end();
}

fn a_connection_is_closed_when_the_client_says_so(engine: &str) {
    let server = Server::start(engine, &[]);
    let mut client = server.connect();
    // What is pipelined behind the last request is not answered (RFC 9112, 9.6).
    client.send("GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_owned() + &get("/readyz"));
    let answer = client.answer();
    assert_eq!(answer.status, 200);
    assert!(answer.closes());
    client.must_end();
}

fn a_thousand_pipelined_requests_are_answered_in_order(engine: &str) {
    let server = Server::start(engine, &[]);
    let requests: Vec<u8> = (0..1000).flat_map(|n| nth(n).0.into_bytes()).collect();
    for piece_bytes in [requests.len(), 4096, 1021, 97] {
        let mut client = server.connect();
        let mut sender = client.sender();
        let pieces = requests.clone();
        let sending = thread::spawn(move || {
            use std::io::Write;
            pieces.chunks(piece_bytes).try_for_each(|piece| sender.write_all(piece))
        });
        for n in 0..1000 {
            let (_, status, body) = nth(n);
            let answer = client.answer();
            assert_eq!(
                (answer.status, answer.text()),
                (status, &*body),
                "answer {n} of pieces of {piece_bytes}"
            );
        }
        sending.join().expect("the sender ends").expect("everything is sent");
        client.must_serve();
    }
}

fn long_bodies_leave_the_lane_and_their_answers_keep_their_place(engine: &str) {
    let server = Server::with_one_lane(engine, &[]);
    let mut client = server.connect();
    let padding = " ".repeat(100 * 1024);
    let mut sender = client.sender();
    let requests: Vec<u8> = (0..60)
        .flat_map(|n| match n % 3 {
            0 => post(&format!("{padding}{{\"a\":{n},\"b\":1}}")).into_bytes(),
            _ => add(n, 1).into_bytes(),
        })
        .collect();
    let sending = thread::spawn(move || {
        use std::io::Write;
        sender.write_all(&requests)
    });
    for n in 0..60 {
        assert_eq!(client.answer().text(), sum(n, 1), "answer {n}");
    }
    sending.join().expect("the sender ends").expect("everything is sent");
    client.must_serve();
    assert!(Metrics::of(&server).sum("corelane_background_jobs_total", &["outcome=\"taken\""]) >= 20.0);
}

fn chunked_bodies_are_read_at_every_cut(engine: &str) {
    let server = Server::start(engine, &[]);
    let mut client = server.connect();
    let head = "POST /add HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let body = "4;name=value\r\n{\"a\"\r\n09\r\n:1,\"b\":2}\r\n0\r\nx-trailer: y\r\n\r\n";
    for cut in 0..=body.len() {
        client.send(head.to_owned() + &body[..cut]);
        client.send(&body[cut..]);
        let answer = client.answer();
        assert_eq!((answer.status, answer.text()), (200, r#"{"result":3}"#), "cut at {cut}");
    }
    // Byte by byte.
    for byte in [head, body].concat().bytes() {
        client.send([byte]);
    }
    assert_eq!(client.answer().text(), r#"{"result":3}"#);
    // Up to the limit, and beyond it.
    let long = format!("{}{{\"a\":1,\"b\":2}}", " ".repeat(1024 * 1024 - 13));
    assert_eq!(client.ask(head.to_owned() + &chunked(&long, 60_000)).text(), r#"{"result":3}"#);
    let mut sender = client.sender();
    let too_long = head.to_owned() + &chunked(&(long + " "), 60_000);
    let sending = thread::spawn(move || {
        use std::io::Write;
        // The server may stop reading before the end.
        let _ = sender.write_all(too_long.as_bytes());
    });
    let answer = client.answer();
    assert_eq!(answer.status, 413);
    assert!(answer.closes());
    sending.join().expect("the sender ends");
}

fn a_body_is_asked_for_when_it_is_welcome(engine: &str) {
    let server = Server::start(engine, &[]);
    let mut client = server.connect();
    let body = r#"{"a":1,"b":2}"#;
    for framing in [format!("content-length: {}", body.len()), "transfer-encoding: chunked".to_owned()] {
        client.send(format!(
            "POST /add HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-type: application/json\r\n{framing}\r\n\r\n"
        ));
        assert_eq!(client.answer().status, 100);
        client.send(if framing.starts_with('t') { chunked(body, 5) } else { body.to_owned() });
        let answer = client.answer();
        assert_eq!((answer.status, answer.text()), (200, r#"{"result":3}"#));
        assert!(!answer.closes());
    }
    // A client that did not wait needs no 100 (RFC 9110, 10.1.1).
    let together = post(body).replace("host: a\r\n", "host: a\r\nexpect: 100-continue\r\n");
    assert_eq!(client.ask(together).status, 200);
    client.must_serve();
}

fn a_body_is_not_asked_for_when_the_head_decides(engine: &str) {
    let server = Server::start(engine, &[]);
    let json = "content-type: application/json";
    for (status, line, fields) in [
        (404, "POST /nowhere", format!("{json}\r\ncontent-length: 5\r\nexpect: 100-continue")),
        (405, "PUT /add", format!("{json}\r\ncontent-length: 5\r\nexpect: 100-continue")),
        (
            415,
            "POST /add",
            "content-type: text/plain\r\ncontent-length: 5\r\nexpect: 100-continue".to_owned(),
        ),
        (415, "POST /add", "transfer-encoding: chunked\r\nexpect: 100-continue".to_owned()),
        (413, "POST /add", format!("{json}\r\ncontent-length: 1048577\r\nexpect: 100-continue")),
        (417, "POST /add", format!("{json}\r\ncontent-length: 5\r\nexpect: 200-ok")),
    ] {
        let mut client = server.connect();
        let answer = client.ask(format!("{line} HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n"));
        assert_eq!(answer.status, status, "{line} {fields}");
        // Nobody knows whether the body comes, so that nothing can be read behind it.
        assert!(answer.closes(), "{line} {fields}");
        client.must_end();
    }
}

fn a_half_closed_connection_gets_its_answers(engine: &str) {
    let server = Server::start(engine, &[]);
    let mut client = server.connect();
    client.send(add(1, 2) + &add(3, 4));
    client.half_close();
    assert_eq!(client.answer().text(), sum(1, 2));
    assert_eq!(client.answer().text(), sum(3, 4));
    client.must_end();
}

fn ipv6_is_served(engine: &str) {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return skipped("there is no IPv6 here");
    }
    let server = Server::start(engine, &["--listen", "[::1]:0"]);
    assert!(server.address().to_string().starts_with("[::1]:"));
    assert_eq!(server.connect().ask(add(1, 2)).text(), sum(1, 2));
}

fn a_unix_socket_is_served_and_removed_at_the_end(engine: &str) {
    let socket = Scratch::new(&format!("{engine}-served.sock"));
    let listen = format!("unix:{}", socket.as_str());
    let mut server = Server::start(engine, &["--listen", &listen]);
    let mut client = server.connect();
    assert_eq!(client.ask(add(1, 2)).text(), sum(1, 2));
    let second = run_to_the_end(command().args(["--listen", &listen, "--admin", "off", "--engine", engine]));
    assert_eq!(second.code, Some(2));
    assert!(second.stderr.contains("another process listens there"), "{}", second.stderr);
    assert_eq!(client.ask(add(1, 3)).text(), sum(1, 3), "the second server took nothing from the first");
    drop(client);
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    assert!(!socket.0.exists());
}

fn several_addresses_are_served_at_once(engine: &str) {
    let socket = Scratch::new(&format!("{engine}-several.sock"));
    let listen = format!("127.0.0.1:0,unix:{}", socket.as_str());
    let server = Server::start(engine, &["--listen", &listen, "--listen", "127.0.0.1:0"]);
    assert_eq!(server.listening().len(), 3);
    for (n, address) in (0..).zip(server.listening()) {
        let mut client = Client::connect(address).expect("each address accepts");
        assert_eq!(client.ask(add(n, 2)).text(), sum(n, 2), "{address}");
    }
}

fn metrics_count_what_happened(engine: &str) {
    let server = Server::with_one_lane(engine, &[]);
    let mut client = server.connect();
    for _ in 0..3 {
        assert_eq!(client.ask(add(1, 2)).status, 200);
    }
    assert_eq!(client.ask(get("/healthz")).status, 200);
    assert_eq!(client.ask(get("/add")).status, 405);
    assert_eq!(client.ask(get("/nowhere")).status, 404);
    assert_eq!(client.ask(post("{")).status, 400);
    for (status, request) in [(400, "GET / HTTP/1.1\r\n\r\n"), (505, "GET / HTTP/3.0\r\n\r\n")] {
        let mut refused = server.connect();
        assert_eq!(refused.ask(request).status, status);
        refused.must_end();
    }
    let mut admin = Client::connect(server.admin()).expect("the admin port accepts");
    // A lane publishes at the end of its turn, which may be a moment after the answer.
    eventually("the refused connections are counted as over", || {
        Metrics::by(&mut admin).sum("corelane_open_connections", &[]) == 1.0
    });
    let metrics = Metrics::by(&mut admin);
    let requests = |route, status| {
        metrics
            .sum("corelane_requests_total", &[&format!("route=\"{route}\""), &format!("status=\"{status}\"")])
    };
    assert_eq!(requests("/add", 200), 3.0);
    assert_eq!(requests("/add", 400), 1.0);
    assert_eq!(requests("/add", 405), 1.0);
    assert_eq!(requests("/healthz", 200), 1.0);
    assert_eq!(requests("none", 404), 1.0);
    assert_eq!(requests("none", 400), 1.0);
    assert_eq!(requests("none", 505), 1.0);
    assert_eq!(metrics.sum("corelane_requests_total", &[]), 9.0, "the admin port counts for itself");
    assert_eq!(metrics.sum("corelane_cache_hits_total", &[]), 2.0);
    assert_eq!(metrics.sum("corelane_cache_misses_total", &[]), 2.0);
    assert_eq!(metrics.sum("corelane_cache_entries", &[]), 1.0);
    assert!(metrics.sum("corelane_cache_bytes", &[]) > 0.0);
    assert_eq!(metrics.sum("corelane_refusals_total", &["reason=\"host\""]), 1.0);
    assert_eq!(metrics.sum("corelane_refusals_total", &["reason=\"version\""]), 1.0);
    assert_eq!(metrics.sum("corelane_refusals_total", &[]), 2.0);
    assert_eq!(metrics.sum("corelane_engine_accepts_total", &[]), 3.0);
    assert!(metrics.sum("corelane_engine_received_bytes_total", &[]) > 0.0);
    assert!(metrics.sum("corelane_engine_sent_bytes_total", &[]) > 0.0);
    assert_eq!(metrics.sum("corelane_draining", &[]), 0.0);
    assert_eq!(metrics.sum("corelane_build", &[&format!("engine=\"{engine}\"")]), 1.0);
    buckets_add_up(&metrics, "corelane_service_time_seconds");
    assert_eq!(metrics.sum("corelane_service_time_seconds_count", &[]), 9.0);

    assert_eq!(admin.ask(get("/healthz")).status, 200);
    assert_eq!(admin.ask(get("/add")).status, 404);
    assert_eq!(client.ask(get("/metrics")).status, 404, "the data port has no metrics");
}

fn without_an_admin_port_the_rest_works(engine: &str) {
    let mut server = Server::start(engine, &["--admin", "off"]);
    assert!(!server.has_admin());
    assert_eq!(server.connect().ask(add(1, 2)).text(), sum(1, 2));
    server.signal("INT");
    assert_eq!(server.exit_code(), Some(0), "{}", server.log());
}

/// The request with this number, and its answer: a mixture, each with a result of its own where it has one.
fn nth(n: u64) -> (String, u16, String) {
    match n % 10 {
        3 => (get("/healthz"), 200, r#"{"status":"ok"}"#.to_owned()),
        6 => (get("/add"), 405, r#"{"error":"Invalid request method"}"#.to_owned()),
        8 => {
            let body = format!("{{\"a\":{n},\"b\":1}}");
            let head = "POST /add HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
            (head.to_owned() + &chunked(&body, 5), 200, sum(n, 1))
        }
        _ => (add(n, 1), 200, sum(n, 1)),
    }
}

/// `body` in chunks of at most so many bytes.
fn chunked(body: &str, bytes_max: usize) -> String {
    let chunk = |piece: &[u8]| format!("{:x}\r\n{}\r\n", piece.len(), String::from_utf8_lossy(piece));
    body.as_bytes().chunks(bytes_max).map(chunk).collect::<String>() + "0\r\n\r\n"
}

/// `POST /add` of any bytes, as any media type.
fn typed(content_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST /add HTTP/1.1\r\nhost: a\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// The buckets of a histogram of one lane grow up to `+Inf`, where they count everything.
fn buckets_add_up(metrics: &Metrics, name: &str) {
    let bound = |series: &str| {
        let from = series.find("le=\"").expect("a bucket has a bound") + 4;
        let text = &series[from..from + series[from..].find('"').expect("a label ends")];
        text.parse::<f64>().expect("a bound is a number")
    };
    let mut buckets: Vec<(f64, f64)> =
        metrics.series(&format!("{name}_bucket")).map(|(series, count)| (bound(series), count)).collect();
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{buckets:?}");
    let last = buckets.last().expect("there are buckets");
    assert_eq!(*last, (f64::INFINITY, metrics.sum(&format!("{name}_count"), &[])), "the last bucket is +Inf");
}
