//! Requests and responses that stream: in whichever order their parts come, and in whichever pieces, each side gets what the other said.

use super::actor::{Act, Talk, say};
use super::scene::{Scene, UNSENT_BYTES_MAX};
use Act::{Close, Deaf, Echo, Finish, Hear, HearBytes, HearEnd, Reset, Wait};
use balancer::fleet::Fault;
use net::engine::sim::Faults;
use std::time::Duration;

const SEEDS: u64 = 100;
const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const UPGRADE: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
const SWITCHED: &str = "HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";

/// What the client and the server heard.
fn played(seed: u64, faults: &Faults, client: &[Act], server: &[&[Act]]) -> (Scene, Talk, Vec<Talk>) {
    let mut scene = Scene::bare(seed, faults.clone(), 1, 1, |config| {
        config.pools[0].timeouts.tunnel = Duration::from_secs(60);
    });
    let back = scene.add_back(0, server);
    let front = scene.add_front(client);
    scene.run();
    scene.assert_nothing_is_left(seed);
    let talk = scene.world.program(front).talk();
    let backs = scene.world.program(back).talks.clone();
    (scene, talk, backs)
}

/// The content of a message, out of its chunks.
fn unchunked(message: &str) -> String {
    let mut rest = message.split_once("\r\n\r\n").map_or("", |(_, rest)| rest);
    let mut content = String::new();
    while let Some((size, behind)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("no chunk: {size:?}"));
        if size == 0 {
            break;
        }
        content.push_str(&behind[..size]);
        rest = &behind[size + 2..];
    }
    content
}

/// One exchange after which both connections go on, and what each side must have heard of the other.
struct Case {
    name: &'static str,
    request: String,
    response: String,
    /// In what the server heard.
    asked: &'static str,
    /// At the end of what the client heard.
    told: &'static str,
}

fn case(name: &'static str, request: &str, response: &str, asked: &'static str, told: &'static str) -> Case {
    Case { name, request: request.to_owned(), response: response.to_owned(), asked, told }
}

