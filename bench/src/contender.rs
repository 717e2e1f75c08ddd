//! Which servers are compared: a table. A new one is a row here, and a `Kind` if it is a program of a new sort.
//!
//! In: a run, and the names that were asked for. Out: those who take part. Ours stands there once for each engine that
//! is compiled in, with its variants.

use std::path::PathBuf;
use std::sync::LazyLock;

use net::engine::Engine;

use crate::failure::Failure;
use crate::field::{self, Candidate, Field, Server};
use crate::request::Asks;
use crate::results::{Row, Sort};
use crate::{haproxy, nginx, versions};

/// What is measured; the table says who takes part in which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    Server,
    Engines,
    Latency,
    Spin,
    Memory,
    Scale,
}

/// What sort of program it is, with what sets it apart from others of its sort.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Floor {
        which: &'static str,
    },
    Corelane {
        engine: &'static str,
        extra: &'static [&'static str],
    },
    /// One of `bench/peers`.
    Peer {
        program: &'static str,
    },
    Nginx,
    Haproxy,
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The name of the floor that uses the kernel as it does.
    floor: Option<&'static str>,
    runs: &'static [Run],
}

/// The two floors.
pub(crate) const RING_FLOOR: &str = "floor-ring";
pub(crate) const EPOLL_FLOOR: &str = "floor-epoll";

const PEERS_RUNS: &[Run] = &[Run::Server, Run::Latency, Run::Memory];

/// Everyone, in the order of the result.
pub(crate) static CONTENDERS: LazyLock<Vec<Contender>> = LazyLock::new(|| {
    let row = |name: &str, kind, floor, runs| Contender { name: name.to_owned(), kind, floor, runs };
    let mut all = vec![
        row(
            RING_FLOOR,
            Kind::Floor { which: "ring" },
            None,
            &[Run::Server, Run::Engines, Run::Latency, Run::Spin],
        ),
        row(EPOLL_FLOOR, Kind::Floor { which: "epoll" }, None, &[Run::Server, Run::Engines]),
    ];
    for engine in Engine::ALL {
        let (engine, floor) = (engine.name(), Some(floor_of(engine.name())));
        let name = format!("corelane-{engine}");
        let ours = |extra| Kind::Corelane { engine, extra };
        all.push(row(&name, ours(&[]), floor, runs_of(engine)));
        if engine == "uring" {
            let variant = format!("{name}-nocache");
            all.push(row(&variant, ours(&["--cache-bytes", "0"]), floor, &[Run::Server]));
            let variant = format!("{name}-busy");
            all.push(row(&variant, ours(&["--busy-poll", "50us"]), floor, &[Run::Spin]));
        }
    }
    for (name, program) in [
        ("may_minihttp", "peer-may_minihttp"),
        ("tokio", "peer-tokio"),
        ("hyper", "peer-hyper"),
        ("axum", "peer-axum"),
        ("actix-web", "peer-actix"),
        ("ntex", "peer-ntex"),
        ("xitca-web", "peer-xitca"),
    ] {
        all.push(row(name, Kind::Peer { program }, Some(EPOLL_FLOOR), PEERS_RUNS));
    }
    all.push(row("nginx", Kind::Nginx, Some(EPOLL_FLOOR), PEERS_RUNS));
    // Its own bound on connections is below those of the memory run.
    all.push(row("haproxy", Kind::Haproxy, Some(EPOLL_FLOOR), &[Run::Server, Run::Latency]));
    all
});

/// In what ours takes part, on an engine. Each visit of the latency run takes seconds, so there those stand that `auto`
/// chooses; the others show in the engines run.
fn runs_of(engine: &str) -> &'static [Run] {
    match engine {
        "uring" => &[Run::Server, Run::Engines, Run::Latency, Run::Spin, Run::Memory, Run::Scale],
        "epoll" => &[Run::Server, Run::Engines, Run::Latency, Run::Memory, Run::Scale],
        _ => &[Run::Server, Run::Engines, Run::Memory, Run::Scale],
    }
}

/// What an engine's interface to the kernel costs: glommio and monoio are on io_uring but where the name says otherwise.
fn floor_of(engine: &str) -> &'static str {
    if engine.ends_with("epoll") { EPOLL_FLOOR } else { RING_FLOOR }
}

/// The one with this name.
pub(crate) fn named(name: &str) -> Result<&'static Contender, Failure> {
    let found = CONTENDERS.iter().find(|contender| contender.name == name);
    found.ok_or_else(|| {
        Failure::setup(format!("{name} is not compiled in: build bench with its default features"))
    })
}

/// Those that belong to a run, were asked for, and can be run here.
pub(crate) fn select(run: Run, only: &[String]) -> Result<Field<Contender>, Failure> {
    let invited: Vec<_> = CONTENDERS.iter().filter(|contender| contender.runs.contains(&run)).collect();
    field::select(&invited, only)
}

