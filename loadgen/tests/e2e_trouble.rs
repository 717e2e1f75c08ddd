//! What goes wrong: with what the user asked for, with the way to the server, and with the server.
//!
//! A mistake is one line that says what would be right, with exit code 2; if nothing ever worked, one line that says
//! why, with exit code 1; what fails now and then is counted by kind, with an example of each.

#[macro_use]
mod support;

use loadgen::selftest::target::Behaviour;
use std::net::TcpListener;
use std::time::{Duration, Instant};
use support::Scratch;
use support::measured::measure;
use support::raw::{After, FullBacklog, Recorder, answer};
use support::target::Target;
use support::tool::tool;

each_engine! {
    a_server_that_ends_or_breaks_its_connections_is_told_apart
    what_fails_now_and_then_is_counted_with_an_example
}

/// What is asked for, and what the one line on stderr says.
#[test]
fn a_mistake_is_answered_in_one_line_with_what_would_be_right() {
    let empty = Scratch::with("empty.txt", "");
    let binary = Scratch::with("binary", [0xff, 0xfe]);
    let url = "http://127.0.0.1:1/";
    let mut failed = String::new();
    for (args, says) in [
        (&[][..], "missing: <URL>"),
        (&["-c", "5"], "missing: <URL>"),
        (&["127.0.0.1:5000/add"], "has no scheme: write `http://127.0.0.1:5000/add`"),
        (&["https://127.0.0.1/"], "TLS is not spoken yet; measure the server's plain port with http://"),
        (&["ftp://127.0.0.1/"], "`ftp` is not spoken, only http"),
        (&["http://"], "has no host: write it as in http://127.0.0.1:5000/add"),
        (&["http://h:0/"], "no port from 1 to 65535"),
        (&["http://h:99999/"], "no port from 1 to 65535"),
        (&["http://user:secret@h/"], "-H 'Authorization: …'"),
        (&["http://h/#part"], "leave out `#`"),
        (&["0@http://h/"], "a weight over zero, as in 3@http://localhost/"),
        (
            &["http://127.0.0.1:1/", "http://127.0.0.1:2/"],
            "to compare two servers, use `corelane-loadgen ab`",
        ),
        (&["--slo", "p99<1", url], "say 1ms"),
        (&["--slo", "p99>1ms", url], "less is better; say p99<1ms"),
        (&["--slo", "latency<1ms", url], "say p99, max, mean, errors or rate"),
        (&["--rate", "0", url], "write requests per second, as in 50k or 10k:200k"),
        (&["--rate=-5", url], "say requests per second, such as 184k"),
        (&["--rate", "fast", url], "such as 184k"),
        (&["--rate", "1k:2k", "-n", "10", url], "a ramp takes its time: give --duration instead"),
        (&["--rate", "1k", "--steps", "4", url], "give --rate as FROM:TO, as in --rate 10k:200k"),
        (&["--steps", "4", url], "--rate"),
        (&["-n", "10", "-d", "1s", url], "cannot be used with"),
        (&["-n", "0", url], "0 is not in 1.."),
        (&["-c", "0", url], "0 is not in 1..=1000000"),
        (&["-d", "10", url], "write a number and a unit, as in 500ms, 30s or 2min"),
        (&["-d", "1ms", url], "--duration must lie between 100ms and 7days"),
        (&["--timeout", "0s", url], "--timeout must lie between 1ms and 2m"),
        (&["--spin", "1s", url], "--spin must lie between 0s and 10ms"),
        (&["--arrivals", "bursty", url], "poisson"),
        (&["--pipeline", "0", url], "'--pipeline <N>'"),
        (&["--connections-per-second", "1:2", url], "one rate of at least 0.01, as in 100"),
        (&["http://h/{{who}}"], "there are {{random:LOW..HIGH}}, {{seq}}, {{key}}, {{line}}"),
        (&["--body", "{{random:9..1}}", url], "the lower one first, as in {{random:1..1000}}"),
        (&["--body", "{{line}}", url], "{{line}} needs a file of lines"),
        (&["--body", "{{key}}", url], "--keys"),
        (&["--body", "x", "--body-file", "y", url], "cannot be used with"),
        (&["--body-file", "/nowhere/x", url], "--body-file /nowhere/x: No such file"),
        (&["--body-file", binary.as_str(), url], "--body-file "),
        (&["--body-lines", "/nowhere/x", url], "--body-lines /nowhere/x: No such file"),
        (&["--body-lines", empty.as_str(), url], "the file of lines is empty"),
        (&["--body", "x", "--body-lines", binary.as_str(), url], "--body-lines "),
        (&["-H", "no colon", url], "write it as in 'name: value'"),
        (&["-H", "a b: c", url], "can't be sent"),
        (&["-H", "host: a", "-H", "host: b", url], "a request has one"),
        (&["-X", "A B", url], "is no method"),
        (&["-X", "CONNECT", url], "can't be measured"),
        (&["--workload", "add", "--body", "x", url], "choose the workload `requests`"),
        (&["--workload", "sums", url], "possible values: add, ledger, requests"),
        (&["--zipf", "1", url], "--keys"),
        (&["--zipf", "11", "--keys", "5", url], "--zipf must lie between 0 and 10"),
        (&["--expect-status", "20", url], "write `200`, `2xx` or `200,204,3xx`"),
        (&["--expect-json", "{", url], "write it as in {\"result\": 3}"),
        (&["-X", "HEAD", "--expect-body", "x", url], "an answer to HEAD has no body"),
        (&["--cores", "1-", url], "is no list of cores"),
        (&["--engine", "warp", url], "possible values: auto"),
        (&["--pid", "nginx", url], "use auto, off, ids as in 1234"),
        (&["--no-such", url], "unexpected argument '--no-such'"),
        (&["--connection", "5", url], "a similar argument exists: '--connections'"),
        (&["search", url], "--slo"),
        (&["search", "--slo", "errors<1%", url], "about a percentile, as in --slo 'p99<1ms'"),
        (&["search", "--slo", "p99<1ms", "--precision", "2", url], "from 0.001 to 0.5"),
        (&["ab", url], "URL_B"),
        (&["ab", "--rounds", "3", url, url], "4..=1000"),
        (&["compare", "/nowhere/a.json", "/nowhere/b.json"], "can't read /nowhere/a.json"),
        (&["compare", empty.as_str(), empty.as_str()], "is empty"),
        (&["report", binary.as_str()], "is not JSON: not even text"),
        (&["report"], "A.json"),
        (&["selftest", "--cores", "999"], "core 999 isn't there: this process may use "),
    ] {
        let ended = tool(args);
        let is_right = ended.code == Some(2) && ended.stdout.is_empty();
        if !is_right || ended.stderr.lines().count() != 1 || !ended.stderr.contains(says) {
            failed += &format!("{args:?}: {:?} {}{}", ended.code, ended.stdout, ended.stderr);
        }
    }
    assert_eq!(failed, "");
}