fn cases() -> Vec<Case> {
    let with = |method: &str, fields: &str| format!("{method} / HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nx-sum: 7\r\n\r\n";
    let early = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    vec![
        case(
            "HEAD with a length",
            &with("HEAD", ""),
            "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n",
            "HEAD /",
            "\r\n\r\n",
        ),
        case("204", &with("GET", ""), "HTTP/1.1 204 No\r\n\r\n", "GET /", "\r\n\r\n"),
        case(
            "304 with a length",
            &with("GET", ""),
            "HTTP/1.1 304 Same\r\ncontent-length: 99\r\n\r\n",
            "GET /",
            "\r\n\r\n",
        ),
        case(
            "interim responses",
            &with("GET", ""),
            &format!("{early}{early}{}", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
            "GET /",
            "\r\n\r\nok",
        ),
        case("chunks with trailers", &with("GET", "te: trailers\r\n"), chunked, "GET /", "x-sum: 7\r\n\r\n"),
        case(
            "chunks to a server",
            &format!("{}2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n", with("PUT", "transfer-encoding: chunked\r\n")),
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "0\r\n\r\n",
            "\r\n\r\n",
        ),
        case(
            "an HTTP/1.0 server without a length of zero",
            &with("GET", ""),
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "GET /",
            "\r\n\r\n",
        ),
    ]
}

#[test]
fn in_whatever_pieces_each_kind_of_message_arrives_and_the_connection_goes_on() {
    let last = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlast";
    for seed in 0..SEEDS {
        for Case { name, request, response, asked, told } in cases() {
            let client = [say(&request), say(GET), Hear("last"), Close];
            let server = [
                Hear(asked),
                Wait(Duration::from_millis(1)),
                say(&response),
                Hear("GET /"),
                Hear("\r\n\r\n"),
                say(last),
            ];
            // A head that was waited for only up to its method goes on behind it.
            let (scene, talk, backs) = played(seed, &Faults::rough(), &client, &[&server]);
            let text = talk.text();
            assert!(text.ends_with("\r\n\r\nlast"), "seed {seed}: {name}: {text}");
            let first = &text[..text.rfind("HTTP/1.1").unwrap()];
            assert!(first.ends_with(told), "seed {seed}: {name}: {first}");
            assert_eq!(backs.len(), 1, "seed {seed}: {name}: the server's connection was not used again");
            assert_eq!(scene.all_faults(), [], "seed {seed}: {name}");
            if name == "interim responses" {
                assert_eq!(text.matches("103 Early Hints").count(), 2, "seed {seed}");
            }
        }
    }
}

#[test]
fn an_old_client_gets_the_end_of_the_connection_instead_of_chunks() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
    let until_close = "HTTP/1.1 200 OK\r\n\r\nabcdefg";
    for seed in 0..SEEDS {
        for (response, closes) in [(chunked, vec![]), (until_close, vec![Close])] {
            let server = [vec![Hear("\r\n\r\n"), say(response)], closes.clone()].concat();
            let (_, talk, _) = played(seed, &Faults::rough(), &[say("GET / HTTP/1.0\r\n\r\n")], &[&server]);
            assert!(talk.text().ends_with("\r\n\r\nabcdefg"), "seed {seed}: {}", talk.text());
            assert!(!talk.is_reset, "seed {seed}");
            // A newer client sees the end in the framing.
            let (_, talk, _) =
                played(seed, &Faults::rough(), &[say(GET), Hear("0\r\n\r\n"), Close], &[&server]);
            assert_eq!(unchunked(&talk.text()), "abcdefg", "seed {seed}: {}", talk.text());
        }
    }
}

#[test]
fn a_response_that_is_cut_never_looks_complete() {
    let cut = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\nde";
    for seed in 0..SEEDS {
        for end in [Close, Reset] {
            let server = [Hear("\r\n\r\n"), say(cut), Wait(Duration::from_secs(1)), end];
            let (scene, talk, _) = played(seed, &Faults::rough(), &[say(GET)], &[&server]);
            assert!(!talk.text().ends_with("0\r\n\r\n"), "seed {seed}");
            let (scene_of_old, talk, _) =
                played(seed, &Faults::rough(), &[say("GET / HTTP/1.0\r\n\r\n")], &[&server]);
            assert!(
                talk.is_reset,
                "seed {seed}: to an old client the end would look like the end of the content"
            );
            for scene in [scene, scene_of_old] {
                assert_eq!(scene.all_faults(), [(Fault::ResponseCut, 1)], "seed {seed}");
            }
        }
    }
}

#[test]
fn an_early_refusal_reaches_the_client_and_neither_connection_is_used_again() {
    let refusal = "HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig";
    let upload =
        format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n{}", "u".repeat(200_000));
    for seed in 0..SEEDS {
        let client = [say(&upload), HearEnd];
        let (scene, talk, backs) =
            played(seed, &Faults::rough(), &client, &[&[Hear("\r\n\r\n"), say(refusal)]]);
        assert_eq!(talk.status(), Some(413), "seed {seed}");
        assert!(talk.text().ends_with("big"), "seed {seed}: {}", talk.text());
        assert!(talk.text().to_lowercase().contains("connection: close"), "seed {seed}");
        assert_eq!(backs.len(), 1, "seed {seed}");
        assert_eq!(scene.all_faults(), [], "seed {seed}");
    }
}

/// Many clients read no answer before they have sent all of their request.
#[test]
fn behind_an_early_refusal_the_rest_of_the_request_is_read_although_the_server_reads_none_of_it() {
    const LENGTH: usize = 4 << 20;
    let upload =
        format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {LENGTH}\r\n\r\n{}", "u".repeat(LENGTH));
    let mut scene = Scene::bare(1, Faults::calm(), 1, 1, |_| {});
    let refusal = say("HTTP/1.1 413 Too Large\r\ncontent-length: 9\r\n\r\nhalf");
    scene.add_back(
        0,
        &[&[
            Hear("\r\n\r\n"),
            Deaf,
            Wait(Duration::from_secs(1)),
            refusal,
            Wait(Duration::from_secs(5)),
            Act::Attend,
        ]],
    );
    scene.add_front(&[say(&upload), HearEnd]);
    scene.world.run_for(Duration::from_secs(4));
    let read = scene.world.stats(scene.lanes[0]).received_bytes.get();
    assert!(read > LENGTH as u64, "{read} bytes were read");
    scene.run();
    scene.assert_nothing_is_left(1);
}

#[test]
fn a_server_that_answers_while_it_reads_gets_all_and_gives_all_back() {
    let content: String = (0..30_000).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
    for seed in 0..SEEDS {
        let chunks: String =
            content.as_bytes().chunks(700 + seed as usize).fold(String::new(), |all, piece| {
                format!("{all}{:x}\r\n{}\r\n", piece.len(), String::from_utf8_lossy(piece))
            });
        let upload =
            format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
        let begins = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let client = [say(&upload), Hear("\r\n0\r\n\r\n"), Close];
        let server = [Hear("\r\n\r\n"), say(begins), Echo];
        let (_, talk, _) = played(seed, &Faults::rough(), &client, &[&server]);
        assert_eq!(unchunked(&talk.text()), content, "seed {seed}");
    }
}

#[test]
fn who_asks_to_go_on_is_told_by_the_server_or_gets_its_final_answer() {
    let head = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    for seed in 0..SEEDS {
        let client = [say(head), Hear("100 Continue\r\n\r\n"), say("hello"), Hear("ok"), Close];
        let server = [Hear("\r\n\r\n"), say(go_on), Hear("hello"), say(ok)];
        let (_, talk, _) = played(seed, &Faults::rough(), &client, &[&server]);
        assert!(talk.text().ends_with("ok"), "seed {seed}: told: {}", talk.text());
        // It does not wait for ever.
        let client = [say(head), Wait(Duration::from_secs(1)), say("hello"), Hear("ok"), Close];
        let (_, talk, _) = played(seed, &Faults::rough(), &client, &[&[Hear("hello"), say(ok)]]);
        assert_eq!(talk.text().matches("HTTP/1.1").count(), 1, "seed {seed}: untold: {}", talk.text());
        let refusal = "HTTP/1.1 417 No\r\ncontent-length: 2\r\n\r\nno";
        let (_, talk, backs) =
            played(seed, &Faults::rough(), &[say(head), HearEnd], &[&[Hear("\r\n\r\n"), say(refusal)]]);
        assert_eq!(talk.status(), Some(417), "seed {seed}");
        assert!(!backs[0].text().contains("hello"), "seed {seed}");
    }
}

/// Bytes of both sides at once, in any pieces, ended in either order.
#[test]
fn through_a_tunnel_everything_arrives_in_order_and_nothing_before_it_is_there() {
    let (there, back) = ("client-".repeat(3_000) + "!", "server-".repeat(3_000) + "!");
    for seed in 0..SEEDS {
        // The client speaks at once; a server that has not agreed yet must not hear it.
        let client_first = seed % 2 == 0;
        let client = match client_first {
            true => [say(UPGRADE), say(&there), Finish, Hear("!"), HearEnd],
            false => [say(UPGRADE), say(&there), Hear("!"), HearEnd, Finish],
        };
        let quiet = Wait(Duration::from_millis(200));
        let server = match client_first {
            true => [Hear("\r\n\r\n"), quiet, say(SWITCHED), say(&back), Hear("!"), HearEnd, Finish],
            false => [Hear("\r\n\r\n"), quiet, say(SWITCHED), say(&back), Hear("!"), Finish, HearEnd],
        };
        let (scene, talk, backs) = played(seed, &Faults::rough(), &client, &[&server]);
        let heard = backs[0].text();
        assert_eq!(heard.split_once("\r\n\r\n").map(|(_, rest)| rest), Some(there.as_str()), "seed {seed}");
        assert!(talk.text().ends_with(&format!("\r\n\r\n{back}")), "seed {seed}: {}", talk.text().len());
        assert_eq!(scene.all_faults(), [], "seed {seed}");
    }
}

#[test]
fn before_the_protocol_is_switched_the_server_hears_nothing_of_the_new_one() {
    for seed in 0..SEEDS {
        let client = [say(UPGRADE), say("too early"), Wait(Duration::from_secs(2)), Close];
        let (_, _, backs) =
            played(seed, &Faults::rough(), &client, &[&[Deaf, Wait(Duration::from_secs(1)), Act::Attend]]);
        assert!(!backs[0].text().contains("early"), "seed {seed}: {}", backs[0].text());
    }
}

#[test]
fn a_refused_upgrade_goes_on_as_http() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    for seed in 0..SEEDS {
        let client = [say(UPGRADE), say(GET), Hear("ok"), Hear("ok"), Close];
        let server = [Hear("\r\n\r\n"), say(ok), Hear("\r\n\r\n"), say(ok)];
        let (_, talk, backs) = played(seed, &Faults::rough(), &client, &[&server]);
        assert_eq!(talk.text().matches("200 OK").count(), 2, "seed {seed}: {}", talk.text());
        assert_eq!(backs.len(), 1, "seed {seed}");
    }
}

