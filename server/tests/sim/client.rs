//! A client with manners: asks what it knows the answer of, and compares.

use net::address::Address;
use net::engine::sim::Rng;
use net::engine::{Close, End, Io, Opened, Program, Token};
use net::http1::write::{self, BodySpec, RequestSpec};
use net::http1::{Asked, ClientConn, Limits, ResponseHeads, ResponseStep};
use net::time::Time;
use std::collections::VecDeque;
use std::time::Duration;

/// How a client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manners {
    /// Waits for an answer before it asks again.
    Patient,
    /// Sends everything at once.
    Eager,
    /// Sends everything, and is gone without an answer.
    Leaves,
    /// Sends everything, and reads nothing.
    NeverReads,
    /// Sends half a request, and no more.
    StopsInside,
    /// Sends everything, and stays until it is told to close.
    Stays,
    /// Sends everything, and reads a piece now and then.
    ReadsSlowly,
}

/// How long [`Manners::ReadsSlowly`] waits between two pieces.
const READING_PAUSE: Duration = Duration::from_secs(3);

/// One of each, and one more of those that want answers.
pub(crate) const TROUBLED: [Manners; 6] = [
    Manners::Patient,
    Manners::Eager,
    Manners::Leaves,
    Manners::NeverReads,
    Manners::StopsInside,
    Manners::Eager,
];

/// What must come back.
#[derive(Clone, Debug)]
struct Expected {
    asked: Asked,
    status: u16,
    body: Option<String>,
    /// A full pool may say 503 instead.
    may_be_busy: bool,
}

pub(crate) struct Client {
    manners: Manners,
    to: Address,
    /// Not sent yet.
    requests: VecDeque<(Vec<u8>, Expected)>,
    /// Sent, not answered.
    expected: VecDeque<Expected>,
    answered: usize,
    http: ClientConn,
    heads: ResponseHeads,
    last_status: Option<u16>,
    told_to_close: bool,
    /// What the request asked for of which half was sent.
    cut: Asked,
    resume: Option<(Time, Token)>,
    ended: Option<End>,
}

impl Client {
    pub(crate) fn new(manners: Manners, to: Address, rng: &mut Rng) -> Client {
        let count = if manners == Manners::ReadsSlowly { 200 } else { rng.within(1..=12) };
        let requests = (0..count).map(|_| any_request(rng)).collect();
        Client {
            manners,
            to,
            requests,
            expected: VecDeque::new(),
            answered: 0,
            http: ClientConn::new(),
            heads: ResponseHeads::new(Limits::default()),
            last_status: None,
            told_to_close: false,
            cut: Asked::Other,
            resume: None,
            ended: None,
        }
    }

    pub(crate) fn last_status(&self) -> Option<u16> {
        self.last_status
    }

    pub(crate) fn assert_all_answered(&self, seed: u64) {
        if matches!(self.manners, Manners::Patient | Manners::Eager | Manners::ReadsSlowly) {
            let open = self.requests.len() + self.expected.len();
            assert_eq!(self.ended, Some(End::Closed), "seed {seed}");
            assert_eq!(open, 0, "seed {seed}: {} answered, {open} not ({:?})", self.answered, self.ended);
        }
    }

    pub(crate) fn assert_answered_until_told_to_close(&self, seed: u64) {
        // A request that was on its way when the answer said `close` was not taken, and the client knows it.
        let taken = self.told_to_close || self.manners != Manners::Patient || self.expected.is_empty();
        assert!(taken, "seed {seed}: {} answered, {:?} not ({:?})", self.answered, self.expected, self.ended);
    }

    fn ask(&mut self, token: Token, io: &mut Io) {
        while let Some((bytes, expected)) = self.requests.pop_front() {
            if self.manners == Manners::StopsInside {
                io.out(token).extend_from_slice(&bytes[..bytes.len() / 2]);
                self.cut = expected.asked;
                return self.requests.clear();
            }
            io.out(token).extend_from_slice(&bytes);
            self.expected.push_back(expected);
            if self.manners == Manners::Patient {
                return;
            }
        }
    }
}

impl Program for Client {
    type Mail = ();

    fn on_start(&mut self, io: &mut Io) {
        io.connect(self.to.clone());
    }

