//! What arrives at a server, and which answers are right: method, fields, bodies, templates, URLs, expectations.
//!
//! The server is a recorder that shares no code with the generator; what it saw is what was sent.

mod support;

use loadgen::selftest::target::Behaviour;
use std::collections::{BTreeMap, BTreeSet};
use support::Scratch;
use support::measured::{Measured, measure};
use support::raw::{After, Recorder, Seen, answer};
use support::target::Target;

#[test]
fn a_plain_url_is_a_get_with_a_host() {
    let recorder = Recorder::start();
    let run = measure("auto", &recorder.url("/a/b?c=d"), &["-n", "20"]).run;
    assert_eq!((run.counts.completed, run.setup.workload.as_str()), (20, "requests"));
    let seen = recorder.seen();
    assert_eq!(seen.len(), 20);
    for seen in &seen {
        assert_eq!((seen.method.as_str(), seen.target.as_str(), seen.body.as_str()), ("GET", "/a/b?c=d", ""));
        assert_eq!(seen.field("host"), Some(recorder.host()));
        assert_eq!(seen.field("content-length"), None);
    }
    assert_eq!(recorder.seen().len() as u64, run.counts.sent);
}

#[test]
fn method_and_fields_are_sent_as_given() {
    let recorder = Recorder::start();
    let fields = ["-H", "x-one: 1", "-H", "X-Two:two words ", "-H", "host: elsewhere.example"];
    measure("auto", &recorder.url("/"), &[&["-n", "5", "-X", "PUT"], &fields[..]].concat());
    for seen in recorder.seen() {
        assert_eq!(seen.method, "PUT");
        assert_eq!((seen.field("x-one"), seen.field("x-two")), (Some("1"), Some("two words")));
        assert_eq!(seen.field("host"), Some("elsewhere.example"), "instead of ours");
        assert_eq!(seen.field("content-length"), Some("0"), "a PUT says that there is none (RFC 9110, 8.6)");
    }
    assert_eq!(recorder.seen().len(), 5);
}

#[test]
fn a_body_makes_a_post_wherever_it_comes_from() {
    let file = Scratch::with("body.txt", "from a file\nwith two lines\n");
    for (options, body) in [
        (["--body", "in the arguments"], "in the arguments"),
        (["--body-file", file.as_str()], "from a file\nwith two lines\n"),
        (["-b", ""], ""),
    ] {
        let recorder = Recorder::start();
        measure("auto", &recorder.url("/"), &[&["-n", "3"], &options[..]].concat());
        for seen in recorder.seen() {
            assert_eq!((seen.method.as_str(), seen.body.as_str()), ("POST", body), "{options:?}");
            assert_eq!(seen.field("content-length"), Some(&*body.len().to_string()));
        }
        assert_eq!(recorder.seen().len(), 3);
    }
}

#[test]
fn each_line_of_a_file_is_a_body_in_turn() {
    let lines = Scratch::with("lines.txt", "one\ntwo\nthree\n");
    let recorder = Recorder::start();
    let options = ["-n", "9", "--cores", &core(), "--body-lines", lines.as_str()];
    measure("auto", &recorder.url("/"), &options);
    assert_eq!(
        counted(recorder.seen().iter().map(|seen| &*seen.body)),
        [("one", 3), ("three", 3), ("two", 3)]
    );
    assert!(recorder.seen().iter().all(|seen| seen.method == "POST"));
}

