//! What a page from elsewhere could make an operator's browser send, and what tools send.

use super::fixture::{World, config, text};
use net::http1::Status;

/// A change with this `Host` and these lines behind it.
fn change(world: &mut World, host: &str, lines: &str) -> Status {
    world.ask(&format!("POST /reload HTTP/1.1\r\nHost: {host}\r\n{lines}Content-Length: 0\r\n\r\n")).status
}

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn a_form_can_not_change_anything() {
    let mut world = World::new(config());
    // What a form can send, and a fetch that is not asked for beforehand (CORS-safelisted types).
    for lines in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: multipart/form-data; boundary=application/json\r\n",
        "Content-Type: text/plain; application/json\r\n",
    ] {
        assert_eq!(change(&mut world, "127.0.0.1:9090", lines), Status::UNSUPPORTED_MEDIA_TYPE, "{lines}");
    }
    assert!(world.obeyed.is_empty());
    // The question that a browser asks before it sends more is not granted.
    let asked = world.ask("OPTIONS /reload HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\n\r\n");
    assert_eq!(asked.status, Status::METHOD_NOT_ALLOWED);
    assert!(asked.fields.iter().all(|(name, _)| !name.starts_with("access-control")), "{:?}", asked.fields);
}

#[test]
fn a_change_from_another_origin_is_refused() {
    let mut world = World::new(config());
    for lines in [
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: http://127.0.0.1:8080\r\n",
        "Origin: http://127.0.0.1:9090\r\nOrigin: http://evil.example\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "sec-fetch-site: \r\n",
    ] {
        assert_eq!(
            change(&mut world, "127.0.0.1:9090", &format!("{JSON}{lines}")),
            Status::FORBIDDEN,
            "{lines}"
        );
    }
    assert!(world.obeyed.is_empty());
}

#[test]
fn the_page_and_tools_may_change() {
    let mut world = World::new(config());
    for (host, lines) in [
        ("127.0.0.1:9090", ""),
        ("127.0.0.1:9090", "Origin: http://127.0.0.1:9090\r\nSec-Fetch-Site: same-origin\r\n"),
        ("127.0.0.1:9090", "Sec-Fetch-Site: none\r\n"),
        ("localhost:9090", "Origin: http://localhost:9090\r\n"),
        ("[::1]:9090", "Origin: https://[::1]:9090\r\n"),
        ("", ""),
    ] {
        assert_eq!(change(&mut world, host, &format!("{JSON}{lines}")), Status::OK, "{host} {lines}");
    }
    let old = world.ask(&format!("POST /reload HTTP/1.0\r\n{JSON}Content-Length: 0\r\n\r\n"));
    assert_eq!(old.status, Status::OK, "without Host it is no browser");
}

#[test]
fn a_rebound_name_reads_nothing_and_changes_nothing() {
    let mut world = World::lived();
    for target in ["/", "/status.json", "/servers", "/servers/web/a", "/nothing", "/servers/web/z"] {
        for request in [
            format!("GET {target} HTTP/1.1\r\nHost: evil.example:9090\r\n\r\n"),
            format!("GET http://evil.example:9090{target} HTTP/1.1\r\nHost: 127.0.0.1:9090\r\n\r\n"),
        ] {
            let answer = world.ask(&request);
            assert_eq!(answer.status, Status::MISDIRECTED_REQUEST, "{request}");
            assert!(
                text(&answer).contains("IP address") && !text(&answer).contains("5000"),
                "{}",
                text(&answer)
            );
        }
    }
    let lines = format!("{JSON}Origin: http://evil.example:9090\r\nSec-Fetch-Site: same-origin\r\n");
    assert_eq!(change(&mut world, "evil.example:9090", &lines), Status::MISDIRECTED_REQUEST);
    assert!(world.obeyed.is_empty());
}

#[test]
fn machines_may_probe_and_scrape_by_any_name() {
    let mut world = World::new(config());
    for target in ["/metrics", "/healthz", "/readyz"] {
        let answer = world.ask(&format!("GET {target} HTTP/1.1\r\nHost: lb1.internal:9090\r\n\r\n"));
        assert_eq!(answer.status, Status::OK, "{target}");
    }
}
