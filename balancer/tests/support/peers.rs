//! nginx and HAProxy as processes, each in a folder of its own, with a configuration that a test gives.
//!
//! As servers they listen on a Unix socket, for which nobody has to find a port. In front of us they need one: it is taken from the
//! kernel and given back just before, and another is tried if somebody was faster.

use super::child::Running;
use super::tools::is_installed;
use super::{PATIENCE, Scratch};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How often another port is tried.
const ATTEMPTS: usize = 5;

/// A program by others that runs; it is killed when this is dropped.
pub struct Peer {
    pub running: Running,
    /// Where it listens, as the balancer's `--server` takes it.
    pub address: String,
    folder: Scratch,
}

/// Where one is to listen.
#[derive(Clone, Copy)]
pub enum At {
    Socket,
    Port,
    /// Of IPv6.
    Port6,
}

impl Peer {
    /// nginx with these directives in its `server`, and these before it. `None`, said aloud, if it isn't installed.
    pub fn nginx(at: At, before: &str, inside: &str) -> Option<Peer> {
        let configuration = |folder: &str, listen: &str| {
            let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
            let paths: String =
                kinds.iter().map(|kind| format!("{kind}_temp_path {folder}/{kind};\n")).collect();
            format!(
                "daemon off; master_process off; pid {folder}/pid;\nevents {{}}\nhttp {{ access_log off; sendfile on;\n\
                 {paths}{before}\nserver {{ listen {listen}; root {folder};\n{inside} }} }}\n"
            )
        };
        Peer::start("nginx", at, "unix:", &["-e", "errors", "-c"], &configuration)
    }

    /// HAProxy with these lines in its one `frontend`, and these sections behind it.
    pub fn haproxy(at: At, inside: &str, behind: &str) -> Option<Peer> {
        let configuration = |_: &str, listen: &str| {
            let times: String = ["client", "server", "connect", "http-request", "http-keep-alive"]
                .iter()
                .map(|kind| format!("  timeout {kind} 60s\n"))
                .collect();
            format!("defaults\n  mode http\n{times}frontend in\n  bind {listen}\n{inside}\n{behind}\n")
        };
        Peer::start("haproxy", at, "unix@", &["-db", "-q", "-f"], &configuration)
    }

    fn start(
        program: &str,
        at: At,
        unix: &str,
        args: &[&str],
        configuration: &dyn Fn(&str, &str) -> String,
    ) -> Option<Peer> {
        if !is_installed(program) {
            return None;
        }
        let folder = Scratch::new(program);
        std::fs::create_dir(&folder.0).expect("a temporary directory can be made");
        let path = folder.as_str().to_owned();
        let mut said = String::new();
        for _ in 0..ATTEMPTS {
            let (listen, address) = match at {
                At::Socket => (format!("{unix}{path}/socket"), format!("unix:{path}/socket")),
                At::Port => twice(free_port(own_ip().into())),
                At::Port6 => twice(free_port(Ipv6Addr::LOCALHOST.into())),
            };
            std::fs::write(folder.0.join("conf"), configuration(&path, &listen)).expect("it can be written");
            let mut command = Command::new(program);
            command.args(args).arg(folder.0.join("conf")).current_dir(&folder.0);
            if program == "nginx" {
                command.args(["-p", &path]);
            }
            let mut running = Running::start(command);
            if comes_up(&mut running, &address) {
                return Some(Peer { running, address, folder });
            }
            let errors = std::fs::read_to_string(folder.0.join("errors")).unwrap_or_default();
            said = format!("{}{errors}", running.said());
        }
        let _ = std::fs::remove_dir_all(&folder.0);
        panic!("{program} does not start: {said}");
    }

    /// Writes a file that it may serve.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.folder.0.join(name), bytes).expect("a temporary file can be written");
    }

    /// Reads a file that it may have written.
    pub fn get(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.0.join(name)).unwrap_or_default()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // As long as it runs, it may write into its folder.
        if !self.running.has_ended() {
            self.running.signal("KILL");
            self.running.wait();
        }
        // What can't be removed is left to the temporary directory.
        let _ = std::fs::remove_dir_all(&self.folder.0);
    }
}

/// Is it there? Not if it has ended.
fn comes_up(running: &mut Running, address: &str) -> bool {
    let start = Instant::now();
    while !running.has_ended() {
        let is_there = match address.strip_prefix("unix:") {
            Some(path) => UnixStream::connect(Path::new(path)).is_ok(),
            None => TcpStream::connect(address).is_ok(),
        };
        if is_there {
            return true;
        }
        assert!(start.elapsed() < PATIENCE, "it neither listens nor ends: {}", running.said());
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// A port that nobody uses now.
fn free_port(ip: IpAddr) -> String {
    let listener = TcpListener::bind((ip, 0)).expect("a port is free");
    listener.local_addr().expect("it is bound").to_string()
}

/// A loopback address of this process' own: others that ask for any port don't get one here.
fn own_ip() -> Ipv4Addr {
    let [.., a, b, c] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, a | 1, b, c.clamp(1, 254))
}

fn twice(text: String) -> (String, String) {
    (text.clone(), text)
}
