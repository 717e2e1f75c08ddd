//! What is counted, and what is given back: as often as it was taken, and to whom it was taken from.

use super::{GET, OK, hold_with};
use balancer::proxy::Mail;
use net::engine::End;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

const ECONNREFUSED: i32 = 111;

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
