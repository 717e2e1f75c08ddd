//! Servers that take only so many requests at a time: nobody gets more, who waits waits in order, and no place stays free meanwhile.

use super::actor::{Act, say};
use super::client::{Got, Manners};
use super::request::Shape;
use super::scene::Scene;
use super::server::Script;
use Act::{Close, Hear, Wait};
use balancer::fleet::Fault;
use net::engine::sim::Faults;
use net::time::Time;
use std::time::Duration;

const SEEDS: u64 = 300;
const SHAPE: Shape = Shape { body_max: 3_000, is_idempotent: false };
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A lane that was told of a place has it at once; only if its mail is lost it looks by itself, each tenth of a second.
const WAIT_MAX: Duration = Duration::from_millis(5);

#[test]
fn no_server_ever_gets_more_than_it_takes_and_everybody_is_served() {
    for seed in 0..SEEDS {
        let faults = if seed % 2 == 0 { Faults::calm() } else { Faults::rough() };
        let maxconn = 1 + seed as u32 % 3;
        let mut scene = Scene::new(seed, faults, Script::right(), |config| {
            config.pools[0].servers.iter_mut().for_each(|server| server.maxconn = Some(maxconn));
            config.pools[0].queue.timeout = Duration::from_secs(1_000);
        });
        scene.add_clients(&[Manners::Patient; 12], SHAPE);
        scene.run();
        for client in scene.clients() {
            let own = client.count(|got| matches!(got, Got::Own(_)));
            assert_eq!((client.left(), client.cut, own), (0, 0, 0), "seed {seed}: {:?}", client.got);
        }
        for &server in &scene.servers {
            let most = scene.world.program(server).at_work_max;
            assert!(most <= maxconn as usize, "seed {seed}: {most} at once, of {maxconn}");
        }
        scene.assert_nothing_is_left(seed);
    }
}

/// A place that one lane gives back is the other one's at once, if requests wait there.
#[test]
fn nobody_waits_while_a_place_is_free_on_whichever_lane() {
    let mut waited = 0;
    for seed in 0..SEEDS {
        let mut scene = Scene::new(seed, Faults::calm(), Script::right(), |config| {
            config.pools[0].servers.iter_mut().for_each(|server| server.maxconn = Some(1));
        });
        scene.add_clients(&[Manners::Patient, Manners::Patient, Manners::Leaves].repeat(5), SHAPE);
        let fleet = scene.fleet.clone();
        let mut free_since: Option<Time> = None;
        scene.world.run_to(Duration::from_secs(100), |world| {
            let queued: u64 = fleet.lanes.iter().map(|lane| lane.queued.get()).sum();
            waited = waited.max(queued);
            let is_free = fleet.pools[0].loads.iter().any(|load| load.in_flight() < load.limit());
            free_since = (queued > 0 && is_free).then(|| free_since.unwrap_or(world.now()));
            let free = free_since.map_or(Duration::ZERO, |since| world.now().since(since));
            assert!(free <= WAIT_MAX, "seed {seed}: {queued} wait, and a place is free since {free:?}");
            false
        });
        scene.run();
        scene.assert_nothing_is_left(seed);
    }
    assert!(waited > 5);
}

#[test]
fn who_waits_is_served_in_order() {
    for seed in 0..SEEDS {
        let mut scene = Scene::bare(seed, Faults::calm(), 1, 1, |config| {
            config.pools[0].servers[0].maxconn = Some(1);
        });
        let answers = vec![[Hear("\r\n\r\n"), Wait(Duration::from_millis(30)), say(OK)]; 8].concat();
        let server = scene.add_back(0, &[&answers]);
        let clients: Vec<_> = (0..8)
            .map(|n| {
                let asks = format!("GET /{n} HTTP/1.1\r\nhost: a\r\n\r\n");
                let client = scene.add_front(&[say(&asks), Hear("ok"), Close]);
                let next = scene.rng.within(1..=9) as u64;
                scene.world.run_for(Duration::from_millis(next));
                client
            })
            .collect();
        scene.run();
        let heard = scene.world.program(server).talk().text();
        let places: Vec<usize> = (0..8).map(|n| heard.find(&format!("GET /{n} ")).unwrap()).collect();
        assert!(places.is_sorted(), "seed {seed}: {heard}");
        assert!(clients.iter().all(|&client| scene.world.program(client).talk().status() == Some(200)));
        scene.assert_nothing_is_left(seed);
    }
}

#[test]
fn a_queue_that_is_full_refuses_and_who_waited_too_long_is_told_so() {
    let mut scene = Scene::bare(1, Faults::calm(), 1, 1, |config| {
        config.pools[0].servers[0].maxconn = Some(1);
        config.pools[0].queue.length_max = 1;
    });
    scene.add_back(0, &[&[Hear("\r\n\r\n"), Wait(Duration::from_secs(20)), say(OK)]]);
    let talks = [1, 2, 3].map(|_| {
        let client = scene.add_front(&[say("GET / HTTP/1.1\r\nhost: a\r\n\r\n"), Hear("\r\n\r\n"), Close]);
        scene.world.run_for(Duration::from_millis(10));
        client
    });
    scene.run();
    let [served, waits, refused] = talks.map(|client| scene.world.program(client).talk());
    assert_eq!([served.status(), waits.status(), refused.status()], [Some(200), Some(503), Some(503)]);
    let times = [&waits, &refused].map(|talk| talk.last.since(talk.opened));
    assert!(times[0] >= Duration::from_secs(5) && times[0] < Duration::from_millis(5300), "{times:?}");
    assert!(times[1] < Duration::from_millis(10), "{times:?}");
    assert_eq!(scene.all_faults(), [(Fault::QueueFull, 1), (Fault::QueueTimeout, 1)]);
    assert!(refused.text().to_lowercase().contains("retry-after: 1"), "{}", refused.text());
    scene.assert_nothing_is_left(1);
}
