//! Whatever a head holds: what is remembered is what would be written anew, what is written is one head to a strict parser, and
//! nothing of one hop gets to the next.

mod forward_support;

use balancer::forward::{Asker, Forwarder, Framed};
use forward_support::{DATE, SEED, back, client, full, onward, wire, with_request, with_response};
use net::http1::{Asked, Version};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Names that mean something to somebody on the way, and some that don't.
const NAMES: [&str; 40] = [
    "X-A",
    "x-b",
    "X_c",
    "A",
    "Accept",
    "Cookie",
    "Set-Cookie",
    "Authorization",
    "Content-Encoding",
    "Keep-Alive",
    "Proxy-Connection",
    "Proxy-Authorization",
    "Proxy",
    "TE",
    "Trailer",
    "Upgrade",
    "HTTP2-Settings",
    "Via",
    "Date",
    "Max-Forwards",
    "X-Forwarded-For",
    "x-forwarded-proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded",
    "Forwarded",
    "X-Real-IP",
    "X-Request-Id",
    "X_Forwarded_For",
    "Content_Length",
    "Transfer_Encoding",
    "x_request-id",
    "Connection",
    "Server",
    "ETag",
    "Cache-Control",
    "keep_alive",
    "Proxy-Authenticate",
    "Via",
    "Link",
];
const OPTIONS: [&str; 8] =
    ["close", "keep-alive", "Upgrade", "TE", "X-A", "x-B", "keep-alive", "HTTP2-Settings"];
/// What no hop passes on, whoever sends it.
const HOP: [&str; 9] = [
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
    "proxy",
    "http2-settings",
    "x_forwarded_for",
    "content_length",
    "x_request-id",
];

#[derive(Clone, Debug)]
struct Line(String, String);

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let value = prop_oneof![
        4 => "[!-~]{1,12}( [!-~,]{1,6})?",
        1 => select(vec!["", "websocket", "h2c, websocket", "trailers", "1.1 lb", "for=1.2.3.4;host=\"a,b\"", "1.2.3.4, 5.6.7.8"]).prop_map(str::to_owned),
    ];
    let line = (select(NAMES.to_vec()), value, vec(select(OPTIONS.to_vec()), 0..3)).prop_map(
        |(name, value, options)| match name {
            "Connection" => Line(name.to_owned(), options.join(", ")),
            _ => Line(name.to_owned(), value),
        },
    );
    vec(line, 0..14)
}

fn section(lines: &[Line]) -> String {
    lines.iter().map(|Line(name, value)| format!("\n{name}: {value}")).collect()
}

fn request() -> impl Strategy<Value = (String, Vec<Line>)> {
    let line = select(vec![
        "GET / HTTP/1.1\nHost: h",
        "GET /a?b HTTP/1.1\nHost: a.example:80",
        "HEAD http://b/x HTTP/1.1\nHost: h",
        "POST / HTTP/1.0",
        "BREW /%41 HTTP/1.1\nHost: [::1]",
        "OPTIONS * HTTP/1.1\nHost:",
        "GET / HTTP/1.0\nHost: h",
    ]);
    let framing = select(vec![
        "",
        "\nContent-Length: 0",
        "\nContent-Length: 9",
        "\ncontent-length: 09, 9\nContent-Length: 9",
        "\nTransfer-Encoding: Chunked",
    ]);
    (line, lines(), framing)
        .prop_filter("HTTP/1.0 has no chunks", |(line, _, framing)| {
            !(line.contains("HTTP/1.0") && framing.contains("Chunked"))
        })
        .prop_map(|(line, lines, framing)| (format!("{line}{}{framing}", section(&lines)), lines))
}

fn response() -> impl Strategy<Value = (Asker, String)> {
    let version = select(vec![Version::Http10, Version::Http11]);
    let asked = select(vec![Asked::Head, Asked::Other]);
    let line = select(vec![
        "HTTP/1.1 200 OK",
        "HTTP/1.1 404 ",
        "HTTP/1.0 200 Fine",
        "HTTP/1.1 304 Not Modified",
        "HTTP/1.1 426 X",
    ]);
    let framing = select(vec![
        "",
        "\nContent-Length: 0",
        "\nContent-Length: 9",
        "\ncontent-length: 09, 9",
        "\nTransfer-Encoding: chunked",
    ]);
    (version, asked, any::<bool>(), line, lines(), framing)
        .prop_filter("HTTP/1.0 has no chunks", |(_, _, _, line, _, framing)| {
            !(line.contains("HTTP/1.0") && framing.contains("chunked"))
        })
        .prop_map(|(version, asked, keep_alive, line, lines, framing)| {
            (Asker { version, asked, keep_alive }, format!("{line}{}{framing}", section(&lines)))
        })
}

/// The names in a written head, in lower case.
fn names(written: &str) -> Vec<String> {
    written
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .map(|(name, _)| name.to_lowercase())
        .collect()
}

