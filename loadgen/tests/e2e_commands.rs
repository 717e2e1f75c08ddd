//! The commands besides `run`: recorded runs compared and shown, two targets in turns, a search, the self-test; and
//! a server by others.
//!
//! Here is what they must do on any machine: run to their end, leave what was asked for, and say in their exit code
//! what they say in words. What they find is tested on the simulator, where it is known.

mod support;

use loadgen::compare::{Exit, exit_word};
use loadgen::model::{Comparison, Content, Run, Search, TrialResult, Word};
use loadgen::report::json;
use loadgen::selftest::target::{Behaviour, Service};
use std::time::Duration;
use support::Scratch;
use support::measured::{content_of, measure, must_add_up};
use support::nginx::Nginx;
use support::raw::{After, Recorder, answer};
use support::target::Target;
use support::tool::tool;

#[test]
fn a_run_compared_with_itself_has_no_detectable_difference() {
    let file = Scratch::new("a.json");
    let run = record(&file, &["-r", "400", "-d", "1s"]);
    for (a, b) in [(file.as_str().to_owned(), file.as_str().to_owned()), (twice(&file), twice(&file))] {
        let ended = tool(&["compare", &a, &b, "--json", "-"]);
        let comparison = comparison(&ended.stdout, &ended.stderr);
        assert_eq!((comparison.a.name, comparison.b.name), (a, b));
        assert_eq!(comparison.invalid.is_empty(), run.is_valid());
        for row in &comparison.rows {
            assert!(matches!(row.word, Word::Same | Word::Unsaid), "{row:?}");
            assert!(row.ratio == 1.0 || row.a == 0.0 || !row.ratio.is_finite(), "{row:?}");
        }
        assert!(matches!(ended.code, Some(0 | 4)), "{:?} {}", ended.code, ended.stderr);
        assert!(run.is_valid() || ended.code == Some(4), "nothing is concluded from an invalid run");
    }
}

/// Rounds are made from one run: valid ones, of which five are alike and five are not, whatever the machine does.
#[test]
fn a_comparison_says_to_ci_what_it_says_in_words() {
    let file = Scratch::new("one.json");
    let mut run = record(&file, &["-n", "2000"]);
    // A machine that is too busy for a valid run is not what this is about.
    run.checks.iter_mut().for_each(|check| check.outcome = loadgen::model::Outcome::Pass);
    let rounds = |times: f64| -> Vec<Scratch> {
        let noise = [0.98, 0.99, 1.0, 1.01, 1.02];
        noise.iter().map(|noise| written(&slower(&run, times * noise))).collect()
    };
    let names = |files: &[Scratch]| files.iter().map(Scratch::as_str).collect::<Vec<_>>().join(",");
    let (base, slow) = (rounds(1.0), rounds(2.0));
    for (a, b, code, says) in [
        (&base, &base, 0, "no detectable difference"),
        (&base, &slow, 3, "B is worse in "),
        (&slow, &base, 0, "B is better in "),
    ] {
        let ended = tool(&["compare", &names(a), &names(b)]);
        assert_eq!(ended.code, Some(code), "{}{}", ended.stdout, ended.stderr);
        let last = ended.stdout.lines().last().unwrap_or_default();
        assert!(last.starts_with(says), "{}", ended.stdout);
    }
    run.interrupted = true;
    let partial = written(&run);
    let ended = tool(&["compare", &names(&base), partial.as_str()]);
    assert_eq!(ended.code, Some(4), "{}", ended.stdout);
    assert!(ended.stdout.lines().last().is_some_and(|last| last.starts_with("INVALID")), "{}", ended.stdout);
}

