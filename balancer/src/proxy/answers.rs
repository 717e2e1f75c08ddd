//! The balancer's own answers: what it says when it does not pass a request on, or got no answer to pass back.

use super::front::{Coming, Front, Passing};
use super::logging::Logging;
use super::{Lane, Proxy, get, up};
use crate::config;
use crate::fleet::Fault;
use crate::forward::{NotPassedOn, Onward};
use net::engine::{Close, Io, Token};
use net::http1::{Asked, Persistence, Refusal, Status, Version, write};
use std::time::Duration;

/// One of our own answers.
pub(super) struct Own {
    pub(super) fault: Option<Fault>,
    status: Status,
    why: &'static str,
    /// For 405.
    allow: Option<&'static str>,
    /// In seconds.
    retry_after: Option<u64>,
}

impl Own {
    fn new(fault: Fault, status: Status, why: &'static str) -> Own {
        Own { fault: Some(fault), status, why, allow: None, retry_after: None }
    }

    /// Why a request is not passed on.
    pub(super) fn not_passed_on(why: NotPassedOn) -> Own {
        let fault = match why {
            NotPassedOn::NoRoute => Some(Fault::NoRoute),
            NotPassedOn::Method => Some(Fault::NotProxied),
            NotPassedOn::AskedUs => None,
            NotPassedOn::Loop => Some(Fault::Loop),
            NotPassedOn::BadRequest(_) => Some(Fault::BadRequest),
        };
        let allows = matches!(why, NotPassedOn::Method | NotPassedOn::AskedUs);
        Own {
            fault,
            status: why.status(),
            why: if fault.is_some() { why.why() } else { "" },
            allow: allows.then_some(NotPassedOn::ALLOW),
            retry_after: None,
        }
    }

    /// What a fault looks like to the client.
    pub(super) fn of_fault(fault: Fault, pool: Option<&config::Pool>) -> Own {
        let own = |status, why| Own::new(fault, status, why);
        let soon = |pool: Option<&config::Pool>| Some(pool.map_or(1, retry_after));
        match fault {
            Fault::NoServer => Own {
                retry_after: soon(pool),
                ..own(Status::SERVICE_UNAVAILABLE, "no server is available: try again later")
            },
            Fault::QueueFull => Own {
                retry_after: Some(1),
                ..own(Status::SERVICE_UNAVAILABLE, "every server is busy, and too many requests wait already")
            },
            Fault::QueueTimeout => Own {
                retry_after: Some(1),
                ..own(Status::SERVICE_UNAVAILABLE, "every server stayed busy for too long")
            },
            Fault::Draining => Own {
                retry_after: Some(1),
                ..own(Status::SERVICE_UNAVAILABLE, "the balancer is ending: try again")
            },
            Fault::NoSocket => Own {
                retry_after: Some(1),
                ..own(
                    Status::SERVICE_UNAVAILABLE,
                    "the balancer has no descriptor or port left for a connection",
                )
            },
            Fault::ConnectFailed => own(Status::BAD_GATEWAY, "the server could not be connected to"),
            Fault::ServerClosed | Fault::ResponseCut => {
                own(Status::BAD_GATEWAY, "the server closed the connection without a response")
            }
            Fault::BadResponse => {
                own(Status::BAD_GATEWAY, "the server sent something that is no HTTP/1.1 response")
            }
            Fault::ConnectTimeout => {
                own(Status::GATEWAY_TIMEOUT, "the server did not open a connection in time")
            }
            Fault::ResponseTimeout | Fault::ResponseStalled => {
                own(Status::GATEWAY_TIMEOUT, "the server did not respond in time")
            }
            Fault::RequestTimeout | Fault::ClientStalled => {
                own(Status::REQUEST_TIMEOUT, "the request did not arrive in time")
            }
            Fault::BadRequest | Fault::ClientGone => own(Status::BAD_REQUEST, "the request ended too early"),
            Fault::NoRoute => own(Status::NOT_FOUND, "no route takes this host and path"),
            Fault::NotProxied => own(Status::METHOD_NOT_ALLOWED, "this method is not passed on here"),
            Fault::Loop => own(Status::BAD_GATEWAY, "the request goes in circles"),
        }
    }
}

