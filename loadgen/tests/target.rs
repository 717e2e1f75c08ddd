//! The targets of the self-test do what they say: to the nanosecond on the simulator, and on real sockets.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use loadgen::selftest::target::{Behaviour, Counts, Service, Target, start};
use net::address::Address;
use net::engine::hand::Hand;
use net::engine::sim::{Faults, Setup, World};
use net::engine::{Close, End, Engine, Io, Opened, Probe, Program, Token};
use net::http1::write::{self, BodySpec, RequestSpec};
use net::http1::{Asked, ClientConn, Limits, ResponseHeads, ResponseStep};
use net::time::{Time, UnixSeconds};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What a calm world takes for a request and its answer, in microseconds: for each of them 50 on the wire and 50 to
/// wake who reads it.
const THERE_AND_BACK: u64 = 200;

#[test]
fn who_behaves_answers_at_once_and_rightly() {
    let played = play(Behaviour::Right, &[ask(1000, 0, 1, 2), ask(1000, 1, -5, 2), ask(2000, 0, 0, 0)]);
    assert_eq!(played.answers(), [(1000, 0, "3"), (1000, 1, "-3"), (2000, 0, "0")]);
    assert_eq!(played.counts, Counts { connections: 2, requests: 3, answered: 3, ..Counts::default() });
}

#[test]
fn the_largest_operands_have_a_sum_too() {
    let played =
        play(Behaviour::Right, &[ask(1000, 0, i64::MAX, i64::MAX), ask(1000, 0, i64::MIN, i64::MIN)]);
    assert_eq!(played.texts(), ["18446744073709551614", "-18446744073709551616"]);
}

#[test]
fn a_delay_is_exact_for_each_request_of_a_pipeline() {
    let asks = [ask(1000, 0, 1, 1), ask(1000, 0, 2, 2), ask(1500, 0, 3, 3), ask(1200, 1, 4, 4)];
    let played = play(Behaviour::Delay(us(2000)), &asks);
    let delay = 2000;
    let expected =
        [(1000 + delay, 0, "2"), (1000 + delay, 0, "4"), (1200 + delay, 1, "8"), (1500 + delay, 0, "6")];
    assert_eq!(played.answers(), expected);
}

/// Arrivals at 1000, 1100, 1200 and 9000, one millisecond each: the second waits 0.9 ms, the third 1.8 ms.
#[test]
fn a_queue_serves_one_at_a_time_whatever_the_connection() {
    let asks = [ask(1000, 0, 1, 0), ask(1100, 1, 2, 0), ask(1200, 2, 3, 0), ask(9000, 0, 4, 0)];
    let played = play(Behaviour::Queue { service: Service::Fixed(us(1000)) }, &asks);
    let expected = [(2000, 0, "1"), (3000, 1, "2"), (4000, 2, "3"), (10_000, 0, "4")];
    assert_eq!(played.answers(), expected);
}

/// What can be said of any service times: with all requests there at once, the last answer is the sum of all times.
#[test]
fn a_random_queue_is_the_same_for_the_same_seed_and_works_without_a_pause() {
    let asks: Vec<Ask> = (0..2000).map(|n| ask(1000, n % 8, n as i64, 0)).collect();
    let end = |seed| {
        let service = Service::Exponential { mean: us(100), seed };
        let played = play(Behaviour::Queue { service }, &asks);
        assert_eq!(played.got.len(), 2000);
        played.answers().iter().map(|(at, ..)| *at).max().unwrap()
    };
    assert_eq!(end(1), end(1));
    assert_ne!(end(1), end(2));
    let mean_us = (end(1) - 1000) as f64 / 2000.0;
    assert!((mean_us - 100.0).abs() < 10.0, "{mean_us}");
}

/// The first request is sent at 1000, so for who sends the stall is from 11,000 to 15,000.
#[test]
fn a_stall_answers_all_that_came_in_it_at_its_end() {
    let behaviour = Behaviour::Stall { at: us(10_000), length: us(4000) };
    let asks = [
        ask(1000, 0, 1, 0),
        ask(10_999, 0, 2, 0),
        ask(11_000, 1, 3, 0),
        ask(12_000, 1, 4, 0),
        ask(14_999, 0, 5, 0),
        ask(15_000, 1, 6, 0),
    ];
    let played = play(behaviour, &asks);
    let end = 15_000;
    let before = [(1000, 0, "1"), (10_999, 0, "2")];
    assert_eq!(played.answers()[..2], before);
    let mut rest = played.answers()[2..].to_vec();
    rest.sort_unstable();
    assert_eq!(rest, [(end, 0, "5"), (end, 1, "3"), (end, 1, "4"), (end, 1, "6")]);
    assert_eq!(played.counts.stalled, 3);
}

