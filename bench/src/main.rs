//! Compares corelane with its peers, and with the floor, in one run.
//!
//! Every command starts the servers itself, on loopback, and ends them again; what they print goes to the
//! terminal and, as Markdown and JSON with the machine beside the numbers, into `bench/runs`.

mod child;
mod contender;
mod cores;
mod failure;
mod floor;
mod generators;
mod machine;
mod memory;
mod proc;
mod report;
mod request;
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
    /// CPU per request and throughput of load generators, driving the same server
    Generators(generators::Options),
    /// Latency at one connection, with and without busy polling
    LatencySpin(spin::Options),
    /// Memory at start, per lane and per idle connection
    Memory(memory::Options),
    /// The bare loop that answers fixed bytes without reading them (what the others are measured against)
    Floor(floor::Options),
}

fn main() -> ExitCode {
    let done = match &Cli::parse().command {
        Command::Server(options) => server::run(options),
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
