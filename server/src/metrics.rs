//! What the lanes publish, and its rendering as OpenMetrics text.

use crate::cache;
use crate::routes::Route;
use net::http1::{Reason, Status};
use net::stats::{Cell, EngineStats, TIME_BUCKETS, Times};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Every status that this server answers with; one series each.
pub const STATUSES: [Status; 17] = [
    Status::OK,
    Status::NO_CONTENT,
    Status::BAD_REQUEST,
    Status::NOT_FOUND,
    Status::METHOD_NOT_ALLOWED,
    Status::REQUEST_TIMEOUT,
    Status::LENGTH_REQUIRED,
    Status::CONTENT_TOO_LARGE,
    Status::URI_TOO_LONG,
    Status::UNSUPPORTED_MEDIA_TYPE,
    Status::EXPECTATION_FAILED,
    Status::UNPROCESSABLE_CONTENT,
    Status::FIELDS_TOO_LARGE,
    Status::INTERNAL_SERVER_ERROR,
    Status::NOT_IMPLEMENTED,
    Status::SERVICE_UNAVAILABLE,
    Status::VERSION_NOT_SUPPORTED,
];

/// Why a connection was closed by a time limit, in the order of [`LaneStats::timeouts`].
pub const TIMEOUTS: [&str; 4] = ["head", "body", "idle", "linger"];

/// What one lane counts.
pub struct LaneStats {
    /// What its engine counts.
    pub engine: Arc<EngineStats>,
    /// Answers by route (the last row: no route) and by the index in [`STATUSES`] (the last column: another).
    answers: Vec<[Cell; STATUSES.len() + 1]>,
    /// Refused messages by [`Reason::index`].
    pub refusals: [Cell; Reason::ALL.len()],
    /// Requests refused because the lane's cut requests held too much together.
    pub held_refusals: Cell,
    /// Time limits that ran out.
    pub timeouts: [Cell; TIMEOUTS.len()],
    /// From the turn that completed a request to the end of the turn that answered it.
    pub service: Times,
    /// Jobs handed to the background pool.
    pub jobs: Cell,
    /// Jobs refused because the pool's queue was full.
    pub jobs_refused: Cell,
    /// Replies whose connection was gone.
    pub jobs_orphaned: Cell,
    /// The cache's own counters.
    pub cache: CacheStats,
}

macro_rules! cache_stats {
    ($($field:ident)*) => {
        /// A lane's [`cache::Counters`], published.
        #[derive(Default)]
        pub struct CacheStats { $($field: Cell,)* }

        impl CacheStats {
            /// Publishes.
            pub fn publish(&self, counters: &cache::Counters) {
                $(self.$field.set(counters.$field as u64);)*
            }

            fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field.get()),)*].into_iter()
            }
        }
    };
}

cache_stats! { hits misses inserts replaced evictions expirations refused bytes entries }

/// What in [`CacheStats`] goes up and down.
const CACHE_GAUGES: [&str; 2] = ["bytes", "entries"];

impl LaneStats {
    /// For a lane that serves `routes`.
    pub fn new(routes: &[Route]) -> LaneStats {
        LaneStats {
            engine: Arc::default(),
            answers: (0..=routes.len()).map(|_| Default::default()).collect(),
            refusals: Default::default(),
            held_refusals: Cell::default(),
            timeouts: Default::default(),
            service: Times::default(),
            jobs: Cell::default(),
            jobs_refused: Cell::default(),
            jobs_orphaned: Cell::default(),
            cache: CacheStats::default(),
        }
    }

    /// Answers since the start.
    pub fn answers(&self) -> u64 {
        self.answers.iter().flatten().map(Cell::get).sum()
    }

    /// Counts an answer; `route` is an index into the lane's table.
    pub fn answered(&self, route: Option<usize>, status: Status) {
        let row = &self.answers[route.unwrap_or(self.answers.len() - 1)];
        let column = match status {
            Status::OK => 0,
            _ => STATUSES.iter().position(|s| *s == status).unwrap_or(STATUSES.len()),
        };
        row[column].one();
    }
}

/// What all lanes publish, for readers on any thread.
pub struct Shared {
    /// One for each lane.
    pub lanes: Vec<Arc<LaneStats>>,
    routes: &'static [Route],
    engine: &'static str,
    draining: AtomicBool,
}

impl Shared {
    /// For `lanes` lanes that serve `routes` on `engine`.
    pub fn new(lanes: usize, routes: &'static [Route], engine: &'static str) -> Arc<Shared> {
        let lanes = (0..lanes).map(|_| Arc::new(LaneStats::new(routes))).collect();
        Arc::new(Shared { lanes, routes, engine, draining: AtomicBool::new(false) })
    }

    /// Whether the server has been asked to end.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// From now on `/readyz` says 503.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Connections open now, on all lanes.
    pub fn open(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.engine.open()).sum()
    }
}

/// All numbers as OpenMetrics text.
pub fn render(shared: &Shared) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    // The collector borrows nothing: numbers are copied once, so that a scrape is one moment.
    registry.register_collector(Box::new(Snapshot::of(shared)));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

