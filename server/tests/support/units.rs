//! Unit files, read as systemd reads them: sections of `key=value`, of which a key may come several times.

use crate::support::skipped;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A unit file that we ship.
pub struct Unit {
    pub path: PathBuf,
    pub text: String,
}

impl Unit {
    /// `file` of this package's `deploy` folder.
    pub fn of_package(file: &str) -> Unit {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file);
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Unit { path, text }
    }

    /// The values of a key, in order.
    pub fn values(&self, key: &str) -> Vec<&str> {
        let pairs = self.text.lines().filter_map(|line| line.split_once('='));
        pairs.filter(|(name, _)| *name == key).map(|(_, value)| value.trim()).collect()
    }

    /// The only value of a key.
    pub fn value(&self, key: &str) -> &str {
        let values = self.values(key);
        assert_eq!(values.len(), 1, "{}: {key}: {values:?}", self.path.display());
        values[0]
    }

    /// The command lines by which it runs this program, each as words without the path.
    pub fn commands(&self, program: &str) -> Vec<Vec<String>> {
        let path = format!("/usr/bin/{program}");
        let lines = ["ExecStart", "ExecReload"].into_iter().flat_map(|key| self.values(key));
        let words = lines.map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        words.filter(|words| words[0] == path).map(|words| words[1..].to_vec()).collect()
    }
}

/// What `systemd-analyze` says of these units, whose program is here and not where it will be installed. `None`: it isn't installed.
pub fn verify(units: &[&Unit], program: &str, binary: &str) -> Option<Output> {
    let folder = std::env::temp_dir().join(format!("corelane-units-{program}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder in the temporary directory");
    let mut paths = Vec::new();
    for unit in units {
        let path = folder.join(unit.path.file_name().expect("a file has a name"));
        std::fs::write(&path, unit.text.replace(&format!("/usr/bin/{program}"), binary)).expect("a file");
        paths.push(path);
    }
    let output = analyze(|command| command.args(["verify", "--man=no"]).args(&paths));
    std::fs::remove_dir_all(&folder).expect("it was just made");
    output
}

/// Whether it is exposed no more than this, in tenths, by systemd's own measure. `None`: it isn't installed.
pub fn is_exposed_at_most(unit: &Unit, tenths: u32) -> Option<Output> {
    let threshold = format!("--threshold={tenths}");
    analyze(|command| command.args(["security", "--offline=true", "--no-pager", &threshold]).arg(&unit.path))
}

fn analyze(args: impl FnOnce(&mut Command) -> &mut Command) -> Option<Output> {
    match args(&mut Command::new("systemd-analyze")).output() {
        Ok(output) => Some(output),
        Err(error) => {
            skipped(&format!("systemd-analyze: {error}"));
            None
        }
    }
}

/// A time as unit files and our options have it, in seconds.
pub fn seconds(text: &str) -> u64 {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: u64 = digits.parse().unwrap_or_else(|_| panic!("{text} is no time"));
    match &text[digits.len()..] {
        "s" | "" => number,
        "min" => number * 60,
        unit => panic!("{unit} in {text}"),
    }
}

/// What every service of ours is to have.
pub fn must_be_a_sandboxed_notifier(unit: &Unit) {
    assert_eq!(unit.value("Type"), "notify");
    assert_eq!(unit.value("Restart"), "on-failure");
    assert!(seconds(unit.value("WatchdogSec")) >= 2);
    assert_eq!(unit.value("DynamicUser"), "yes");
    assert_eq!(unit.value("MemoryDenyWriteExecute"), "yes");
    assert_eq!(unit.value("CapabilityBoundingSet"), "");
    let calls = unit.values("SystemCallFilter").join(" ");
    for call in ["io_uring_setup", "io_uring_enter", "io_uring_register", "sched_setaffinity"] {
        assert!(calls.split(' ').any(|allowed| allowed == call), "{call} is not allowed: {calls}");
    }
    assert!(unit.values("ReadWritePaths").is_empty());
    let exposed = is_exposed_at_most(unit, 15);
    assert!(exposed.as_ref().is_none_or(|output| output.status.success()), "{exposed:?}");
}
