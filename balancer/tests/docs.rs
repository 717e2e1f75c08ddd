//! What the reference, the sample file and `--help` say is what the code does: keys, defaults, bounds, flags, commands.

use balancer::command_line::{self, Run, command_line};
use balancer::config::keys::KEYS;
use balancer::config::{self, Config, Server};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

const SAMPLE: &str = "balancer/deploy/balancer.toml";
const REFERENCE: &str = "docs/balancer-reference.md";

/// Keys whose default is that nothing is said, as the reference has it.
const UNSAID: [(&str, &str, &str); 6] = [
    ("pools", "servers", "–"),
    ("listeners", "pool", "`none`"),
    ("routes", "listener", "`*`"),
    ("routes", "host", "`*`"),
    ("routes", "path", "`/`"),
    ("routes", "pool", "–"),
];

#[test]
fn every_key_is_documented_with_its_default_and_its_bounds_and_no_other_is() {
    let rows = rows("key");
    let shown = shown();
    for key in KEYS {
        let unsaid = UNSAID.iter().find(|(section, name, _)| (*section, *name) == (key.section, key.name));
        let default = match unsaid {
            Some((_, _, default)) => (*default).to_owned(),
            None => {
                let section = key.section.replace("defaults", "pools.default");
                let said = shown.iter().find(|(at, name, _)| *at == section && name == key.name);
                let (_, _, value) =
                    said.unwrap_or_else(|| panic!("--check doesn't show {section}.{}", key.name));
                format!("`{}`", value.trim_matches('"'))
            }
        };
        let wanted = format!("| `{}` | {default} | {} | ", key.name, key.takes);
        let found =
            rows.iter().filter(|(section, row)| *section == key.section && row.starts_with(&wanted)).count();
        assert_eq!(found, 1, "{REFERENCE}, {}: {wanted}", key.section);
    }
    assert_eq!(rows.len(), KEYS.len(), "{REFERENCE} has a row for something that is no key");
}

#[test]
fn every_key_shown_is_known_and_every_known_one_is_shown() {
    let shown: BTreeSet<(String, String)> = shown()
        .into_iter()
        .map(|(section, name, _)| (section.replace("pools.default", "defaults"), name))
        .collect();
    let known = KEYS.iter().filter(|key| key.section != "routes").map(|key| {
        let section = if key.section == "pools" { "defaults" } else { key.section };
        (section.to_owned(), key.name.to_owned())
    });
    assert_eq!(shown, known.collect());
}

#[test]
fn the_sample_changes_nothing_and_has_every_default() {
    let sample = read(SAMPLE);
    let default = Config::for_one_pool(&["127.0.0.1:5000".parse().unwrap()]);
    let (as_it_stands, keys) = config::read(&sample, Path::new(SAMPLE)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(as_it_stands, default);
    assert_eq!(keys, config::ProcessKeys::default());

    let uncommented: Vec<&str> = sample
        .lines()
        .map(|line| {
            line.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' ')).unwrap_or(line)
        })
        .collect();
    let (whole, keys) =
        config::read(&uncommented.join("\n"), Path::new(SAMPLE)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(whole, default);
    assert_eq!(keys.over(config::ProcessKeys::default()), config::Process::default());

    let settings = |text: &str| -> BTreeSet<(String, String, String)> {
        let defaults = |section: &str| section.replace("pools.default", "defaults");
        settings(text).into_iter().map(|(section, name, value)| (defaults(&section), name, value)).collect()
    };
    let in_sample = settings(&uncommented.join("\n"));
    let shown = settings(&check());
    assert_eq!(in_sample, shown, "each key once, with its default");
}

#[test]
fn the_server_options_have_the_bounds_that_are_documented() {
    let rows = rows("option");
    let server = |options: &str| -> Result<Server, String> {
        let text = format!("[pools.a]\nservers = [\"127.0.0.1:1,{options}\"]");
        let read = config::read(&text, Path::new("b.toml")).map_err(|refusal| refusal.to_string());
        Ok(read?.0.pools.remove(0).servers.remove(0))
    };
    for (name, default) in [("weight", "`1`"), ("maxconn", "no limit")] {
        let (_, row) =
            rows.iter().find(|(_, row)| row.starts_with(&format!("| `{name}` | {default} | "))).expect(name);
        let bounds = row.split(" | ").nth(2).unwrap();
        let (min, max) = bounds.split_once(" to ").unwrap();
        let (min, max): (u32, u32) = (min.parse().unwrap(), max.parse().unwrap());
        for (value, is_in) in [(min, true), (max, true), (min - 1, false), (max + 1, false)] {
            assert_eq!(server(&format!("{name}={value}")).is_ok(), is_in, "{name}={value}");
        }
    }
    let name = |len: usize| server(&format!("name={}", "n".repeat(len)));
    assert!(read(REFERENCE).contains("A name is up to 64 letters") && name(64).is_ok() && name(65).is_err());
    assert_eq!(rows.len(), 3);
}