    fn on_open(&mut self, token: Token, _: Opened, io: &mut Io) {
        self.ask(token, io);
        match self.manners {
            Manners::Leaves => io.close(token, Close::AfterFlush),
            Manners::NeverReads => io.pause(token),
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        self.resume.map(|(at, _)| at)
    }

    fn on_deadline(&mut self, io: &mut Io) {
        if let Some((_, token)) = self.resume.take() {
            io.resume(token);
        }
    }

    fn on_bytes(&mut self, token: Token, bytes: &[u8], io: &mut Io) {
        if self.manners == Manners::ReadsSlowly {
            io.pause(token);
            self.resume = Some((io.now() + READING_PAUSE, token));
        }
        let mut rest = bytes;
        loop {
            let asked = self.expected.front().map_or(self.cut, |expected| expected.asked);
            let step = self.http.next(rest, asked, &mut self.heads);
            match step.unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(rest))) {
                ResponseStep::More => break,
                ResponseStep::Interim { used, .. } => rest = &rest[used..],
                ResponseStep::Response { response, used } => {
                    rest = &rest[used..];
                    let status = response.head.status.code();
                    self.last_status = Some(status);
                    self.told_to_close = !response.head.keep_alive;
                    match self.expected.pop_front() {
                        Some(expected) => {
                            self.answered += 1;
                            expected.check(status, response.body);
                        }
                        None => {
                            assert_eq!(self.manners, Manners::StopsInside, "{status} without a request");
                            assert!(matches!(status, 408 | 503), "{status} for half a request");
                        }
                    }
                }
            }
        }
        if self.told_to_close || (self.requests.is_empty() && self.expected.is_empty()) {
            let stays = matches!(self.manners, Manners::StopsInside | Manners::Stays);
            if !stays || self.told_to_close {
                io.close(token, Close::AfterFlush);
            }
            return;
        }
        if self.manners == Manners::Patient && self.expected.is_empty() {
            self.ask(token, io);
        }
    }

    fn on_end(&mut self, _: Token, end: End, _: &mut Io) {
        self.ended = Some(end);
    }

    fn on_mail(&mut self, (): (), _: &mut Io) {}
}

impl Expected {
    fn check(&self, status: u16, body: &[u8]) {
        if self.may_be_busy && status == 503 {
            return;
        }
        let body = String::from_utf8_lossy(body);
        assert_eq!(status, self.status, "{body} for {self:?}");
        if let Some(wanted) = &self.body {
            assert_eq!(&body, wanted);
        }
    }
}

fn any_request(rng: &mut Rng) -> (Vec<u8>, Expected) {
    let (a, b) = (rng.below(30) as i64 - 15, rng.below(1 << 40) as i64);
    let b = if rng.chance(0.5) { b % 5 } else { b };
    let json = format!("{{\"a\":{a},\"b\":{b}}}");
    let sum = Some(format!("{{\"result\":{}}}", a + b));
    match rng.below(10) {
        0..=3 => post("/add", &json, rng, 200, sum, false),
        4..=5 => post("/slow", &json, rng, 200, sum, true),
        6 => post("/slow", "no json", rng, 500, None, true),
        7 => post("/add", "{\"a\":1}", rng, 422, None, false),
        8 => get("GET", "/healthz", 200, Some("{\"status\":\"ok\"}".to_owned())),
        _ if rng.chance(0.5) => get("HEAD", "/healthz", 200, Some(String::new())),
        _ => get("GET", "/nowhere", 404, None),
    }
}

fn post(
    target: &str,
    json: &str,
    rng: &mut Rng,
    status: u16,
    body: Option<String>,
    slow: bool,
) -> (Vec<u8>, Expected) {
    let (front, back) = json.as_bytes().split_at(rng.below(json.len()));
    let pieces = [front, back];
    let framing =
        if rng.chance(0.3) { BodySpec::Chunked(&pieces) } else { BodySpec::Length(json.as_bytes()) };
    let mut fields = vec![("content-type", "application/json")];
    if rng.chance(0.1) {
        fields.push(("expect", "100-continue"));
    }
    let mut bytes = Vec::new();
    write::request(
        &mut bytes,
        &RequestSpec { method: "POST", target, host: "h", fields: &fields, body: framing },
    );
    (bytes, Expected { asked: Asked::Other, status, body, may_be_busy: slow })
}

fn get(method: &str, target: &str, status: u16, body: Option<String>) -> (Vec<u8>, Expected) {
    let mut bytes = Vec::new();
    write::request(&mut bytes, &RequestSpec { method, target, host: "h", fields: &[], body: BodySpec::None });
    let asked = if method == "HEAD" { Asked::Head } else { Asked::Other };
    (bytes, Expected { asked, status, body, may_be_busy: false })
}
