//! The server as a program on the simulator: seeds choose how bytes are cut and delayed, who resets, who falls
//! silent. On every seed each request gets its own answer, in order, or its connection ends; and in the end
//! nothing is left.

#[path = "sim/client.rs"]
mod client;
#[path = "sim/worker.rs"]
mod worker;

use client::{Client, Manners, TROUBLED};
use net::address::Address;
use net::engine::sim::{Faults, HostId, Outcome, Rng, Setup, World};
use net::http1::Limits;
use net::mailbox::{MAILS_MAX, Mailer, mailbox};
use server::metrics::{LaneStats, Shared};
use server::program::{Mail, Server, Settings};
use std::panic;
use std::sync::{Arc, Once};
use std::time::Duration;
use worker::{ROUTES, Worker, background};

/// Worlds of each kind. All of them together take a few seconds.
const SEEDS: u64 = 1_000;

#[test]
fn on_a_rough_network_every_request_gets_its_own_answer() {
    for seed in 0..SEEDS {
        let mut scene = Scene::new(seed, Faults::rough(), settings());
        scene.add_clients(&[Manners::Patient, Manners::Eager, Manners::Leaves]);
        assert_eq!(scene.world.run(), Outcome::Idle, "seed {seed}");
        for &client in &scene.clients {
            scene.world.program(client).assert_all_answered(seed);
        }
        scene.assert_nothing_is_left(seed);
    }
}

#[test]
fn on_a_hostile_network_nobody_gets_another_s_answer_and_nothing_leaks() {
    for seed in 0..SEEDS {
        let mut scene = Scene::new(seed, Faults::hostile(), settings());
        scene.add_clients(&TROUBLED);
        assert_eq!(scene.world.run(), Outcome::Idle, "seed {seed}");
        scene.assert_nothing_is_left(seed);
    }
}

#[test]
fn a_client_that_stops_in_the_middle_of_a_request_is_answered_408_and_closed() {
    for seed in 0..SEEDS / 10 {
        let mut scene = Scene::new(seed, Faults::rough(), settings());
        scene.add_clients(&[Manners::StopsInside, Manners::StopsInside]);
        assert_eq!(scene.world.run(), Outcome::Idle, "seed {seed}");
        for &client in &scene.clients {
            let last = scene.world.program(client).last_status();
            assert_eq!(last, Some(408), "seed {seed}");
        }
        assert!(scene.stats.timeouts[..2].iter().map(|cell| cell.get()).sum::<u64>() > 0, "seed {seed}");
        scene.assert_nothing_is_left(seed);
    }
}

#[test]
fn a_client_that_never_reads_costs_its_connection_and_nothing_else() {
    for seed in 0..SEEDS / 10 {
        let mut scene = Scene::new(seed, Faults::rough(), settings());
        scene.add_clients(&[Manners::NeverReads, Manners::Patient]);
        assert_eq!(scene.world.run(), Outcome::Idle, "seed {seed}");
        scene.world.program(scene.clients[1]).assert_all_answered(seed);
        scene.assert_nothing_is_left(seed);
    }
}

#[test]
fn a_drain_answers_everything_that_was_asked_and_then_stops() {
    for seed in 0..SEEDS / 2 {
        let mut scene = Scene::new(seed, Faults::rough(), settings());
        scene.add_clients(&[Manners::Patient, Manners::Eager, Manners::Patient]);
        let when = Rng::new(seed ^ 0xd7a1).duration(&(Duration::from_micros(1)..=Duration::from_millis(300)));
        scene.world.run_for(when);
        scene.lane.send(Mail::Drain).unwrap_or_else(|_| panic!("seed {seed}: the lane is gone"));
        scene.shared.drain();
        assert_eq!(scene.world.run(), Outcome::Idle, "seed {seed}");
        assert!(scene.world.is_stopped(scene.server), "seed {seed}: the lane did not stop");
        for &client in &scene.clients {
            // Refused or ended after `connection: close` is fine; a request without its answer is not.
            scene.world.program(client).assert_answered_until_told_to_close(seed);
        }
    }
}

#[test]
fn a_drain_does_not_wait_for_clients_that_stay() {
    for seed in 0..SEEDS / 2 {
        let patient = Duration::from_secs(3600);
        let settings = Settings { drain_idle: Duration::from_millis(1), idle_timeout: patient, ..settings() };
        let mut scene = Scene::new(seed, Faults::rough(), settings);
        scene.add_clients(&[Manners::Stays, Manners::Stays]);
        let when = Rng::new(seed ^ 0xd7a1).duration(&(Duration::from_micros(1)..=Duration::from_millis(300)));
        scene.world.run_for(when);
        scene.lane.send(Mail::Drain).unwrap_or_else(|_| panic!("seed {seed}: the lane is gone"));
        let stopped = scene.world.run_to(Duration::from_secs(60), |world| world.is_stopped(scene.server));
        assert!(stopped, "seed {seed}: the drain waits for its timeout");
    }
}

