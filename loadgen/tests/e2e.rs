//! The real binary against real sockets: how requests come to be due, and what becomes of them.
//!
//! What is sent and expected is in `e2e_requests.rs`, what is left behind in `e2e_output.rs`, exit codes in
//! `e2e_verdict.rs`, trouble in `e2e_trouble.rs`, the other commands in `e2e_commands.rs`.

#[macro_use]
mod support;

use loadgen::model::{Load, Piece};
use loadgen::selftest::target::Behaviour;
use std::time::{Duration, Instant};
use support::measured::measure;
use support::raw::{After, Recorder, answer};
use support::server::Server;
use support::target::Target;
use support::{Scratch, skipped};

each_engine! {
    without_a_rate_the_loop_is_closed
    a_rate_is_offered_whatever_the_answers_do
    a_number_of_requests_is_sent_to_the_last_one
    the_warm_up_is_sent_and_not_counted
    requests_are_pipelined_on_one_connection
    an_answer_that_does_not_come_in_time_is_a_timeout
    connections_are_opened_at_their_rate
    a_connection_is_closed_after_its_requests
    our_server_gives_only_right_answers_over_tcp_and_a_unix_socket
    ipv6_is_connected_to
}

fn without_a_rate_the_loop_is_closed(engine: &str) {
    let target = Target::new(Behaviour::Right);
    let run = measure(engine, &target.url(), &["-c", "4", "-d", "300ms", "--seed", "7"]).run;
    let did = target.stop();
    assert_eq!(run.setup.load, Load::Closed);
    assert_eq!((run.setup.engine.as_str(), run.setup.workload.as_str()), (engine, "add"));
    assert_eq!((run.setup.connections, run.setup.seed), (4, 7));
    assert_eq!(run.arrivals, None);
    assert!(run.counts.completed > 0);
    assert_eq!(run.counts.completed, run.counts.offered, "nothing is due that isn't sent");
    assert_eq!(did.requests, run.counts.sent, "the target saw what was counted");
    // One more to see whether anybody is there.
    assert_eq!((run.counts.connections_opened, did.connections), (4, 5));
    assert!(run.window_ns.abs_diff(300_000_000) < 1_000_000, "{}", run.window_ns);
}

/// The schedule doesn't wait: what is offered is known beforehand, from the seed or from arithmetic.
fn a_rate_is_offered_whatever_the_answers_do(engine: &str) {
    let target = Target::new(Behaviour::Delay(Duration::from_millis(20)));
    let options = ["-r", "500", "-d", "400ms", "-c", "8"];
    let poisson = measure(engine, &target.url(), &options).run;
    let again = measure(engine, &target.url(), &options).run;
    let piece = Piece { length_ns: 400_000_000, from: 500.0, to: 500.0 };
    assert_eq!(poisson.setup.load, Load::Open { arrivals: "poisson".to_owned(), pieces: vec![piece] });
    // Six standard deviations of a Poisson count of 200.
    assert!(poisson.counts.offered.abs_diff(200) < 85, "{:?}", poisson.counts);
    assert_eq!(poisson.counts.offered, again.counts.offered, "the same seed");
    assert_eq!(poisson.arrivals.unwrap().asked, 1.0);

    let even = measure(engine, &target.url(), &[&options[..], &["--arrivals", "constant"]].concat()).run;
    assert_eq!(even.counts.offered, 200);
    assert_eq!(even.arrivals.unwrap().asked, 0.0);
    assert!(even.service.0.min() >= 19_900_000, "no answer takes less than 20 ms: {}", even.service.0.min());
    assert!(even.response.at(0.5) >= even.service.at(0.5));
}

fn a_number_of_requests_is_sent_to_the_last_one(engine: &str) {
    for (count, options) in [
        (1000, &["-n", "1000", "-c", "16"][..]),
        // Fewer than connections.
        (3, &["-n", "3"]),
        (1, &["-n", "1", "-c", "1"]),
        (200, &["-n", "200", "-r", "2000"]),
        (50, &["-n", "50", "-r", "1000", "--arrivals", "constant", "-c", "2"]),
        (64, &["-n", "64", "-c", "1", "--pipeline", "16"]),
    ] {
        let target = Target::new(Behaviour::Right);
        let run = measure(engine, &target.url(), options).run;
        let did = target.stop();
        assert_eq!((run.counts.offered, run.counts.completed), (count, count), "{options:?}");
        assert_eq!(did.requests, count, "{options:?}");
        assert!(!run.interrupted);
    }
}

