//! What the writers write, the readers read back the same, however it is cut; and noise harms nobody.

use net::http1::write::{self, BodySpec, RequestSpec};
use net::http1::{
    Asked, ClientConn, DateCache, Framing, Heads, Limits, Persistence, Phase, Request, ResponseHeads,
    ResponseStep, ServerConn, Status, Step,
};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Content {
    None,
    Length(Vec<u8>),
    Chunked(Vec<Vec<u8>>),
}

#[derive(Clone, Debug)]
struct Asking {
    method: String,
    target: String,
    host: String,
    fields: Vec<(String, String)>,
    content: Content,
}

/// A request as the server sees it.
#[derive(Debug, PartialEq)]
struct Read {
    line: String,
    host: Vec<u8>,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    framing: Framing,
    body: Vec<u8>,
}

impl Read {
    fn of(request: &Request<'_>) -> Read {
        let head = &request.head;
        let query = head.target.query().map_or(String::new(), |query| format!("?{query}"));
        let is_ours = |(name, _): &(&[u8], &[u8])| name.starts_with(b"x-");
        Read {
            line: format!("{} {}{query}", head.method.as_str(), head.target.path()),
            host: head.host.unwrap_or_default().to_vec(),
            fields: head
                .fields()
                .filter(is_ours)
                .map(|(name, value)| (name.to_vec(), value.to_vec()))
                .collect(),
            framing: head.framing,
            body: request.body.to_vec(),
        }
    }

    fn expected(asking: &Asking) -> Read {
        let (framing, body) = match &asking.content {
            Content::None => (Framing::None, Vec::new()),
            Content::Length(bytes) => (Framing::Length(bytes.len() as u64), bytes.clone()),
            Content::Chunked(parts) => (Framing::Chunked, parts.concat()),
        };
        let bytes = |text: &String| text.clone().into_bytes();
        Read {
            line: format!("{} {}", asking.method, asking.target),
            host: bytes(&asking.host),
            fields: asking.fields.iter().map(|(name, value)| (bytes(name), bytes(value))).collect(),
            framing,
            body,
        }
    }
}

#[derive(Clone, Debug)]
struct Answer {
    status: Status,
    fields: Vec<(String, String)>,
    content_type: Option<String>,
    body: Vec<u8>,
    persistence: Persistence,
    to_head: bool,
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_are_read_as_they_were_written(
        askings in prop::collection::vec(asking(), 1..4),
        cuts in prop::collection::vec(1usize..40, 1..20),
    ) {
        let mut wire = Vec::new();
        for asking in &askings {
            write_request(&mut wire, asking);
        }
        let mut conn = ServerConn::new();
        let mut heads = Heads::new(Limits::default());
        let mut read = Vec::new();
        for piece in pieces(&wire, &cuts) {
            let mut rest = piece;
            while let Step::Request { request, used } = conn.next(rest, &mut heads).unwrap() {
                read.push(Read::of(&request));
                rest = &rest[used..];
            }
        }
        prop_assert_eq!(conn.phase(), Phase::Idle);
        prop_assert_eq!(conn.kept_bytes(), 0);
        prop_assert_eq!(read, askings.iter().map(Read::expected).collect::<Vec<_>>());
    }

    #[test]
    fn responses_are_read_as_they_were_written(
        answer in answer(),
        second in 0u64..300_000_000_000,
        cuts in prop::collection::vec(1usize..40, 1..20),
    ) {
        let mut wire = Vec::new();
        let date = *DateCache::new().at(second);
        let fields = borrowed(&answer.fields);
        let response = write::Response {
            status: answer.status,
            fields: &fields,
            content_type: answer.content_type.as_deref(),
            body: &answer.body,
            persistence: answer.persistence,
            omit_body: answer.to_head,
        };
        write::response(&mut wire, &response, &date);
        let at = write::date_at(answer.status);
        prop_assert_eq!(&wire[at..at + 29], &date);

        let asked = if answer.to_head { Asked::Head } else { Asked::Other };
        let has_body = !answer.to_head && !matches!(answer.status.code(), 204 | 205 | 304);
        let (mut conn, mut heads) = (ClientConn::new(), ResponseHeads::new(Limits::default()));
        let mut count = 0;
        for piece in pieces(&wire, &cuts) {
            let mut rest = piece;
            while let ResponseStep::Response { response, used } = conn.next(rest, asked, &mut heads).unwrap() {
                rest = &rest[used..];
                count += 1;
                prop_assert_eq!(response.head.status, answer.status);
                prop_assert_eq!(response.body, if has_body { &answer.body[..] } else { b"" });
                prop_assert_eq!(response.head.keep_alive, answer.persistence != Persistence::Close);
                prop_assert_eq!(response.head.content_type, answer.content_type.as_deref().map(str::as_bytes));
                prop_assert_eq!(response.head.field("date"), Some(&date[..]));
                for (name, value) in &answer.fields {
                    prop_assert!(response.head.fields().any(|field| field == (name.as_bytes(), value.as_bytes())));
                }
            }
        }
        prop_assert_eq!(count, 1);
    }

