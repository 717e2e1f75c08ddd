//! Compares corelane with its peers, and with the floor, in one run.
//!
//! Every command starts the servers itself, on loopback, and ends them again; what they print goes to the
//! terminal and, as Markdown, JSON and charts with the machine beside the numbers, into `bench/runs`.

mod aims;
mod balancing;
mod chart;
mod child;
mod compare;
mod contender;
mod cores;
mod document;
mod drive;
mod failure;
mod field;
mod floor;
mod haproxy;
mod lanes;
mod machine;
mod nginx;
mod proc;
mod report;
mod request;
mod results;
mod rounds;
mod stats;
mod versions;

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
    /// Measures everything beside its peers and its floor, or one part of it
    Compare(compare::Options),
    /// Writes docs/benchmarks.md from what was measured
    Document(document::Options),
    /// How the balancer's rules share requests out, in a model of queues (no server is started)
    Balancing(balancing::Options),
    /// What it does to p99 how connections are spread over lanes, in a model of queues (no server is started)
    Lanes(lanes::Options),
    /// The bare loop that answers fixed bytes, or forwards, without reading (what the others are measured against)
    Floor(floor::Options),
}

fn main() -> ExitCode {
    let done = match &Cli::parse().command {
        Command::Compare(options) => compare::run(options),
        Command::Document(options) => document::run(options),
        Command::Balancing(options) => balancing::run(options),
        Command::Lanes(options) => lanes::run(options),
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
            "compare",
            "compare --quick --resume --out results",
            "compare server --quick --pipeline 1,16 --connections 64,256",
            "compare loadgen --rounds 2 --seconds 0.5",
            "compare --rounds 7 engines --only corelane-uring",
            "compare balancer --memory --idle 10,20 --only nginx,haproxy",
            "compare memory --connections 10 --quick",
            "document --runs bench/runs --to x.md --quick",
            "balancing --quick --out results",
            "lanes --quick --out results",
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
            "compare balancer --quick --seconds 9",
            "compare balancer --connections 0",
            "compare server --pipeline 0",
            "server",
        ] {
            assert!(Cli::try_parse_from(["bench"].into_iter().chain(line.split(' '))).is_err(), "{line}");
        }
    }
}
