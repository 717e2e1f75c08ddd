//! Each check is broken alone, in a run that is otherwise good, and must be the one that fails.

use super::*;
use crate::model::{Arrivals, ErrorCount, Latency, Ledger, Load, Piece, example};

#[test]
fn the_example_is_valid() {
    let run = judged(|_| {}, &["p99<1ms", "errors<0.1%"]);
    assert_eq!(words(&run), "VALID");
    assert!(run.is_valid() && run.slos.iter().all(|slo| slo.met));
    assert!(run.checks.iter().all(|check| check.outcome == Outcome::Pass), "{:#?}", run.checks);
    assert!(run.checks.iter().all(|check| check.help.is_empty() && !check.found.is_empty()));
    assert_eq!(fault(&run), Fault::Nobody);
}

#[test]
fn a_run_that_was_not_judged_is_not_valid() {
    let run = example::run();
    assert_eq!((words(&run), fault(&run)), ("INVALID: not judged".into(), Fault::Generator));
}

#[test]
fn an_interrupted_run_fails() {
    only(|run| run.interrupted = true, "finished", Fault::Generator, "its end");
}

#[test]
fn a_schedule_that_offers_another_number_fails() {
    let twice = |run: &mut Run| run.setup.load = open("poisson", 100_500.0);
    only(twice, "rate reached", Fault::Generator, "schedule");
    let by_two = |run: &mut Run| {
        run.setup.load = open("constant", (run.counts.offered - 2) as f64 / 30.0);
        run.arrivals = Some(Arrivals { asked: 0.0, sent: 0.01, gaps: 1_000 });
    };
    only(by_two, "rate reached", Fault::Generator, "schedule");
    let by_one = |run: &mut Run| {
        by_two(run);
        run.setup.load = open("constant", (run.counts.offered - 1) as f64 / 30.0);
    };
    assert_eq!(words(&judged(by_one, &[])), "VALID");
}

#[test]
fn requests_that_were_not_sent_are_the_generators_fault_unless_connections_were_busy() {
    let unsent = |run: &mut Run| {
        run.counts.sent = run.counts.offered * 985 / 1_000;
        run.counts.completed = run.counts.sent;
        run.counts.completed_in_window = run.counts.sent;
    };
    only(unsent, "rate reached", Fault::Generator, "the generator was late");
    let busy = |run: &mut Run| {
        unsent(run);
        run.connection_wait = run.response.clone();
    };
    only(busy, "rate reached", Fault::Target, "all 64 connections were busy");
    let almost = |run: &mut Run| run.counts.sent = run.counts.offered * 992 / 1_000;
    assert_eq!(words(&judged(almost, &[])), "VALID");
}

#[test]
fn answers_that_come_later_and_later_are_the_targets_fault() {
    let behind = |run: &mut Run| run.counts.completed_in_window = run.counts.offered * 97 / 100;
    only(behind, "rate reached", Fault::Target, "falls behind");
    // As many as are in flight all the time may be so at the end: 2 s of latency in a window of 30 s.
    let slow = |run: &mut Run| {
        run.counts.completed_in_window = run.counts.offered * 28 / 30;
        run.service = all_at(run.counts.offered, 2_000_000_000);
        run.in_flight_mean = run.offered_rate() * 2.0;
        run.in_flight_by_times = run.in_flight_mean;
    };
    assert_eq!(words(&judged(slow, &[])), "VALID");
}

#[test]
fn own_lag_is_held_against_each_percentile_that_is_spoken_of() {
    let late = |run: &mut Run| run.own_lag = run.response.clone();
    only(late, "own lag", Fault::Generator, "sent late");
    let median = |run: &mut Run| run.own_lag = all_at(run.counts.offered, 30_000);
    only(median, "own lag", Fault::Generator, "sent late");
    // One in five hundred is late: seen at p99.9, which nobody asked for, and then somebody does.
    let tail = |run: &mut Run| {
        let late = run.counts.offered / 500;
        run.own_lag = all_at(run.counts.offered - late, 1_000);
        run.own_lag.0.record_n(600_000, late).unwrap();
    };
    assert_eq!(words(&judged(tail, &["p99<1s", "max<1s"])), "VALID");
    let run = judged(tail, &["p99.9<1s"]);
    assert_eq!(words(&run), "INVALID: own lag");
    assert!(found(&run, "own lag").starts_with("p99.9 600 µs of "), "{}", found(&run, "own lag"));
    // Below the floor it doesn't matter how fast the target is.
    let fast = |run: &mut Run| {
        run.response = all_at(run.counts.offered, 25_000);
        run.own_lag = all_at(run.counts.offered, 19_000);
    };
    assert_eq!(words(&judged(fast, &[])), "VALID");
}