    #[test]
    fn a_chunked_response_is_read_as_it_was_written(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..6),
        cuts in prop::collection::vec(1usize..40, 1..20),
    ) {
        let mut wire = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for part in &parts {
            write::chunk(&mut wire, part);
        }
        wire.extend_from_slice(write::LAST_CHUNK);
        let (mut conn, mut heads) = (ClientConn::new(), ResponseHeads::new(Limits::default()));
        let mut bodies = Vec::new();
        for piece in pieces(&wire, &cuts) {
            let step = conn.next(piece, Asked::Other, &mut heads).unwrap();
            if let ResponseStep::Response { response, used } = step {
                prop_assert_eq!(used, piece.len());
                bodies.push(response.body.to_vec());
            }
        }
        prop_assert_eq!(bodies, vec![parts.concat()]);
    }

    #[test]
    fn what_would_end_a_line_early_is_left_out(name in ".{0,8}", value in ".{0,8}|a\r\nb: c|a\nb|a\0b") {
        let mut line = Vec::new();
        write::field(&mut line, &name, &value);
        let ends = line.iter().filter(|&&b| b == b'\r' || b == b'\n').count();
        prop_assert!(line.is_empty() || (ends == 2 && line.ends_with(b"\r\n")));
    }

    #[test]
    fn noise_gets_one_verdict_however_it_is_cut(
        bytes in noise(),
        cuts in prop::collection::vec(1usize..12, 1..20),
    ) {
        let whole = server_log(&bytes, &[bytes.len().max(1)], &tight());
        prop_assert_eq!(&server_log(&bytes, &cuts, &tight()), &whole);
        prop_assert_eq!(&server_log(&bytes, &[1], &tight()), &whole);
        let whole = client_log(&bytes, &[bytes.len().max(1)]);
        prop_assert_eq!(&client_log(&bytes, &cuts), &whole);
        prop_assert_eq!(&client_log(&bytes, &[1]), &whole);
    }

    #[test]
    fn damaged_requests_get_one_verdict_however_they_are_cut(
        askings in prop::collection::vec((asking(), prop::sample::select(vec!["", "", "\r\n", "x"])), 1..4),
        damage in prop::collection::vec((any::<prop::sample::Index>(), damage()), 0..3),
        cuts in prop::collection::vec(1usize..40, 1..20),
    ) {
        let mut bytes = Vec::new();
        for (asking, before) in &askings {
            bytes.extend_from_slice(before.as_bytes());
            write_request(&mut bytes, asking);
        }
        for (at, damage) in damage {
            let at = at.index(bytes.len());
            bytes.splice(at..(at + damage.removed).min(bytes.len()), damage.added);
        }
        let whole = server_log(&bytes, &[bytes.len().max(1)], &Limits::default());
        prop_assert_eq!(&server_log(&bytes, &cuts, &Limits::default()), &whole);
        prop_assert_eq!(&server_log(&bytes, &[1], &Limits::default()), &whole);
    }

    #[test]
    fn random_bytes_harm_nobody(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        server_log(&bytes, &[7], &tight());
        client_log(&bytes, &[7]);
        let after_head = [&b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"[..], &bytes].concat();
        prop_assert_eq!(server_log(&after_head, &[after_head.len()], &tight()), server_log(&after_head, &[1], &tight()));
    }
}

/// Small, so that noise meets them.
fn tight() -> Limits {
    Limits {
        head_bytes_max: 120,
        target_bytes_max: 12,
        fields_max: 5,
        body_bytes_max: 40,
        chunk_line_bytes_max: 20,
        chunk_extension_bytes_max: 30,
        trailer_bytes_max: 24,
        trailer_fields_max: 2,
        ..Limits::default()
    }
}

/// Pieces of messages in any order: gets far more often past the first line than random bytes do.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let parts = prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /a HTTP/1.0\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 100 Continue\r\n",
        "Host: a\r\n",
        "host: a,b\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: 50\r\n",
        "X: y\r\n",
        "X: y\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Connection: close\r\n",
        "Expect: 100-continue\r\n",
        "Connection: keep-alive\r\n",
        "\r\n",
        "\r\n\r\n",
        "\r",
        "\n",
        "5\r\nhello\r\n",
        "hello",
        "0\r\n\r\n",
        "0\r\nX: y\r\n\r\n",
        "3;a=\"b\"\r\nabc\r\n",
        "ff\r\n",
        ";a",
        "/",
        " ",
        "%41",
        ":",
        "\0",
        "GET /too/long/a/target HTTP/1.1\r\n",
        "\u{e9}",
    ]);
    prop::collection::vec(parts, 0..14).prop_map(|parts| parts.concat().into_bytes())
}

#[derive(Clone, Debug)]
struct Damage {
    removed: usize,
    added: Vec<u8>,
}

/// The bytes that framing hangs on, put in or left out.
fn damage() -> impl Strategy<Value = Damage> {
    let added = prop::sample::select(vec![
        "", "\r", "\n", "\r\n", " ", ":", ";", "0", "\0", ",", "\r\n\r\n", "%", "f",
    ]);
    (0usize..4, added).prop_map(|(removed, added)| Damage { removed, added: added.as_bytes().to_vec() })
}

