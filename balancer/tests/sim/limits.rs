//! Each time limit by itself: it fires when it should, as what it should, and never at somebody who is slow but goes on.

use super::actor::{Act, Talk, say};
use super::scene::Scene;
use Act::{Attend, Close, Deaf, Drip, Finish, Hear, HearEnd, Sip, Wait};
use balancer::config::Config;
use balancer::fleet::Fault;
use net::engine::sim::Faults;
use std::time::Duration;

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
/// Half of a head, or of a body: its rest never comes.
const HALF_HEAD: &str = "GET / HTTP/1.1\r\nho";
const HALF_UPLOAD: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf";
const HALF_RESPONSE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
const UPGRADE: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
const SWITCHED: &str = "HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
/// More than all buffers between two peers hold.
const MUCH: usize = 4 << 20;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Each limit has a length of its own, so that none can pass for another.
fn set(config: &mut Config) {
    let front = &mut config.front;
    (front.head_timeout, front.body_timeout) = (secs(20), secs(30));
    (front.idle_timeout, front.linger_timeout) = (secs(40), secs(5));
    let pool = &mut config.pools[0];
    (pool.timeouts.connect, pool.timeouts.response_head) = (secs(10), secs(60));
    (pool.timeouts.body, pool.timeouts.tunnel) = (secs(70), secs(90));
    (pool.idle.timeout, pool.queue.timeout) = (secs(15), secs(50));
}

/// Runs one client and one server; when the client's connection had ended, and what became of it.
fn played(client: &[Act], server: &[Act], set: impl Fn(&mut Config)) -> (Scene, Talk) {
    let mut scene = Scene::bare(1, Faults::calm(), 1, 1, set);
    scene.add_back(0, &[server]);
    let client = scene.add_front(client);
    scene.run();
    scene.assert_nothing_is_left(1);
    let talk = scene.world.program(client).talk();
    (scene, talk)
}

fn upload(length: usize) -> Act {
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    Act::Say([head.into_bytes(), vec![b'u'; length]].concat())
}

fn download(length: usize) -> Act {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    Act::Say([head.into_bytes(), vec![b'd'; length]].concat())
}

/// One scene of a limit.
struct Case {
    name: &'static str,
    client: Vec<Act>,
    server: Vec<Act>,
    /// In seconds from the connection's start, when the client is told or its connection ends.
    fires: u64,
    status: Option<u16>,
    fault: Option<Fault>,
}

fn case(
    name: &'static str,
    client: &[Act],
    server: &[Act],
    fires: u64,
    status: Option<u16>,
    fault: Option<Fault>,
) -> Case {
    Case { name, client: client.to_vec(), server: server.to_vec(), fires, status, fault }
}

#[test]
fn each_limit_fires_at_its_time_as_what_it_is() {
    let never = [Hear("\r\n\r\n")];
    let answers = [Hear("\r\n\r\n"), say(OK)];
    let half = [Hear("\r\n\r\n"), say(HALF_RESPONSE)];
    let switches = [Hear("\r\n\r\n"), say(SWITCHED)];
    let drips = Drip { bytes: HALF_HEAD.into(), piece: 1, every: secs(3) };
    let cases = [
        case("no head", &[], &answers, 20, None, None),
        case("half a head", &[say(HALF_HEAD)], &answers, 20, Some(408), Some(Fault::RequestTimeout)),
        case("a dripping head", &[drips], &answers, 20, Some(408), Some(Fault::RequestTimeout)),
        case("half a body", &[say(HALF_UPLOAD)], &never, 30, Some(408), Some(Fault::RequestTimeout)),
        case("half a body, half an answer", &[say(HALF_UPLOAD)], &half, 30, Some(200), {
            Some(Fault::RequestTimeout)
        }),
        case("idle", &[say(GET)], &answers, 40, Some(200), None),
        case("no answer", &[say(GET)], &never, 60, Some(504), Some(Fault::ResponseTimeout)),
        case("half an answer", &[say(GET)], &half, 70, Some(200), Some(Fault::ResponseStalled)),
        case("an idle tunnel", &[say(UPGRADE)], &switches, 90, Some(101), None),
        // What the server took at first is seen when the time first runs out.
        case("a server that is deaf", &[upload(MUCH)], &[Deaf, Wait(secs(200)), Attend], 140, Some(504), {
            Some(Fault::ResponseTimeout)
        }),
    ];
    for Case { name, client, server, fires, status, fault } in cases {
        let (scene, talk) = played(&client, &server, set);
        assert_eq!(talk.status(), status.or(talk.status()), "{name}: {}", talk.text());
        assert_eq!(
            scene.all_faults(),
            fault.map(|fault| (fault, 1)).into_iter().collect::<Vec<_>>(),
            "{name}"
        );
        let ended = talk.ended.unwrap_or_else(|| panic!("{name}: it never ended"));
        let is_own = matches!(talk.status(), Some(408 | 504));
        let fired = if is_own { talk.last } else { ended }.since(talk.opened);
        let limit = secs(fires);
        assert!(fired >= limit && fired <= limit + limit / 32 + secs(1) / 2, "{name}: after {fired:?}");
    }
}

