//! Responses' heads as clients get them: exact bytes in, exact bytes out.

mod forward_support;

use balancer::forward::{Asker, Forwarder, Framed, Returned, last_chunk};
use forward_support::{DATE, SEED, back, bare, text, wire, with_response};
use net::http1::{Asked, RequestEvent, RequestStream, Version};

const ANY: Asker = Asker { version: Version::Http11, asked: Asked::Other, keep_alive: true };
const HEAD: Asker = Asker { asked: Asked::Head, ..ANY };
const CLOSING: Asker = Asker { keep_alive: false, ..ANY };
const OLD: Asker = Asker { version: Version::Http10, ..ANY };
const OLD_CLOSING: Asker = Asker { keep_alive: false, ..OLD };
const UPGRADING: Asker = Asker { asked: Asked::Upgrade, ..ANY };

/// Ours, where the server's is missing.
const DATED: &str = "\nDate: Sun, 06 Nov 1994 08:49:37 GMT";

fn becomes(to: &Asker, cases: &[(&str, &str, Framed)]) {
    for (came, goes, framed) in cases {
        let (written, returned) = back(to, came);
        assert_eq!(written, *goes, "{came}");
        assert_eq!(returned.framed, *framed, "{came}");
    }
}

fn unchanged(to: &Asker, head: &str, framed: Framed) {
    becomes(to, &[(head, head, framed)]);
}

#[test]
fn a_head_that_needs_nothing_goes_on_byte_by_byte() {
    for (head, framed) in [
        (
            "HTTP/1.1 200 OK\nDate: x\nContent-Length: 5\nX:y \nSet-Cookie: a=b\nset-cookie: c",
            Framed::Length(5),
        ),
        ("HTTP/1.1 200 \nDate:x\nTransfer-Encoding:chunked", Framed::Chunked),
        (
            "HTTP/1.1 599 Caf\u{e9} !\nDATE: x\nContent-Length: 0\nX-Request-Id: 1\nVia: 1.1 x\nX-Forwarded-For: y",
            Framed::Length(0),
        ),
        ("HTTP/1.1 304 Not Modified\nDate: x\nContent-Length: 5\nETag: \"a\"", Framed::None),
        ("HTTP/1.1 204 No Content\nDate: x", Framed::None),
        ("HTTP/1.1 103 Early Hints\nLink: </a>", Framed::None),
    ] {
        unchanged(&ANY, head, framed);
    }
    unchanged(&HEAD, "HTTP/1.1 200 OK\nDate: x\nContent-Length: 5", Framed::None);
}

#[test]
fn what_servers_report_of_their_load_is_for_us_alone() {
    let mut config = bare();
    config.pools[0].report_header = Some("x-load".to_owned());
    let mut forwarder = Forwarder::new(&config, SEED);
    let mut pass = |head: &str| {
        let mut out = Vec::new();
        with_response(&wire(head), &ANY, |head, raw| forwarder.response(head, raw, &ANY, DATE, &mut out));
        text(&out)
    };
    let rest = "HTTP/1.1 200 OK\nDate: x\nX-Loads: 1\nContent-Length: 5";
    assert_eq!(pass("HTTP/1.1 200 OK\nDate: x\nX-Load: 7\nX-Loads: 1\nContent-Length: 5\nx-load: 8"), rest);
    assert_eq!(pass(rest), rest);
}

#[test]
fn the_line_is_ours_but_for_status_and_reason() {
    becomes(
        &ANY,
        &[
            (
                "HTTP/1.0 200 Very OK\nContent-Length: 5\nDate: x",
                "HTTP/1.1 200 Very OK\nContent-Length: 5\nDate: x",
                Framed::Length(5),
            ),
            (
                "HTTP/1.7 404 \nContent-Length: 5\nDate: x",
                "HTTP/1.1 404 \nContent-Length: 5\nDate: x",
                Framed::Length(5),
            ),
        ],
    );
}

#[test]
fn a_date_is_added_where_there_is_none() {
    becomes(
        &ANY,
        &[
            (
                "HTTP/1.1 200 OK\nContent-Length: 5",
                &format!("HTTP/1.1 200 OK\nContent-Length: 5{DATED}"),
                Framed::Length(5),
            ),
            ("HTTP/1.1 204 No Content", &format!("HTTP/1.1 204 No Content{DATED}"), Framed::None),
            ("HTTP/1.1 100 Continue", "HTTP/1.1 100 Continue", Framed::None),
        ],
    );
}