#[test]
fn stalls_come_again_for_who_asks_for_more_than_one() {
    let behaviour = Behaviour::StallEvery { every: us(10_000), length: us(1000) };
    let asks = [ask(1000, 0, 1, 0), ask(11_500, 0, 2, 0), ask(13_000, 0, 3, 0), ask(21_100, 0, 4, 0)];
    let played = play(behaviour, &asks);
    let expected = [(1000, 0, "1"), (12_000, 0, "2"), (13_000, 0, "3"), (22_000, 0, "4")];
    assert_eq!(played.answers(), expected);
    assert_eq!(played.counts.stalled, 2);
}

#[test]
fn a_swap_exchanges_two_answers_in_flight_and_waits_for_the_second() {
    let asks =
        [ask(1000, 0, 1, 0), ask(2000, 0, 2, 0), ask(3000, 1, 3, 0), ask(4000, 0, 4, 0), ask(5000, 1, 5, 0)];
    let played = play(Behaviour::Swap { every: 2 }, &asks);
    let mut answers = played.answers();
    answers.sort_unstable();
    let expected = [(1000, 0, "1"), (3000, 0, "3"), (3000, 1, "2"), (5000, 0, "5"), (5000, 1, "4")];
    assert_eq!(answers, expected);
    assert_eq!((played.counts.swapped, played.counts.held_in_vain), (4, 0));
}

#[test]
fn an_answer_that_finds_no_partner_goes_out_as_it_is() {
    let played =
        play(Behaviour::Swap { every: 2 }, &[ask(1000, 0, 1, 0), ask(2000, 0, 2, 0), ask(3000, 0, 3, 0)]);
    assert_eq!(played.answers(), [(1000, 0, "1"), (102_000, 0, "2"), (102_000, 0, "3")]);
    assert_eq!((played.counts.swapped, played.counts.held_in_vain), (0, 1));
}

#[test]
fn equal_sums_are_exchanged_without_anybody_being_able_to_tell() {
    let played = play(Behaviour::Swap { every: 1 }, &[ask(1000, 0, 1, 2), ask(2000, 1, 2, 1)]);
    assert_eq!(played.texts(), ["3", "3"]);
    assert_eq!(played.counts.swapped, 0);
}

#[test]
fn what_is_dropped_is_never_answered_and_the_rest_is() {
    let played =
        play(Behaviour::Drop { every: 2 }, &[ask(1000, 0, 1, 0), ask(2000, 0, 2, 0), ask(3000, 1, 3, 0)]);
    assert_eq!(played.answers(), [(1000, 0, "1"), (3000, 1, "3")]);
    assert_eq!(played.ends, []);
    assert_eq!((played.counts.dropped, played.counts.answered), (1, 2));
}

#[test]
fn a_duplicate_is_the_sum_that_the_connection_got_before() {
    let asks = [
        ask(1000, 0, 1, 0),
        ask(2000, 1, 2, 0),
        ask(3000, 0, 3, 0),
        ask(4000, 1, 4, 0),
        ask(5000, 0, 5, 0),
        // Its turn again, but what the connection got before is right this time too.
        ask(6000, 1, 4, 0),
    ];
    let played = play(Behaviour::Duplicate { every: 3 }, &asks);
    assert_eq!(played.texts(), ["1", "2", "1", "4", "5", "4"]);
    assert_eq!(played.counts.duplicated, 1);
}

#[test]
fn nothing_is_duplicated_before_there_is_something() {
    let played = play(
        Behaviour::Duplicate { every: 1 },
        &[ask(1000, 0, 1, 0), ask(2000, 1, 2, 0), ask(3000, 1, 3, 0)],
    );
    assert_eq!(played.texts(), ["1", "2", "2"]);
    assert_eq!(played.counts.duplicated, 1);
}

