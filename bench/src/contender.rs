//! Who is compared: a table. A new contender is a row here, and a `Kind` if it is a program of a new sort.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::child::{Child, TempDir, find_in_path, free_address};
use crate::failure::Failure;

/// More than any run opens, because nginx sets aside memory for each from the start.
const NGINX_CONNECTIONS: u32 = 16_384;

/// The runs of this crate; the table says who takes part in which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    Server,
    Spin,
    Memory,
}

/// What sort of program it is, with what sets it apart from others of its sort.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Floor { which: &'static str },
    Corelane { engine: &'static str, extra: &'static [&'static str] },
    MayMinihttp,
    Nginx,
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The name of the floor that uses the kernel as it does.
    pub(crate) floor: Option<&'static str>,
    runs: &'static [Run],
}

const EVERYTHING: &[Run] = &[Run::Server, Run::Memory];
const SPEED_ONLY: &[Run] = &[Run::Server];
const NO_CACHE: &[&str] = &["--cache-bytes", "0"];
const BUSY_POLL: &[&str] = &["--busy-poll", "50us"];

/// Everyone, in the order of the result.
pub(crate) const CONTENDERS: &[Contender] = &[
    Contender {
        name: "floor-ring",
        kind: Kind::Floor { which: "ring" },
        floor: None,
        runs: &[Run::Server, Run::Spin],
    },
    Contender {
        name: "corelane-uring",
        kind: Kind::Corelane { engine: "uring", extra: &[] },
        floor: Some("floor-ring"),
        runs: &[Run::Server, Run::Spin, Run::Memory],
    },
    Contender {
        name: "corelane-uring-nocache",
        kind: Kind::Corelane { engine: "uring", extra: NO_CACHE },
        floor: Some("floor-ring"),
        runs: SPEED_ONLY,
    },
    Contender {
        name: "corelane-uring-busy",
        kind: Kind::Corelane { engine: "uring", extra: BUSY_POLL },
        floor: Some("floor-ring"),
        runs: &[Run::Spin],
    },
    Contender { name: "floor-epoll", kind: Kind::Floor { which: "epoll" }, floor: None, runs: SPEED_ONLY },
    Contender {
        name: "corelane-epoll",
        kind: Kind::Corelane { engine: "epoll", extra: &[] },
        floor: Some("floor-epoll"),
        runs: EVERYTHING,
    },
    Contender {
        name: "corelane-epoll-nocache",
        kind: Kind::Corelane { engine: "epoll", extra: NO_CACHE },
        floor: Some("floor-epoll"),
        runs: SPEED_ONLY,
    },
    Contender { name: "may_minihttp", kind: Kind::MayMinihttp, floor: Some("floor-epoll"), runs: EVERYTHING },
    Contender { name: "nginx", kind: Kind::Nginx, floor: Some("floor-epoll"), runs: EVERYTHING },
];

/// Those that take part in a run.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) present: Vec<&'static Contender>,
    /// A line for each that can't be run here; said on the terminal already.
    pub(crate) skipped: Vec<String>,
}

/// Those that belong to a run, were asked for, and can be run here. Says loudly whom it leaves out, and why.
pub(crate) fn select(run: Run, only: &[String]) -> Result<Field, Failure> {
    let invited: Vec<_> = CONTENDERS.iter().filter(|contender| contender.runs.contains(&run)).collect();
    if let Some(unknown) = only.iter().find(|name| invited.iter().all(|contender| contender.name != **name)) {
        let names: Vec<_> = invited.iter().map(|contender| contender.name).collect();
        return Err(Failure::setup(format!(
            "no contender {unknown:?} here; there are: {}",
            names.join(", ")
        )));
    }
    let wanted = |name| only.is_empty() || only.iter().any(|asked| asked == name);
    let mut field = Field { present: Vec::new(), skipped: Vec::new() };
    for contender in invited.into_iter().filter(|contender| wanted(contender.name)) {
        match contender.program() {
            Ok(_) => field.present.push(contender),
            Err(failure) => field.skipped.push(format!("SKIPPED {}: {failure}", contender.name)),
        }
    }
    for line in &field.skipped {
        eprintln!("{line}");
    }
    if field.present.is_empty() {
        return Err(Failure::setup("nobody is left to measure"));
    }
    Ok(field)
}

/// A contender that is running and accepts connections; it ends with this value.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    /// Outlives the child: nginx has its files there.
    _directory: TempDir,
}

