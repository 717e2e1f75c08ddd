//! What changes while requests are under way: servers die, hang and come back; configurations come and go; lanes end.

use super::actor::{Act, say};
use super::client::{Got, Manners};
use super::request::Shape;
use super::scene::{Scene, back};
use super::server::{Script, Server};
use Act::{Hear, HearEnd, Wait};
use balancer::config::{self, Check};
use balancer::control::State;
use balancer::fleet::{Fault, Fleet};
use balancer::proxy::Mail;
use net::engine::sim::Faults;
use std::sync::Arc;
use std::time::Duration;

const SHAPE: Shape = Shape { body_max: 3_000, is_idempotent: false };
const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

fn own(got: &Got) -> bool {
    matches!(got, Got::Own(_))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Well,
    Killed,
    Hung,
}

/// After any storm, once all servers are well for a while, all of them are up and get work, and every client gets its answer.
#[test]
fn after_a_storm_all_servers_work_again_and_everybody_is_served() {
    const SEEDS: u64 = 60;
    let mut lost = 0;
    for seed in 0..SEEDS {
        let is_checked = seed % 2 == 0;
        let mut scene = Scene::new(seed, Faults::rough(), Script::right(), |config| {
            config.pools[0].check = is_checked.then(Check::default);
            config.pools[0].timeouts.response_head = Duration::from_secs(2);
        });
        let control = scene.add_control(seed);
        let mut lives = [Life::Well; 3];
        for _ in 0..12 {
            let n = scene.rng.below(3);
            let server = scene.servers[n];
            lives[n] = match (lives[n], scene.rng.below(2)) {
                (Life::Well, 0) => {
                    scene.world.kill(server);
                    Life::Killed
                }
                (Life::Well, _) => {
                    scene.world.hang(server);
                    Life::Hung
                }
                (life, _) => well_again(&mut scene, n, life),
            };
            scene.add_clients(&[Manners::Patient, Manners::Eager, Manners::Leaves], SHAPE);
            let time = scene.rng.duration(&(Duration::from_millis(10)..=Duration::from_secs(5)));
            scene.world.run_for(time);
        }
        for (n, life) in lives.into_iter().enumerate() {
            well_again(&mut scene, n, life);
        }
        lost += scene.clients().map(|client| client.count(own)).sum::<usize>();
        // Requests find out who has come back where nobody checks.
        for _ in 0..30 {
            scene.add_clients(&[Manners::Patient; 2], SHAPE);
            scene.world.run_for(Duration::from_secs(20));
        }
        let states: Vec<State> =
            scene.world.program(control).servers()[0].iter().map(|server| server.state).collect();
        assert_eq!(states, [State::Up; 3], "seed {seed}");
        let before: Vec<usize> =
            scene.servers.iter().map(|&server| scene.world.program(server).served).collect();
        let known = scene.clients().count();
        scene.add_clients(&[Manners::Patient; 10], SHAPE);
        scene.world.run_for(Duration::from_secs(200));
        for client in scene.clients().skip(known) {
            assert_eq!(
                (client.left(), client.cut, client.count(own)),
                (0, 0, 0),
                "seed {seed}: {:?}",
                client.got
            );
        }
        for (n, before) in before.into_iter().enumerate() {
            let served = scene.world.program(scene.servers[n]).served;
            assert!(served > before, "seed {seed}: server {n} gets nothing");
        }
        // Past the idle limit of the connections to servers.
        scene.world.run_for(Duration::from_secs(300));
        scene.assert_no_request_is_left(seed);
    }
    assert!(lost > 0, "the storm did no harm: the test shows nothing");
}

fn well_again(scene: &mut Scene, n: usize, life: Life) -> Life {
    match life {
        Life::Well => {}
        Life::Killed => {
            let server = Server::new(Script::right(), scene.rng.any());
            scene.world.restart(scene.servers[n], server);
        }
        Life::Hung => scene.world.resume(scene.servers[n]),
    }
    Life::Well
}

#[test]
fn with_all_servers_down_the_answer_is_503_at_once_and_says_when_to_come_again() {
    let mut scene = Scene::bare(1, Faults::calm(), 3, 2, |config| {
        config.pools[0].check = Some(Check::default());
    });
    scene.add_control(1);
    scene.world.run_for(Duration::from_secs(30));
    let client = scene.add_front(&[say(GET), Hear("\r\n\r\n"), Act::Close]);
    scene.world.run_for(Duration::from_millis(10));
    let talk = scene.world.program(client).talk();
    assert_eq!(talk.status(), Some(503), "{}", talk.text());
    assert!(talk.text().to_lowercase().contains("retry-after: "), "{}", talk.text());
    assert_eq!(scene.all_faults(), [(Fault::NoServer, 1)]);
}

#[test]
fn a_lane_that_ends_answers_all_it_took() {
    const SEEDS: u64 = 500;
    for seed in 0..SEEDS {
        // On a slow network a client may ask again on a connection that was closed as idle meanwhile: that can't be known.
        let mut scene = Scene::new(seed, Faults::calm(), Script::right(), |config| {
            config.front.drain_timeout = Duration::from_secs(1_000);
        });
        scene.add_clients(&[Manners::Patient, Manners::Eager, Manners::Eager], SHAPE);
        let time = scene.rng.duration(&(Duration::from_micros(10)..=Duration::from_millis(100)));
        scene.world.run_for(time);
        scene.mail(&Mail::Drain);
        scene.run();
        assert!(scene.lanes.iter().all(|&lane| scene.world.is_stopped(lane)), "seed {seed}: a lane goes on");
        for client in scene.clients() {
            assert_eq!((client.cut, client.count(own)), (0, 0), "seed {seed}: {:?}", client.got);
        }
    }
}

