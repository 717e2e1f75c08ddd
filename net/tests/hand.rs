//! A program in the hand: connects are answered, output is taken and limits are felt only when the test says
//! so.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use net::address::Address;
use net::engine::hand::Hand;
use net::engine::{Close, End, Io, Opened, Program, Token};
use net::time::{Time, UnixSeconds};
use std::collections::HashMap;

#[test]
fn connects_wait_to_be_answered() {
    let mut hand = Hand::hold(Relay::default());
    let front = hand.open_from(3, Some("192.0.2.1:4000".parse().unwrap()));
    assert_eq!(hand.program.opened[0], Opened::Accepted { listener: 3, peer: "192.0.2.1:4000".parse().ok() });
    let connects = hand.connects();
    assert_eq!(connects.iter().map(|(_, to)| to.clone()).collect::<Vec<_>>(), [there()]);
    assert_eq!(hand.connects(), [], "each is told once");
    assert!(!hand.wants_bytes(front));
    let back = connects[0].0;
    hand.connected(back);
    assert_eq!(hand.program.opened[1], Opened::Connected);
    assert!(hand.wants_bytes(front) && hand.wants_bytes(back));
    let mut own = Vec::new();
    hand.feed(front, b"to the back", &mut own);
    assert_eq!((own, hand.output(back)), (vec![], b"to the back".to_vec()));
    assert_eq!(hand.output(back), b"", "it was taken");
}

#[test]
fn a_connect_fails_or_is_given_up() {
    let mut hand = Hand::hold(Relay::default());
    let front = hand.open();
    let back = hand.connects()[0].0;
    hand.connect_failed(back, 111);
    assert_eq!(hand.program.ends, [End::ConnectFailed(111)]);
    assert_eq!(hand.closing(front), Some(Close::Reset));
    hand.end(front, End::Aborted);

    let front = hand.open();
    let back = hand.connects()[0].0;
    hand.end(front, End::Reset);
    assert_eq!(hand.closing(back), Some(Close::Now), "a connect has nobody to reset");
    hand.connected(back);
    assert_eq!(hand.program.ends[1..], [End::Aborted, End::Reset, End::Aborted]);
    assert_eq!(hand.program.opened.len(), 2, "given up before it opened");
}

#[test]
fn a_connection_is_over_until_its_output_is_taken() {
    let mut hand = Hand::hold_with_limit(Relay::default(), 10);
    let front = hand.open();
    let back = hand.connects()[0].0;
    hand.connected(back);
    hand.feed(back, b"ten bytes.", &mut Vec::new());
    assert!(hand.wants_bytes(back));
    hand.feed(back, b"!", &mut Vec::new());
    assert!(!hand.wants_bytes(back), "the front takes no more");
    assert!(hand.wants_bytes(front), "which does not keep it from being read");
    assert_eq!(hand.output(front), b"ten bytes.!");
    assert!(hand.wants_bytes(back), "on_drained has come");
}

#[test]
fn a_finished_side_has_its_output_and_no_more() {
    let mut hand = Hand::hold(Relay::default());
    let front = hand.open();
    let back = hand.connects()[0].0;
    hand.connected(back);
    hand.feed(front, b"all", &mut Vec::new());
    hand.eof(front, &mut Vec::new());
    assert!(hand.is_finished(back) && hand.wants_bytes(back) && hand.closing(back).is_none());
    assert_eq!(hand.output(back), b"all");
    assert!(!hand.is_finished(front));
}

#[test]
fn each_event_is_a_turn_of_its_own() {
    let (mut hand, mut out) = (Hand::hold(Relay::default()), Vec::new());
    let front = hand.open();
    let back = hand.connects()[0].0;
    hand.connected(back);
    hand.feed(front, b"a", &mut out);
    hand.eof(front, &mut out);
    hand.mail((), front, &mut out);
    hand.pass(Time(1), UnixSeconds(0), front, &mut out);
    hand.end(back, End::Reset);
    assert_eq!(hand.program.turns, 7);
}

#[test]
fn time_is_what_the_hand_says() {
    let mut hand = Hand::hold(Relay::default());
    let front = hand.open();
    hand.pass(Time(7), UnixSeconds(0), front, &mut Vec::new());
    assert_eq!(hand.now(), Time(7));
}

fn there() -> Address {
    "192.0.2.2:80".parse().unwrap()
}

/// Connects for each connection that it accepts, and passes bytes on between the two.
#[derive(Default)]
struct Relay {
    others: HashMap<Token, Token>,
    opened: Vec<Opened>,
    ends: Vec<End>,
    turns: usize,
}

impl Program for Relay {
    type Mail = ();

    fn on_open(&mut self, token: Token, opened: Opened, io: &mut Io) {
        self.opened.push(opened);
        io.read_while_over(token);
        if opened == Opened::Connected {
            return io.resume(self.others[&token]);
        }
        io.pause(token);
        let back = io.connect(there());
        self.others.extend([(token, back), (back, token)]);
    }

    fn on_bytes(&mut self, token: Token, bytes: &[u8], io: &mut Io) {
        let other = self.others[&token];
        io.out(other).extend(bytes);
        if io.is_over(other) {
            io.pause(token);
        }
    }

    fn on_drained(&mut self, token: Token, io: &mut Io) {
        io.resume(self.others[&token]);
    }

    fn on_eof(&mut self, token: Token, io: &mut Io) {
        io.finish(self.others[&token]);
    }

    fn on_end(&mut self, token: Token, end: End, io: &mut Io) {
        self.ends.push(end);
        if let Some(other) = self.others.remove(&token) {
            self.others.remove(&other);
            io.close(other, Close::Reset);
        }
    }

    fn on_mail(&mut self, (): (), _io: &mut Io) {}

    fn on_turn(&mut self, _io: &mut Io) {
        self.turns += 1;
    }
}