impl Contender {
    /// Starts it, alone, on these cores, with a lane on each (those that have lanes).
    pub(crate) fn start(&self, cores: &str) -> Result<Server, Failure> {
        let directory = TempDir::new()?;
        let address = free_address()?;
        let arguments = self.arguments(address, cores, directory.path())?;
        let output = directory.path().join("output");
        let mut child = Child::start(&self.program()?, &arguments, cores, &output)?;
        child.wait_ready(address)?;
        Ok(Server { child, address, _directory: directory })
    }

    /// What a reader of the results would type, without directories.
    pub(crate) fn command(&self, cores: &str) -> String {
        let (name, address) = (self.program_name(), "127.0.0.1:PORT");
        match self.kind {
            Kind::Nginx => format!("{name} -c <the configuration in contender.rs>"),
            _ => format!("{name} {}", self.plain_arguments(address, cores).join(" ")),
        }
    }

    fn program_name(&self) -> &'static str {
        match self.kind {
            Kind::Floor { .. } => "bench",
            Kind::Corelane { .. } => "corelane-server",
            Kind::MayMinihttp => "peer-may_minihttp",
            Kind::Nginx => "nginx",
        }
    }

    fn program(&self) -> Result<PathBuf, Failure> {
        let name = self.program_name();
        let (found, remedy) = match self.kind {
            Kind::Floor { .. } => (std::env::current_exe().ok(), "is this program"),
            Kind::Corelane { .. } => (find_built(name), "build it: cargo build --release -p server"),
            Kind::MayMinihttp => {
                (find_built(name), "build it: cargo build --release --manifest-path bench/peers/Cargo.toml")
            }
            Kind::Nginx => (find_in_path(name), "install it: apt-get install nginx-light"),
        };
        found.ok_or_else(|| Failure::setup(format!("{name} is not there; {remedy}")))
    }

    fn arguments(&self, address: SocketAddr, cores: &str, directory: &Path) -> Result<Vec<String>, Failure> {
        if !matches!(self.kind, Kind::Nginx) {
            return Ok(self.plain_arguments(&address.to_string(), cores));
        }
        let file = directory.join("nginx.conf");
        fs::write(&file, nginx_configuration(address, directory))?;
        let (file, directory) = (file.display().to_string(), directory.display().to_string());
        Ok(["-c", &file, "-p", &directory, "-e", "stderr"].map(String::from).to_vec())
    }

    fn plain_arguments(&self, address: &str, cores: &str) -> Vec<String> {
        let mut arguments = match self.kind {
            Kind::Floor { which } => vec!["floor", which, "--listen", address, "--core", cores],
            Kind::Corelane { engine, .. } => {
                vec!["--listen", address, "--admin", "off", "--cores", cores, "--engine", engine]
            }
            Kind::MayMinihttp => vec![address, cores],
            Kind::Nginx => vec![],
        };
        if let Kind::Corelane { extra, .. } = self.kind {
            arguments.extend(extra);
        }
        arguments.into_iter().map(String::from).collect()
    }
}

/// nginx at its cheapest: it answers while it reads the head, from the configuration alone.
fn nginx_configuration(address: SocketAddr, directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "daemon off;
worker_processes 1;
pid {directory}/pid;
error_log stderr crit;
events {{ worker_connections {NGINX_CONNECTIONS}; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen {address} backlog=4096;
        location = /add {{
            default_type application/json;
            return 200 '{{\"result\":3}}';
        }}
    }}
}}
"
    )
}

/// A program that cargo built: beside this one, or in the target directory that its workspace has by default.
pub(crate) fn find_built(name: &str) -> Option<PathBuf> {
    let beside = std::env::current_exe().ok()?.parent()?.to_path_buf();
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    [beside, bench.join("../target/release"), bench.join("peers/target/release")]
        .into_iter()
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_floor_is_a_contender() {
        for (at, contender) in CONTENDERS.iter().enumerate() {
            assert!(CONTENDERS[..at].iter().all(|other| other.name != contender.name));
            let Some(floor) = contender.floor else { continue };
            assert!(CONTENDERS.iter().any(|other| other.name == floor && other.floor.is_none()));
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_that_exist() {
        let failure = select(Run::Server, &["apache".into()]).unwrap_err();
        assert!(failure.to_string().contains("floor-ring"));
    }

    #[test]
    fn a_floor_starts_alone_only_where_it_is_asked_for() {
        let spin = select(Run::Spin, &["floor-ring".into()]).unwrap();
        assert_eq!(spin.present.len(), 1);
        assert!(select(Run::Memory, &["floor-ring".into()]).is_err());
    }
}
