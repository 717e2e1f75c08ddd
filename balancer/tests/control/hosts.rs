//! Who the control meets: servers with manners, lanes that keep their mail, and operators.

use balancer::control::{Answer, Command, Desk, View};
use balancer::proxy;
use net::address::Address;
use net::engine::{Close, End, Io, Opened, Program, Token};
use net::http1::{Asked, ClientConn, Limits, Request, ResponseHeads, ResponseStep, Status};
use net::time::Time;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// What a server does with a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Manners {
    /// Answers each request with these bytes and closes.
    Says(&'static [u8]),
    /// Takes it, and says nothing.
    Hangs,
    /// Closes it without a word.
    Cuts,
    /// Answers, well and badly by turns.
    Wavers,
}

pub(crate) const OK: Manners = Manners::Says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
pub(crate) const UNAVAILABLE: Manners =
    Manners::Says(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");

/// A server that is checked.
pub(crate) struct Target {
    pub(crate) manners: Manners,
    /// When connections came.
    pub(crate) asked: Vec<Time>,
    /// What came over the last one.
    pub(crate) last: Vec<u8>,
    open: usize,
    pub(crate) open_max: usize,
}

impl Target {
    pub(crate) fn new(manners: Manners) -> Target {
        Target { manners, asked: Vec::new(), last: Vec::new(), open: 0, open_max: 0 }
    }
}

impl Program for Target {
    type Mail = ();

    fn on_open(&mut self, token: Token, _: Opened, io: &mut Io) {
        self.asked.push(io.now());
        self.last.clear();
        self.open += 1;
        self.open_max = self.open_max.max(self.open);
        if self.manners == Manners::Cuts {
            io.close(token, Close::AfterFlush);
        }
    }

    fn on_bytes(&mut self, token: Token, bytes: &[u8], io: &mut Io) {
        self.last.extend_from_slice(bytes);
        if !self.last.ends_with(b"\r\n\r\n") {
            return;
        }
        let answer = match (&self.manners, self.asked.len() % 2) {
            (Manners::Says(answer), _) => answer,
            (Manners::Wavers, 0) => b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".as_slice(),
            (Manners::Wavers, _) => b"HTTP/1.1 500 \r\ncontent-length: 0\r\n\r\n".as_slice(),
            (Manners::Hangs | Manners::Cuts, _) => return,
        };
        io.out(token).extend_from_slice(answer);
        io.close(token, Close::AfterFlush);
    }

    fn on_end(&mut self, _: Token, _: End, _: &mut Io) {
        self.open -= 1;
    }

    fn on_mail(&mut self, (): (), _: &mut Io) {}
}

/// A lane that does nothing but keep what it is told.
#[derive(Default)]
pub(crate) struct Lane {
    pub(crate) mails: Vec<proxy::Mail>,
}

impl Lane {
    /// The names of the servers to which idle connections were to be closed.
    pub(crate) fn closed(&self) -> Vec<&str> {
        let close = self.mails.iter().filter_map(|mail| match mail {
            proxy::Mail::CloseIdle(server) => Some(&*server.name),
            _ => None,
        });
        close.collect()
    }

    /// The generations of the fleets that it was given.
    pub(crate) fn generations(&self) -> Vec<u64> {
        let generation = |mail: &proxy::Mail| match mail {
            proxy::Mail::Fleet(fleet) => Some(fleet.generation),
            _ => None,
        };
        self.mails.iter().filter_map(generation).collect()
    }
}

impl Program for Lane {
    type Mail = proxy::Mail;

    fn on_open(&mut self, _: Token, _: Opened, _: &mut Io) {}
    fn on_bytes(&mut self, _: Token, _: &[u8], _: &mut Io) {}
    fn on_end(&mut self, _: Token, _: End, _: &mut Io) {}

    fn on_mail(&mut self, mail: proxy::Mail, _: &mut Io) {
        self.mails.push(mail);
    }
}

/// Sends bytes, and keeps the answers.
pub(crate) struct Operator {
    to: Address,
    sends: Vec<u8>,
    asked: Asked,
    http: ClientConn,
    heads: ResponseHeads,
    /// Status and body, and whether the connection goes on.
    pub(crate) answers: Vec<(u16, String, bool)>,
    pub(crate) ended: Option<(End, Time)>,
    pub(crate) interims: usize,
    /// Sends so slowly, byte by byte; or reads so slowly, piece by piece.
    pub(crate) pace: Pace,
    next: Option<(Time, Token)>,
}

/// How an operator takes its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Fast,
    /// From one byte that is sent to the next.
    Sends(Duration),
    /// From one piece that is read to the next.
    Reads(Duration),
}

