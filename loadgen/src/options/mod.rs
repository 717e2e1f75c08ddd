//! The command line: what to do, with which load, and what to leave behind.
//!
//! In: arguments. Out: a [`Command`] whose values are each valid; what only shows
//! against the machine or the network is checked when a job is made of them. Never: reads a file or a socket.

mod load;
mod values;

pub use load::{CoresChoice, LoadOptions};
pub use values::{Duration, Rate};

use crate::slo::Slo;
use crate::url::Url;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// The commands. Without one, `run` is meant.
#[derive(Parser, Clone, Debug)]
#[command(name = "corelane-loadgen", bin_name = "corelane-loadgen", version, max_term_width = 100)]
#[command(disable_help_subcommand = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Measures an HTTP server: a p99 that can be believed
    #[command(override_usage = USAGE, after_help = AFTER_HELP, hide_possible_values = true)]
    Run(Box<RunOptions>),
    /// Finds the highest rate that meets --slo, with an interval
    #[command(hide_possible_values = true)]
    Search(Box<SearchOptions>),
    /// Compares two live targets, in turns
    #[command(hide_possible_values = true)]
    Ab(Box<AbOptions>),
    /// Compares recorded runs, for people and for CI
    Compare(CompareOptions),
    /// Makes a page of recorded runs
    Report(ReportOptions),
    /// Proves this tool on this machine, against servers whose times and faults are known
    Selftest(SelftestOptions),
}

/// `run`.
#[derive(Args, Clone, Debug)]
pub struct RunOptions {
    /// http://HOST:PORT/PATH, http://unix:/SOCKET:/PATH; several with weights: 3@http://...
    #[arg(value_name = "URL", required = true)]
    pub urls: Vec<Url>,
    /// How much, of what, from where.
    #[command(flatten)]
    pub load: LoadOptions,
    /// Must hold: p99<1ms, max<50ms, errors<0.1%, rate>100k; may be repeated
    #[arg(long, value_name = "TARGET", help_heading = RESULT)]
    pub slo: Vec<Slo>,
    /// What it leaves behind.
    #[command(flatten)]
    pub output: Output,
    /// Write one line of JSON per interval; - is stdout
    #[arg(long, value_name = "FILE", help_heading = RESULT)]
    pub intervals: Option<PathBuf>,
    /// Write response times for the HdrHistogram plotter
    #[arg(long, value_name = "FILE", help_heading = RESULT)]
    pub hgrm: Option<PathBuf>,
}

/// What a measurement leaves behind.
#[derive(Args, Clone, Debug, Default)]
pub struct Output {
    /// Write everything, histograms included; - is stdout
    #[arg(long, value_name = "FILE", help_heading = RESULT)]
    pub json: Option<PathBuf>,
    /// Write one page with charts, complete in itself
    #[arg(long, value_name = "FILE", help_heading = RESULT)]
    pub html: Option<PathBuf>,
    /// No live view
    #[arg(short, long, help_heading = RESULT)]
    pub quiet: bool,
}

/// `search`.
#[derive(Args, Clone, Debug)]
pub struct SearchOptions {
    /// As for run
    #[arg(value_name = "URL", required = true)]
    pub urls: Vec<Url>,
    /// How much, of what, from where.
    #[command(flatten)]
    pub load: LoadOptions,
    /// Must hold: p99<1ms; may be repeated
    #[arg(long, value_name = "TARGET", required = true, help_heading = RESULT)]
    pub slo: Vec<Slo>,
    /// For the windows of all trials together
    #[arg(long, value_name = "TIME", default_value = "2min", help_heading = LOAD)]
    pub budget: Duration,
    /// Wanted half width of the interval, as a share of the rate
    #[arg(long, value_name = "SHARE", default_value = "0.02", help_heading = LOAD)]
    #[arg(value_parser = values::share)]
    pub precision: f64,
    /// What it leaves behind.
    #[command(flatten)]
    pub output: Output,
}

impl SearchOptions {
    fn check(&self) -> Result<(), clap::Error> {
        self.load.check()?;
        if self.load.rate.is_some() || self.load.steps.is_some() || self.load.requests.is_some() {
            return Err(usage("a search chooses the rates itself: leave out --rate, --steps and --requests"));
        }
        if self.budget.0 < self.load.duration.0 {
            return Err(usage("--budget must be at least one trial, which is --duration long"));
        }
        Ok(())
    }
}