#[test]
fn a_corrupted_sum_has_another_digit() {
    let played = play(Behaviour::Corrupt { every: 2 }, &[ask(1000, 0, 1000, 234), ask(2000, 0, 1000, 234)]);
    assert_eq!(played.texts(), ["1234", "2234"]);
    assert_eq!(played.counts.corrupted, 1);
}

#[test]
fn an_answer_that_is_cut_ends_the_connection() {
    let asks = [ask(1000, 0, 1, 0), ask(2000, 0, 2, 0), ask(2000, 0, 3, 0)];
    let played = play(Behaviour::CloseMidAnswer { every: 2 }, &asks);
    assert_eq!(played.answers(), [(1000, 0, "1"), (2000, 0, "cut short")]);
    assert_eq!(played.ends, [(0, End::Closed)]);
    assert_eq!((played.counts.cut, played.counts.answered), (1, 1));
}

#[test]
fn what_is_not_http_is_seen_as_that() {
    for behaviour in [Behaviour::NotHttp, Behaviour::Tls] {
        let played = play(behaviour, &[ask(1000, 0, 1, 0), ask(2000, 1, 2, 0)]);
        assert_eq!(played.answers(), [(1000, 0, "malformed"), (2000, 1, "malformed")]);
        assert_eq!(played.ends, [(0, End::Closed), (1, End::Closed)]);
        assert_eq!((played.counts.foreign, played.counts.requests), (2, 0));
    }
}

#[test]
fn a_status_is_the_one_that_was_asked_for_or_500() {
    for (status, text) in [(503, "status 503"), (404, "status 404"), (100, "status 500"), (7, "status 500")] {
        let played = play(Behaviour::Status(status), &[ask(1000, 0, 1, 0), ask(2000, 0, 2, 0)]);
        assert_eq!(played.texts(), [text, text]);
        assert_eq!(played.counts.answered, 2);
    }
}

#[test]
fn after_so_many_answers_the_connection_closes_and_says_so() {
    let asks = [ask(1000, 0, 1, 0), ask(2000, 0, 2, 0), ask(2000, 0, 3, 0), ask(2000, 1, 4, 0)];
    let played = play(Behaviour::CloseAfter(2), &asks);
    assert_eq!(played.answers(), [(1000, 0, "1"), (2000, 0, "2 and close"), (2000, 1, "4")]);
    assert_eq!(played.ends, [(0, End::Closed)]);
    assert_eq!((played.counts.closed, played.counts.answered), (1, 3));
}

#[test]
fn who_is_silent_reads_and_says_nothing() {
    let played = play(Behaviour::Silent, &[ask(1000, 0, 1, 0), ask(2000, 0, 2, 0)]);
    assert_eq!((played.got.len(), played.ends.len()), (0, 0));
    assert_eq!((played.counts.requests, played.counts.dropped, played.counts.answered), (2, 2, 0));
}

/// An answer of n bytes takes n - 1 milliseconds from its first byte to its last; the next begins one later.
#[test]
fn a_trickle_takes_a_millisecond_for_each_byte() {
    let played = play(Behaviour::Trickle, &[ask(1000, 0, 1, 0), ask(1000, 0, 2, 0)]);
    let bytes = played.bytes / 2;
    assert!(bytes > 100, "an answer has a head");
    let first = 1000 + (bytes - 1) * 1000;
    assert_eq!(played.answers(), [(first, 0, "1"), (first + bytes * 1000, 0, "2")]);
}

#[test]
fn what_is_no_sum_is_refused_and_is_no_request() {
    let refused = [
        (post("/add", "{\"a\":1}"), "status 400"),
        (post("/add", "{\"a\":1.5,\"b\":2}"), "status 400"),
        (post("/sub", "{\"a\":1,\"b\":2}"), "status 404"),
        (b"GET /add HTTP/1.1\r\nhost: h\r\n\r\n".to_vec(), "status 405"),
        (b"nonsense\r\n\r\n".to_vec(), "status 400 and close"),
    ];
    for (bytes, text) in refused {
        let played = play(Behaviour::Right, &[Ask { at: 1000, conn: 0, bytes }]);
        assert_eq!(played.texts(), [text]);
        let Counts { requests, answered, refused, .. } = played.counts;
        assert_eq!((requests, answered, refused), (0, 0, 1));
    }
}

