//! The list of inputs and verdicts in `cases/`, each fed whole, at every cut, byte by byte, and with garbage behind it.
//!
//! The verdict on a message may depend on its bytes alone: not on how they were cut, and not on what follows them.

#[path = "cases/read.rs"]
mod read;

use net::http1::{
    Asked, ClientConn, ClientError, Framing, Head, Heads, Limits, Phase, Request, Response, ResponseFraming,
    ResponseHeads, ResponseStep, ServerConn, Step, Target, Version,
};
use read::Case;
use std::collections::HashSet;

/// What may stand behind a message: noise, the start of another message, and what other readers take for an end.
const GARBAGE: [&[u8]; 5] =
    [b"\x00\xff", b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n", b"0\r\n\r\n", b"\n"];

/// A case up to this size is cut at every byte, a larger one at some.
const EVERY_CUT_BYTES_MAX: usize = 700;

#[test]
fn requests_get_the_same_verdict_however_they_are_cut() {
    for case in read::cases(|file| file != "responses.http") {
        check(&case, &server_verdicts);
    }
}

#[test]
fn responses_get_the_same_verdict_however_they_are_cut() {
    for case in read::cases(|file| file == "responses.http") {
        check(&case, &client_verdicts);
    }
}

#[test]
fn a_response_gets_the_same_verdict_whatever_was_read_before_it() {
    let cases = read::cases(|file| file == "responses.http");
    let mut lane = ResponseHeads::new(Limits::default());
    for case in [&cases[..], &cases].concat() {
        let fresh = client_verdicts(&case, &[&case.bytes]);
        // The limits are the lane's, for ever: a case with others has a lane of its own.
        let mut own = ResponseHeads::new(case.limits);
        let heads = if case.limits == *lane.limits() { &mut lane } else { &mut own };
        for _ in 0..2 {
            assert_eq!(client_verdicts_on(heads, &case, &[&case.bytes]), fresh, "{}", case.title);
        }
    }
}

#[test]
fn the_cases_are_many_and_have_names_of_their_own() {
    let cases = read::cases(|_| true);
    assert!(cases.len() >= 150, "only {} cases were found", cases.len());
    let mut names = HashSet::new();
    for case in &cases {
        assert!(names.insert(&case.name), "{}: there are two", case.title);
    }
}

#[test]
fn every_case_in_the_documentation_exists() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/http1.md");
    let names: HashSet<String> = read::cases(|_| true).into_iter().map(|case| case.name).collect();
    // In the tables, cases are the words in backquotes of the last column.
    let text = std::fs::read_to_string(path).unwrap();
    for row in text.lines().filter(|line| line.starts_with("| ")) {
        let column = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        for name in column.split('`').skip(1).step_by(2) {
            assert!(names.contains(name), "docs/http1.md names a case that is not there: {name}");
        }
    }
}

/// Verdicts on the pieces of one connection, in order.
type Verdicts = dyn Fn(&Case, &[&[u8]]) -> Vec<String>;

fn check(case: &Case, verdicts: &Verdicts) {
    let bytes = &case.bytes[..];
    let seen = verdicts(case, &[bytes]);
    assert_same(case, "whole", &seen, Continues::AsSeen);
    // A 100 for a body that has come already would be one answer too many.
    let body_is_awaited = case.expected.ends_with(&["continue".to_owned(), "waits body".to_owned()]);
    assert_eq!(seen.iter().any(|verdict| verdict == "continue"), body_is_awaited, "{}: whole", case.title);
    for cut in cuts(bytes.len()) {
        let (front, back) = bytes.split_at(cut);
        let seen = verdicts(case, &[front, back]);
        assert_same(case, &format!("cut behind byte {cut}"), &seen, Continues::AsSeen);
        let seen = verdicts(case, &[front, b"", back, b""]);
        assert_same(case, &format!("cut behind byte {cut}, nothing between"), &seen, Continues::AsSeen);
    }
    for size in [1, 2, 3, 7, 1009] {
        if bytes.len() / size < 200_000 {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            let continues = if size == 1 { Continues::Expected } else { Continues::AsSeen };
            assert_same(case, &format!("{size} at a time"), &verdicts(case, &pieces), continues);
        }
    }
    check_garbage(case, verdicts);
}

