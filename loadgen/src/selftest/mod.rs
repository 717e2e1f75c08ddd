//! Proof that the generator tells the truth on this machine: runs against targets whose answer is known beforehand.
//!
//! In: where to run. Out: one [`Finding`] for each thing that is proved. Never: a bound that a busy machine could
//! break: noise can only make times longer, so what must not be shorter is held tight, and what may be longer is not.

mod checks;
pub mod target;

use crate::job::{Failure, Job};
use crate::model::Run;
use crate::options::Command;
use crate::run::{self, Unwatched};
use crate::selftest::target::{Behaviour, Counts};
use net::engine::Engine;
use net::percore::Cores;
use std::sync::atomic::AtomicBool;

/// One thing that was proved, or was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A few words: `a stall`.
    pub name: &'static str,
    /// What came out.
    pub result: Result,
    /// With numbers: what was known and what was found.
    pub found: String,
}

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Result {
    /// As known.
    Pass,
    /// Not as known: don't believe this tool here.
    Fail,
    /// Nothing to be known beforehand: what this machine can do.
    Measured,
}

/// Where to run.
#[derive(Clone, Debug)]
pub struct Place {
    /// The generator's lane.
    pub core: usize,
    /// The target, on another core if there is one.
    pub target_core: usize,
    /// Both run on it.
    pub engine: Engine,
}

impl Place {
    /// The last two of the cores.
    pub fn new(cores: &Cores, engine: Engine) -> std::result::Result<Place, Failure> {
        let cores = cores.resolve().map_err(|e| Failure::Usage(format!("--cores: {e}")))?;
        let last = cores.last().copied().unwrap_or(0);
        Ok(Place { core: last, target_core: cores.iter().rev().nth(1).copied().unwrap_or(last), engine })
    }
}

/// Proves what can be proved, one by one, and tells each. `quick` leaves out what only measures the machine.
pub fn prove(
    place: &Place,
    quick: bool,
    stop: &AtomicBool,
    mut tell: impl FnMut(&Finding),
) -> std::result::Result<Vec<Finding>, Failure> {
    let bench = Bench { place, stop };
    let mut findings = Vec::new();
    let measuring: &[checks::Check] = if quick { &[] } else { &checks::MEASURING };
    for check in checks::PROVING.iter().chain(measuring) {
        let finding = check(&bench)?;
        tell(&finding);
        findings.push(finding);
    }
    Ok(findings)
}

/// Runs the generator against a target.
struct Bench<'a> {
    place: &'a Place,
    stop: &'a AtomicBool,
}

impl Bench<'_> {
    /// One run with these options, as on the command line.
    fn run(&self, behaviour: Behaviour, options: &str) -> std::result::Result<(Run, Counts), Failure> {
        let Place { core, target_core, engine } = *self.place;
        let started = target::start(behaviour, (target_core != core).then_some(target_core), engine);
        let target = started.map_err(Failure::CannotRun)?;
        let line = format!(
            "corelane-loadgen run --cores {} --engine {} --pid off {options} http://{}/add",
            self.place.core, self.place.engine, target.address
        );
        let command = Command::read(line.split_whitespace().map(Into::into));
        let Ok(Command::Run(read)) = command else {
            return Err(Failure::CannotRun(format!("the self-test's own command line is wrong: {line}")));
        };
        let job = Job::new(line, &read.urls, &read.load)?;
        let run = run::measure(&job, &[], self.stop, &mut Unwatched)?;
        let counts = target.stop().map_err(Failure::CannotRun)?;
        if run.interrupted {
            return Err(Failure::CannotRun("stopped".to_owned()));
        }
        Ok((run, counts))
    }
}
