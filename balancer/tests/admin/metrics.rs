//! `/metrics`, read back line by line as a scraper does.

use super::fixture::{BEGAN, LANES, World, config, text};
use balancer::fleet::Fault;
use std::collections::{HashMap, HashSet};

/// What was scraped.
pub(crate) struct Scrape {
    /// Kind by name of the family.
    pub(crate) kinds: HashMap<String, String>,
    /// Value by series, as written.
    series: HashMap<String, f64>,
}

impl Scrape {
    /// Reads the text, and checks what OpenMetrics asks for.
    pub(crate) fn of(text: &str) -> Scrape {
        let mut scrape = Scrape { kinds: HashMap::new(), series: HashMap::new() };
        let mut helped = HashSet::new();
        let lines = text.strip_suffix("# EOF\n").expect("it has its end");
        let mut family = String::new();
        for line in lines.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a help");
                assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                assert!(scrape.kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {line}");
                assert!(helped.contains(name), "no help: {line}");
                family = name.to_owned();
            } else {
                let (series, value) = line.rsplit_once(' ').expect("a value");
                let series = series.trim_end_matches("{}");
                let name = series.split('{').next().expect("a name");
                let suffixes: &[&str] = match &scrape.kinds[&family][..] {
                    "counter" => &["_total"],
                    "gauge" => &[""],
                    "histogram" => &["_bucket", "_sum", "_count"],
                    kind => panic!("{kind}"),
                };
                assert!(suffixes.iter().any(|end| name == format!("{family}{end}")), "{line} in {family}");
                let value: f64 = value.parse().expect("a number");
                assert!(value.is_finite() && value >= 0.0, "{line}");
                assert!(scrape.series.insert(series.to_owned(), value).is_none(), "twice: {line}");
            }
        }
        scrape
    }

    fn get(&self, series: &str) -> f64 {
        *self.series.get(series).unwrap_or_else(|| panic!("no {series}"))
    }

    /// The sum of the series of this name whose labels have all of these in them.
    fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let is_it = |series: &str| {
            series.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'))
                && labels.iter().all(|label| series.contains(label))
        };
        self.series.iter().filter(|(series, _)| is_it(series)).map(|(_, value)| value).sum()
    }
}

