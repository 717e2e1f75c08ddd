//! The real binary as a child process, as a user meets it: arguments in; text and an exit code out.

use super::PATIENCE;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What the tests are about.
pub const BINARY: &str = env!("CARGO_BIN_EXE_corelane-loadgen");

/// A binary that has ended.
pub struct Ended {
    /// Its exit code; `None` if a signal killed it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// The one line that it complained with, and nothing else on either side.
    pub fn complaint(&self) -> &str {
        assert_eq!(self.stdout, "", "nothing to report: {}", self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "one line: {}", self.stderr);
        self.stderr.strip_prefix("corelane-loadgen: ").expect("it says who complains").trim_end()
    }

    /// A panic would be exit code 101 with a message.
    pub fn must_not_have_panicked(&self) {
        assert!(self.code != Some(101) && !self.stderr.contains("panicked"), "{}", self.stderr);
    }
}

/// The binary, with no options from the environment.
pub fn command() -> Command {
    without_variables(Command::new(BINARY))
}

/// As `command` does without what a user may have set.
pub fn without_variables(mut command: Command) -> Command {
    let ours = |name: &std::ffi::OsString| {
        let name = name.to_string_lossy();
        name.starts_with("CORELANE_") || name == "NO_COLOR"
    };
    for (name, _) in std::env::vars_os().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    command
}

/// Runs it to its end.
pub fn tool(args: &[&str]) -> Ended {
    run(command().args(args))
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ended {
    start(command).wait()
}

/// Starts it.
pub fn start(command: &mut Command) -> Running {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("it starts");
    let (stdout, stderr) = (Arc::default(), Arc::default());
    let readers = vec![
        collect(child.stdout.take().expect("stdout is a pipe"), Arc::clone(&stdout)),
        collect(child.stderr.take().expect("stderr is a pipe"), Arc::clone(&stderr)),
    ];
    Running { child, stdout, stderr, readers }
}

/// One that runs; it is killed when this is dropped.
pub struct Running {
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    readers: Vec<thread::JoinHandle<()>>,
}

impl Running {
    /// Sends a signal, as a shell would.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let kill = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid]).status().expect("sh");
        assert!(kill.success(), "kill -s {name} {pid}");
    }

    /// Whether SIGINT would reach its handler, and not end it.
    pub fn catches_signals(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
        // proc(5): a mask in which SIGINT, number 2, is the second bit.
        caught & 0b10 != 0
    }

    /// What it wrote to stderr so far.
    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self) -> Ended {
        let code = wait(&mut self.child, &self.stderr).code();
        for reader in self.readers.drain(..) {
            reader.join().expect("a pipe that ends");
        }
        Ended { code, stdout: text(&self.stdout), stderr: text(&self.stderr) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(shared: &Mutex<String>) -> String {
    shared.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn collect(mut pipe: impl Read + Send + 'static, into: Arc<Mutex<String>>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut piece) {
            bytes.extend_from_slice(&piece[..count]);
            // From the whole, as a piece may end inside of a character.
            let text = String::from_utf8_lossy(&bytes).into_owned();
            *into.lock().unwrap_or_else(PoisonError::into_inner) = text;
        }
    })
}

/// The exit status of a child that must end by itself; one that doesn't is killed, and fails the test.
pub fn wait(child: &mut Child, stderr: &Mutex<String>) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return status;
        }
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            panic!("it did not end within {PATIENCE:?}: {}", text(stderr));
        }
        thread::sleep(Duration::from_millis(5));
    }
}
