//! What is counted, and what is given back: as often as it was taken, and to whom it was taken from.

use super::{ECONNREFUSED, EMFILE, GET, OK, hold_with};
use balancer::config::Balance;
use balancer::fleet::{Fault, Outcome};
use balancer::proxy::Mail;
use net::engine::End;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The pool is taken out of the configuration and comes back while a retry is under way: it is another one's budget then.
#[test]
fn a_retry_is_given_back_to_the_budget_that_it_was_taken_from() {
    let mut held = hold_with(usize::MAX, 2, |_| {});
    let front = held.hand.open();
    held.say(front, GET);
    let back = held.connect();
    assert!(!held.heard(back).is_empty());
    held.hand.end(back, End::Reset);
    let budget = held.fleet.pools[0].retries.clone();
    assert_eq!(budget.load(Relaxed), 1);
    let mut config = (*held.fleet.config).clone();
    config.pools[0].name = "other".to_owned();
    let without = held.fleet.next(config);
    let again = without.next((*held.fleet.config).clone());
    let budget_now = again.pools[0].retries.clone();
    for fleet in [without, again] {
        held.hand.mail(Mail::Fleet(Arc::new(fleet)), front, &mut Vec::new());
    }
    let back = held.connect();
    assert!(!held.heard(back).is_empty());
    held.hand.feed(back, OK, &mut Vec::new());
    assert_eq!(held.heard(front).as_bytes(), OK);
    assert_eq!(budget.load(Relaxed), 0);
    assert_eq!(budget_now.load(Relaxed), 0);
}

#[test]
fn a_retry_for_which_there_is_no_server_was_none() {
    let mut held = hold_with(usize::MAX, 1, |_| {});
    let front = held.hand.open();
    held.say(front, GET);
    let back = held.hand.connects()[0].0;
    held.hand.connect_failed(back, ECONNREFUSED);
    assert!(held.heard(front).starts_with("HTTP/1.1 502 "));
    let lane = &held.fleet.lanes[0];
    assert_eq!(lane.retries.get(), 0);
    assert_eq!(held.fleet.pools[0].servers[0].lanes[0].retried.get(), 0);
}