#[test]
fn who_half_closes_still_gets_what_it_asked_for() {
    let mut world = World::new(1, Faults::calm());
    let address: Address = "10.0.0.1:80".parse().unwrap();
    let target = world.add(Target::new(Behaviour::Delay(us(5000))), Setup::listening(&address));
    let mut client = Client::new(&address, &[ask(1000, 0, 1, 0), ask(1000, 0, 2, 0)]);
    client.half_closes = true;
    world.add(client, Setup::default());
    world.run();
    assert_eq!(world.program(target).counts().answered, 2);
}

/// It is told to go on at once and whatever the behaviour; only the answer is late.
#[test]
fn who_asks_whether_to_send_its_body_is_told_to_go_on() {
    let mut hand = Hand::hold(Target::new(Behaviour::Delay(us(1000))));
    let token = hand.open();
    let (mut out, body) = (Vec::new(), b"{\"a\":1,\"b\":2}");
    let head = b"POST /add HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 13\r\n\r\n";
    hand.feed(token, head, &mut out);
    assert_eq!(out, write::CONTINUE);
    out.clear();
    hand.feed(token, body, &mut out);
    assert_eq!(out, b"");
    hand.pass(Time(1_000_000), UnixSeconds(0), token, &mut out);
    assert!(out.ends_with(b"{\"result\":3}"));
    assert_eq!(hand.program.counts().requests, 1);
}

#[test]
fn who_does_not_end_after_we_did_is_let_go_after_a_second() {
    let mut hand = Hand::hold(Target::new(Behaviour::Tls));
    let (token, mut out) = (hand.open(), Vec::new());
    hand.feed(token, b"x", &mut out);
    assert_eq!(
        (hand.closing(token), out.as_slice()),
        (Some(Close::AfterFlush), &[0x15, 3, 3, 0, 2, 2, 0x28][..])
    );
    hand.pass(Time(999_000_000), UnixSeconds(0), token, &mut out);
    assert_eq!(hand.closing(token), Some(Close::AfterFlush));
    hand.pass(Time(1_100_000_000), UnixSeconds(1), token, &mut out);
    assert_eq!(hand.closing(token), Some(Close::Now));
}

#[test]
fn an_exchange_is_off_when_one_of_the_two_has_gone() {
    let mut hand = Hand::hold(Target::new(Behaviour::Swap { every: 1 }));
    let (first, second, third) = (hand.open(), hand.open(), hand.open());
    let mut out = Vec::new();
    hand.feed(first, &add(1, 0), &mut out);
    hand.end(first, End::Reset);
    hand.feed(second, &add(2, 0), &mut out);
    assert_eq!(out, b"", "held for the third, as if there had been no first");
    hand.feed(third, &add(3, 0), &mut out);
    assert!(out.ends_with(b"{\"result\":2}"));
    assert_eq!(hand.program.counts().swapped, 2);
}

/// Cuts, crumbs, delays and short sends: in every world the answers are the same, only later.
#[test]
fn however_the_bytes_arrive_each_connection_gets_its_sums_in_order() {
    for seed in 0..100 {
        // From a second on: all connections are open by then.
        let at = |n| 1_000_000 + n as u64 * 700;
        let asks: Vec<Ask> = (0..60).map(|n| ask(at(n), n % 3, n as i64, 1)).collect();
        let played = play_in(seed, Faults::rough(), Behaviour::Delay(us(300)), &asks);
        for conn in 0..3 {
            let got = played.got.iter().filter(|got| got.conn == conn).map(|got| got.text.clone());
            let expected = (0..60).filter(|n| n % 3 == conn).map(|n| (n + 1).to_string());
            assert!(got.eq(expected), "seed {seed}");
        }
        assert_eq!(played.counts.answered, 60, "seed {seed}");
    }
}

#[test]
fn on_a_real_socket_the_sums_are_right_and_counted() {
    for engine in engines() {
        let target = start(Behaviour::Corrupt { every: 3 }, None, engine).unwrap();
        let mut stream = connect(&target.address);
        for (n, sum) in [(1, "10"), (2, "11"), (3, "22"), (4, "13")] {
            stream.write_all(&add(n, 9)).unwrap();
            assert_eq!(answer(&mut stream), format!("{{\"result\":{sum}}}"), "{engine}");
        }
        let counts = target.stop().unwrap();
        let expected = Counts { connections: 1, requests: 4, answered: 4, corrupted: 1, ..Counts::default() };
        assert_eq!(counts, expected, "{engine}");
    }
}

