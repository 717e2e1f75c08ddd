//! A server whose delays and faults are known, for the generator to find.
//!
//! In: connections, and on them `POST /add` with `{"a":1,"b":2}`. Out: `{"result":3}`, except for what its
//! [`Behaviour`] does to it, and a count of all that it did. The same on the simulator and on the real engines.
//! Never: does a thing of which it keeps no count. It is for our own generator: nothing bounds what a peer may ask
//! for at once.

mod behaviour;
mod conn;
mod thread;
mod when;

pub use behaviour::{Behaviour, Counts, Service};
pub use thread::{RunningTarget, start};

use conn::{Answer, Conn, Content, Reply, Stage, Way};
use net::deadlines::Deadlines;
use net::engine::{Close, End, Io, Opened, Program, Token};
use net::http1::{DateCache, Heads, Limits, Method, Persistence, Request, Status, Step};
use net::time::Time;
use serde::Deserialize;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;
use when::When;

/// What [`Behaviour::NotHttp`] says: the first line of an SSH server (RFC 4253, 4.2).
const SSH: &[u8] = b"SSH-2.0-OpenSSH_10.0\r\n";
/// What [`Behaviour::Tls`] says: the fatal alert `handshake_failure` (RFC 8446, 6), as a TLS port answers plain HTTP.
const TLS_ALERT: &[u8] = &[0x15, 3, 3, 0, 2, 2, 0x28];
/// How long [`Behaviour::Swap`] holds an answer for another to exchange it with. At ten requests a second and more
/// one comes in time; who has a single connection gets one slow answer for each pair.
const SWAP_WAIT: Duration = Duration::from_millis(100);
/// From byte to byte of [`Behaviour::Trickle`].
const TRICKLE_STEP: Duration = Duration::from_millis(1);
/// For a peer to end after we did: our own generator is on this machine.
const LINGER: Duration = Duration::from_secs(1);

/// What other threads may tell a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mail {
    /// End: what is open is closed at once.
    Stop,
}

/// One lane of the target; a queue, a stall and the counts are those of one lane.
pub struct Target {
    behaviour: Behaviour,
    when: When,
    counts: Counts,
    heads: Heads,
    date: DateCache,
    /// By token index.
    conns: Vec<Option<Conn>>,
    /// When the answer in front of a connection is due; in the order of arrival where they agree.
    timers: BinaryHeap<Reverse<(Time, u64, Token)>>,
    timers_set: u64,
    linger: Deadlines,
    /// The answer that waits for an exchange: its connection, and the number of its request.
    held: Option<(Token, u64)>,
}

/// A request, as far as its answer depends on it.
#[derive(Clone, Copy)]
struct Asked {
    what: Result<i128, (Status, &'static str)>,
    persistence: Persistence,
    omit_body: bool,
}

/// The body of a request.
#[derive(Deserialize)]
struct Operands {
    a: i64,
    b: i64,
}

impl Target {
    /// A target that nobody has asked anything.
    pub fn new(behaviour: Behaviour) -> Target {
        Target {
            when: When::new(&behaviour),
            behaviour,
            counts: Counts::default(),
            heads: Heads::new(Limits::default()),
            date: DateCache::new(),
            conns: Vec::new(),
            timers: BinaryHeap::new(),
            timers_set: 0,
            linger: Deadlines::new(&[LINGER]),
            held: None,
        }
    }

    /// What it did so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Reads one request off the front of `rest`.
    fn read(&mut self, token: Token, rest: &mut &[u8]) -> Option<Asked> {
        let conn = conn(&mut self.conns, token).filter(|conn| conn.stage == Stage::Open)?;
        let (asked, used) = match conn.http.next(rest, &mut self.heads) {
            Ok(Step::Request { request, used }) => (asked(&request), used),
            Ok(Step::Expect { used, .. }) => {
                conn.push(Answer::go_on());
                *rest = &rest[used..];
                return self.read(token, rest);
            }
            Ok(Step::More) => return None,
            Err(refusal) => {
                let what = Err((refusal.status, refusal.why));
                let omit_body = conn.http.asks_head();
                (Asked { what, persistence: Persistence::Close, omit_body }, 0)
            }
        };
        *rest = &rest[used..];
        Some(asked)
    }