#[test]
fn arrivals_must_come_out_as_asked() {
    let arrivals = |sent: f64, gaps: u64| {
        move |run: &mut Run| {
            // A tenth of the rate per lane, so that the floor in time doesn't hide the coefficient: 200 µs a gap.
            slower(run);
            run.arrivals = Some(Arrivals { asked: 1.0, sent, gaps });
        }
    };
    only(arrivals(1.11, 100_000), "arrivals", Fault::Generator, "bunches");
    only(arrivals(0.89, 100_000), "arrivals", Fault::Generator, "bunches");
    assert_eq!(words(&judged(arrivals(1.04, 100_000), &[])), "VALID");
    assert_eq!(words(&judged(arrivals(0.5, 100), &[])), "VALID", "6/√100 is 0.6");
    let even = |sent: f64| {
        move |run: &mut Run| {
            slower(run);
            run.setup.load = open("constant", run.counts.offered as f64 / 30.0);
            run.arrivals = Some(Arrivals { asked: 0.0, sent, gaps: 100_000 });
        }
    };
    assert_eq!(words(&judged(even(0.1), &[])), "VALID");
    only(even(0.11), "arrivals", Fault::Generator, "bunches");
}

#[test]
fn gaps_that_are_off_by_less_than_the_floor_are_as_asked() {
    // At 50,000 per lane a gap is 20 µs: 0.9 of it is 18 µs, 1.1 is 22 µs.
    let sent =
        |sent: f64| move |run: &mut Run| run.arrivals = Some(Arrivals { asked: 1.0, sent, gaps: 1_000_000 });
    assert_eq!(words(&judged(sent(1.9), &[])), "VALID");
    only(sent(2.1), "arrivals", Fault::Generator, "bunches");
}

#[test]
fn a_number_in_flight_that_contradicts_the_times_fails() {
    only(|run| run.in_flight_mean *= 1.02, "little's law", Fault::Generator, "contradict");
    only(|run| run.in_flight_by_times *= 1.02, "little's law", Fault::Generator, "contradict");
    assert_eq!(words(&judged(|run| run.in_flight_mean *= 1.005, &[])), "VALID");
    let few = |run: &mut Run| (run.in_flight_mean, run.in_flight_by_times) = (0.05, 0.01);
    assert_eq!(words(&judged(few, &[])), "VALID", "a twentieth of a request is nothing");
}

#[test]
fn a_percentile_that_is_spoken_of_needs_samples() {
    let short = |count: u64| {
        move |run: &mut Run| {
            let share = count as f64 / run.counts.offered as f64;
            let length = (run.window_ns as f64 * share) as u64;
            run.setup.load = Load::Closed;
            run.window_ns = length;
            run.counts.offered = count;
            run.counts.sent = count;
            run.counts.completed = count;
            run.response = all_at(count, 100_000);
        }
    };
    only(short(999), "samples", Fault::Nobody, "p99 needs 1,000 requests");
    assert_eq!(words(&judged(short(1_000), &[])), "VALID");
    for order in [["p50<1s", "p99.9<1s"], ["p99.9<1s", "p50<1s"]] {
        let run = judged(short(1_000), &order);
        assert_eq!(words(&run), "INVALID: samples");
        assert!(run.slos.iter().all(|slo| slo.met == (slo.slo == "p50<1s")), "{:?}", run.slos);
    }
}

#[test]
fn more_than_one_error_in_a_hundred_fails_unless_a_target_speaks_of_errors() {
    let failing = |run: &mut Run| {
        run.counts.failed = run.counts.offered / 50;
        run.counts.completed -= run.counts.failed;
        run.counts.completed_in_window -= run.counts.failed;
        run.errors =
            vec![ErrorCount { kind: "reset".into(), count: run.counts.failed, example: String::new() }];
    };
    only(failing, "errors", Fault::Target, "kinds");
    assert!(found(&judged(failing, &[]), "errors").ends_with("(reset)"));
    let run = judged(failing, &["errors<1%"]);
    assert_eq!(words(&run), "VALID");
    assert!(!run.slos[0].met);
}

#[test]
fn a_run_without_an_answer_fails_whatever_the_targets_say() {
    let dead = |run: &mut Run| {
        run.counts.failed = run.counts.offered;
        run.counts.completed = 0;
        run.counts.completed_in_window = 0;
    };
    only(dead, "errors", Fault::Target, "curl");
    assert_eq!(words(&judged(dead, &["errors<=100%"])), "INVALID: errors");
}

#[test]
fn one_wrong_answer_fails() {
    let wrong = |run: &mut Run| {
        run.counts.wrong = 1;
        run.counts.completed -= 1;
    };
    only(wrong, "wrong answers", Fault::Target, "not those to the requests");
    for ledger in [
        Ledger { swapped: 1, ..Ledger::default() },
        Ledger { duplicated: 1, ..Ledger::default() },
        Ledger { misrouted: 1, ..Ledger::default() },
        Ledger { corrupted: 1, ..Ledger::default() },
    ] {
        only(|run| run.ledger = Some(ledger), "wrong answers", Fault::Target, "not those to the requests");
    }
    let lost = Ledger { lost: 1, ..Ledger::default() };
    assert_eq!(words(&judged(|run| run.ledger = Some(lost), &[])), "VALID");
}

