//! Answers right and wrong in every way, what chance decides, and what a request costs.

use crate::workload::tests::{answered, check, lane, next, result, spec, sum};
use crate::workload::{Expected, Kind, LaneWorkload, Source, Spec, Workload, Wrong};
use serde_json::json;
use std::collections::HashMap;

const URL: &str = "http://h/add";

/// Asks for a sum, and gets `body` of it.
fn ask(lane: &mut LaneWorkload, status: u16, body: impl FnOnce(i64) -> String) -> Result<(), Wrong> {
    let (request, expected) = next(lane);
    check(lane, expected, status, &body(sum(&request)))
}

#[test]
fn what_is_expected_stays_small() {
    assert!(size_of::<Expected>() <= 16 && size_of::<Wrong>() <= 4);
}

#[test]
fn a_server_that_adds_is_always_right() {
    for keys in [0, 100] {
        let mut lane = lane(Spec { keys, ..spec(Kind::Add, URL) });
        for n in 0..2_000 {
            let answer =
                ask(
                    &mut lane,
                    200,
                    |sum| if n % 2 == 0 { result(sum) } else { format!("{{\"result\":{sum}.0}}") },
                );
            assert_eq!(answer, Ok(()));
        }
        assert_eq!(lane.ledger(), None);
    }
    let mut lane = lane(spec(Kind::Ledger, URL));
    for _ in 0..2_000 {
        assert_eq!(ask(&mut lane, 200, result), Ok(()));
    }
    assert_eq!(lane.ledger(), Some(Default::default()));
}

#[test]
fn a_wrong_answer_to_a_sum_says_in_which_way() {
    let mut lane = lane(spec(Kind::Add, URL));
    assert_eq!(ask(&mut lane, 200, |sum| result(sum + 1)), Err(Wrong::Sum));
    assert_eq!(ask(&mut lane, 200, |sum| format!("{{\"result\":{sum}.5}}")), Err(Wrong::Sum));
    assert_eq!(ask(&mut lane, 200, |sum| sum.to_string()), Err(Wrong::NoSum));
    assert_eq!(ask(&mut lane, 200, |_| String::new()), Err(Wrong::NoSum));
    assert_eq!(ask(&mut lane, 201, result), Err(Wrong::Status(201)));
    assert_eq!(ask(&mut lane, 503, |_| "busy".to_owned()), Err(Wrong::Status(503)));
}

#[test]
fn expectations_are_added_to_the_sum() {
    let expect_json = Some(json!({ "ok": true }));
    let mut one =
        lane(Spec { expect_json, expect_status: Some("2xx".parse().unwrap()), ..spec(Kind::Add, URL) });
    assert_eq!(ask(&mut one, 201, |sum| format!("{{\"result\":{sum},\"ok\":true}}")), Ok(()));
    assert_eq!(ask(&mut one, 200, result), Err(Wrong::Json));
    assert_eq!(ask(&mut one, 200, |sum| format!("{{\"result\":{},\"ok\":true}}", sum + 1)), Err(Wrong::Sum));
    assert_eq!(ask(&mut one, 404, result), Err(Wrong::Status(404)));
    let mut one = lane(Spec { expect_body: Some("x".to_owned()), ..spec(Kind::Ledger, URL) });
    assert_eq!(ask(&mut one, 200, result), Err(Wrong::Body));
}

#[test]
fn requests_expect_a_success_and_what_the_user_says() {
    let requests = || spec(Kind::Requests, "http://h/");
    let expect_body = Some("yes".to_owned());
    for (spec, status, body, verdict) in [
        (requests(), 200, "any", Ok(())),
        (requests(), 299, "", Ok(())),
        (requests(), 304, "", Err(Wrong::Status(304))),
        (Spec { expect_status: Some("404".parse().unwrap()), ..requests() }, 404, "", Ok(())),
        (
            Spec { expect_status: Some("404".parse().unwrap()), ..requests() },
            200,
            "",
            Err(Wrong::Status(200)),
        ),
        (Spec { expect_body: expect_body.clone(), ..requests() }, 200, "yes", Ok(())),
        (Spec { expect_body: expect_body.clone(), ..requests() }, 200, "yes\n", Err(Wrong::Body)),
        (Spec { expect_body, ..requests() }, 500, "yes", Err(Wrong::Status(500))),
        (Spec { expect_json: Some(json!({"a": 1})), ..requests() }, 200, "{\"a\":1,\"b\":2}", Ok(())),
        (Spec { expect_json: Some(json!({"a": 1})), ..requests() }, 200, "{\"a\":2}", Err(Wrong::Json)),
        (Spec { expect_json: Some(json!([])), ..requests() }, 200, "", Err(Wrong::Json)),
    ] {
        let mut lane = lane(spec);
        let (_, expected) = next(&mut lane);
        assert_eq!(check(&mut lane, expected, status, body), verdict, "{status} {body}");
    }
}