#[test]
fn a_tunnel_that_one_side_resets_ends_on_the_other() {
    for seed in 0..SEEDS {
        for is_client in [true, false] {
            let opens = [say(UPGRADE), Hear("\r\n\r\n")];
            let agrees = [Hear("\r\n\r\n"), say(SWITCHED)];
            let ends = |part: &[Act], resets: bool| {
                let rest = if resets { vec![Wait(Duration::from_secs(1)), Reset] } else { vec![HearEnd] };
                [part.to_vec(), rest].concat()
            };
            let (client, server) = (ends(&opens, is_client), ends(&agrees, !is_client));
            let (_, talk, backs) = played(seed, &Faults::rough(), &client, &[&server]);
            let other = if is_client { &backs[0] } else { &talk };
            assert!(other.ended.is_some(), "seed {seed}");
        }
    }
}

/// A server that was told that the client has ended, and does not end itself, is not waited for without end.
#[test]
fn a_tunnel_of_which_only_the_server_s_side_is_left_ends_after_its_limit() {
    let mut scene = Scene::bare(1, Faults::calm(), 1, 1, |config| {
        config.pools[0].timeouts.tunnel = Duration::from_secs(60);
    });
    let second = Wait(Duration::from_secs(1));
    let never = HearBytes(1 << 30);
    scene.add_back(0, &[&[Hear("\r\n\r\n"), say(SWITCHED), second.clone(), second.clone(), say("?"), never]]);
    scene.add_front(&[say(UPGRADE), Hear("\r\n\r\n"), Finish, second, Reset]);
    scene.world.run_for(Duration::from_secs(50));
    let lane = scene.lanes[0];
    assert_eq!(scene.world.program(lane).open(), 0, "the client has gone");
    assert_eq!(scene.world.program(lane).open_backs(), 1, "the server may still end its side");
    scene.world.run_for(Duration::from_secs(20));
    assert_eq!(scene.world.program(lane).open_backs(), 0);
    scene.assert_no_request_is_left(1);
}

