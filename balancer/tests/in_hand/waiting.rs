//! Whom a request waits for, and for how long: each wait has its own limit, whatever comes meanwhile.

use super::{GET, Held, OK, hold_with};
use balancer::config::{HostRule, Pool, Route, Server};
use balancer::fleet::Fault;
use net::engine::Close;
use std::time::Duration;

const EXPECTS: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n";

impl Held {
    pub(super) fn faults(&self) -> Vec<Fault> {
        let faults = &self.fleet.lanes[0].faults;
        Fault::ALL.iter().copied().filter(|&fault| faults[fault as usize].get() > 0).collect()
    }
}

/// The end of a body that arrives in the queue ends the wait for it, and not the one for a place.
#[test]
fn who_is_complete_while_it_waits_for_a_place_waits_no_longer_than_it_may() {
    let mut held = hold_with(usize::MAX, 1, |config| config.pools[0].servers[0].maxconn = Some(1));
    let (first, second) = (held.hand.open(), held.hand.open());
    held.say(first, GET);
    let back = held.connect();
    held.say(second, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nha");
    held.say(second, b"lf");
    held.wait(6, back);
    assert!(held.heard(second).starts_with("HTTP/1.1 503 "));
    assert_eq!(held.faults(), [Fault::QueueTimeout]);
    // Its answer is out: a place that is free now is nothing to it.
    assert_eq!(held.fleet.lanes[0].queued.get(), 0);
    held.heard(back);
    held.hand.feed(back, OK, &mut Vec::new());
    assert_eq!((held.heard(back).as_str(), held.hand.connects().len()), ("", 0));
    assert_eq!(held.fleet.pools[0].loads[0].in_flight(), 0);
}

/// The limit of one request is none of the next one's, which may go to a pool that has none.
#[test]
fn the_limit_of_a_whole_request_ends_with_it() {
    let mut held = hold_with(usize::MAX, 1, |config| {
        config.pools[0].timeouts.total = Some(Duration::from_secs(10));
        let slow = "10.0.2.1:80".parse().unwrap();
        config.pools.push(Pool::of("slow", vec![Server::at(slow)]));
        let route = Route { listener: None, host: HostRule::Any, path_prefix: "/slow".to_owned(), pool: 1 };
        config.routes.push(route);
    });
    let front = held.hand.open();
    held.say(front, GET);
    let back = held.connect();
    held.heard(back);
    held.hand.feed(back, OK, &mut Vec::new());
    assert_eq!(held.heard(front).as_bytes(), OK);
    held.say(front, b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    let slow = held.connect();
    held.heard(slow);
    held.wait(20, slow);
    held.hand.feed(slow, OK, &mut Vec::new());
    assert_eq!(held.heard(front).as_bytes(), OK);
}

/// A server that was asked whether to go on has its time to say so; what the client then takes is the client's.
#[test]
fn an_upload_that_was_waved_on_may_take_its_time() {
    for waved_on in [true, false] {
        let mut held = hold_with(usize::MAX, 1, |_| {});
        let front = held.hand.open();
        held.say(front, EXPECTS);
        let back = held.connect();
        assert!(!held.heard(back).is_empty());
        if waved_on {
            held.wait(20, back);
            held.hand.feed(back, b"HTTP/1.1 100 Continue\r\n\r\n", &mut Vec::new());
            assert!(held.heard(front).starts_with("HTTP/1.1 100 "));
        }
        for _ in 0..10 {
            held.wait(20, back);
            held.say(front, &[b'u'; 10]);
            assert_eq!(held.heard(back), "u".repeat(10));
        }
        held.hand.feed(back, OK, &mut Vec::new());
        assert_eq!(held.heard(front).as_bytes(), OK);
        assert_eq!(held.faults(), []);
    }
}

#[test]
fn a_server_that_does_not_say_whether_to_go_on_has_no_longer_than_for_a_response() {
    let mut held = hold_with(usize::MAX, 1, |_| {});
    let front = held.hand.open();
    held.say(front, EXPECTS);
    let back = held.connect();
    assert!(!held.heard(back).is_empty());
    held.wait(32, back);
    assert!(held.heard(front).starts_with("HTTP/1.1 504 "));
    assert_eq!(held.hand.closing(back), Some(Close::Reset));
}

/// And a client that was told to go on and does not is the one that is waited for.
#[test]
fn who_was_waved_on_and_does_not_go_on_is_told_so() {
    let mut held = hold_with(usize::MAX, 1, |_| {});
    let front = held.hand.open();
    held.say(front, EXPECTS);
    let back = held.connect();
    assert!(!held.heard(back).is_empty());
    held.wait(20, back);
    held.hand.feed(back, b"HTTP/1.1 100 Continue\r\n\r\n", &mut Vec::new());
    assert!(held.heard(front).starts_with("HTTP/1.1 100 "));
    held.wait(28, back);
    assert_eq!(held.heard(front), "", "its time began when it was told");
    held.wait(5, back);
    assert!(held.heard(front).starts_with("HTTP/1.1 408 "));
    assert_eq!(held.faults(), [Fault::RequestTimeout]);
    assert_eq!(held.fleet.pools[0].servers[0].lanes[0].timeouts.get(), 0, "the server did nothing wrong");
}

/// A server that has begun its response has all of its time for the rest of it from when it has all of the request.
#[test]
fn the_rest_of_a_response_is_awaited_from_the_end_of_the_request_on() {
    let mut held = hold_with(usize::MAX, 1, |_| {});
    let front = held.hand.open();
    held.say(front, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nha");
    let back = held.connect();
    assert!(held.heard(back).ends_with("ha"));
    held.hand.feed(back, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha", &mut Vec::new());
    held.wait(29, back);
    assert!(held.heard(front).ends_with("ha"));
    held.hand.feed(front, b"lf", &mut Vec::new());
    held.wait(20, back);
    held.hand.feed(back, b"lf", &mut Vec::new());
    assert_eq!(held.heard(front), "lf");
    assert_eq!(held.faults(), []);
}

/// A place that is free is for who waits, and not for who comes just then.
#[test]
fn who_comes_waits_behind_those_who_wait_already() {
    let mut held = hold_with(usize::MAX, 1, |config| config.pools[0].servers[0].maxconn = Some(1));
    let [first, second, third] = [(); 3].map(|()| held.hand.open());
    held.say(first, GET);
    let back = held.connect();
    assert!(!held.heard(back).is_empty());
    held.say(second, b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n");
    held.fleet.pools[0].loads[0].set_limit(2);
    held.say(third, GET);
    let back = held.connect();
    assert!(held.heard(back).starts_with("GET /second "));
}
