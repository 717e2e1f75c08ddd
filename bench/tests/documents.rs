//! What the documents call an option is one, of some program of this repository or of those that it is used with.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Options that belong to others: cargo, curl, and our own `bench`.
const FOREIGN: [&str; 15] = [
    "--now",
    "--unix-socket",
    "--release",
    "--workspace",
    "--example",
    "--no-default-features",
    "--features",
    "--manifest-path",
    "--bench",
    "--quick",
    "--resume",
    "--rounds",
    "--seconds",
    "--only",
    "--out",
];

#[test]
fn every_option_in_the_documents_exists() {
    let mut known: BTreeSet<String> = FOREIGN.map(str::to_owned).into();
    known.extend(["--version".to_owned()]);
    let loadgen = loadgen::options::command_line();
    let balancer = balancer::command_line::command_line();
    let commands = [&server::options::command_line(), &loadgen, &balancer];
    let below = loadgen.get_subcommands().chain(balancer.get_subcommands());
    for command in commands.into_iter().chain(below) {
        known.extend(command.get_arguments().filter_map(|option| Some(format!("--{}", option.get_long()?))));
    }
    let documents = documents();
    assert!(documents.len() > 8, "only {documents:?}");
    for file in documents {
        let text = fs::read_to_string(&file).unwrap();
        for word in text.split(|c: char| !c.is_ascii_lowercase() && c != '-') {
            let is_option = word.starts_with("--") && word[2..].starts_with(|c: char| c.is_ascii_lowercase());
            assert!(!is_option || known.contains(word), "{}: there is no {word}", file.display());
        }
    }
}

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    docs.chain([root.join("README.md")]).collect()
}
