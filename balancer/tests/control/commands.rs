//! What operators ask for, over HTTP.

use crate::hosts::{Manners, OK};
use crate::scene::{Scene, config, unchecked};
use balancer::control::{Admin, Mail, State};
use balancer::pick::WEIGHT_ONE;
use net::engine::sim::Faults;
use std::time::Duration;

use State::{Down, Rising, Up};

#[test]
fn a_drained_server_gets_nothing_new_and_is_checked_on() {
    let mut scene = Scene::new(1, Faults::calm(), config(2), &OK);
    scene.until(100);
    assert_eq!(scene.ask("/app/s0/drain"), (200, "app/s0 is set to drain".to_owned()));
    assert_eq!(scene.weights(), [0, WEIGHT_ONE]);
    assert_eq!(scene.world.program(scene.lanes[0]).closed(), ["s0"]);
    scene.until(4_100);
    assert_eq!(scene.asked(0).len(), 3);
    assert_eq!((scene.state(0), scene.view(0).admin), (Up, Admin::Drain));
    scene.ask("/app/s0/ready");
    assert_eq!(scene.weights(), [WEIGHT_ONE, WEIGHT_ONE]);
}

#[test]
fn a_server_in_maintenance_is_not_checked_and_begins_small_when_it_is_over() {
    let mut scene = Scene::new(2, Faults::calm(), config(2), &OK);
    scene.until(2_100);
    scene.ask("/app/s0/maint");
    scene.server(0).load.took(Duration::from_secs(9));
    scene.until(20_000);
    assert_eq!((scene.asked(0).len(), scene.weights()[0]), (2, 0));
    scene.ask("/app/s0/ready");
    assert_eq!((scene.state(0), scene.weights()[0]), (Rising, 26));
    assert_eq!(scene.asked(0).len(), 3, "it is checked at once");
    assert_eq!(scene.server(0).load.latency_us(), 0);
    scene.until(31_000);
    assert_eq!((scene.state(0), scene.weights()[0]), (Up, WEIGHT_ONE));
}

#[test]
fn a_check_that_is_under_way_when_maintenance_begins_and_ends_stays_the_only_one() {
    let mut scene = Scene::new(3, Faults::calm(), config(1), &Manners::Hangs);
    scene.until(100);
    scene.ask("/app/s0/maint");
    scene.ask("/app/s0/ready");
    scene.until(20_000);
    assert_eq!(scene.world.program(scene.targets[0]).open_max, 1);
    assert_eq!(scene.state(0), Down, "and checks go on");
}

#[test]
fn a_weight_by_command_counts_until_it_is_taken_back() {
    let mut scene = Scene::new(4, Faults::calm(), unchecked(2), &OK);
    scene.until(100);
    assert_eq!(scene.ask("/app/s1/weigh/7"), (200, "app/s1 has weight 7".to_owned()));
    assert_eq!(scene.weights(), [WEIGHT_ONE, 7 * WEIGHT_ONE]);
    let view = scene.view(1);
    assert_eq!((view.weight, view.effective_weight), (7, 7.0));
    scene.ask("/app/s1/weigh/0");
    assert_eq!(scene.weights(), [WEIGHT_ONE, 0]);
    assert_eq!(scene.ask("/app/s1/weigh/default"), (200, "app/s1 has weight 1, as configured".to_owned()));
    assert_eq!(scene.weights(), [WEIGHT_ONE, WEIGHT_ONE]);
}

#[test]
fn a_command_that_cannot_be_obeyed_says_what_there_is() {
    let mut scene = Scene::new(5, Faults::calm(), unchecked(2), &OK);
    scene.until(100);
    for (path, why) in [
        ("/web/s0/drain", "no pool \"web\": there is app"),
        ("/app/s9/drain", "no server \"s9\" in pool \"app\": there are s0, s1"),
        ("/app/s9/weigh/1", "no server \"s9\" in pool \"app\": there are s0, s1"),
        ("/app/s0/weigh/257", "257 is no weight: 0 to 256 are"),
    ] {
        assert_eq!(scene.ask(path), (409, why.to_owned()));
    }
    assert_eq!(scene.weights(), [WEIGHT_ONE, WEIGHT_ONE]);
}

#[test]
fn a_drain_is_shown() {
    let mut scene = Scene::new(13, Faults::calm(), unchecked(1), &OK);
    scene.until(100);
    assert!(scene.ask("/").1.contains("draining false"));
    scene.mail(Mail::Drain);
    assert!(scene.ask("/").1.contains("draining true"));
}