#[test]
fn the_ledger_tells_whose_answer_came() {
    let workload = Workload::new(spec(Kind::Ledger, URL)).unwrap();
    let (mut ours, mut neighbour) = (workload.lane(1, 0, 2, 9), workload.lane(1, 1, 2, 9));
    let foreign = result(sum(&next(&mut neighbour).0));
    let asked: Vec<(i64, Expected)> =
        (0..9).map(|_| next(&mut ours)).map(|(request, expected)| (sum(&request), expected)).collect();
    let mut answer = |to: usize, status, body: String| check(&mut ours, asked[to].1, status, &body);
    assert_eq!(answer(0, 200, result(asked[0].0)), Ok(()));
    assert_eq!(answer(1, 200, result(asked[2].0)), Err(Wrong::Swapped));
    assert_eq!(answer(2, 200, result(asked[1].0)), Err(Wrong::Swapped));
    assert_eq!(answer(3, 200, result(asked[0].0)), Err(Wrong::Duplicated));
    assert_eq!(answer(4, 200, foreign), Err(Wrong::Misrouted));
    assert_eq!(answer(5, 200, result(17)), Err(Wrong::Corrupted));
    assert_eq!(answer(6, 200, "{\"result\":0.5}".to_owned()), Err(Wrong::Corrupted));
    assert_eq!(answer(7, 200, "<html>".to_owned()), Err(Wrong::NoSum));
    assert_eq!(answer(8, 503, String::new()), Err(Wrong::Status(503)));
    let (_, late) = next(&mut ours);
    ours.give_up(&late);
    let found = ours.ledger().unwrap();
    assert_eq!(
        (found.swapped, found.duplicated, found.misrouted, found.corrupted, found.lost),
        (2, 1, 1, 3, 1)
    );
}

#[test]
fn a_wrong_answer_is_shown_on_one_line_of_some_200_bytes() {
    let mut lane = lane(Spec { expect_body: Some("x".to_owned()), ..spec(Kind::Add, URL) });
    let (request, expected) = next(&mut lane);
    let wanted = format!("expected {}", result(sum(&request)));
    let say = |wrong: Wrong, status, body: &str| {
        answered(status, body, |head, body| lane.describe(&wrong, &expected, head, body))
    };
    assert_eq!(say(Wrong::Sum, 200, "{\"result\":1}"), format!("{wanted}, got 200 OK: {{\"result\":1}}"));
    assert_eq!(say(Wrong::Status(503), 503, ""), "expected 200, got 503 Service Unavailable without a body");
    assert_eq!(say(Wrong::Body, 200, "a\r\n\u{1b}[31m\u{202e}\u{e9}"), {
        "expected another body, got 200 OK: a\\r\\n\\u{1b}[31m\\u{202e}\u{e9}"
    });
    for body in ["\u{1}".repeat(5_000), "x".repeat(5_000), "\u{1f600}".repeat(5_000), "\u{e0001}".repeat(50)]
    {
        let text = say(Wrong::NoSum, 431, &body);
        assert!(text.len() <= 200 && text.ends_with('…'), "{} bytes: {text}", text.len());
        assert!(!text.contains(char::is_control), "{text}");
    }
}

#[test]
fn every_kind_of_wrong_has_a_label_of_its_own() {
    let all = [
        (Wrong::Status(503), "status 503"),
        (Wrong::Sum, "wrong sum"),
        (Wrong::NoSum, "not the JSON that was expected"),
        (Wrong::Body, "unexpected body"),
        (Wrong::Json, "unexpected JSON"),
        (Wrong::Swapped, "swapped answer"),
        (Wrong::Duplicated, "duplicated answer"),
        (Wrong::Misrouted, "misrouted answer"),
        (Wrong::Corrupted, "corrupted answer"),
    ];
    for (wrong, label) in all {
        assert_eq!(wrong.label(), label);
    }
}

#[test]
fn urls_are_chosen_by_their_weights() {
    let urls = ["http://h/a", "2@http://h/b", "0.5@http://h/c"].map(|url| url.parse().unwrap()).to_vec();
    let mut lane = lane(Spec { urls, ..Spec::default() });
    let count = 70_000;
    let seen = counted(count, || next(&mut lane).0[5..6].to_owned());
    for (url, weight) in [("a", 1.0), ("b", 2.0), ("c", 0.5)] {
        assert_share(seen[url], count, weight / 3.5, url);
    }
}

#[test]
fn keys_are_drawn_by_their_rank() {
    for zipf in [0.0, 0.8, 1.0, 1.3] {
        let keys = 50;
        let mut lane = lane(Spec { keys, zipf, ..spec(Kind::Requests, "http://h/{{key}}") });
        let count = 100_000;
        let seen = counted(count, || {
            let target = next(&mut lane).0;
            target[5..target.find(" HTTP").unwrap()].parse::<u64>().unwrap()
        });
        let weight = |key: u64| (key as f64).powf(-zipf);
        let all: f64 = (1..=keys).map(weight).sum();
        assert!(seen.keys().all(|key| (1..=keys).contains(key)));
        for key in 1..=keys {
            let seen = seen.get(&key).copied().unwrap_or(0);
            assert_share(seen, count, weight(key) / all, &format!("key {key} at {zipf}"));
        }
    }
}