fn the_warm_up_is_sent_and_not_counted(engine: &str) {
    let target = Target::new(Behaviour::Right);
    let options = ["-r", "1000", "--arrivals", "constant", "--warmup", "200ms", "-d", "200ms"];
    let run = measure(engine, &target.url(), &options).run;
    let did = target.stop();
    assert_eq!((run.counts.offered, run.setup.warmup_ns), (200, 200_000_000));
    // As many as in the window; on a machine that stalls, some of the window's may never have been sent.
    let in_warm_up = did.requests - run.counts.sent;
    assert!((199..=201).contains(&in_warm_up), "{in_warm_up}");
    assert_eq!(run.started_unix_ms.abs_diff(unix_ms()) / 100_000, 0);
}

/// Each answer takes 20 ms. One by one there would be one in flight at most.
fn requests_are_pipelined_on_one_connection(engine: &str) {
    let target = Target::new(Behaviour::Delay(Duration::from_millis(20)));
    let run = measure(engine, &target.url(), &["-c", "1", "--pipeline", "8", "-n", "80"]).run;
    let did = target.stop();
    assert_eq!((run.counts.completed, run.counts.connections_opened), (80, 1));
    assert_eq!((did.requests, did.connections), (80, 2));
    assert!(run.in_flight_mean > 1.5, "{}", run.in_flight_mean);
    assert_eq!(run.setup.pipeline, 8);
}

fn an_answer_that_does_not_come_in_time_is_a_timeout(engine: &str) {
    let target = Target::new(Behaviour::Drop { every: 10 });
    let run = measure(engine, &target.url(), &["-n", "40", "-c", "8", "--timeout", "300ms"]);
    let did = target.stop();
    assert!(did.dropped >= 4, "{did:?}");
    let counts = run.run.counts;
    // A stalled machine may let others time out, too.
    assert!(counts.timeouts >= 4 && counts.timeouts == run.errors("timeout"), "{counts:?}");
    assert!(run.run.response.0.max() >= 299_000_000, "a timeout counts with the time it took");
    assert_eq!(run.ended.code, Some(4), "a tenth of errors is no run to believe");
    assert_eq!(run.run.setup.timeout_ns, 300_000_000);
}

fn connections_are_opened_at_their_rate(engine: &str) {
    let target = Target::new(Behaviour::Right);
    let began = Instant::now();
    let options = ["-c", "1000", "--connections-per-second", "40", "-r", "200", "-d", "500ms"];
    let run = measure(engine, &target.url(), &options).run;
    let allowed = (began.elapsed().as_secs_f64() * 40.0).ceil() as u64 + run.lanes.len() as u64;
    let opened = run.counts.connections_opened;
    assert!((2..=allowed).contains(&opened), "{opened} of {allowed}");
    assert_eq!(run.counts.failed, 0, "the first one does the work until the others are there");
}

fn a_connection_is_closed_after_its_requests(engine: &str) {
    let recorder = Recorder::start();
    let options = ["-n", "60", "-c", "2", "--requests-per-connection", "5"];
    let run = measure(engine, &recorder.url("/"), &options).run;
    let seen = recorder.seen();
    assert_eq!((run.counts.completed, seen.len()), (60, 60));
    let mut of_each = std::collections::BTreeMap::new();
    seen.iter().for_each(|seen| *of_each.entry(seen.connection).or_insert(0) += 1);
    // The last ones may share what is left.
    let of_each: Vec<u64> = of_each.into_values().collect();
    assert!(
        of_each.iter().all(|count| *count <= 5) && of_each.iter().filter(|count| **count == 5).count() >= 10
    );
    assert!(run.counts.connections_opened >= 12);
    assert_eq!(run.setup.requests_per_connection, 5);
}

fn our_server_gives_only_right_answers_over_tcp_and_a_unix_socket(engine: &str) {
    let socket = Scratch::new("server.sock");
    for listen in ["127.0.0.1:0", &format!("unix:{}", socket.as_str())] {
        let server = Server::start(&["--listen", listen]);
        for options in [
            &["-n", "2000", "-c", "8"][..],
            &["-n", "2000", "-c", "8", "--workload", "ledger", "--pipeline", "4"],
            &["-n", "500", "-r", "5k", "--keys", "10", "--zipf", "1"],
        ] {
            let run = measure(engine, &server.url(), options).run;
            assert_eq!(run.counts.completed, run.counts.offered, "{options:?} {:?}", run.errors);
            assert_eq!(run.setup.urls, [(server.url(), 1.0)]);
            let ledger = options.contains(&"ledger").then(loadgen::model::Ledger::default);
            assert_eq!(run.ledger, ledger);
        }
    }
}

fn ipv6_is_connected_to(engine: &str) {
    let recorder = match Recorder::on("[::1]:0", answer("200 OK", ""), After::GoOn) {
        Ok(recorder) => recorder,
        Err(error) => return skipped(&format!("no IPv6 here: {error}")),
    };
    let run = measure(engine, &recorder.url("/six"), &["-n", "10"]).run;
    assert_eq!(run.counts.completed, 10);
    assert!(run.setup.address.starts_with("[::1]:"), "{}", run.setup.address);
    assert!(recorder.seen().iter().all(|seen| seen.field("host") == Some(recorder.host())));
}

