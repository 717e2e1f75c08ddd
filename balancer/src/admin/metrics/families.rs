//! Which metrics there are. `docs/balancer-admin.md` explains each, and a test compares.
//!
//! In: a view, and what the history summed. Out: families in the order of process, lanes, pools, servers; names with base units.
//! Never: a series for each request's anything: labels are pools, servers, lanes, and words of ours.

use super::super::history::History;
use super::super::status::servers_up;
use super::{Family, Histogram, Labels, Number, Series};
use crate::control::{Admin, ServerView, State, View};
use crate::fleet::{Fault, LaneStats, Pool, Server, ServerStats};
use net::stats::Cell;
use net::time::UnixSeconds;
use std::sync::Arc;

const PREFIX: &str = "corelane_balancer";
const STATES: [State; 5] = [State::Up, State::Rising, State::Ejected, State::Probation, State::Down];
const ADMINS: [Admin; 3] = [Admin::Ready, Admin::Drain, Admin::Maint];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

type Rows = Vec<(Labels, Number)>;

pub(super) fn all(
    engine: &'static str,
    started: UnixSeconds,
    view: &View<'_>,
    history: &History,
) -> Vec<Family> {
    let mut families = process(engine, started, view);
    families.extend(lanes(view));
    families.extend(pools(view));
    families.extend(servers(view, history));
    families
}

fn counter(name: &str, help: &str, rows: Rows) -> Family {
    Family { name: format!("{PREFIX}_{name}"), help: help.to_owned(), series: Series::Counters(rows) }
}

fn gauge(name: &str, help: &str, rows: Rows) -> Family {
    Family { name: format!("{PREFIX}_{name}"), help: help.to_owned(), series: Series::Gauges(rows) }
}

fn process(engine: &'static str, started: UnixSeconds, view: &View<'_>) -> Vec<Family> {
    let labels = vec![("version", env!("CARGO_PKG_VERSION").to_owned()), ("engine", engine.to_owned())];
    let one = |value: u64| vec![(Labels::new(), Number::Whole(value))];
    vec![
        gauge("build", "1, with what runs as labels", vec![(labels, Number::Whole(1))]),
        gauge("start_time_seconds", "When the process began, in Unix time", one(started.0)),
        gauge("draining", "1 once the process has been asked to end", one(view.is_draining.into())),
        gauge(
            "config_generation",
            "Configurations that were in use before this one",
            one(view.fleet.generation),
        ),
        gauge(
            "config_reload_ok",
            "0 if the last reload was refused, so that an older configuration is in use than the one on disk",
            one(view.reload_error.is_none().into()),
        ),
    ]
}

fn lanes(view: &View<'_>) -> Vec<Family> {
    let each = |read: &dyn Fn(&LaneStats) -> Number| {
        let row = |(n, lane): (usize, &LaneStats)| (vec![("lane", n.to_string())], read(lane));
        view.fleet.lanes.iter().enumerate().map(row).collect::<Rows>()
    };
    let cell = |cell: &dyn Fn(&LaneStats) -> &Cell| each(&|lane| Number::Whole(cell(lane).get()));
    let mut families = vec![
        counter("lane_requests", "Requests whose head was taken", cell(&|lane| &lane.requests)),
        counter(
            "lane_faults",
            "Requests that ended otherwise than by a response passed on whole",
            faults(view),
        ),
        gauge("lane_front_connections", "Client connections open now", cell(&|lane| &lane.front_open)),
        gauge("lane_active_requests", "Requests under way now", cell(&|lane| &lane.active)),
        gauge("lane_queued_requests", "Requests that wait for a place now", cell(&|lane| &lane.queued)),
        gauge("lane_tunnels", "Tunnels open now", cell(&|lane| &lane.tunnels)),
        counter("lane_retries", "Retries begun", cell(&|lane| &lane.retries)),
        counter(
            "lane_retries_refused",
            "Retries that the budget did not allow",
            cell(&|lane| &lane.retries_refused),
        ),
        counter(
            "lane_log_dropped",
            "Lines of the access log dropped because its writer did not keep up",
            cell(&|lane| &lane.log_dropped),
        ),
    ];
    let names = view.fleet.lanes.first().map(|lane| lane.engine.each().collect::<Vec<_>>());
    families.extend(names.unwrap_or_default().into_iter().enumerate().map(|(at, (name, _))| {
        let value = |lane: &LaneStats| lane.engine.each().nth(at).map_or(0, |(_, value)| value);
        let (name, rows) = match name.strip_suffix("_nanoseconds") {
            Some(of) => (format!("{of}_seconds"), each(&|lane| Number::Real(value(lane) as f64 / 1e9))),
            None => (name.to_owned(), each(&|lane| Number::Whole(value(lane)))),
        };
        counter(&format!("engine_{name}"), &format!("Engine: {}", name.replace('_', " ")), rows)
    }));
    families
}

