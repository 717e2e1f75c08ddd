//! The whole system on the simulator: clients, balancer lanes, servers, by seed. Every request gets exactly one answer, its own, or its
//! connection is cut; and in the end nothing is left.

mod actor;
mod announced;
mod client;
mod limits;
mod queues;
mod request;
mod retries;
mod scene;
mod server;
mod storms;
mod streaming;

use client::{Got, Manners};
use net::engine::sim::Faults;
use request::Shape;
use scene::Scene;
use server::Script;

const SEEDS: u64 = 1_000;

const SHAPE: Shape = Shape { body_max: 20_000, is_idempotent: false };

#[test]
fn on_a_rough_network_every_request_gets_its_own_answer() {
    for seed in 0..SEEDS {
        let mut scene = Scene::new(seed, Faults::rough(), Script::right(), |_| {});
        scene.add_clients(&[Manners::Patient, Manners::Eager, Manners::Leaves], SHAPE);
        scene.run();
        for client in scene.clients() {
            assert!(!client.wants_answers() || (client.left() == 0 && client.cut == 0), "seed {seed}");
            assert_eq!(client.count(|got| matches!(got, Got::Own(_))), 0, "seed {seed}: {:?}", client.got);
        }
        scene.assert_nothing_is_left(seed);
    }
}

#[test]
fn with_servers_that_do_everything_wrong_nobody_gets_another_s_answer_and_nothing_leaks() {
    for seed in 0..SEEDS {
        let mut scene = Scene::new(seed, Faults::rough(), Script::wrong(), |_| {});
        scene.add_clients(&[Manners::Patient, Manners::Eager, Manners::Leaves, Manners::StopsInside], SHAPE);
        scene.run();
        scene.assert_nothing_is_left(seed);
    }
}

#[test]
fn on_a_hostile_network_nobody_gets_another_s_answer_and_nothing_leaks() {
    for seed in 0..SEEDS {
        let mut scene = Scene::new(seed, Faults::hostile(), Script::wrong(), |_| {});
        scene.add_clients(
            &[Manners::Patient, Manners::Eager, Manners::NeverReads, Manners::StopsInside],
            SHAPE,
        );
        scene.run();
        scene.assert_nothing_is_left(seed);
    }
}
