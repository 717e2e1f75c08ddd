//! What the page remembers: columns, minutes and totals, and what a reload does to them.

use super::fixture::{World, calm, config};
use balancer::control::State;
use serde_json::{Value, json};
use std::time::Duration;

fn server(whole: &Value, pool: usize, server: usize) -> &Value {
    &whole["pools"][pool]["servers"][server]
}

fn columns(whole: &Value, pool: usize, at: usize) -> (u64, Vec<Value>) {
    let heat = &server(whole, pool, at)["heat"];
    (heat["first"].as_u64().unwrap(), heat["columns"].as_array().unwrap().clone())
}

/// So many answers of `a` that take so long.
fn answer(world: &World, count: usize, took: Duration) {
    let stats = &world.fleet.pools[0].servers[0].lanes[1];
    for _ in 0..count {
        stats.latencies.record(took);
        stats.latency_sum_ns.add(took.as_nanos() as u64);
        stats.tries.one();
        stats.responses[1].one();
    }
}

fn pass(world: &mut World, seconds: u64) {
    world.uptime += Duration::from_secs(seconds);
    world.sample();
}

#[test]
fn a_column_has_what_came_since_the_last_sample() {
    let mut world = World::new(config());
    world.sample();
    answer(&world, 3, Duration::from_micros(1_500));
    answer(&world, 2, Duration::from_micros(5_000));
    world.fleet.pools[0].servers[0].lanes[0].responses[4].add(4);
    pass(&mut world, 5);
    pass(&mut world, 5);
    let (state, failures) = (State::Ejected, 2);
    world.servers[0][0].state = state;
    world.servers[0][0].failures = failures;
    answer(&world, 1, Duration::from_micros(3));
    pass(&mut world, 5);
    world.servers[0][0].state = State::Up;
    pass(&mut world, 5);
    let whole = world.json("/status.json");
    // 1,500 µs is in the octave that ends at 2^11 µs, 5,000 µs two above it, 3 µs in the one that ends at 2^2.
    let expected = vec![
        json!({}),
        json!({"from": 11, "counts": [3, 0, 2], "failed": 4}),
        json!({}),
        json!({"from": 2, "counts": [1], "falls": 2, "state": "ejected"}),
        json!({}),
    ];
    assert_eq!(columns(&whole, 0, 0), (0, expected));
    assert_eq!(columns(&whole, 0, 1), (0, vec![json!({}); 5]));
    assert_eq!(whole["history"], json!({"column_seconds": 5, "columns_max": 120, "next": 5}));
}

#[test]
fn the_oldest_columns_go_and_only_new_ones_are_sent_to_who_has_the_rest() {
    let mut world = World::new(config());
    for n in 0..300 {
        answer(&world, n, Duration::from_millis(1));
        pass(&mut world, 5);
    }
    let (first, all) = columns(&world.json("/status.json"), 0, 0);
    assert_eq!((first, all.len()), (180, 120));
    assert_eq!(all[119]["counts"], json!([299]));
    assert_eq!(columns(&world.json("/status.json?since=298"), 0, 0), (298, all[118..].to_vec()));
    assert_eq!(columns(&world.json("/status.json?since=300"), 0, 0), (300, vec![]));
    assert_eq!(columns(&world.json("/status.json?since=9999"), 0, 0), (9999, vec![]));
    assert_eq!(columns(&world.json("/status.json?since=7"), 0, 0), (180, all));
    for wrong in
        ["/status.json?since=", "/status.json?since=-1", "/status.json?until=3", "/status.json?since=1&x=2"]
    {
        assert_eq!(world.get(wrong).status.code(), 422, "{wrong}");
    }
}

#[test]
fn rates_are_of_the_last_seconds_and_quantiles_of_the_last_minute() {
    let mut world = World::new(config());
    world.sample();
    let whole = world.json("/status.json");
    for field in [
        "requests_per_second",
        "errors_per_second",
        "error_share",
        "p50_seconds",
        "p99_seconds",
        "reuse_share",
    ] {
        assert_eq!(server(&whole, 0, 0)[field], Value::Null, "{field} is not known yet");
    }
    assert_eq!(whole["totals"]["requests_per_second"], Value::Null);
    // An hour of slow answers, then a minute of 20 fast ones each 5 s, one in ten of them an error.
    for _ in 0..720 {
        answer(&world, 50, Duration::from_millis(900));
        pass(&mut world, 5);
    }
    for _ in 0..13 {
        answer(&world, 20, Duration::from_millis(1));
        let stats = &world.fleet.pools[0].servers[0].lanes[0];
        stats.timeouts.add(1);
        stats.breaks.add(1);
        stats.reuses.add(15);
        world.fleet.lanes[0].requests.add(10);
        world.fleet.lanes[1].requests.add(30);
        pass(&mut world, 5);
    }
    let whole = world.json("/status.json");
    let a = server(&whole, 0, 0);
    assert_eq!(a["requests_per_second"], json!(4.0));
    assert_eq!(a["errors_per_second"], json!(0.4));
    assert_eq!(a["error_share"], json!(0.1));
    assert_eq!(a["reuse_share"], json!(0.75));
    let p99 = a["p99_seconds"].as_f64().unwrap();
    assert!((0.001..0.001_2).contains(&p99), "the slow hour is over: {p99}");
    assert_eq!(whole["pools"][0]["p99_seconds"], a["p99_seconds"]);
    assert_eq!(whole["pools"][0]["requests_per_second"], json!(4.0));
    assert_eq!(whole["pools"][0]["error_share"], json!(0.1));
    assert_eq!(whole["totals"]["requests_per_second"], json!(8.0));
    assert_eq!(whole["lanes"][1]["share"], json!(0.75));
    assert_eq!(whole["lanes"][1]["core"], json!(3));
    assert_eq!(server(&world.json("/status.json"), 0, 1)["p50_seconds"], Value::Null, "b had nothing to do");
}