impl Operator {
    pub(crate) fn new(to: &Address, sends: impl Into<Vec<u8>>) -> Operator {
        let sends = sends.into();
        let asked = if sends.starts_with(b"HEAD") { Asked::Head } else { Asked::Other };
        Operator {
            to: to.clone(),
            sends,
            asked,
            http: ClientConn::new(),
            heads: ResponseHeads::new(Limits { body_bytes_max: 1 << 30, ..Limits::default() }),
            answers: Vec::new(),
            ended: None,
            interims: 0,
            pace: Pace::Fast,
            next: None,
        }
    }
}

impl Program for Operator {
    type Mail = ();

    fn on_start(&mut self, io: &mut Io) {
        io.connect(self.to.clone());
    }

    fn on_open(&mut self, token: Token, _: Opened, io: &mut Io) {
        match self.pace {
            Pace::Sends(_) => self.next = Some((io.now(), token)),
            Pace::Fast | Pace::Reads(_) => io.out(token).extend_from_slice(&self.sends),
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        self.next.map(|(at, _)| at)
    }

    fn on_deadline(&mut self, io: &mut Io) {
        let Some((_, token)) = self.next.take() else { return };
        io.resume(token);
        if let (Pace::Sends(pause), false) = (self.pace, self.sends.is_empty()) {
            io.out(token).push(self.sends.remove(0));
            self.next = Some((io.now() + pause, token));
        }
    }

    fn on_bytes(&mut self, token: Token, bytes: &[u8], io: &mut Io) {
        if let Pace::Reads(pause) = self.pace {
            io.pause(token);
            self.next = Some((io.now() + pause, token));
        }
        let mut rest = bytes;
        loop {
            match self.http.next(rest, self.asked, &mut self.heads).unwrap_or_else(|error| panic!("{error}"))
            {
                ResponseStep::More => return,
                ResponseStep::Interim { used, .. } => {
                    self.interims += 1;
                    rest = &rest[used..];
                }
                ResponseStep::Response { response, used } => {
                    let body = String::from_utf8_lossy(response.body).into_owned();
                    let head = response.head;
                    self.answers.push((head.status.code(), body, head.keep_alive));
                    rest = &rest[used..];
                }
            }
        }
    }

    fn on_end(&mut self, _: Token, end: End, io: &mut Io) {
        self.ended = Some((end, io.now()));
    }

    fn on_mail(&mut self, (): (), _: &mut Io) {}
}

/// A desk that does what the path says: `/POOL/SERVER/drain`, `/reload`, `/big`; anything else shows what it sees.
pub(crate) struct SmallDesk {
    pub(crate) samples: Arc<AtomicU32>,
}

impl Desk for SmallDesk {
    fn answer(
        &mut self,
        request: &Request<'_>,
        view: &View<'_>,
        obey: &mut dyn FnMut(Command) -> Result<String, String>,
    ) -> Answer {
        use balancer::control::Admin::{Drain, Maint, Ready};
        let path = request.head.target.path();
        let words: Vec<&str> = path.split('/').skip(1).collect();
        let set = |pool: &str, server: &str, admin| {
            Some(Command::Set { pool: pool.to_owned(), server: server.to_owned(), admin })
        };
        let command = match words[..] {
            [pool, server, "drain"] => set(pool, server, Drain),
            [pool, server, "maint"] => set(pool, server, Maint),
            [pool, server, "ready"] => set(pool, server, Ready),
            [pool, server, "weigh", weight] => {
                let (pool, server) = (pool.to_owned(), server.to_owned());
                Some(Command::Weigh { pool, server, weight: weight.parse().ok() })
            }
            ["reload"] => Some(Command::Reload),
            _ => None,
        };
        let (status, body) = match command.map(obey) {
            Some(Ok(done)) => (Status::OK, done),
            Some(Err(why)) => (Status::CONFLICT, why),
            None if words == ["big"] => (Status::OK, "x".repeat(512 * 1024)),
            None => (Status::OK, show(view)),
        };
        Answer { status, content_type: "text/plain", fields: Vec::new(), body: body.into_bytes() }
    }

    fn sample(&mut self, view: &View<'_>) {
        assert_eq!(view.servers.len(), view.fleet.pools.len());
        self.samples.fetch_add(1, Relaxed);
    }
}

fn show(view: &View<'_>) -> String {
    let mut text = String::new();
    for (pool, servers) in view.fleet.pools.iter().zip(view.servers) {
        for (server, seen) in pool.servers.iter().zip(servers) {
            let (state, admin) = (seen.state.name(), seen.admin.name());
            text += &format!("{}/{} {state} {admin} {}\n", pool.name, server.name, seen.effective_weight);
        }
    }
    text += &format!("draining {}\n", view.is_draining);
    text + &format!("reload {}\n", view.reload_error.unwrap_or("fine"))
}
