//! `bench compare`: everything beside its peers and its floor, part by part.
//!
//! In: what was asked for, all parts or one. Out: of each part its tables, charts and numbers, on the terminal and in
//! the directory of the day; at the end how the aims stand. A part's results are written when it ends, so that a run
//! that was stopped can be resumed. Never: builds or installs anything; who is not there is left out, loudly.

pub(crate) mod balancer;
pub(crate) mod latency;
pub(crate) mod loadgen;
mod memory;
pub(crate) mod scale;
mod speed;
pub(crate) mod spin;
mod tables;

use clap::{Args, Parser, Subcommand};

use crate::aims;
use crate::contender::Run;
use crate::failure::Failure;
use crate::field;
use crate::machine::Machine;
use crate::report::{self, Found};
use crate::rounds;

/// Options of `bench compare`.
#[derive(Args, Debug)]
#[group(id = "compare")]
pub(crate) struct Options {
    #[command(subcommand)]
    part: Option<Part>,
    /// Leave out the parts whose results are there already
    #[arg(long, global = true)]
    resume: bool,
    #[command(flatten)]
    pace: rounds::Options,
}

/// What can be compared. Without one, all of it.
#[derive(Subcommand, Debug)]
enum Part {
    /// Requests per second, CPU per request and latency of every server, as fast as it can
    Server(speed::Options),
    /// The same of our server on each engine, at few and many connections
    Engines(speed::Options),
    /// Latency at 10, 50 and 80 % of saturation, and of one connection with and without busy polling
    Latency(latency::Options),
    /// What proxying costs: CPU per request, added latency, Unix sockets, memory
    Balancer(balancer::Options),
    /// CPU per request and requests per second of load generators
    Loadgen(loadgen::Options),
    /// Memory at start, per lane and per idle connection
    Memory(memory::Options),
    /// One lane and two, and a model of more
    Scale(scale::Options),
}

/// All of them, in the order in which they run.
pub(crate) const PARTS: [&str; 7] =
    ["server", "engines", "latency", "balancer", "loadgen", "memory", "scale"];

impl Part {
    fn name(&self) -> &'static str {
        match self {
            Self::Server(_) => "server",
            Self::Engines(_) => "engines",
            Self::Latency(_) => "latency",
            Self::Balancer(_) => "balancer",
            Self::Loadgen(_) => "loadgen",
            Self::Memory(_) => "memory",
            Self::Scale(_) => "scale",
        }
    }

    /// Does it leave somebody out, or measure something else than it does by itself?
    fn is_partial(&self) -> bool {
        match self {
            Self::Server(options) | Self::Engines(options) => options.is_partial(),
            Self::Latency(options) => options.is_partial(),
            Self::Balancer(options) => options.is_partial(),
            Self::Loadgen(options) => options.is_partial(),
            Self::Memory(options) => options.is_partial(),
            Self::Scale(options) => options.is_partial(),
        }
    }

    /// The name of its result: one that others can't be compared with replaces none that they can.
    fn result(&self, pace: &rounds::Options) -> String {
        let part = if self.is_partial() { "-part" } else { "" };
        pace.name_of(&format!("{}{part}", self.name()))
    }

    /// As it is when nothing was asked of it.
    fn plain(name: &str) -> Self {
        #[derive(Parser)]
        struct Line {
            #[command(subcommand)]
            part: Part,
        }
        Line::parse_from(["bench", name]).part
    }

    fn measure(&self, pace: &rounds::Options) -> Result<Found, Failure> {
        match self {
            Self::Server(options) => speed::run(pace, options, Run::Server),
            Self::Engines(options) => speed::run(pace, options, Run::Engines),
            Self::Latency(options) => latency::run(pace, options),
            Self::Balancer(options) => balancer::run(pace, options),
            Self::Loadgen(options) => loadgen::run(pace, options),
            Self::Memory(options) => memory::run(pace, options),
            Self::Scale(options) => scale::run(pace, options),
        }
    }
}

/// Measures, prints, writes.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    options.pace.begin()?;
    let all = PARTS.map(Part::plain);
    let parts = match &options.part {
        Some(part) => std::slice::from_ref(part),
        None => &all[..],
    };
    let directory = options.pace.report.directory(&Machine::ask());
    let outdated = field::outdated();
    for line in &outdated {
        eprintln!("{line}");
    }

    let mut failed = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let (name, result) = (part.name(), part.result(&options.pace));
        eprintln!("part {} of {}: {name}", number + 1, parts.len());
        let file = directory.join(format!("{result}.json"));
        if options.resume && file.is_file() {
            eprintln!("its result is there: {}", file.display());
            continue;
        }
        // Asked for each, because the time and the load average are the part's.
        let machine = Machine::ask();
        let done = part.measure(&options.pace).and_then(|mut found| {
            found.notes.extend(outdated.iter().cloned());
            let is_whole = found.broken.is_empty();
            report::publish_in(&directory, &machine, &result, found)?;
            Ok(is_whole)
        });
        match done {
            Ok(true) => {}
            Ok(false) => failed.push(name),
            Err(Failure::Stopped) => return Err(Failure::Stopped),
            Err(failure) if parts.len() == 1 => return Err(failure),
            // Whatever this part lacks, the others may have.
            Err(failure) => {
                eprintln!("FAILED {name}: {failure}");
                failed.push(name);
            }
        }
    }
    let names: Vec<&str> = parts.iter().map(Part::name).collect();
    println!(
        "\n{}",
        aims::table(&aims::records(&[directory], |part| options.pace.name_of(part)), &names).text()
    );
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Failure::run(format!("not everything could be measured: {}", failed.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn options(line: &[&str]) -> Options {
        Line::try_parse_from([&["bench"], line].concat()).unwrap().options
    }

    fn pace(line: &[&str]) -> rounds::Options {
        options(line).pace
    }

    #[test]
    fn what_leaves_something_out_replaces_no_whole_result() {
        for (line, result) in [
            (&["server"][..], "server"),
            (&["server", "--quick"], "server-quick"),
            (&["server", "--only", "hyper"], "server-part"),
            (&["engines", "--connections", "9"], "engines-part"),
            (&["latency", "--connections", "64"], "latency"),
            (&["loadgen", "--connections", "9", "--quick"], "loadgen-part-quick"),
            (&["balancer", "--cpu"], "balancer-part"),
            (&["memory", "--connections", "9"], "memory-part"),
        ] {
            let options = options(line);
            assert_eq!(options.part.as_ref().unwrap().result(&options.pace), result);
        }
    }

    #[test]
    fn every_part_is_one_by_itself() {
        for name in PARTS {
            let part = Part::plain(name);
            assert_eq!(part.name(), name);
            assert!(!part.is_partial());
            assert_eq!(part.result(&pace(&[])), name);
        }
    }
}