#[test]
fn a_head_that_is_remembered_gets_the_date_of_now() {
    let mut forwarder = Forwarder::new(&bare(), SEED);
    for date in [b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sun, 06 Nov 1994 08:49:38 GMT"] {
        let mut out = Vec::new();
        with_response(&wire("HTTP/1.1 200 OK\nContent-Length: 0"), &ANY, |head, raw| {
            forwarder.response(head, raw, &ANY, date, &mut out)
        });
        assert!(text(&out).ends_with(str::from_utf8(date).unwrap()));
    }
}

#[test]
fn what_is_for_the_servers_hop_stays_there() {
    becomes(
        &ANY,
        &[
            (
                "HTTP/1.1 200 OK\nConnection: Keep-Alive, X-Hop\nKeep-Alive: timeout=5\nDate: x\nx-hop: 1\nContent-Length: 5\nProxy-Connection: a",
                "HTTP/1.1 200 OK\nDate: x\nContent-Length: 5",
                Framed::Length(5),
            ),
            (
                "HTTP/1.1 407 Who\nDate: x\nProxy-Authenticate: Basic\nProxy-Authentication-Info: y\nWWW-Authenticate: Basic\nContent-Length: 0\nTE: trailers",
                "HTTP/1.1 407 Who\nDate: x\nWWW-Authenticate: Basic\nContent-Length: 0",
                Framed::Length(0),
            ),
            (
                "HTTP/1.1 200 OK\nDate: x\nConnection: close\nContent-Length: 5",
                "HTTP/1.1 200 OK\nDate: x\nContent-Length: 5",
                Framed::Length(5),
            ),
            (
                "HTTP/1.1 200 OK\nDate: x\nUpgrade: h2,h2c\nConnection: Upgrade\nContent-Length: 5",
                "HTTP/1.1 200 OK\nDate: x\nContent-Length: 5",
                Framed::Length(5),
            ),
        ],
    );
}

#[test]
fn a_server_can_not_take_away_what_is_for_the_client() {
    becomes(
        &ANY,
        &[(
            "HTTP/1.1 200 OK\nDate: x\nConnection: Set-Cookie, Content-Length, Content-Type, Date, a\nA: 1\nSet-Cookie: b\nContent-Type: c/d\nContent-Length: 5",
            "HTTP/1.1 200 OK\nDate: x\nSet-Cookie: b\nContent-Type: c/d\nContent-Length: 5",
            Framed::Length(5),
        )],
    );
    let many = format!(
        "HTTP/1.1 200 OK\nDate: x\nConnection: {}, b\nContent-Length: 0\nA: 1\nB: 2",
        ["a"; 16].join(",")
    );
    becomes(&ANY, &[(&many, "HTTP/1.1 200 OK\nDate: x\nContent-Length: 0\nB: 2", Framed::Length(0))]);
}

#[test]
fn one_length_goes_on_and_it_is_the_one_that_was_found() {
    becomes(
        &ANY,
        &[
            (
                "HTTP/1.1 200 OK\nDate: x\ncontent-length: 005, 5\nContent-Length: 5",
                "HTTP/1.1 200 OK\nDate: x\ncontent-length: 5",
                Framed::Length(5),
            ),
            (
                "HTTP/1.1 200 OK\nDate: x\nContent-Length: 00",
                "HTTP/1.1 200 OK\nDate: x\nContent-Length: 0",
                Framed::Length(0),
            ),
            (
                "HTTP/1.1 200 OK\nDate: x\nTransfer-Encoding: Chunked",
                "HTTP/1.1 200 OK\nDate: x\nTransfer-Encoding: chunked",
                Framed::Chunked,
            ),
            (
                "HTTP/1.1 200 OK\nDate: x\nX: y",
                "HTTP/1.1 200 OK\nDate: x\nX: y\nTransfer-Encoding: chunked",
                Framed::Chunked,
            ),
            (
                "HTTP/1.0 200 OK\nDate: x",
                "HTTP/1.1 200 OK\nDate: x\nTransfer-Encoding: chunked",
                Framed::Chunked,
            ),
            (
                "HTTP/1.1 304 Not Modified\nDate: x\nContent-Length: 05",
                "HTTP/1.1 304 Not Modified\nDate: x\nContent-Length: 5",
                Framed::None,
            ),
        ],
    );
}