#[test]
fn a_page_is_made_of_recorded_runs_and_read_again() {
    let (one, other) = (Scratch::new("one.json"), Scratch::new("other.json"));
    let run = record(&one, &["-n", "300"]);
    record(&other, &["-r", "300", "-d", "200ms"]);
    let page = Scratch::new("page.html");
    let ended = tool(&["report", one.as_str(), other.as_str(), "--html", page.as_str()]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{}", ended.stderr);
    assert_eq!(ended.stderr, format!("written: {}\n", page.as_str()));
    assert!(page.text().starts_with("<!doctype html>") && page.text().trim_end().ends_with("</html>"));

    let ended = tool(&["report", one.as_str(), "--html", "-"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let again = Scratch::with("again.html", &ended.stdout);
    let Ok(Content::Run(read)) = json::read(&again.0).map(|read| read.content) else {
        panic!("no run in it")
    };
    assert_eq!(read.counts, run.counts);
    let ended = tool(&["compare", again.as_str(), again.as_str()]);
    assert!(matches!(ended.code, Some(0 | 4)), "a page is a record, too: {}", ended.stderr);
}

#[test]
fn two_targets_are_measured_in_turns() {
    let (fast, slow) =
        (Target::new(Behaviour::Right), Target::new(Behaviour::Delay(Duration::from_millis(40))));
    let (json, html) = (Scratch::new("ab.json"), Scratch::new("ab.html"));
    let load = ["--rounds", "4", "-d", "200ms", "--warmup", "0s", "-c", "2", "-q", "--pid", "off"];
    let files = ["--json", json.as_str(), "--html", html.as_str()];
    let ended = tool(&[&["ab"], &load[..], &files, &[&fast.url(), &slow.url()]].concat());
    let comparison = comparison(&json.text(), &ended.stderr);
    assert_eq!((comparison.a.samples, comparison.b.samples), (4, 4));
    assert_eq!((&comparison.a.name, &comparison.b.name), (&fast.url(), &slow.url()));
    // At 40 ms for each answer nothing that a machine does turns them round.
    let p50 = comparison.rows.iter().find(|row| row.measure == "p50").expect("a median");
    assert!(p50.b >= 39_900_000.0 && p50.a < p50.b, "{p50:?}");
    assert_eq!(ended.code, Some(gate(&comparison)), "{}", ended.stdout);
    // Two hundred milliseconds at two connections are ten answers: no p99, and no conclusion.
    assert_eq!(ended.code, Some(4));
    assert!(ended.stdout.contains(&fast.url()) && html.text().contains("</html>"), "{}", ended.stdout);
    let (did_fast, did_slow) = (fast.stop(), slow.stop());
    assert!(did_fast.requests > 0 && did_slow.requests > 0);
}

#[test]
fn ab_says_so_if_a_side_gives_wrong_answers() {
    let (right, wrong) = (Target::new(Behaviour::Right), Target::new(Behaviour::Corrupt { every: 3 }));
    let load = ["--rounds", "4", "-n", "20", "-q"];
    let ended = tool(&[&["ab"], &load[..], &[&right.url(), &wrong.url()]].concat());
    assert_eq!(ended.code, Some(5), "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn a_search_shows_its_trials_and_answers_within_its_budget() {
    // One after the other, 1 ms each: 1000/s at most.
    let service = Service::Fixed(Duration::from_millis(1));
    let target = Target::new(Behaviour::Queue { service });
    let (json, html) = (Scratch::new("search.json"), Scratch::new("search.html"));
    let load = ["-c", "16", "-d", "200ms", "--warmup", "0s", "--timeout", "500ms", "--pid", "off"];
    let goal = ["--slo", "p50<20ms", "--budget", "2s", "--json", json.as_str(), "--html", html.as_str()];
    let ended = tool(&[&["search"], &goal[..], &load, &[&target.url()]].concat());
    let search = search(&json.text(), &ended.stderr);
    assert_eq!(
        (search.slos.as_slice(), search.quantile, search.limit_ns),
        (&["p50<20ms".to_owned()][..], 0.5, 20_000_000)
    );
    assert!(search.ceiling > 0.0 && search.ceiling < 1100.0, "{}", search.ceiling);
    assert!(!search.ramp.is_empty() && !search.trials.is_empty());
    let answer = &search.answer;
    match answer.rate {
        Some(rate) => assert!(answer.low <= rate && rate <= answer.high && rate < 1100.0, "{answer:?}"),
        None => assert!(search.trials.iter().all(|trial| trial.result != TrialResult::Met)),
    }
    for trial in &search.trials {
        assert!(trial.rate > 0.0 && trial.low_ns <= trial.high_ns, "{trial:?}");
        assert_eq!(trial.result == TrialResult::Met, trial.why.is_empty(), "{trial:?}");
        assert!(trial.result != TrialResult::Met || trial.response_ns < 20_000_000, "{trial:?}");
    }
    let all_invalid = search.trials.iter().all(|trial| trial.result == TrialResult::Invalid);
    let expected = match answer.rate {
        Some(_) => 0,
        None if all_invalid => 4,
        None => 3,
    };
    assert_eq!(ended.code, Some(expected), "{}", ended.stdout);
    assert!(ended.stdout.starts_with(&answer.words), "the answer first: {}", ended.stdout);
    assert!(ended.stderr.contains("ceiling: a closed loop reaches "), "{}", ended.stderr);
    assert!(html.text().contains("</html>"));
    must_add_up(&search.run);
    // A search is a record of its best run, for reports and comparisons.
    assert!(matches!(tool(&["compare", json.as_str(), json.as_str()]).code, Some(0 | 4)));
    assert_eq!(tool(&["report", json.as_str(), "--html", html.as_str()]).code, Some(0));
}

/// No answer takes less than 30 ms, so no rate can meet 1 ms.
#[test]
fn a_search_for_what_no_rate_meets_says_so() {
    let target = Target::new(Behaviour::Delay(Duration::from_millis(30)));
    let options = ["-q", "--slo", "p50<1ms", "--budget", "1s", "-d", "200ms", "--warmup", "0s", "-c", "4"];
    let ended =
        tool(&[&["search"], &options[..], &["--timeout", "500ms", "--json", "-", &target.url()]].concat());
    let search = search(&ended.stdout, &ended.stderr);
    assert_eq!(search.answer.rate, None);
    assert!(matches!(ended.code, Some(3 | 4)), "{:?}", ended.code);
    assert!(ended.stderr.contains("NOT FOUND: no rate met the target"), "{}", ended.stderr);
}

/// What it proves by counting can't fail on a busy machine; what it proves by times has room for noise.
#[test]
fn a_machine_is_proved_by_the_self_test() {
    let ended = tool(&["selftest", "--quick"]);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert!(lines[0].contains("proves itself: engine "), "{}", ended.stdout);
    let failed = lines.iter().filter(|line| line.starts_with("  FAIL  ")).count();
    assert_eq!(ended.code, Some(if failed == 0 { 0 } else { 4 }), "{}{}", ended.stdout, ended.stderr);
    for name in ["wrong answers", "dropped answers", "answers cut short", "another protocol"] {
        assert!(lines.iter().any(|line| line.starts_with(&format!("  pass  {name} "))), "{}", ended.stdout);
    }
}

#[test]
fn nginx_is_measured_like_any_other_server() {
    let locations = "keepalive_requests 50;\n location = /ok { return 200 'fine'; }\n \
                     location = /gone { return 410; }\n location = /json { default_type application/json; \
                     return 200 '{\"name\":\"$http_x_name\"}'; }";
    let Some(nginx) = Nginx::start(locations) else { return };
    let page =
        measure("auto", &nginx.url("/page.txt"), &["-n", "300", "-c", "4", "--expect-body", "a page\n"]);
    assert_eq!(page.run.counts.completed, 300, "{:?}", page.run.errors);
    // It closes a connection behind 50 requests, in order: no request is lost by that, and new ones are made.
    assert!(page.run.counts.connections_opened >= 6, "{:?}", page.run.counts);
    let server = page.run.target.expect("it is found by its socket");
    assert_eq!((server.pids.as_slice(), server.name.starts_with("nginx (")), (&[nginx.pid()][..], true));

    let json = ["-n", "60", "-H", "x-name: {{seq}}", "--expect-json", r#"{"name":"1"}"#];
    let named = measure("auto", &nginx.url("/json"), &json).run;
    assert_eq!((named.counts.completed, named.counts.wrong), (1, 59), "each has its own name");

    let three = format!("3@{}", nginx.url("/ok"));
    let gone = measure("auto", &nginx.url("/gone"), &["-n", "200", &three, "--expect-status", "2xx,410"]).run;
    let statuses: Vec<u16> = gone.statuses.iter().map(|(status, _)| *status).collect();
    assert_eq!((gone.counts.completed, statuses), (200, vec![200, 410]));

    let head = measure("auto", &nginx.url("/page.txt"), &["-n", "50", "-X", "HEAD"]).run;
    assert_eq!(head.counts.completed, 50, "a length, and no body: {:?}", head.errors);
    let pipelined = measure("auto", &nginx.url("/ok"), &["-n", "200", "-c", "2", "--pipeline", "5"]).run;
    assert_eq!(pipelined.counts.completed + pipelined.counts.failed, 200);
}

/// Records a run of the target that does no wrong.
fn record(file: &Scratch, options: &[&str]) -> Run {
    let recorder = Recorder::answering(answer("200 OK", "x"), After::GoOn);
    let measured = measure("auto", &recorder.url("/"), options);
    std::fs::write(&file.0, &measured.ended.stdout).expect("a temporary file can be written");
    measured.run
}

fn twice(file: &Scratch) -> String {
    format!("{0},{0}", file.as_str())
}

/// The run with all times so much longer, and a rate so much lower.
fn slower(run: &Run, times: f64) -> Run {
    let mut slow = run.clone();
    slow.response = loadgen::model::Latency::new();
    for value in run.response.0.iter_recorded() {
        let ns = (value.value_iterated_to() as f64 * times) as u64;
        slow.response.record_n(ns, value.count_at_value());
    }
    slow.counts.completed_in_window = (run.counts.completed_in_window as f64 / times) as u64;
    slow
}

fn written(run: &Run) -> Scratch {
    let content = Content::Run(Box::new(run.clone()));
    let document = loadgen::model::Document { corelane_loadgen: loadgen::model::FORMAT, content };
    Scratch::with("made.json", json::write(&document))
}

/// What the documented gate says: p99 and rate must not have become worse.
fn gate(comparison: &Comparison) -> i32 {
    match exit_word(comparison, &["p99", "rate"]) {
        Exit::Fine => 0,
        Exit::Worse => 3,
        Exit::Invalid => 4,
    }
}

fn comparison(text: &str, stderr: &str) -> Comparison {
    match content_of(text, stderr) {
        Content::Comparison(comparison) => *comparison,
        other => panic!("no comparison: {other:?}"),
    }
}

fn search(text: &str, stderr: &str) -> Search {
    match content_of(text, stderr) {
        Content::Search(search) => *search,
        other => panic!("no search: {other:?}"),
    }
}
