//! `bench document`: writes docs/benchmarks.md from results, so that no number in it is typed by hand.
//!
//! In: a template (the method, and what we make of the numbers) and the newest result of each part below `bench/runs`.
//! Out: the document, with tables, charts and how the aims stand. Never: shows a quick look without saying so.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::aims::{self, Found, Records};
use crate::compare::PARTS;
use crate::failure::Failure;
use crate::report;

/// The text, with a name in double braces where something measured stands.
const TEMPLATE: &str = include_str!("benchmarks.md");

/// Options of `bench document`.
#[derive(Args, Debug)]
#[group(id = "document")]
pub(crate) struct Options {
    /// Where the runs are [default: bench/runs]
    #[arg(long, value_name = "DIR")]
    runs: Option<PathBuf>,
    /// The file to write [default: docs/benchmarks.md]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Of quick looks, to see the form
    #[arg(long, requires = "to")]
    quick: bool,
}

/// Renders, writes.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let runs = options.runs.clone().unwrap_or_else(report::runs);
    let file = options.to.clone().unwrap_or_else(document);
    let name = |part: &str| if options.quick { format!("{part}-quick") } else { part.to_owned() };
    let text = render(&runs, name)?;
    fs::write(&file, text)
        .map_err(|error| Failure::run(format!("cannot write {}: {error}", file.display())))?;
    println!("written: {}", file.display());
    Ok(())
}

/// In the repository that this was built from.
fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks.md")
}

/// The whole text.
fn render(runs: &Path, name: impl Fn(&str) -> String) -> Result<String, Failure> {
    let records = aims::records(&newest_first(runs)?, name);
    let mut text = String::new();
    let mut rest = TEMPLATE;
    while let Some((before, behind)) = rest.split_once("{{") {
        let (name, behind) =
            behind.split_once("}}").ok_or_else(|| Failure::setup("the template has {{ without }}"))?;
        text += before;
        text += &stand_in(name, &records)?;
        rest = behind;
    }
    Ok(text + rest)
}

fn newest_first(runs: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(runs)
        .map_err(|error| Failure::setup(format!("cannot read {}: {error}", runs.display())))?;
    let mut directories: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    // Their names begin with the date.
    directories.sort_by(|one, other| other.cmp(one));
    Ok(directories)
}

/// What stands in the place of a name.
fn stand_in(name: &str, records: &Records) -> Result<String, Failure> {
    if name == "aims" {
        let mut table = aims::table(records, &PARTS);
        table.title = None;
        return Ok(table.markdown(3).trim_end().to_owned());
    }
    if name == "machine" {
        return Ok(machine(records));
    }
    let part = PARTS.iter().find(|part| **part == name);
    let part =
        part.ok_or_else(|| Failure::setup(format!("the template has {{{{{name}}}}}, which is no part")))?;
    Ok(match records.get(part) {
        Some(found) => measured(found),
        None => format!("Not measured yet: `cargo run --release -p bench -- compare {part}`."),
    })
}

/// The machines of all results: one, if all is well.
fn machine(records: &Records) -> String {
    const FACTS: [&str; 5] = ["cpu", "cores", "kernel", "io_uring_disabled", "rustc"];
    let of = |found: &Found| {
        let facts = FACTS
            .iter()
            .filter_map(|fact| Some(format!("- {fact}: `{}`\n", found.record.machine.get(*fact)?)));
        facts.collect::<String>()
    };
    let mut machines: Vec<String> = records.values().map(of).collect();
    machines.sort();
    machines.dedup();
    match machines.is_empty() {
        true => "Nothing was measured yet.".to_owned(),
        false => machines.join("\nand\n\n").trim_end().to_owned(),
    }
}

/// A part: where its numbers come from, and what they are.
fn measured(found: &Found) -> String {
    let fact = |name: &str| found.record.machine.get(name).map_or("unknown", String::as_str);
    let run = found.directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let directory = format!("../bench/runs/{run}/");
    let warning = match found.is_quick() {
        true => {
            "**A quick look, one short round on a busy machine: it shows the form, and says nothing about anybody's speed.**\n\n"
        }
        false => "",
    };
    format!(
        "{warning}`{}`, {}, commit `{}`, load average before it {}: [{}.md]({directory}{}.md).\n\n{}",
        fact("command"),
        fact("date"),
        fact("commit"),
        fact("load average at start"),
        found.name,
        found.name,
        found.record.markdown(3, &directory).trim_end()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_what_the_recorded_results_give() {
        let rendered = render(&report::runs(), str::to_owned).unwrap();
        let written = fs::read_to_string(document()).unwrap();
        assert!(
            rendered == written,
            "docs/benchmarks.md differs from what bench/runs gives: cargo run --release -p bench -- document"
        );
    }

    #[test]
    fn every_part_has_its_place_in_the_template() {
        for part in PARTS {
            assert_eq!(TEMPLATE.matches(&format!("{{{{{part}}}}}")).count(), 1, "{part}");
        }
        assert!(TEMPLATE.contains("{{aims}}") && TEMPLATE.contains("{{machine}}"));
    }

    #[test]
    fn what_is_not_measured_says_how_to() {
        let text = stand_in("scale", &Records::new()).unwrap();
        assert!(text.contains("compare scale"));
        assert!(stand_in("nonsense", &Records::new()).is_err());
    }
}
