//! Entries of the access log, made on the lane and written elsewhere.

use super::front::Exchange;
use crate::fleet::{Fault, LaneStats, Server};
use crate::log::{Asked, Entry, Log};
use net::engine::Io;
use net::http1::{Head, Target, Version};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What an entry will say of its request, and whether it is one of the sample.
pub(super) struct Draft {
    asked: Asked,
    is_sampled: bool,
    /// The server that was tried last.
    pub(super) server: Option<Arc<Server>>,
}

/// A lane's part of the access log.
pub(super) struct Logging {
    log: Log,
    random: SmallRng,
}

impl Logging {
    pub(super) fn new(log: Log, seed: u64) -> Logging {
        Logging { log, random: SmallRng::seed_from_u64(seed) }
    }

    /// Notes what a request says of itself. Those that are not of the sample are noted too: an error of ours is always logged.
    pub(super) fn begin(&mut self, head: &Head<'_>, client: Option<IpAddr>, request_id: &[u8]) -> Box<Draft> {
        let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let asked = Asked {
            client,
            method: head.method.as_str().to_owned(),
            target: target(head.target),
            version: match head.version {
                Version::Http11 => "HTTP/1.1",
                Version::Http10 => "HTTP/1.0",
            },
            host: text(head.authority()),
            user_agent: text(head.field("user-agent")),
            referer: text(head.field("referer")),
            request_id: text(Some(request_id)),
        };
        let is_sampled = self.log.sample >= 1.0 || self.random.random::<f64>() < self.log.sample;
        Box::new(Draft { asked, is_sampled, server: None })
    }

    /// Of a request whose head is none, or did not come whole, nothing is known but who sent it.
    pub(super) fn begin_unread(client: Option<IpAddr>) -> Box<Draft> {
        let asked = Asked {
            client,
            method: String::new(),
            target: String::new(),
            version: "",
            host: String::new(),
            user_agent: String::new(),
            referer: String::new(),
            request_id: String::new(),
        };
        Box::new(Draft { asked, is_sampled: false, server: None })
    }

    /// A request has ended.
    pub(super) fn end(&mut self, exchange: &mut Exchange, fault: Option<Fault>, stats: &LaneStats, io: &Io) {
        let Some(draft) = exchange.log.take() else { return };
        if !draft.is_sampled && fault.is_none() {
            return;
        }
        let answered = exchange.latency_ns > 0;
        let entry = Entry {
            at: io.wall(),
            asked: draft.asked,
            status: exchange.status,
            fault,
            request_bytes: exchange.request_bytes,
            response_bytes: exchange.response_bytes,
            server: draft.server,
            tries: exchange.tries,
            waited: exchange.sent.since(exchange.began),
            latency: answered.then(|| Duration::from_nanos(exchange.latency_ns)),
            total: io.now().since(exchange.began),
        };
        if self.log.to.try_send(Box::new(entry)).is_err() {
            stats.log_dropped.one();
        }
    }
}

fn target(target: Target<'_>) -> String {
    let with_query = |path: &str, query: Option<&str>| match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    match target {
        Target::Origin { path, query } => with_query(path, query),
        Target::Absolute { authority, path, query } => {
            format!("http://{authority}{}", with_query(path, query))
        }
        Target::Authority(authority) => authority.to_owned(),
        Target::Asterisk => "*".to_owned(),
    }
}
