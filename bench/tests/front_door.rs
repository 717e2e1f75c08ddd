//! The command line as its users have it: what it refuses, what it says, what it writes. Nothing is measured here.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench")).args(arguments).output().unwrap()
}

fn printed(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A directory of this test's own, that is empty.
fn directory(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn a_build_that_is_not_optimised_measures_nothing_and_says_what_to_do() {
    let output = bench(&["compare", "server", "--quick"]);
    if cfg!(debug_assertions) {
        assert_eq!(output.status.code(), Some(2));
        assert!(printed(&output.stderr).contains("cargo run --release -p bench"), "{output:?}");
    }
}

#[test]
fn help_names_every_part() {
    let help = printed(&bench(&["compare", "--help"]).stdout);
    for part in ["server", "engines", "latency", "balancer", "loadgen", "memory", "scale"] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(part)), "{part}: {help}");
    }
}

#[test]
fn what_is_no_part_is_a_usage_error() {
    assert_eq!(bench(&["compare", "nonsense"]).status.code(), Some(2));
}

#[test]
fn without_results_the_document_says_how_to_get_them() {
    let directory = directory("empty-runs");
    let file = directory.join("benchmarks.md");
    let runs = directory.to_str().unwrap();
    let output = bench(&["document", "--runs", runs, "--to", file.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("Not measured yet: `cargo run --release -p bench -- compare server`."));
    assert!(text.contains("not measured") && !text.contains("{{"), "{text}");
}

#[test]
fn runs_that_are_not_there_are_an_error_with_their_name() {
    let output = bench(&["document", "--runs", "/nowhere/at/all"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(printed(&output.stderr).contains("/nowhere/at/all"));
}

#[test]
fn a_damaged_result_is_passed_over() {
    let directory = directory("damaged-runs");
    let run = directory.join("2026-01-01-x");
    fs::create_dir_all(&run).unwrap();
    fs::write(run.join("server.json"), "{ \"machine\": {").unwrap();
    let file = directory.join("benchmarks.md");
    let output = bench(&["document", "--runs", directory.to_str().unwrap(), "--to", file.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    assert!(fs::read_to_string(&file).unwrap().contains("compare server`."));
}
