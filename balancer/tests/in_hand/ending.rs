//! How connections end: with a drain, with a reload, with age; and that nothing of them is left.

use super::{ECONNREFUSED, GET, OK, hold_with};
use balancer::fleet::Fault;
use balancer::proxy::Mail;
use net::address::Address;
use net::engine::{Close, End};
use std::sync::Arc;
use std::time::Duration;

const HALF: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha";

#[test]
fn a_lane_that_drains_lets_idle_clients_go_and_the_others_when_they_are_served() {
    let mut held = hold_with(usize::MAX, 1, |_| {});
    let (idle, busy) = (held.hand.open(), held.hand.open());
    held.say(busy, GET);
    let back = held.connect();
    assert!(!held.heard(back).is_empty());
    held.hand.feed(back, HALF, &mut Vec::new());
    assert!(held.heard(busy).ends_with("ha"));
    held.hand.mail(Mail::Drain, idle, &mut Vec::new());
    assert_eq!(held.hand.closing(idle), None, "it may bring one more request");
    held.wait(2, idle);
    assert_eq!(held.hand.closing(idle), Some(Close::AfterFlush));
    assert_eq!(held.hand.closing(busy), None);
    held.hand.feed(back, b"lf", &mut Vec::new());
    assert_eq!(held.heard(busy), "lf");
    assert_eq!(held.hand.closing(busy), Some(Close::AfterFlush));
}

#[test]
fn while_a_lane_drains_its_answers_say_that_they_are_the_last() {
    let mut held = hold_with(usize::MAX, 1, |_| {});
    let front = held.hand.open();
    held.say(front, GET);
    let back = held.connect();
    assert!(!held.heard(back).is_empty());
    held.hand.mail(Mail::Drain, front, &mut Vec::new());
    held.hand.feed(back, OK, &mut Vec::new());
    assert!(held.heard(front).to_lowercase().contains("connection: close\r\n"));
    assert_eq!(held.hand.closing(front), Some(Close::AfterFlush));
}

/// The end of its connection would look like the end of such an answer, and who has none yet is told.
#[test]
fn what_a_drain_cuts_off_is_seen_to_be_cut() {
    let mut held = hold_with(usize::MAX, 2, |config| config.front.drain_timeout = Duration::from_secs(3));
    let (old, waiting) = (held.hand.open(), held.hand.open());
    held.say(old, b"GET / HTTP/1.0\r\n\r\n");
    let back = held.connect();
    assert!(!held.heard(back).is_empty());
    held.hand.feed(back, b"HTTP/1.1 200 OK\r\n\r\nhalf", &mut Vec::new());
    assert!(held.heard(old).ends_with("half"));
    held.say(waiting, GET);
    held.hand.mail(Mail::Drain, old, &mut Vec::new());
    held.wait(4, old);
    assert_eq!(held.hand.closing(old), Some(Close::Reset));
    assert!(held.heard(waiting).starts_with("HTTP/1.1 503 "));
    assert_eq!(held.faults(), [Fault::Draining]);
}

/// What becomes of a server's connection behind a whole response.
#[test]
fn a_connection_is_kept_only_while_it_may_be_used_again() {
    let kept = |age: u64, connections_max: usize, weight: u32| {
        let mut held = hold_with(usize::MAX, 1, |config| {
            config.pools[0].idle.age_max = Duration::from_secs(10);
            config.pools[0].idle.connections_max = connections_max;
            config.pools[0].timeouts.response_head = Duration::from_secs(100);
        });
        let fronts = [held.hand.open(), held.hand.open()];
        let backs = fronts.map(|front| {
            held.say(front, GET);
            let back = held.connect();
            assert!(!held.heard(back).is_empty());
            back
        });
        held.wait(age, fronts[0]);
        held.fleet.pools[0].loads[0].set_weight(weight);
        for back in backs {
            held.hand.feed(back, OK, &mut Vec::new());
        }
        let kept = backs.iter().filter(|&&back| held.hand.closing(back).is_none()).count();
        assert_eq!(held.fleet.pools[0].servers[0].lanes[0].idle.get(), kept as u64);
        kept
    };
    assert_eq!(kept(0, 2, 256), 2);
    assert_eq!(kept(11, 2, 256), 0, "too old");
    assert_eq!(kept(0, 1, 256), 1, "one too many");
    assert_eq!(kept(0, 2, 0), 0, "nothing is to go there any more");
}

#[test]
fn connections_to_a_server_that_is_gone_or_down_are_not_kept() {
    let mut held = hold_with(usize::MAX, 1, |_| {});
    let fronts = [held.hand.open(), held.hand.open()];
    let [busy, idle] = fronts.map(|front| {
        held.say(front, GET);
        let back = held.connect();
        assert!(!held.heard(back).is_empty());
        back
    });
    held.hand.feed(idle, OK, &mut Vec::new());
    let server = held.fleet.pools[0].servers[0].clone();
    held.hand.mail(Mail::CloseIdle(server.clone()), busy, &mut Vec::new());
    assert_eq!(held.hand.closing(idle), Some(Close::Now));
    let mut config = (*held.fleet.config).clone();
    config.pools[0].servers[0].address = "10.0.2.1:80".parse().unwrap();
    let moved = held.fleet.next(config);
    held.hand.mail(Mail::Fleet(Arc::new(moved)), busy, &mut Vec::new());
    held.hand.feed(busy, OK, &mut Vec::new());
    assert_eq!(held.heard(fronts[0]).as_bytes(), OK, "what was under way ends as it began");
    assert_eq!(held.hand.closing(busy), Some(Close::Now));
    assert_eq!((server.lanes[0].idle.get(), server.load.in_flight()), (0, 0));
}

/// Who was tried is known by places in a fleet: in another one they are others' places.
#[test]
fn behind_a_reload_a_further_try_looks_at_the_servers_of_now() {
    let mut held = hold_with(usize::MAX, 1, |_| {});
    let front = held.hand.open();
    held.say(front, GET);
    let (back, _) = held.hand.connects().remove(0);
    let mut config = (*held.fleet.config).clone();
    let moved: Address = "10.0.2.1:80".parse().unwrap();
    config.pools[0].servers[0].address = moved.clone();
    let fleet = held.fleet.next(config);
    held.hand.mail(Mail::Fleet(Arc::new(fleet)), front, &mut Vec::new());
    held.hand.connect_failed(back, ECONNREFUSED);
    assert_eq!(held.hand.connects().remove(0).1, moved);
}

/// A server that works for nobody is told so: an end would look like one that still reads.
#[test]
fn a_client_that_leaves_takes_its_request_along() {
    let mut held = hold_with(usize::MAX, 1, |_| {});
    let front = held.hand.open();
    held.say(front, GET);
    let back = held.connect();
    assert!(!held.heard(back).is_empty());
    held.hand.end(front, End::Reset);
    assert_eq!(held.hand.closing(back), Some(Close::Reset));
    assert_eq!(held.fleet.pools[0].loads[0].in_flight(), 0);
}