fn faults(view: &View<'_>) -> Rows {
    let lanes = view.fleet.lanes.iter().enumerate();
    lanes
        .flat_map(|(n, lane)| {
            Fault::ALL.iter().zip(&lane.faults).map(move |(fault, count)| {
                let labels = vec![("lane", n.to_string()), ("fault", fault.name().to_owned())];
                (labels, Number::Whole(count.get()))
            })
        })
        .collect()
}

fn pools(view: &View<'_>) -> Vec<Family> {
    let each = |read: &dyn Fn(usize, &Pool) -> u64| {
        let row = |(at, pool): (usize, &Arc<Pool>)| {
            (vec![("pool", pool.name.clone())], Number::Whole(read(at, pool)))
        };
        view.fleet.pools.iter().enumerate().map(row).collect::<Rows>()
    };
    let retries = |_: usize, pool: &Pool| u64::from(pool.retries.load(std::sync::atomic::Ordering::Relaxed));
    let is_open = |at: usize, _: &Pool| view.is_failing_open.get(at).copied().unwrap_or_default().into();
    vec![
        gauge("pool_servers", "Servers of the pool", each(&|_, pool| pool.servers.len() as u64)),
        gauge(
            "pool_servers_up",
            "Of those, up or rising, and not taken out by an operator",
            each(&|at, _| servers_up(view, at) as u64),
        ),
        gauge(
            "pool_failing_open",
            "1 while too few servers work, so that all are used as if they did",
            each(&is_open),
        ),
        gauge("pool_active_retries", "Retries under way now", each(&retries)),
    ]
}

/// Each server with what is seen of it.
fn rows<'v>(view: &'v View<'_>) -> impl Iterator<Item = (&'v Arc<Server>, &'v ServerView)> {
    view.fleet.pools.iter().zip(view.servers).flat_map(|(pool, seen)| pool.servers.iter().zip(seen))
}

fn labels(server: &Server) -> Labels {
    vec![("pool", server.pool.clone()), ("server", server.name.clone())]
}

fn with(server: &Server, name: &'static str, value: &str) -> Labels {
    let mut labels = labels(server);
    labels.push((name, value.to_owned()));
    labels
}

