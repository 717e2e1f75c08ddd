//! Active checks: servers that die, hang, lie and come back, and what becomes of their weights.

use crate::hosts::{Manners, OK, UNAVAILABLE};
use crate::scene::{Scene, at, config, unchecked};
use balancer::config::Check;
use balancer::control::State;
use balancer::pick::WEIGHT_ONE;
use net::engine::sim::Faults;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use State::{Down, Rising, Up};

#[test]
fn a_server_that_dies_is_down_after_fall_checks_and_lanes_close_their_connections_to_it() {
    let mut scene = Scene::new(1, Faults::calm(), config(2), &OK);
    scene.until(4_100);
    assert_eq!(scene.states(), [Up, Up]);
    assert_eq!(scene.asked(0).len(), 3, "at once, and every two seconds");
    scene.world.kill(scene.targets[0]);
    // The next check is due at 6 s, and in doubt every half second.
    scene.until(6_900);
    assert_eq!(scene.states(), [Up, Up]);
    assert_eq!(scene.weights(), [WEIGHT_ONE, WEIGHT_ONE]);
    scene.until(7_100);
    assert_eq!(scene.states(), [Down, Up]);
    assert_eq!(scene.weights(), [0, WEIGHT_ONE]);
    let view = scene.view(0);
    assert_eq!(view.why, "3 checks in a row failed: connection refused");
    assert_eq!((view.failures, view.effective_weight), (1, 0.0));
    assert!(view.since >= at(7_000) && view.since < at(7_100));
    for &lane in &scene.lanes {
        assert_eq!(scene.world.program(lane).closed(), ["s0"]);
    }
}

#[test]
fn a_server_that_comes_back_is_checked_fast_and_gets_its_work_step_by_step() {
    let mut scene = Scene::new(2, Faults::calm(), config(2), &UNAVAILABLE);
    scene.set_manners(1, OK);
    scene.until(2_000);
    assert_eq!(scene.states(), [Down, Up]);
    assert_eq!(scene.view(0).why, "3 checks in a row failed: status 503");
    scene.server(0).load.took(Duration::from_secs(9));
    scene.set_manners(0, OK);
    // Down, it is checked every two seconds; once one was good, sooner.
    scene.until(3_600);
    assert_eq!(scene.state(0), Rising);
    assert_eq!(scene.server(0).load.latency_us(), 0, "how it was before tells nothing");
    let mut seen = Vec::new();
    while scene.state(0) == Rising {
        let load = &scene.server(0).load;
        seen.push((load.weight(), load.limit()));
        scene.world.run_for(Duration::from_millis(100));
    }
    assert_eq!(seen.first(), Some(&(26, 10)));
    assert!(seen.is_sorted());
    seen.dedup();
    assert_eq!(seen.len(), 20);
    assert_eq!((scene.state(0), scene.weights()[0], scene.server(0).load.limit()), (Up, WEIGHT_ONE, 100));
    assert_eq!(scene.view(0).failures, 1);
}

#[test]
fn a_check_asks_for_its_path_and_host_and_takes_the_statuses_that_are_expected() {
    let mut config = config(2);
    let check = config.pools[0].check.as_mut().expect("it has one");
    check.expect = vec![(204, 204), (503, 503)];
    let mut scene = Scene::new(3, Faults::calm(), config, &OK);
    scene.set_manners(1, UNAVAILABLE);
    scene.until(3_000);
    assert_eq!(scene.states(), [Down, Up]);
    assert_eq!((scene.said(0), scene.said(1)), ("status 200".to_owned(), "status 503".to_owned()));
    let sent = String::from_utf8_lossy(&scene.world.program(scene.targets[0]).last).into_owned();
    assert_eq!(
        sent,
        "GET /up HTTP/1.1\r\nhost: app.test\r\nconnection: close\r\nuser-agent: corelane-check\r\n\r\n"
    );
}

#[test]
fn a_check_without_a_path_is_a_connect_and_sends_nothing() {
    let mut config = config(1);
    config.pools[0].check = Some(Check { path: None, jitter: 0.0, ..Check::default() });
    let mut scene = Scene::new(4, Faults::calm(), config, &Manners::Hangs);
    scene.until(5_000);
    assert_eq!((scene.state(0), scene.said(0)), (Up, "connected".to_owned()));
    assert_eq!(scene.asked(0).len(), 3);
    assert_eq!(scene.world.program(scene.targets[0]).last, b"");
    assert_eq!(scene.world.program(scene.control).checks_running(), 0);
    scene.world.kill(scene.targets[0]);
    scene.until(9_000);
    assert_eq!((scene.state(0), scene.said(0)), (Down, "connection refused".to_owned()));
}