#[test]
fn a_tunnel_lasts_until_the_drain_s_time_is_up() {
    let mut scene = Scene::bare(1, Faults::calm(), 1, 1, |config| {
        config.front.drain_timeout = Duration::from_secs(30);
        config.pools[0].timeouts.tunnel = Duration::from_secs(600);
    });
    let switched = "HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    let upgrade = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    scene.add_back(0, &[&[Hear("\r\n\r\n"), say(switched), Hear("late"), say("heard"), HearEnd]]);
    let late = Wait(Duration::from_secs(25));
    let client = scene.add_front(&[say(upgrade), Hear("\r\n\r\n"), late, say("late"), HearEnd]);
    scene.world.run_for(Duration::from_secs(1));
    scene.mail(&Mail::Drain);
    scene.run();
    let talk = scene.world.program(client).talk();
    assert!(talk.text().ends_with("heard"), "{}", talk.text());
    let ended = talk.ended.unwrap().since(talk.opened);
    assert!(ended >= Duration::from_secs(30) && ended < Duration::from_secs(33), "{ended:?}");
}

/// Servers come and go while requests are under way: nothing is lost, and who was taken out gets nothing new.
#[test]
fn a_new_fleet_under_load_loses_nothing() {
    const SEEDS: u64 = 500;
    const HOSTS: usize = 6;
    for seed in 0..SEEDS {
        let faults = if seed % 2 == 0 { Faults::calm() } else { Faults::rough() };
        let maxconn = (seed % 3 == 0).then_some(2);
        let limit = |server: config::Server| config::Server { maxconn, ..server };
        let mut scene = Scene::bare(seed, faults, 3, 2, |config| {
            let pool = &mut config.pools[0];
            pool.servers = pool.servers.iter().cloned().map(limit).collect();
            pool.queue.timeout = Duration::from_secs(1_000);
        });
        (0..HOSTS).for_each(|n| scene.add_server(n, Script::right()));
        let mut fleets = vec![scene.fleet.clone()];
        let mut stay: Vec<bool> = vec![true; HOSTS];
        for round in 0..6 {
            scene.add_clients(&[Manners::Patient, Manners::Eager, Manners::Leaves], SHAPE);
            let time = scene.rng.duration(&(Duration::from_micros(100)..=Duration::from_millis(50)));
            scene.world.run_for(time);
            stay = (0..HOSTS).map(|n| scene.rng.chance(0.4) || n == round).collect();
            let mut config = (*scene.fleet.config).clone();
            let servers = (0..HOSTS).filter(|&n| stay[n]).map(|n| limit(config::Server::at(back(n))));
            config.pools[0].servers = servers.collect();
            scene.fleet = Arc::new(Fleet::next(&scene.fleet, config));
            fleets.push(scene.fleet.clone());
            scene.mail(&Mail::Fleet(scene.fleet.clone()));
        }
        scene.world.run_to(Duration::from_secs(1_000), |_| {
            fleets[0].lanes.iter().all(|lane| lane.active.get() == 0)
                && fleets[0].lanes[0].front_open.get() == 0
                && fleets[0].lanes[1].front_open.get() == 0
        });
        scene.world.run_for(Duration::from_millis(500));
        let counts: Vec<_> = scene.servers.iter().map(|&server| scene.world.program(server).served).collect();
        for (n, stays) in stay.iter().enumerate().filter(|(_, stays)| !**stays) {
            let open = scene.world.program(scene.servers[n]).open();
            assert!(!stays && open == 0, "seed {seed}: {open} connections to server {n} are kept");
        }
        scene.add_clients(&[Manners::Patient; 4], SHAPE);
        scene.run();
        for (n, &before) in counts.iter().enumerate() {
            let more = scene.world.program(scene.servers[n]).served - before;
            assert!(stay[n] || more == 0, "seed {seed}: server {n} was taken out, and got {more} more");
        }
        for client in scene.clients().filter(|client| client.wants_answers()) {
            assert_eq!(
                (client.left(), client.cut, client.count(own)),
                (0, 0, 0),
                "seed {seed}: {:?}",
                client.got
            );
        }
        for fleet in fleets {
            scene.fleet = fleet;
            scene.assert_nothing_is_left(seed);
        }
    }
}

/// Its heads are all well: only who looks at the whole response sees that it fails.
#[test]
fn a_server_that_never_ends_its_responses_is_ejected() {
    let mut scene = Scene::bare(1, Faults::calm(), 2, 1, |config| config.pools[0].check = None);
    let half = [Hear("\r\n\r\n"), say("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"), Act::Close];
    scene.add_back(0, &[&half]);
    scene.add_server(1, Script::right());
    let control = scene.add_control(1);
    for _ in 0..40 {
        scene.add_front(&[say(GET), Wait(Duration::from_millis(100)), Act::Close]);
        scene.world.run_for(Duration::from_millis(200));
    }
    let cut = scene.faults(Fault::ResponseCut);
    assert!((3..20).contains(&cut), "{cut} of 40 were cut: ejected, it gets no more than a few");
    assert!(scene.world.program(control).servers()[0][0].failures > 0);
}
