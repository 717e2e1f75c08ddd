//! What each command does, from its options to its exit code.

mod ab;
mod compare;
mod output;
mod report;
mod run;
mod search;
mod selftest;

use crate::job::Failure;
use crate::model::Run;
use crate::options::Command;
use crate::verdict;
use std::sync::atomic::AtomicBool;

/// How a command ended, as an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// All is well.
    Fine = 0,
    /// A target was missed, or a comparison came out worse.
    Missed = 3,
    /// The measurement must not be believed.
    Invalid = 4,
    /// Answers were wrong.
    WrongAnswers = 5,
}

impl Exit {
    /// What a run says. The worst counts.
    fn of(run: &Run) -> Exit {
        match run {
            _ if verdict::wrong_answers(run) > 0 => Exit::WrongAnswers,
            _ if !run.is_valid() => Exit::Invalid,
            _ if run.slos.iter().any(|slo| !slo.met) => Exit::Missed,
            _ => Exit::Fine,
        }
    }
}

/// Does it. `line` is the command line as it was typed, `stop` is set when the user wants it to end.
///
/// # Errors
/// It could not be done, or was not possible to begin with.
pub fn act(command: Command, line: String, stop: &AtomicBool) -> Result<Exit, Failure> {
    match command {
        Command::Run(options) => run::act(&options, line, stop),
        Command::Search(options) => search::act(&options, line, stop),
        Command::Ab(options) => ab::act(&options, line, stop),
        Command::Compare(options) => compare::act(&options),
        Command::Report(options) => report::act(&options),
        Command::Selftest(options) => selftest::act(&options, stop),
    }
}