/// Who does not read keeps the other one from sending: what lies in the lane between them is bounded.
#[test]
fn a_lane_reads_no_further_ahead_than_its_bound() {
    const MUCH: usize = 16 << 20;
    /// The windows of both connections' both ends, what lies in a lane, and a few pieces.
    const WINDOW: usize = 16 * 1024;
    let faults = Faults { window: WINDOW..=WINDOW, ..Faults::calm() };
    let bound = (WINDOW + UNSENT_BYTES_MAX + 3 * 4096) as u64;
    let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {MUCH}\r\n\r\n{}", "d".repeat(MUCH));
    let upload = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {MUCH}\r\n\r\n{}", "u".repeat(MUCH));
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let pause = Wait(Duration::from_secs(5));

    let mut scene = Scene::bare(1, faults.clone(), 1, 1, |_| {});
    scene.add_back(0, &[&[Hear("\r\n\r\n"), say(&response)]]);
    let client = scene.add_front(&[say(GET), Deaf, pause.clone(), Act::Attend, HearBytes(MUCH), Close]);
    scene.world.run_for(Duration::from_secs(4));
    let read = scene.fleet.pools[0].servers[0].lanes[0].received_bytes.get();
    assert!(
        (1..=bound).contains(&read),
        "{read} bytes of the server were read, for a client that takes none"
    );
    scene.run();
    assert!(scene.world.program(client).talk().heard.len() > MUCH);
    scene.assert_nothing_is_left(1);

    let mut scene = Scene::bare(1, faults, 1, 1, |_| {});
    scene.add_back(0, &[&[Deaf, pause, Act::Attend, HearBytes(MUCH), Wait(Duration::from_secs(1)), say(ok)]]);
    let client = scene.add_front(&[say(&upload), Hear("ok"), Close]);
    scene.world.run_for(Duration::from_secs(4));
    let read = scene.world.stats(scene.lanes[0]).received_bytes.get();
    assert!(
        (1..=bound).contains(&read),
        "{read} bytes of the client were read, for a server that takes none"
    );
    scene.run();
    assert_eq!(scene.world.program(client).talk().status(), Some(200));
    scene.assert_nothing_is_left(1);
}