#[test]
fn every_flag_is_documented_with_its_variable_and_its_default() {
    let rows = rows("flag");
    let command = command_line();
    // Those of the file itself are told in words.
    let in_words = ["config", "check", "help", "version"];
    let flags: Vec<_> =
        command.get_arguments().filter(|flag| !in_words.contains(&flag.get_id().as_str())).collect();
    for flag in &flags {
        let long = flag.get_long().unwrap();
        let default = flag.get_default_values().first().map(|value| format!("`{}`", value.to_str().unwrap()));
        // A switch is off, and a list empty.
        let default = default.filter(|default| default != "`false`").unwrap_or_else(|| "–".to_owned());
        let variable = format!("CORELANE_BALANCER_{}", long.replace('-', "_").to_uppercase());
        assert_eq!(flag.get_env(), Some(OsString::from(&variable).as_os_str()));
        let row = rows.iter().find(|(_, row)| row.starts_with(&format!("| `--{long}` | `{variable}` | ")));
        let (_, row) = row.unwrap_or_else(|| panic!("{REFERENCE}: no row for --{long}"));
        assert!(row.ends_with(&format!(" | {default} |")), "{default}: {row}");
    }
    assert_eq!(rows.len(), flags.len());
    let text = read(REFERENCE);
    assert!(
        in_words[..2]
            .iter()
            .all(|flag| text.contains(&format!("`--{flag}")) || text.contains(&format!(" --{flag}`")))
    );
}

#[test]
fn a_flag_has_the_default_of_its_key() {
    let keys = [("listeners", "address", "listen"), ("pools.default", "balance", "balance")];
    let checks = [
        ("pools.default.check", "path", "health-check"),
        ("pools.default.check", "interval", "check-interval"),
    ];
    let process = ["cores", "engine", "accept", "admin", "busy-poll", "log"].map(|key| ("process", key, key));
    let (shown, command) = (shown(), command_line());
    for (section, key, flag) in keys.into_iter().chain(checks).chain(process) {
        let (_, _, value) = shown.iter().find(|(at, name, _)| at == section && name == key).expect(key);
        let flag = command.get_arguments().find(|argument| argument.get_long() == Some(flag)).expect(flag);
        assert_eq!(flag.get_default_values(), [OsString::from(value.trim_matches('"'))], "{key}");
    }
}

#[test]
fn every_command_is_documented_and_every_documented_one_is_there() {
    let rows = rows("command");
    let command = command_line();
    let mut names = BTreeSet::new();
    for each in command.get_subcommands() {
        names.extend(each.get_all_aliases().chain([each.get_name()]).map(str::to_owned));
    }
    let documented = rows.iter().flat_map(|(_, row)| row.split('|').nth(1).unwrap_or_default().split('`'));
    let documented =
        documented.filter_map(|part| part.split(' ').next()).filter(|word| !word.is_empty() && *word != ",");
    assert_eq!(names, documented.map(str::to_owned).collect());
}

#[test]
fn the_command_line_is_well_formed_and_its_help_fits_a_screen() {
    let mut command = command_line();
    command.clone().debug_assert();
    let help = command.render_help().to_string();
    assert!(help.lines().count() <= 50 && help.lines().all(|line| line.chars().count() <= 100), "{help}");
    for balance in [
        "random",
        "round-robin",
        "weighted-round-robin",
        "adaptive",
        "least-requests",
        "two-choices",
        "hot-cold",
    ] {
        assert!(help.contains(balance), "{balance}");
    }
}

#[test]
fn the_refusals_that_the_reference_shows_are_those_that_are_given() {
    let text = read(REFERENCE);
    let (_, shown) = text.split_once("```text\n").unwrap();
    let lines: Vec<&str> = shown.split("```").next().unwrap().lines().collect();
    for (above, text, line) in [
        (10, "[pools.web.timeouts]\nconnect = \"0s\"", lines[0]),
        (12, "[pools.web]\ntimeout.connect = \"1s\"", lines[1]),
    ] {
        let text = format!("{}{text}", "\n".repeat(above));
        assert_eq!(config::read(&text, Path::new("balancer.toml")).unwrap_err().to_string(), line);
    }
}

/// The rows of the tables whose first column is called this, each with the section it stands in.
fn rows(first: &str) -> Vec<(String, String)> {
    let text = read(REFERENCE);
    let (mut section, mut rows, mut is_in) = (String::new(), Vec::new(), false);
    for line in text.lines() {
        // The first section named below a heading is the one that its table has.
        if line.starts_with('#') {
            section.clear();
        } else if section.is_empty() && line.contains("`[") {
            let named = line.split("`[").nth(1).and_then(|rest| rest.split(']').next()).unwrap_or_default();
            section = named.trim_start_matches('[').trim_end_matches(".NAME").to_owned();
        }
        if !line.starts_with('|') {
            is_in = false;
        } else if line.starts_with(&format!("| {first} |")) {
            is_in = true;
        } else if is_in && !line.starts_with("|---") {
            rows.push((section.clone(), line.to_owned()));
        }
    }
    rows
}

/// What `--check` shows for one server, as section, key and value.
fn shown() -> Vec<(String, String, String)> {
    settings(&check())
}

fn check() -> String {
    let args = ["corelane-balancer", "--server", "127.0.0.1:5000", "--check"].map(OsString::from);
    match command_line::read(args) {
        Ok(Run::Check(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn settings(text: &str) -> Vec<(String, String, String)> {
    let (mut section, mut settings) = (String::new(), Vec::new());
    for line in text.lines() {
        let line = line.split(" # ").next().unwrap_or_default().trim_end();
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, value)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            settings.push((section.clone(), key.to_owned(), value.to_owned()));
        }
    }
    settings
}

fn read(path: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", path].iter().collect();
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
