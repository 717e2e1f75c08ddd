//! What a response's events promise, event by event.

use net::http1::{
    Asked, ClientError, Ended, Limits, Phase, ResponseEvent, ResponseFraming, ResponseHeads, ResponseStream,
};

/// All that a response can answer.
pub(crate) const ASKED: [Asked; 4] = [Asked::Other, Asked::Head, Asked::Connect, Asked::Upgrade];

const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

#[test]
fn a_switch_of_protocols_leaves_what_follows_to_the_other_protocol() {
    for cut in 0..SWITCHING.len() {
        let (mut stream, mut heads) = (ResponseStream::new(), heads());
        let (front, back) = SWITCHING.split_at(cut);
        assert_eq!(stream.next(front.as_bytes(), Asked::Upgrade, &mut heads), Ok(ResponseEvent::More));
        let input = format!("{back}HTTP/1.1 200 OK\r\n\r\n");
        match stream.next(input.as_bytes(), Asked::Upgrade, &mut heads) {
            Ok(ResponseEvent::Switched { head, raw, used }) => {
                assert_eq!((head.status.code(), head.keep_alive), (101, false));
                assert_eq!(head.field("upgrade"), Some(&b"websocket"[..]));
                assert_eq!((raw, used), (SWITCHING.as_bytes(), back.len()));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(stream.phase(), Phase::Closed);
        assert_eq!(read(&mut stream, Asked::Upgrade, "HTTP/1.1 200 OK\r\n\r\n"), "");
        assert_eq!((stream.kept_bytes(), stream.end()), (0, Ok(Ended::Idle)));
    }
}

#[test]
fn a_switch_is_an_answer_to_who_asked_for_one_alone() {
    for asked in ASKED {
        let is_valid = read(&mut ResponseStream::new(), asked, SWITCHING) == "switched 101 ";
        assert_eq!(is_valid, asked == Asked::Upgrade, "{asked:?}");
    }
}

/// The lane's memory of heads must not make one of the other.
#[test]
fn a_switch_that_is_remembered_is_none_for_others() {
    let mut heads = heads();
    for asked in [ASKED, ASKED].concat() {
        let mut stream = ResponseStream::new();
        let event = stream.next(SWITCHING.as_bytes(), asked, &mut heads);
        assert_eq!(matches!(event, Ok(ResponseEvent::Switched { .. })), asked == Asked::Upgrade);
        assert_eq!(event.is_err(), asked != Asked::Upgrade);
    }
}

#[test]
fn who_asked_for_an_upgrade_may_get_any_other_response() {
    let refused = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno";
    let mut stream = ResponseStream::new();
    assert_eq!(read(&mut stream, Asked::Upgrade, refused), "interim 103 head 200 content no end ");
    assert_eq!(stream.phase(), Phase::Idle);
}

#[test]
fn a_tunnel_begins_behind_the_answer_to_connect() {
    let accepted = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\x16";
    let mut stream = ResponseStream::new();
    assert_eq!(read(&mut stream, Asked::Connect, accepted), "switched 200 ");
    let refused = "HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno";
    assert_eq!(read(&mut ResponseStream::new(), Asked::Connect, refused), "head 407 content no end ");
}

#[test]
fn interim_heads_have_no_end_and_close_nothing() {
    let wire = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n";
    for cut in 0..wire.len() {
        let mut stream = ResponseStream::new();
        let front = read(&mut stream, Asked::Other, &wire[..cut]);
        let back = read(&mut stream, Asked::Other, &wire[cut..]);
        assert_eq!(front + &back, "interim 100 interim 103 ");
        assert_eq!((stream.phase(), stream.kept_bytes()), (Phase::Idle, 0));
        assert_eq!(read(&mut stream, Asked::Other, "HTTP/1.1 204 No Content\r\n\r\n"), "head 204 end ");
    }
}

/// RFC 9112, 6.3 (1): a relay passes the length on, and no body with it.
#[test]
fn what_has_no_body_keeps_the_length_it_tells() {
    for (asked, status, fields) in [
        (Asked::Head, "200 OK", "Content-Length: 5\r\n"),
        (Asked::Head, "404 Not Found", "Content-Length: 5\r\n"),
        (Asked::Head, "200 OK", "Content-Length: 5\r\nContent-Length: 5\r\n"),
        (Asked::Other, "304 Not Modified", "Content-Length: 5\r\n"),
        (Asked::Upgrade, "304 Not Modified", "content-length: 5\r\n"),
    ] {
        let wire = format!("HTTP/1.1 {status}\r\n{fields}\r\n");
        let (mut stream, mut heads) = (ResponseStream::new(), heads());
        match stream.next(wire.as_bytes(), asked, &mut heads) {
            Ok(ResponseEvent::Head { head, used, .. }) => {
                assert_eq!(head.framing, ResponseFraming::None);
                assert_eq!(head.field("Content-Length"), Some(&b"5"[..]));
                assert_eq!((head.keep_alive, used), (true, wire.len()));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(read(&mut stream, asked, ""), "end ");
        assert_eq!(stream.phase(), Phase::Idle);
    }
}

#[test]
fn the_end_of_the_connection_ends_a_body_without_a_length() {
    let head = "HTTP/1.1 200 OK\r\nX: y\r\n\r\n";
    for cut in 0..head.len() {
        let mut stream = ResponseStream::new();
        read(&mut stream, Asked::Other, &head[..cut]);
        assert_eq!(read(&mut stream, Asked::Other, &head[cut..]), "head 200 ");
        assert_eq!(read(&mut stream, Asked::Other, "hello"), "content hello ");
        assert_eq!((stream.phase(), stream.kept_bytes()), (Phase::Body, 0));
        assert_eq!(stream.end(), Ok(Ended::Complete));
        assert_eq!((stream.phase(), stream.end()), (Phase::Closed, Ok(Ended::Idle)));
        assert_eq!(read(&mut stream, Asked::Other, head), "");
    }
    // Also if its head is still lent, and if nothing came of the body.
    let (mut stream, mut heads) = (ResponseStream::new(), heads());
    read(&mut stream, Asked::Other, "HTTP");
    let head = stream.next(b"/1.0 200 OK\r\n\r\n", Asked::Other, &mut heads);
    assert!(matches!(head, Ok(ResponseEvent::Head { .. })));
    assert_eq!((stream.end(), stream.kept_bytes()), (Ok(Ended::Complete), 0));
}

#[test]
fn the_end_of_the_connection_cuts_any_other_message_short() {
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: y\r\n\r\n";
    let end = |wire: &str| {
        let mut stream = ResponseStream::new();
        read(&mut stream, Asked::Other, wire);
        let ended = stream.end();
        assert_eq!((stream.phase(), stream.kept_bytes()), (Phase::Closed, 0));
        ended
    };
    for wire in [&format!("{length}hi"), chunked] {
        assert_eq!((end(""), end(wire)), (Ok(Ended::Idle), Ok(Ended::Idle)));
        for cut in 1..wire.len() {
            assert!(matches!(end(&wire[..cut]), Err(ClientError::CutShort(_))), "{:?}", &wire[..cut]);
        }
    }
    assert_eq!(end("HTTP/1.1 100 Continue\r\n\r\n"), Ok(Ended::Idle));
}

#[test]
fn a_response_that_needs_no_more_is_complete_when_the_server_closes() {
    let (mut stream, mut heads) = (ResponseStream::new(), heads());
    let head = stream.next(b"HTTP/1.1 204 No Content\r\n\r\n", Asked::Other, &mut heads);
    assert!(matches!(head, Ok(ResponseEvent::Head { .. })));
    assert_eq!(stream.end(), Ok(Ended::Complete));
}

#[test]
fn trailers_come_with_the_end_of_a_response_too() {
    let wire = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: y\r\n\r\n";
    let mut stream = ResponseStream::new();
    assert_eq!(read(&mut stream, Asked::Other, wire), "head 200 content hi end X: y\r\n");
    stream.release();
    assert_eq!((stream.kept_bytes(), stream.phase()), (0, Phase::Idle));
    let mut stream = ResponseStream::new();
    let wire = wire.replace("X:", "Trailer:");
    assert_eq!(read(&mut stream, Asked::Other, &wire), "head 200 content hi error ");
    assert_eq!(stream.phase(), Phase::Closed);
}

#[test]
fn nothing_is_read_behind_the_last_response_or_a_close() {
    let last = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let mut stream = ResponseStream::new();
    assert_eq!(read(&mut stream, Asked::Other, &last.repeat(2)), "head 200 end ");
    assert_eq!(stream.phase(), Phase::Closed);
    let mut stream = ResponseStream::new();
    read(&mut stream, Asked::Other, "HTTP/1.1 2");
    stream.close();
    assert_eq!((stream.phase(), stream.kept_bytes()), (Phase::Closed, 0));
    assert_eq!(read(&mut stream, Asked::Other, last), "");
}

fn heads() -> ResponseHeads {
    ResponseHeads::new(Limits::default())
}

/// The events that come of the input, as text, each with a space behind.
fn read(stream: &mut ResponseStream, asked: Asked, input: &str) -> String {
    let (mut heads, mut rest, mut events) = (heads(), input.as_bytes(), String::new());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    loop {
        let (event, used) = match stream.next(rest, asked, &mut heads) {
            Ok(ResponseEvent::Interim { head, used, .. }) => {
                (format!("interim {}", head.status.code()), used)
            }
            Ok(ResponseEvent::Head { head, used, .. }) => (format!("head {}", head.status.code()), used),
            Ok(ResponseEvent::Content { bytes, used }) => (format!("content {}", text(bytes)), used),
            Ok(ResponseEvent::End { trailers, used }) => (format!("end {}", text(trailers.raw())), used),
            Ok(ResponseEvent::Switched { head, used, .. }) => {
                (format!("switched {}", head.status.code()), used)
            }
            Ok(ResponseEvent::More) => return events,
            Err(_) => ("error".to_owned(), 0),
        };
        events += event.trim_end_matches(' ');
        events += if event.ends_with("\r\n") { "" } else { " " };
        rest = &rest[used..];
    }
}
