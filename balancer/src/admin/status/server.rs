//! One server as JSON, alone or in a list, and its heat map.
//!
//! In: a server, what is seen of it, and its past. Out: plain data. Never: a number summed over lanes twice.

use super::super::history::{Column, Flow, History};
use super::super::text::tame;
use crate::control::{CheckView, ServerView, State, View};
use crate::fleet::{Pool, Server};
use net::time::Time;
use serde::Serialize;
use std::sync::Arc;

/// One server.
#[derive(Serialize)]
pub(in crate::admin) struct ServerStatus<'a> {
    pool: &'a str,
    name: &'a str,
    address: String,
    state: &'static str,
    admin: &'static str,
    why: String,
    since: u64,
    state_seconds: u64,
    /// To the end of an ejection.
    until_seconds: Option<u64>,
    failures: u64,
    weight: u32,
    configured_weight: u32,
    effective_weight: f64,
    pub(super) in_flight: u32,
    /// What it may have in flight now; `None`: any number.
    limit: Option<u32>,
    pub(super) requests_per_second: Option<f64>,
    pub(super) errors_per_second: Option<f64>,
    error_share: Option<f64>,
    p50_seconds: Option<f64>,
    p99_seconds: Option<f64>,
    connections_open: u64,
    connections_idle: u64,
    reuse_share: Option<f64>,
    check: Option<CheckStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) heat: Option<Heat>,
}

#[derive(Serialize)]
struct CheckStatus {
    is_good: bool,
    said: String,
    took_seconds: f64,
    age_seconds: f64,
}

#[derive(Serialize)]
pub(super) struct Heat {
    /// The number of the first column here.
    first: u64,
    columns: Vec<HeatColumn>,
}

/// What is usual is left out: most columns are short then.
#[derive(Serialize)]
struct HeatColumn {
    /// The octave of the first count: octave `n` ends at 2^n µs.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    counts: Vec<u32>,
    #[serde(skip_serializing_if = "is_zero")]
    failed: u32,
    #[serde(skip_serializing_if = "is_zero")]
    falls: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// One server with all that is known of it.
pub(super) struct One<'a> {
    pool: &'a Pool,
    pub(super) server: &'a Arc<Server>,
    seen: &'a ServerView,
    configured_weight: u32,
}

pub(super) fn each<'a>(view: &'a View<'_>, at: usize) -> impl Iterator<Item = One<'a>> {
    let pool: &Pool = &view.fleet.pools[at];
    let configured = view.fleet.config.pools.get(at).map_or(&[][..], |pool| &pool.servers);
    let seen = view.servers.get(at).map_or(&[][..], |seen| seen);
    let rows = pool.servers.iter().zip(seen).zip(configured);
    rows.map(move |((server, seen), configured)| One {
        pool,
        server,
        seen,
        configured_weight: configured.weight,
    })
}

impl<'a> One<'a> {
    /// What is shown, and what it did in the last minute.
    pub(super) fn status(&self, view: &View<'_>, history: &History) -> (ServerStatus<'a>, Flow) {
        let One { pool, server, seen, configured_weight } = self;
        let [now, minute] = history.flows(server, view.now);
        let limit = server.load.limit();
        let status = ServerStatus {
            pool: &pool.name,
            name: &server.name,
            address: server.address.to_string(),
            state: seen.state.name(),
            admin: seen.admin.name(),
            why: tame(&seen.why),
            since: seen.since_wall.0,
            state_seconds: view.now.since(seen.since).as_secs(),
            until_seconds: seen.until.map(|until| until.since(view.now).as_secs()),
            failures: seen.failures,
            weight: seen.weight,
            configured_weight: *configured_weight,
            effective_weight: seen.effective_weight,
            in_flight: server.load.in_flight(),
            limit: (limit != u32::MAX).then_some(limit),
            requests_per_second: now.tries_per_second(),
            errors_per_second: now.failed_per_second(),
            error_share: minute.failed_share(),
            p50_seconds: quantile(&minute, 0.5),
            p99_seconds: quantile(&minute, 0.99),
            connections_open: server.sum(|lane| &lane.open),
            connections_idle: server.sum(|lane| &lane.idle),
            reuse_share: minute.reuse_share(),
            check: seen.check.as_ref().map(|check| CheckStatus::of(check, view.now)),
            heat: None,
        };
        (status, minute)
    }
}

pub(super) fn quantile(flow: &Flow, share: f64) -> Option<f64> {
    flow.latencies.quantile(share).map(|time| time.as_secs_f64())
}

impl CheckStatus {
    fn of(check: &CheckView, now: Time) -> CheckStatus {
        CheckStatus {
            is_good: check.is_good,
            said: tame(&check.said),
            took_seconds: check.took.as_secs_f64(),
            age_seconds: now.since(check.at).as_secs_f64(),
        }
    }
}

impl Heat {
    /// The columns from number `since` on.
    pub(super) fn of(server: &Arc<Server>, history: &History, since: u64) -> Heat {
        let (first, columns) = history.columns(server, since);
        Heat { first, columns: columns.map(HeatColumn::of).collect() }
    }
}

impl HeatColumn {
    fn of(column: &Column) -> HeatColumn {
        let is_some = |count: &u32| *count > 0;
        let from = column.octaves.iter().position(is_some);
        let end = column.octaves.iter().rposition(is_some).map_or(0, |last| last + 1);
        HeatColumn {
            from,
            counts: from.map_or(Vec::new(), |from| column.octaves[from..end].to_vec()),
            failed: column.failed,
            falls: column.falls,
            state: (column.state != State::Up).then(|| column.state.name()),
        }
    }
}