#[test]
fn a_connect_that_failed_counts_as_an_attempt_that_failed() {
    let mut world = World::new(config());
    world.sample();
    answer(&world, 6, Duration::from_millis(1));
    let stats = &world.fleet.pools[0].servers[0].lanes[0];
    stats.connect_failures.add(1);
    stats.malformed.add(1);
    stats.responses[4].add(1);
    stats.tries.add(2);
    pass(&mut world, 5);
    assert_eq!(server(&world.json("/status.json"), 0, 0)["error_share"], json!(3.0 / 9.0));
}

#[test]
fn faults_and_retries_are_of_the_last_minute() {
    let mut world = World::new(config());
    world.fleet.lanes[1].faults[balancer::fleet::Fault::QueueFull as usize].add(5);
    world.fleet.lanes[0].retries.add(9);
    world.sample();
    world.fleet.lanes[0].faults[balancer::fleet::Fault::NoServer as usize].add(2);
    world.fleet.lanes[1].faults[balancer::fleet::Fault::NoServer as usize].add(1);
    world.fleet.lanes[0].retries.add(4);
    world.fleet.lanes[1].retries_refused.add(3);
    let totals = world.json("/status.json")["totals"].clone();
    assert_eq!(totals["faults"], json!({"no-server": 3}));
    assert_eq!((&totals["retries"], &totals["retries_refused"]), (&json!(4), &json!(3)));
    (0..12).for_each(|_| pass(&mut world, 5));
    assert_eq!(world.json("/status.json")["totals"]["faults"], json!({"no-server": 3}), "60 s ago");
    pass(&mut world, 5);
    assert_eq!(world.json("/status.json")["totals"]["faults"], json!({}), "65 s ago");
}

#[test]
fn a_server_that_stays_over_a_reload_keeps_its_past_and_another_begins_anew() {
    let mut world = World::new(config());
    world.sample();
    answer(&world, 7, Duration::from_millis(1));
    pass(&mut world, 5);
    let mut next = config();
    // `b` moves, `c` goes, and a new one comes first.
    let moved = next.pools[0].servers.remove(2);
    next.pools[0].servers[1].address = "127.0.0.1:7001".parse().unwrap();
    next.pools[0].servers.insert(0, balancer::config::Server { name: "new".to_owned(), ..moved });
    world.fleet = world.fleet.next(next);
    world.servers[0] = (0..5).map(|_| calm(1)).collect();
    let whole = world.json("/status.json");
    assert_eq!(whole["balancer"]["generation"], json!(1));
    assert_eq!(columns(&whole, 0, 0), (2, vec![]), "new, and not sampled yet");
    assert_eq!(columns(&whole, 0, 1), (0, vec![json!({}), json!({"from": 10, "counts": [7]})]), "a stays");
    assert_eq!(columns(&whole, 0, 2), (2, vec![]), "b is another");
    world.fleet.pools[0].servers[0].lanes[0].timeouts.add(2);
    world.servers[0][0].failures = 1;
    pass(&mut world, 5);
    pass(&mut world, 5);
    let whole = world.json("/status.json");
    let begun = json!({"failed": 2, "falls": 1});
    assert_eq!(
        columns(&whole, 0, 0),
        (2, vec![begun, json!({})]),
        "what was before its first sample counts too"
    );
    assert_eq!(columns(&whole, 0, 1).1.len(), 4);
    // What is gone is not held.
    let gone = std::sync::Arc::downgrade(&world.fleet.pools[0].servers[1]);
    let mut without = config();
    without.pools[0].servers.remove(0);
    world.fleet = world.fleet.next(without);
    world.servers[0].pop();
    assert!(gone.upgrade().is_some());
    world.sample();
    assert!(gone.upgrade().is_none(), "the history forgot it");
}

#[test]
fn the_histogram_of_the_metrics_is_the_sum_of_all_that_was() {
    let mut world = World::new(config());
    answer(&world, 5, Duration::from_millis(1));
    world.sample();
    for n in 0..40 {
        answer(&world, n, Duration::from_micros(100 << (n % 3)));
        pass(&mut world, 5);
    }
    answer(&world, 11, Duration::from_secs(1));
    let text = String::from_utf8(world.get("/metrics").body).unwrap();
    let count = "corelane_balancer_server_latency_seconds_count{pool=\"web\",server=\"a\"} ";
    let count = text.lines().find_map(|line| line.strip_prefix(count)).unwrap();
    assert_eq!(count, (5 + (0..40).sum::<usize>() + 11).to_string());
}
