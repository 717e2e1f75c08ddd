//! A client that knows the only right answer to each of its requests.
//!
//! Every request names itself; the answer of a server names the request that it answers, with what of the body it read. So an
//! answer that belongs to another request, or to a request cut or joined on its way, is found out.

use super::request::{Ask, Shape};
use net::address::Address;
use net::engine::sim::Rng;
use net::engine::{Close, End, Io, Opened, Program, Token};
use net::http1::{Asked, ClientConn, Limits, ResponseHeads, ResponseStep};
use std::collections::VecDeque;

/// How a client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manners {
    /// Waits for an answer before it asks again.
    Patient,
    /// Sends everything at once.
    Eager,
    /// Sends something, and is gone without an answer.
    Leaves,
    /// Sends everything, and reads nothing.
    NeverReads,
    /// Sends half a request, and no more.
    StopsInside,
}

/// What came back, in the order of the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    /// The server's own answer, checked.
    Right(u16),
    /// An answer of the balancer itself.
    Own(u16),
}

pub(crate) struct Client {
    manners: Manners,
    to: Address,
    requests: VecDeque<Ask>,
    waiting: VecDeque<Ask>,
    pub(crate) got: Vec<Got>,
    /// Requests whose connection ended before their answer was complete.
    pub(crate) cut: usize,
    http: ClientConn,
    heads: ResponseHeads,
    token: Option<Token>,
    is_told_to_close: bool,
    connects: usize,
}

/// Connections after which a client gives up: each is one more chance that the network takes.
const CONNECTS_MAX: usize = 40;

impl Client {
    pub(crate) fn new(name: usize, manners: Manners, to: &Address, shape: Shape, rng: &mut Rng) -> Client {
        let count = rng.within(1..=10);
        let requests = (0..count).map(|n| Ask::any(&format!("{name}-{n}"), shape, rng)).collect();
        let heads = ResponseHeads::new(Limits { body_bytes_max: 1 << 24, ..Limits::default() });
        Client {
            manners,
            to: to.clone(),
            requests,
            waiting: VecDeque::new(),
            got: Vec::new(),
            cut: 0,
            http: ClientConn::new(),
            heads,
            token: None,
            is_told_to_close: false,
            connects: 0,
        }
    }

    /// Requests that are not over.
    pub(crate) fn left(&self) -> usize {
        self.requests.len() + self.waiting.len()
    }

    pub(crate) fn wants_answers(&self) -> bool {
        matches!(self.manners, Manners::Patient | Manners::Eager)
    }

    pub(crate) fn count(&self, is: impl Fn(&Got) -> bool) -> usize {
        self.got.iter().filter(|got| is(got)).count()
    }

    fn connect(&mut self, io: &mut Io) {
        if self.connects < CONNECTS_MAX {
            self.connects += 1;
            self.http = ClientConn::new();
            self.is_told_to_close = false;
            self.token = Some(io.connect(self.to.clone()));
        }
    }

    fn ask(&mut self, token: Token, io: &mut Io) {
        while let Some(ask) = self.requests.pop_front() {
            let bytes = ask.bytes();
            if self.manners == Manners::StopsInside {
                io.out(token).extend_from_slice(&bytes[..bytes.len() / 2]);
                self.waiting.push_back(ask);
                return;
            }
            io.out(token).extend_from_slice(&bytes);
            self.waiting.push_back(ask);
            if self.manners == Manners::Patient {
                return;
            }
        }
    }

    /// One answer is there.
    fn take(&mut self, status: u16, body: &[u8], keeps: bool) {
        self.is_told_to_close = !keeps;
        let Some(ask) = self.waiting.pop_front() else { panic!("{status} answers nothing that was asked") };
        match ask.judge(status, body) {
            Ok(got) => self.got.push(got),
            Err(why) => panic!("{} got {status}: {why}: {:?}", ask.name, String::from_utf8_lossy(body)),
        }
    }
}

impl Program for Client {
    type Mail = ();

    fn on_start(&mut self, io: &mut Io) {
        self.connect(io);
    }

    fn on_open(&mut self, token: Token, _: Opened, io: &mut Io) {
        self.ask(token, io);
        match self.manners {
            Manners::Leaves => io.close(token, Close::Now),
            Manners::NeverReads => io.pause(token),
            _ => {}
        }
    }

    fn on_bytes(&mut self, token: Token, bytes: &[u8], io: &mut Io) {
        let mut rest = bytes;
        while !self.is_told_to_close {
            let asked = self.waiting.front().map_or(Asked::Other, Ask::asked);
            let mut http = std::mem::take(&mut self.http);
            let mut heads = std::mem::replace(&mut self.heads, ResponseHeads::new(Limits::default()));
            let step = http.next(rest, asked, &mut heads);
            let step = step.unwrap_or_else(|e| panic!("{e}: {:?}", String::from_utf8_lossy(rest)));
            let more = match step {
                ResponseStep::More => false,
                ResponseStep::Interim { used, .. } => {
                    rest = &rest[used..];
                    true
                }
                ResponseStep::Response { response, used } => {
                    rest = &rest[used..];
                    self.take(response.head.status.code(), response.body, response.head.keep_alive);
                    true
                }
            };
            (self.http, self.heads) = (http, heads);
            if !more {
                break;
            }
        }
        if self.is_told_to_close || self.left() == 0 {
            return io.close(token, Close::AfterFlush);
        }
        if self.waiting.is_empty() {
            self.ask(token, io);
        }
    }

    fn on_eof(&mut self, token: Token, io: &mut Io) {
        if let Ok(Some(response)) = self.http.end(&self.heads) {
            let (status, body) = (response.head.status.code(), response.body.to_vec());
            self.take(status, &body, false);
        }
        io.close(token, Close::AfterFlush);
    }

    fn on_end(&mut self, _: Token, _: End, io: &mut Io) {
        // What was sent behind an answer that said `close` was not read: it may be asked again. The rest is lost.
        if self.is_told_to_close {
            let again = std::mem::take(&mut self.waiting);
            again.into_iter().rev().for_each(|ask| self.requests.push_front(ask));
        } else if self.wants_answers() {
            self.cut += usize::from(self.waiting.pop_front().is_some());
            let again = std::mem::take(&mut self.waiting);
            again.into_iter().rev().for_each(|ask| self.requests.push_front(ask));
        } else {
            self.waiting.clear();
            self.requests.clear();
        }
        if !self.requests.is_empty() {
            self.connect(io);
        }
    }

    fn on_mail(&mut self, (): (), _: &mut Io) {}
}