/// Seconds after which a server may be back: as long as its checks need to see it.
fn retry_after(pool: &config::Pool) -> u64 {
    let until_up = match &pool.check {
        Some(check) => check.fast_interval * check.rise,
        None => pool.passive.ejection.min(Duration::from_secs(10)),
    };
    until_up.as_secs().clamp(1, 60)
}

impl Proxy {
    /// Answers the request under way ourselves, and ends it. Its connection goes on if nothing of the request is still to come.
    pub(super) fn answer(&mut self, token: Token, own: Own, io: &mut Io) {
        let Some(front) = get(&mut self.fronts, token) else { return };
        let has_asked_all = front.has_asked_all();
        let exchange = &mut front.exchange;
        let keeps = exchange.coming == Coming::Complete
            && exchange.onward.keep_alive
            && !has_asked_all
            && self.lane.drain.is_off();
        let persistence = match (keeps, exchange.onward.version) {
            (false, _) => Persistence::Close,
            (true, Version::Http11) => Persistence::KeepAlive,
            (true, Version::Http10) => Persistence::KeepAliveExplicit,
        };
        let mut body = std::mem::take(&mut self.lane.body);
        body.clear();
        if !own.why.is_empty() {
            body.extend_from_slice(b"{\"error\":\"");
            body.extend_from_slice(own.why.as_bytes());
            body.extend_from_slice(b"\"}\n");
        }
        let seconds = own.retry_after.map(|seconds| seconds.to_string());
        let fields: Vec<(&str, &str)> = [("allow", own.allow), ("retry-after", seconds.as_deref())]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        let response = write::Response {
            status: own.status,
            fields: &fields,
            content_type: (!body.is_empty()).then_some("application/json"),
            body: &body,
            persistence,
            omit_body: exchange.onward.asked == Asked::Head,
        };
        let date = self.lane.date.at(io.wall().0);
        let out = io.out(token);
        let before = out.len();
        write::response(out, &response, date);
        exchange.status = own.status.code();
        exchange.response_bytes += (out.len() - before) as u64;
        self.lane.body = body;
        self.lane.end_exchange(token, exchange, own.fault, io);
        self.go_on(token, !keeps, io);
    }

    /// The client broke the protocol: it is told, and nothing more is read from it.
    pub(super) fn refuse(&mut self, token: Token, refusal: Refusal, io: &mut Io) {
        let Some(front) = get(&mut self.fronts, token) else { return };
        match front.exchange.stage {
            Passing::Answering | Passing::Tunnel => return self.cut(token, Fault::BadRequest, io),
            Passing::Idle => self.lane.begin_unread(front, io),
            _ => {}
        }
        front.exchange.coming = Coming::Unwanted;
        if let Some(back) = front.exchange.back {
            self.close_back_as(back, Close::Reset, io);
        }
        self.answer(token, Own::new(Fault::BadRequest, refusal.status, refusal.why), io);
    }

    /// The rest of a head did not come in time.
    pub(super) fn answer_late(&mut self, token: Token, io: &mut Io) {
        let Some(front) = get(&mut self.fronts, token) else { return };
        self.lane.begin_unread(front, io);
        front.exchange.coming = Coming::Unwanted;
        self.answer(token, Own::of_fault(Fault::RequestTimeout, None), io);
    }
}

impl Lane {
    /// A request of which no whole head came is to be answered.
    fn begin_unread(&mut self, front: &mut Front, io: &Io) {
        let asked = if front.http.asks_head() { Asked::Head } else { Asked::Other };
        front.exchange.begin(Onward::unread(asked), u32::MAX, 0, Vec::new(), io.now());
        front.exchange.log = self.logging.as_ref().map(|_| Logging::begin_unread(front.client.ip()));
        up(&self.stats().active);
    }
}
