//! What a number needs beside it: the command, the commit, the machine, the versions.

use std::fs;
use std::process::Command;
use std::thread;

/// The facts of one run, gathered once.
#[derive(Debug)]
pub(crate) struct Machine {
    /// Name and value, in the order to print them.
    pub(crate) facts: Vec<(&'static str, String)>,
    pub(crate) host: String,
    pub(crate) date: String,
}

impl Machine {
    /// Asks the kernel, git and rustc; what they don't answer is `unknown`.
    pub(crate) fn ask() -> Self {
        let host = read("/proc/sys/kernel/hostname");
        let date = output("date", &["-u", "+%F"]);
        let facts = vec![
            ("command", command_line()),
            ("date", output("date", &["-u", "+%FT%TZ"])),
            ("commit", commit()),
            ("cpu", cpu_model()),
            ("cores", thread::available_parallelism().map_or("unknown".into(), |cores| cores.to_string())),
            ("kernel", read("/proc/sys/kernel/osrelease")),
            ("io_uring_disabled", read("/proc/sys/kernel/io_uring_disabled")),
            ("rustc", output("rustc", &["--version"])),
            ("load average at start", read("/proc/loadavg")),
        ];
        Self { facts, host, date }
    }
}

/// As it was typed, without the directory of the program: that says where it was built, not what it did.
fn command_line() -> String {
    let arguments = std::env::args().skip(1);
    std::iter::once("bench".to_owned()).chain(arguments).collect::<Vec<_>>().join(" ")
}

fn commit() -> String {
    let bench = env!("CARGO_MANIFEST_DIR");
    let hash = output("git", &["-C", bench, "rev-parse", "--short=12", "HEAD"]);
    // Also before the first commit, when there is no hash to give.
    match output("git", &["-C", bench, "status", "--porcelain", "--", ":/"]).as_str() {
        "" => hash,
        _ => format!("{hash} with changes"),
    }
}

fn cpu_model() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':')).map_or("unknown".into(), |(_, name)| name.trim().into())
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or("unknown".into(), |text| text.trim().into())
}

fn output(program: &str, arguments: &[&str]) -> String {
    match Command::new(program).args(arguments).output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().into(),
        _ => "unknown".into(),
    }
}