impl Candidate for Contender {
    fn name(&self) -> &str {
        &self.name
    }

    fn program(&self) -> Result<PathBuf, Failure> {
        let name = self.program_name();
        match self.kind {
            Kind::Floor { .. } => Ok(std::env::current_exe()?),
            Kind::Corelane { .. } => field::built(name, "cargo build --release -p server"),
            Kind::Peer { .. } => field::built_peer(name),
            Kind::Nginx => field::installed(name, "nginx-light"),
            Kind::Haproxy => field::installed(name, "haproxy"),
        }
    }
}

impl Contender {
    pub(crate) fn sort(&self) -> Sort {
        match self.kind {
            Kind::Floor { .. } => Sort::Floor,
            Kind::Corelane { .. } => Sort::Ours,
            Kind::Peer { .. } | Kind::Nginx | Kind::Haproxy => Sort::Peer,
        }
    }

    /// What it can be asked for.
    pub(crate) fn asks(&self) -> Asks {
        match self.kind {
            Kind::Corelane { .. } | Kind::Peer { .. } => Asks::Sums,
            Kind::Floor { .. } | Kind::Nginx | Kind::Haproxy => Asks::Fixed,
        }
    }

    /// A row of results, still empty.
    pub(crate) fn row(&self, case: impl Into<String>, cores: &str) -> Row {
        Row {
            contender: self.name.clone(),
            sort: self.sort(),
            case: case.into(),
            floor: self.floor.map(str::to_owned),
            command: self.command(cores),
            rounds: [].into(),
        }
    }

    /// Which one it is; `None` for what this repository has built.
    pub(crate) fn version(&self) -> Option<String> {
        match self.kind {
            Kind::Floor { .. } | Kind::Corelane { .. } => None,
            Kind::Peer { .. } => versions::of_crate(&self.name),
            Kind::Nginx | Kind::Haproxy => versions::of_program(&self.program().ok()?),
        }
    }

    /// Starts it, alone, on these cores, with a lane on each (those that have lanes).
    pub(crate) fn start(&self, cores: &str) -> Result<Server, Failure> {
        self.start_with(cores, &[])
    }

    /// The same, with more arguments.
    pub(crate) fn start_with(&self, cores: &str, more: &[String]) -> Result<Server, Failure> {
        field::start(&self.program()?, cores, |address, directory| match self.kind {
            Kind::Nginx => nginx::arguments(address, directory, &nginx::ANSWERS),
            Kind::Haproxy => haproxy::arguments(address, directory, &haproxy::Task::Answer),
            _ => Ok([self.plain_arguments(&address.to_string(), cores), more.to_vec()].concat()),
        })
    }

    /// What a reader of the results would type, without directories.
    fn command(&self, cores: &str) -> String {
        let (name, address) = (self.program_name(), "127.0.0.1:PORT");
        match self.kind {
            Kind::Nginx => format!("{name} -c <the configuration in nginx.rs>"),
            Kind::Haproxy => format!("{name} -db -f <the configuration in haproxy.rs>"),
            _ => format!("taskset -c {cores} {name} {}", self.plain_arguments(address, cores).join(" ")),
        }
    }

    fn program_name(&self) -> &'static str {
        match self.kind {
            Kind::Floor { .. } => "bench",
            Kind::Corelane { .. } => "corelane-server",
            Kind::Peer { program } => program,
            Kind::Nginx => "nginx",
            Kind::Haproxy => "haproxy",
        }
    }

    fn plain_arguments(&self, address: &str, cores: &str) -> Vec<String> {
        let mut arguments = match self.kind {
            Kind::Floor { which } => vec!["floor", which, "--listen", address, "--core", cores],
            Kind::Corelane { engine, .. } => {
                vec!["--listen", address, "--admin", "off", "--cores", cores, "--engine", engine]
            }
            Kind::Peer { .. } => vec![address],
            Kind::Nginx | Kind::Haproxy => vec![],
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
    fn every_engine_that_is_compiled_in_takes_part() {
        for engine in Engine::ALL {
            let ours = named(&format!("corelane-{engine}")).unwrap();
            assert!(ours.runs.contains(&Run::Engines) && ours.runs.contains(&Run::Server));
            assert!(ours.command("0").contains(&format!("--engine {engine}")));
        }
        assert!(named("corelane-none").is_err());
    }

    #[test]
    fn an_engine_is_measured_against_its_own_interface() {
        assert_eq!(floor_of("monoio-epoll"), EPOLL_FLOOR);
        assert_eq!(floor_of("glommio"), RING_FLOOR);
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

    #[test]
    fn whoever_does_not_add_is_asked_the_one_request() {
        let is_fixed = |name: &str| named(name).unwrap().asks() == Asks::Fixed;
        assert!(is_fixed("nginx") && is_fixed("haproxy") && is_fixed("floor-epoll"));
        assert!(!is_fixed("hyper") && !is_fixed("corelane-uring"));
    }
}