fn scrape(world: &mut World) -> Scrape {
    let answer = world.get("/metrics");
    assert_eq!(answer.content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    Scrape::of(text(&answer))
}

#[test]
fn every_name_is_ours_and_every_series_is_there_from_the_start() {
    let new = scrape(&mut World::new(config()));
    let lived = scrape(&mut World::lived());
    assert!(new.kinds.keys().all(|name| name.starts_with("corelane_balancer_")));
    assert_eq!(new.kinds, lived.kinds);
    // What only some have: the checks of three servers.
    let extra = lived.series.keys().filter(|series| !new.series.contains_key(*series));
    assert!(extra.into_iter().all(|series| series.contains("_server_check_")));
}

#[test]
fn numbers_are_the_servers_own() {
    let mut world = World::lived();
    let seen = scrape(&mut world);
    for pool in &world.fleet.pools {
        for server in &pool.servers {
            let labels = [&format!("pool=\"{}\"", pool.name)[..], &format!("server=\"{}\"", server.name)];
            let sum = |name: &str| seen.sum(&format!("corelane_balancer_server_{name}"), &labels) as u64;
            assert_eq!(sum("tries_total"), server.sum(|lane| &lane.tries));
            assert_eq!(sum("connects_total"), server.sum(|lane| &lane.connects));
            assert_eq!(sum("reuses_total"), server.sum(|lane| &lane.reuses));
            assert_eq!(sum("connect_failures_total"), server.sum(|lane| &lane.connect_failures));
            assert_eq!(sum("connections"), server.sum(|lane| &lane.open));
            assert_eq!(sum("idle_connections"), server.sum(|lane| &lane.idle));
            assert_eq!(sum("sent_bytes_total"), server.sum(|lane| &lane.sent_bytes));
            assert_eq!(sum("received_bytes_total"), server.sum(|lane| &lane.received_bytes));
            let classes = (0..5).map(|class| server.sum(|lane| &lane.responses[class])).sum::<u64>();
            assert_eq!(sum("responses_total"), classes);
            assert_eq!(sum("latency_seconds_count"), server.latencies().total());
            assert_eq!(sum("state"), 1, "one state");
            assert_eq!(sum("admin"), 1, "one wish");
        }
    }
    let of_b = "{pool=\"web\",server=\"b\"";
    assert_eq!(
        seen.get(&format!("corelane_balancer_server_responses_total{of_b},class=\"5xx\"}}")),
        4.0 * 2.0 * 2.0
    );
    assert_eq!(seen.get(&format!("corelane_balancer_server_state{of_b},state=\"rising\"}}")), 1.0);
    assert_eq!(seen.get(&format!("corelane_balancer_server_effective_weight{of_b}}}")), 12.5);
    assert_eq!(seen.get(&format!("corelane_balancer_server_weight{of_b}}}")), 50.0);
    assert_eq!(seen.get("corelane_balancer_server_admin{pool=\"web\",server=\"d\",admin=\"drain\"}"), 1.0);
    assert_eq!(seen.get("corelane_balancer_server_in_flight{pool=\"web\",server=\"a\"}"), 17.0);
    assert_eq!(seen.get("corelane_balancer_server_in_flight_max{pool=\"web\",server=\"a\"}"), 64.0);
    assert!(
        !seen.series.contains_key(&format!("corelane_balancer_server_in_flight_max{of_b}}}")),
        "any number"
    );
    assert_eq!(seen.get("corelane_balancer_server_check_ok{pool=\"web\",server=\"c\"}"), 0.0);
    assert_eq!(
        seen.get("corelane_balancer_server_check_duration_seconds{pool=\"web\",server=\"a\"}"),
        0.0013
    );
    let socket = "{pool=\"api\",server=\"unix:/run/api.sock\",address=\"unix:/run/api.sock\"}";
    assert_eq!(seen.get(&format!("corelane_balancer_server{socket}")), 1.0);
}

#[test]
fn each_counter_is_under_its_own_name() {
    let mut world = World::new(config());
    let stats = &world.fleet.pools[0].servers[0].lanes[1];
    let cells = [
        ("tries", &stats.tries),
        ("connects", &stats.connects),
        ("reuses", &stats.reuses),
        ("connect_failures", &stats.connect_failures),
        ("breaks", &stats.breaks),
        ("timeouts", &stats.timeouts),
        ("malformed", &stats.malformed),
        ("retried", &stats.retried),
        ("sent_bytes", &stats.sent_bytes),
        ("received_bytes", &stats.received_bytes),
    ];
    cells.iter().enumerate().for_each(|(n, (_, cell))| cell.set(100 + n as u64));
    stats.open.set(7);
    stats.idle.set(6);
    let names = cells.map(|(name, _)| name);
    let lane = &world.fleet.lanes[1];
    lane.requests.set(1);
    lane.retries.set(2);
    lane.retries_refused.set(3);
    lane.log_dropped.set(4);
    lane.front_open.set(5);
    lane.active.set(6);
    lane.queued.set(7);
    lane.tunnels.set(8);
    lane.engine.spin_nanoseconds.set(1_500_000_000);
    Fault::ALL.iter().enumerate().for_each(|(n, _)| lane.faults[n].set(n as u64 + 1));
    world.fleet.pools[0].retries.store(9, std::sync::atomic::Ordering::Relaxed);
    let seen = scrape(&mut world);
    for (n, name) in names.iter().enumerate() {
        let series = format!("corelane_balancer_server_{name}_total{{pool=\"web\",server=\"a\"}}");
        assert_eq!(seen.get(&series), 100.0 + n as f64, "{series}");
    }
    assert_eq!(seen.get("corelane_balancer_server_connections{pool=\"web\",server=\"a\"}"), 7.0);
    assert_eq!(seen.get("corelane_balancer_server_idle_connections{pool=\"web\",server=\"a\"}"), 6.0);
    for (name, value) in [
        ("lane_requests_total", 1.0),
        ("lane_retries_total", 2.0),
        ("lane_retries_refused_total", 3.0),
        ("lane_log_dropped_total", 4.0),
        ("lane_front_connections", 5.0),
        ("lane_active_requests", 6.0),
        ("lane_queued_requests", 7.0),
        ("lane_tunnels", 8.0),
        ("engine_spin_seconds_total", 1.5),
    ] {
        assert_eq!(seen.get(&format!("corelane_balancer_{name}{{lane=\"1\"}}")), value, "{name}");
        assert_eq!(seen.get(&format!("corelane_balancer_{name}{{lane=\"0\"}}")), 0.0, "{name}");
    }
    for (n, fault) in Fault::ALL.iter().enumerate() {
        let series = format!("corelane_balancer_lane_faults_total{{lane=\"1\",fault=\"{}\"}}", fault.name());
        assert_eq!(seen.get(&series), n as f64 + 1.0);
    }
    assert_eq!(seen.get("corelane_balancer_pool_active_retries{pool=\"web\"}"), 9.0);
    let engine = world.fleet.lanes[0].engine.each().count();
    let engines = seen.kinds.keys().filter(|name| name.contains("_engine_")).count();
    assert_eq!(engines, engine, "every number of the engine");
    assert_eq!(seen.sum("corelane_balancer_lane_requests_total", &[]), 1.0);
    assert_eq!(seen.series.keys().filter(|series| series.contains("lane_requests")).count(), LANES);
}

#[test]
fn a_histogram_grows_to_its_count_in_octaves() {
    let seen = scrape(&mut World::lived());
    let prefix = "corelane_balancer_server_latency_seconds";
    let is_of_a = |series: &str| {
        series.starts_with(&format!("{prefix}_bucket")) && series.contains("pool=\"web\",server=\"a\"")
    };
    let mut buckets: Vec<(f64, f64)> = seen
        .series
        .iter()
        .filter(|(series, _)| is_of_a(series))
        .map(|(series, value)| {
            let end = series.split("le=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("an end");
            (if end == "+Inf" { f64::INFINITY } else { end.parse().expect("seconds") }, *value)
        })
        .collect();
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert_eq!(buckets.len(), balancer::fleet::OCTAVES);
    assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1));
    let ends: Vec<f64> = (0..27).map(|octave| f64::from(1u32 << octave) / 1e6).collect();
    assert_eq!(buckets[..27].iter().map(|bucket| bucket.0).collect::<Vec<_>>(), ends);
    let count = seen.get(&format!("{prefix}_count{{pool=\"web\",server=\"a\"}}"));
    assert_eq!(buckets[27], (f64::INFINITY, count));
    let mean = seen.get(&format!("{prefix}_sum{{pool=\"web\",server=\"a\"}}")) / count;
    assert!((0.000_5..0.01).contains(&mean), "seconds, not another unit: {mean}");
}