#[test]
fn a_client_that_keeps_its_connection_open_behind_the_end_is_gone_after_the_linger_limit() {
    let (_, talk) = played(&[say(HALF_HEAD), HearEnd, Wait(secs(100))], &[Deaf], set);
    assert_eq!(talk.status(), Some(408));
    assert!(!talk.is_reset, "it was told before");
    let mut scene = Scene::bare(1, Faults::calm(), 1, 1, set);
    scene.add_front(&[say(HALF_HEAD), HearEnd, Wait(secs(100))]);
    scene.world.run_for(secs(24));
    assert_eq!(scene.world.program(scene.lanes[0]).open(), 1, "it lingers");
    scene.world.run_for(secs(3));
    assert_eq!(scene.world.program(scene.lanes[0]).open(), 0);
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_is_cut() {
    let mut scene = Scene::bare(1, Faults::calm(), 1, 1, set);
    scene.add_back(0, &[&[Hear("\r\n\r\n"), download(MUCH)]]);
    let client = scene.add_front(&[say(GET), Deaf, Wait(secs(200)), Attend]);
    // What it took at first is seen when the time first runs out.
    scene.world.run_for(secs(139));
    assert_eq!(scene.world.program(scene.lanes[0]).open(), 1);
    scene.world.run_for(secs(7));
    assert_eq!(scene.world.program(scene.lanes[0]).open(), 0);
    scene.run();
    assert!(scene.world.program(client).talk().is_reset, "half an answer must not look like all of it");
    assert_eq!(scene.all_faults(), [(Fault::ClientStalled, 1)]);
    scene.assert_nothing_is_left(1);
}

#[test]
fn a_connect_that_takes_too_long_is_given_up_and_answered_504() {
    let slow = Faults { delay: secs(1) / 4..=secs(1) / 4, ..Faults::calm() };
    let mut scene = Scene::bare(1, slow, 1, 1, |config| {
        set(config);
        config.pools[0].timeouts.connect = secs(1) / 10;
    });
    scene.add_back(0, &[&[Hear("\r\n\r\n"), say(OK)]]);
    let client = scene.add_front(&[say(GET), Hear("\r\n\r\n"), Close]);
    scene.run();
    assert_eq!(scene.world.program(client).talk().status(), Some(504));
    assert_eq!(scene.all_faults(), [(Fault::ConnectTimeout, 1)]);
    scene.assert_nothing_is_left(1);
}

#[test]
fn a_request_that_takes_too_long_in_all_ends_although_bytes_flow() {
    let drips = Drip { bytes: vec![b'd'; 100], piece: 1, every: secs(5) };
    let head = say("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n");
    for (server, status) in [(vec![Hear("\r\n\r\n")], 504), (vec![Hear("\r\n\r\n"), head, drips], 200)] {
        let (scene, talk) = played(&[say(GET)], &server, |config| {
            set(config);
            config.pools[0].timeouts.total = Some(secs(25));
        });
        assert_eq!(talk.status(), Some(status));
        let fault = if status == 504 { Fault::ResponseTimeout } else { Fault::ResponseStalled };
        assert_eq!(scene.all_faults(), [(fault, 1)]);
        let fired = if status == 504 { talk.last } else { talk.ended.unwrap() }.since(talk.opened);
        assert!(fired >= secs(25) && fired < secs(26), "{status}: after {fired:?}");
    }
}

/// The whole request has a limit, but the server is not to blame for a client that makes it long: three such clients would eject it.
#[test]
fn a_server_is_not_blamed_for_the_time_that_its_client_takes() {
    let upload_head = say("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 40\r\n\r\n");
    let drips = Drip { bytes: vec![b'u'; 40], piece: 1, every: secs(4) };
    let waits = [Hear("\r\n\r\n"), Act::HearBytes(1 << 30)];
    let begins = [Hear("\r\n\r\n"), say(HALF_RESPONSE), Act::HearBytes(1 << 30)];
    let sends = [Hear("\r\n\r\n"), download(MUCH)];
    let uploads = vec![upload_head, drips];
    let takes_nothing = vec![say(GET), Deaf, Wait(secs(60)), Attend];
    let cases = [
        ("a slow upload", uploads.clone(), &waits[..], Some(408), Fault::RequestTimeout),
        ("a slow upload behind half an answer", uploads, &begins, Some(200), Fault::RequestTimeout),
        ("a client that takes nothing", takes_nothing, &sends, None, Fault::ClientStalled),
    ];
    for (name, client, server, status, fault) in cases {
        let (scene, talk) = played(&client, server, |config| {
            set(config);
            config.pools[0].timeouts.total = Some(secs(25));
        });
        assert_eq!(talk.status(), status, "{name}");
        assert_eq!(scene.all_faults(), [(fault, 1)], "{name}");
        assert_eq!(scene.fleet.pools[0].servers[0].lanes[0].timeouts.get(), 0, "{name}");
    }
}

/// Whoever goes on, however slowly, is never cut: all limits run from piece to piece.
#[test]
fn who_is_slow_but_steady_is_served_to_the_end() {
    const LENGTH: usize = 100_000;
    let every = secs(12);
    let slow_upload = Drip { bytes: vec![b'u'; 40], piece: 4, every };
    let slow_download = Drip { bytes: vec![b'd'; 40], piece: 4, every };
    let upload_head = say("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 40\r\n\r\n");
    let response_head = say("HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\n");
    let slow_tail = Drip { bytes: vec![b'u'; 40], piece: 4, every };
    let long_upload_head = say("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 40\r\n\r\n");
    let begins = say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n");
    let scenes: [(&str, Vec<Act>, Vec<Act>, usize); 5] = [
        (
            "an upload that drips behind a response that has begun",
            vec![long_upload_head, slow_tail, Hear("ok"), Finish],
            vec![Hear("\r\n\r\n"), begins, Hear("uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu"), say("ok")],
            2,
        ),
        (
            "an upload that drips",
            vec![upload_head, slow_upload, Hear("ok"), Finish],
            vec![Hear("uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu"), say(OK)],
            2,
        ),
        (
            "a download that drips",
            vec![say(GET), Hear("dddddddddddddddddddddddddddddddddddddddd"), Finish],
            vec![Hear("\r\n\r\n"), response_head, slow_download],
            40,
        ),
        (
            "a client that sips",
            vec![Sip(every), say(GET), Act::HearBytes(LENGTH), Attend, Wait(every), Finish],
            vec![Hear("\r\n\r\n"), download(LENGTH)],
            LENGTH,
        ),
        (
            "a server that sips",
            vec![upload(LENGTH), Hear("ok"), Finish],
            vec![Sip(every), Act::HearBytes(LENGTH), Attend, Wait(every), say(OK)],
            2,
        ),
    ];
    for (name, client, server, content) in scenes {
        let mut scene = Scene::bare(1, Faults { window: 4096..=4096, ..Faults::calm() }, 1, 1, set);
        scene.add_back(0, &[&server]);
        let client = scene.add_front(&client);
        scene.run();
        scene.assert_nothing_is_left(1);
        let talk = scene.world.program(client).talk();
        assert_eq!(talk.status(), Some(200), "{name}: {:?}", talk.text());
        assert!(talk.heard.len() >= content && !talk.is_reset, "{name}");
        assert_eq!(scene.all_faults(), [], "{name}");
        assert!(scene.world.now().since(talk.opened) > secs(60), "{name}: it was not slow");
    }
}
