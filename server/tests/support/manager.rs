//! The service manager's part, as systemd plays it: a socket that it is told on, sockets that it holds, processes that follow each other.

use crate::support::{PATIENCE, eventually, skipped};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use socket2::{Domain, Socket, Type};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Where a service says how it is.
pub struct Manager {
    path: PathBuf,
    told: Arc<Mutex<Vec<String>>>,
}

impl Manager {
    pub fn new() -> Manager {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("corelane-notify-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let socket = UnixDatagram::bind(&path).expect("a socket in the temporary directory");
        let told = Arc::<Mutex<Vec<String>>>::default();
        let into = told.clone();
        thread::spawn(move || {
            let mut datagram = [0; 4096];
            while let Ok(len) = socket.recv(&mut datagram) {
                let text = String::from_utf8_lossy(&datagram[..len]).into_owned();
                let mut told = into.lock().unwrap_or_else(PoisonError::into_inner);
                told.extend(text.lines().map(str::to_owned));
            }
        });
        Manager { path, told }
    }

    /// Has `command` tell this one. A watchdog that is wanted, in µs.
    pub fn listen_to(&self, command: &mut Command, watchdog: Option<u64>) {
        command.env("NOTIFY_SOCKET", &self.path);
        if let Some(period) = watchdog {
            command.env("WATCHDOG_USEC", period.to_string());
        }
    }

    /// Every line, in order.
    pub fn told(&self) -> Vec<String> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn count(&self, line: &str) -> usize {
        self.told().iter().filter(|told| *told == line).count()
    }

    /// The first line that begins so, waiting for it.
    pub fn line(&self, start: &str) -> String {
        let mut found = None;
        eventually(&format!("it says {start}"), || {
            found = self.told().into_iter().find(|line| line.starts_with(start));
            found.is_some()
        });
        found.expect("it was just found")
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// So many listening sockets on one address of the kernel's choice, as `ReusePort=` makes them.
pub fn listening(count: usize) -> (Vec<Socket>, SocketAddr) {
    let mut address = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut sockets = Vec::new();
    for _ in 0..count {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_reuse_port(true).expect("SO_REUSEPORT");
        socket.bind(&address.into()).expect("the kernel has a port");
        socket.listen(1024).expect("it listens");
        address = socket.local_addr().ok().and_then(|bound| bound.as_socket()).expect("it is bound");
        sockets.push(socket);
    }
    (sockets, address)
}

/// Starts `binary` with these sockets from number 3 on, as sd_listen_fds(3) has it. `None`: there is no bash to do it with. To be kept until
/// the process is started: the descriptors that it gets.
pub fn activated(binary: &str, sockets: &[Socket]) -> Option<(Command, Vec<OwnedFd>)> {
    if !std::path::Path::new("/bin/bash").exists() {
        skipped("there is no bash, which can number descriptors");
        return None;
    }
    let inheritable = |socket: &Socket| {
        // Above all that the script names.
        let fd = fcntl_dupfd_cloexec(socket, 100).expect("a descriptor");
        fcntl_setfd(&fd, FdFlags::empty()).expect("a flag");
        fd
    };
    let passed: Vec<OwnedFd> = sockets.iter().map(inheritable).collect();
    let mut script = String::new();
    for (n, fd) in passed.iter().enumerate() {
        script += &format!("exec {}<&{fd} {fd}<&-; ", n + 3, fd = fd.as_raw_fd());
    }
    script += &format!("LISTEN_PID=$$ LISTEN_FDS={} exec \"$0\" \"$@\"", passed.len());
    let mut command = Command::new("/bin/bash");
    command.args(["-c", &script, binary]);
    Some((command, passed))
}

/// A process that a process of ours started. It is killed when this is dropped.
pub struct Stray(pub u32);

impl Stray {
    pub fn signal(&self, name: &str) {
        let sent = Command::new("/bin/sh").args(["-c", &format!("kill -s {name} {}", self.0)]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -s {name} {}", self.0);
    }

    /// Not there, or nothing but its exit code.
    pub fn has_ended(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with(['Z', 'X']))
    }
}

impl Drop for Stray {
    fn drop(&mut self) {
        let _ =
            Command::new("/bin/sh").args(["-c", &format!("kill -s KILL {} 2>/dev/null", self.0)]).status();
    }
}

/// The processes to which the service was handed over so far, by what the service logs.
pub fn successors(log: &str) -> Vec<u32> {
    let lines = log.lines().filter(|line| line.contains("another process serves now"));
    lines.filter_map(|line| line.split("process=").nth(1)?.trim().parse().ok()).collect()
}

/// Asks `process` to hand over, and waits until it has. `log`: what the service logs.
pub fn hand_over(process: &Stray, log: impl Fn() -> String) -> Stray {
    let before = successors(&log()).len();
    process.signal("USR2");
    let start = std::time::Instant::now();
    loop {
        if let Some(&next) = successors(&log()).get(before) {
            return Stray(next);
        }
        assert!(start.elapsed() < PATIENCE, "nobody takes over: {}", log());
        thread::sleep(std::time::Duration::from_millis(5));
    }
}