#[test]
fn a_response_without_a_body_names_no_length_but_that_of_another() {
    becomes(
        &ANY,
        &[
            (
                "HTTP/1.1 204 No Content\nDate: x\nContent-Length: 0",
                "HTTP/1.1 204 No Content\nDate: x",
                Framed::None,
            ),
            ("HTTP/1.1 102 Processing\nContent-Length: 0", "HTTP/1.1 102 Processing", Framed::None),
            (
                "HTTP/1.1 304 Not Modified\nDate: x\nTransfer-Encoding: chunked",
                "HTTP/1.1 304 Not Modified\nDate: x",
                Framed::None,
            ),
        ],
    );
    becomes(
        &HEAD,
        &[
            (
                "HTTP/1.1 200 OK\nDate: x\nContent-Length: 05, 5",
                "HTTP/1.1 200 OK\nDate: x\nContent-Length: 5",
                Framed::None,
            ),
            (
                "HTTP/1.1 200 OK\nDate: x\nTransfer-Encoding: chunked",
                "HTTP/1.1 200 OK\nDate: x",
                Framed::None,
            ),
            (
                "HTTP/1.1 200 OK\nDate: x\nContent-Length: 5\nTransfer-Encoding: chunked",
                "HTTP/1.1 200 OK\nDate: x",
                Framed::None,
            ),
            (
                "HTTP/1.1 200 OK\nDate: x\nTransfer-Encoding: chunked\nContent-Length: 5",
                "HTTP/1.1 200 OK\nDate: x",
                Framed::None,
            ),
            ("HTTP/1.1 200 OK\nDate: x", "HTTP/1.1 200 OK\nDate: x", Framed::None),
        ],
    );
}

#[test]
fn http_1_0_gets_no_chunks_and_no_interim_heads() {
    becomes(
        &OLD_CLOSING,
        &[
            (
                "HTTP/1.1 200 OK\nDate: x\nTransfer-Encoding: chunked\nTrailer: A",
                "HTTP/1.1 200 OK\nDate: x\nConnection: close",
                Framed::UntilClose,
            ),
            ("HTTP/1.1 200 OK\nDate: x", "HTTP/1.1 200 OK\nDate: x\nConnection: close", Framed::UntilClose),
            (
                "HTTP/1.1 200 OK\nDate: x\nContent-Length: 5",
                "HTTP/1.1 200 OK\nDate: x\nContent-Length: 5\nConnection: close",
                Framed::Length(5),
            ),
            ("HTTP/1.1 103 Early Hints\nLink: </a>", "", Framed::None),
        ],
    );
    becomes(
        &OLD,
        &[
            (
                "HTTP/1.1 200 OK\nDate: x\nContent-Length: 5",
                "HTTP/1.1 200 OK\nDate: x\nContent-Length: 5\nConnection: keep-alive",
                Framed::Length(5),
            ),
            (
                "HTTP/1.1 200 OK\nDate: x\nTransfer-Encoding: chunked",
                "HTTP/1.1 200 OK\nDate: x\nConnection: close",
                Framed::UntilClose,
            ),
            ("HTTP/1.1 100 Continue", "", Framed::None),
        ],
    );
    assert!(!back(&OLD, "HTTP/1.1 200 OK\nDate: x").1.keep_alive);
    assert!(back(&OLD, "HTTP/1.1 304 X\nDate: x").1.keep_alive);
}

#[test]
fn the_client_is_told_whether_its_connection_goes_on() {
    let head = "HTTP/1.1 200 OK\nContent-Length: 5\nConnection: keep-alive";
    assert_eq!(
        back(&CLOSING, head),
        (
            format!("HTTP/1.1 200 OK\nContent-Length: 5\nConnection: close{DATED}"),
            Returned { framed: Framed::Length(5), keep_alive: false }
        )
    );
    assert_eq!(
        back(&ANY, head),
        (
            format!("HTTP/1.1 200 OK\nContent-Length: 5{DATED}"),
            Returned { framed: Framed::Length(5), keep_alive: true }
        )
    );
    assert_eq!(
        back(&CLOSING, "HTTP/1.1 200 OK\nDate: x\nContent-Length: 5").0,
        "HTTP/1.1 200 OK\nDate: x\nContent-Length: 5\nConnection: close"
    );
    assert_eq!(back(&CLOSING, "HTTP/1.1 103 Early Hints\nConnection: close").0, "HTTP/1.1 103 Early Hints");
}