#[test]
fn a_key_stands_for_one_request_on_all_lanes() {
    let workload =
        Workload::new(Spec { keys: 20, zipf: 1.0, ..spec(Kind::Add, "http://h/add?{{key}}") }).unwrap();
    let mut bodies: HashMap<String, String> = HashMap::new();
    for lane in 0..2 {
        let mut lane = workload.lane(5, lane, 2, 0);
        for _ in 0..2_000 {
            let (request, _) = next(&mut lane);
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            let target = head.split(' ').nth(1).unwrap();
            assert_eq!(bodies.entry(target.to_owned()).or_insert(body.to_owned()), body);
        }
    }
    assert_eq!(bodies.len(), 20);
    assert_eq!(bodies.values().collect::<std::collections::HashSet<_>>().len(), 20);
}

#[test]
fn the_seed_and_the_lane_decide_what_is_sent() {
    for kind in [Kind::Add, Kind::Ledger] {
        let workload = Workload::new(spec(kind, URL)).unwrap();
        let first = |seed, lane, nonce| next(&mut workload.lane(seed, lane, 4, nonce)).0;
        assert_eq!(first(1, 0, 5), first(1, 0, 5));
        assert_ne!(first(1, 0, 5), first(2, 0, 5));
        assert_ne!(first(1, 0, 5), first(1, 1, 5));
        assert_eq!(first(1, 0, 5) == first(1, 0, 6), kind == Kind::Add);
    }
}

#[test]
fn a_request_and_its_check_cost_no_allocation() {
    let body = Source::TextWithLines {
        text: "{{seq}}{{line}}{{random:1..9}}".to_owned(),
        lines: vec!["x".to_owned()],
    };
    for spec in [
        spec(Kind::Add, URL),
        Spec { keys: 1000, zipf: 1.1, ..spec(Kind::Add, "http://h/{{key}}") },
        spec(Kind::Ledger, URL),
        Spec { body, ..spec(Kind::Requests, URL) },
    ] {
        let mut lane = lane(spec);
        let mut out = Vec::with_capacity(4096);
        // The ledger remembers so many that were given up, and its tables grow until then.
        for _ in 0..10_000 {
            allocations_of_a_turn(&mut lane, &mut out);
        }
        let seen: u64 = (0..1_000).map(|_| allocations_of_a_turn(&mut lane, &mut out)).sum();
        assert_eq!(seen, 0);
    }
}

#[test]
fn the_ledger_does_not_grow_with_requests_that_are_refused() {
    let mut lane = lane(spec(Kind::Ledger, URL));
    let mut out = Vec::with_capacity(4096);
    let mut refuse = |count: usize| {
        answered(503, "", |head, body| {
            for _ in 0..count {
                out.clear();
                let expected = lane.write(&mut out);
                assert_eq!(lane.check(&expected, head, body), Err(Wrong::Status(503)));
            }
        });
    };
    // Its table has room for what is owed, and for what was removed, after so many.
    refuse(100_000);
    // What the answer itself takes is small; a hundred thousand ids are not.
    assert!(allocation_counter::measure(|| refuse(100_000)).bytes_max < 100_000);
}

/// Eight requests, of which seven are answered as they should be.
fn allocations_of_a_turn(lane: &mut LaneWorkload, out: &mut Vec<u8>) -> u64 {
    out.clear();
    let mut batch = Vec::with_capacity(8);
    let written = allocation_counter::measure(|| batch.extend((0..8).map(|_| lane.write(out))));
    let mut count = written.count_total;
    for expected in &batch[1..] {
        let body = expected.sum().map_or(String::new(), result);
        answered(200, &body, |head, body| {
            let checked =
                allocation_counter::measure(|| assert_eq!(lane.check(expected, head, body), Ok(())));
            count += checked.count_total;
        });
    }
    lane.give_up(&batch[0]);
    count
}

fn counted<K: Eq + std::hash::Hash>(count: u64, mut draw: impl FnMut() -> K) -> HashMap<K, u64> {
    let mut seen = HashMap::new();
    for _ in 0..count {
        *seen.entry(draw()).or_default() += 1;
    }
    seen
}

/// Within six standard deviations of the binomial distribution.
fn assert_share(seen: u64, count: u64, share: f64, what: &str) {
    let expected = count as f64 * share;
    let allowed = 6.0 * (expected * (1.0 - share)).sqrt();
    assert!(
        (seen as f64 - expected).abs() <= allowed,
        "{what}: {seen} where {expected:.0} ± {allowed:.0} belong"
    );
}
