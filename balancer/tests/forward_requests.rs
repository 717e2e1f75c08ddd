//! Requests' heads as servers get them: exact bytes in, exact bytes out. The hop-by-hop and head cases are those that other
//! proxies got wrong.

mod forward_support;

use balancer::config::{Config, HostRule, Pool, Route};
use balancer::forward::{Client, Forwarder, NotPassedOn, Onward, Repeat};
use forward_support::{SEED, bare, client, full, onward, text, wire, with_request};
use net::http1::{Asked, Framing, Version};

/// Passes each on from a client that is not trusted, with nothing added, and compares.
fn becomes(cases: &[(&str, &str)]) {
    let config = bare();
    for (came, goes) in cases {
        let (written, _) = onward(&config, &client("192.0.2.1", &config), came)
            .unwrap_or_else(|why| panic!("{came}: {why:?}"));
        assert_eq!(written, *goes, "{came}");
    }
}

fn refused(config: &Config, head: &str) -> NotPassedOn {
    match onward(config, &client("192.0.2.1", config), head) {
        Err(why) => why,
        Ok((written, _)) => panic!("passed on: {written}"),
    }
}

fn is_bad(head: &str) {
    let why = refused(&bare(), head);
    assert!(matches!(why, NotPassedOn::BadRequest(_)), "{head}: {why:?}");
    assert_eq!(why.status().code(), 400);
}

#[test]
fn order_and_spelling_stay_and_values_are_trimmed() {
    becomes(&[
        (
            "GET /a?b=%20c&&d HTTP/1.1\nhOsT:  a.example:80 \nX-b:1\nX-A: \t two  words\t\nx-b: 3\nEmpty:",
            "GET /a?b=%20c&&d HTTP/1.1\nhOsT: a.example:80\nX-b: 1\nX-A: two  words\nx-b: 3\nEmpty: ",
        ),
        ("BREW /%41/../b//c? HTTP/1.1\nHost: h", "BREW /%41/../b//c? HTTP/1.1\nHost: h"),
        (
            "GET / HTTP/1.1\nHost: h\nX: caf\u{e9}\nmy_field: 1",
            "GET / HTTP/1.1\nHost: h\nX: caf\u{e9}\nmy_field: 1",
        ),
    ]);
}

#[test]
fn the_version_that_goes_on_is_ours() {
    becomes(&[
        ("GET / HTTP/1.2\nHost: h", "GET / HTTP/1.1\nHost: h"),
        ("GET / HTTP/1.0\nHost: h\nConnection: keep-alive", "GET / HTTP/1.1\nHost: h"),
        ("GET /x HTTP/1.0\nA: b", "GET /x HTTP/1.1\nHost: localhost\nA: b"),
    ]);
}

#[test]
fn an_absolute_target_loses_its_host_to_the_field() {
    becomes(&[
        (
            "GET http://a.example:8080/p?q HTTP/1.1\nX: y\nHost: other",
            "GET /p?q HTTP/1.1\nX: y\nHost: a.example:8080",
        ),
        ("GET HTTP://a HTTP/1.1\nHost: a", "GET / HTTP/1.1\nHost: a"),
        ("GET http://a?q HTTP/1.1\nHost: a", "GET /?q HTTP/1.1\nHost: a"),
        ("GET http://a/ HTTP/1.0\nX: y", "GET / HTTP/1.1\nHost: a\nX: y"),
    ]);
}

#[test]
fn options_of_a_server_stay_options_of_a_server() {
    becomes(&[
        ("OPTIONS * HTTP/1.1\nHost: h", "OPTIONS * HTTP/1.1\nHost: h"),
        ("OPTIONS http://a:80 HTTP/1.1\nHost: h", "OPTIONS * HTTP/1.1\nHost: a:80"),
        ("OPTIONS http://a/ HTTP/1.1\nHost: h", "OPTIONS / HTTP/1.1\nHost: a"),
        ("OPTIONS http://a? HTTP/1.1\nHost: h", "OPTIONS /? HTTP/1.1\nHost: a"),
        ("GET http://a HTTP/1.1\nHost: h", "GET / HTTP/1.1\nHost: a"),
    ]);
}