#[test]
fn announced_trailers_go_on_with_chunks_alone() {
    becomes(
        &ANY,
        &[
            (
                "HTTP/1.1 200 OK\nDate: x\nTrailer: A\nTransfer-Encoding: chunked",
                "HTTP/1.1 200 OK\nDate: x\nTrailer: A\nTransfer-Encoding: chunked",
                Framed::Chunked,
            ),
            (
                "HTTP/1.1 200 OK\nDate: x\nTrailer: A\nContent-Length: 5",
                "HTTP/1.1 200 OK\nDate: x\nContent-Length: 5",
                Framed::Length(5),
            ),
            (
                "HTTP/1.1 200 OK\nDate: x\nTrailer: A",
                "HTTP/1.1 200 OK\nDate: x\nTransfer-Encoding: chunked",
                Framed::Chunked,
            ),
        ],
    );
}

#[test]
fn a_switch_goes_on_with_its_protocol() {
    let head = "HTTP/1.1 101 Switching Protocols\nConnection: X, upgrade\nX: y\nUpgrade: websocket\nSec-WebSocket-Accept: z";
    let goes =
        "HTTP/1.1 101 Switching Protocols\nSec-WebSocket-Accept: z\nUpgrade: websocket\nConnection: upgrade";
    assert_eq!(
        back(&UPGRADING, head),
        (goes.to_owned(), Returned { framed: Framed::None, keep_alive: false })
    );
    let refused = "HTTP/1.1 200 OK\nDate: x\nUpgrade: websocket\nConnection: upgrade\nContent-Length: 5";
    becomes(&UPGRADING, &[(refused, "HTTP/1.1 200 OK\nDate: x\nContent-Length: 5", Framed::Length(5))]);
}

#[test]
fn a_demand_for_an_upgrade_says_to_what() {
    let head = "HTTP/1.1 426 Upgrade Required\nDate: x\nUpgrade: h2c, websocket\nConnection: Upgrade\nContent-Length: 0";
    let goes =
        "HTTP/1.1 426 Upgrade Required\nDate: x\nContent-Length: 0\nUpgrade: websocket\nConnection: upgrade";
    becomes(&ANY, &[(head, goes, Framed::Length(0))]);
    becomes(&CLOSING, &[(head, &goes.replace("Connection: ", "Connection: close, "), Framed::Length(0))]);
    becomes(
        &OLD,
        &[(
            head,
            "HTTP/1.1 426 Upgrade Required\nDate: x\nContent-Length: 0\nConnection: keep-alive",
            Framed::Length(0),
        )],
    );
}

#[test]
fn a_head_is_remembered_for_the_asker_who_got_it() {
    let mut forwarder = Forwarder::new(&bare(), SEED);
    let bytes = wire("HTTP/1.1 200 OK\nContent-Length: 5\nDate: x");
    for to in [ANY, HEAD, CLOSING, OLD, OLD_CLOSING, UPGRADING, ANY, HEAD, OLD] {
        let mut out = Vec::new();
        let returned =
            with_response(&bytes, &to, |head, raw| forwarder.response(head, raw, &to, DATE, &mut out));
        assert_eq!(
            (text(&out), returned),
            back(&to, "HTTP/1.1 200 OK\nContent-Length: 5\nDate: x"),
            "{to:?}"
        );
    }
}

#[test]
fn trailers_can_not_say_what_only_a_head_may() {
    let bytes = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nDigest: a\r\nX-Forwarded-For: 6.6.6.6\r\n\
        x_real_ip: 6.6.6.6\r\nAuthorization: b\r\nCookie: c\r\nKeep-Alive: d\r\nVia: e\r\nX-Sum: 7\r\n\r\n";
    let mut heads = net::http1::Heads::new(net::http1::Limits::default());
    let mut stream = RequestStream::new();
    let mut rest = &bytes[..];
    loop {
        match stream.next(rest, &mut heads).unwrap() {
            RequestEvent::Head { used, .. } | RequestEvent::Content { used, .. } => rest = &rest[used..],
            RequestEvent::End { trailers, .. } => {
                let mut out = Vec::new();
                last_chunk(&mut out, trailers);
                assert_eq!(out, b"0\r\nDigest: a\r\nX-Sum: 7\r\n\r\n");
                return;
            }
            RequestEvent::More => panic!("cut"),
        }
    }
}
