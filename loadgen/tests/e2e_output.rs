//! What a run leaves behind: a screen of text, JSON, a page, an HdrHistogram table, lines of intervals.
//!
//! In: files as the binary wrote them. Never: compares a report with one that was once written down.

#[path = "report/markup.rs"]
#[allow(dead_code, reason = "the report's own tests use the rest")]
mod markup;
mod support;

use loadgen::model::{Content, Run};
use loadgen::report::html::BYTES_MAX;
use loadgen::report::json;
use loadgen::report::text::{COLUMNS_MAX, LINES_MAX};
use loadgen::selftest::target::Behaviour;
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;
use support::Scratch;
use support::measured::{must_add_up, run_of};
use support::raw::Recorder;
use support::target::Target;
use support::tool::{Ended, command, tool};

#[test]
fn without_any_option_a_screen_of_text_goes_to_stdout() {
    let target = Target::new(Behaviour::Right);
    let ended = tool(&["-q", "-n", "500", "-c", "4", &target.url()]);
    assert_eq!(ended.stderr, "", "quiet");
    must_be_a_screen(&ended.stdout);
    assert!(ended.stdout.starts_with(&target.url()), "{}", ended.stdout);
    assert!(!ended.stdout.contains('\u{1b}'), "no colour where there is no terminal");
    let verdict = ended.stdout.lines().last().unwrap_or_default();
    match ended.code {
        Some(0) => assert_eq!(verdict, "VALID"),
        code => assert!(code == Some(4) && verdict.starts_with("INVALID: "), "{code:?} {verdict}"),
    }
}

#[test]
fn every_file_that_was_asked_for_is_written_and_tells_the_same() {
    let files = ["run.json", "run.html", "run.hgrm", "run.ndjson"].map(Scratch::new);
    let [json, html, hgrm, intervals] = files.each_ref().map(Scratch::as_str);
    let target = Target::new(Behaviour::Corrupt { every: 100 });
    let options = ["-q", "-r", "1000", "-d", "500ms", "--warmup", "100ms", "--slo", "p99<10s"];
    let paths = ["--json", json, "--html", html, "--hgrm", hgrm, "--intervals", intervals];
    let ended = tool(&[&["run"], &options[..], &paths[..], &[&target.url()]].concat());
    assert_eq!(ended.code, Some(5), "{}", ended.stderr);
    must_be_a_screen(&ended.stdout);

    let read = run_of(&files[0].text(), &ended.stderr);
    must_add_up(&read);
    assert!(
        read.setup.command.starts_with("corelane-loadgen run -q -r 1000 -d 500ms"),
        "{}",
        read.setup.command
    );
    assert!(read.setup.command.contains("--slo 'p99<10s'"), "to be pasted into a shell");
    must_be_a_page_of(&read, &files[1]);
    must_be_a_table_of(&read, &files[2].text());
    must_be_the_intervals_of(&read, &files[3].text());
    // The numbers of people are those of programs.
    assert!(ended.stdout.contains(&format!("{} wrong", read.counts.wrong)), "{}", ended.stdout);
}

/// Lanes that have a different number of connections end at different times; a number of requests is taken from the
/// schedule long before the last answer is there.
#[test]
fn the_lines_of_intervals_hold_the_whole_run_whenever_its_lanes_end() {
    let target = Target::new(Behaviour::Delay(Duration::from_millis(50)));
    for load in
        [&["-n", "30", "-c", "3"][..], &["-n", "40", "-r", "1000", "--arrivals", "constant", "-c", "8"]]
    {
        let lines = Scratch::new("lines.ndjson");
        let options = ["-q", "--intervals", lines.as_str(), "--json", "-"];
        let ended = tool(&[&options[..], load, &[&target.url()]].concat());
        let read = run_of(&ended.stdout, &ended.stderr);
        must_add_up(&read);
        must_be_the_intervals_of(&read, &lines.text());
        let offered =
            lines.text().lines().map(line_of).map(|line| line["offered"].as_u64().unwrap()).sum::<u64>();
        assert_eq!(offered, read.counts.offered);
    }
}

