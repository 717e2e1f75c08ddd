//! `bench balancer`: what proxying costs, beside nginx, HAProxy and a bare loop that forwards.
//!
//! In: proxies, each with one lane alone on its core; the backend (our server) and the generator (ours, which checks
//! each sum) on other cores, or sharing one. Out: tables of CPU per request, of the latency that is added, of Unix
//! sockets against TCP, and of memory. Never: measures a proxy whose answers were not checked first.

mod backend;
mod cpu;
mod latency;
mod memory;
mod proxies;

use clap::Args;
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::field::{Field, Server};
use crate::loadgen::{Load, Loadgen, Pace};
use crate::report::{self, Table};
use crate::{request, rounds};
use backend::{Backend, Transport};
use proxies::Proxy;

/// Options of `bench balancer`.
#[derive(Args, Debug)]
#[group(id = "balancer")]
pub(crate) struct Options {
    /// Measure CPU per request; without any of these four: all but memory
    #[arg(long)]
    cpu: bool,
    /// Measure added latency, at shares of what the CPU rounds reached (one round, if those are not asked for)
    #[arg(long)]
    latency: bool,
    /// Measure CPU per request with the backend on a Unix socket, against TCP
    #[arg(long)]
    unix: bool,
    /// Measure memory per idle connection
    #[arg(long)]
    memory: bool,
    /// Connections of the clients
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Numbers of idle connections for --memory, rising
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 5_000])]
    idle: Vec<usize>,
    /// Only these contenders
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    only: Vec<String>,
    /// Core of the backend [default: the generator's]
    #[arg(long)]
    backend_core: Option<usize>,
    #[command(flatten)]
    pace: rounds::Options,
}

/// What can be measured of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Cpu,
    Latency,
    Unix,
    Memory,
}

impl Part {
    const ALL: [Self; 4] = [Self::Cpu, Self::Latency, Self::Unix, Self::Memory];

    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Latency => "latency",
            Self::Unix => "unix",
            Self::Memory => "memory",
        }
    }
}

impl Options {
    fn parts(&self) -> Vec<Part> {
        let is_asked = |part: &Part| match part {
            Part::Cpu => self.cpu,
            Part::Latency => self.latency,
            Part::Unix => self.unix,
            Part::Memory => self.memory,
        };
        let asked: Vec<Part> = Part::ALL.into_iter().filter(is_asked).collect();
        if asked.is_empty() { vec![Part::Cpu, Part::Latency, Part::Unix] } else { asked }
    }

    /// A result of some parts replaces none of all.
    fn result_name(&self) -> String {
        let asked = self.cpu || self.latency || self.unix || self.memory;
        let parts = self.parts().into_iter().filter(|_| asked).map(Part::name);
        self.pace.name_of(&["balancer"].into_iter().chain(parts).collect::<Vec<_>>().join("-"))
    }

    fn backend_core(&self) -> usize {
        self.backend_core.unwrap_or(self.pace.cores.client_core)
    }

    fn check(&self) -> Result<(), Failure> {
        match self.backend_core() == self.pace.cores.server_core {
            true => {
                let remedy = "see --server-core and --backend-core";
                Err(Failure::setup(format!("the proxy needs a core of its own: {remedy}")))
            }
            false => Ok(()),
        }
    }
}

/// What all parts need.
struct Bench<'a> {
    options: &'a Options,
    loadgen: Loadgen,
    field: Field<Proxy>,
}

/// What a part has found out.
#[derive(Default)]
struct Found {
    tables: Vec<Table>,
    notes: Vec<String>,
    json: Map<String, Value>,
    broken: rounds::Broken,
}

/// Measures, prints, writes.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let machine = options.pace.begin()?;
    options.check()?;
    let cores = &options.pace.cores;
    let loadgen = Loadgen::find(cores.client_core, cores.client_core.to_string())?;
    let bench = Bench { options, loadgen, field: proxies::select(&options.only)? };

    let mut found = Found { notes: bench.versions(), ..Found::default() };
    let parts = options.parts();
    if parts != [Part::Memory] {
        found.notes.push(explain(options));
        let reached = cpu::run(&bench, &parts, &mut found)?;
        if parts.contains(&Part::Latency) {
            latency::run(&bench, &reached, &mut found)?;
        }
    }
    if parts.contains(&Part::Memory) {
        memory::run(&bench, &mut found)?;
    }

    found.notes.extend(bench.field.skipped);
    found.notes.extend(found.broken.0.iter().cloned());
    let (name, results) = (options.result_name(), Value::Object(found.json));
    report::publish(&options.pace.report, &machine, &name, &found.tables, &found.notes, &results)?;
    found.broken.outcome()
}

impl Bench<'_> {
    fn versions(&self) -> Vec<String> {
        let versions: Vec<_> = self.field.present.iter().filter_map(|proxy| proxy.version()).collect();
        versions.into_iter().map(|version| format!("Measured: {version}.")).collect()
    }

    /// A fresh backend with a fresh proxy in front, which has given a right answer.
    fn start(&self, proxy: &Proxy, transport: Transport) -> Result<(Backend, Server), Failure> {
        let backend = Backend::start(self.options.backend_core())?;
        let server = proxy.start(self.options.pace.cores.server_core, &backend.address(transport))?;
        request::check(server.address)?;
        Ok((backend, server))
    }

    fn load(&self, warmup_seconds: u64, pace: Pace) -> Load {
        Load {
            engine: "uring",
            connections: self.options.connections,
            seconds: self.options.pace.seconds(),
            warmup_seconds,
            pace,
        }
    }
}

fn explain(options: &Options) -> String {
    let place = match options.backend_core() == options.pace.cores.client_core {
        true => "share a core, and the generator therefore sleeps before a request that is not due",
        false => "have a core each",
    };
    format!(
        "{} connections to the proxy, which has one lane alone on its core, keeps connections to the backend, and adds \
         X-Forwarded-For (the floors add nothing and give each client a backend connection of its own). The backend is \
         corelane-server's /add; it and corelane-loadgen, which checks each sum, {place}. Medians over rounds; ratios \
         and differences are within a round.",
        options.connections
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn options(line: &str) -> Options {
        Line::try_parse_from(["bench"].into_iter().chain(line.split_whitespace())).unwrap().options
    }

    #[test]
    fn without_a_part_everything_but_memory_is_measured() {
        assert_eq!(options("").parts(), [Part::Cpu, Part::Latency, Part::Unix]);
        assert_eq!(options("--memory").parts(), [Part::Memory]);
        assert_eq!(options("--unix --cpu").parts(), [Part::Cpu, Part::Unix]);
    }

    #[test]
    fn a_result_of_some_parts_replaces_none_of_all() {
        assert_eq!(options("").result_name(), "balancer");
        assert_eq!(options("--quick").result_name(), "balancer-quick");
        assert_eq!(options("--memory").result_name(), "balancer-memory");
        assert_eq!(options("--latency --cpu --quick").result_name(), "balancer-cpu-latency-quick");
    }

    #[test]
    fn the_backend_shares_the_generators_core_unless_it_is_told() {
        assert_eq!(options("--client-core 3").backend_core(), 3);
        assert_eq!(options("--client-core 3 --backend-core 2").backend_core(), 2);
    }

    #[test]
    fn a_backend_on_the_proxys_core_is_refused() {
        assert!(matches!(options("--backend-core 0").check(), Err(Failure::Setup(_))));
        assert!(options("--server-core 2 --backend-core 0").check().is_ok());
    }
}