/// Constant arrivals, so that the numbers are known: 0.2 s from 100/s to 900/s are 100 requests, a quarter of them in
/// the first half plus what rises.
#[test]
fn a_ramp_rises_in_a_straight_line() {
    let target = Target::new(Behaviour::Right);
    let options = ["-r", "100:900", "-d", "400ms", "--arrivals", "constant"];
    let run = measure("auto", &target.url(), &options).run;
    let piece = Piece { length_ns: 400_000_000, from: 100.0, to: 900.0 };
    assert_eq!(run.setup.load, Load::Open { arrivals: "constant".to_owned(), pieces: vec![piece] });
    assert!(run.counts.offered.abs_diff(200) <= 1, "{:?}", run.counts);
    // A lane that is held up tells of what was due later, never earlier.
    let first_half = run.intervals.iter().filter(|interval| interval.at_ns < 200_000_000);
    let first_half: u64 = first_half.map(|interval| interval.offered).sum();
    assert!(first_half <= 62, "{first_half} of 60");

    let down =
        measure("auto", &target.url(), &["-r", "900:100", "-d", "400ms", "--arrivals", "constant"]).run;
    assert!(down.counts.offered.abs_diff(200) <= 1, "{:?}", down.counts);
}

#[test]
fn steps_climb_from_one_rate_to_the_other() {
    let target = Target::new(Behaviour::Right);
    let options = ["-r", "100:700", "--steps", "4", "-d", "400ms", "--arrivals", "constant"];
    let run = measure("auto", &target.url(), &options).run;
    let step = |rate| Piece { length_ns: 100_000_000, from: rate, to: rate };
    let pieces = [100.0, 300.0, 500.0, 700.0].map(step).to_vec();
    assert_eq!(run.setup.load, Load::Open { arrivals: "constant".to_owned(), pieces });
    assert!(run.counts.offered.abs_diff(160) <= 1, "{:?}", run.counts);
}

/// One connection and 50 ms for each answer can't do 200/s. What waits is shown, and what was never sent counts.
#[test]
fn a_request_that_waits_for_a_connection_is_recorded_and_never_hidden() {
    let target = Target::new(Behaviour::Delay(Duration::from_millis(50)));
    let options = ["-r", "200", "--arrivals", "constant", "-c", "1", "-d", "500ms", "--timeout", "300ms"];
    let run = measure("auto", &target.url(), &options);
    let counts = run.run.counts;
    assert_eq!(counts.offered, 100);
    // While the window lasts, and for as long as an answer may take.
    assert!(counts.sent <= 17, "{counts:?}");
    assert_eq!(run.errors("not sent: every connection was busy"), counts.failed, "{:?}", run.run.errors);
    // The one that was sent last had waited since the beginning, and no other reason is to be found.
    assert!(run.run.connection_wait.0.max() >= 200_000_000, "{}", run.run.connection_wait.0.max());
    assert!(run.run.response.at(0.5) > run.run.service.at(0.5));
    assert_eq!(run.ended.code, Some(4));
}

#[test]
fn the_served_process_is_found_by_its_address_or_by_name() {
    let target = Target::new(Behaviour::Right);
    let own = std::process::id();
    let found = |pid: &[&str]| measure("auto", &target.url(), &[&["-n", "2000"], pid].concat()).run.target;
    let by_address = found(&[]).expect("it listens here");
    assert_eq!(by_address.pids, [own]);
    assert!(by_address.cpu_ns > 0, "{by_address:?}");
    assert!(by_address.name.ends_with(&format!("(listens on {})", target.address())), "{}", by_address.name);
    let by_name = found(&["--pid", &own.to_string()]).expect("it is there");
    assert_eq!(by_name.pids, [own]);
    assert_eq!(found(&["--pid", "off"]), None);
}

#[test]
fn lanes_run_on_the_cores_that_were_named() {
    let target = Target::new(Behaviour::Right);
    let all = net::percore::Cores::All.resolve().unwrap();
    for core in [all[0], all[all.len() - 1]] {
        let run = measure("auto", &target.url(), &["-n", "100", "--cores", &core.to_string()]).run;
        assert_eq!((run.setup.cores, run.lanes[0].core), (vec![core], core));
    }
    let run = measure("auto", &target.url(), &["-n", "100", "--cores", "all"]).run;
    assert_eq!(run.setup.cores, all);
    assert!(run.machine.cpus >= all.len() && run.machine.kernel.starts_with("Linux "), "{:?}", run.machine);
}

fn unix_ms() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
}