#[test]
fn the_process_and_the_pools_say_how_they_are() {
    let mut world = World::lived();
    let seen = scrape(&mut world);
    assert_eq!(seen.get("corelane_balancer_start_time_seconds"), BEGAN as f64);
    assert_eq!(seen.get("corelane_balancer_config_generation"), 0.0);
    assert_eq!(seen.get("corelane_balancer_config_reload_ok"), 1.0);
    assert_eq!(seen.get("corelane_balancer_draining"), 0.0);
    assert_eq!(seen.get("corelane_balancer_pool_servers{pool=\"web\"}"), 5.0);
    assert_eq!(seen.get("corelane_balancer_pool_servers_up{pool=\"web\"}"), 2.0);
    assert_eq!(seen.get("corelane_balancer_pool_failing_open{pool=\"web\"}"), 0.0);
    world.reload_error = Some("no".to_owned());
    world.is_draining = true;
    world.is_failing_open[0] = true;
    let seen = scrape(&mut world);
    assert_eq!(seen.get("corelane_balancer_config_reload_ok"), 0.0);
    assert_eq!(seen.get("corelane_balancer_draining"), 1.0);
    assert_eq!(seen.get("corelane_balancer_pool_failing_open{pool=\"web\"}"), 1.0);
    assert_eq!(seen.get("corelane_balancer_pool_failing_open{pool=\"api\"}"), 0.0);
}

#[test]
fn a_name_can_not_end_its_label() {
    let mut config = config();
    config.pools[1].servers[0].name = "a\"} 1\nevil{x=\"\\".to_owned();
    let seen = scrape(&mut World::new(config));
    assert_eq!(
        seen.get(r#"corelane_balancer_server_tries_total{pool="api",server="a\"} 1\nevil{x=\"\\"}"#),
        0.0
    );
}