#[test]
fn a_line_stands_where_it_is_named() {
    let lines = Scratch::with("names.txt", "ada\nbob\n");
    let recorder = Recorder::start();
    let options = ["-n", "4", "--cores", &core(), "-H", "x-who: {{line}}", "--body-lines", lines.as_str()];
    measure("auto", &recorder.url("/hello/{{line}}"), &options);
    for seen in recorder.seen() {
        assert_eq!(seen.target, format!("/hello/{}", seen.field("x-who").unwrap()));
        assert_eq!((seen.method.as_str(), seen.body.as_str()), ("GET", ""), "the lines are no bodies then");
    }
    let seen = recorder.seen();
    assert_eq!(counted(seen.iter().map(|seen| &*seen.target)), [("/hello/ada", 2), ("/hello/bob", 2)]);

    let recorder = Recorder::start();
    let options = ["-n", "4", "--body", r#"{"who":"{{line}}"}"#, "--body-lines", lines.as_str()];
    measure("auto", &recorder.url("/"), &options);
    let seen = recorder.seen();
    let bodies = [(r#"{"who":"ada"}"#, 2), (r#"{"who":"bob"}"#, 2)];
    assert_eq!(counted(seen.iter().map(|seen| &*seen.body)), bodies);
}

#[test]
fn variables_have_a_value_for_each_request() {
    let recorder = Recorder::start();
    let body = r#"{"seq":{{seq}},"key":{{key}},"roll":{{random:1..6}},"again":{{random:1..6}}}"#;
    let options = ["-n", "200", "--keys", "50", "-H", "x-seq: {{seq}}", "--body", body];
    measure("auto", &recorder.url("/items/{{key}}"), &options);
    let seen = recorder.seen();
    let bodies: Vec<serde_json::Value> =
        seen.iter().map(|seen| serde_json::from_str(&seen.body).expect("a body of JSON")).collect();
    let member = |name: &str| bodies.iter().map(|body| body[name].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!(member("seq").into_iter().collect::<BTreeSet<_>>(), (1..=200).collect());
    for (seen, body) in seen.iter().zip(&bodies) {
        assert_eq!(seen.target, format!("/items/{}", body["key"]), "one key in all of a request");
        assert_eq!(seen.field("x-seq"), Some(&*body["seq"].to_string()));
    }
    // Of 200 even draws one of 50 keys is missed once in a run, and one of six sides never.
    let keys: BTreeSet<u64> = member("key").into_iter().collect();
    assert!(keys.len() > 40 && keys.iter().all(|key| (1..=50).contains(key)), "{keys:?}");
    assert_eq!(member("roll").into_iter().collect::<BTreeSet<_>>(), (1..=6).collect());
    assert_ne!(member("roll"), member("again"), "another one each time");
}

#[test]
fn the_same_seed_makes_the_same_requests() {
    let targets = |seed: &str| {
        let recorder = Recorder::start();
        let options = ["-n", "50", "--cores", &core(), "--seed", seed];
        measure("auto", &recorder.url("/{{random:1..1000000}}"), &options);
        let mut targets: Vec<String> = recorder.seen().into_iter().map(|seen| seen.target).collect();
        // Threads of the recorder may write down in another order than the requests were sent.
        targets.sort_unstable();
        targets
    };
    assert_eq!(targets("5"), targets("5"));
    assert_ne!(targets("5"), targets("6"));
}

#[test]
fn popular_keys_are_asked_for_more_often() {
    let recorder = Recorder::start();
    measure("auto", &recorder.url("/{{key}}"), &["-n", "1000", "--keys", "100", "--zipf", "1"]);
    let seen = recorder.seen();
    let counts: BTreeMap<&str, usize> = counted(seen.iter().map(|seen| &*seen.target)).into_iter().collect();
    // 1/H(100) = 19 % for the first, half of it for the second; six standard deviations are 8 %.
    let (first, second) = (counts["/1"], counts["/2"]);
    assert!((120..=270).contains(&first) && second < first, "{first} {second}");
}

#[test]
fn several_urls_share_by_weight() {
    let recorder = Recorder::start();
    let heavy = format!("3@{}", recorder.url("/heavy"));
    let run = measure("auto", &recorder.url("/light"), &["-n", "400", &heavy]).run;
    let seen = recorder.seen();
    let counts: BTreeMap<&str, usize> = counted(seen.iter().map(|seen| &*seen.target)).into_iter().collect();
    // Six standard deviations of 400 draws of three quarters.
    assert!(counts["/heavy"].abs_diff(300) < 52 && counts["/light"] + counts["/heavy"] == 400, "{counts:?}");
    assert_eq!(run.setup.urls, [(heavy, 3.0), (recorder.url("/light"), 1.0)]);
}

#[test]
fn a_unix_socket_gets_the_same_requests() {
    let recorder = Recorder::on_unix();
    let run = measure("auto", &recorder.url("/x?y"), &["-n", "20", "-c", "2"]).run;
    assert_eq!(run.counts.completed, 20);
    assert!(run.setup.address.starts_with("unix:/"), "{}", run.setup.address);
    for seen in recorder.seen() {
        assert_eq!((seen.target.as_str(), seen.field("host")), ("/x?y", Some("localhost")));
    }
}

#[test]
fn a_url_that_ends_in_add_is_asked_for_sums() {
    let recorder = Recorder::answering(answer("200 OK", r#"{"result":3}"#), After::GoOn);
    let run = measure("auto", &recorder.url("/add"), &["-n", "20"]);
    assert_eq!(run.run.setup.workload, "add");
    for seen in recorder.seen() {
        assert_eq!((seen.method.as_str(), seen.field("content-type")), ("POST", Some("application/json")));
        let operands: serde_json::Value = serde_json::from_str(&seen.body).expect("two operands");
        assert!(operands["a"].is_i64() && operands["b"].is_i64(), "{operands}");
    }
    // Nobody asked for 1 + 2.
    assert_eq!((run.run.counts.wrong, run.ended.code), (20, Some(5)));

    let said = measure("auto", &recorder.url("/add"), &["-n", "5", "--workload", "requests"]).run;
    assert_eq!((said.counts.completed, said.setup.workload.as_str()), (5, "requests"));
    assert!(recorder.seen().iter().rev().take(5).all(|seen| seen.method == "GET"));
}

/// In a ledger each sum occurs once, so that an answer tells whose it is.
#[test]
fn a_ledger_asks_for_each_sum_once() {
    let recorder = Recorder::answering(answer("200 OK", r#"{"result":3}"#), After::GoOn);
    let run = measure("auto", &recorder.url("/add"), &["-n", "300", "--workload", "ledger"]).run;
    let sums: BTreeSet<i128> = recorder.seen().iter().map(sum).collect();
    assert_eq!(sums.len(), 300);
    let ledger = run.ledger.expect("there is one");
    assert_eq!((ledger.corrupted, run.counts.wrong), (300, 300), "3 is nobody's sum: {ledger:?}");

    let few = measure("auto", &recorder.url("/add"), &["-n", "300", "--keys", "7"]).run;
    assert_eq!(few.ledger, None);
    let sums: BTreeSet<i128> = recorder.seen().iter().skip(300).map(sum).collect();
    assert!((2..=7).contains(&sums.len()), "keys decide the operands: {}", sums.len());
}

#[test]
fn an_answer_is_right_if_it_is_as_expected() {
    let (ok, missing) = (answer("200 OK", r#"{"ok":true,"n":1}"#), answer("404 Not Found", "no"));
    for (answer, options, right) in [
        (&ok, &[][..], true),
        (&ok, &["--expect-status", "200"], true),
        (&ok, &["--expect-status", "404"], false),
        (&ok, &["--expect-status", "3xx,404"], false),
        (&ok, &["--expect-body", r#"{"ok":true,"n":1}"#], true),
        (&ok, &["--expect-body", r#"{"ok":true}"#], false),
        (&ok, &["--expect-json", r#"{"ok":true}"#], true),
        (&ok, &["--expect-json", r#"{"n":1.0}"#], true),
        (&ok, &["--expect-json", r#"{"n":2}"#], false),
        (&missing, &[], false),
        (&missing, &["--expect-status", "4xx"], true),
        (&missing, &["--expect-status", "200,404", "--expect-body", "no"], true),
        (&missing, &["--expect-status", "404", "--expect-body", "yes"], false),
        (&missing, &["--expect-status", "404", "--expect-json", "{}"], false),
    ] {
        let recorder = Recorder::answering(answer.clone(), After::GoOn);
        let run = measure("auto", &recorder.url("/"), &[&["-n", "10"], options].concat());
        let counts = run.run.counts;
        let expected = if right { (10, 0) } else { (0, 10) };
        assert_eq!((counts.completed, counts.wrong), expected, "{options:?}");
        assert_eq!(run.ended.code == Some(5), !right, "{options:?}");
    }
}

#[test]
fn a_wrong_answer_is_shown_with_what_was_expected() {
    let wrong = |options: &[&str], body: &str| -> Measured {
        let recorder = Recorder::answering(answer("200 OK", body), After::GoOn);
        measure("auto", &recorder.url("/"), &[&["-n", "10"], options].concat())
    };
    for (options, body, kind, example) in [
        (&["--expect-status", "404"][..], "x", "status 200", "expected 404, got 200"),
        (&["--expect-body", "yes"], "no", "unexpected body", "got 200 OK: no"),
        (&["--expect-json", "3"], "4", "unexpected JSON", "got 200 OK: 4"),
    ] {
        let run = wrong(options, body);
        let [error] = &run.run.errors[..] else { panic!("{:?}", run.run.errors) };
        assert_eq!((error.kind.as_str(), error.count), (kind, 10));
        assert!(error.example.contains(example), "{}", error.example);
        assert!(
            run.ended.stderr.contains(kind) && run.ended.stderr.contains(example),
            "{}",
            run.ended.stderr
        );
    }
}

/// RFC 9112, 6.3: by a length, by chunks, by the connection's end, or because the status has no body.
#[test]
fn a_body_is_read_however_its_end_is_told() {
    let body = r#"{"ok":true}"#;
    let chunked =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n{\"ok\r\n7;x=y\r\n\":true}\r\n0\r\n\r\n";
    let until_the_end = format!("HTTP/1.1 200 OK\r\n\r\n{body}");
    let old = format!("HTTP/1.0 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let told =
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let interim =
        format!("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{body}");
    for (answer, after, is_kept) in [
        (chunked, After::GoOn, true),
        (&*interim, After::GoOn, true),
        (&*until_the_end, After::Close, false),
        (&*old, After::Close, false),
        (&*told, After::Close, false),
    ] {
        let recorder = Recorder::answering(answer.as_bytes().to_vec(), after);
        let options = ["-n", "10", "-c", "2", "--expect-body", body];
        let run = measure("auto", &recorder.url("/"), &options).run;
        assert_eq!(run.counts.completed, 10, "{answer:?}: {:?}", run.errors);
        let opened = run.counts.connections_opened;
        assert_eq!(opened == 2, is_kept, "{answer:?}: {opened} connections");
    }
    let recorder = Recorder::answering(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), After::GoOn);
    assert_eq!(measure("auto", &recorder.url("/"), &["-n", "10"]).run.counts.completed, 10);
    let recorder = Recorder::answering(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n".to_vec(), After::GoOn);
    assert_eq!(measure("auto", &recorder.url("/"), &["-n", "10", "-X", "HEAD"]).run.counts.completed, 10);
}

#[test]
fn slow_answers_in_single_bytes_are_whole_answers() {
    let target = Target::new(Behaviour::Trickle);
    let run = measure("auto", &target.url(), &["-n", "8", "-c", "8"]).run;
    assert_eq!(run.counts.completed, 8);
    assert_eq!(target.stop().answered, 8);
}

fn sum(seen: &Seen) -> i128 {
    let operands: serde_json::Value = serde_json::from_str(&seen.body).expect("two operands");
    let operand = |name: &str| i128::from(operands[name].as_i64().expect("a whole number"));
    operand("a") + operand("b")
}

/// How often each occurs, in their order.
fn counted<'s>(all: impl Iterator<Item = &'s str>) -> Vec<(&'s str, usize)> {
    let mut counts = BTreeMap::new();
    all.for_each(|one| *counts.entry(one).or_insert(0) += 1);
    counts.into_iter().collect()
}

/// For one lane: what several lanes send together depends on how many there are.
fn core() -> String {
    net::percore::Cores::All.resolve().expect("the cores can be read")[0].to_string()
}
