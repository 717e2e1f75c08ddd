//! Which proxies are compared: a table. A new one is a row here, and a `Kind` if it is a program of a new sort.
//!
//! In: the core and the backend's address. Out: a running proxy, set to what the others are set to: one lane, keep-alive
//! on both sides, X-Forwarded-For, no access log.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use net::address::Address;

use crate::failure::Failure;
use crate::field::{self, Candidate, Field, Server};
use crate::nginx;

/// What sort of program it is, with what sets it apart from others of its sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Floor { which: &'static str },
    Ours { engine: &'static str },
    Nginx,
    Haproxy,
}

/// One row of the table.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// The row that costs no more than the kernel does.
pub(super) const FLOOR: &str = "floor-uring";

/// Everyone, in the order of the result.
pub(super) const PROXIES: &[Proxy] = &[
    Proxy { name: FLOOR, kind: Kind::Floor { which: "ring" } },
    Proxy { name: "floor-epoll", kind: Kind::Floor { which: "epoll" } },
    Proxy { name: "ours-uring", kind: Kind::Ours { engine: "uring" } },
    Proxy { name: "ours-epoll", kind: Kind::Ours { engine: "epoll" } },
    Proxy { name: "nginx", kind: Kind::Nginx },
    Proxy { name: "haproxy", kind: Kind::Haproxy },
];

/// Enough for the idle connections of a run, and few enough for HAProxy to have two descriptors for each where 20,000
/// are allowed.
const HAPROXY_CONNECTIONS: u32 = 8192;

/// Those that were asked for and can be run here.
pub(super) fn select(only: &[String]) -> Result<Field<Proxy>, Failure> {
    field::select(&PROXIES.iter().collect::<Vec<_>>(), only)
}

impl Candidate for Proxy {
    fn name(&self) -> &'static str {
        self.name
    }

    fn program(&self) -> Result<PathBuf, Failure> {
        match self.kind {
            Kind::Floor { .. } => Ok(std::env::current_exe()?),
            Kind::Ours { .. } => field::built("corelane-balancer", "cargo build --release -p balancer"),
            Kind::Nginx => field::installed("nginx", "nginx-light"),
            Kind::Haproxy => field::installed("haproxy", "haproxy"),
        }
    }
}

impl Proxy {
    /// One that others are measured against, which nobody would use.
    pub(super) fn is_floor(&self) -> bool {
        matches!(self.kind, Kind::Floor { .. })
    }

    pub(super) fn is_ours(&self) -> bool {
        matches!(self.kind, Kind::Ours { .. })
    }

    /// One that others use today.
    pub(super) fn is_peer(&self) -> bool {
        matches!(self.kind, Kind::Nginx | Kind::Haproxy)
    }

    /// The line in which a peer says which one it is.
    pub(super) fn version(&self) -> Option<String> {
        if !self.is_peer() {
            return None;
        }
        let output = Command::new(self.program().ok()?).arg("-v").output().ok()?;
        // nginx says it on stderr.
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        text.lines().map(str::trim).find(|line| !line.is_empty()).map(String::from)
    }

    /// Starts it, alone on its core, in front of the backend.
    pub(super) fn start(&self, core: usize, backend: &Address) -> Result<Server, Failure> {
        let core = core.to_string();
        field::start(&self.program()?, &core, |listen, directory| {
            self.arguments(listen, directory, &core, backend)
        })
    }

    fn arguments(
        &self,
        listen: SocketAddr,
        directory: &Path,
        core: &str,
        backend: &Address,
    ) -> Result<Vec<String>, Failure> {
        let (address, to) = (listen.to_string(), backend.to_string());
        let line = match self.kind {
            Kind::Floor { which } => {
                vec!["floor", which, "--listen", &address, "--core", core, "--forward-to", &to]
            }
            Kind::Ours { engine } => {
                let server = ["--listen", &address, "--server", &to];
                [&server[..], &["--cores", core, "--engine", engine, "--admin", "none"]].concat()
            }
            Kind::Nginx => {
                let task = nginx::Task { above: &nginx_upstream(&to), location: NGINX_LOCATION };
                return nginx::arguments(listen, directory, &task);
            }
            Kind::Haproxy => {
                let file = directory.join("haproxy.cfg");
                fs::write(&file, haproxy_configuration(listen, backend))?;
                return Ok(["-db", "-f", &file.display().to_string()].map(String::from).to_vec());
            }
        };
        Ok(line.into_iter().map(String::from).collect())
    }
}

fn nginx_upstream(backend: &str) -> String {
    format!(
        "upstream backend {{
        server {backend};
        keepalive 128;
        keepalive_requests 1000000000;
        keepalive_timeout 1h;
    }}"
    )
}

const NGINX_LOCATION: &str = "proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";

fn haproxy_configuration(listen: SocketAddr, backend: &Address) -> String {
    let server = match backend {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(path) => format!("unix@{}", path.display()),
    };
    format!(
        "global
    nbthread 1
    maxconn {HAPROXY_CONNECTIONS}
defaults
    mode http
    no log
    option http-keep-alive
    option forwardfor
    http-reuse always
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive 1h
frontend front
    bind {listen} backlog 4096
    default_backend back
backend back
    server s {server}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::TempDir;

    fn line(name: &str, backend: &str) -> String {
        let directory = TempDir::new().unwrap();
        let proxy = PROXIES.iter().find(|proxy| proxy.name == name).unwrap();
        let listen = "127.0.0.1:80".parse().unwrap();
        let arguments = proxy.arguments(listen, directory.path(), "0", &backend.parse().unwrap()).unwrap();
        let files = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
        let texts: String = files.map(|file| fs::read_to_string(file).unwrap()).collect();
        arguments.join(" ") + "\n" + &texts
    }

    #[test]
    fn ours_is_started_as_its_users_start_it() {
        assert_eq!(
            line("ours-epoll", "127.0.0.1:5000").trim(),
            "--listen 127.0.0.1:80 --server 127.0.0.1:5000 --cores 0 --engine epoll --admin none"
        );
    }

    #[test]
    fn every_proxy_is_pointed_at_a_unix_socket_in_its_own_words() {
        for (name, words) in [
            ("floor-uring", "--forward-to unix:/s"),
            ("ours-uring", "--server unix:/s"),
            ("nginx", "server unix:/s;"),
            ("haproxy", "server s unix@/s\n"),
        ] {
            assert!(line(name, "unix:/s").contains(words), "{name}");
        }
    }

    #[test]
    fn the_peers_do_what_ours_does() {
        let nginx = line("nginx", "127.0.0.1:5000");
        for words in
            ["keepalive 128;", "worker_processes 1;", "access_log off;", "X-Forwarded-For", "Connection \"\""]
        {
            assert!(nginx.contains(words), "{words}");
        }
        let haproxy = line("haproxy", "127.0.0.1:5000");
        for words in
            ["nbthread 1", "http-reuse always", "no log", "option forwardfor", "option http-keep-alive"]
        {
            assert!(haproxy.contains(words), "{words}");
        }
    }

    #[test]
    fn names_are_unique_and_everyone_is_of_one_sort() {
        for (at, proxy) in PROXIES.iter().enumerate() {
            assert!(PROXIES[..at].iter().all(|other| other.name != proxy.name));
            let sorts = [proxy.is_floor(), proxy.is_ours(), proxy.is_peer()];
            assert_eq!(sorts.into_iter().filter(|&is| is).count(), 1, "{}", proxy.name);
        }
    }
}