#[test]
fn a_lane_without_rest_fails() {
    only(|run| run.lanes[1].busy = 0.96, "generator core", Fault::Generator, "more --cores");
    let run = judged(|run| run.lanes.clear(), &[]);
    assert_eq!(outcome(&run, "generator core"), Outcome::Unknown);
}

#[test]
fn a_lane_that_others_keep_from_its_core_fails() {
    only(|run| run.lanes[0].held_up = 0.006, "core to itself", Fault::Generator, "other --cores");
    let closed = |held_up: f64| {
        move |run: &mut Run| {
            run.setup.load = Load::Closed;
            run.lanes[0].held_up = held_up;
        }
    };
    assert_eq!(words(&judged(closed(0.049), &[])), "VALID");
    only(closed(0.051), "core to itself", Fault::Generator, "other --cores");
    let run = judged(|run| run.lanes.clear(), &[]);
    assert_eq!(outcome(&run, "core to itself"), Outcome::Unknown);
}

#[test]
fn a_target_on_our_cores_fails_and_one_elsewhere_is_not_known() {
    let shared = |looks: u64| move |run: &mut Run| run.target.as_mut().unwrap().looks_on_our_cores = looks;
    only(shared(300), "own cores", Fault::Generator, "taskset");
    assert_eq!(words(&judged(shared(290), &[])), "VALID");
    for run in
        [judged(|run| run.target = None, &[]), judged(|run| run.target.as_mut().unwrap().looks = 0, &[])]
    {
        assert_eq!((outcome(&run, "own cores"), words(&run)), (Outcome::Unknown, "VALID".into()));
    }
}

#[test]
fn a_closed_loop_has_no_rate_no_lag_and_no_arrivals_to_judge() {
    let run = judged(|run| run.setup.load = Load::Closed, &[]);
    for name in ["rate reached", "own lag", "arrivals"] {
        assert_eq!(outcome(&run, name), Outcome::Unknown, "{name}");
    }
    assert_eq!(words(&run), "VALID");
}

#[test]
fn nothing_at_all_is_judged_without_a_panic() {
    let nothing = |run: &mut Run| {
        for times in [&mut run.response, &mut run.service, &mut run.own_lag, &mut run.connection_wait] {
            *times = Latency::new();
        }
        run.counts = Default::default();
        run.window_ns = 0;
        run.in_flight_mean = 0.0;
        run.intervals.clear();
        run.lanes.clear();
        run.arrivals = None;
    };
    assert_eq!(words(&judged(nothing, &["p99<1ms", "rate>1"])), "INVALID: samples, errors");
}

#[test]
fn several_reasons_are_named_in_order_and_the_generator_answers_first() {
    let run = judged(
        |run| {
            run.counts.failed = run.counts.offered / 50;
            run.own_lag = run.response.clone();
        },
        &[],
    );
    assert_eq!(words(&run), "INVALID: own lag, errors");
    assert_eq!(fault(&run), Fault::Generator);
}

fn judged(change: impl Fn(&mut Run), slos: &[&str]) -> Run {
    let mut run = example::run();
    change(&mut run);
    let slos: Vec<Slo> = slos.iter().map(|slo| slo.parse().unwrap()).collect();
    judge(&mut run, &slos);
    run
}

/// Exactly this check fails, is that one's fault, and says something of help.
fn only(change: impl Fn(&mut Run), name: &str, whose: Fault, help: &str) {
    let run = judged(change, &[]);
    assert_eq!(words(&run), format!("INVALID: {name}"), "{:#?}", run.checks);
    assert_eq!(fault(&run), whose, "{name}");
    let failed = failed(&run).next().unwrap();
    assert!(failed.help.contains(help), "{name}: {}", failed.help);
}

fn of<'a>(run: &'a Run, name: &str) -> &'a Check {
    run.checks.iter().find(|check| check.name == name).unwrap()
}

fn outcome(run: &Run, name: &str) -> Outcome {
    of(run, name).outcome
}

fn found<'a>(run: &'a Run, name: &str) -> &'a str {
    &of(run, name).found
}

fn all_at(count: u64, ns: u64) -> Latency {
    let mut times = Latency::new();
    times.0.record_n(ns, count).unwrap();
    times
}

fn open(arrivals: &str, rate: f64) -> Load {
    let piece = Piece { length_ns: 30_000_000_000, from: rate, to: rate };
    Load::Open { arrivals: arrivals.into(), pieces: vec![piece] }
}

/// A tenth of the example's rate, and all else in proportion.
fn slower(run: &mut Run) {
    let count = run.counts.offered / 10;
    run.setup.load = open("poisson", count as f64 / 30.0);
    run.counts.offered = count;
    run.counts.sent = count;
    run.counts.completed = count;
    run.counts.completed_in_window = count;
    run.in_flight_mean /= 10.0;
    run.in_flight_by_times /= 10.0;
}
