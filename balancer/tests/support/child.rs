//! The balancer and servers as processes: started on ports that the kernel chooses, read, signalled, ended.

use super::{PATIENCE, eventually};
use net::engine::Engine;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// What the tests are about.
pub const BINARY: &str = env!("CARGO_BIN_EXE_corelane-balancer");

/// A process that prints where it listens, and goes on. It is killed when this is dropped.
pub struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Running {
    pub fn start(mut command: Command) -> Running {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CORELANE_") {
                command.env_remove(name);
            }
        }
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        let said = Arc::default();
        collect(child.stdout.take().expect("stdout is a pipe"), Arc::clone(&said));
        collect(child.stderr.take().expect("stderr is a pipe"), Arc::clone(&said));
        Running { child, said }
    }

    /// All that it has printed.
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The value of a line of the start block, waiting for it.
    fn line(&self, name: &str) -> String {
        let start = format!("  {name} ");
        let mut found = None;
        eventually(&format!("{name} is said"), || {
            found = self.said().lines().find_map(|l| Some(l.strip_prefix(&start)?.trim().to_owned()));
            found.is_some()
        });
        found.expect("it was just found")
    }

    /// Its process number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let done = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(done.is_ok_and(|status| status.success()), "kill -{name} {pid}");
    }

    /// How it ended, waiting for it.
    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "it does not end: {}", self.said());
            thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Its memory in bytes, without what is mapped from files: those pages are the machine's.
    pub fn own_bytes(&self) -> usize {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("/proc tells what a child uses");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("kB") * 1024
    }

    /// Has it ended by itself?
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(from: impl Read + Send + 'static, into: Arc<Mutex<String>>) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut said = into.lock().unwrap_or_else(PoisonError::into_inner);
            said.push_str(&line);
            said.push('\n');
        }
    });
}

/// The engine that works everywhere, or the only one of this build; which one a backend has is not what is tested.
fn everywhere() -> &'static str {
    let engine = Engine::ALL.iter().find(|engine| engine.name().ends_with("epoll"));
    engine.or(Engine::ALL.first()).expect("a build has an engine").name()
}

/// The `/add` server as a process of its own.
pub struct Backend {
    pub running: Running,
    pub address: String,
}

impl Backend {
    pub fn start() -> Backend {
        Backend::at("127.0.0.1:0")
    }

    pub fn at(address: &str) -> Backend {
        let mut command = Command::new(example("backend"));
        command.args(["--listen", address, "--admin", "off", "--cores", "0", "--engine", everywhere()]);
        let running = Running::start(command);
        let address = running.line("listening");
        Backend { running, address }
    }

    /// Another process at the same address.
    pub fn again(&mut self) {
        let address = self.address.clone();
        *self = Backend::at(&address);
    }
}

/// An example of this package: built together with its tests.
fn example(name: &str) -> PathBuf {
    let directory = PathBuf::from(BINARY);
    let path = directory.parent().expect("a binary lies in a directory").join("examples").join(name);
    assert!(path.exists(), "{} isn't built: run all tests of the package", path.display());
    path
}

/// The balancer.
pub struct Balancer {
    pub running: Running,
    /// Where clients connect, in the order of its listeners.
    pub addresses: Vec<String>,
    pub admin: String,
}

impl Balancer {
    pub fn start(args: &[&str]) -> Balancer {
        let mut command = Command::new(BINARY);
        command.args(args);
        Balancer::by(command)
    }

    /// By way of `command`, which must end up as the balancer itself.
    pub fn by(mut command: Command) -> Balancer {
        command.args(["--admin", "127.0.0.1:0"]);
        let running = Running::start(command);
        let addresses = running.line("listening").split(' ').map(str::to_owned).collect();
        let admin = running.line("admin");
        Balancer { running, addresses, admin }
    }

    /// In front of these, by flags.
    pub fn of(engine: &str, servers: &[&Backend], args: &[&str]) -> Balancer {
        let servers: Vec<&str> = servers.iter().flat_map(|server| ["--server", &server.address]).collect();
        let own = ["--engine", engine, "--listen", "127.0.0.1:0"];
        Balancer::start(&[&own, &servers[..], args].concat())
    }

    pub fn address(&self) -> &str {
        &self.addresses[0]
    }

    /// One of its commands, asked of this one.
    pub fn ask(&self, args: &[&str]) -> Output {
        let asked = Command::new(BINARY).args(args).args(["--admin", &self.admin]).output();
        asked.expect("the command runs")
    }

    /// The list of its servers.
    pub fn servers(&self) -> Vec<serde_json::Value> {
        let output = self.ask(&["servers", "--json"]);
        let list: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
        list["servers"].as_array().expect("a list").clone()
    }

    /// The state of the server at this address.
    pub fn state(&self, address: &str) -> String {
        self.word(address, "state")
    }

    /// Its name.
    pub fn named(&self, address: &str) -> String {
        self.word(address, "name")
    }

    fn word(&self, address: &str, member: &str) -> String {
        let servers = self.servers();
        let server = servers.iter().find(|server| server["address"] == address).expect("it is listed");
        server[member].as_str().expect("a word").to_owned()
    }
}
