//! Reloads: what is kept, what is refused, and lanes that are slow to read their mail.

use crate::hosts::{Manners, OK, UNAVAILABLE};
use crate::scene::{Scene, config, configured, unchecked};
use balancer::config::Config;
use balancer::control::{Admin, Mail, State};
use balancer::fleet::Outcome;
use balancer::pick::WEIGHT_ONE;
use net::engine::sim::Faults;
use std::sync::Arc;

use State::{Down, Rising, Up};

#[test]
fn a_reload_keeps_what_is_known_of_servers_that_stay() {
    let mut scene = Scene::new(6, Faults::calm(), config(4), &OK);
    scene.set_manners(0, UNAVAILABLE);
    scene.until(2_000);
    scene.ask("/app/s1/drain");
    scene.ask("/app/s2/weigh/9");
    let (before, gone) = (scene.server(1), scene.server(3));
    let since = scene.view(0).since;
    let mut config = config(4);
    let pool = &mut config.pools[0];
    pool.servers[0].weight = 3;
    pool.servers[2].weight = 5;
    pool.servers[1].maxconn = Some(7);
    pool.servers.swap(0, 2);
    pool.servers[3] = configured(7);
    assert_eq!(scene.reload(Ok(config)), (200, "4 servers in 1 pool: 1 added, 1 removed".to_owned()));
    // Now s2, s1, s0 and s7.
    assert!(Arc::ptr_eq(&scene.server(1), &before));
    assert_eq!(scene.states(), [Up, Up, Down, Rising]);
    assert_eq!(scene.view(2).since, since);
    assert_eq!((scene.view(1).admin, scene.weights()), (Admin::Drain, vec![9 * WEIGHT_ONE, 0, 0, 26]));
    assert_eq!((scene.view(2).weight, before.load.limit()), (3, 7));
    assert_eq!(gone.load.weight(), 0, "lanes that have not heard yet stop here");
    assert!((0..5).all(|_| !gone.suspicion.note(Outcome::Broke)), "and nobody hears of it");
    for &lane in &scene.lanes {
        assert_eq!(scene.world.program(lane).generations(), [1]);
    }
}

#[test]
fn a_reload_does_not_put_checks_off_or_double_them() {
    let mut scene = Scene::new(7, Faults::calm(), config(2), &OK);
    scene.set_manners(1, Manners::Hangs);
    for ms in (300..20_000).step_by(300) {
        scene.until(ms);
        scene.mail(Mail::Reload(None));
    }
    assert_eq!(scene.asked(0).len(), 10);
    assert_eq!(scene.state(1), Down);
    assert_eq!(scene.world.program(scene.targets[1]).open_max, 1);
    assert_eq!(scene.fleet().generation, 66);
}

#[test]
fn a_pool_that_is_new_or_lost_all_that_worked_does_not_begin_small() {
    let mut scene = Scene::new(8, Faults::calm(), unchecked(2), &OK);
    scene.until(100);
    let mut config = unchecked(2);
    config.pools[0].servers = vec![configured(5), configured(6)];
    scene.reload(Ok(config));
    assert_eq!(scene.states(), [Up, Up]);
}

#[test]
fn a_bad_configuration_is_refused_whole_and_said_until_a_good_one_comes() {
    let mut scene = Scene::new(9, Faults::calm(), unchecked(2), &OK);
    scene.until(100);
    let fleet = scene.fleet();
    let bad = "balancer.toml:7: unknown key `wieght`";
    assert_eq!(scene.reload(Err(bad.to_owned())), (409, bad.to_owned()));
    assert!(Arc::ptr_eq(&fleet, &scene.fleet()));
    assert!(scene.ask("/").1.ends_with(&format!("reload {bad}\n")));
    assert!(scene.world.program(scene.lanes[0]).mails.is_empty());
    scene.reload(Ok(unchecked(2)));
    assert!(scene.ask("/").1.ends_with("reload fine\n"));
}

#[test]
fn listeners_need_a_restart() {
    let mut scene = Scene::new(10, Faults::calm(), unchecked(1), &OK);
    scene.until(100);
    let with = |change: fn(&mut Config)| {
        let mut config = unchecked(1);
        change(&mut config);
        Ok(config)
    };
    let moved = with(|config| config.listeners[0].address = "10.0.0.9:81".parse().expect("an address"));
    let why = "listener 1 was 127.0.0.1:8080 and would be 10.0.0.9:81: that needs a restart";
    assert_eq!(scene.reload(moved), (409, why.to_owned()));
    let proxied = with(|config| config.listeners[0].accept_proxy = true);
    assert_eq!(scene.reload(proxied).0, 409);
    let more = with(|config| config.listeners.push(config.listeners[0].clone()));
    assert_eq!(scene.reload(more).0, 409);
    let routed = with(|config| config.listeners[0].default_pool = None);
    assert_eq!(scene.reload(routed).0, 200, "where its requests go may change");
}

#[test]
fn operators_wishes_outlive_even_their_servers() {
    let mut scene = Scene::new(11, Faults::calm(), unchecked(3), &OK);
    scene.until(100);
    scene.ask("/app/s2/maint");
    scene.ask("/app/s2/weigh/4");
    scene.reload(Ok(unchecked(2)));
    scene.reload(Ok(unchecked(3)));
    let view = scene.view(2);
    assert_eq!((view.admin, view.weight, scene.weights()[2]), (Admin::Maint, 4, 0));
}

#[test]
fn a_lane_whose_box_is_full_gets_what_it_missed_and_only_the_last_fleet() {
    let mut scene = Scene::with_boxes(12, Faults::calm(), unchecked(3), &OK, 1);
    scene.until(100);
    scene.world.hang(scene.lanes[0]);
    for server in ["s0", "s1", "s0", "s1", "s0"] {
        scene.ask(&format!("/app/{server}/drain"));
    }
    (0..3).for_each(|_| drop(scene.reload(Ok(unchecked(3)))));
    scene.until(5_000);
    assert_eq!(scene.world.program(scene.lanes[1]).generations(), [1, 2, 3], "nobody waits for a slow lane");
    scene.world.resume(scene.lanes[0]);
    scene.until(6_000);
    let lane = scene.world.program(scene.lanes[0]);
    assert_eq!(lane.generations(), [3]);
    assert_eq!(lane.closed(), ["s0", "s1", "s0"]);
}