/// All that a server's connection makes of the bytes, and what it waits for in the end.
fn server_log(bytes: &[u8], cuts: &[usize], limits: &Limits) -> Vec<String> {
    let mut conn = ServerConn::new();
    let mut heads = Heads::new(*limits);
    let mut log = Vec::new();
    for piece in pieces(bytes, cuts) {
        let mut rest = piece;
        loop {
            match conn.next(rest, &mut heads) {
                Ok(Step::Request { request, used }) => {
                    log.push(format!("{request:?}"));
                    rest = &rest[used..];
                }
                Ok(Step::Expect { used, .. }) => rest = &rest[used..],
                Ok(Step::More) => break,
                Err(refusal) => {
                    log.push(refusal.to_string());
                    assert_eq!(conn.phase(), Phase::Closed);
                }
            }
        }
        let most =
            2 * (limits.head_bytes_max + limits.body_bytes_max as usize + limits.trailer_bytes_max) + 64;
        assert!(conn.kept_bytes() <= most, "{} bytes are kept", conn.kept_bytes());
    }
    log.push(format!("{:?}", conn.phase()));
    log
}

fn client_log(bytes: &[u8], cuts: &[usize]) -> Vec<String> {
    let (mut conn, mut heads) = (ClientConn::new(), ResponseHeads::new(tight()));
    let mut log = Vec::new();
    for piece in pieces(bytes, cuts) {
        let mut rest = piece;
        loop {
            match conn.next(rest, Asked::Other, &mut heads) {
                Ok(ResponseStep::More) => break,
                Ok(ResponseStep::Interim { head, used }) => {
                    log.push(format!("{head:?}"));
                    rest = &rest[used..];
                }
                Ok(ResponseStep::Response { response, used }) => {
                    log.push(format!("{response:?}"));
                    rest = &rest[used..];
                }
                Err(error) => log.push(error.to_string()),
            }
        }
        assert!(conn.kept_bytes() <= 512, "{} bytes are kept", conn.kept_bytes());
    }
    log.push(format!("{:?} {:?}", conn.phase(), conn.end(&heads)));
    log
}

/// `wire` in pieces of these sizes, over and over.
fn pieces<'w>(wire: &'w [u8], cuts: &[usize]) -> Vec<&'w [u8]> {
    let mut rest = wire;
    let mut pieces = Vec::new();
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, behind) = rest.split_at((*cut).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

/// A token, a path, a value: valid, and none of the names that mean something here.
fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = "x-[a-zA-Z0-9!#$%&'*+.^_`|~-]{0,12}";
    prop::collection::vec((name, "([!-~]([ -~]{0,20}[!-~])?)?"), 0..30)
}

fn asking() -> impl Strategy<Value = Asking> {
    let content = prop_oneof![
        Just(Content::None),
        prop::collection::vec(any::<u8>(), 0..400).prop_map(Content::Length),
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..5).prop_map(Content::Chunked),
    ];
    let method = prop_oneof![Just("GET".to_owned()), Just("POST".to_owned()), "X[A-Z!#$%&'*+.^_`|~-]{0,20}"];
    let target = "/([a-zA-Z0-9._~!$&'()*+,;=:@/-]|%[0-9a-fA-F]{2}){0,30}(\\?[a-z=&/?]{0,10})?";
    let host = "[a-z0-9.-]{1,20}(:[1-9][0-9]{0,3})?";
    (method, target, host, fields(), content).prop_map(|(method, target, host, fields, content)| Asking {
        method,
        target,
        host,
        fields,
        content,
    })
}

fn answer() -> impl Strategy<Value = Answer> {
    let codes = [200, 201, 204, 205, 304, 400, 404, 413, 500, 299, 599, 999];
    let status = prop::sample::select(codes.into_iter().filter_map(Status::new).collect::<Vec<_>>());
    let persistence = prop::sample::select(vec![
        Persistence::KeepAlive,
        Persistence::KeepAliveExplicit,
        Persistence::Close,
    ]);
    let body = prop::collection::vec(any::<u8>(), 0..400);
    (status, fields(), prop::option::of("[a-z]{1,9}/[a-z]{1,9}"), body, persistence, any::<bool>()).prop_map(
        |(status, fields, content_type, body, persistence, to_head)| Answer {
            status,
            fields,
            content_type,
            body,
            persistence,
            to_head,
        },
    )
}

fn borrowed(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn write_request(wire: &mut Vec<u8>, asking: &Asking) {
    let parts: Vec<&[u8]>;
    let body = match &asking.content {
        Content::None => BodySpec::None,
        Content::Length(bytes) => BodySpec::Length(bytes),
        Content::Chunked(chunks) => {
            parts = chunks.iter().map(Vec::as_slice).collect();
            BodySpec::Chunked(&parts)
        }
    };
    let fields = borrowed(&asking.fields);
    let (method, target, host) = (&*asking.method, &*asking.target, &*asking.host);
    write::request(wire, &RequestSpec { method, target, host, fields: &fields, body });
}