    /// Plans the answer: when it is due, and what is done to it.
    fn take(&mut self, token: Token, asked: Asked, now: Time) {
        let Asked { what, persistence, omit_body } = asked;
        let (content, status) = match what {
            Ok(sum) => (Content::Sum(sum), Status::OK),
            Err((status, why)) => (Content::Problem(why), status),
        };
        let reply = Reply { status, content, persistence, omit_body, way: Way::Whole };
        let Ok(sum) = what else {
            self.counts.refused += 1;
            return self.push(token, Answer { due: now, number: 0, reply });
        };
        self.counts.requests += 1;
        let number = self.counts.requests;
        let due = self.when.due(now);
        self.counts.stalled = self.when.stalled();
        let Some(conn) = conn(&mut self.conns, token) else { return };
        conn.requests += 1;
        let is_turn = |every: u64| number.is_multiple_of(every);
        let right = Answer { due, number, reply };
        let answer = match self.behaviour {
            Behaviour::Drop { every } if is_turn(every) => return self.counts.dropped += 1,
            Behaviour::Silent => return self.counts.dropped += 1,
            Behaviour::Swap { every } => return self.swap(token, right, sum, is_turn(every)),
            Behaviour::Duplicate { every } => match conn.previous {
                Some(previous) if is_turn(every) && previous != sum => {
                    self.counts.duplicated += 1;
                    right.with(Content::Sum(previous))
                }
                _ => {
                    conn.previous = Some(sum);
                    right
                }
            },
            Behaviour::Corrupt { every } if is_turn(every) => {
                self.counts.corrupted += 1;
                right.with(Content::Sum(with_another_first_digit(sum)))
            }
            Behaviour::CloseMidAnswer { every } if is_turn(every) => right.by(Way::Half),
            Behaviour::Trickle => right.by(Way::Trickle),
            Behaviour::Status(code) => {
                let status = Status::new(code).filter(|status| !status.is_interim());
                let status = status.unwrap_or(Status::INTERNAL_SERVER_ERROR);
                let reply = Reply { status, content: Content::Problem("as it was told to"), ..reply };
                Answer { reply, ..right }
            }
            Behaviour::CloseAfter(requests) if conn.requests >= requests => {
                self.counts.closed += 1;
                let reply = Reply { persistence: Persistence::Close, ..reply };
                Answer { reply, ..right }
            }
            _ => right,
        };
        self.push(token, answer);
    }

    /// Exchanges this sum with the one that is held, or holds it, or neither.
    fn swap(&mut self, token: Token, answer: Answer, sum: i128, is_turn: bool) {
        match self.held {
            Some((other, number)) if other != token => {
                self.held = None;
                let held = conn(&mut self.conns, other).and_then(|conn| conn.waiting(number));
                let Some(held) = held else { return self.push(token, answer) };
                let theirs = std::mem::replace(&mut held.reply.content, Content::Sum(sum));
                held.due = answer.due;
                // Two equal sums are right wherever they go.
                if theirs != Content::Sum(sum) {
                    self.counts.swapped += 2;
                }
                self.set_timer(other, answer.due);
                self.push(token, answer.with(theirs));
            }
            None if is_turn => {
                self.held = Some((token, answer.number));
                self.push(token, Answer { due: answer.due + SWAP_WAIT, ..answer });
            }
            _ => self.push(token, answer),
        }
    }

    fn push(&mut self, token: Token, answer: Answer) {
        if let Some(conn) = conn(&mut self.conns, token) {
            if answer.reply.persistence == Persistence::Close {
                // Nothing behind this request is read; its answer is the last.
                conn.http.close();
            }
            conn.push(answer);
        }
    }

    /// Sends what is due, and says when the next one is.
    fn send(&mut self, token: Token, io: &mut Io) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        let date = self.date.at(io.wall().0);
        let now = io.now();
        let next_due = conn.send(now, date, io.out(token), &mut self.counts);
        if self.held.is_some_and(|(held, number)| held == token && conn.waiting(number).is_none()) {
            self.held = None;
            self.counts.held_in_vain += 1;
        }
        match (conn.stage, next_due) {
            (Stage::Finishing, None) => self.close(token, io),
            (_, Some(due)) => self.set_timer(token, due),
            (_, None) => {}
        }
    }

    fn set_timer(&mut self, token: Token, due: Time) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        if conn.timer != Some(due) {
            conn.timer = Some(due);
            self.timers_set += 1;
            self.timers.push(Reverse((due, self.timers_set, token)));
        }
    }

    fn close(&mut self, token: Token, io: &mut Io) {
        let Some(conn) = conn(&mut self.conns, token) else { return };
        conn.http.close();
        conn.stage = Stage::Closing;
        io.close(token, Close::AfterFlush);
        self.linger.set(token, 0, io.now());
    }
}

