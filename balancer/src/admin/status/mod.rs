//! What the page and the API show, as JSON: `docs/balancer-admin.md` describes each field.
//!
//! In: a view, and the past. Out: plain data that serde writes; times in seconds, shares from 0 to 1, `null` for what is not known.
//! Never: a server's words untamed.

mod server;

use super::history::{COLUMNS_MAX, Flow, History};
use super::text::tame;
use crate::config::Balance;
use crate::control::{Admin, SAMPLE_EVERY, ServerView, State, View};
use crate::fleet::{Fault, LaneStats};
use net::stats::Cell;
use net::time::UnixSeconds;
use serde::Serialize;
use serde_json::{Map, Value};
use server::{Heat, ServerStatus, each, quantile};

/// What a view does not say.
pub(super) struct About<'a> {
    pub(super) engine: &'static str,
    pub(super) cores: &'a [usize],
    pub(super) started: UnixSeconds,
}

#[derive(Serialize)]
pub(super) struct Whole<'a> {
    balancer: Balancer,
    history: Columns,
    totals: Totals,
    lanes: Vec<Lane>,
    pools: Vec<PoolStatus<'a>>,
}

#[derive(Serialize)]
struct Balancer {
    version: &'static str,
    engine: &'static str,
    started: u64,
    now: u64,
    uptime_seconds: u64,
    generation: u64,
    is_draining: bool,
    reload_error: Option<String>,
}

#[derive(Serialize)]
struct Columns {
    column_seconds: u64,
    columns_max: usize,
    /// What to ask for as `since` next time.
    next: u64,
}

#[derive(Serialize)]
struct Totals {
    requests_per_second: Option<f64>,
    active: u64,
    queued: u64,
    tunnels: u64,
    front_connections: u64,
    /// Of the last minute: by name, those that happened.
    faults: Map<String, Value>,
    retries: u64,
    retries_refused: u64,
    log_dropped: u64,
}

#[derive(Serialize)]
struct Lane {
    lane: usize,
    core: Option<usize>,
    requests_per_second: Option<f64>,
    share: Option<f64>,
    active: u64,
    queued: u64,
    front_connections: u64,
}

#[derive(Serialize)]
struct PoolStatus<'a> {
    name: &'a str,
    balance: &'static str,
    servers_up: usize,
    is_failing_open: bool,
    in_flight: u64,
    requests_per_second: Option<f64>,
    errors_per_second: Option<f64>,
    error_share: Option<f64>,
    p50_seconds: Option<f64>,
    p99_seconds: Option<f64>,
    servers: Vec<ServerStatus<'a>>,
}

/// The list of servers.
#[derive(Serialize)]
pub(super) struct List<'a> {
    servers: Vec<ServerStatus<'a>>,
}

/// Everything that the page shows, with the columns from number `since` on.
pub(super) fn whole<'a>(about: &About<'_>, view: &'a View<'_>, history: &History, since: u64) -> Whole<'a> {
    let (totals, lanes) = lanes(about, view, history);
    let pools = view.fleet.pools.iter().enumerate();
    Whole {
        balancer: Balancer {
            version: env!("CARGO_PKG_VERSION"),
            engine: about.engine,
            started: about.started.0,
            now: view.wall.0,
            uptime_seconds: view.now.since(view.started).as_secs(),
            generation: view.fleet.generation,
            is_draining: view.is_draining,
            reload_error: view.reload_error.map(tame),
        },
        history: Columns {
            column_seconds: SAMPLE_EVERY.as_secs(),
            columns_max: COLUMNS_MAX,
            next: history.next(),
        },
        totals,
        lanes,
        pools: pools.map(|(at, _)| pool(view, history, at, since)).collect(),
    }
}

/// All servers, without their heat maps.
pub(super) fn servers<'a>(view: &'a View<'_>, history: &History) -> List<'a> {
    let of = |at: usize| each(view, at).map(move |one| one.status(view, history).0);
    List { servers: (0..view.fleet.pools.len()).flat_map(of).collect() }
}

