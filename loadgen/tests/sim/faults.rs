//! Servers and networks that fail: each kind is counted as what it is, and nothing is lost.

use crate::play::{Play, near};
use loadgen::schedule::ArrivalKind::{Constant, Poisson};
use loadgen::selftest::target::Behaviour;
use loadgen::workload::Kind;
use net::engine::sim::Faults;
use std::time::Duration;

#[test]
fn an_answer_that_never_comes_is_a_timeout_and_in_the_tail() {
    let play = Play::new(Behaviour::Drop { every: 1000 }).rate(1000.0, Constant);
    let played = play.run();
    let counts = played.lane.totals.counts;
    assert_eq!((counts.timeouts, counts.failed), (10, 10));
    assert_eq!(played.errors("timeout"), 10);
    // Each limit fires up to a 32nd of its length late.
    near(played.response().0.max() as f64, 2.03e9, 0.02, "max");
    played.adds_up();
}

#[test]
fn a_server_that_says_nothing_is_waited_for_and_no_longer() {
    let mut play = Play::new(Behaviour::Silent);
    play.plan.duration = Some(Duration::from_secs(5));
    let played = play.run();
    let counts = played.lane.totals.counts;
    assert_eq!(counts.completed, 0);
    assert!(counts.timeouts >= 2 * 64, "{counts:?}");
    assert!(played.took < Duration::from_secs(8), "{:?}", played.took);
    played.adds_up();
}

#[test]
fn a_wrong_sum_is_caught_each_time() {
    for kind in [Kind::Add, Kind::Ledger] {
        let mut play = Play::new(Behaviour::Corrupt { every: 77 }).rate(2000.0, Poisson);
        play.kind = kind;
        let played = play.run();
        assert!(played.target.corrupted > 200);
        assert_eq!(played.lane.totals.counts.wrong, played.target.corrupted);
        played.adds_up();
    }
}

#[test]
fn answers_that_go_to_the_wrong_connection_are_swapped() {
    let mut play = Play::new(Behaviour::Swap { every: 50 }).rate(2000.0, Poisson);
    play.kind = Kind::Ledger;
    let played = play.run();
    let ledger = played.lane.ledger.unwrap();
    assert!(played.target.swapped > 200, "{:?}", played.target);
    assert_eq!(played.lane.totals.counts.wrong, played.target.swapped);
    assert_eq!(ledger.swapped + ledger.duplicated, played.target.swapped, "{ledger:?}");
    assert_eq!((ledger.corrupted, ledger.lost), (0, 0));
    played.adds_up();
}

#[test]
fn an_answer_that_was_given_before_is_a_duplicate() {
    let mut play = Play::new(Behaviour::Duplicate { every: 50 }).rate(2000.0, Poisson);
    play.kind = Kind::Ledger;
    let played = play.run();
    let ledger = played.lane.ledger.unwrap();
    assert!(played.target.duplicated > 200, "{:?}", played.target);
    assert_eq!(ledger.duplicated, played.target.duplicated);
    assert_eq!(played.lane.totals.counts.wrong, played.target.duplicated);
}

#[test]
fn a_request_without_an_answer_is_lost() {
    let mut play = Play::new(Behaviour::Drop { every: 1000 }).rate(1000.0, Constant);
    play.kind = Kind::Ledger;
    assert_eq!(play.run().lane.ledger.unwrap().lost, 10);
}

#[test]
fn an_answer_that_ends_in_its_middle_is_cut_short() {
    let played = Play::new(Behaviour::CloseMidAnswer { every: 100 }).rate(1000.0, Constant).run();
    assert!(played.target.cut >= 99);
    assert_eq!(played.errors("answer cut short"), played.target.cut);
    assert_eq!(played.lane.totals.counts.failed, played.target.cut);
    played.adds_up();
}