#[test]
fn a_client_that_reads_slowly_gets_all_its_answers() {
    for seed in 0..SEEDS / 10 {
        let narrow = Faults { window: 2048..=2048, ..Faults::calm() };
        let (head_timeout, idle_timeout) = (Duration::from_secs(1), Duration::from_secs(4));
        let settings = Settings { head_timeout, idle_timeout, ..settings() };
        let mut scene = Scene::new(seed, narrow, settings);
        scene.add_clients(&[Manners::ReadsSlowly]);
        assert_eq!(scene.world.run(), Outcome::Idle, "seed {seed}");
        scene.world.program(scene.clients[0]).assert_all_answered(seed);
        let pauses = scene.world.stats(scene.server).backpressure_pauses.get();
        assert!(pauses > 0, "seed {seed}: it was never too slow");
        scene.assert_nothing_is_left(seed);
    }
}

#[test]
fn a_full_pool_says_503_and_goes_on() {
    let settings = settings();
    let mut refused = 0;
    for seed in 0..SEEDS / 10 {
        let mut scene = Scene::with_pool(seed, Faults::rough(), settings.clone(), 1);
        scene.add_clients(&[Manners::Eager, Manners::Eager, Manners::Eager]);
        assert_eq!(scene.world.run(), Outcome::Idle, "seed {seed}");
        for &client in &scene.clients {
            scene.world.program(client).assert_all_answered(seed);
        }
        refused += scene.stats.jobs_refused.get();
        scene.assert_nothing_is_left(seed);
    }
    assert!(refused > 0, "no pool was ever full: the test shows nothing");
}

#[test]
fn what_unfinished_requests_hold_is_bounded_for_all_of_them_together() {
    let settings = Settings { held_bytes_max: 100, ..settings() };
    let mut refused = 0;
    for seed in 0..SEEDS / 10 {
        let mut scene = Scene::new(seed, Faults::rough(), settings.clone());
        scene.add_clients(&[Manners::StopsInside; 8]);
        assert_eq!(scene.world.run(), Outcome::Idle, "seed {seed}");
        for &client in &scene.clients {
            let last = scene.world.program(client).last_status();
            assert!(matches!(last, Some(408 | 503)), "seed {seed}: {last:?}");
            refused += u32::from(last == Some(503));
        }
        assert_eq!(scene.world.program(scene.server).held_bytes(), 0, "seed {seed}");
        scene.assert_nothing_is_left(seed);
    }
    assert!(refused > 0, "no lane was ever full: the test shows nothing");
}

#[test]
fn the_same_seed_is_the_same_run() {
    let trace = |seed| {
        let mut scene = Scene::new(seed, Faults::hostile(), settings());
        scene.add_clients(&TROUBLED);
        scene.world.run();
        scene.world.trace()
    };
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7), trace(8));
}

fn settings() -> Settings {
    Settings {
        limits: Limits::default(),
        head_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(30),
        linger_timeout: Duration::from_secs(2),
        drain_timeout: Duration::from_secs(600),
        drain_idle: Duration::from_millis(500),
        in_flight_max: 3,
        held_bytes_max: 1 << 20,
        cache_bytes: 64 * 1024,
    }
}

/// One server lane, its background worker, and clients.
struct Scene {
    world: World,
    server: HostId<Server>,
    clients: Vec<HostId<Client>>,
    stats: Arc<LaneStats>,
    shared: Arc<Shared>,
    lane: Mailer<Mail>,
    address: Address,
    rng: Rng,
}

/// Jobs panic here on purpose, by the thousand; the tests' own panics are still told.
fn hush_the_worker() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if info.location().is_none_or(|place| !place.file().ends_with("worker.rs")) {
                tell(info);
            }
        }));
    });
}

impl Scene {
    fn new(seed: u64, faults: Faults, settings: Settings) -> Scene {
        Scene::with_pool(seed, faults, settings, 1_000)
    }

    fn with_pool(seed: u64, faults: Faults, settings: Settings, pool_max: usize) -> Scene {
        hush_the_worker();
        let address: Address = "10.0.0.1:5000".parse().unwrap();
        let mut world = World::new(seed, faults);
        let shared = Shared::new(1, ROUTES, "sim");
        let stats = shared.lanes[0].clone();
        let (lane, lane_box) = mailbox(MAILS_MAX).unwrap();
        let (tasks, task_box) = mailbox(MAILS_MAX).unwrap();
        let worker = Worker::new(seed);
        let pool = background(tasks, &worker, pool_max);
        let server = Server::new(ROUTES, &settings, stats.clone(), shared.clone(), pool, lane.clone());
        let setup = Setup { mailbox: Some(lane_box), unsent_bytes_max: 4096, ..Setup::listening(&address) };
        let server = world.add(server, setup);
        world.add(worker, Setup { mailbox: Some(task_box), ..Setup::default() });
        Scene { world, server, clients: vec![], stats, shared, lane, address, rng: Rng::new(seed) }
    }

    fn add_clients(&mut self, manners: &[Manners]) {
        for &manners in manners {
            let client = Client::new(manners, self.address.clone(), &mut self.rng);
            self.clients
                .push(self.world.add(client, Setup { unsent_bytes_max: 1 << 30, ..Setup::default() }));
        }
    }

    fn assert_nothing_is_left(&self, seed: u64) {
        assert_eq!(self.world.program(self.server).open(), 0, "seed {seed}: connections leaked");
        assert_eq!(self.world.stats(self.server).open(), 0, "seed {seed}: the engine's count is off");
    }
}