#[test]
fn what_is_for_this_hop_stays_here() {
    becomes(&[
        ("GET / HTTP/1.1\nHost: h\nConnection: keep-alive\nKeep-Alive: timeout=5", "GET / HTTP/1.1\nHost: h"),
        (
            "GET / HTTP/1.1\nConnection: close\nHost: h\nProxy-Connection: keep-alive",
            "GET / HTTP/1.1\nHost: h",
        ),
        (
            "GET / HTTP/1.1\nHost: h\nConnection: close, X-Hop ,,x-other\nx-HOP: 1\nX-Other: 2\nX-Hope: 3",
            "GET / HTTP/1.1\nHost: h\nX-Hope: 3",
        ),
        (
            "GET / HTTP/1.1\nHost: h\nA: 1\nB: 2\nC: 3\nConnection: a\nConnection: c",
            "GET / HTTP/1.1\nHost: h\nB: 2",
        ),
        (
            "GET / HTTP/1.1\nHost: h\nProxy-Authorization: Basic eDp5\nProxy: http://evil\nAuthorization: Basic eDp5",
            "GET / HTTP/1.1\nHost: h\nAuthorization: Basic eDp5",
        ),
        ("GET / HTTP/1.1\nHost: h\nConnection:", "GET / HTTP/1.1\nHost: h"),
    ]);
}

/// CVE-2024-45410, CVE-2025-48865.
#[test]
fn connection_can_not_take_away_what_is_for_the_server() {
    for named in [
        "X-Forwarded-For",
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Authorization",
        "Cookie",
        "Forwarded",
        "X-Real-IP",
        "X-Request-Id",
        "Via",
        "Cache-Control",
        "Content-Type",
        "Expect",
        "X_Forwarded_For",
        "x-forwarded-port",
    ] {
        let is_look_alike = named.contains('_');
        let head = format!("GET / HTTP/1.1\nHost: h\nConnection: close, {named}");
        if is_look_alike {
            becomes(&[(&head, "GET / HTTP/1.1\nHost: h")]);
        } else {
            is_bad(&head);
        }
    }
    is_bad(&format!("GET / HTTP/1.1\nHost: h\nConnection: {}", ["a"; 17].join(",")));
}

#[test]
fn one_length_goes_on_and_it_is_the_one_that_was_found() {
    becomes(&[
        (
            "POST / HTTP/1.1\nHost: h\ncontent-LENGTH: 007, 7\nX: 1\nContent-Length: 7",
            "POST / HTTP/1.1\nHost: h\ncontent-LENGTH: 7\nX: 1",
        ),
        (
            "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: CHUNKED",
            "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked",
        ),
        ("POST / HTTP/1.1\nHost: h\nContent-Length: 0", "POST / HTTP/1.1\nHost: h\nContent-Length: 0"),
        (
            "GET / HTTP/1.1\nHost: h\nContent-Length: 18446744073709551615",
            "GET / HTTP/1.1\nHost: h\nContent-Length: 18446744073709551615",
        ),
        (
            "POST / HTTP/1.1\nHost: h\nContent_Length: 9\nTransfer_Encoding: chunked",
            "POST / HTTP/1.1\nHost: h",
        ),
    ]);
}

#[test]
fn trailers_are_announced_and_asked_for_where_they_can_be() {
    becomes(&[
        (
            "POST / HTTP/1.1\nHost: h\nTrailer: Digest\nTransfer-Encoding: chunked",
            "POST / HTTP/1.1\nHost: h\nTrailer: Digest\nTransfer-Encoding: chunked",
        ),
        (
            "POST / HTTP/1.1\nHost: h\nTrailer: Digest\nContent-Length: 5",
            "POST / HTTP/1.1\nHost: h\nContent-Length: 5",
        ),
        (
            "POST / HTTP/1.1\nHost: h\nTrailer: Digest\nTransfer-Encoding: chunked\nConnection: trailer",
            "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked",
        ),
        (
            "GET / HTTP/1.1\nHost: h\nTE: gzip;q=1, Trailers\nConnection: TE",
            "GET / HTTP/1.1\nHost: h\nTE: trailers\nConnection: TE",
        ),
        ("GET / HTTP/1.1\nHost: h\nTE: gzip", "GET / HTTP/1.1\nHost: h"),
        ("GET / HTTP/1.0\nHost: h\nTE: trailers", "GET / HTTP/1.1\nHost: h"),
    ]);
}

