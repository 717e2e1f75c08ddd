//! The house rules that a compiler doesn't know: where unsafe code lives, how long files get, what the root holds.

use std::fs;
use std::path::{Path, PathBuf};

/// Unsafe code's addresses.
const UNSAFE: [&str; 5] = [
    "net/src/engine/uring/ring.rs",
    "net/src/engine/hub/serve.rs",
    "net/src/engine/glommio.rs",
    "net/src/listen.rs",
    "bench/src/floor/",
];

/// What the root of the repository holds, besides dotfiles.
const ROOT: [&str; 11] = [
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "LICENSE",
    "rustfmt.toml",
    "net",
    "server",
    "balancer",
    "loadgen",
    "bench",
    "docs",
];

/// A longer file is two files. Most have half of it; an engine is one flat loop with its helpers, and takes it all.
const LINES_MAX: usize = 600;

#[test]
fn unsafe_code_has_few_addresses() {
    for (path, text) in sources() {
        let has_unsafe = code_lines(&text)
            .any(|line| line.contains(concat!("unsafe", " {")) || line.contains(concat!("unsafe", " fn")));
        let is_allowed = UNSAFE.iter().any(|address| path.starts_with(address));
        assert!(!has_unsafe || is_allowed, "{path} has unsafe code; its addresses are {UNSAFE:?}");
    }
}

#[test]
fn no_unwrap_outside_of_tests() {
    for (path, text) in sources().into_iter().filter(|(path, _)| path.contains("/src/")) {
        let product = text.split("#[cfg(test)]").next().unwrap_or_default();
        let found = code_lines(product).find(|line| line.contains(".unwrap()"));
        assert!(path.ends_with("tests.rs") || found.is_none(), "{path}: {found:?}");
    }
}

#[test]
fn files_stay_readable_and_open_with_what_they_are() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "{path} has {lines} lines: what are its two subjects?");
        assert!(text.starts_with("//!"), "{path} does not say what flows through it");
    }
}

#[test]
fn the_root_holds_what_the_design_says_and_nothing_else() {
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_known = name.starts_with('.') || name == "target" || ROOT.contains(&name.as_str());
        assert!(is_known, "{name} has no place in the root");
    }
}

fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// Every Rust file of the workspace, with its path from the root.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for part in ["net", "server", "balancer", "loadgen", "bench"] {
        collect(&root().join(part), &mut found);
    }
    assert!(found.len() > 50, "only {} files: is this the workspace?", found.len());
    found
}

fn collect(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" {
            collect(&path, found);
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(&path).unwrap();
            let from_root = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            found.push((from_root, text));
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}
