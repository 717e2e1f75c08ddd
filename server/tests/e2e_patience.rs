//! Clients that are slow, silent, or never read, against the real binary: each costs itself its connection, and
//! nobody else anything.
//!
//! No test expects anything to be fast: limits are short where they must run out, and long where they must not.

#[macro_use]
mod support;

use support::client::{Client, Expected, add, get, post, sum};
use support::metrics::Metrics;
use support::server::Server;
use support::{eventually, note};

use std::time::{Duration, Instant};

each_own_engine! {
    a_head_that_drips_gets_408
    a_connection_that_says_nothing_is_closed_silently
    an_idle_connection_is_closed_silently
    a_cut_body_gets_408
    a_body_that_keeps_coming_may_take_longer_than_the_limit
    a_peer_that_stays_after_the_end_is_cut_off
    a_peer_that_goes_away_in_the_middle_is_forgotten
    unfinished_requests_are_bounded_together
    a_client_that_never_reads_costs_little_and_holds_up_nobody
    a_client_that_never_reads_is_cut_off
    a_client_that_reads_slowly_gets_every_answer
}

/// What runs out in a test, and what a test waits at least.
const SHORT: Duration = Duration::from_millis(300);
/// Answers of one client that reads none, in bytes of requests: more than any kernel buffers.
const FLOOD_BYTES: usize = 128 << 20;
/// What the server may hold for it: its unsent output, what one turn can add to that, and noise.
const FLOOD_HELD_BYTES_MAX: u64 = 6 << 20;

fn a_head_that_drips_gets_408(engine: &str) {
    let server = Server::with_one_lane(engine, &["--head-timeout", "300ms"]);
    let mut client = server.connect();
    // The limit of a head runs from its first byte, not from its last.
    let start = Instant::now();
    for byte in get("/healthz").bytes().cycle() {
        if byte == b'\n' {
            continue;
        }
        // The server may have answered and gone.
        if client.try_send(&[byte]).is_err() || start.elapsed() > SHORT * 3 {
            break;
        }
        std::thread::sleep(SHORT / 20);
    }
    let answer = client.answer();
    assert!(start.elapsed() >= SHORT);
    assert_eq!(answer.status, 408);
    assert!(answer.closes());
    assert!(answer.error().contains("did not arrive in time"), "{}", answer.text());
    client.must_end();
    assert_eq!(Metrics::of(&server).sum("corelane_timeouts_total", &["limit=\"head\""]), 1.0);
    assert_eq!(Metrics::of(&server).sum("corelane_requests_total", &["status=\"408\""]), 1.0);
}

fn a_connection_that_says_nothing_is_closed_silently(engine: &str) {
    let server = Server::start(engine, &["--head-timeout", "300ms"]);
    server.connect().must_end();
}

fn an_idle_connection_is_closed_silently(engine: &str) {
    let server = Server::with_one_lane(engine, &["--idle-timeout", "300ms"]);
    let mut client = server.connect();
    assert_eq!(client.ask(add(1, 2)).text(), sum(1, 2));
    client.must_end();
    eventually("it is counted", || {
        Metrics::of(&server).sum("corelane_timeouts_total", &["limit=\"idle\""]) == 1.0
    });
}

fn a_cut_body_gets_408(engine: &str) {
    let server = Server::with_one_lane(engine, &["--body-timeout", "300ms"]);
    let (whole, chunked) = (
        post(&" ".repeat(100)),
        "POST /add HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"a\"",
    );
    for cut in [&whole[..whole.len() - 1], chunked] {
        let mut client = server.connect();
        client.send(cut);
        let answer = client.answer();
        assert_eq!(answer.status, 408);
        assert!(answer.closes());
        client.must_end();
    }
    assert_eq!(Metrics::of(&server).sum("corelane_timeouts_total", &["limit=\"body\""]), 2.0);
}

fn a_body_that_keeps_coming_may_take_longer_than_the_limit(engine: &str) {
    let server = Server::start(engine, &["--body-timeout", "3s", "--head-timeout", "3s"]);
    let mut client = server.connect();
    let request = post(&format!("{}{{\"a\":1,\"b\":2}}", " ".repeat(100)));
    let (head, body) = request.split_at(request.find("\r\n\r\n").expect("a head ends") + 4);
    client.send(head);
    let start = Instant::now();
    for piece in body.as_bytes().chunks(9) {
        client.send(piece);
        std::thread::sleep(SHORT);
    }
    assert!(start.elapsed() > Duration::from_secs(3));
    assert_eq!(client.answer().text(), sum(1, 2));
    client.must_serve();
}