/// One series: its labels and its value.
type Series = (Vec<(&'static str, String)>, u64);

#[derive(Debug)]
struct Snapshot {
    families: Vec<Family>,
    service: Vec<(String, [u64; TIME_BUCKETS], f64)>,
}

#[derive(Debug)]
struct Family {
    name: String,
    help: String,
    kind: Kind,
    series: Vec<Series>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

impl Snapshot {
    fn of(shared: &Shared) -> Snapshot {
        let info =
            vec![("version", env!("CARGO_PKG_VERSION").to_owned()), ("engine", shared.engine.to_owned())];
        let mut families = vec![
            Family::new("corelane_build", "1, with what runs as labels", Kind::Gauge, vec![(info, 1)]),
            Family::new(
                "corelane_draining",
                "1 once the server has been asked to end",
                Kind::Gauge,
                vec![(vec![], u64::from(shared.is_draining()))],
            ),
            answers(shared),
            shared.per_lane("corelane_open_connections", "Connections open now", Kind::Gauge, |lane| {
                vec![(vec![], lane.engine.open())]
            }),
            shared.per_lane("corelane_refusals", "Requests refused, by reason", Kind::Counter, |lane| {
                let one = |reason: Reason| {
                    (vec![("reason", reason.label().to_owned())], lane.refusals[reason.index()].get())
                };
                Reason::ALL.into_iter().map(one).collect()
            }),
            shared.per_lane(
                "corelane_held_refusals",
                "Requests refused because the unfinished ones held too much",
                Kind::Counter,
                |lane| vec![(vec![], lane.held_refusals.get())],
            ),
            shared.per_lane(
                "corelane_timeouts",
                "Connections closed by a time limit",
                Kind::Counter,
                |lane| {
                    let one = |(n, kind): (usize, &&str)| {
                        (vec![("limit", (*kind).to_owned())], lane.timeouts[n].get())
                    };
                    TIMEOUTS.iter().enumerate().map(one).collect()
                },
            ),
            shared.per_lane(
                "corelane_background_jobs",
                "Jobs, by what became of them",
                Kind::Counter,
                |lane| {
                    let one = |what: &str, cell: &Cell| (vec![("outcome", what.to_owned())], cell.get());
                    vec![
                        one("taken", &lane.jobs),
                        one("refused", &lane.jobs_refused),
                        one("orphaned", &lane.jobs_orphaned),
                    ]
                },
            ),
        ];
        families.extend(named("corelane_cache", "Response cache", shared, &CACHE_GAUGES, |lane| {
            lane.cache.each().collect()
        }));
        families.extend(named("corelane_engine", "Engine", shared, &[], |lane| lane.engine.each().collect()));
        let service = shared.lanes.iter().enumerate().map(|(n, lane)| {
            let (buckets, sum) = lane.service.read();
            (n.to_string(), buckets, sum)
        });
        Snapshot { families, service: service.collect() }
    }
}

impl Shared {
    fn per_lane(
        &self,
        name: &str,
        help: &str,
        kind: Kind,
        read: impl Fn(&LaneStats) -> Vec<Series>,
    ) -> Family {
        let series = self.lanes.iter().enumerate().flat_map(|(n, lane)| {
            read(lane).into_iter().map(move |(mut labels, value)| {
                labels.insert(0, ("lane", n.to_string()));
                (labels, value)
            })
        });
        Family::new(name, help, kind, series.collect())
    }
}

/// One family for each of a lane's named numbers.
fn named(
    prefix: &str,
    what: &str,
    shared: &Shared,
    gauges: &[&str],
    read: impl Fn(&LaneStats) -> Vec<(&'static str, u64)>,
) -> Vec<Family> {
    let names = shared.lanes.first().map(|lane| read(lane)).unwrap_or_default();
    let family = |(at, (name, _)): (usize, &(&'static str, u64))| {
        let kind = if gauges.contains(name) { Kind::Gauge } else { Kind::Counter };
        let help = format!("{what}: {}", name.replace('_', " "));
        shared.per_lane(&format!("{prefix}_{name}"), &help, kind, |lane| vec![(vec![], read(lane)[at].1)])
    };
    names.iter().enumerate().map(family).collect()
}

fn answers(shared: &Shared) -> Family {
    shared.per_lane("corelane_requests", "Requests answered, by route and status", Kind::Counter, |lane| {
        let mut series = Vec::new();
        for (row, cells) in lane.answers.iter().enumerate() {
            let route = shared.routes.get(row).map_or("none", |route| route.path);
            for (column, cell) in cells.iter().enumerate().filter(|(_, cell)| cell.get() > 0) {
                let status = STATUSES.get(column).map_or("other".to_owned(), |s| s.code().to_string());
                series.push((vec![("route", route.to_owned()), ("status", status)], cell.get()));
            }
        }
        series
    })
}

impl Family {
    fn new(name: &str, help: &str, kind: Kind, series: Vec<Series>) -> Family {
        Family { name: name.to_owned(), help: help.to_owned(), kind, series }
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for Family { name, help, kind, series } in &self.families {
            let metric_type = match kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
            };
            let mut family = encoder.encode_descriptor(name, help, None, metric_type)?;
            for (labels, value) in series {
                let one = family.encode_family(labels)?;
                match kind {
                    Kind::Counter => ConstCounter::new(*value).encode(one)?,
                    Kind::Gauge => ConstGauge::new(i64::try_from(*value).unwrap_or(i64::MAX)).encode(one)?,
                }
            }
        }
        let help = "From the turn that completed a request to the end of the turn that answered it";
        let name = "corelane_service_time_seconds";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (lane, buckets, sum) in &self.service {
            let bounds: Vec<(f64, u64)> =
                buckets.iter().enumerate().map(|(n, count)| (upper_bound(n), *count)).collect();
            let labels = [("lane", lane.as_str())];
            let mut one = family.encode_family(&labels)?;
            one.encode_histogram::<prometheus_client::encoding::NoLabelSet>(
                *sum,
                buckets.iter().sum(),
                &bounds,
                None,
            )?;
        }
        Ok(())
    }
}

/// In seconds; see [`TIME_BUCKETS`].
fn upper_bound(bucket: usize) -> f64 {
    if bucket + 1 == TIME_BUCKETS { f64::INFINITY } else { (1u64 << bucket) as f64 / 1e6 }
}
