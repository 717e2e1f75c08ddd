//! What operators see and ask for: API, metrics, status page, and the client of all that.
//!
//! In: one request at the admin address, and the [`View`] of the moment; every [`SAMPLE_EVERY`](crate::control::SAMPLE_EVERY) a view to remember.
//! Out: one [`Answer`]; for a change, a [`Command`] handed on. Never: a socket, a clock, a wait (only [`client`] has
//! those, in a process of its own), or a word on the page that is taken for markup.

pub mod client;
mod gate;
mod history;
mod metrics;
mod page;
mod route;
mod status;
mod text;

use crate::control::{Answer, Command, Desk, View};
use history::History;
use net::http1::{Method, Request, Status};
use net::time::UnixSeconds;
use route::{Change, Route, Weighing};
use serde::Serialize;

/// The type of everything but the page and the metrics.
const JSON: &str = "application/json";

/// Answers operators, and remembers what the page draws.
#[derive(Debug)]
pub struct Admin {
    engine: &'static str,
    cores: Vec<usize>,
    history: History,
    /// On the wall clock, as the first view had it: the difference of two clocks would waver by a second.
    started: Option<UnixSeconds>,
}

#[derive(Serialize)]
struct Problem<'a> {
    error: &'a str,
}

#[derive(Serialize)]
struct Probe {
    status: &'static str,
}

#[derive(Serialize)]
struct Done<'a> {
    done: &'a str,
}

impl Admin {
    /// For lanes on these `cores`, in their order, that run on `engine`.
    pub fn new(engine: &'static str, cores: Vec<usize>) -> Admin {
        Admin { engine, cores, history: History::default(), started: None }
    }

    fn decide(
        &mut self,
        request: &Request<'_>,
        view: &View<'_>,
        obey: &mut dyn FnMut(Command) -> Result<String, String>,
    ) -> Result<Answer, Refused> {
        let head = &request.head;
        let route = Route::find(head.target.path());
        // Before anything is told, that a path exists included. What machines ask for by any name is exempt.
        if !route.as_ref().is_some_and(Route::is_for_any_host) {
            gate::check_host(head)?;
        }
        let route = route.ok_or_else(|| Refused::new(Status::NOT_FOUND, NO_ROUTE))?;
        // HEAD is answered as GET; the writer leaves the content out.
        let method = if head.method == Method::Head { "GET" } else { head.method.as_str() };
        let allowed = route.methods();
        if !allowed.contains(&method) {
            return Err(Refused::method(head.method.as_str(), allowed));
        }
        match route {
            Route::Page => Ok(page::answer()),
            Route::Metrics => self.metrics(view),
            Route::Healthz => Ok(Answer::json(Status::OK, &Probe { status: "ok" })),
            Route::Readyz if view.is_draining => {
                Ok(Answer::json(Status::SERVICE_UNAVAILABLE, &Probe { status: "draining" }))
            }
            Route::Readyz => Ok(Answer::json(Status::OK, &Probe { status: "ready" })),
            Route::StatusJson => {
                let since = route::since(head.target.query())?;
                let started = self.started(view);
                let about = status::About { engine: self.engine, cores: &self.cores, started };
                Ok(Answer::json(Status::OK, &status::whole(&about, view, &self.history, since)))
            }
            Route::Servers => Ok(Answer::json(Status::OK, &status::servers(view, &self.history))),
            Route::Server { pool, server } => {
                let at = route::find_server(view, &pool, &server)?;
                Ok(Answer::json(Status::OK, &status::server(view, &self.history, at)))
            }
            Route::Change(change) => {
                gate::check_change(head)?;
                let command = command(change, request.body, view)?;
                let done = obey(command).map_err(|why| Refused::new(Status::CONFLICT, why))?;
                Ok(Answer::json(Status::OK, &Done { done: &text::tame(&done) }))
            }
        }
    }

    fn metrics(&mut self, view: &View<'_>) -> Result<Answer, Refused> {
        let started = self.started(view);
        match metrics::render(self.engine, started, view, &self.history) {
            Ok(text) => Ok(Answer {
                status: Status::OK,
                content_type: metrics::CONTENT_TYPE,
                fields: Vec::new(),
                body: text.into_bytes(),
            }),
            Err(_) => Err(Refused::new(Status::INTERNAL_SERVER_ERROR, "the metrics could not be rendered")),
        }
    }

    fn started(&mut self, view: &View<'_>) -> UnixSeconds {
        let uptime = view.now.since(view.started).as_secs();
        *self.started.get_or_insert(UnixSeconds(view.wall.0.saturating_sub(uptime)))
    }
}

impl Desk for Admin {
    fn answer(
        &mut self,
        request: &Request<'_>,
        view: &View<'_>,
        obey: &mut dyn FnMut(Command) -> Result<String, String>,
    ) -> Answer {
        let mut answer = self.decide(request, view, obey).unwrap_or_else(Refused::into_answer);
        answer.fields.push(("cache-control", "no-store".to_owned()));
        answer.fields.push(("x-content-type-options", "nosniff".to_owned()));
        answer
    }

    fn sample(&mut self, view: &View<'_>) {
        self.history.sample(view);
    }
}

const NO_ROUTE: &str = "there is no such path: / is the status page; /status.json, /servers, /servers/POOL/SERVER, \
    /metrics, /healthz and /readyz tell; /servers/POOL/SERVER/drain, /disable, /enable and /weight, and /reload change";

/// What a change asks for, with its names and its body looked at.
fn command(change: Change, body: &[u8], view: &View<'_>) -> Result<Command, Refused> {
    match change {
        Change::Reload => {
            route::read_nothing(body)?;
            Ok(Command::Reload)
        }
        Change::Set { pool, server, admin } => {
            route::find_server(view, &pool, &server)?;
            route::read_nothing(body)?;
            Ok(Command::Set { pool, server, admin })
        }
        Change::Weigh { pool, server } => {
            route::find_server(view, &pool, &server)?;
            let Weighing { weight } = route::read_weight(body)?;
            Ok(Command::Weigh { pool, server, weight })
        }
    }
}

impl Answer {
    /// Of what can be no failure: its keys are all strings.
    fn json(status: Status, content: &impl Serialize) -> Answer {
        let body = serde_json::to_vec(content).unwrap_or_default();
        Answer { status, content_type: JSON, fields: Vec::new(), body }
    }
}

/// Why something is not told or done. Becomes `{"error": ..}`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refused {
    status: Status,
    why: String,
    /// For 405.
    allow: Option<String>,
}

impl Refused {
    fn new(status: Status, why: impl Into<String>) -> Refused {
        Refused { status, why: why.into(), allow: None }
    }

    fn method(method: &str, allowed: &[&str]) -> Refused {
        // Who may GET may HEAD.
        let allow = allowed.join(", ").replace("GET", "GET, HEAD");
        let why = format!("{method} is not for this path: use {allow}");
        Refused { status: Status::METHOD_NOT_ALLOWED, why, allow: Some(allow) }
    }

    fn into_answer(self) -> Answer {
        let mut answer = Answer::json(self.status, &Problem { error: &text::tame(&self.why) });
        answer.fields.extend(self.allow.map(|allow| ("allow", allow)));
        answer
    }
}
