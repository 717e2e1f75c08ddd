//! While it runs: the live view with and without a terminal, colours, and Ctrl-C.
//!
//! A terminal is made by `script`, where that is installed.

mod support;

use loadgen::selftest::target::Behaviour;
use std::process::Command;
use std::time::{Duration, Instant};
use support::measured::{must_add_up, run_of};
use support::raw::{FullBacklog, Recorder};
use support::target::Target;
use support::tool::{self, BINARY, Ended, Running, command, tool};
use support::{Scratch, eventually, skipped};

/// What a user must never have to wait for.
const PROMPT: Duration = Duration::from_secs(5);

#[test]
fn without_a_terminal_there_is_a_line_every_second() {
    let target = Target::new(Behaviour::Right);
    let ended = tool(&["-c", "2", "-r", "100", "-d", "1500ms", "--warmup", "0s", &target.url()]);
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert!((1..=2).contains(&lines.len()), "{}", ended.stderr);
    for line in lines {
        for part in [" s  ", "/s", "p50 ", "p99 ", "p99.9 ", "max ", "errors 0"] {
            assert!(line.contains(part), "{line}");
        }
        assert!(!line.contains(['\u{1b}', '\r']), "{line:?}");
    }
}

#[test]
fn quiet_is_quiet() {
    let target = Target::new(Behaviour::Right);
    let ended = tool(&["-q", "-r", "100", "-d", "1200ms", "--warmup", "0s", &target.url()]);
    assert_eq!(ended.stderr, "");
}

#[test]
fn a_terminal_has_a_line_that_moves_and_a_verdict_in_colour() {
    let target = Target::new(Behaviour::Right);
    let options = format!("-d 600ms --warmup 0s {}", target.url());
    let Some(shown) = on_a_terminal(&options, None) else { return };
    let (moving, report) = shown.split_once(&target.url()).expect("the report comes behind the live view");
    assert!(moving.contains("p99.9 ") && moving.contains('\u{1b}'), "{moving:?}");
    assert!(report.contains("\u{1b}[1;32mVALID") || report.contains("\u{1b}[1;31mINVALID"), "{report:?}");
}

#[test]
fn no_color_is_no_colour() {
    let target = Target::new(Behaviour::Right);
    let options = format!("-q -d 200ms --warmup 0s {}", target.url());
    let Some(shown) = on_a_terminal(&options, Some("1")) else { return };
    assert!(!shown.contains('\u{1b}') && shown.contains("VALID"), "{shown:?}");
    // <https://no-color.org>: when not an empty string.
    let Some(shown) = on_a_terminal(&options, Some("")) else { return };
    assert!(shown.contains("\u{1b}[1;3"), "{shown:?}");
}

#[test]
fn ctrl_c_gives_a_report_of_what_there_is_and_passes_no_gate() {
    for (signal, load) in [("INT", &["-c", "4"][..]), ("TERM", &["-r", "200"])] {
        let recorder = Recorder::start();
        let json = Scratch::new("partial.json");
        let options = ["-d", "10min", "--warmup", "0s", "--slo", "max<1000s", "--json", json.as_str()];
        let (ended, took) = stopped(signal, &[&options[..], load, &[&recorder.url("/")]].concat(), || {
            recorder.seen().len() > 100
        });
        assert_eq!(ended.code, Some(4), "{signal}: {}", ended.stderr);
        assert!(took < PROMPT, "{took:?}");
        let run = run_of(&json.text(), &ended.stderr);
        assert!(run.interrupted && run.counts.completed > 0);
        must_add_up(&run);
        assert!(run.window_ns < 60_000_000_000, "as far as it came: {}", run.window_ns);
        let verdict = ended.stdout.lines().last().unwrap_or_default();
        assert!(verdict.starts_with("INVALID: finished"), "{verdict}");
        assert!(ended.stdout.contains("interrupted"), "{}", ended.stdout);
    }
}

#[test]
fn ctrl_c_in_the_warm_up_ends_it_too() {
    let recorder = Recorder::start();
    let options = ["-d", "10min", "--warmup", "10min", &recorder.url("/")];
    let (ended, took) = stopped("INT", &options, || recorder.seen().len() > 10);
    ended.must_not_have_panicked();
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    assert!(took < PROMPT, "{took:?}");
}

#[test]
fn ctrl_c_ends_the_other_commands() {
    let recorder = Recorder::start();
    let url = recorder.url("/");
    let load = ["-d", "1min", "--warmup", "0s"];
    for command in [&["search", "--slo", "p50<1s"][..], &["ab", &url]] {
        let before = recorder.seen().len();
        let (ended, took) =
            stopped("INT", &[command, &load, &[&url]].concat(), || recorder.seen().len() > before + 10);
        ended.must_not_have_panicked();
        assert!(matches!(ended.code, Some(1 | 4)), "{:?} {}", ended.code, ended.stderr);
        assert!(took < PROMPT, "{took:?}");
    }
}

/// A server that takes requests and never answers holds nobody up.
#[test]
fn ctrl_c_does_not_wait_for_answers() {
    let target = Target::new(Behaviour::Silent);
    let options = ["-d", "10min", "--timeout", "2min", "--warmup", "0s", &target.url()];
    let (ended, took) = stopped("INT", &options, || true);
    assert!(matches!(ended.code, Some(1 | 4)), "{:?} {}", ended.code, ended.stderr);
    assert!(took < PROMPT, "{took:?}");
}

/// Here it waits for a connection that nobody accepts, for as long as `--timeout` allows.
#[test]
fn a_second_ctrl_c_is_meant() {
    let Some(nobody) = FullBacklog::new() else { return };
    let url = format!("http://{}/", nobody.address);
    let running = tool::start(command().args(["--timeout", "2min", &url]));
    eventually("signals are caught", || running.catches_signals());
    running.signal("INT");
    let begin = Instant::now();
    // Two signals of one kind that both wait are one.
    std::thread::sleep(Duration::from_millis(300));
    running.signal("INT");
    let ended = running.wait();
    ended.must_not_have_panicked();
    // 130: as if the signal had killed it. 1: it ended at the first.
    assert!(matches!(ended.code, Some(130 | 1)), "{:?} {}", ended.code, ended.stderr);
    assert!(begin.elapsed() < PROMPT, "{:?}", begin.elapsed());
}

/// Runs it until `is_under_way`, sends the signal, and tells how long the end took.
fn stopped(signal: &str, args: &[&str], mut is_under_way: impl FnMut() -> bool) -> (Ended, Duration) {
    let running: Running = tool::start(command().args(args));
    eventually("signals are caught", || running.catches_signals());
    eventually("requests arrive", &mut is_under_way);
    let begin = Instant::now();
    running.signal(signal);
    let ended = running.wait();
    (ended, begin.elapsed())
}

/// What the binary shows on a terminal; `None`, said aloud, if none can be made.
fn on_a_terminal(options: &str, no_color: Option<&str>) -> Option<String> {
    let mut script = tool::without_variables(Command::new("script"));
    script.args(["-qec", &format!("{BINARY} {options}"), "/dev/null"]).env("TERM", "xterm-256color");
    if let Some(value) = no_color {
        script.env("NO_COLOR", value);
    }
    if Command::new("script").arg("--version").output().is_err() {
        skipped("script (util-linux) is not installed");
        return None;
    }
    Some(tool::run(&mut script).stdout)
}