#[test]
fn the_percentiles_in_the_json_are_those_of_its_histogram() {
    let target = Target::new(Behaviour::Right);
    let ended = tool(&["-q", "-n", "2000", "--json", "-", &target.url()]);
    let text: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let read = run_of(&ended.stdout, &ended.stderr);
    assert_eq!((&text["corelane_loadgen"], &text["kind"]), (&Value::from(1), &Value::from("run")));
    for (name, latency) in
        [("response", &read.response), ("service", &read.service), ("connect", &read.connect)]
    {
        let written = &text[name];
        assert_eq!(written["count"], latency.count(), "{name}");
        assert_eq!(written["max_ns"], latency.0.max(), "{name}");
        let percentiles = written["percentiles_ns"].as_array().expect("pairs");
        assert!(percentiles.len() > 5);
        for pair in percentiles {
            // The point is moved in the text: 99.9 / 100.0 is a little more than 0.999.
            let quantile = format!("{}e-2", pair[0]).parse().unwrap();
            assert_eq!(pair[1], latency.at(quantile), "{name} p{}", pair[0]);
        }
    }
}

#[test]
fn a_dash_is_stdout_and_the_text_makes_room() {
    let target = Target::new(Behaviour::Right);
    let to_stdout = |option: &str| {
        let ended = tool(&["-q", "-d", "300ms", "--warmup", "0s", "-c", "4", option, "-", &target.url()]);
        must_be_a_screen(&ended.stderr);
        ended.stdout
    };
    let read = run_of(&to_stdout("--json"), "");
    assert!(read.counts.completed > 0);
    markup::check(&to_stdout("--html")).expect("a page and nothing else");
    assert!(to_stdout("--hgrm").trim_start().starts_with("Value"));
    for line in to_stdout("--intervals").lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok_and(|line| line["sent"].is_u64()), "{line}");
    }
}

#[test]
fn a_path_that_can_not_be_written_is_found_before_the_run() {
    let recorder = Recorder::start();
    let url = recorder.url("/");
    for option in ["--json", "--html", "--hgrm", "--intervals"] {
        for path in ["/nowhere/at/all", "/"] {
            let ended = tool(&["-n", "10", option, path, &url]);
            assert_eq!(ended.code, Some(1), "{}", ended.stderr);
            let complaint = ended.complaint();
            assert!(complaint.starts_with(&format!("write {path}: ")), "{option}: {complaint}");
        }
    }
    for command in [
        &["search", "--slo", "p50<1s", "--json", "/nowhere/x", &url][..],
        &["ab", "--html", "/nowhere/x", &url, &url],
    ] {
        assert_eq!(tool(command).code, Some(1));
    }
    assert!(recorder.seen().is_empty(), "nothing was sent");
}

#[test]
fn a_disk_that_is_full_is_said_and_the_report_comes() {
    let target = Target::new(Behaviour::Right);
    let ended = tool(&["-q", "-n", "100", "--json", "/dev/full", &target.url()]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("write /dev/full: No space left"), "{}", ended.stderr);
    must_be_a_screen(&ended.stdout);

    // Lines that are only for following a run don't end it.
    let ended = tool(&["-d", "300ms", "--warmup", "0s", "--intervals", "/dev/full", &target.url()]);
    assert!(matches!(ended.code, Some(0 | 4)), "{}", ended.stderr);
    assert_eq!(
        ended.stderr.matches("the intervals can't be written any more").count(),
        1,
        "{}",
        ended.stderr
    );
    must_be_a_screen(&ended.stdout);
}

#[test]
fn what_was_recorded_before_outlives_a_run_that_can_not_begin() {
    let (old, new) = (Scratch::with("old.json", "precious"), Scratch::new("new.json"));
    let nobody = "http://127.0.0.1:1/";
    for file in [&old, &new] {
        let ended = tool(&["-n", "1", "--json", file.as_str(), "--html", file.as_str(), nobody]);
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    }
    assert_eq!(old.text(), "precious");
    assert!(!new.0.exists(), "an empty file would look like a result");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let target = Target::new(Behaviour::Right);
    for options in [&["-q"][..], &["--json", "-"], &["--html", "-"], &["--intervals", "-"], &["--hgrm", "-"]]
    {
        let ended = without_readers(&[options, &["-d", "200ms"], &[&target.url()]].concat(), Closed::Stdout);
        ended.must_not_have_panicked();
        assert!(matches!(ended.code, Some(0 | 4)), "{options:?}: {:?} {}", ended.code, ended.stderr);
    }
    // Long enough for a line of the live view; the result goes to a file that must get it.
    let json = Scratch::new("unread.json");
    let options = ["-r", "100", "-d", "1100ms", "--json", json.as_str()];
    let ended = without_readers(&[&options[..], &[&target.url()]].concat(), Closed::Both);
    assert!(matches!(ended.code, Some(0 | 4)), "{:?}", ended.code);
    must_add_up(&run_of(&json.text(), ""));
}

