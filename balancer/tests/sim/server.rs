//! A server that answers by a script: right, late, early, in pieces, or not at all.

use super::request::answer;
use net::deadlines::Deadlines;
use net::engine::sim::Rng;
use net::engine::{Close, End, Io, Opened, Program, Token};
use net::http1::{Heads, Limits, ServerConn, Step, write};
use net::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// How a server behaves, each as a chance for each request.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// The longest time that it thinks.
    pub(crate) think: Duration,
    /// The longest padding behind an answer.
    pub(crate) padding: usize,
    /// Ends an answer with the connection.
    pub(crate) until_close: f64,
    /// Sends 1xx before.
    pub(crate) interim: f64,
    /// Closes the connection behind the answer without having said so.
    pub(crate) closes: f64,
    /// Closes the connection instead of an answer.
    pub(crate) drops: f64,
    /// Ends in the middle of an answer.
    pub(crate) cuts: f64,
    /// Never answers.
    pub(crate) hangs: f64,
    /// Sends what is no response.
    pub(crate) garbage: f64,
    /// Sends more than the response: what is none, as no proxy can tell a response that comes late from the next one's.
    pub(crate) surplus: f64,
    /// Closes a connection that was idle for a time up to this.
    pub(crate) idle_max: Option<Duration>,
}

impl Script {
    /// As it should be.
    pub(crate) fn right() -> Script {
        Script {
            think: Duration::from_millis(3),
            padding: 3000,
            until_close: 0.0,
            interim: 0.1,
            closes: 0.0,
            drops: 0.0,
            cuts: 0.0,
            hangs: 0.0,
            garbage: 0.0,
            surplus: 0.0,
            idle_max: None,
        }
    }

    /// Everything that servers do.
    pub(crate) fn wrong() -> Script {
        Script {
            until_close: 0.1,
            closes: 0.1,
            drops: 0.05,
            cuts: 0.05,
            hangs: 0.01,
            garbage: 0.03,
            surplus: 0.05,
            ..Script::right()
        }
    }
}

pub(crate) struct Server {
    script: Script,
    rng: Rng,
    heads: Heads,
    conns: BTreeMap<Token, ServerConn>,
    /// When an answer goes out, and what it is.
    due: BTreeMap<(Time, Token), Reply>,
    limits: Deadlines,
    /// When a connection that is idle is closed.
    idle: BTreeMap<Token, Time>,
    /// Requests that wait for their answers, and the most there were at once.
    at_work: usize,
    pub(crate) at_work_max: usize,
    pub(crate) served: usize,
    /// Methods and names of requests that were processed, with how often.
    pub(crate) seen: BTreeMap<String, usize>,
}

struct Reply {
    bytes: Vec<u8>,
    then: Then,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Stay,
    Close,
    Abort,
}

impl Server {
    pub(crate) fn new(script: Script, seed: u64) -> Server {
        Server {
            script,
            rng: Rng::new(seed),
            heads: Heads::new(Limits { body_bytes_max: 1 << 24, ..Limits::default() }),
            conns: BTreeMap::new(),
            due: BTreeMap::new(),
            limits: Deadlines::new(&[Duration::from_secs(60)]),
            idle: BTreeMap::new(),
            at_work: 0,
            at_work_max: 0,
            served: 0,
            seen: BTreeMap::new(),
        }
    }

    pub(crate) fn open(&self) -> usize {
        self.conns.len()
    }

    fn reply(&mut self, method: &str, name: &str, body: &[u8]) -> Option<Reply> {
        let (script, rng) = (&self.script, &mut self.rng);
        self.served += 1;
        *self.seen.entry(format!("{method} {name}")).or_default() += 1;
        if rng.chance(script.hangs) {
            return None;
        }
        if rng.chance(script.drops) {
            return Some(Reply { bytes: Vec::new(), then: Then::Close });
        }
        if rng.chance(script.garbage) {
            return Some(Reply { bytes: b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), then: Then::Stay });
        }
        let mut bytes = Vec::new();
        if rng.chance(script.interim) {
            bytes.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        }
        let mut content = answer(method, name, body);
        content.resize(content.len() + rng.within(0..=script.padding), b'.');
        let is_head = method == "HEAD";
        let until_close = rng.chance(script.until_close);
        let framing = match (until_close, rng.chance(0.5)) {
            (true, _) => "Connection: close\r\n".to_owned(),
            (false, true) => "Transfer-Encoding: chunked\r\n".to_owned(),
            (false, false) => format!("Content-Length: {}\r\n", content.len()),
        };
        bytes.extend_from_slice(format!("HTTP/1.1 200 X\r\n{framing}\r\n").as_bytes());
        if !is_head && framing.starts_with("Transfer") {
            let size = rng.within(1..=content.len());
            content.chunks(size).for_each(|piece| write::chunk(&mut bytes, piece));
            bytes.extend_from_slice(write::LAST_CHUNK);
        } else if !is_head {
            bytes.extend_from_slice(&content);
        }
        // An end by the connection must come whole, as nothing shows that it did not.
        if !until_close && rng.chance(script.cuts) {
            bytes.truncate(rng.below(bytes.len()));
            return Some(Reply { bytes, then: Then::Abort });
        }
        if !until_close && rng.chance(script.surplus) {
            bytes.extend_from_slice(b"stolen");
        }
        let closes = until_close || rng.chance(script.closes);
        Some(Reply { bytes, then: if closes { Then::Close } else { Then::Stay } })
    }
}