#[test]
fn what_is_not_http_is_named() {
    for (behaviour, kind) in
        [(Behaviour::NotHttp, "the answer is not HTTP"), (Behaviour::Tls, "the server speaks TLS")]
    {
        let mut play = Play::new(behaviour);
        play.plan.duration = Some(Duration::from_secs(2));
        let played = play.run();
        assert!(played.errors(kind) > 0, "{:?}", played.lane.totals.errors);
        assert_eq!(played.lane.totals.counts.completed, 0);
        // It is tried again, and not in a mad rush.
        assert!(played.target.connections < 2000, "{:?}", played.target);
        played.adds_up();
    }
}

#[test]
fn a_status_that_is_not_expected_is_wrong_and_counted() {
    let played = Play::new(Behaviour::Status(503)).rate(1000.0, Constant).run();
    assert_eq!(played.lane.totals.statuses, [(503, 10_000)]);
    assert_eq!(played.errors("status 503"), 10_000);
    assert_eq!(played.lane.totals.counts.wrong, 10_000);
}

#[test]
fn a_server_that_closes_after_some_answers_costs_nothing_but_connections() {
    let played = Play::new(Behaviour::CloseAfter(10)).rate(1000.0, Constant).run();
    assert_eq!(played.lane.totals.counts.completed, 10_000);
    assert!(played.lane.totals.counts.connections_opened >= 1000);
    played.adds_up();
}

#[test]
fn connections_can_be_used_a_few_times_only() {
    for (each, pipeline) in [(1, 1), (7, 1), (10, 4)] {
        let mut play = Play::new(Behaviour::Right).rate(1000.0, Constant);
        (play.plan.requests_per_connection, play.plan.pipeline) = (Some(each), pipeline);
        let played = play.run();
        assert_eq!(played.lane.totals.counts.completed, 10_000, "{each}");
        assert!(played.target.connections >= 10_000 / each, "{:?}", played.target);
        assert!(played.target.connections <= 10_000 / each + 64, "{:?}", played.target);
        played.adds_up();
    }
}

#[test]
fn connections_are_made_at_the_rate_that_was_asked_for() {
    let mut play = Play::new(Behaviour::Right).rate(100.0, Constant);
    (play.plan.connections, play.plan.connections_per_second) = (1000, Some(50.0));
    let played = play.run();
    assert!((495..=505).contains(&played.target.connections), "{:?}", played.target);
    assert_eq!(played.lane.totals.counts.completed, 1000);
}

/// The first of sixteen is never answered, the others never come: the connection ends when the first's time is up.
#[test]
fn in_a_pipeline_the_oldest_decides_when_it_is_too_late() {
    let mut play = Play::new(Behaviour::Silent).rate(8.0, Constant);
    (play.plan.connections, play.plan.pipeline) = (1, 16);
    play.plan.timeout = Duration::from_millis(300);
    let played = play.run();
    near(played.service().0.max() as f64, 0.31e9, 0.02, "the longest");
    played.adds_up();
}

/// Eight connections are free: nobody waits behind another on one of them.
#[test]
fn a_pipeline_is_used_when_all_connections_are_busy() {
    let mut play = Play::new(Behaviour::Delay(Duration::from_millis(10))).rate(700.0, Constant);
    (play.plan.connections, play.plan.pipeline) = (8, 8);
    let played = play.run();
    let used = played.target.connections;
    assert_eq!(used, 8);
    near(played.response().0.max() as f64, 10.2e6, 0.01, "response");
}

#[test]
fn a_number_of_requests_ends_although_the_server_is_gone() {
    for rate in [None, Some((1000.0, Constant))] {
        let mut play = Play::new(Behaviour::Right);
        play.rate = rate;
        (play.plan.duration, play.plan.requests) = (None, Some(1_000_000_000));
        play.dies_after = Some(Duration::from_secs(2));
        let played = play.run();
        assert!(played.took < Duration::from_secs(60), "{:?}", played.took);
        assert!(played.errors("gave up") == 1, "{:?}", played.lane.totals.errors);
    }
}

