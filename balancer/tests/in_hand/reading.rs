//! Whom a lane reads, and when it stops: what it keeps for one connection is bounded, and who was not read is read again.

use super::{ECONNREFUSED, GET, Held, POST, SWITCHED, UPGRADE, hold_with};
use net::engine::Close;

const LIMIT: usize = 4096;

fn response(length: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: {length}\r\n\r\n");
    [head.into_bytes(), vec![b'd'; length]].concat()
}

/// Who asks on and on and takes no answer keeps no more than the limit in the lane, and one answer.
#[test]
fn a_client_that_does_not_take_its_answers_is_not_asked_for_more() {
    let mut held = hold_with(LIMIT, 1, |_| {});
    let front = held.hand.open();
    held.say(front, &GET.repeat(6));
    let back = held.connect();
    let served = |held: &mut Held| {
        let mut served = 0;
        let mut asked = held.hand.output(back);
        while !asked.is_empty() {
            asked.clear();
            held.hand.feed(back, &response(3000), &mut asked);
            served += 1;
        }
        served
    };
    assert_eq!(served(&mut held), 2, "its output is over the limit with the second answer");
    // What is sent meanwhile waits behind what was there, and when that is much, the client is read no more.
    held.hand.feed(front, &GET.repeat(2), &mut Vec::new());
    assert_eq!(served(&mut held), 2, "it took some: it is served again");
    let mut answers = 4;
    while !held.hand.output(front).is_empty() {
        answers += served(&mut held);
    }
    assert_eq!(answers, 8);
    assert!(held.hand.wants_bytes(front));
}

/// The same for answers that are ours: these cost no server anything, but memory.
#[test]
fn our_own_answers_do_not_pile_up() {
    let mut held = hold_with(LIMIT, 1, |_| {});
    let front = held.hand.open();
    let asks = b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
    let mut told = String::new();
    let mut out = Vec::new();
    held.hand.feed(front, &asks, &mut out);
    while !out.is_empty() {
        assert!(out.len() < 2 * LIMIT, "{} bytes at once", out.len());
        told += &String::from_utf8_lossy(&out);
        out = held.hand.output(front);
    }
    assert_eq!(told.matches("HTTP/1.1 405 ").count(), 100);
    // Many more than are held: the client is not read until they are answered.
    let mut asked = 0;
    while held.hand.wants_bytes(front) {
        held.hand.feed(front, &asks, &mut Vec::new());
        asked += 1;
        assert!(asked < 100, "it is read for ever");
    }
    while !held.hand.output(front).is_empty() {}
    assert!(held.hand.wants_bytes(front), "it is read again");
}

/// A request that is longer than what is kept for another try, and whole before there is a connection: the client is not read then.
#[test]
fn a_client_that_was_not_read_while_its_server_was_connected_to_is_read_again() {
    let mut held = hold_with(usize::MAX, 1, |_| {});
    let front = held.hand.open();
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n".to_vec();
    held.say(front, &[head, vec![b'u'; 70_000]].concat());
    assert!(!held.hand.wants_bytes(front));
    let back = held.connect();
    assert!(held.hand.wants_bytes(front), "its end would not be seen");
    assert!(held.hand.output(back).len() > 70_000);
    held.hand.feed(back, &response(2), &mut Vec::new());
    assert!(held.heard(front).ends_with("dd"));
    held.say(front, POST);
    assert!(held.hand.output(back).ends_with(b"hi"));
}

/// A limit for requests is none for responses.
#[test]
fn a_response_may_be_longer_than_a_request() {
    let mut held = hold_with(usize::MAX, 1, |config| config.front.body_bytes_max = 100);
    let front = held.hand.open();
    held.say(front, GET);
    let back = held.connect();
    assert!(!held.heard(back).is_empty());
    held.hand.feed(back, &response(101), &mut Vec::new());
    assert!(held.heard(front).ends_with(&"d".repeat(101)));
    let told = held.say(front, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n");
    assert!(told.starts_with("HTTP/1.1 413 "), "{told}");
    assert_eq!(held.hand.closing(front), Some(Close::AfterFlush));
}

/// The same where the server never came: our own answer ends the request.
#[test]
fn a_client_that_was_not_read_is_read_again_behind_our_own_answer() {
    let mut held = hold_with(usize::MAX, 1, |_| {});
    let front = held.hand.open();
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n".to_vec();
    held.say(front, &[head, vec![b'u'; 70_000]].concat());
    assert!(!held.hand.wants_bytes(front));
    let back = held.hand.connects()[0].0;
    held.hand.connect_failed(back, ECONNREFUSED);
    assert!(held.heard(front).starts_with("HTTP/1.1 502 "));
    assert_eq!(held.hand.closing(front), None);
    held.say(front, POST);
    assert_eq!(held.hand.connects().len(), 1);
}

/// Who has asked for two things and then ends its side waits for both.
#[test]
fn what_was_asked_before_the_client_s_end_is_answered() {
    let mut held = hold_with(usize::MAX, 1, |_| {});
    let front = held.hand.open();
    held.say(front, &GET.repeat(2));
    let back = held.connect();
    assert!(!held.heard(back).is_empty());
    held.hand.eof(front, &mut Vec::new());
    let mut next = Vec::new();
    held.hand.feed(back, &response(2), &mut next);
    assert!(next.starts_with(b"GET "), "the second one goes out");
    assert!(!held.heard(front).contains("close"));
    held.hand.feed(back, &response(2), &mut Vec::new());
    assert!(held.heard(front).to_lowercase().contains("connection: close\r\n"));
    assert_eq!(held.hand.closing(front), Some(Close::AfterFlush));
}

/// What is asked behind a request under way is bounded too, and nothing of it is lost.
#[test]
fn a_client_that_asks_on_and_on_before_its_answer_is_read_no_further_for_a_while() {
    let mut held = hold_with(usize::MAX, 1, |_| {});
    let front = held.hand.open();
    let mut asked = 0;
    while held.hand.wants_bytes(front) {
        held.say(front, &GET.repeat(20));
        asked += 20;
        assert!(asked < 5000, "it is read for ever");
    }
    let back = held.connect();
    let mut answered = 0;
    let mut next = held.hand.output(back);
    while !next.is_empty() {
        next.clear();
        held.hand.feed(back, &response(2), &mut next);
        answered += 1;
    }
    assert_eq!(answered, asked);
    assert!(held.hand.wants_bytes(front));
}

/// Through a tunnel as well, who takes nothing keeps the other side from sending.
#[test]
fn in_a_tunnel_nobody_is_read_further_than_the_other_side_takes() {
    let mut held = hold_with(LIMIT, 1, |_| {});
    let front = held.hand.open();
    held.say(front, UPGRADE);
    let back = held.connect();
    assert!(!held.heard(back).is_empty());
    held.hand.feed(back, SWITCHED, &mut Vec::new());
    assert!(held.heard(front).starts_with("HTTP/1.1 101 "));
    for (from, to) in [(front, back), (back, front)] {
        held.hand.feed(from, &[b'x'; LIMIT + 1], &mut Vec::new());
        assert!(!held.hand.wants_bytes(from));
        assert!(held.hand.wants_bytes(to), "the other way is free");
        assert_eq!(held.hand.output(to).len(), LIMIT + 1);
        assert!(held.hand.wants_bytes(from));
    }
}
