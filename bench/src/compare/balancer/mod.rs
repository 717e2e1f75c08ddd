//! `bench compare balancer`: what proxying costs, beside nginx, HAProxy, pingora and a bare loop that forwards.
//!
//! In: proxies, each with one lane alone on its core; the backend (our server) and the generator (ours, which checks
//! each sum) on other cores, or sharing one. Out: tables of CPU per request, of the latency that is added, of Unix
//! sockets against TCP, and of memory. Never: measures a proxy whose answers were not checked first.

mod backend;
pub(crate) mod cpu;
mod latency;
mod memory;
pub(crate) mod proxies;

use clap::Args;

use crate::compare::latency::CONNECTIONS;
use crate::drive::Shape;
use crate::drive::loadgen::{Load, Loadgen, Pace};
use crate::failure::Failure;
use crate::field::{Field, Server, Who};
use crate::report::Found;
use crate::request::Asks;
use crate::{request, rounds, versions};
use backend::{Backend, Transport};
use proxies::Proxy;

/// Options of `bench compare balancer`.
#[derive(Args, Debug)]
#[group(id = "balancer")]
pub(super) struct Options {
    /// Measure CPU per request; without any of these four: all of them
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
    #[arg(long, default_value_t = CONNECTIONS, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Numbers of idle connections for its memory, rising
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 5_000])]
    idle: Vec<usize>,
    #[command(flatten)]
    who: Who,
    /// Core of the backend [default: the generator's]
    #[arg(long)]
    backend_core: Option<usize>,
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
}

impl Options {
    /// Does it measure less than it does by itself, or something else?
    pub(super) fn is_partial(&self) -> bool {
        self.who.is_partial() || self.connections != CONNECTIONS || self.parts().len() < Part::ALL.len()
    }

    fn parts(&self) -> Vec<Part> {
        let is_asked = |part: &Part| match part {
            Part::Cpu => self.cpu,
            Part::Latency => self.latency,
            Part::Unix => self.unix,
            Part::Memory => self.memory,
        };
        let asked: Vec<Part> = Part::ALL.into_iter().filter(is_asked).collect();
        if asked.is_empty() { Part::ALL.to_vec() } else { asked }
    }
}

/// What all parts need.
struct Bench<'a> {
    options: &'a Options,
    pace: &'a rounds::Options,
    loadgen: Loadgen,
    field: Field<Proxy>,
}

/// Measures.
pub(super) fn run(pace: &rounds::Options, options: &Options) -> Result<Found, Failure> {
    let core = pace.cores.client_core;
    let loadgen = Loadgen::find(core, core.to_string())?;
    let bench = Bench { options, pace, loadgen, field: proxies::select(&options.who.only)? };
    bench.check()?;

    let mut found = Found::default();
    found.notes.extend(versions::note(bench.field.present.iter().map(|proxy| proxy.version())));
    let parts = options.parts();
    if parts != [Part::Memory] {
        found.notes.push(bench.explain());
        let reached = cpu::run(&bench, &parts, &mut found)?;
        if parts.contains(&Part::Latency) {
            latency::run(&bench, &reached, &mut found)?;
        }
    }
    if parts.contains(&Part::Memory) {
        memory::run(&bench, &mut found)?;
    }
    found.notes.extend(bench.field.skipped);
    Ok(found)
}

impl Bench<'_> {
    fn backend_core(&self) -> usize {
        self.options.backend_core.unwrap_or(self.pace.cores.client_core)
    }

    fn shares_core(&self) -> bool {
        self.backend_core() == self.pace.cores.client_core
    }

    fn check(&self) -> Result<(), Failure> {
        match self.backend_core() == self.pace.cores.server_core {
            true => {
                Err(Failure::setup("the proxy needs a core of its own: see --server-core and --backend-core"))
            }
            false => Ok(()),
        }
    }

    /// A fresh backend with a fresh proxy in front, which has given a right answer.
    fn start(&self, proxy: &Proxy, transport: Transport) -> Result<(Backend, Server), Failure> {
        let backend = Backend::start(self.backend_core())?;
        let server = proxy.start(self.pace.cores.server_core, &backend.address(transport))?;
        request::check(server.address)?;
        Ok((backend, server))
    }

    fn load(&self, pace: Pace) -> Load {
        let shape = Shape { connections: self.options.connections, depth: 1 };
        let (window, warmup) = (self.pace.window(), self.pace.warmup());
        Load { engine: "uring", shape, window, warmup, pace, asks: Asks::Sums }
    }

    fn explain(&self) -> String {
        let place = match self.shares_core() {
            true => "share a core, and the generator therefore sleeps before a request that is not due",
            false => "have a core each",
        };
        format!(
            "{} connections to the proxy, which has one lane alone on its core, keeps connections to the backend, and adds \
             X-Forwarded-For (the floors add nothing and give each client a backend connection of its own). The backend is \
             corelane-server's /add; it and corelane-loadgen, which checks each sum, {place}.",
            self.options.connections
        )
    }
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
    fn without_a_part_everything_is_measured() {
        assert_eq!(options("").parts(), Part::ALL);
        assert_eq!(options("--memory").parts(), [Part::Memory]);
        assert_eq!(options("--unix --cpu").parts(), [Part::Cpu, Part::Unix]);
    }
}
