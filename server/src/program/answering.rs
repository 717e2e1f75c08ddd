//! From a request to the bytes of its answer: from the cache, from a handler, or by way of the background pool.
//!
//! An answer goes straight to the connection's output, unless an earlier request of the connection still waits
//! for a background job: then it is rendered and queued behind it.

use super::Mail;
use super::conn::{JobTicket, Queue};
use crate::cache::{Cache, Key, Lives, Rendered};
use crate::handlers::{Context, error_body};
use crate::metrics::{LaneStats, Shared};
use crate::pool::{Background, Task};
use crate::routes::{self, Answer, Caching, Fixed, Job, Reply, Route, Verdict};
use net::engine::{Io, Token};
use net::http1::write::{self, Response};
use net::http1::{DateCache, Head, Method, Persistence, Refusal, Request, Status};
use net::mailbox::Mailer;
use net::time::Time;
use std::sync::Arc;

/// What a full pool tells a client to wait, in seconds: its queue has turned over by then.
const RETRY_AFTER: (&str, &str) = ("retry-after", "1");

pub(super) struct Answering {
    pub(super) routes: &'static [Route],
    pub(super) cache: Cache,
    pub(super) date: DateCache,
    /// The body of the answer that is being made; its memory serves again and again.
    pub(super) body: Vec<u8>,
    /// Requests answered in this turn, and when it began.
    pub(super) answered: u64,
    pub(super) turn_began: Time,
    /// What this lane publishes, and what all do.
    pub(super) stats: Arc<LaneStats>,
    pub(super) shared: Arc<Shared>,
    pub(super) background: Arc<dyn Background>,
    pub(super) mailer: Mailer<Mail>,
}

/// How an answer is to be written.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    persistence: Persistence,
    omit_body: bool,
}

impl Answering {
    /// Publishes what the turn did.
    pub(super) fn end_turn(&mut self, now: Time) {
        if self.answered > 0 {
            let lane = &self.stats;
            lane.service.record(now - self.turn_began, self.answered);
            lane.cache.publish(&self.cache.counters());
            self.answered = 0;
        }
    }

    /// Answers a whole request. `last`: the connection closes behind this answer.
    pub(super) fn answer(
        &mut self,
        token: Token,
        queue: &mut Queue,
        request: &Request<'_>,
        last: bool,
        io: &mut Io,
    ) {
        let head = &request.head;
        let persistence = if last { Persistence::Close } else { head.persistence() };
        let manner = Manner { persistence, omit_body: head.method == Method::Head };
        match routes::judge(self.routes, head) {
            Verdict::Run(route) => self.run(token, queue, route, request, manner, io),
            Verdict::Fixed(fixed) => self.fixed(token, queue, fixed, manner, io),
        }
    }

    /// A client asks whether to send its body. True: it was told to. False: it got its final answer, and the
    /// connection must close, as nobody knows whether the body comes (RFC 9110, 10.1.1).
    pub(super) fn expect(&mut self, token: Token, queue: &mut Queue, head: &Head<'_>, io: &mut Io) -> bool {
        match routes::judge(self.routes, head) {
            Verdict::Run(_) => {
                deliver(token, queue, io, |out| out.extend_from_slice(write::CONTINUE));
                true
            }
            Verdict::Fixed(fixed) => {
                let manner =
                    Manner { persistence: Persistence::Close, omit_body: head.method == Method::Head };
                self.fixed(token, queue, fixed, manner, io);
                false
            }
        }
    }

    /// The last answer of a connection whose peer sent what is no request.
    /// Like the other two below, `to_head`: it is a `HEAD` request's, and has no content.
    pub(super) fn refuse(
        &mut self,
        token: Token,
        queue: &mut Queue,
        refusal: Refusal,
        to_head: bool,
        io: &mut Io,
    ) {
        self.stats.refusals[refusal.reason().index()].one();
        self.last_error(token, queue, refusal.status, refusal.why, to_head, io);
    }

    /// The answer to a peer that began a message and did not go on (RFC 9110, 15.5.9).
    pub(super) fn time_out(&mut self, token: Token, queue: &mut Queue, to_head: bool, io: &mut Io) {
        let why = "the rest of the request did not arrive in time: send it without long pauses";
        self.last_error(token, queue, Status::REQUEST_TIMEOUT, why, to_head, io);
    }

    /// A job's reply has come: renders it in its place, and sends what is first in line.
    /// `is_last`: the connection closes behind it, whatever was planned when the job began.
    pub(super) fn finish(
        &mut self,
        token: Token,
        queue: &mut Queue,
        ticket: u32,
        reply: &Reply,
        is_last: bool,
        io: &mut Io,
    ) {
        let Some(waiting) = queue else { return };
        let date = self.date.at(io.wall().0);
        let lane = &self.stats;
        waiting.finish(ticket, |job| {
            lane.answered(Some(job.route), reply.status);
            lane.service.record(io.now() - job.since, 1);
            let content_type = self.routes[job.route].content_type;
            let persistence = if is_last { Persistence::Close } else { job.manner.persistence };
            let manner = Manner { persistence, ..job.manner };
            let mut rendered = Vec::new();
            write::response(&mut rendered, &manner.response(reply.status, content_type, &reply.body), date);
            rendered
        });
        while let Some(rendered) = waiting.pop_ready() {
            io.out(token).extend_from_slice(&rendered);
        }
    }

