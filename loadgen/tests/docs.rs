//! The table of options is the command line: each option with its default, and none that isn't there.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use loadgen::options::command_line;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Beside what they default to by themselves, said in words.
const IN_WORDS: [(&str, &str); 3] = [("--warmup", "1s"), ("--method", "GET"), ("--expect-status", "2xx")];

#[test]
fn every_option_is_documented_with_its_default() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/loadgen.md")).unwrap();
    let (_, table) = page.split_once("\n## Options\n").unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).collect();
    let mut seen = BTreeSet::new();
    for command in command_line().get_subcommands() {
        for option in command.get_arguments().filter(|option| option.get_long().is_some()) {
            let name = format!("--{}", option.get_long().unwrap());
            if ["--help", "--version"].contains(&&*name) {
                continue;
            }
            let row = rows.iter().find(|row| row.split(['`', ' ']).any(|word| word == name));
            let row = row.unwrap_or_else(|| panic!("no row for {name}"));
            // `report` has a name for its page, where the others make none unless asked.
            let defaults = option.get_default_values().iter().map(|value| value.to_str().unwrap());
            for default in defaults.filter(|_| command.get_name() == "run" && !option.is_hide_set()) {
                let is_flag = default == "false";
                assert!(is_flag || row.contains(&format!("| `{default}` |")), "{name} is {default}: {row}");
            }
            if let Some((_, default)) = IN_WORDS.iter().find(|(each, _)| *each == name) {
                assert!(row.contains(default), "{row}");
            }
            seen.insert(name);
        }
    }
    for word in rows.iter().flat_map(|row| row.split(['`', ' ', ','])).filter(|word| word.starts_with("--")) {
        assert!(seen.contains(word), "there is no {word}");
    }
}

#[test]
fn the_command_line_is_well_formed_and_its_help_fits_a_screen() {
    let mut command = command_line();
    command.clone().debug_assert();
    let run = command.find_subcommand_mut("run").unwrap();
    let lines = run.render_help().to_string().lines().count();
    assert!(lines <= 70, "{lines} lines");
}