#[test]
fn help_fits_a_screen_and_tells_the_exit_codes() {
    let help = tool(&["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    for part in
        ["search --slo", "ab URL_A URL_B", "selftest", "--rate", "--slo", "3 target missed, 4 invalid"]
    {
        assert!(help.stdout.contains(part), "{part}: {}", help.stdout);
    }
    assert!(help.stdout.lines().count() <= 66, "{} lines", help.stdout.lines().count());
    for args in [&["-h"][..], &["run", "--help"], &["search", "-h"], &["ab", "--help"], &["compare", "-h"]] {
        let help = tool(args);
        assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""), "{args:?}");
        assert!(help.stdout.contains("Usage: "), "{args:?}: {}", help.stdout);
    }
    let version = tool(&["--version"]);
    assert_eq!(version.stdout, format!("corelane-loadgen {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(version.code, Some(0));
}

/// Which of the pipes have no reader any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closed {
    Stdout,
    Both,
}

/// Runs it with pipes that are closed before anything is written to them.
fn without_readers(args: &[&str], closed: Closed) -> Ended {
    let mut command = command();
    command.args(["--warmup", "0s"]).args(args);
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    drop(child.stdout.take());
    if closed == Closed::Both {
        drop(child.stderr.take());
    }
    let output = child.wait_with_output().expect("it ends: its run has a length");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Ended { code: output.status.code(), stdout: String::new(), stderr }
}

fn must_be_a_screen(text: &str) {
    assert!(text.lines().count() <= LINES_MAX, "{} lines\n{text}", text.lines().count());
    for line in text.lines() {
        assert!(line.chars().count() <= COLUMNS_MAX, "{line}");
    }
    assert!(text.lines().last().is_some_and(|line| line.contains("VALID")), "{text}");
}

fn must_be_a_page_of(run: &Run, file: &Scratch) {
    let page = file.text();
    markup::check(&page).unwrap_or_else(|why| panic!("{why}"));
    assert!(page.len() <= BYTES_MAX, "{} bytes", page.len());
    let shown = markup::text(&page);
    assert!(shown.contains(&loadgen::verdict::words(run)), "the verdict");
    assert!(shown.contains(&run.setup.command), "the command line");
    let Ok(Content::Run(again)) = json::read(&file.0).map(|document| document.content) else {
        panic!("the page holds no run");
    };
    assert_eq!(again.counts, run.counts);
    assert_eq!(again.response, run.response);
}

fn must_be_a_table_of(run: &Run, table: &str) {
    let mut lines = table.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(header, ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]);
    let rows: Vec<Vec<f64>> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_whitespace().map(|cell| cell.parse().expect("a number")).collect())
        .collect();
    assert!(rows.len() > 10 && rows.iter().all(|row| row.len() == 4), "{table}");
    for pair in rows.windows(2) {
        assert!(pair[0][0] <= pair[1][0] && pair[0][1] < pair[1][1] && pair[0][2] <= pair[1][2], "{pair:?}");
    }
    let last = rows.last().expect("there are rows");
    assert_eq!(last[1..3], [1.0, run.response.count() as f64]);
    assert!((last[0] - run.response.0.max() as f64 / 1e6).abs() < 1e-6, "milliseconds: {last:?}");
    assert!(table.contains(&format!("Total count    = {:>12}]", run.response.count())), "{table}");
}

fn must_be_the_intervals_of(run: &Run, lines: &str) {
    let lines: Vec<Value> = lines.lines().map(line_of).collect();
    let sum = |name: &str| lines.iter().map(|line| line[name].as_u64().expect("a count")).sum::<u64>();
    assert_eq!(lines.len(), run.intervals.len());
    assert_eq!(sum("completed"), run.counts.completed_in_window);
    for (line, interval) in lines.iter().zip(&run.intervals) {
        assert_eq!(line["at_ms"].as_f64(), Some(interval.at_ns as f64 / 1e6));
        assert_eq!(line["sent"], interval.sent);
        assert_eq!(line["errors"], interval.errors);
        assert_eq!(line["response_ns"]["p99"], interval.response[2]);
    }
}

fn line_of(line: &str) -> Value {
    serde_json::from_str(line).expect("a line of JSON")
}
