//! `run`: one measurement.

use super::{Exit, output};
use crate::job::{Failure, Job};
use crate::live::Live;
use crate::model::{Content, ErrorCount, Interval, Run};
use crate::options::RunOptions;
use crate::report::{hgrm, intervals};
use crate::run::{self, Observer};
use crate::timeline::Timeline;
use std::io::Write;
use std::sync::atomic::AtomicBool;

pub(super) fn act(options: &RunOptions, line: String, stop: &AtomicBool) -> Result<Exit, Failure> {
    output::check(&[&options.output.json, &options.output.html, &options.hgrm])?;
    let job = Job::new(line, &options.urls, &options.load)?;
    let written = options.intervals.as_deref().map(output::open).transpose()?;
    let mut watch = Watch { live: Live::new(options.output.quiet), written };
    let run = run::measure(&job, &options.slo, stop, &mut watch)?;
    let exit = Exit::of(&run);
    worked(&run)?;
    if let Some(path) = &options.hgrm {
        output::write(path, &hgrm::hgrm(&run.response))?;
    }
    let to_stdout =
        [&options.intervals, &options.hgrm].into_iter().flatten().any(|path| output::is_stdout(path));
    output::show(Content::Run(Box::new(run)), &options.output, to_stdout)?;
    Ok(exit)
}

/// If nothing ever worked there is nothing to report: one line says why.
pub(super) fn worked(run: &Run) -> Result<(), Failure> {
    if run.counts.completed + run.counts.wrong > 0 || run.interrupted {
        return Ok(());
    }
    // What was never sent had to wait for what failed: that is the reason.
    let is_cause = |error: &&ErrorCount| !error.kind.starts_with("not sent");
    let why = match run.errors.iter().find(is_cause).or(run.errors.first()) {
        Some(error) => format!("{} ({} times): {}", error.kind, error.count, error.example),
        None => "nothing was sent: a longer --duration, or a higher --rate?".to_owned(),
    };
    Err(Failure::CannotRun(format!("no request was answered: {why}")))
}

/// The live view, and the intervals' file.
struct Watch {
    live: Live,
    written: Option<Box<dyn Write>>,
}

impl Observer for Watch {
    fn begins(&mut self, job: &Job) {
        self.live.begins(job);
    }

    fn interval(&mut self, interval: &Interval, so_far: &Timeline) {
        self.live.interval(interval, so_far);
        if let Some(written) = &mut self.written {
            // A full disk must not end the run; the report will come.
            if writeln!(written, "{}", intervals::line(interval)).is_err() {
                self.written = None;
                self.live.say("the intervals can't be written any more");
            }
        }
    }

    fn ends(&mut self) {
        self.live.ends();
    }
}