fn count(names: &[String], name: &str) -> usize {
    names.iter().filter(|it| *it == name).count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_request_loses_what_is_for_one_hop_and_nothing_else((head, lines) in request(), trusted: bool) {
        let config = full();
        let address = if trusted { "10.0.0.1" } else { "192.0.2.1" };
        // The helper compares the first and the second time, and reads what was written.
        let Ok((written, it)) = onward(&config, &client(address, &config), &head) else {
            return Ok(());
        };
        let names = names(&written);
        prop_assert!(HOP.iter().all(|hop| count(&names, hop) == 0), "{}", written);
        prop_assert_eq!(count(&names, "host"), 1);
        prop_assert!(count(&names, "content-length") + count(&names, "transfer-encoding") <= 1);
        prop_assert_eq!(count(&names, "connection") == 1, it.wants_upgrade || count(&names, "te") == 1);
        prop_assert_eq!(count(&names, "upgrade") == 1, it.wants_upgrade);
        prop_assert_eq!(count(&names, "x-request-id"), 1);
        prop_assert_eq!(it.request_id(&wire(&written)).is_empty(), false);
        if !trusted {
            let last = written.lines().find(|line| line.starts_with("X-Forwarded-For")).unwrap();
            prop_assert_eq!(last, "X-Forwarded-For: 192.0.2.1");
            prop_assert!(count(&names, "x-forwarded-port") + count(&names, "x-real-ip") + count(&names, "x-forwarded") == 0);
            prop_assert!(count(&names, "forwarded") == 1 && count(&names, "x-forwarded-for") == 1);
        }
        // What is for all comes through, in order.
        let is_for_all = |name: &str| ["X_c", "A", "Accept", "Cookie", "Set-Cookie", "Authorization", "Server", "ETag", "Link"].contains(&name);
        let through: Vec<String> = lines.iter().filter(|line| is_for_all(&line.0)).map(|Line(name, value)| format!("{name}: {value}")).collect();
        let came: Vec<&str> = written.lines().filter(|line| line.split_once(": ").is_some_and(|(name, _)| is_for_all(name))).collect();
        prop_assert_eq!(came, through);
    }

    #[test]
    fn a_response_loses_what_is_for_one_hop((to, head) in response()) {
        let (written, returned) = back(&to, &head);
        let names = names(&written);
        let hop = HOP[..6].iter().chain(&["te"]);
        prop_assert!(hop.into_iter().all(|hop| count(&names, hop) == 0), "{}", written);
        prop_assert!(count(&names, "content-length") + count(&names, "transfer-encoding") <= 1);
        prop_assert!(count(&names, "date") >= 1);
        prop_assert_eq!(returned.framed == Framed::Chunked, count(&names, "transfer-encoding") == 1);
        let says = |option: &str| written.lines().any(|line| line.starts_with("Connection: ") && line.contains(option));
        prop_assert_eq!(says("close"), !returned.keep_alive);
        prop_assert_eq!(says("keep-alive"), returned.keep_alive && to.version == Version::Http10);
    }

    #[test]
    fn a_lane_that_remembers_is_a_lane_that_does_not(heads in vec((request(), any::<bool>()), 1..12), order in vec(any::<prop::sample::Index>(), 1..40)) {
        let config = full();
        let clients = [client("192.0.2.1", &config), client("10.0.0.1", &config)];
        let mut lane = Forwarder::new(&config, SEED);
        for index in order {
            let ((head, _), trusted) = &heads[index.index(heads.len())];
            let bytes = wire(head);
            let client = &clients[usize::from(*trusted)];
            let pass = |forwarder: &mut Forwarder| {
                let mut out = Vec::new();
                let it = with_request(&bytes, |head, raw| forwarder.request(head, raw, client, &mut out));
                let ours = it.map(|it| String::from_utf8_lossy(it.request_id(&out)).into_owned()).unwrap_or_default();
                let out = String::from_utf8_lossy(&out).into_owned();
                (it, if ours.starts_with("abcdef01") { out.replace(&ours, "<id>") } else { out })
            };
            prop_assert_eq!(pass(&mut lane), pass(&mut Forwarder::new(&config, SEED)));
        }
    }

    #[test]
    fn a_lane_that_remembers_responses_is_a_lane_that_does_not(heads in vec(response(), 1..12), order in vec(any::<prop::sample::Index>(), 1..40)) {
        let config = full();
        let mut lane = Forwarder::new(&config, SEED);
        for index in order {
            let (to, head) = &heads[index.index(heads.len())];
            let bytes = wire(head);
            let pass = |forwarder: &mut Forwarder| {
                let mut out = Vec::new();
                let returned = with_response(&bytes, to, |head, raw| forwarder.response(head, raw, to, DATE, &mut out));
                (returned, out)
            };
            prop_assert_eq!(pass(&mut lane), pass(&mut Forwarder::new(&config, SEED)));
        }
    }
}