#[test]
fn an_upgrade_goes_on_if_it_is_listed_and_asked_for() {
    becomes(&[
        (
            "GET /ws HTTP/1.1\nHost: h\nUpgrade: websocket\nConnection: keep-alive, Upgrade\nSec-WebSocket-Version: 13",
            "GET /ws HTTP/1.1\nHost: h\nSec-WebSocket-Version: 13\nUpgrade: websocket\nConnection: upgrade",
        ),
        (
            "GET / HTTP/1.1\nHost: h\nUpgrade: h2c, a/1\nupgrade: b\nConnection: x\nConnection: UPGRADE\nTE: trailers",
            "GET / HTTP/1.1\nHost: h\nTE: trailers\nUpgrade: a/1, b\nConnection: TE, upgrade",
        ),
        ("GET / HTTP/1.1\nHost: h\nUpgrade: websocket", "GET / HTTP/1.1\nHost: h"),
        ("GET / HTTP/1.1\nHost: h\nConnection: upgrade", "GET / HTTP/1.1\nHost: h"),
        ("GET / HTTP/1.1\nHost: h\nUpgrade:\nConnection: upgrade", "GET / HTTP/1.1\nHost: h"),
        ("GET / HTTP/1.0\nHost: h\nUpgrade: websocket\nConnection: upgrade", "GET / HTTP/1.1\nHost: h"),
        ("HEAD / HTTP/1.1\nHost: h\nUpgrade: websocket\nConnection: upgrade", "HEAD / HTTP/1.1\nHost: h"),
        (
            "POST / HTTP/1.1\nHost: h\nUpgrade: websocket\nConnection: upgrade\nContent-Length: 1",
            "POST / HTTP/1.1\nHost: h\nContent-Length: 1",
        ),
    ]);
    let config = bare();
    let asks = |head: &str| {
        onward(&config, &client("192.0.2.1", &config), head)
            .map(|(_, it)| (it.asked, it.wants_upgrade))
            .unwrap()
    };
    assert_eq!(
        asks("GET / HTTP/1.1\nHost: h\nUpgrade: websocket\nConnection: upgrade"),
        (Asked::Upgrade, true)
    );
    assert_eq!(asks("GET / HTTP/1.1\nHost: h\nUpgrade: h2c\nConnection: upgrade"), (Asked::Other, false));
    assert_eq!(
        asks("HEAD / HTTP/1.1\nHost: h\nUpgrade: websocket\nConnection: upgrade"),
        (Asked::Head, false)
    );
}

#[test]
fn no_other_http_is_let_into_a_tunnel() {
    becomes(&[
        (
            "GET / HTTP/1.1\nHost: h\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
            "GET / HTTP/1.1\nHost: h",
        ),
        (
            "GET / HTTP/1.1\nHost: h\nConnection: Upgrade\nUpgrade: HTTP/2.0, TLS/1.2, H2C, h2",
            "GET / HTTP/1.1\nHost: h",
        ),
        ("GET / HTTP/1.1\nHost: h\nHTTP2-Settings: AAMA", "GET / HTTP/1.1\nHost: h"),
    ]);
}

#[test]
fn an_expectation_goes_on_with_a_body() {
    becomes(&[
        (
            "PUT / HTTP/1.1\nHost: h\nexpect: 100-CONTINUE\nContent-Length: 3",
            "PUT / HTTP/1.1\nHost: h\nexpect: 100-continue\nContent-Length: 3",
        ),
        ("PUT / HTTP/1.1\nHost: h\nExpect: 100-continue", "PUT / HTTP/1.1\nHost: h"),
        (
            "PUT / HTTP/1.1\nHost: h\nExpect: 100-continue\nContent-Length: 0",
            "PUT / HTTP/1.1\nHost: h\nContent-Length: 0",
        ),
        (
            "PUT / HTTP/1.0\nHost: h\nExpect: 100-continue\nContent-Length: 3",
            "PUT / HTTP/1.1\nHost: h\nContent-Length: 3",
        ),
    ]);
}

#[test]
fn max_forwards_counts_options_alone() {
    becomes(&[
        ("OPTIONS / HTTP/1.1\nHost: h\nmax-Forwards: 010", "OPTIONS / HTTP/1.1\nHost: h\nmax-Forwards: 9"),
        (
            "OPTIONS * HTTP/1.1\nHost: h\nMax-Forwards: 99999999999999999999999",
            "OPTIONS * HTTP/1.1\nHost: h\nMax-Forwards: 18446744073709551614",
        ),
        (
            "GET / HTTP/1.1\nHost: h\nMax-Forwards: 0\nMax-Forwards: x",
            "GET / HTTP/1.1\nHost: h\nMax-Forwards: 0\nMax-Forwards: x",
        ),
    ]);
    assert_eq!(refused(&bare(), "OPTIONS * HTTP/1.1\nHost: h\nMax-Forwards: 0"), NotPassedOn::AskedUs);
    is_bad("OPTIONS / HTTP/1.1\nHost: h\nMax-Forwards: -1");
    is_bad("OPTIONS / HTTP/1.1\nHost: h\nMax-Forwards:");
    is_bad("OPTIONS / HTTP/1.1\nHost: h\nMax-Forwards: 1\nMax-Forwards: 1");
}