impl Program for Target {
    type Mail = Mail;

    fn on_open(&mut self, token: Token, _: Opened, _: &mut Io) {
        if token.index() >= self.conns.len() {
            self.conns.resize_with(token.index() + 1, || None);
        }
        self.conns[token.index()] = Some(Conn::new(token));
        self.counts.connections += 1;
    }

    fn on_bytes(&mut self, token: Token, bytes: &[u8], io: &mut Io) {
        let foreign = match self.behaviour {
            Behaviour::NotHttp => Some(SSH),
            Behaviour::Tls => Some(TLS_ALERT),
            _ => None,
        };
        if let Some(foreign) = foreign {
            self.counts.foreign += 1;
            io.out(token).extend_from_slice(foreign);
            return self.close(token, io);
        }
        let mut rest = bytes;
        while let Some(asked) = self.read(token, &mut rest) {
            self.take(token, asked, io.now());
        }
        self.send(token, io);
    }

    /// Answers that are due later are still sent: a half-close is no way to take a request back.
    fn on_eof(&mut self, token: Token, io: &mut Io) {
        if let Some(conn) = conn(&mut self.conns, token).filter(|conn| conn.stage == Stage::Open) {
            conn.stage = Stage::Finishing;
            self.send(token, io);
        }
    }

    fn on_end(&mut self, token: Token, _: End, _: &mut Io) {
        self.linger.clear(token);
        self.held = self.held.filter(|(held, _)| *held != token);
        if conn(&mut self.conns, token).is_some() {
            self.conns[token.index()] = None;
        }
    }

    fn on_mail(&mut self, Mail::Stop: Mail, io: &mut Io) {
        io.stop();
    }

    fn next_deadline(&self) -> Option<Time> {
        let timer = self.timers.peek().map(|Reverse((due, ..))| *due);
        [timer, self.linger.next()].into_iter().flatten().min()
    }

    fn on_deadline(&mut self, io: &mut Io) {
        while let Some(&Reverse((due, _, token))) = self.timers.peek() {
            if due > io.now() {
                break;
            }
            self.timers.pop();
            if let Some(conn) = conn(&mut self.conns, token).filter(|conn| conn.timer == Some(due)) {
                conn.timer = None;
                self.send(token, io);
            }
        }
        while let Some((token, _)) = self.linger.pop_due(io.now()) {
            io.close(token, Close::Now);
        }
    }
}

/// What is asked for, and how the answer is to be written.
fn asked(request: &Request<'_>) -> Asked {
    let head = &request.head;
    let what = match (head.method, head.target.path()) {
        (Method::Post, "/add") => match serde_json::from_slice::<Operands>(request.body) {
            Ok(Operands { a, b }) => Ok(i128::from(a) + i128::from(b)),
            Err(_) => Err((Status::BAD_REQUEST, "the body must be {\"a\":INTEGER,\"b\":INTEGER}")),
        },
        (_, "/add") => Err((Status::METHOD_NOT_ALLOWED, "POST it")),
        _ => Err((Status::NOT_FOUND, "there is /add and nothing else")),
    };
    Asked { what, persistence: head.persistence(), omit_body: head.method == Method::Head }
}

fn with_another_first_digit(sum: i128) -> i128 {
    let power = 10_i128.pow(sum.unsigned_abs().checked_ilog10().unwrap_or(0));
    // Any other digit goes up by one, so that none becomes a zero in front of the others.
    let is_nine = sum.abs() / power == 9;
    let step = if is_nine { -power } else { power };
    if sum < 0 { sum - step } else { sum + step }
}

fn conn(conns: &mut [Option<Conn>], token: Token) -> Option<&mut Conn> {
    conns.get_mut(token.index())?.as_mut().filter(|conn| conn.token == token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corrupted_sum_differs_in_its_first_digit_and_in_nothing_else() {
        for (sum, corrupted) in [(0, 1), (7, 8), (9, 8), (10, 20), (950, 850), (-3, -4), (-99, -89)] {
            assert_eq!(with_another_first_digit(sum), corrupted);
        }
        let largest = i128::from(i64::MAX) * 2;
        assert_eq!(with_another_first_digit(largest), 28_446_744_073_709_551_614);
        assert_eq!(with_another_first_digit(-largest), -28_446_744_073_709_551_614);
    }
}
