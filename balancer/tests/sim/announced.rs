//! A listener behind another balancer: each connection says first who it is from, in the PROXY protocol.

use super::actor::{Act, say};
use super::scene::Scene;
use Act::{Close, Hear, HearEnd};
use net::engine::sim::Faults;

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Version 2, over TCP with IPv4, from 192.0.2.7:1000 to 192.0.2.1:80.
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x01\x03\xe8\0\x50";

fn scene(seed: u64) -> Scene {
    let mut scene =
        Scene::bare(seed, Faults::rough(), 1, 1, |config| config.listeners[0].accept_proxy = true);
    scene.add_back(0, &[&[Hear("\r\n\r\n"), say(OK)]]);
    scene
}

#[test]
fn in_whatever_pieces_a_header_comes_the_server_hears_who_the_client_is() {
    let text = b"PROXY TCP4 192.0.2.7 192.0.2.1 1000 80\r\n";
    for seed in 0..300 {
        for header in [&text[..], BINARY] {
            let mut scene = scene(seed);
            let asks = Act::Say([header, GET.as_bytes()].concat());
            let client = scene.add_front(&[asks, Hear("ok"), Close]);
            scene.run();
            assert_eq!(scene.world.program(client).talk().status(), Some(200), "seed {seed}");
            let heard = scene.world.program(scene.actors[0]).talk().text().to_lowercase();
            assert!(heard.contains("x-forwarded-for: 192.0.2.7\r\n"), "seed {seed}: {heard}");
            scene.assert_nothing_is_left(seed);
        }
    }
}

#[test]
fn a_connection_that_does_not_say_so_is_closed_without_a_word() {
    for seed in 0..300 {
        let mut scene = scene(seed);
        let client = scene.add_front(&[say(GET), HearEnd]);
        scene.run();
        let talk = scene.world.program(client).talk();
        assert!(talk.ended.is_some() && talk.heard.is_empty(), "seed {seed}: {}", talk.text());
        assert_eq!(scene.world.program(scene.actors[0]).talks.len(), 0, "seed {seed}");
        scene.assert_nothing_is_left(seed);
    }
}
