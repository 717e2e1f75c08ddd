//! The rules of retries, counted where it matters: at the servers, who know how often they processed a request.

use super::client::{Got, Manners};
use super::request::Shape;
use super::scene::Scene;
use super::server::Script;
use net::engine::sim::Faults;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const SEEDS: u64 = 500;
const SHAPE: Shape = Shape { body_max: 20_000, is_idempotent: false };
const PATIENT: [Manners; 3] = [Manners::Patient; 3];

fn is_own(got: &Got) -> bool {
    matches!(got, Got::Own(_))
}

/// What may not be repeated is processed once at most, whatever servers and network do. What may be is processed once for each try, and
/// once more for each that crossed the end of a connection that was used before.
#[test]
fn a_post_is_never_processed_twice() {
    const ATTEMPTS: usize = 3;
    let (mut repeated, mut lost) = (0, 0);
    for seed in 0..SEEDS {
        let faults = if seed % 2 == 0 { Faults::rough() } else { Faults::hostile() };
        let script = Script { drops: 0.15, idle_max: Some(Duration::from_millis(20)), ..Script::wrong() };
        let mut scene = Scene::new(seed, faults, script, |_| {});
        scene.add_clients(&PATIENT, SHAPE);
        scene.run();
        for (name, count) in scene.seen() {
            let most = if name.starts_with("POST") { 1 } else { 2 * ATTEMPTS };
            assert!(count <= most, "seed {seed}: {name} was processed {count} times");
            repeated += usize::from(count > 1);
        }
        lost += scene.clients().map(|client| client.count(is_own)).sum::<usize>();
        scene.assert_nothing_is_left(seed);
    }
    assert!(
        repeated > SEEDS as usize / 10 && lost > 0,
        "{repeated} repeated, {lost} lost: the test shows nothing"
    );
}

#[test]
fn where_the_operator_says_so_a_post_is_repeated_too() {
    let mut repeated = 0;
    for seed in 0..SEEDS / 5 {
        let script = Script { drops: 0.15, ..Script::right() };
        let mut scene = Scene::new(seed, Faults::calm(), script, |config| {
            config.pools[0].retry.all_idempotent = true;
        });
        scene.add_clients(&PATIENT, SHAPE);
        scene.run();
        repeated +=
            scene.seen().iter().filter(|(name, count)| name.starts_with("POST") && **count > 1).count();
        scene.assert_nothing_is_left(seed);
    }
    assert!(repeated > 0);
}

/// A request may cross the end of an idle connection on its way. Nobody is to see that who asks for what may be repeated.
#[test]
fn servers_that_close_idle_connections_at_any_moment_cost_nobody_an_answer() {
    let mut crossed = 0;
    for seed in 0..2 * SEEDS {
        let faults = if seed % 2 == 0 { Faults::calm() } else { Faults::rough() };
        let script = Script { idle_max: Some(Duration::from_millis(2)), ..Script::right() };
        let mut scene = Scene::new(seed, faults, script, |_| {});
        scene.add_clients(&PATIENT, Shape { is_idempotent: true, ..SHAPE });
        scene.run();
        for client in scene.clients() {
            assert_eq!(
                (client.left(), client.cut, client.count(is_own)),
                (0, 0, 0),
                "seed {seed}: {:?}",
                client.got
            );
        }
        crossed += scene.fleet.lanes.iter().map(|lane| lane.retries.get()).sum::<u64>();
        scene.assert_nothing_is_left(seed);
    }
    assert!(crossed > SEEDS / 10, "only {crossed} crossed");
}

/// A connect that was refused has done no harm: POST or not, the next server gets the request.
#[test]
fn a_server_that_is_gone_costs_nobody_an_answer() {
    for seed in 0..SEEDS {
        let faults = if seed % 2 == 0 { Faults::calm() } else { Faults::rough() };
        let mut scene = Scene::new(seed, faults, Script::right(), |_| {});
        scene.world.kill(scene.servers[seed as usize % 3]);
        scene.add_clients(&PATIENT, SHAPE);
        scene.run();
        for client in scene.clients() {
            assert_eq!(
                (client.left(), client.cut, client.count(is_own)),
                (0, 0, 0),
                "seed {seed}: {:?}",
                client.got
            );
        }
        assert!(scene.seen().values().all(|&count| count == 1), "seed {seed}");
        scene.assert_nothing_is_left(seed);
    }
}

#[test]
fn retries_are_a_share_of_what_is_under_way_and_no_more() {
    let (mut most, mut refused) = (0, 0);
    for seed in 0..SEEDS / 5 {
        let script = Script { drops: 1.0, ..Script::right() };
        let mut scene = Scene::new(seed, Faults::calm(), script, |_| {});
        scene.add_clients(&[Manners::Patient; 30], Shape { body_max: 10, is_idempotent: true });
        let pool = scene.fleet.pools[0].clone();
        let mut live_max = 0;
        scene.world.run_to(Duration::from_secs(60), |_| {
            let live: u32 = pool.loads.iter().map(|load| load.in_flight()).sum();
            live_max = live_max.max(live);
            let retries = pool.retries.load(Relaxed);
            most = most.max(retries);
            assert!(retries <= live_max / 5 + 3, "seed {seed}: {retries} of {live_max}");
            false
        });
        refused += scene.fleet.lanes.iter().map(|lane| lane.retries_refused.get()).sum::<u64>();
        scene.run();
        scene.assert_nothing_is_left(seed);
    }
    assert!(most > 3 && refused > 0, "{most} at most, {refused} refused");
}