/// A verdict stands, whatever follows; behind a refusal or the last request nothing more comes out.
fn check_garbage(case: &Case, verdicts: &Verdicts) {
    let is_open = case.then_end || case.expected.iter().any(|verdict| verdict.starts_with("waits"));
    let Some(last) = case.expected.last().filter(|_| !is_open) else {
        return;
    };
    let is_final = last.starts_with("refuse") || last.starts_with("error") || last.contains(" close ");
    for garbage in GARBAGE {
        let joined = [&case.bytes[..], garbage].concat();
        let by_byte: Vec<&[u8]> = if joined.len() > 20_000 { vec![] } else { joined.chunks(1).collect() };
        for pieces in [vec![&joined[..]], vec![&case.bytes[..], garbage], by_byte] {
            if pieces.is_empty() {
                continue;
            }
            let how = format!("with {:?} behind, in {} pieces", text(garbage), pieces.len());
            let mut seen = verdicts(case, &pieces);
            if !is_final {
                seen.retain(|verdict| verdict != "continue");
                seen.truncate(without_continues(&case.expected).len());
            }
            assert_same(case, &how, &seen, Continues::AsSeen);
        }
    }
}

/// A `continue` shows only where a cut leaves the whole body behind; byte by byte that is everywhere.
#[derive(PartialEq)]
enum Continues {
    Expected,
    AsSeen,
}

fn without_continues(verdicts: &[String]) -> Vec<&String> {
    verdicts.iter().filter(|verdict| *verdict != "continue").collect()
}

fn assert_same(case: &Case, how: &str, seen: &[String], continues: Continues) {
    let is_same = match continues {
        Continues::Expected => seen == case.expected,
        Continues::AsSeen => without_continues(seen) == without_continues(&case.expected),
    };
    let (expected, seen) = (case.expected.join("\n    "), seen.join("\n    "));
    assert!(is_same, "{}\n  {how}\n  expected\n    {expected}\n  but saw\n    {seen}", case.title);
}

fn cuts(len: usize) -> Vec<usize> {
    if len <= EVERY_CUT_BYTES_MAX {
        return (0..=len).collect();
    }
    let spread = (1..=24).map(|part| len * part / 25);
    (0..48).chain(spread).chain(len - 24..=len).collect()
}

fn server_verdicts(case: &Case, pieces: &[&[u8]]) -> Vec<String> {
    let mut conn = ServerConn::new();
    let mut heads = Heads::new(case.limits);
    let mut seen = Vec::new();
    for piece in pieces {
        feed_server(&mut conn, piece, &mut heads, &mut seen);
        assert!(conn.kept_bytes() <= kept_bytes_max(&case.limits), "{}: too much is kept", case.title);
    }
    match conn.phase() {
        Phase::Idle if seen.is_empty() => seen.push("waits idle".to_owned()),
        Phase::Idle | Phase::Closed => assert_eq!(conn.kept_bytes(), 0, "{}: idle and not empty", case.title),
        Phase::Head => seen.push("waits head".to_owned()),
        Phase::Body => seen.push("waits body".to_owned()),
    }
    let is_over = seen.last().is_some_and(|last| last.starts_with("refuse") || last.contains(" close "));
    assert_eq!(
        conn.phase() == Phase::Closed,
        is_over,
        "{}: closed when, and only when, it is over",
        case.title
    );
    seen
}

fn kept_bytes_max(limits: &Limits) -> usize {
    2 * (limits.head_bytes_max + limits.body_bytes_max as usize + limits.trailer_bytes_max) + 64
}

fn feed_server(conn: &mut ServerConn, mut bytes: &[u8], heads: &mut Heads, seen: &mut Vec<String>) {
    loop {
        match conn.next(bytes, heads) {
            Ok(Step::Request { request, used }) => {
                seen.push(request_text(&request));
                bytes = &bytes[used..];
            }
            Ok(Step::Expect { head, used }) => {
                assert!(head.expects_continue);
                seen.push("continue".to_owned());
                bytes = &bytes[used..];
            }
            Ok(Step::More) => return,
            Err(refusal) => {
                seen.push(format!("refuse {} {}", refusal.status.code(), refusal.reason().label()));
                assert_eq!(conn.next(bytes, heads), Ok(Step::More));
                return;
            }
        }
    }
}

