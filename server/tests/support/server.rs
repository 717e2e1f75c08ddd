//! The real binary as a child process: started with ports of the kernel's choice, and ended with its test.

use super::client::Client;
use super::metrics::Metrics;
use super::{PATIENCE, eventually};
use net::address::Address;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

/// What the tests are about.
pub const BINARY: &str = env!("CARGO_BIN_EXE_corelane-server");

/// A server that runs.
pub struct Server {
    child: Child,
    /// The block that it printed at start.
    pub block: String,
    listening: Vec<Address>,
    admin: Option<Address>,
    log: Arc<Mutex<String>>,
}

/// A server that has ended, or never began.
pub struct Ended {
    /// Its exit code; `None` if a signal killed it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Server {
    /// Starts it with these options, on ports of the kernel's choice unless they say otherwise.
    pub fn start(engine: &str, options: &[&str]) -> Server {
        Server::started_by(command(), engine, options)
    }

    /// One lane.
    pub fn with_one_lane(engine: &str, options: &[&str]) -> Server {
        let core = super::one_core();
        Server::start(engine, &[&["--cores", &core], options].concat())
    }

    /// Starts it by way of `command`, which must end up as the server itself.
    pub fn started_by(mut command: Command, engine: &str, options: &[&str]) -> Server {
        command.args(["--engine", engine]).args(options);
        for port in ["--listen", "--admin"] {
            if !options.contains(&port) {
                command.args([port, "127.0.0.1:0"]);
            }
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let log = Arc::new(Mutex::new(String::new()));
        collect(child.stderr.take().expect("stderr is a pipe"), log.clone());
        let block = start_block(&mut child, &log);
        let server = Server { child, listening: Vec::new(), admin: None, block, log };
        server.with_addresses()
    }

    fn with_addresses(mut self) -> Server {
        let line = |name: &str| {
            let found = self.block.lines().find_map(|line| line.trim().strip_prefix(name));
            found
                .unwrap_or_else(|| panic!("no `{name}` in the start block:\n{}", self.block))
                .trim()
                .to_owned()
        };
        let address = |text: &str| text.parse::<Address>().expect("the start block shows addresses");
        let (listening, admin) = (line("listening"), line("admin"));
        self.listening = listening.split(' ').map(address).collect();
        self.admin = (admin != "off").then(|| address(&admin));
        self
    }

    /// The first address that it serves on.
    pub fn address(&self) -> &Address {
        &self.listening[0]
    }

    /// Every address that it serves on.
    pub fn listening(&self) -> &[Address] {
        &self.listening
    }

    /// Where its metrics are.
    pub fn admin(&self) -> &Address {
        self.admin.as_ref().expect("the admin port is on")
    }

    pub fn has_admin(&self) -> bool {
        self.admin.is_some()
    }

    /// A new connection.
    pub fn connect(&self) -> Client {
        Client::connect(self.address()).expect("it accepts")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, as an operator would.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let kill = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid]).status().expect("sh");
        assert!(kill.success(), "kill -s {name} {pid}");
    }

    /// Sends SIGTERM, and waits until it says that it drains.
    pub fn drain(&self) {
        self.signal("TERM");
        eventually("it drains", || self.log().contains("draining"));
    }

    /// Waits until it has read so many bytes in all: what was sent may still be on its way.
    pub fn must_have_read(&self, bytes: usize) {
        let received = || Metrics::of(self).sum("corelane_engine_received_bytes_total", &[]);
        eventually("it has read what was sent", || received() >= bytes as f64);
    }

    /// What it wrote to stderr so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// Its exit code, once it ends by itself.
    pub fn exit_code(&mut self) -> Option<i32> {
        wait(&mut self.child, &self.log).code()
    }

    /// Bytes of memory that are its own: written, and shared with nobody.
    pub fn own_bytes(&self) -> u64 {
        let path = format!("/proc/{}/smaps_rollup", self.pid());
        let rollup = std::fs::read_to_string(path).expect("/proc tells what a child uses");
        let line =
            rollup.lines().find_map(|line| line.strip_prefix("Private_Dirty:")).expect("Private_Dirty");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("kB") * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the server wrote:\n{}", self.log());
        }
    }
}

impl Ended {
    /// What it complained of: stderr without the log's lines, which begin with a date.
    pub fn complaint(&self) -> Vec<&str> {
        self.stderr.lines().filter(|line| !line.starts_with("20")).collect()
    }
}

/// Runs the binary to its end: for what it refuses, and for `--check` and `--help`.
pub fn run_to_the_end(command: &mut Command) -> Ended {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let (stdout, stderr) = (Arc::default(), Arc::default());
    let readers = [
        collect(child.stdout.take().expect("stdout is a pipe"), Arc::clone(&stdout)),
        collect(child.stderr.take().expect("stderr is a pipe"), Arc::clone(&stderr)),
    ];
    let code = wait(&mut child, &stderr).code();
    for reader in readers {
        reader.join().expect("a pipe that ends");
    }
    let text = |shared: &Mutex<String>| shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ended { code, stdout: text(&stdout), stderr: text(&stderr) }
}

/// The binary, with no options from the environment.
pub fn command() -> Command {
    without_variables(Command::new(BINARY))
}

/// The binary under a shell that first does `setup`, as in `ulimit -n 64`.
pub fn command_after(setup: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{setup} && exec \"$0\" \"$@\""), BINARY]);
    without_variables(shell)
}

/// A file that is gone when the test is over.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        Scratch(super::scratch(name))
    }

    pub fn with(name: &str, text: &str) -> Scratch {
        let scratch = Scratch::new(name);
        std::fs::write(&scratch.0, text).expect("a temporary file can be written");
        scratch
    }

    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("a path of ours is text")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The server may have removed it.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn without_variables(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CORELANE_")) {
        command.env_remove(name);
    }
    command
}

/// Reads stdout until the block is whole, and goes on reading so that the pipe never fills.
fn start_block(child: &mut Child, log: &Arc<Mutex<String>>) -> String {
    let stdout = child.stdout.take().expect("stdout is a pipe");
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    let mut block = String::new();
    while !block.contains("  memory ") {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => block.push_str(&(line + "\n")),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                let log = log.lock().unwrap_or_else(PoisonError::into_inner);
                panic!("no whole start block ({error}): {block}{log}");
            }
        }
    }
    block
}

fn collect(mut pipe: impl Read + Send + 'static, into: Arc<Mutex<String>>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut piece) {
            let text = String::from_utf8_lossy(&piece[..count]);
            into.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
        }
    })
}

fn wait(child: &mut Child, log: &Mutex<String>) -> ExitStatus {
    let start = std::time::Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return status;
        }
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            panic!(
                "it did not end within {PATIENCE:?}: {}",
                log.lock().unwrap_or_else(PoisonError::into_inner)
            );
        }
        thread::sleep(std::time::Duration::from_millis(5));
    }
}
