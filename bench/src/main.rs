//! Compares corelane with its peers, and with the floor, in one run.
//!
//! Every command starts the servers itself, on loopback, and ends them again; what they print goes to the
//! terminal and, as Markdown and JSON with the machine beside the numbers, into `bench/runs`.

mod balancer;
mod balancing;
mod child;
mod contender;
mod cores;
mod failure;
mod field;
mod floor;
mod generators;
mod loadgen;
mod machine;
mod memory;
mod nginx;
mod proc;
mod report;
mod request;
mod rounds;
mod server;
mod spin;
mod stats;
mod wrk;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Compares corelane with its peers, and with the floor, in one run.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// CPU per request, throughput and latency of every server, driven by wrk
    Server(server::Options),
    /// What proxying costs: CPU per request, added latency, memory, beside nginx, HAProxy and the floor
    Balancer(balancer::Options),
    /// How the balancer's rules share requests out, in a model of queues (no server is started)
    Balancing(balancing::Options),
    /// CPU per request and throughput of load generators, driving the same server
    Generators(generators::Options),
    /// Latency at one connection, with and without busy polling
    LatencySpin(spin::Options),
    /// Memory at start, per lane and per idle connection
    Memory(memory::Options),
    /// The bare loop that answers fixed bytes, or forwards, without reading (what the others are measured against)
    Floor(floor::Options),
}

fn main() -> ExitCode {
    let done = match &Cli::parse().command {
        Command::Server(options) => server::run(options),
        Command::Balancer(options) => balancer::run(options),
        Command::Balancing(options) => balancing::run(options),
        Command::Generators(options) => generators::run(options),
        Command::LatencySpin(options) => spin::run(options),
        Command::Memory(options) => memory::run(options),
        Command::Floor(options) => floor::run(options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_command_takes_its_options() {
        Cli::command().debug_assert();
        for line in [
            "server --quick --pipeline",
            "generators --rounds 2 --seconds 1",
            "balancer --memory --idle 10,20 --only nginx,haproxy",
            "balancing --quick --out results",
            "floor ring --forward-to unix:/run/backend.sock",
            "floor epoll --forward-to 127.0.0.1:5000 --core 1",
        ] {
            assert!(Cli::try_parse_from(["bench"].into_iter().chain(line.split(' '))).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_excludes_each_other_is_refused() {
        for line in [
            "floor ring --forward-to 127.0.0.1:5000 --answer-bytes 10",
            "floor ring --forward-to nowhere",
            "balancer --quick --seconds 9",
            "balancer --connections 0",
        ] {
            assert!(Cli::try_parse_from(["bench"].into_iter().chain(line.split(' '))).is_err(), "{line}");
        }
    }
}