/// A connection that fails before the run has begun is no reason to send nothing.
#[test]
fn a_number_of_requests_is_sent_although_some_connections_fail_at_first() {
    for seed in 0..40 {
        let mut play = Play::new(Behaviour::Right);
        (play.plan.duration, play.plan.requests, play.plan.connections) = (None, Some(500), 3);
        (play.seed, play.faults) = (seed, Faults { refuse: 0.4, ..Faults::calm() });
        let played = play.run();
        assert_eq!(played.errors("gave up"), 0, "seed {seed}");
        assert_eq!(played.lane.totals.counts.offered, 500, "seed {seed}");
        assert!(played.lane.totals.counts.completed > 400, "seed {seed}: {:?}", played.lane.totals.counts);
        played.adds_up();
    }
}

/// One request per connection, and more due than a connection at a time can do: what is late still gets its connection.
#[test]
fn what_is_late_gets_a_connection_too() {
    let mut play = Play::new(Behaviour::Delay(Duration::from_millis(1))).rate(3000.0, Constant);
    (play.plan.connections, play.plan.requests_per_connection) = (1, Some(1));
    play.plan.duration = Some(Duration::from_secs(1));
    let played = play.run();
    let counts = played.lane.totals.counts;
    assert!(counts.sent > 2 * counts.completed_in_window, "{counts:?}");
    played.adds_up();
}

/// Stopped in the middle: what is in flight then is nobody's error.
#[test]
fn who_stops_a_run_gets_no_errors() {
    let mut play = Play::new(Behaviour::Delay(Duration::from_millis(500)));
    play.stops_after = Some(Duration::from_millis(2250));
    let played = play.run();
    let counts = played.lane.totals.counts;
    assert_eq!((counts.failed, counts.offered), (0, counts.completed));
    assert_eq!(counts.completed, 4 * 64);
    assert!(played.lane.totals.errors.is_empty(), "{:?}", played.lane.totals.errors);
}

#[test]
fn whatever_the_network_does_everything_offered_comes_to_one_end() {
    let behaviours = [
        Behaviour::Right,
        Behaviour::Delay(Duration::from_millis(3)),
        Behaviour::Drop { every: 37 },
        Behaviour::CloseMidAnswer { every: 31 },
        Behaviour::CloseAfter(5),
        Behaviour::Swap { every: 13 },
    ];
    for seed in 0..60 {
        let behaviour = behaviours[seed as usize % behaviours.len()].clone();
        let mut play = Play::new(behaviour);
        if seed % 3 != 0 {
            play.rate = Some((400.0, Poisson));
        }
        play.kind = if seed % 2 == 0 { Kind::Ledger } else { Kind::Add };
        play.plan.connections = 1 + seed as usize % 20;
        play.plan.pipeline = 1 + seed as usize % 5;
        play.plan.requests_per_connection = (seed % 4 == 1).then_some(1 + seed % 9);
        play.plan.duration = Some(Duration::from_secs(3));
        play.plan.warmup = Duration::from_millis(seed * 10);
        play.receive_buffer_bytes = [7, 100, 4096][seed as usize % 3];
        (play.seed, play.faults) = (seed, if seed % 2 == 0 { Faults::hostile() } else { Faults::rough() });
        let played = play.run();
        played.adds_up();
        if seed % 2 == 1 {
            assert!(played.lane.totals.counts.completed > 0, "seed {seed}");
        }
        // In a pipeline, a request without an answer gets the next one's.
        let shifts = matches!(play.behaviour, Behaviour::Drop { .. }) && play.plan.pipeline > 1;
        if !shifts && !matches!(play.behaviour, Behaviour::Swap { .. }) {
            assert_eq!(played.lane.totals.counts.wrong, 0, "seed {seed}: {:?}", played.lane.totals.errors);
        }
        assert!(played.took < Duration::from_secs(8), "seed {seed}: {:?}", played.took);
    }
}