    /// The answer that depends on more than the head: known already, or made by the route's handler.
    fn run(
        &mut self,
        token: Token,
        queue: &mut Queue,
        route: usize,
        request: &Request<'_>,
        manner: Manner,
        io: &mut Io,
    ) {
        let Route { handler, caching, content_type, .. } = self.routes[route];
        let now = io.now();
        let date = self.date.at(io.wall().0);
        let key = Key { route: route as u16, bytes: request.body };
        // An answer that may depend on more than the body is not looked up, nor kept.
        let caching = if request.head.target.query().is_some() { Caching::No } else { caching };
        if caching != Caching::No
            && let Some(hit) = self.cache.get(key, now)
        {
            deliver(token, queue, io, |out| manner.write_known(out, hit, content_type, date));
            return self.count(Some(route), Status::OK, now);
        }
        self.body.clear();
        let status = match handler(request, &mut Context { body: &mut self.body, shared: &self.shared }) {
            Answer::Done(status) => status,
            Answer::Later(job) => return self.submit(token, queue, route, job, manner, io),
        };
        let lives = match caching {
            Caching::Forever if status == Status::OK => Some(Lives::Forever),
            Caching::For(time) if status == Status::OK => Some(Lives::Until(now + time)),
            _ => None,
        };
        deliver(token, queue, io, |out| {
            let at = out.len();
            write::response(out, &manner.response(status, content_type, &self.body), date);
            if let Some(lives) = lives.filter(|_| manner.is_usual()) {
                let bytes = &out[at..];
                let body_at = (bytes.len() - self.body.len()) as u16;
                let rendered = Rendered { bytes, date_at: write::date_at(status) as u16, body_at };
                self.cache.insert(key, rendered, lives);
            }
        });
        self.count(Some(route), status, now);
    }

    /// Hands work to the background pool, or says that there is too much of it already.
    fn submit(
        &mut self,
        token: Token,
        queue: &mut Queue,
        route: usize,
        job: Job,
        manner: Manner,
        io: &mut Io,
    ) {
        let was_idle = queue.is_none();
        let waiting = queue.get_or_insert_default();
        let ticket = waiting.take_ticket();
        let task = Task { job, token, ticket, lane: self.mailer.clone() };
        if self.background.submit(task) {
            self.stats.jobs.one();
            return waiting.push_job(JobTicket { ticket, route, manner, since: io.now() });
        }
        if was_idle {
            *queue = None;
        }
        self.stats.jobs_refused.one();
        self.body.clear();
        error_body(&mut self.body, "too much work is waiting already: try again in a second");
        let date = self.date.at(io.wall().0);
        let busy = Response {
            fields: &[RETRY_AFTER],
            ..manner.response(Status::SERVICE_UNAVAILABLE, "application/json", &self.body)
        };
        deliver(token, queue, io, |out| write::response(out, &busy, date));
        self.count(Some(route), Status::SERVICE_UNAVAILABLE, io.now());
    }

    /// The last answer of a connection whose cut request is one too many for the lane's memory.
    pub(super) fn overloaded(&mut self, token: Token, queue: &mut Queue, to_head: bool, io: &mut Io) {
        let why =
            "too many unfinished requests are held already: try again, and send the request without pauses";
        self.last_error(token, queue, Status::SERVICE_UNAVAILABLE, why, to_head, io);
    }

    fn fixed(&mut self, token: Token, queue: &mut Queue, fixed: Fixed, manner: Manner, io: &mut Io) {
        let Fixed { route, status, field, body } = fixed;
        let date = self.date.at(io.wall().0);
        let field = field.map(|field| [field]);
        let response = Response {
            fields: field.as_ref().map_or(&[], |field| field),
            content_type: Some("application/json").filter(|_| !body.is_empty()),
            ..manner.response(status, "", body.as_bytes())
        };
        deliver(token, queue, io, |out| write::response(out, &response, date));
        self.count(route, status, io.now());
    }

    /// An error that no request stands behind; the connection closes after it.
    fn last_error(
        &mut self,
        token: Token,
        queue: &mut Queue,
        status: Status,
        why: &str,
        omit_body: bool,
        io: &mut Io,
    ) {
        self.body.clear();
        error_body(&mut self.body, why);
        let manner = Manner { persistence: Persistence::Close, omit_body };
        let date = self.date.at(io.wall().0);
        let response = manner.response(status, "application/json", &self.body);
        deliver(token, queue, io, |out| write::response(out, &response, date));
        self.count(None, status, io.now());
    }

    fn count(&mut self, route: Option<usize>, status: Status, now: Time) {
        if self.answered == 0 {
            self.turn_began = now;
        }
        self.answered += 1;
        self.stats.answered(route, status);
    }
}

impl Manner {
    fn response<'a>(self, status: Status, content_type: &'a str, body: &'a [u8]) -> Response<'a> {
        let Manner { persistence, omit_body } = self;
        Response { status, fields: &[], content_type: Some(content_type), body, persistence, omit_body }
    }

    /// As the cache keeps answers: of these, nothing but the date has to change.
    fn is_usual(self) -> bool {
        self.persistence == Persistence::KeepAlive && !self.omit_body
    }

    fn write_known(self, out: &mut Vec<u8>, hit: Rendered<'_>, content_type: &str, date: &[u8; 29]) {
        if self.is_usual() {
            let at = out.len();
            out.extend_from_slice(hit.bytes);
            write::patch_date(&mut out[at..], Status::OK, date);
        } else {
            let body = &hit.bytes[usize::from(hit.body_at)..];
            write::response(out, &self.response(Status::OK, content_type, body), date);
        }
    }
}

/// Straight to the output, or rendered and queued behind a job.
fn deliver(token: Token, queue: &mut Queue, io: &mut Io, write: impl FnOnce(&mut Vec<u8>)) {
    match queue {
        None => write(io.out(token)),
        Some(waiting) => {
            let mut rendered = Vec::new();
            write(&mut rendered);
            waiting.push_ready(rendered);
        }
    }
}