/// The server with these indices, which were looked up in `view`.
pub(super) fn server<'a>(
    view: &'a View<'_>,
    history: &History,
    at: (usize, usize),
) -> Option<ServerStatus<'a>> {
    each(view, at.0).nth(at.1).map(|one| one.status(view, history).0)
}

fn pool<'a>(view: &'a View<'_>, history: &History, at: usize, since: u64) -> PoolStatus<'a> {
    let mut minute = Flow::default();
    let mut servers = Vec::new();
    for one in each(view, at) {
        let (mut status, flow) = one.status(view, history);
        status.heat = Some(Heat::of(one.server, history, since));
        minute.add(&flow);
        servers.push(status);
    }
    let pool = &view.fleet.pools[at];
    PoolStatus {
        name: &pool.name,
        balance: view.fleet.config.pools.get(at).map_or("", |pool| balance(pool.balance)),
        servers_up: servers_up(view, at),
        is_failing_open: view.is_failing_open.get(at).copied().unwrap_or_default(),
        in_flight: servers.iter().map(|server| u64::from(server.in_flight)).sum(),
        requests_per_second: sum(servers.iter().map(|server| server.requests_per_second)),
        errors_per_second: sum(servers.iter().map(|server| server.errors_per_second)),
        error_share: minute.failed_share(),
        p50_seconds: quantile(&minute, 0.5),
        p99_seconds: quantile(&minute, 0.99),
        servers,
    }
}

/// Of what is known; `None` if nothing is.
fn sum(rates: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    rates.flatten().reduce(|sum, rate| sum + rate)
}

/// Servers that work, and may: what an operator counts on.
pub(super) fn servers_up(view: &View<'_>, pool: usize) -> usize {
    let works =
        |seen: &&ServerView| matches!(seen.state, State::Up | State::Rising) && seen.admin == Admin::Ready;
    view.servers.get(pool).map_or(0, |seen| seen.iter().filter(works).count())
}

fn lanes(about: &About<'_>, view: &View<'_>, history: &History) -> (Totals, Vec<Lane>) {
    let stats = &view.fleet.lanes;
    let flow = history.lanes(view.fleet, view.now);
    let rate: Option<f64> = flow.rates.as_ref().map(|rates| rates.iter().sum());
    let sum = |cell: &dyn Fn(&LaneStats) -> &Cell| stats.iter().map(|lane| cell(lane).get()).sum();
    let faults = Fault::ALL.iter().zip(flow.faults).filter(|(_, count)| *count > 0);
    let totals = Totals {
        requests_per_second: rate,
        active: sum(&|lane| &lane.active),
        queued: sum(&|lane| &lane.queued),
        tunnels: sum(&|lane| &lane.tunnels),
        front_connections: sum(&|lane| &lane.front_open),
        faults: faults.map(|(fault, count)| (fault.name().to_owned(), count.into())).collect(),
        retries: flow.retries,
        retries_refused: flow.retries_refused,
        log_dropped: sum(&|lane| &lane.log_dropped),
    };
    let lane = |(n, lane): (usize, &LaneStats)| {
        let own = flow.rates.as_ref().and_then(|rates| rates.get(n).copied());
        Lane {
            lane: n,
            core: about.cores.get(n).copied(),
            requests_per_second: own,
            share: own.zip(rate).and_then(|(own, all)| (all > 0.0).then(|| own / all)),
            active: lane.active.get(),
            queued: lane.queued.get(),
            front_connections: lane.front_open.get(),
        }
    };
    (totals, stats.iter().enumerate().map(lane).collect())
}

/// As it is written in a configuration.
fn balance(balance: Balance) -> &'static str {
    match balance {
        Balance::Random => "random",
        Balance::RoundRobin => "round-robin",
        Balance::WeightedRoundRobin => "weighted-round-robin",
        Balance::Adaptive => "adaptive",
        Balance::LeastRequests => "least-requests",
        Balance::TwoChoices => "two-choices",
        Balance::HotCold => "hot-cold",
    }
}