fn a_peer_that_stays_after_the_end_is_cut_off(engine: &str) {
    let server = Server::with_one_lane(engine, &["--linger-timeout", "300ms"]);
    let mut client = server.connect();
    client.send("GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    client.must_end();
    // The client's side stays open.
    eventually("the slot is free", || Metrics::of(&server).sum("corelane_open_connections", &[]) == 0.0);
    assert_eq!(Metrics::of(&server).sum("corelane_timeouts_total", &["limit=\"linger\""]), 1.0);
}

fn a_peer_that_goes_away_in_the_middle_is_forgotten(engine: &str) {
    let server = Server::with_one_lane(engine, &[]);
    let long = post(&" ".repeat(900_000));
    for cut in [0, 1, 30, 200, long.len() / 2, long.len()] {
        let mut client = server.connect();
        client.send(&long[..cut]);
    }
    eventually("the slots are free", || Metrics::of(&server).sum("corelane_open_connections", &[]) == 0.0);
    server.connect().must_serve();
}

fn unfinished_requests_are_bounded_together(engine: &str) {
    let server = Server::with_one_lane(engine, &["--held-max", "1MiB", "--body-max", "450kB"]);
    let request = post(&format!("{}{{\"a\":1,\"b\":2}}", " ".repeat(400_000)));
    let (first, rest) = request.split_at(300_000);
    let mut clients: Vec<Client> = (0..8).map(|_| server.connect()).collect();
    for (n, client) in (1..).zip(&mut clients) {
        client.send(first);
        server.must_have_read(n * first.len());
    }
    server.connect().must_serve();
    let finished = clients.iter_mut().filter_map(|client| {
        // One that was refused may be gone by now.
        let _ = client.try_send(rest.as_bytes());
        let answer = client.answer();
        assert!(answer.status == 200 || (answer.status == 503 && answer.closes()), "{answer:?}");
        (answer.status == 200).then_some(())
    });
    assert!((1..=3).contains(&finished.count()), "1 MiB holds some of these, and not all");
}

fn a_client_that_never_reads_costs_little_and_holds_up_nobody(engine: &str) {
    let server = Server::with_one_lane(engine, &[]);
    let mut other = server.connect();
    other.must_serve();
    let before = server.own_bytes();
    let mut client = server.connect();
    let sent = flood(&mut client, || assert_eq!(other.ask(add(4, 5)).text(), sum(4, 5)));
    for n in 0..100 {
        assert_eq!(other.ask(add(n, n)).text(), sum(n, n));
    }
    let held = server.own_bytes().saturating_sub(before);
    note(&format!("{sent} bytes of requests went out unanswered; the server holds {held} more"));
    assert!(sent < FLOOD_BYTES, "the server reads on without an end");
    assert!(held < FLOOD_HELD_BYTES_MAX, "{held} bytes");
    let metrics = Metrics::of(&server);
    assert!(metrics.sum("corelane_engine_backpressure_pauses_total", &[]) >= 1.0);

    // Nothing of it is lost: once the client reads, every request that went out is answered, in order.
    let request = flood_request();
    let rest = request.len() - sent % request.len();
    let mut sender = client.sender();
    let finishing = std::thread::spawn(move || {
        use std::io::Write;
        sender.write_all(&flood_request().as_bytes()[flood_request().len() - rest..])
    });
    let answers = sent.div_ceil(request.len()) + usize::from(sent % request.len() == 0);
    for n in 0..answers {
        assert_eq!(client.answer().text(), sum(111_111, 222_222), "answer {n} of {answers}");
    }
    finishing.join().expect("the sender ends").expect("the rest is sent");
    client.must_serve();
}

fn a_client_that_never_reads_is_cut_off(engine: &str) {
    // Which of the limits it is depends on where in a request the server stopped reading.
    let limits = ["--head-timeout", "500ms", "--body-timeout", "500ms", "--idle-timeout", "500ms"];
    let server = Server::with_one_lane(engine, &limits);
    let mut client = server.connect();
    flood(&mut client, || ());
    eventually("the slot is free", || Metrics::of(&server).sum("corelane_open_connections", &[]) == 0.0);
    client.drain_to_the_end();
    assert!(client.try_answer(Expected::Body).is_err());
}

/// As long as the server doesn't read because of its own unsent output, it is not the client who is late.
fn a_client_that_reads_slowly_gets_every_answer(engine: &str) {
    let limits = ["--head-timeout", "2s", "--body-timeout", "2s", "--idle-timeout", "2s"];
    let server = Server::with_one_lane(engine, &limits);
    let mut client = server.connect();
    let sent = flood(&mut client, || ());
    let answers = sent / flood_request().len();
    let start = Instant::now();
    for n in 0..answers {
        // In all, a good deal longer than the limits.
        if n % (answers / 20) == 0 {
            std::thread::sleep(SHORT);
        }
        assert_eq!(client.answer().text(), sum(111_111, 222_222), "answer {n} of {answers}");
    }
    assert!(start.elapsed() > Duration::from_secs(5));
}

/// Sends requests and reads no answer, until the server reads no more, or there is no end to it; how many bytes
/// went out. Calls `meanwhile` now and then.
fn flood(client: &mut Client, mut meanwhile: impl FnMut()) -> usize {
    let requests = flood_request().repeat(1000).into_bytes();
    client.set_write_timeout(SHORT);
    let mut sent = 0;
    let mut refused = 0;
    // Two timeouts on end, so that a server that was merely busy doesn't count as one that stopped.
    while refused < 2 && sent < FLOOD_BYTES {
        match client.write_some(&requests[sent % requests.len()..]) {
            Ok(count) => {
                sent += count;
                refused = 0;
            }
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => refused += 1,
            // Cut off already.
            Err(_) => break,
        }
        meanwhile();
    }
    client.set_write_timeout(support::PATIENCE);
    sent
}

fn flood_request() -> String {
    add(111_111, 222_222)
}