/// A machine that is slow makes the answer later, never earlier.
#[test]
fn on_a_real_socket_and_a_core_a_delay_is_never_cut_short() {
    let core = net::percore::Cores::All.resolve().unwrap()[0];
    for engine in engines() {
        let target = start(Behaviour::Delay(us(5000)), Some(core), engine).unwrap();
        let mut stream = connect(&target.address);
        for n in 0..3 {
            let began = Instant::now();
            stream.write_all(&add(n, 1)).unwrap();
            assert_eq!(answer(&mut stream), format!("{{\"result\":{}}}", n + 1), "{engine}");
            assert!(began.elapsed() >= us(5000), "{engine}");
        }
        assert_eq!(target.stop().unwrap().answered, 3, "{engine}");
    }
}

#[test]
fn on_a_real_socket_a_cut_answer_is_followed_by_the_end() {
    for engine in engines() {
        let target = start(Behaviour::CloseMidAnswer { every: 1 }, None, engine).unwrap();
        let mut stream = connect(&target.address);
        stream.write_all(&add(1, 2)).unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        assert!(got.starts_with(b"HTTP/1.1 200") && !got.ends_with(b"}"), "{engine}");
        assert_eq!(target.stop().unwrap().cut, 1, "{engine}");
    }
}

#[test]
fn a_target_that_nobody_holds_any_more_ends() {
    for engine in engines() {
        let target = start(Behaviour::Silent, None, engine).unwrap();
        let mut stream = connect(&target.address);
        drop(target);
        // Closed or reset, as the last bytes may have been read or not: in either case it is over.
        let ended = stream.read(&mut [0; 1]);
        assert!(!matches!(ended, Ok(1..)), "{engine}: {ended:?}");
    }
}

/// A request, when it is sent in microseconds, and on which connection.
#[derive(Clone, Debug)]
struct Ask {
    at: u64,
    conn: usize,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Got {
    at: u64,
    conn: usize,
    text: String,
}

/// What a client saw, and what the target did.
#[derive(Debug)]
struct Played {
    got: Vec<Got>,
    ends: Vec<(usize, End)>,
    bytes: u64,
    counts: Counts,
}

impl Played {
    /// Each with the time at which it came in a calm world, less what the wires took: an answer that is given at once
    /// comes when its request was sent.
    fn answers(&self) -> Vec<(u64, usize, &str)> {
        self.got.iter().map(|got| (got.at - THERE_AND_BACK, got.conn, got.text.as_str())).collect()
    }

    fn texts(&self) -> Vec<&str> {
        self.got.iter().map(|got| got.text.as_str()).collect()
    }
}

fn play(behaviour: Behaviour, asks: &[Ask]) -> Played {
    play_in(1, Faults::calm(), behaviour, asks)
}

fn play_in(seed: u64, faults: Faults, behaviour: Behaviour, asks: &[Ask]) -> Played {
    let mut world = World::new(seed, faults);
    let address: Address = "10.0.0.1:80".parse().unwrap();
    let target = world.add(Target::new(behaviour), Setup::listening(&address));
    let client = world.add(Client::new(&address, asks), Setup::default());
    world.run_for(Duration::from_secs(600));
    let counts = world.program(target).counts();
    let client = world.into_program(client);
    Played { got: client.got, ends: client.ends, bytes: client.bytes, counts }
}

/// Sends by script, and writes down what comes.
struct Client {
    to: Address,
    asks: VecDeque<Ask>,
    conns: Vec<(Option<Token>, ClientConn, usize)>,
    heads: ResponseHeads,
    half_closes: bool,
    got: Vec<Got>,
    ends: Vec<(usize, End)>,
    bytes: u64,
}

impl Client {
    fn new(to: &Address, asks: &[Ask]) -> Client {
        let mut asks = asks.to_vec();
        asks.sort_by_key(|ask| ask.at);
        let conns = asks.iter().map(|ask| ask.conn + 1).max().unwrap_or(0);
        let conns = (0..conns).map(|_| (None, ClientConn::new(), 0)).collect();
        let asks = asks.into();
        let heads = ResponseHeads::new(Limits::default());
        Client { to: to.clone(), asks, conns, heads, half_closes: false, got: vec![], ends: vec![], bytes: 0 }
    }