/// These can only be seen once a server is there to be asked.
#[test]
fn what_the_machine_does_not_have_is_a_mistake_too() {
    let recorder = Recorder::start();
    for (options, says) in [
        (["--cores", "999"], "--cores: core 999 isn't there: this process may use "),
        (["--pid", "4294967295"], "there is no process 4294967295 to watch"),
        (["--pid", "no-such.service"], "no-such.service"),
    ] {
        let ended = tool(&[&options[..], &[&recorder.url("/")]].concat());
        assert_eq!(ended.code, Some(2), "{options:?}: {}", ended.stderr);
        assert!(ended.complaint().contains(says), "{options:?}: {}", ended.stderr);
    }
    assert!(recorder.seen().is_empty());
}

#[test]
fn where_nobody_is_there_one_line_says_so() {
    // A port that was just given back: nobody else takes it so soon.
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is left");
    let refused = format!("http://{port}/add");
    let socket = Scratch::new("nobody.sock");
    let no_socket = format!("http://unix:{}:/", socket.as_str());
    for (url, says) in [
        (&*refused, format!("can't connect to {port}: Connection refused")),
        (&no_socket, format!("can't connect to unix:{}: No such file", socket.as_str())),
        ("http://no.such.name.invalid/", "can't resolve `no.such.name.invalid`: ".to_owned()),
    ] {
        for command in [&["-d", "10s", url][..], &["search", "--slo", "p99<1ms", url], &["ab", url, url]] {
            let ended = tool(command);
            assert_eq!(ended.code, Some(1), "{url}: {}", ended.stderr);
            assert!(ended.complaint().starts_with(&says), "{url}: {}", ended.stderr);
        }
    }
}