#[test]
fn what_was_sent_of_a_request_that_is_refused_in_its_middle_is_counted() {
    let mut held = hold_with(usize::MAX, 1, |_| {});
    let front = held.hand.open();
    held.say(front, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let back = held.connect();
    let sent = held.heard(back).len() as u64;
    assert!(held.say(front, b"no chunk\r\n").starts_with("HTTP/1.1 400 "));
    assert_eq!(held.fleet.pools[0].servers[0].lanes[0].sent_bytes.get(), sent);
}

/// Whatever the request waited for meanwhile, what is said of it is how its last try failed.
#[test]
fn who_waits_for_another_server_in_vain_is_told_how_its_try_failed() {
    let mut held = hold_with(usize::MAX, 2, |_| {});
    let front = held.hand.open();
    held.say(front, GET);
    let loads = held.fleet.pools[0].loads.clone();
    loads.iter().for_each(|load| load.set_limit(0));
    let (back, address) = held.hand.connects().remove(0);
    held.hand.connect_failed(back, ECONNREFUSED);
    assert_eq!(held.heard(front), "", "both are full: it waits");
    for server in &held.fleet.pools[0].servers {
        server.load.set_limit(1);
        server.load.set_weight(u32::from(server.address == address));
    }
    let mut told = Vec::new();
    held.hand.mail(Mail::Room, front, &mut told);
    assert!(String::from_utf8_lossy(&told).starts_with("HTTP/1.1 502 "));
}

/// Every request that ends with an error of ours has its line, and the line says who was tried.
#[test]
fn errors_are_logged_with_the_server_that_was_tried_or_without_a_request() {
    let mut held = hold_with(usize::MAX, 1, |_| {});
    let front = held.hand.open_from(0, Some("10.1.1.1:9".parse().unwrap()));
    held.say(front, GET);
    let back = held.hand.connects()[0].0;
    held.hand.connect_failed(back, ECONNREFUSED);
    let entry = held.log.try_recv().unwrap();
    assert_eq!((entry.status, entry.fault, entry.tries), (502, Some(Fault::ConnectFailed), 1));
    assert_eq!(entry.server.unwrap().name, "10.0.1.1:80");
    assert!(held.say(front, b"no request\r\n\r\n").contains("HTTP/1.1 400 "));
    let entry = held.log.try_recv().unwrap();
    assert_eq!((entry.status, entry.fault), (400, Some(Fault::BadRequest)));
    assert_eq!((entry.asked.client, entry.asked.method.as_str()), (Some([10, 1, 1, 1].into()), ""));
    assert!(held.log.try_recv().is_err());
}

#[test]
fn without_a_budget_nothing_that_may_have_been_processed_is_repeated() {
    let mut held = hold_with(usize::MAX, 2, |config| {
        let retry = &mut config.pools[0].retry;
        (retry.budget_percent, retry.budget_floor) = (0, 0);
    });
    let front = held.hand.open();
    held.say(front, GET);
    let back = held.connect();
    assert!(!held.heard(back).is_empty());
    held.hand.end(back, End::Reset);
    assert!(held.heard(front).starts_with("HTTP/1.1 502 "));
    assert_eq!(held.hand.connects().len(), 0);
    assert_eq!(held.fleet.lanes[0].retries_refused.get(), 1);
}

/// However many servers there are, a request is tried so often and no more.
#[test]
fn a_request_is_tried_as_often_as_is_configured() {
    for attempts in 1..=4 {
        let mut held = hold_with(usize::MAX, 6, |config| config.pools[0].retry.attempts = attempts);
        let front = held.hand.open();
        held.say(front, GET);
        let mut tries = 0;
        while let Some((back, _)) = held.hand.connects().pop() {
            held.hand.connect_failed(back, ECONNREFUSED);
            tries += 1;
        }
        assert_eq!(tries, attempts);
        assert!(held.heard(front).starts_with("HTTP/1.1 502 "));
        assert_eq!(held.fleet.lanes[0].retries.get(), u64::from(attempts) - 1);
    }
}

/// Failures in a row are counted over all requests, and a whole response ends the row.
#[test]
fn what_becomes_of_each_try_is_told() {
    let mut held = hold_with(usize::MAX, 1, |_| {});
    let server = held.fleet.pools[0].servers[0].clone();
    server.suspicion.tell_of(3, 0);
    let front = held.hand.open();
    for works in [false, false, true, false, false] {
        held.say(front, GET);
        let (back, _) = held.hand.connects().remove(0);
        if !works {
            held.hand.connect_failed(back, ECONNREFUSED);
            assert!(held.heard(front).starts_with("HTTP/1.1 502 "));
            continue;
        }
        held.hand.connected(back);
        assert!(!held.heard(back).is_empty());
        held.hand.feed(back, OK, &mut Vec::new());
        held.heard(front);
        held.hand.eof(back, &mut Vec::new());
        held.hand.end(back, End::Aborted);
    }
    assert!(server.suspicion.note(Outcome::ConnectFailed), "it is the third in a row");
}

/// A process that has no descriptor left says nothing about its servers.
#[test]
fn what_we_lack_is_no_server_s_fault() {
    let mut held = hold_with(usize::MAX, 2, |_| {});
    let front = held.hand.open();
    held.say(front, GET);
    let (back, _) = held.hand.connects().remove(0);
    held.hand.connect_failed(back, EMFILE);
    assert!(held.heard(front).starts_with("HTTP/1.1 503 "));
    assert_eq!(held.hand.connects().len(), 0, "the next one would meet it too");
    assert!(held.fleet.pools[0].servers.iter().all(|server| server.lanes[0].connect_failures.get() == 0));
}

/// From the request to the head of the response, in the unit that is said; and a failure is never fast.
#[test]
fn latencies_are_what_a_clock_says() {
    let mut held = hold_with(usize::MAX, 1, |config| config.pools[0].balance = Balance::HotCold);
    let server = held.fleet.pools[0].servers[0].clone();
    let front = held.hand.open();
    held.say(front, GET);
    let back = held.connect();
    assert!(!held.heard(back).is_empty());
    held.wait(2, back);
    held.hand.feed(back, OK, &mut Vec::new());
    assert_eq!(server.sum(|lane| &lane.latency_sum_ns), 2_000_000_000);
    assert_eq!(server.load.latency_us(), 2_000_000);
    let p50 = server.latencies().quantile(0.5).unwrap();
    assert!((1.9..2.3).contains(&p50.as_secs_f64()), "{p50:?}");
    held.heard(front);
    held.say(front, GET);
    assert!(!held.heard(back).is_empty());
    held.hand.feed(back, b"no response\r\n\r\n", &mut Vec::new());
    assert!(held.heard(front).starts_with("HTTP/1.1 502 "));
    assert!(server.load.latency_us() > 2_000_000, "it failed at once");
}

/// What a connection carried before is another request's.
#[test]
fn bytes_are_counted_once() {
    let mut held = hold_with(usize::MAX, 1, |_| {});
    let front = held.hand.open();
    held.say(front, GET);
    let back = held.connect();
    let mut sent = 0;
    for _ in 0..3 {
        sent += held.heard(back).len() as u64;
        held.hand.feed(back, OK, &mut Vec::new());
        held.heard(front);
        held.say(front, GET);
    }
    assert_eq!(held.fleet.pools[0].servers[0].lanes[0].sent_bytes.get(), sent);
}

/// A server may close a connection that was idle, and a request may cross that on its way: no reason to suspect it.
#[test]
fn who_closes_an_idle_connection_is_not_suspected() {
    let mut held = hold_with(usize::MAX, 1, |_| {});
    let server = held.fleet.pools[0].servers[0].clone();
    server.suspicion.tell_of(2, 0);
    let front = held.hand.open();
    held.say(front, GET);
    let back = held.connect();
    assert!(!held.heard(back).is_empty());
    held.hand.feed(back, OK, &mut Vec::new());
    held.heard(front);
    held.say(front, GET);
    assert!(!held.heard(back).is_empty());
    held.hand.end(back, End::Reset);
    assert_eq!(held.hand.connects().len(), 1, "again, over a connection of its own");
    assert!(!server.suspicion.note(Outcome::ConnectFailed), "it is the first");
}