    fn number(&self, token: Token) -> usize {
        self.conns.iter().position(|(known, ..)| *known == Some(token)).unwrap()
    }

    fn note(&mut self, conn: usize, io: &Io, text: impl Into<String>) {
        self.got.push(Got { at: io.now().0 / 1000, conn, text: text.into() });
    }
}

impl Program for Client {
    type Mail = ();

    fn on_start(&mut self, io: &mut Io) {
        for (token, ..) in &mut self.conns {
            *token = Some(io.connect(self.to.clone()));
        }
    }

    fn on_open(&mut self, _: Token, _: Opened, _: &mut Io) {}

    fn on_bytes(&mut self, token: Token, bytes: &[u8], io: &mut Io) {
        self.bytes += bytes.len() as u64;
        let number = self.number(token);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (_, http, _) = &mut self.conns[number];
            let text = match http.next(rest, Asked::Other, &mut self.heads) {
                Ok(ResponseStep::More) => return,
                Ok(ResponseStep::Interim { .. }) => panic!("nobody asked whether to go on"),
                Ok(ResponseStep::Response { response, used }) => {
                    rest = &rest[used..];
                    let close = if response.head.keep_alive { "" } else { " and close" };
                    match response.head.status.code() {
                        200 => format!("{}{close}", sum(response.body)),
                        other => format!("status {other}{close}"),
                    }
                }
                Err(_) => {
                    rest = &[];
                    "malformed".to_owned()
                }
            };
            self.note(number, io, text);
        }
    }

    fn on_eof(&mut self, token: Token, io: &mut Io) {
        let number = self.number(token);
        let (_, http, _) = &mut self.conns[number];
        if matches!(http.phase(), net::http1::Phase::Head | net::http1::Phase::Body) {
            self.note(number, io, "cut short");
        }
        io.close(token, Close::AfterFlush);
    }

    fn on_end(&mut self, token: Token, end: End, _: &mut Io) {
        let number = self.number(token);
        self.ends.push((number, end));
    }

    fn on_mail(&mut self, (): (), _: &mut Io) {}

    fn next_deadline(&self) -> Option<Time> {
        self.asks.front().map(|ask| Time(ask.at * 1000))
    }

    fn on_deadline(&mut self, io: &mut Io) {
        while self.asks.front().is_some_and(|ask| Time(ask.at * 1000) <= io.now()) {
            let Ask { conn, bytes, .. } = self.asks.pop_front().unwrap();
            let token = self.conns[conn].0.unwrap();
            io.out(token).extend_from_slice(&bytes);
            if self.half_closes && self.asks.is_empty() {
                io.close(token, Close::AfterFlush);
            }
        }
    }
}

fn ask(at: u64, conn: usize, a: i64, b: i64) -> Ask {
    Ask { at, conn, bytes: add(a, b) }
}

fn add(a: i64, b: i64) -> Vec<u8> {
    post("/add", &format!("{{\"a\":{a},\"b\":{b}}}"))
}

fn post(target: &str, body: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let body = BodySpec::Length(body.as_bytes());
    write::request(&mut bytes, &RequestSpec { method: "POST", target, host: "h", fields: &[], body });
    bytes
}

fn sum(body: &[u8]) -> String {
    let body = std::str::from_utf8(body).unwrap();
    body.strip_prefix("{\"result\":").unwrap().strip_suffix('}').unwrap().to_owned()
}

/// Those that this machine permits; a container may forbid io_uring.
fn engines() -> Vec<Engine> {
    let engines: Vec<_> =
        Engine::ALL.iter().copied().filter(|engine| Probe::named(*engine).is_ok()).collect();
    assert!(!engines.is_empty());
    engines
}

fn connect(address: &Address) -> TcpStream {
    let Address::Tcp(address) = address else { panic!("{address}") };
    TcpStream::connect(address).unwrap()
}

/// The body of the next answer; there is one request in flight.
fn answer(stream: &mut TcpStream) -> String {
    let (mut http, mut heads) = (ClientConn::new(), ResponseHeads::new(Limits::default()));
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "closed without an answer");
        let step = http.next(&buffer[..count], Asked::Other, &mut heads).unwrap();
        if let ResponseStep::Response { response, .. } = step {
            return String::from_utf8(response.body.to_vec()).unwrap();
        }
    }
}

fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}
