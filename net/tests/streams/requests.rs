//! What a request's events promise, event by event.

use net::http1::body::{Body, Piece};
use net::http1::{
    Framing, Heads, Limits, Method, Phase, Reason, Refusal, RequestEvent, RequestStream, write,
};
use proptest::prelude::*;

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn a_request_without_a_body_is_a_head_and_an_end() {
    for framing in ["", "Content-Length: 0\r\n"] {
        let wire = format!("GET / HTTP/1.1\r\nHost: a\r\n{framing}\r\n");
        let mut reader = Reader::new();
        assert_eq!(reader.read(&wire), [Event::Head(wire.clone()), Event::end("")]);
        assert_eq!((reader.stream.phase(), reader.stream.kept_bytes()), (Phase::Idle, 0));
    }
}

#[test]
fn content_is_handed_out_as_it_arrives_and_never_kept() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
    let mut reader = Reader::new();
    assert_eq!(reader.read(head), [Event::Head(head.into())]);
    assert_eq!((reader.read(""), reader.stream.phase()), (vec![], Phase::Body));
    assert_eq!(reader.read("he"), [Event::content("he")]);
    assert_eq!(reader.stream.kept_bytes(), 0);
    assert_eq!(reader.read("lloGET"), [Event::content("llo"), Event::end("")]);
    assert_eq!(reader.stream.phase(), Phase::Head);
}

#[test]
fn each_chunk_comes_without_its_framing() {
    let mut reader = Reader::new();
    let events = reader.read(&format!("{CHUNKED}5;a=b\r\nhello\r\n1\r\n \r\n3\r\nyou\r\n0\r\n\r\n"));
    let content = ["hello", " ", "you"].map(Event::content);
    assert_eq!(events, [&[Event::Head(CHUNKED.into())], &content[..], &[Event::end("")]].concat());
}

#[test]
fn a_head_that_was_cut_is_lent_whole_and_then_freed() {
    let head = "POST /a?b HTTP/1.1\r\nHost: a\r\nX: y\r\nContent-Length: 2\r\n\r\n";
    for cut in 1..head.len() {
        let mut reader = Reader::new();
        assert_eq!(reader.read(&format!("\r\n{}", &head[..cut])), []);
        assert_eq!(reader.stream.phase(), Phase::Head);
        let input = format!("{}hi", &head[cut..]);
        match reader.stream.next(input.as_bytes(), &mut reader.heads) {
            Ok(RequestEvent::Head { head: parsed, raw, used }) => {
                assert_eq!((parsed.target.path(), parsed.field("x")), ("/a", Some(&b"y"[..])));
                assert_eq!((raw, used), (head.as_bytes(), head.len() - cut));
            }
            other => panic!("{other:?}"),
        }
        assert_ne!(reader.stream.kept_bytes(), 0);
        reader.stream.release();
        assert_eq!((reader.stream.kept_bytes(), reader.stream.phase()), (0, Phase::Body));
        assert_eq!(reader.read("hi"), [Event::content("hi"), Event::end("")]);
    }
}

#[test]
fn trailers_come_with_the_end_and_are_freed_behind_it() {
    let trailers = "Digest: abc\r\nX-Sum:1 \r\n";
    let tail = format!("0;z\r\n{trailers}\r\n");
    for cut in 0..tail.len() {
        let mut reader = Reader::new();
        reader.read(&format!("{CHUNKED}2\r\nhi\r\n"));
        assert_eq!(reader.read(&tail[..cut]), []);
        assert_eq!(reader.read(&tail[cut..]), [Event::end(trailers)]);
        assert_eq!((reader.stream.kept_bytes(), reader.stream.phase()), (0, Phase::Idle));
        assert_eq!(reader.read(&format!("{CHUNKED}0\r\n\r\n"))[1..], [Event::end("")]);
    }
}