fn request_text(request: &Request<'_>) -> String {
    let Request { head, body } = request;
    let authority = head.authority().map_or("-".to_owned(), text);
    let version = version_text(head.version);
    let life = if head.keep_alive { "keep" } else { "close" };
    let start =
        format!("request {} {} @{authority} {version} {life}", head.method.as_str(), target_text(head));
    match head.framing {
        Framing::None => {
            assert!(body.is_empty());
            format!("{start} none")
        }
        Framing::Length(length) => {
            assert_eq!(length, body.len() as u64);
            format!("{start} length {}", body_text(body))
        }
        Framing::Chunked => format!("{start} chunked {}", body_text(body)),
    }
}

fn target_text(head: &Head<'_>) -> String {
    let query = head.target.query().map_or(String::new(), |query| format!("?{query}"));
    let text = match head.target {
        Target::Origin { path, .. } => format!("{path}{query}"),
        Target::Absolute { authority, path, .. } => format!("http://{authority}{path}{query}"),
        Target::Authority(authority) => authority.to_owned(),
        Target::Asterisk => "*".to_owned(),
    };
    if text.len() > 100 { format!("<{} bytes>", text.len()) } else { text }
}

fn client_verdicts(case: &Case, pieces: &[&[u8]]) -> Vec<String> {
    client_verdicts_on(&mut ResponseHeads::new(case.limits), case, pieces)
}

fn client_verdicts_on(heads: &mut ResponseHeads, case: &Case, pieces: &[&[u8]]) -> Vec<String> {
    let mut conn = ClientConn::new();
    let mut seen = Vec::new();
    for piece in pieces {
        feed_client(&mut conn, piece, case.asked, heads, &mut seen);
        assert!(conn.kept_bytes() <= kept_bytes_max(&case.limits), "{}: too much is kept", case.title);
    }
    if case.then_end {
        match conn.end(heads) {
            Ok(Some(response)) => seen.push(response_text(&response)),
            Ok(None) => {}
            Err(error) => seen.push(error_text(&error)),
        }
    }
    seen
}

fn feed_client(
    conn: &mut ClientConn,
    mut bytes: &[u8],
    asked: Asked,
    heads: &mut ResponseHeads,
    seen: &mut Vec<String>,
) {
    loop {
        match conn.next(bytes, asked, heads) {
            Ok(ResponseStep::Interim { head, used }) => {
                seen.push(format!("interim {}", head.status.code()));
                bytes = &bytes[used..];
            }
            Ok(ResponseStep::Response { response, used }) => {
                seen.push(response_text(&response));
                bytes = &bytes[used..];
            }
            Ok(ResponseStep::More) => return,
            Err(error) => {
                seen.push(error_text(&error));
                assert_eq!(conn.next(bytes, asked, heads), Ok(ResponseStep::More));
                return;
            }
        }
    }
}

fn response_text(response: &Response<'_>) -> String {
    let Response { head, body } = response;
    let framing = match head.framing {
        ResponseFraming::None => "none",
        ResponseFraming::Length(_) => "length",
        ResponseFraming::Chunked => "chunked",
        ResponseFraming::UntilClose => "until-close",
    };
    let life = if head.keep_alive { "keep" } else { "close" };
    let version = version_text(head.version);
    format!("response {} {version} {life} {framing} {}", head.status.code(), body_text(body))
}

fn error_text(error: &ClientError) -> String {
    let kind = match error {
        ClientError::Malformed(_) => "malformed",
        ClientError::TooLarge(_) => "too-large",
        ClientError::CutShort(_) => "cut-short",
    };
    format!("error {kind}")
}

fn version_text(version: Version) -> &'static str {
    match version {
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
    }
}

fn body_text(body: &[u8]) -> String {
    if body.len() > 100 { format!("<{} bytes>", body.len()) } else { format!("\"{}\"", text(body)) }
}

/// As the case files write it.
fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\'", "'").replace("\\\"", "\"")
}
