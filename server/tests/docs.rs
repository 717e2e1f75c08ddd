//! What the documents say is what the program does: options, defaults, metrics, links, code, and the README's session.

#[macro_use]
#[allow(unused_macros, reason = "the documents are the same for every engine")]
mod support;

use clap::Arg;
use server::metrics::{self, Shared};
use server::options;
use server::routes::ROUTES;
use support::server::{Ended, Server, command, run_to_the_end};
use support::skipped;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// With the default as `--check` shows it, which is how it stands in the sample.
const SAMPLE: &str = "server/deploy/corelane.toml";

#[test]
fn every_option_is_documented_with_its_default() {
    for file in ["README.md", "docs/operating.md"] {
        let text = read(&root().join(file));
        for option in options() {
            let name = long(&option);
            let row = text.lines().find(|line| {
                line.strip_prefix("| `").is_some_and(|row| {
                    row.starts_with(&format!("{name} ")) || row.starts_with(&format!("{name}`"))
                })
            });
            let row = row.or_else(|| {
                text.lines().find(|line| line.starts_with('|') && line.contains(&format!("`{name}`")))
            });
            let row = row.unwrap_or_else(|| panic!("{file}: no row for {name}"));
            for default in option.get_default_values() {
                let default = format!("| `{}` |", default.to_string_lossy());
                assert!(row.contains(&default), "{file}: {name} has the default {default}, not as in {row}");
            }
        }
    }
}

#[test]
fn the_sample_changes_nothing_and_has_every_default() {
    let sample = root().join(SAMPLE);
    let defaults = check(&[]);
    let settings = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with("# "));
        lines.filter_map(|line| Some(line.split_once(" # ")?.0.trim_end().to_owned())).collect()
    };
    let shown = settings(&defaults);
    assert!(shown.len() > 20, "{defaults}");
    let from_sample = check(&["--config", &sample.display().to_string()]);
    assert_eq!(from_sample, defaults, "as it stands, the sample changes nothing");

    let text = read(&sample);
    let commented: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| !line.starts_with([' ', '#']))
        .collect();
    let mut missing: Vec<_> = shown.iter().filter(|line| !commented.contains(&line.as_str())).collect();
    missing.sort();
    assert!(
        missing.is_empty() && commented.len() >= shown.len(),
        "not in {SAMPLE} with its default: {missing:?}"
    );
    let without: Vec<_> =
        commented.iter().filter(|line| !line.is_empty() && !shown.iter().any(|s| s == *line)).collect();
    assert!(without.is_empty(), "in {SAMPLE} and no default: {without:?}");
    let whole = support::server::Scratch::with("sample.toml", &commented.join("\n"));
    assert_eq!(
        settings(&check(&["--config", whole.as_str()])),
        shown,
        "with every # taken off, it still means the defaults"
    );
}

#[test]
fn every_metric_is_documented_and_every_documented_one_exists() {
    let text = metrics::render(&Shared::new(1, ROUTES, "docs")).expect("it renders");
    let families: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let operating = read(&root().join("docs/operating.md"));
    let (_, listed) = operating.split_once("\n## Metrics\n").expect("there is a list of metrics");
    let named: BTreeSet<&str> =
        words(listed, |c| c.is_ascii_lowercase() || c == '_').filter_map(family).collect();
    assert_eq!(families, named);
    for file in documents() {
        for name in words(&read(&file), |c| c.is_ascii_lowercase() || c == '_').filter_map(family) {
            assert!(families.contains(name), "{}: there is no {name}", file.display());
        }
    }
}

#[test]
fn links_lead_somewhere() {
    for file in documents() {
        let text = read(&file);
        for link in text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0)) {
            if link.starts_with("https://") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                file.clone()
            } else {
                file.parent().expect("a file is in a folder").join(path)
            };
            assert!(target.exists(), "{}: {link} leads nowhere", file.display());
            let leads = heading.is_empty()
                || read(&target).lines().any(|line| line.starts_with('#') && anchor(line) == heading);
            assert!(leads, "{}: {link}: no such heading", file.display());
        }
    }
}

#[test]
fn the_example_that_is_shown_is_the_one_that_is_built() {
    let example = read(&root().join("server/examples/slow.rs"));
    assert!(
        read(&root().join("docs/extending.md")).contains(&example),
        "docs/extending.md shows another slow.rs"
    );
}

/// Every `$ curl` of the README is run, and must answer as it stands there; but for the date.
#[test]
fn what_the_readme_shows_of_curl_happens() {
    if !Command::new("curl").args(["--json", "", "--version"]).output().is_ok_and(|out| out.status.success())
    {
        return skipped("there is no curl 7.82 or later");
    }
    let server = Server::start("auto", &[]);
    let readme = read(&root().join("README.md"));
    let mut asked = 0;
    for block in readme.split("```console\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)) {
        for step in block.split("$ ").filter(|step| step.starts_with("curl ")) {
            let (line, expected) = step.split_once('\n').expect("a command is a line");
            let line = line.replace("127.0.0.1:5000", &server.address().to_string());
            let output = Command::new("sh").args(["-c", &line]).output().expect("sh");
            let answer = String::from_utf8_lossy(&output.stdout).replace('\r', "");
            assert_eq!(undated(&answer), undated(expected), "{line}");
            asked += 1;
        }
    }
    assert!(asked >= 8, "the README shows {asked} requests");
}

fn options() -> Vec<Arg> {
    options::command_line().get_arguments().cloned().collect()
}

fn long(option: &Arg) -> String {
    format!("--{}", option.get_long().expect("every option has a long name"))
}

/// The lines of an answer, without the value of `date` and the end of the last line.
fn undated(answer: &str) -> Vec<&str> {
    answer.trim_end().lines().map(|line| if line.starts_with("date: ") { "date" } else { line }).collect()
}

/// What `--check` prints.
fn check(args: &[&str]) -> String {
    let Ended { code, stdout, stderr } = run_to_the_end(command().args(args).arg("--check"));
    assert_eq!(code, Some(0), "{stderr}");
    stdout
}

/// The family of a metric's name, if it is one.
fn family(name: &str) -> Option<&str> {
    let name = name.strip_suffix("_total").unwrap_or(name);
    // The balancer's are listed, and held to its code, by its own tests.
    Some(name).filter(|name| name.starts_with("corelane_") && !name.starts_with("corelane_balancer_"))
}

/// As a heading is named in a link.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

fn words(text: &str, is_part: impl Fn(char) -> bool) -> impl Iterator<Item = &str> {
    text.split(move |c| !is_part(c)).filter(|word| !word.is_empty())
}

fn documents() -> Vec<PathBuf> {
    let docs = std::fs::read_dir(root().join("docs")).expect("there is a folder of documents");
    let docs = docs
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|e| e == "md"));
    docs.chain([root().join("README.md")]).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