impl Program for Server {
    type Mail = ();

    fn on_open(&mut self, token: Token, _: Opened, io: &mut Io) {
        self.conns.insert(token, ServerConn::new());
        self.limits.set(token, 0, io.now());
    }

    fn on_bytes(&mut self, token: Token, bytes: &[u8], io: &mut Io) {
        self.limits.set(token, 0, io.now());
        self.idle.remove(&token);
        let mut rest = bytes;
        loop {
            let Some(conn) = self.conns.get_mut(&token) else { return };
            let asked = match conn.next(rest, &mut self.heads) {
                Ok(Step::More) => return,
                Ok(Step::Expect { used, .. }) => {
                    rest = &rest[used..];
                    io.out(token).extend_from_slice(write::CONTINUE);
                    continue;
                }
                Ok(Step::Request { request, used }) => {
                    rest = &rest[used..];
                    let name = request.head.target.path().trim_start_matches('/').to_owned();
                    (request.head.method.as_str().to_owned(), name, request.body.to_vec())
                }
                Err(refusal) => panic!("the balancer sent what is refused: {refusal:?}"),
            };
            let at =
                io.now() + Duration::from_nanos(self.rng.spread(&(0..=self.script.think.as_nanos() as u64)));
            if let Some(reply) = self.reply(&asked.0, &asked.1, &asked.2) {
                self.at_work += 1;
                self.at_work_max = self.at_work_max.max(self.at_work);
                self.due.insert((at, token), reply);
            }
        }
    }

    fn on_eof(&mut self, token: Token, io: &mut Io) {
        io.close(token, Close::AfterFlush);
    }

    fn on_end(&mut self, token: Token, _: End, _: &mut Io) {
        self.conns.remove(&token);
        self.limits.clear(token);
        self.idle.remove(&token);
    }

    fn on_mail(&mut self, (): (), _: &mut Io) {}

    fn next_deadline(&self) -> Option<Time> {
        let reply = self.due.keys().next().map(|&(at, _)| at);
        [reply, self.limits.next(), self.idle.values().min().copied()].into_iter().flatten().min()
    }

    fn on_deadline(&mut self, io: &mut Io) {
        while let Some((&(at, token), _)) = self.due.first_key_value().filter(|((at, _), _)| *at <= io.now())
        {
            let Some(reply) = self.due.remove(&(at, token)) else { return };
            io.out(token).extend_from_slice(&reply.bytes);
            self.at_work -= 1;
            if let Some(max) =
                self.script.idle_max.filter(|_| reply.then == Then::Stay && self.conns.contains_key(&token))
            {
                let after = self.rng.spread(&(0..=max.as_nanos() as u64));
                self.idle.insert(token, io.now() + Duration::from_nanos(after));
            }
            match reply.then {
                Then::Stay => {}
                Then::Close => io.close(token, Close::AfterFlush),
                Then::Abort => {
                    io.close(token, if self.rng.chance(0.5) { Close::AfterFlush } else { Close::Reset })
                }
            }
        }
        let is_due = |at: &Time| *at <= io.now();
        let due: Vec<Token> =
            self.idle.iter().filter(|(_, at)| is_due(at)).map(|(&token, _)| token).collect();
        for token in due {
            self.idle.remove(&token);
            io.close(token, Close::AfterFlush);
        }
        while let Some((token, _)) = self.limits.pop_due(io.now()) {
            io.close(token, Close::Now);
        }
    }
}
