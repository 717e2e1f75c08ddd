//! A lane in the hand: what happens within one turn, or between two, that no network shows for sure.

mod counts;
mod ending;
mod reading;
mod waiting;

use balancer::config::Config;
use balancer::control;
use balancer::fleet::{Fault, Fleet};
use balancer::log::{Entry, Log};
use balancer::proxy::{Links, Mail, Proxy};
use net::engine::hand::Hand;
use net::engine::{Close, End, Token};
use net::mailbox::{MAILS_MAX, Mailbox, mailbox};
use net::time::UnixSeconds;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

const ECONNREFUSED: i32 = 111;
const EMFILE: i32 = 24;

const POST: &[u8] =
    b"POST / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\nContent-Length: 2\r\n\r\nhi";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
const SWITCHED: &[u8] = b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nok";
const LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nDate: x\r\nContent-Length: 4\r\n\r\nlate";

/// What a lane needs around it. What it tells the control is read by nobody.
struct Held {
    hand: Hand<Proxy>,
    fleet: Fleet,
    log: Receiver<Box<Entry>>,
    _control: Mailbox<control::Mail>,
}

/// A lane in front of one server.
fn hold() -> (Hand<Proxy>, Fleet, Mailbox<control::Mail>) {
    let Held { hand, fleet, _control, .. } = hold_with(usize::MAX, 1, |_| {});
    (hand, fleet, _control)
}

/// A lane in front of so many servers, whose connections are over with more than `unsent_bytes_max` of output.
fn hold_with(unsent_bytes_max: usize, servers: usize, set: impl Fn(&mut Config)) -> Held {
    let servers: Vec<_> = (1..=servers).map(|n| format!("10.0.1.{n}:80").parse().unwrap()).collect();
    let mut config = Config::for_one_pool(&servers);
    set(&mut config);
    let fleet = Fleet::new(config, 1);
    let (control, letters) = mailbox::<control::Mail>(MAILS_MAX).unwrap();
    let (door, _) = mailbox::<Mail>(MAILS_MAX).unwrap();
    let (to, entries) = sync_channel(100);
    let log = Log { to, sample: 1.0 };
    let links = Links { number: 0, lanes: vec![door], control, log: Some(log), seed: 1 };
    let hand = Hand::hold_with_limit(Proxy::new(&fleet, links), unsent_bytes_max);
    Held { hand, fleet, log: entries, _control: letters }
}

impl Held {
    /// A client sends this. What it is told at once.
    fn say(&mut self, front: Token, bytes: &[u8]) -> String {
        assert!(self.hand.wants_bytes(front), "it is not read");
        let mut told = Vec::new();
        self.hand.feed(front, bytes, &mut told);
        String::from_utf8_lossy(&told).into_owned()
    }

    /// The connection that the lane asked for opens.
    fn connect(&mut self) -> Token {
        let asked = self.hand.connects();
        assert_eq!(asked.len(), 1, "one connection is asked for");
        self.hand.connected(asked[0].0);
        asked[0].0
    }

    /// So many seconds pass, one after the other.
    fn wait(&mut self, seconds: u64, token: Token) {
        for _ in 0..seconds {
            let now = self.hand.now() + Duration::from_secs(1);
            self.hand.pass(now, UnixSeconds(now.0), token, &mut Vec::new());
        }
    }

    /// What was appended to a connection, as text.
    fn heard(&mut self, token: Token) -> String {
        String::from_utf8_lossy(&self.hand.output(token)).into_owned()
    }
}

/// A late 408 is what servers send before they close an idle connection (Apache, HAProxy). It was on its way before the request was:
/// it can't be the answer, and the request, of any method, goes out on a fresh connection.
#[test]
fn what_came_before_the_request_left_is_not_its_answer() {
    let (mut hand, fleet, _control) = hold();
    let front = hand.open();
    let mut client = Vec::new();
    hand.feed(front, POST, &mut client);
    let back = hand.connects()[0].0;
    hand.connected(back);
    assert!(hand.output(back).ends_with(b"hi"));
    hand.feed(back, OK, &mut Vec::new());
    assert_eq!(hand.output(front), OK);

    // The next request gets the same connection; what it appends there is not taken yet when the server's word arrives.
    hand.feed(front, POST, &mut client);
    assert!(hand.connects().is_empty());
    hand.feed(back, LATE, &mut Vec::new());
    assert_eq!(hand.closing(back), Some(Close::Reset));
    assert_eq!(hand.output(front), b"", "it is nobody's answer");
    hand.end(back, End::Aborted);
    let fresh = hand.connects()[0].0;
    hand.connected(fresh);
    assert!(hand.output(fresh).ends_with(b"hi"));
    hand.feed(fresh, OK, &mut Vec::new());
    assert_eq!(hand.output(front), OK);
    assert!(Fault::ALL.iter().all(|&fault| fleet.lanes[0].faults[fault as usize].get() == 0));
    assert_eq!(fleet.pools[0].loads[0].in_flight(), 0);

    // Once some of it has left, who could tell: it is taken as the answer.
    hand.feed(front, POST, &mut client);
    assert!(hand.output(fresh).ends_with(b"hi"));
    hand.feed(fresh, LATE, &mut Vec::new());
    assert_eq!(hand.output(front), LATE);
}

#[test]
fn a_reload_changes_whom_an_open_connection_is_believed_by() {
    let (mut hand, fleet, _control) = hold();
    let front = hand.open_from(0, Some("10.0.0.1:9".parse().unwrap()));
    let mut config = (*fleet.config).clone();
    config.forward.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    let reloaded = Mail::Fleet(Arc::new(fleet.next(config)));
    let mut client = Vec::new();
    hand.feed(front, POST, &mut client);
    let back = hand.connects()[0].0;
    hand.connected(back);
    let ask = |hand: &mut Hand<Proxy>| {
        let asked = String::from_utf8(hand.output(back)).unwrap();
        hand.feed(back, OK, &mut Vec::new());
        assert_eq!(hand.output(front), OK);
        asked
    };
    let asked = ask(&mut hand);
    assert!(asked.contains("\r\nX-Forwarded-For: 10.0.0.1\r\n") && !asked.contains("192.0.2.7"), "{asked}");
    hand.mail(reloaded, front, &mut client);
    hand.feed(front, POST, &mut client);
    let asked = ask(&mut hand);
    assert!(asked.contains("192.0.2.7, 10.0.0.1\r\n"), "{asked}");
}
