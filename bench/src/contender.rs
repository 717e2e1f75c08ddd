//! Who is compared: a table. A new contender is a row here, and a `Kind` if it is a program of a new sort.

use std::path::PathBuf;

use crate::failure::Failure;
use crate::field::{self, Candidate, Field, Server};
use crate::nginx;

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

/// Those that belong to a run, were asked for, and can be run here.
pub(crate) fn select(run: Run, only: &[String]) -> Result<Field<Contender>, Failure> {
    let invited: Vec<_> = CONTENDERS.iter().filter(|contender| contender.runs.contains(&run)).collect();
    field::select(&invited, only)
}

impl Candidate for Contender {
    fn name(&self) -> &'static str {
        self.name
    }

    fn program(&self) -> Result<PathBuf, Failure> {
        let name = self.program_name();
        match self.kind {
            Kind::Floor { .. } => Ok(std::env::current_exe()?),
            Kind::Corelane { .. } => field::built(name, "cargo build --release -p server"),
            Kind::MayMinihttp => {
                field::built(name, "cargo build --release --manifest-path bench/peers/Cargo.toml")
            }
            Kind::Nginx => field::installed(name, "nginx-light"),
        }
    }
}

impl Contender {
    /// Starts it, alone, on these cores, with a lane on each (those that have lanes).
    pub(crate) fn start(&self, cores: &str) -> Result<Server, Failure> {
        field::start(&self.program()?, cores, |address, directory| match self.kind {
            Kind::Nginx => nginx::arguments(address, directory, &nginx::ANSWERS),
            _ => Ok(self.plain_arguments(&address.to_string(), cores)),
        })
    }

    /// What a reader of the results would type, without directories.
    pub(crate) fn command(&self, cores: &str) -> String {
        let (name, address) = (self.program_name(), "127.0.0.1:PORT");
        match self.kind {
            Kind::Nginx => format!("{name} -c <the configuration in nginx.rs>"),
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
