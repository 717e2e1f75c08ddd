//! Queues whose answer is in the textbook, and stalls whose answer is arithmetic.

use crate::play::{Play, THERE_AND_BACK, near};
use loadgen::schedule::ArrivalKind::{Constant, Poisson};
use loadgen::selftest::target::{Behaviour, Service};
use std::time::Duration;

const SERVICE: Duration = Duration::from_micros(100);

/// M/D/1: the mean wait is ρ s / (2 (1 − ρ)) (Pollaczek and Khinchine).
#[test]
fn random_arrivals_at_a_steady_server_wait_as_in_the_textbook() {
    for utilisation in [0.5, 0.8] {
        let rate = utilisation / SERVICE.as_secs_f64();
        let mut play = Play::new(Behaviour::Queue { service: Service::Fixed(SERVICE) }).rate(rate, Poisson);
        play.plan.duration = Some(Duration::from_secs(40));
        let played = play.run();
        let wait = utilisation * SERVICE.as_nanos() as f64 / (2.0 * (1.0 - utilisation));
        let known = (THERE_AND_BACK + SERVICE).as_nanos() as f64 + wait;
        near(played.response().0.mean(), known, 0.03, "mean response");
        assert_eq!(played.connection_wait().0.max(), 0, "64 connections are enough");
        played.adds_up();
    }
}

/// M/M/1: the response time is exponential with mean s / (1 − ρ), so that p99 is ln 100 of them.
#[test]
fn a_percentile_of_a_random_queue_is_the_textbooks() {
    let service = Service::Exponential { mean: SERVICE, seed: 3 };
    let utilisation = 0.5;
    let mut play = Play::new(Behaviour::Queue { service }).rate(utilisation / SERVICE.as_secs_f64(), Poisson);
    play.plan.duration = Some(Duration::from_secs(60));
    let played = play.run();
    let mean = SERVICE.as_nanos() as f64 / (1.0 - utilisation);
    let response = played.response();
    for (quantile, factor, within) in [(0.5, 2f64.ln(), 0.03), (0.99, 100f64.ln(), 0.05)] {
        let found = response.at(quantile) as f64 - THERE_AND_BACK.as_nanos() as f64;
        near(found, factor * mean, within, "percentile");
    }
}

/// Evenly spaced arrivals never wait where random ones do.
#[test]
fn constant_arrivals_hide_the_queue() {
    let behaviour = Behaviour::Queue { service: Service::Fixed(SERVICE) };
    let p99 = |kind| Play::new(behaviour.clone()).rate(8000.0, kind).run().response().at(0.99);
    let (constant, poisson) = (p99(Constant), p99(Poisson));
    near(constant as f64, (THERE_AND_BACK + SERVICE).as_nanos() as f64, 0.01, "constant");
    assert!(poisson > 3 * constant, "{poisson} against {constant}");
}

/// A closed loop keeps all connections in flight: throughput is the server's, and Little's law gives the rest.
#[test]
fn a_closed_loop_is_as_fast_as_its_server() {
    for pipeline in [1, 4] {
        let mut play = Play::new(Behaviour::Queue { service: Service::Fixed(SERVICE) });
        (play.plan.connections, play.plan.pipeline) = (16, pipeline);
        play.plan.warmup = Duration::from_secs(1);
        let played = play.run();
        let in_flight = (16 * pipeline) as f64;
        near(played.lane.totals.counts.completed_in_window as f64, 100_000.0, 0.001, "throughput");
        near(played.response().0.mean(), in_flight * SERVICE.as_nanos() as f64, 0.01, "response");
        near(played.lane.totals.in_flight_ns as f64 / 1e10, in_flight, 0.03, "in flight");
        played.adds_up();
    }
}

