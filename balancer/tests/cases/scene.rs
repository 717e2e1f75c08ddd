//! A lane in the hand, between a client and a server that say what a case says, cut as wished.
//!
//! In: a case, and how each side's bytes are cut. Out: what each side got, and which connections ended how. Never: leaves a
//! connection behind for the next run.

use super::oracle::{Liberty, has_open_head, messages};
use super::read::{Case, Then, Verdict, configure};
use balancer::config::Config;
use balancer::control;
use balancer::fleet::Fleet;
use balancer::proxy::{Links, Mail, Proxy};
use net::engine::hand::Hand;
use net::engine::{Close, End, Token};
use net::mailbox::{MAILS_MAX, Mailbox, mailbox};
use net::time::{Time, UnixSeconds};

/// The request behind each case.
pub(crate) const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: n\r\n\r\n";
/// What the server answers where the case says nothing.
pub(crate) const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nok";

/// Rounds of one settling: each passes something on, and no case has so much.
const ROUNDS_MAX: usize = 10_000;

/// Where bytes are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    Whole,
    /// In two, here.
    At(usize),
    Everywhere,
}

impl Cut {
    fn pieces(self, bytes: &[u8]) -> Vec<&[u8]> {
        let pieces = match self {
            Cut::Whole => vec![bytes],
            Cut::At(at) => {
                let (front, behind) = bytes.split_at(at.min(bytes.len()));
                vec![front, behind]
            }
            Cut::Everywhere => bytes.chunks(1).collect(),
        };
        pieces.into_iter().filter(|piece| !piece.is_empty()).collect()
    }
}

/// What came of a run.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// All that the client got.
    pub(crate) client: Vec<u8>,
    /// How its connection was closed.
    pub(crate) closed: Option<Close>,
    /// What the server got, by connection, the next request too.
    pub(crate) received: Vec<Vec<u8>>,
    /// The first connection could be used again when the next request came.
    pub(crate) is_kept: bool,
}

struct Back {
    token: Token,
    received: Vec<u8>,
    answered: usize,
    is_early_said: bool,
    is_over: bool,
}

/// A lane for all runs of one case.
pub(crate) struct Scene<'c> {
    case: &'c Case,
    hand: Hand<Proxy>,
    front: Option<Token>,
    client: Vec<u8>,
    closed: Option<Close>,
    backs: Vec<Back>,
    /// Requests that the server answered.
    answers: usize,
    /// Nobody reads it: what the lane tells the control is lost here.
    _control: Mailbox<control::Mail>,
}

