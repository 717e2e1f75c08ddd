//! What live traffic says: ejection, probation, and checks that look after it.

use crate::hosts::OK;
use crate::scene::{Scene, at, config, unchecked};
use balancer::config::Balance;
use balancer::control::{Mail, State};
use balancer::fleet::{Fleet, Outcome, Server};
use balancer::pick::WEIGHT_ONE;
use net::engine::sim::Faults;
use std::time::Duration;

use State::{Down, Ejected, Probation, Rising, Up};

#[test]
fn failures_of_live_traffic_eject_a_server_and_single_requests_bring_it_back() {
    let mut scene = Scene::new(10, Faults::calm(), unchecked(3), &OK);
    scene.until(1_000);
    let server = scene.server(0);
    let told: Vec<bool> = (0..3).map(|_| scene.see(&server, Outcome::Broke)).collect();
    assert_eq!(told, [false, false, true]);
    assert_eq!(scene.states(), [Ejected, Up, Up]);
    assert_eq!(scene.weights(), [0, WEIGHT_ONE, WEIGHT_ONE]);
    assert_eq!(scene.world.program(scene.lanes[1]).closed(), ["s0"]);
    let until = scene.view(0).until.expect("an ejection ends");
    assert!(until > at(6_000) && until < at(6_020), "{until:?}");
    scene.until(6_100);
    assert_eq!(scene.state(0), Probation);
    assert_eq!((scene.weights()[0], server.load.limit()), (WEIGHT_ONE, 1));
    assert!(scene.see(&server, Outcome::Answered(200)), "every outcome is told now");
    assert!(scene.see(&server, Outcome::Answered(404)));
    assert_eq!(scene.state(0), Probation);
    assert!(scene.see(&server, Outcome::Answered(200)));
    assert_eq!((scene.state(0), server.load.limit()), (Rising, 10));
    assert!(!scene.see(&server, Outcome::Answered(200)), "and no longer");
}

#[test]
fn a_failure_on_probation_ejects_for_twice_as_long() {
    let mut scene = Scene::new(11, Faults::calm(), unchecked(3), &OK);
    scene.until(1_000);
    let server = scene.server(0);
    scene.see_three(&server, Outcome::Broke);
    scene.until(6_100);
    scene.see(&server, Outcome::TimedOut);
    assert_eq!(scene.state(0), Ejected);
    scene.until(16_000);
    assert_eq!(scene.state(0), Ejected);
    scene.until(16_200);
    assert_eq!(scene.state(0), Probation);
}

#[test]
fn what_traffic_finds_checks_look_after_soon() {
    let mut scene = Scene::new(12, Faults::calm(), config(3), &OK);
    scene.until(2_100);
    scene.world.kill(scene.targets[0]);
    let server = scene.server(0);
    scene.see_three(&server, Outcome::ConnectFailed);
    assert_eq!(scene.state(0), Ejected);
    // By itself the next check would come at 4 s.
    scene.until(2_700);
    assert_eq!((scene.state(0), scene.said(0)), (Down, "connection refused".to_owned()));
}

#[test]
fn a_server_that_is_not_of_the_fleet_is_nobody() {
    let mut scene = Scene::new(13, Faults::calm(), unchecked(2), &OK);
    scene.until(100);
    let stranger = Fleet::new(unchecked(2), 2).pools[0].servers[0].clone();
    scene.mail(Mail::Told { server: stranger, outcome: Outcome::Broke, took: Duration::ZERO });
    assert_eq!(scene.states(), [Up, Up]);
}

#[test]
fn an_adaptive_pool_takes_work_from_the_server_that_is_slower_and_leaves_others_their_weights() {
    for (balance, adapts) in [(Balance::Adaptive, true), (Balance::WeightedRoundRobin, false)] {
        let mut config = unchecked(3);
        config.pools[0].balance = balance;
        let mut scene = Scene::new(14, Faults::calm(), config, &OK);
        for quarter in 1..=40 {
            for (n, ms) in [(0, 10), (1, 10), (2, 50)] {
                answer(&scene.server(n), 100, Duration::from_millis(ms));
            }
            scene.until(quarter * 250 + 1);
        }
        let weights = scene.weights();
        assert_eq!(weights[2] < weights[0] / 3, adapts, "{weights:?}");
        assert_eq!(weights[0] > WEIGHT_ONE, adapts, "{weights:?}");
        // A server that comes back is small because it was away, and the rule does not mend that.
        let server = scene.server(1);
        scene.see_three(&server, Outcome::Broke);
        scene.until(15_200);
        (0..3).for_each(|_| {
            scene.see(&server, Outcome::Answered(200));
        });
        assert_eq!(scene.state(1), Rising);
        for quarter in 1..=36 {
            for (n, count, ms) in [(0, 150, 10), (1, 10, 10), (2, 30, 50)] {
                answer(&scene.server(n), count, Duration::from_millis(ms));
            }
            scene.until(15_200 + quarter * 250);
            let weights = scene.weights();
            assert!(weights[1] < weights[0], "{weights:?}");
        }
    }
}

#[test]
fn in_an_adaptive_pool_fast_failures_do_not_look_like_speed() {
    let mut config = unchecked(3);
    config.pools[0].balance = Balance::Adaptive;
    config.pools[0].passive.errors_5xx = 0;
    let mut scene = Scene::new(15, Faults::calm(), config, &OK);
    for quarter in 1..=20 {
        [0, 1].into_iter().for_each(|n| answer(&scene.server(n), 100, Duration::from_millis(10)));
        scene.server(2).lanes[1].breaks.add(100);
        scene.until(quarter * 250 + 1);
    }
    let weights = scene.weights();
    assert!(weights[2] < weights[0] / 2, "{weights:?}");
}

/// A lane passes so many answers on, each of which took so long.
fn answer(server: &Server, count: u64, took: Duration) {
    let lane = &server.lanes[0];
    lane.responses[1].add(count);
    lane.latency_sum_ns.add(count * took.as_nanos() as u64);
}