#[test]
fn connect_and_trace_end_here() {
    for head in ["CONNECT a:443 HTTP/1.1\nHost: a:443", "TRACE / HTTP/1.1\nHost: h"] {
        assert_eq!(refused(&bare(), head), NotPassedOn::Method);
    }
    assert_eq!(NotPassedOn::Method.status().code(), 405);
}

#[test]
fn what_is_claimed_is_removed_even_if_nothing_is_added() {
    becomes(&[(
        "GET / HTTP/1.1\nHost: h\nX-Forwarded-For: 6.6.6.6\nForwarded: for=x\nX-Request-Id: 1",
        "GET / HTTP/1.1\nHost: h",
    )]);
}

#[test]
fn a_request_in_circles_is_ended() {
    let config = full();
    let passes = |n: usize| {
        format!(
            "GET / HTTP/1.1\nHost: h\nVia: {}\nVia: 1.1 other, HTTP/1.1 LB (comment)",
            ["1.1 lb"; 32][..n].join(", ")
        )
    };
    assert!(onward(&config, &client("192.0.2.1", &config), &passes(7)).is_ok());
    assert_eq!(refused(&config, &passes(8)), NotPassedOn::Loop);
    assert_eq!(NotPassedOn::Loop.status().code(), 508);
    assert!(onward(&bare(), &client("192.0.2.1", &bare()), &passes(8)).is_ok(), "nobody is known by no name");
}

#[test]
fn a_name_that_can_not_stand_in_via_is_not_written() {
    let mut config = bare();
    for name in ["a b", "a,b", "a\r\nX: y"] {
        config.forward.via = name.to_owned();
        assert_eq!(
            onward(&config, &client("192.0.2.1", &config), "GET / HTTP/1.1\nHost: h").unwrap().0,
            "GET / HTTP/1.1\nHost: h"
        );
    }
}

#[test]
fn what_the_request_is_comes_with_it() {
    let config = bare();
    let is = |head: &str| onward(&config, &client("192.0.2.1", &config), head).unwrap().1;
    for (method, repeat, asked) in [
        ("GET", Repeat::Safe, Asked::Other),
        ("HEAD", Repeat::Safe, Asked::Head),
        ("OPTIONS", Repeat::Safe, Asked::Other),
        ("PUT", Repeat::Idempotent, Asked::Other),
        ("DELETE", Repeat::Idempotent, Asked::Other),
        ("POST", Repeat::No, Asked::Other),
        ("PATCH", Repeat::No, Asked::Other),
        ("get", Repeat::No, Asked::Other),
        ("PROPFIND", Repeat::No, Asked::Other),
    ] {
        let it = is(&format!("{method} / HTTP/1.1\nHost: h"));
        assert_eq!((it.repeat, it.asked, it.framing), (repeat, asked, Framing::None), "{method}");
    }
    let it =
        is("PUT / HTTP/1.1\nHost: h\nConnection: close\nTransfer-Encoding: chunked\nExpect: 100-continue");
    assert_eq!(
        (it.framing, it.version, it.keep_alive, it.expects_continue),
        (Framing::Chunked, Version::Http11, false, true)
    );
    let it = is("GET / HTTP/1.0\nHost: h\nConnection: keep-alive\nContent-Length: 4");
    assert_eq!(
        (it.framing, it.version, it.keep_alive, it.expects_continue),
        (Framing::Length(4), Version::Http10, true, false)
    );
    let kept = |may: bool| it.asker(may).keep_alive;
    assert_eq!((kept(true), kept(false)), (true, false));
    assert!(!is("GET / HTTP/1.0\nHost: h").asker(true).keep_alive, "it closes, whatever we may");
    assert!(it.request_id(b"GET / HTTP/1.1\r\n\r\n").is_empty());
}