#[test]
fn if_nothing_ever_worked_one_line_says_why() {
    for (behaviour, says) in [
        (Behaviour::Tls, "the server speaks TLS"),
        (Behaviour::NotHttp, "the answer is not HTTP"),
        (Behaviour::CloseMidAnswer { every: 1 }, "answer cut short"),
        (Behaviour::Silent, "timeout"),
    ] {
        let target = Target::new(behaviour);
        let options = ["-q", "-d", "200ms", "--warmup", "0s", "-c", "4", "--timeout", "150ms"];
        for rate in [&[][..], &["-r", "100"]] {
            let ended = tool(&[&options[..], rate, &[&target.url()]].concat());
            assert_eq!(ended.code, Some(1), "{says}: {}{}", ended.stdout, ended.stderr);
            let complaint = ended.complaint();
            assert!(complaint.starts_with("no request was answered: "), "{complaint}");
            assert!(complaint.contains(says), "{complaint}");
        }
    }
}

/// And nobody waits for an answer that can't come: the time limit is far longer than the test.
fn a_server_that_ends_or_breaks_its_connections_is_told_apart(engine: &str) {
    let (whole, half) = (answer("200 OK", "x"), b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_vec());
    for (bytes, after, kind) in [
        (Vec::new(), After::Close, "closed by the server"),
        (half.clone(), After::Close, "answer cut short"),
        (half, After::Reset, "connection reset"),
        (Vec::new(), After::Reset, "connection reset"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n".to_vec(), After::GoOn, "malformed answer"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec(),
            After::GoOn,
            "malformed answer",
        ),
    ] {
        let recorder = Recorder::answering(bytes, after);
        let ended =
            tool(&["-q", "-n", "2", "-c", "2", "--timeout", "1min", "--engine", engine, &recorder.url("/")]);
        assert_eq!(ended.code, Some(1), "{kind}: {}", ended.stderr);
        assert!(
            ended.complaint().starts_with(&format!("no request was answered: {kind}")),
            "{}",
            ended.stderr
        );
    }
    // In order behind a whole answer: nothing is lost by it.
    let recorder = Recorder::answering(whole, After::Close);
    let run = measure("auto", &recorder.url("/"), &["-r", "100", "-d", "200ms", "-c", "8"]).run;
    assert!(run.counts.completed > 0, "{:?}", run.errors);
}

fn what_fails_now_and_then_is_counted_with_an_example(engine: &str) {
    let target = Target::new(Behaviour::CloseMidAnswer { every: 20 });
    let run = measure(engine, &target.url(), &["-n", "400", "-c", "4"]);
    let did = target.stop();
    assert!(did.cut >= 20, "{did:?}");
    assert_eq!((run.run.counts.failed, run.errors("answer cut short")), (did.cut, did.cut));
    assert_eq!(run.ended.code, Some(4), "a twentieth of errors");
    assert!(run.run.errors.iter().all(|error| !error.example.is_empty()), "{:?}", run.run.errors);
    assert!(run.ended.stderr.contains("answer cut short: "), "{}", run.ended.stderr);
    // With a target about errors it is the target that decides.
    let target = Target::new(Behaviour::CloseMidAnswer { every: 20 });
    let options = ["-n", "400", "-c", "4", "--slo", "errors<50%"];
    let run = measure(engine, &target.url(), &options).run;
    let errors = run.checks.iter().find(|check| check.name == "errors").expect("it is checked");
    assert_eq!((errors.outcome, run.slos[0].met), (loadgen::model::Outcome::Pass, true), "{errors:?}");
}

#[test]
fn an_error_status_is_a_wrong_answer_by_its_number() {
    let target = Target::new(Behaviour::Status(503));
    let run = measure("auto", &target.url(), &["-n", "50"]);
    assert_eq!((run.run.statuses.as_slice(), run.errors("status 503")), (&[(503, 50)][..], 50));
    assert_eq!((run.run.counts.completed, run.ended.code), (0, Some(5)), "no throughput");
    assert!(run.ended.stderr.contains("expected 200, got 503"), "{}", run.ended.stderr);
    // Who wants to see them, can.
    let options = ["-n", "50", "--workload", "requests", "-X", "POST", "-b", "{\"a\":1,\"b\":2}"];
    let wanted = measure("auto", &target.url(), &[&options[..], &["--expect-status", "503"]].concat());
    assert_eq!((wanted.run.counts.completed, wanted.run.counts.wrong), (50, 0));
}

/// The backlog is full and nobody accepts: a connect waits, and the tool must not.
#[test]
fn a_server_that_accepts_nobody_is_given_up_in_time() {
    let Some(nobody) = FullBacklog::new() else { return };
    let begin = Instant::now();
    let ended = tool(&["--timeout", "300ms", &format!("http://{}/", nobody.address)]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.complaint().contains("timed out"), "{}", ended.stderr);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}
