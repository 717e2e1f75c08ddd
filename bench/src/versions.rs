//! Which version of a peer was measured.
//!
//! In: a program that is installed, or the name of a crate of `bench/peers`. Out: what it says of itself, or what the lock
//! file says.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The line in which a program says which one it is.
pub(crate) fn of_program(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("-v").output().ok()?;
    // nginx says it on stderr.
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    text.lines().map(str::trim).find(|line| !line.is_empty()).map(String::from)
}

/// A crate and its version, as peers are built of it.
pub(crate) fn of_crate(name: &str) -> Option<String> {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/Cargo.lock");
    locked(&fs::read_to_string(lock).ok()?, name)
}

fn locked(lock: &str, name: &str) -> Option<String> {
    let behind = lock.split_once(&format!("\nname = \"{name}\"\nversion = \""))?.1;
    Some(format!("{name} {}", behind.split_once('"')?.0))
}

/// One line of all.
pub(crate) fn note(versions: impl Iterator<Item = Option<String>>) -> Option<String> {
    let versions: Vec<String> = versions.flatten().collect();
    (!versions.is_empty()).then(|| format!("Measured: {}.", versions.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_found_by_its_whole_name() {
        let lock = "[[package]]\nname = \"hyper-util\"\nversion = \"0.1.2\"\n\n[[package]]\nname = \"hyper\"\nversion = \"1.2.3\"\n";
        assert_eq!(locked(lock, "hyper").unwrap(), "hyper 1.2.3");
        assert_eq!(locked(lock, "axum"), None);
    }

    #[test]
    fn every_peer_is_in_the_lock_file() {
        for name in ["hyper", "axum", "actix-web", "ntex", "xitca-web", "may_minihttp", "tokio", "pingora"] {
            assert!(of_crate(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_note_names_who_has_a_version() {
        assert_eq!(
            note([Some("a 1".into()), None, Some("b 2".into())].into_iter()).unwrap(),
            "Measured: a 1; b 2."
        );
        assert_eq!(note([None].into_iter()), None);
    }
}
