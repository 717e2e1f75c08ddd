//! By seed: everything at once on a network that fails, and calm behind it.

use crate::hosts::{Manners, OK, Target, UNAVAILABLE};
use crate::scene::{Scene, config, unchecked};
use balancer::control::State;
use balancer::fleet::Outcome;
use balancer::pick::WEIGHT_ONE;
use net::engine::sim::{Faults, Outcome as End, Rng};
use std::time::Duration;

use State::{Down, Ejected, Probation, Rising, Up};

#[test]
fn the_same_seed_is_the_same_run() {
    let trace = |seed| {
        let mut config = config(5);
        config.pools[0].check.as_mut().expect("it has one").jitter = 0.1;
        let mut scene = Scene::new(seed, Faults::hostile(), config, &OK);
        scene.until(30_000);
        scene.world.trace()
    };
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7), trace(8));
}

/// Servers die, hang, fail and come back while lanes tell of it; then the storm is over, and each is what it is.
#[test]
fn after_any_storm_whoever_answers_is_up_and_whoever_does_not_is_down() {
    for seed in 0..200 {
        let mut config = config(6);
        config.pools[0].check.as_mut().expect("it has one").jitter = 0.1;
        let mut scene = Scene::new(seed, Faults::hostile(), config, &OK);
        let mut rng = Rng::new(seed ^ 0x57_0b);
        let mut alive = [true; 6];
        for _ in 0..30 {
            let n = rng.below(6);
            match rng.below(6) {
                0 if alive[n] => {
                    scene.world.kill(scene.targets[n]);
                    alive[n] = false;
                }
                0 => {
                    scene.world.restart(scene.targets[n], Target::new(OK));
                    alive[n] = true;
                }
                1 if alive[n] => {
                    scene.set_manners(n, [UNAVAILABLE, Manners::Hangs, OK][rng.below(3)].clone())
                }
                2 => {
                    scene.see(&scene.server(n), Outcome::Answered(200));
                }
                3 => {
                    scene.see(&scene.server(n), Outcome::Answered(500));
                }
                _ => scene.see_three(&scene.server(n), Outcome::ConnectFailed),
            }
            scene.world.run_for(rng.duration(&(Duration::from_millis(1)..=Duration::from_secs(4))));
            assert_work_is_with_those_that_have_it(&scene, seed);
        }
        scene.world.set_faults(Faults::calm());
        let answering = (0..6).filter(|&n| alive[n]);
        answering.for_each(|n| scene.set_manners(n, OK));
        // Longer than the longest connect that fell silent, the longest ejection and the slow start behind it.
        assert_eq!(scene.world.run_for(Duration::from_secs(700)), End::TimeUp, "seed {seed}");
        let expected = alive.map(|alive| if alive { Up } else { Down });
        assert_eq!(scene.states(), expected, "seed {seed}");
        let weights = alive.map(|alive| if alive { WEIGHT_ONE } else { 0 });
        let weights = if is_failing_open(&alive) { [WEIGHT_ONE; 6] } else { weights };
        assert_eq!(scene.weights(), weights, "seed {seed}");
        let control = scene.world.program(scene.control);
        assert!(control.checks_running() <= 6 && control.open() == 0, "seed {seed}: something is left");
    }
}

#[test]
fn on_a_hostile_network_operators_get_answers_and_nothing_is_left_of_them() {
    let mut answered = 0;
    for seed in 0..200 {
        let mut scene = Scene::new(seed, Faults::hostile(), unchecked(3), &OK);
        let commands = ["/app/s0/drain", "/app/s1/weigh/3", "/reload", "/app/s0/ready", "/", "/big"];
        let send = |path| scene.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"));
        let operators = commands.map(send);
        // A large answer seldom comes through. The kernel gives up on a peer that fell silent after a quarter of an hour.
        scene.world.run_for(Duration::from_secs(1_200));
        for operator in operators {
            let answers = &scene.world.program(operator).answers;
            assert!(answers.iter().all(|(status, ..)| *status == 200), "seed {seed}: {answers:?}");
            answered += answers.len();
        }
        assert_eq!(scene.world.program(scene.control).open(), 0, "seed {seed}");
    }
    assert!(answered > 900, "{answered} of 1200");
}

fn is_failing_open(alive: &[bool; 6]) -> bool {
    let working = alive.iter().filter(|alive| **alive).count();
    working > 0 && working * 100 < 20 * alive.len()
}

fn assert_work_is_with_those_that_have_it(scene: &Scene, seed: u64) {
    let works = |state: &State| matches!(state, Up | Rising);
    let states = scene.states();
    let working = states.iter().filter(|state| works(state)).count();
    let is_open = working > 0 && working * 100 < 20 * states.len();
    for (state, weight) in states.iter().zip(scene.weights()) {
        let has_work = matches!(state, Up | Rising | Probation);
        assert_eq!(weight > 0, has_work || is_open, "seed {seed}: {state:?}");
    }
    let out = states.iter().filter(|state| matches!(state, Ejected | Probation)).count();
    assert!(out <= 3, "seed {seed}: half may be ejected, not {out} of 6");
}