/// A freeze of 1 s in 10 s at 1000/s: of 10,000 requests, 1000 wait from 1 s down to nothing. So the longest 100 wait
/// 0.9 s and more: that is p99, however few connections there are. What a closed loop would have seen is in the
/// service time: one slow answer per connection.
#[test]
fn a_stall_is_seen_by_everybody_who_would_have_come() {
    for connections in [4, 2000] {
        let stall = Behaviour::Stall { at: Duration::from_secs(4), length: Duration::from_secs(1) };
        let mut play = Play::new(stall).rate(1000.0, Constant);
        play.plan.connections = connections;
        let played = play.run();
        assert_eq!(played.lane.totals.counts.completed, 10_000);
        near(played.response().at(0.99) as f64, 0.9e9, 0.01, "p99");
        near(played.response().at(0.95) as f64, 0.5e9, 0.06, "p95");
        near(played.response().0.max() as f64, 1.0e9, 0.01, "max");
        if connections == 4 {
            assert!(played.service().at(0.99) < 1_000_000, "four slow answers are not one in a hundred");
            near(played.connection_wait().at(0.99) as f64, 0.9e9, 0.01, "the wait is named");
        } else {
            near(played.service().at(0.99) as f64, 0.9e9, 0.01, "service");
        }
        // In the simulator a turn takes no time, so that nothing is late.
        assert_eq!(played.own_lag().0.max(), 0);
        played.adds_up();
    }
}

/// One connection and 10 ms for an answer serve 98 requests a second, whatever is asked for; and so they do for 2 s
/// behind the window, as long as an answer may take.
#[test]
fn a_rate_that_can_not_be_reached_is_told_and_nobody_is_forgotten() {
    let mut play = Play::new(Behaviour::Delay(Duration::from_millis(10))).rate(1000.0, Constant);
    play.plan.connections = 1;
    let played = play.run();
    let counts = played.lane.totals.counts;
    assert_eq!(counts.offered, 10_000);
    near(counts.sent as f64, 12.0 / 0.0102, 0.01, "sent");
    near(counts.completed_in_window as f64, 10.0 / 0.0102, 0.01, "completed");
    assert_eq!(played.errors("not sent: every connection was busy"), counts.failed);
    let offered: u64 = played.timeline.iter().map(|interval| interval.offered).sum();
    near(offered as f64, 10_000.0, 0.001, "offered over time");
    // Who never got a turn has waited until the end: those 8824 from 10.8 s down to 2 s.
    near(played.response().at(0.5) as f64, 6.3e9, 0.02, "median");
    played.adds_up();
}

/// Over a delay of 1 ms nothing is known of a request before; so the warm-up's answers come into the window, and the
/// window's into the time behind it. Each counts where it belongs.
#[test]
fn the_window_measures_what_is_due_in_it() {
    let mut play = Play::new(Behaviour::Delay(Duration::from_millis(500))).rate(100.0, Constant);
    (play.plan.warmup, play.plan.duration) = (Duration::from_secs(2), Some(Duration::from_secs(3)));
    let played = play.run();
    let counts = played.lane.totals.counts;
    assert_eq!((counts.offered, counts.completed), (300, 300));
    assert_eq!(counts.completed_in_window, 300);
    assert!(played.took >= Duration::from_millis(3490), "{:?}", played.took);
    near(played.lane.totals.in_flight_ns as f64 / 3e9, 50.02, 0.01, "in flight");
    played.adds_up();
}

#[test]
fn a_number_of_requests_is_that_number() {
    for rate in [None, Some((5000.0, Poisson))] {
        let mut play = Play::new(Behaviour::Delay(Duration::from_millis(1)));
        play.rate = rate;
        (play.plan.duration, play.plan.requests) = (None, Some(12_345));
        let played = play.run();
        assert_eq!(played.lane.totals.counts.completed, 12_345);
        assert_eq!(played.target.requests, 12_345);
        played.adds_up();
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let mut play = Play::new(Behaviour::Right).rate(2000.0, Poisson);
    play.faults = net::engine::sim::Faults::rough();
    let traces = [play.run().trace, play.run().trace];
    assert_eq!(traces[0], traces[1]);
    play.seed = 2;
    assert_ne!(play.run().trace, traces[0]);
}
