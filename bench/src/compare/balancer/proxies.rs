//! Which proxies are compared: a table. A new one is a row here, and a `Kind` if it is a program of a new sort.
//!
//! In: the core and the backend's address. Out: a running proxy, set to what the others are set to: one lane, keep-alive
//! on both sides, X-Forwarded-For, no access log.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use net::address::Address;
use net::engine::Engine;

use crate::failure::Failure;
use crate::field::{self, Candidate, Field, Server};
use crate::results::{Row, Sort};
use crate::{haproxy, nginx, versions};

/// What sort of program it is, with what sets it apart from others of its sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Floor { which: &'static str },
    Ours { engine: &'static str },
    Nginx,
    Haproxy,
    Pingora,
}

/// One row of the table.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// The row that costs no more than the kernel does.
pub(crate) const FLOOR: &str = "floor-uring";

/// Everyone, in the order of the result; ours once for each engine that is compiled in.
pub(super) static PROXIES: LazyLock<Vec<Proxy>> = LazyLock::new(|| {
    let row = |name: &str, kind| Proxy { name: name.to_owned(), kind };
    let mut all =
        vec![row(FLOOR, Kind::Floor { which: "ring" }), row("floor-epoll", Kind::Floor { which: "epoll" })];
    let engines = Engine::ALL.iter().map(|engine| engine.name());
    all.extend(engines.map(|engine| row(&format!("ours-{engine}"), Kind::Ours { engine })));
    all.extend([row("nginx", Kind::Nginx), row("haproxy", Kind::Haproxy), row("pingora", Kind::Pingora)]);
    all
});

/// Those that were asked for and can be run here.
pub(super) fn select(only: &[String]) -> Result<Field<Proxy>, Failure> {
    field::select(&PROXIES.iter().collect::<Vec<_>>(), only)
}

impl Candidate for Proxy {
    fn name(&self) -> &str {
        &self.name
    }

    fn program(&self) -> Result<PathBuf, Failure> {
        match self.kind {
            Kind::Floor { .. } => Ok(std::env::current_exe()?),
            Kind::Ours { .. } => field::built("corelane-balancer", "cargo build --release -p balancer"),
            Kind::Nginx => field::installed("nginx", "nginx-light"),
            Kind::Haproxy => field::installed("haproxy", "haproxy"),
            // Not among those that are built by default, because it needs cmake.
            Kind::Pingora => field::built(
                "peer-pingora",
                "apt-get install cmake && cargo build --release --manifest-path bench/peers/Cargo.toml -p peer-pingora",
            ),
        }
    }
}

impl Proxy {
    pub(super) fn sort(&self) -> Sort {
        match self.kind {
            Kind::Floor { .. } => Sort::Floor,
            Kind::Ours { .. } => Sort::Ours,
            Kind::Nginx | Kind::Haproxy | Kind::Pingora => Sort::Peer,
        }
    }

    /// The floor and what people use; of the others, CPU over TCP says enough for the time it takes.
    pub(super) fn is_in_everything(&self) -> bool {
        match self.kind {
            Kind::Floor { which } => which == "ring",
            Kind::Ours { engine } => matches!(engine, "uring" | "epoll"),
            Kind::Nginx | Kind::Haproxy | Kind::Pingora => true,
        }
    }

    /// A row of results, still empty.
    pub(super) fn row(&self, case: impl Into<String>) -> Row {
        Row {
            contender: self.name.clone(),
            sort: self.sort(),
            case: case.into(),
            floor: Some(FLOOR.to_owned()),
            command: String::new(),
            rounds: [].into(),
        }
    }

    /// Which one it is; `None` for what this repository has built.
    pub(super) fn version(&self) -> Option<String> {
        match self.kind {
            Kind::Floor { .. } | Kind::Ours { .. } => None,
            Kind::Nginx | Kind::Haproxy => versions::of_program(&self.program().ok()?),
            Kind::Pingora => versions::of_crate(&self.name),
        }
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
                return haproxy::arguments(listen, directory, &haproxy::Task::Forward { to: backend });
            }
            Kind::Pingora => vec![address.as_str(), &to],
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

#[cfg(test)]
mod tests {
    use std::fs;

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
            ("pingora", "127.0.0.1:80 unix:/s"),
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
    fn names_are_unique_and_the_floor_is_one() {
        for (at, proxy) in PROXIES.iter().enumerate() {
            assert!(PROXIES[..at].iter().all(|other| other.name != proxy.name));
        }
        assert!(PROXIES.iter().any(|proxy| proxy.name == FLOOR && proxy.sort() == Sort::Floor));
    }
}
