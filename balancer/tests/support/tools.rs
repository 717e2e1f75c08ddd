//! Programs that others wrote and people have at hand: run to their end, with a bound. Those that aren't installed are skipped aloud.

use super::{PATIENCE, skipped};
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What a program that has ended said.
#[derive(Debug)]
pub struct Ended {
    /// `None`: it was killed by a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Is there such a program? If not, says so.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !is_there {
        skipped(&format!("{program} is not installed"));
    }
    is_there
}

/// Runs a program to its end.
pub fn run(program: &str, args: &[&str], stdin: &[u8]) -> Ended {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    let mut input = child.stdin.take().expect("stdin is a pipe");
    let stdin = stdin.to_vec();
    // It may end without having read everything.
    thread::spawn(move || drop(input.write_all(&stdin)));
    let stdout = collect(child.stdout.take().expect("stdout is a pipe"));
    let stderr = collect(child.stderr.take().expect("stderr is a pipe"));
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break status;
        }
        if start.elapsed() > PATIENCE {
            // It may have ended just now.
            let _ = child.kill();
            panic!("not within {PATIENCE:?}: {command:?}");
        }
        thread::sleep(Duration::from_millis(5));
    };
    let text = |from: thread::JoinHandle<String>| from.join().expect("a pipe is read");
    Ended { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// Runs curl, which must succeed; what it wrote. `None`: it isn't installed.
pub fn curl(args: &[&str], stdin: &[u8]) -> Option<String> {
    let ended = curl_as_it_ends(args, stdin)?;
    assert_eq!(ended.code, Some(0), "curl {args:?}: {ended:?}");
    Some(ended.stdout)
}

/// Runs curl. `None`: it isn't installed.
pub fn curl_as_it_ends(args: &[&str], stdin: &[u8]) -> Option<Ended> {
    let own = ["-q", "-sS", "--noproxy", "*", "--expect100-timeout", "30"];
    is_installed("curl").then(|| run("curl", &[&own, args].concat(), stdin))
}

fn collect(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is what there is to show.
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