fn servers(view: &View<'_>, history: &History) -> Vec<Family> {
    let seen = |read: &dyn Fn(&Server, &ServerView) -> Option<Number>| {
        let row = |(server, seen): (&Arc<Server>, &ServerView)| Some((labels(server), read(server, seen)?));
        rows(view).filter_map(row).collect::<Rows>()
    };
    let sum = |cell: &dyn Fn(&ServerStats) -> &Cell| seen(&|server, _| Some(Number::Whole(server.sum(cell))));
    let whole = |value: u32| Some(Number::Whole(value.into()));
    let limit = |server: &Server, _: &ServerView| {
        let limit = server.load.limit();
        (limit != u32::MAX).then_some(Number::Whole(limit.into()))
    };
    vec![
        gauge(
            "server",
            "1, with the address as a label",
            one_hot(view, "address", |server, _| vec![(server.address.to_string(), true)]),
        ),
        gauge(
            "server_state",
            "1 for the state that the server is in",
            one_hot(view, "state", |_, seen| {
                STATES.map(|state| (state.name().to_owned(), seen.state == state)).into()
            }),
        ),
        gauge(
            "server_admin",
            "1 for what the operator wants of the server",
            one_hot(view, "admin", |_, seen| {
                ADMINS.map(|admin| (admin.name().to_owned(), seen.admin == admin)).into()
            }),
        ),
        gauge(
            "server_state_since_seconds",
            "When the server came into its state, in Unix time",
            seen(&|_, seen| Some(Number::Whole(seen.since_wall.0))),
        ),
        counter(
            "server_failures",
            "Times that the server left the state up",
            seen(&|_, seen| Some(Number::Whole(seen.failures))),
        ),
        gauge(
            "server_weight",
            "Its weight, as configured or by command",
            seen(&|_, seen| whole(seen.weight)),
        ),
        gauge(
            "server_effective_weight",
            "What it gets of its weight now; 0: nothing new",
            seen(&|_, seen| Some(Number::Real(seen.effective_weight))),
        ),
        gauge(
            "server_in_flight",
            "Requests that it is working on",
            seen(&|server, _| whole(server.load.in_flight())),
        ),
        gauge(
            "server_in_flight_max",
            "Requests that it may work on at a time; absent: any number",
            seen(&limit),
        ),
        counter("server_tries", "Tries that were sent to it", sum(&|lane| &lane.tries)),
        counter("server_responses", "Responses passed on whole, by class of status", responses(view)),
        counter("server_retried", "Tries that were repeated elsewhere", sum(&|lane| &lane.retried)),
        counter("server_connects", "Connections opened to it", sum(&|lane| &lane.connects)),
        counter("server_reuses", "Tries over a connection that was there already", sum(&|lane| &lane.reuses)),
        counter(
            "server_connect_failures",
            "Connects refused, failed or timed out",
            sum(&|lane| &lane.connect_failures),
        ),
        counter("server_breaks", "Tries that it ended by closing or resetting", sum(&|lane| &lane.breaks)),
        counter("server_timeouts", "Tries that took too long", sum(&|lane| &lane.timeouts)),
        counter("server_malformed", "Tries whose response was no HTTP/1.1", sum(&|lane| &lane.malformed)),
        gauge("server_connections", "Connections to it, in use or idle", sum(&|lane| &lane.open)),
        gauge("server_idle_connections", "Of those, idle", sum(&|lane| &lane.idle)),
        counter("server_sent_bytes", "Bytes sent to it, heads and bodies", sum(&|lane| &lane.sent_bytes)),
        counter("server_received_bytes", "Bytes received from it", sum(&|lane| &lane.received_bytes)),
        latencies(view, history),
        gauge(
            "server_check_ok",
            "1 if the last active check was good; absent: none yet",
            seen(&|_, seen| seen.check.as_ref().map(|check| Number::Whole(check.is_good.into()))),
        ),
        gauge(
            "server_check_duration_seconds",
            "How long the last active check took",
            seen(&|_, seen| seen.check.as_ref().map(|check| Number::Real(check.took.as_secs_f64()))),
        ),
    ]
}

/// A series for each word, of which one is true.
fn one_hot(
    view: &View<'_>,
    label: &'static str,
    words: impl Fn(&Server, &ServerView) -> Vec<(String, bool)>,
) -> Rows {
    let row = |(server, seen): (&Arc<Server>, &ServerView)| {
        let one = |(word, is): (String, bool)| (with(server, label, &word), Number::Whole(is.into()));
        words(server, seen).into_iter().map(one).collect::<Rows>()
    };
    rows(view).flat_map(row).collect()
}

fn responses(view: &View<'_>) -> Rows {
    let of = |(server, _): (&Arc<Server>, &ServerView)| {
        let class = |(n, class): (usize, &&str)| {
            (with(server, "class", class), Number::Whole(server.sum(|lane| &lane.responses[n])))
        };
        CLASSES.iter().enumerate().map(class).collect::<Rows>()
    };
    rows(view).flat_map(of).collect()
}

fn latencies(view: &View<'_>, history: &History) -> Family {
    let of = |(server, _): (&Arc<Server>, &ServerView)| {
        let sum = server.sum(|lane| &lane.latency_sum_ns) as f64 / 1e9;
        (labels(server), Histogram { octaves: history.octaves(server), sum })
    };
    Family {
        name: format!("{PREFIX}_server_latency_seconds"),
        help: "From a request's head to the head of its response".to_owned(),
        series: Series::Histograms(rows(view).map(of).collect()),
    }
}