#[test]
fn a_bad_answer_says_what_was_bad() {
    for (manners, why) in [
        (Manners::Hangs, "no answer in 1s"),
        (Manners::Cuts, "closed without an answer"),
        (Manners::Says(b"SSH-2.0\r\n"), "malformed response: a response must begin with HTTP/"),
        (
            Manners::Says(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"),
            "response cut short: the connection ended inside a body",
        ),
    ] {
        let mut scene = Scene::new(5, Faults::calm(), config(1), &manners);
        scene.until(4_000);
        assert_eq!((scene.state(0), scene.said(0)), (Down, why.to_owned()), "{manners:?}");
        assert_eq!(scene.world.program(scene.targets[0]).open_max, 1, "one check at a time");
    }
    // Interim answers are none, and one may end with its connection.
    for bytes in [
        &b"HTTP/1.1 103 \r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..],
        b"HTTP/1.0 200 OK\r\n\r\nfine",
    ] {
        let mut scene = Scene::new(5, Faults::calm(), config(1), &Manners::Says(bytes));
        scene.until(4_000);
        assert_eq!((scene.state(0), scene.said(0)), (Up, "status 200".to_owned()));
    }
}

#[test]
fn a_server_that_hangs_takes_no_more_than_its_own_checks_and_comes_back_when_it_wakes() {
    let mut scene = Scene::new(6, Faults::calm(), config(2), &OK);
    scene.until(1_000);
    scene.world.hang(scene.targets[0]);
    scene.until(10_000);
    assert_eq!(scene.states(), [Down, Up]);
    assert_eq!(scene.asked(1).len(), 5, "the other is checked as ever");
    assert_eq!(scene.said(0), "no answer in 1s");
    scene.world.resume(scene.targets[0]);
    scene.until(13_000);
    assert_eq!(scene.state(0), Rising);
}

#[test]
fn a_server_that_wavers_is_in_doubt_and_stays_up() {
    let mut scene = Scene::new(7, Faults::calm(), config(1), &Manners::Wavers);
    scene.until(100_000);
    assert_eq!((scene.state(0), scene.view(0).failures), (Up, 0));
    // Every other interval is a fast one.
    assert_eq!(scene.asked(0).len(), 80);
    assert!(scene.world.program(scene.lanes[0]).mails.is_empty());
}

#[test]
fn jitter_keeps_the_checks_of_many_servers_apart_and_each_at_its_rate() {
    let mut config = config(50);
    config.pools[0].check.as_mut().expect("it has one").jitter = 0.2;
    let mut scene = Scene::new(8, Faults::calm(), config, &OK);
    scene.until(60_000);
    let mut first: Vec<_> = (0..50).map(|n| scene.asked(n)[0]).collect();
    first.sort();
    assert!(first[49] < at(410), "at once: {:?}", first[49]);
    assert!(first.windows(2).all(|pair| pair[0] < pair[1]), "in one instant");
    let mut buckets = vec![0; 6_000];
    for n in 0..50 {
        let asked = scene.asked(n);
        assert!((28..=33).contains(&asked.len()), "{}", asked.len());
        let apart: Vec<_> = asked.windows(2).map(|pair| pair[1].since(pair[0]).as_millis()).collect();
        assert!(apart.iter().all(|ms| (1_598..=2_402).contains(ms)), "{apart:?}");
        // Those of several balancers must not stay in step either, once they are.
        assert!(apart.iter().any(|ms| *ms < 1_900) && apart.iter().any(|ms| *ms > 2_100), "{apart:?}");
        asked.iter().for_each(|time| buckets[time.0 as usize / 10_000_000] += 1);
    }
    assert!(buckets.iter().all(|&count| count <= 6), "{:?}", buckets.iter().max());
}

#[test]
fn however_many_servers_hang_checks_are_bounded_and_every_server_has_its_turn() {
    let mut config = config(600);
    config.pools[0].check.as_mut().expect("it has one").fall = 1;
    let mut scene = Scene::new(9, Faults::calm(), config, &Manners::Hangs);
    let mut running_max = 0;
    scene.world.run_to(Duration::from_millis(3_500), |world| {
        running_max = running_max.max(world.program(scene.control).checks_running());
        false
    });
    assert_eq!(running_max, 256);
    assert!(scene.states().iter().all(|&state| state == Down));
    assert!((0..600).all(|n| scene.world.program(scene.targets[n]).open_max == 1));
}

#[test]
fn with_nothing_to_check_it_wakes_for_samples_alone() {
    let mut scene = Scene::new(14, Faults::calm(), unchecked(3), &OK);
    scene.until(100_100);
    assert_eq!(scene.samples.load(Relaxed), 20);
    let turns = scene.world.stats(scene.control).turns.get();
    assert!(turns <= 21, "{turns} turns");
}