#[test]
fn a_trailer_that_frames_or_routes_or_is_over_a_bound_is_refused() {
    let names = ["Content-Length", "transfer-encoding", "HOST", "Connection"];
    for name in names.into_iter().chain(["Expect", "TE", "Trailer", "Content-Type"]) {
        assert_eq!(refusal(&format!("{CHUNKED}0\r\nX: y\r\n{name}: z\r\n\r\n")).reason(), Reason::Trailer);
    }
    let limits = Limits { trailer_bytes_max: 10, trailer_fields_max: 2, ..Limits::default() };
    let mut reader = Reader { heads: Heads::new(limits), ..Reader::new() };
    assert_eq!(reader.read(&format!("{CHUNKED}0\r\na:\r\nb:\r\n\r\n"))[1..], [Event::end("a:\r\nb:\r\n")]);
    for tail in ["a:\r\nb:\r\nc:\r\n", "a: 12345\r\n\r\n", "a: 12345678"] {
        reader.stream = RequestStream::new();
        match reader.read(&format!("{CHUNKED}0\r\n{tail}"))[..] {
            [Event::Head(_), Event::Refusal(refusal)] => assert_eq!(refusal.reason(), Reason::HeadTooLarge),
            ref other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_refusal_may_come_behind_a_head_and_content_and_ends_the_reading() {
    let mut reader = Reader::new();
    let events = reader.read(&format!("{CHUNKED}2\r\nhiX"));
    assert_eq!(events[1], Event::content("hi"));
    assert!(matches!(events[2], Event::Refusal(refusal) if refusal.reason() == Reason::Chunk));
    assert_eq!((reader.read("\r\n0\r\n\r\n"), reader.stream.phase()), (vec![], Phase::Closed));
}

#[test]
fn nothing_is_read_behind_the_last_request_or_a_close() {
    let last = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let mut reader = Reader::new();
    assert_eq!(reader.read(&last.repeat(2)), [Event::Head(last.into()), Event::end("")]);
    assert_eq!(reader.stream.phase(), Phase::Closed);
    reader.stream = RequestStream::new();
    reader.read("GET / HTT");
    reader.stream.close();
    assert_eq!((reader.stream.phase(), reader.stream.kept_bytes()), (Phase::Closed, 0));
    assert_eq!(reader.read(last), []);
}

#[test]
fn an_expectation_is_told_with_the_head_and_nothing_waits_for_it() {
    let head = "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    let mut reader = Reader::new();
    match reader.stream.next(head.as_bytes(), &mut reader.heads) {
        Ok(RequestEvent::Head { head, .. }) => assert!(head.expects_continue),
        other => panic!("{other:?}"),
    }
    assert_eq!(reader.read("hi"), [Event::content("hi"), Event::end("")]);
}

#[test]
fn the_answer_to_a_refused_head_has_no_content() {
    let asks_head = |wire: &str, cut: usize| {
        let mut reader = Reader::new();
        reader.read(&wire[..cut]);
        reader.read(&wire[cut..]);
        reader.stream.asks_head()
    };
    let get = "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";
    let head = get.replace("GET", "HEAD");
    let bad_body = "Transfer-Encoding: chunked\r\n\r\nx";
    for (wire, expected) in [
        ("HEAD / HTTP/1.1\r\n\r\n".to_owned(), true),
        ("HEAD / HT".to_owned(), true),
        (format!("HEAD / HTTP/1.1\r\nHost: a\r\n{bad_body}"), true),
        (format!("{get}{head}HEAD / HTTP/1.1\r\nHost: a b\r\n\r\n"), true),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), false),
        (format!("{head}GET / HTTP/1.1\r\n\r\n"), false),
        (format!("{head}GET / HT"), false),
        (format!("{head}POST / HTTP/1.1\r\nHost: a\r\n{bad_body}"), false),
        (head.replace("keep-alive", "close"), false),
        (head, false),
    ] {
        // From the fifth byte on, "HEAD " is there to be known by.
        for cut in (5..wire.len()).chain([0]) {
            assert_eq!(asks_head(&wire, cut), expected, "{wire:?}, cut at {cut}");
        }
    }
}

#[test]
fn a_body_without_a_bound_is_counted_and_never_wraps_around() {
    let limits = Limits { body_bytes_max: u64::MAX, ..Limits::default() };
    let mut reader = Reader { heads: Heads::new(limits), ..Reader::new() };
    let length = |n: u64| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {n}\r\n\r\n");
    match reader.stream.next(length(u64::MAX).as_bytes(), &mut reader.heads) {
        Ok(RequestEvent::Head { head, .. }) => assert_eq!(head.framing, Framing::Length(u64::MAX)),
        other => panic!("{other:?}"),
    }
    let piece = "x".repeat(100_000);
    for _ in 0..100 {
        assert_eq!(reader.read(&piece), [Event::content(&piece)]);
        assert_eq!(reader.stream.kept_bytes(), 0);
    }
    reader.stream = RequestStream::new();
    let events = reader.read(&format!("{CHUNKED}ffffffffffffffff\r\nhi"));
    assert_eq!(events[1..], [Event::content("hi")]);
    reader.stream = RequestStream::new();
    let events = reader.read(&format!("{CHUNKED}1\r\nx\r\nffffffffffffffff\r\nhi"));
    assert_eq!(events[1], Event::content("x"));
    assert!(matches!(events[2], Event::Refusal(refusal) if refusal.reason() == Reason::BodyTooLarge));
    let mut body = Body::UntilClose(u64::MAX - 2);
    let next = |body: &mut Body| body.next(b"hi", &mut Vec::new(), &limits);
    assert_eq!(next(&mut body), Ok(Piece::Content { bytes: b"hi", used: 2 }));
    assert_eq!(next(&mut body).map_err(|refusal| refusal.reason()), Err(Reason::BodyTooLarge));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A relay: what comes in chunks goes out in chunks, and reads the same again.
    #[test]
    fn chunks_and_trailers_are_written_as_they_were_read(
        parts in prop::collection::vec("[a-z\r\n]{1,40}", 0..6),
        trailers in prop::collection::vec("x-[a-z]{1,9}: ?[ -~]{0,20}\r\n", 0..4),
        size in 1usize..60,
    ) {
        let mut wire = CHUNKED.as_bytes().to_vec();
        for part in &parts {
            write::chunk(&mut wire, part.as_bytes());
        }
        wire.extend_from_slice(format!("0\r\n{}\r\n", trailers.concat()).as_bytes());
        let (mut stream, mut heads, mut out) = (RequestStream::new(), Heads::new(Limits::default()), Vec::new());
        for mut rest in wire.chunks(size) {
            loop {
                rest = match stream.next(rest, &mut heads).unwrap() {
                    RequestEvent::Head { raw, used, .. } => {
                        out.extend_from_slice(raw);
                        &rest[used..]
                    }
                    RequestEvent::Content { bytes, used } => {
                        write::chunk(&mut out, bytes);
                        &rest[used..]
                    }
                    RequestEvent::End { trailers, used } => {
                        write::last_chunk(&mut out, trailers);
                        &rest[used..]
                    }
                    RequestEvent::More => break,
                };
            }
        }
        let mut reader = Reader::new();
        let events = reader.read(str::from_utf8(&out).unwrap());
        let content = events.iter().filter_map(|event| match event {
            Event::Content(bytes) => Some(&bytes[..]),
            _ => None,
        });
        prop_assert_eq!(content.collect::<String>(), parts.concat());
        prop_assert_eq!(&events[0], &Event::Head(CHUNKED.into()));
        prop_assert_eq!(events.last().unwrap(), &Event::end(&trailers.concat()));
        if size > wire.len() {
            prop_assert_eq!(out, wire);
        }
    }
}

/// An event without what it borrows.
#[derive(Clone, Debug, PartialEq)]
enum Event {
    Head(String),
    Content(String),
    End(String),
    Refusal(Refusal),
}

impl Event {
    fn content(bytes: &str) -> Event {
        Event::Content(bytes.to_owned())
    }

    fn end(trailers: &str) -> Event {
        Event::End(trailers.to_owned())
    }
}

struct Reader {
    stream: RequestStream,
    heads: Heads,
}

impl Reader {
    fn new() -> Reader {
        Reader { stream: RequestStream::new(), heads: Heads::new(Limits::default()) }
    }

    fn read(&mut self, input: &str) -> Vec<Event> {
        let mut rest = input.as_bytes();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut events = Vec::new();
        loop {
            match self.stream.next(rest, &mut self.heads) {
                Ok(RequestEvent::Head { head, raw, used }) => {
                    assert_eq!(raw.starts_with(b"HEAD"), head.method == Method::Head);
                    events.push(Event::Head(text(raw)));
                    rest = &rest[used..];
                }
                Ok(RequestEvent::Content { bytes, used }) => {
                    events.push(Event::Content(text(bytes)));
                    rest = &rest[used..];
                }
                Ok(RequestEvent::End { trailers, used }) => {
                    assert_eq!(trailers.is_empty(), trailers.into_iter().next().is_none());
                    events.push(Event::End(text(trailers.raw())));
                    rest = &rest[used..];
                }
                Ok(RequestEvent::More) => return events,
                Err(refusal) => events.push(Event::Refusal(refusal)),
            }
        }
    }
}

fn refusal(wire: &str) -> Refusal {
    match Reader::new().read(wire).last() {
        Some(Event::Refusal(refusal)) => *refusal,
        other => panic!("{other:?}"),
    }
}