/// `ab`.
#[derive(Args, Clone, Debug)]
pub struct AbOptions {
    /// The first target, the baseline
    #[arg(value_name = "URL_A")]
    pub a: Url,
    /// The second target
    #[arg(value_name = "URL_B")]
    pub b: Url,
    /// How much, of what, from where.
    #[command(flatten)]
    pub load: LoadOptions,
    /// Measurements of each target; in turns A B B A ...
    #[arg(long, value_name = "N", default_value = "8", help_heading = LOAD)]
    #[arg(value_parser = clap::value_parser!(u16).range(4..=1000))]
    pub rounds: u16,
    /// What it leaves behind.
    #[command(flatten)]
    pub output: Output,
}

/// `compare`.
#[derive(Args, Clone, Debug)]
pub struct CompareOptions {
    /// Recorded run of the baseline (--json); several: A1.json,A2.json
    #[arg(value_name = "A.json")]
    pub a: String,
    /// Recorded run to compare with it
    #[arg(value_name = "B.json")]
    pub b: String,
    /// What it leaves behind.
    #[command(flatten)]
    pub output: Output,
}

/// `report`.
#[derive(Args, Clone, Debug)]
pub struct ReportOptions {
    /// Recorded with --json; several are drawn over each other
    #[arg(value_name = "A.json", required = true)]
    pub files: Vec<PathBuf>,
    /// Where to write the page; - is stdout
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    pub html: PathBuf,
}

/// `selftest`.
#[derive(Args, Clone, Debug)]
pub struct SelftestOptions {
    /// Lanes run there; the target on another core
    #[arg(long, value_name = "LIST", default_value = "all")]
    pub cores: net::percore::Cores,
    /// auto, uring or epoll
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub engine: net::command_line::EngineChoice,
    /// Leave out what takes long: the ceiling and the wake-ups
    #[arg(long)]
    pub quick: bool,
}

pub(crate) const LOAD: &str = "Load";
pub(crate) const REQUESTS: &str = "Requests";
pub(crate) const MACHINE: &str = "Machine";
pub(crate) const RESULT: &str = "Result";

const USAGE: &str = "\
corelane-loadgen [run] [OPTIONS] URL...          measure
       corelane-loadgen search --slo 'p99<1ms' URL...   find the highest rate that meets it
       corelane-loadgen ab URL_A URL_B                  compare live targets, in turns
       corelane-loadgen compare A.json B.json           compare recorded runs
       corelane-loadgen report A.json...                make a page of recorded runs
       corelane-loadgen selftest                        prove this tool on this machine";

const AFTER_HELP: &str = "\
Exit codes: 0 fine, 1 could not run, 2 usage, 3 target missed, 4 invalid, 5 wrong answers.
Try it: corelane-loadgen --rate 50k --slo 'p99<1ms' http://127.0.0.1:5000/add";

impl Command {
    /// Reads the command line.
    ///
    /// # Errors
    /// `clap`'s, which knows whether it is help (exit 0) or a mistake (exit 2).
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
        let mut args: Vec<OsString> = args.into_iter().collect();
        let names_none = |first: &OsString| {
            let known = command_line();
            let is_version = ["-V", "--version"].contains(&&*first.to_string_lossy());
            !is_version && known.get_subcommands().all(|command| command.get_name() != first)
        };
        if args.get(1).is_none_or(names_none) {
            args.insert(args.len().min(1), "run".into());
        }
        let matches = command_line().try_get_matches_from(args).map_err(named)?;
        let command = CommandLine::from_arg_matches(&matches)?.command;
        match &command {
            Command::Run(run) => run.load.check()?,
            Command::Search(search) => search.check()?,
            Command::Ab(ab) => ab.load.check()?,
            Command::Compare(_) | Command::Report(_) | Command::Selftest(_) => {}
        }
        Ok(command)
    }
}

/// What is missing, by its name in the one line that is shown; `clap` has it in lines of its own.
fn named(error: clap::Error) -> clap::Error {
    match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::MissingRequiredArgument, Some(ContextValue::Strings(names))) => {
            usage(format!("missing: {}", names.join(", ")))
        }
        _ => error,
    }
}

/// A mistake in what was asked for.
pub(crate) fn usage(text: impl std::fmt::Display) -> clap::Error {
    command_line().error(ErrorKind::ValueValidation, text)
}

/// The command line as `--help` shows it: one screen, whichever way it is asked for.
pub fn command_line() -> clap::Command {
    let help = || Arg::new("help").short('h').long("help").action(ArgAction::HelpShort).help("Print this");
    CommandLine::command()
        .mut_subcommands(move |command| command.disable_help_flag(true).arg(help().help_heading(RESULT)))
}