#[test]
fn a_request_that_goes_nowhere_is_still_known_by_its_kind() {
    let of = |head: &str| with_request(&wire(head), |head, _| Onward::unrouted(head));
    let it = of("HEAD / HTTP/1.0\nConnection: keep-alive\nContent-Length: 5");
    assert_eq!(
        (it.asked, it.repeat, it.framing, it.version, it.keep_alive),
        (Asked::Head, Repeat::Safe, Framing::Length(5), Version::Http10, true)
    );
    assert_eq!((it.pool, it.expects_continue, it.wants_upgrade), (usize::MAX, false, false));
    assert_eq!(of("PUT / HTTP/1.1\nHost: h\nConnection: close").asked, Asked::Other);
    let unread = Onward::unread(Asked::Head);
    assert_eq!((unread.asked, unread.keep_alive, unread.pool), (Asked::Head, false, usize::MAX));
}

#[test]
fn the_pool_is_chosen_by_the_target_that_counts() {
    let mut config = bare();
    config.pools.push(Pool::of("two", config.pools[0].servers.clone()));
    let route = |host, path: &str, pool| Route { listener: None, host, path_prefix: path.to_owned(), pool };
    config.routes = vec![route(HostRule::Exact("a.example".to_owned()), "/api", 1)];
    config.listeners.push(config.listeners[0].clone());
    config.listeners[1].default_pool = None;
    let to = |listener: usize, head: &str| {
        let client = Client::new(listener, Some("192.0.2.1:9".parse().unwrap()), &config);
        onward(&config, &client, head).map(|(_, it)| it.pool)
    };
    assert_eq!(to(0, "GET /api/x?y HTTP/1.1\nHost: A.example:80"), Ok(1));
    assert_eq!(to(0, "GET http://a.example/api HTTP/1.1\nHost: b"), Ok(1));
    assert_eq!(to(0, "GET http://b/api HTTP/1.1\nHost: a.example"), Ok(0));
    assert_eq!(to(0, "GET /x?/api HTTP/1.1\nHost: a.example"), Ok(0));
    assert_eq!(to(0, "OPTIONS * HTTP/1.1\nHost: a.example"), Ok(0));
    assert_eq!(to(0, "GET /api HTTP/1.0"), Ok(0));
    assert_eq!(to(1, "GET /api HTTP/1.1\nHost: a.example"), Ok(1));
    assert_eq!(to(1, "GET / HTTP/1.1\nHost: a.example"), Err(NotPassedOn::NoRoute));
    assert!(matches!(to(0, "GET /api/../x HTTP/1.1\nHost: a.example"), Err(NotPassedOn::BadRequest(_))));
}

#[test]
fn a_head_is_remembered_for_its_listener_and_for_who_is_believed() {
    let mut config = full();
    config.pools.push(Pool::of("two", config.pools[0].servers.clone()));
    config.listeners.push(config.listeners[0].clone());
    config.routes =
        vec![Route { listener: Some(1), host: HostRule::Any, path_prefix: "/".to_owned(), pool: 1 }];
    let bytes = wire("GET / HTTP/1.1\nHost: h\nX-Real-IP: 192.0.2.1");
    let mut forwarder = Forwarder::new(&config, SEED);
    for (listener, peer, pool, is_kept) in [
        (0, "192.0.2.9:1", 0, false),
        (1, "192.0.2.9:1", 1, false),
        (0, "10.0.0.1:1", 0, true),
        (0, "192.0.2.9:1", 0, false),
    ] {
        let client = Client::new(listener, Some(peer.parse().unwrap()), &config);
        let mut out = Vec::new();
        let it = with_request(&bytes, |head, raw| forwarder.request(head, raw, &client, &mut out)).unwrap();
        assert_eq!(it.pool, pool, "{listener} {peer}");
        assert_eq!(text(&out).contains("X-Real-IP: 192.0.2.1"), is_kept, "{listener} {peer}");
    }
}

#[test]
fn a_server_is_told_if_its_connection_is_not_used_again() {
    let mut config = bare();
    config.pools[0].idle.connections_max = 0;
    let goes = |head: &str| onward(&config, &client("192.0.2.1", &config), head).unwrap().0;
    assert_eq!(goes("GET / HTTP/1.1\nHost: h"), "GET / HTTP/1.1\nHost: h\nConnection: close");
    assert_eq!(
        goes("GET / HTTP/1.1\nHost: h\nUpgrade: websocket\nConnection: upgrade"),
        "GET / HTTP/1.1\nHost: h\nUpgrade: websocket\nConnection: upgrade"
    );
}