impl<'c> Scene<'c> {
    pub(crate) fn new(case: &'c Case) -> Scene<'c> {
        let mut config = Config::for_one_pool(&["10.0.1.1:80".parse().unwrap()]);
        configure(case, &mut config);
        let fleet = Fleet::new(config, 1);
        let (control, _control) = mailbox(MAILS_MAX).unwrap();
        let (door, _) = mailbox::<Mail>(MAILS_MAX).unwrap();
        let links = Links { number: 0, lanes: vec![door], control, log: None, seed: 1 };
        let hand = Hand::hold(Proxy::new(&fleet, links));
        Scene {
            case,
            hand,
            front: None,
            client: Vec::new(),
            closed: None,
            backs: Vec::new(),
            answers: 0,
            _control,
        }
    }

    /// One client's connection, from its begin to its end.
    pub(crate) fn run(&mut self, client: Cut, server: Cut) -> Outcome {
        (self.client, self.closed, self.answers) = (Vec::new(), None, 0);
        self.backs.clear();
        let front = self.hand.open_from(0, Some(self.case.peer));
        self.front = Some(front);
        let mut bytes = self.case.client.clone();
        let is_next_pipelined = self.case.server.is_empty() && self.case.late.is_empty();
        let has_next = self.case.then_client == Then::Stays && self.case.verdict != Some(Verdict::Wait);
        if has_next && is_next_pipelined {
            bytes.extend_from_slice(NEXT);
        }
        self.settle(server);
        self.say(front, &client.pieces(&bytes), server);
        match self.case.then_client {
            Then::Stays => {}
            Then::Ends if self.closed.is_none() => {
                let out = &mut self.client;
                self.hand.eof(front, out);
                self.settle(server);
            }
            Then::Ends => {}
            Then::Resets => {
                self.hand.end(front, End::Reset);
                self.front = None;
                self.settle(server);
            }
        }
        self.say_late(server);
        let is_kept = self.backs.first().is_some_and(|back| !back.is_over);
        if has_next && !is_next_pipelined {
            self.say(front, &[NEXT], server);
        }
        let received = self.backs.iter().map(|back| back.received.clone()).collect();
        let outcome =
            Outcome { client: std::mem::take(&mut self.client), closed: self.closed, received, is_kept };
        self.clean_up(server);
        outcome
    }

    fn say(&mut self, front: Token, pieces: &[&[u8]], server: Cut) {
        for piece in pieces {
            if self.closed.is_some() {
                return;
            }
            assert!(self.hand.wants_bytes(front), "{}: the client is paused", self.case.title);
            let out = &mut self.client;
            self.hand.feed(front, piece, out);
            self.settle(server);
        }
    }

    /// What a server sends without being asked.
    fn say_late(&mut self, server: Cut) {
        for piece in server.pieces(&self.case.late) {
            let Some(back) = self.backs.first().filter(|back| !back.is_over) else { return };
            let token = back.token;
            let mut out = Vec::new();
            self.hand.feed(token, piece, &mut out);
            self.backs[0].received.extend(out);
            self.settle(server);
        }
    }

    /// Until nobody has anything to say.
    fn settle(&mut self, server: Cut) {
        for _ in 0..ROUNDS_MAX {
            if !self.pass_on() && !self.serve(server) {
                return;
            }
        }
        panic!("{}: it never comes to rest", self.case.title);
    }

    /// What an engine does: connects, output, closes. Says whether there was anything.
    fn pass_on(&mut self) -> bool {
        let mut has_news = false;
        if let Some(front) = self.front {
            let before = self.client.len();
            self.hand.pass(Time(0), UnixSeconds(784_111_777), front, &mut self.client);
            has_news |= self.client.len() > before;
            self.closed = self.hand.closing(front);
        }
        for (token, _) in self.hand.connects() {
            self.hand.connected(token);
            let back =
                Back { token, received: Vec::new(), answered: 0, is_early_said: false, is_over: false };
            self.backs.push(back);
            has_news = true;
        }
        for back in self.backs.iter_mut().filter(|back| !back.is_over) {
            if let Some(how) = self.hand.closing(back.token) {
                if how == Close::AfterFlush {
                    back.received.extend(self.hand.output(back.token));
                }
                back.is_over = true;
                self.hand.end(back.token, End::Aborted);
                has_news = true;
                continue;
            }
            let came = self.hand.output(back.token);
            has_news |= !came.is_empty();
            back.received.extend(came);
        }
        has_news
    }

    /// The server says what is due. Says whether there was anything.
    fn serve(&mut self, cut: Cut) -> bool {
        if self.case.verdict == Some(Verdict::Tunnel) && self.answers > 0 {
            return false;
        }
        for at in 0..self.backs.len() {
            let back = &mut self.backs[at];
            if back.is_over {
                continue;
            }
            let (asked, _) = messages(&back.received, Liberty::Strict);
            let is_early_due = self.answers == 0 && !self.case.early.is_empty() && !back.is_early_said;
            if is_early_due && (!asked.is_empty() || has_open_head(&back.received)) {
                back.is_early_said = true;
                if !self.case.early.starts_with(b"HTTP/1.1 1") {
                    back.answered += 1;
                    self.answers += 1;
                }
                self.respond(at, &self.case.early, cut);
                return true;
            }
            let Some(request) = asked.get(back.answered) else { continue };
            back.answered += 1;
            self.answers += 1;
            if self.answers == 1 && (!self.case.server.is_empty() || self.case.then_server != Then::Stays) {
                self.respond(at, &self.case.server, cut);
                self.end_server(at);
            } else {
                let is_head = request.line.starts_with(b"HEAD ");
                let answer = if is_head { &ANSWER[..ANSWER.len() - 2] } else { ANSWER };
                self.respond(at, answer, cut);
            }
            return true;
        }
        false
    }

    fn respond(&mut self, at: usize, bytes: &[u8], cut: Cut) {
        for piece in cut.pieces(bytes) {
            if self.backs[at].is_over {
                return;
            }
            let mut out = Vec::new();
            self.hand.feed(self.backs[at].token, piece, &mut out);
            self.backs[at].received.extend(out);
            while self.pass_on() {}
        }
    }

    fn end_server(&mut self, at: usize) {
        let back = &mut self.backs[at];
        match self.case.then_server {
            Then::Ends if !back.is_over => {
                self.hand.eof(back.token, &mut back.received);
            }
            Then::Resets if !back.is_over => {
                back.is_over = true;
                self.hand.end(back.token, End::Reset);
            }
            _ => {}
        }
    }

    fn clean_up(&mut self, server: Cut) {
        if let Some(front) = self.front.take() {
            self.hand.end(front, End::Closed);
        }
        self.settle(server);
        for back in self.backs.iter_mut().filter(|back| !back.is_over) {
            self.hand.eof(back.token, &mut back.received);
        }
        self.settle(server);
        assert_eq!(self.hand.program.open(), 0, "{}: a client's connection is left", self.case.title);
        assert_eq!(self.hand.program.open_backs(), 0, "{}: a server's connection is left", self.case.title);
    }
}
