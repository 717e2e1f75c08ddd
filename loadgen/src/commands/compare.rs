//! `compare`: recorded runs, for people and for CI.

use super::{Exit, output};
use crate::compare;
use crate::job::Failure;
use crate::model::{Comparison, Content, Run};
use crate::options::CompareOptions;
use crate::report::json;
use std::path::Path;

pub(super) fn act(options: &CompareOptions) -> Result<Exit, Failure> {
    output::check(&[&options.output.json, &options.output.html])?;
    let (a, b) = (read(&options.a)?, read(&options.b)?);
    let comparison = compare::compare((options.a.clone(), &a), (options.b.clone(), &b));
    let comparison =
        comparison.ok_or_else(|| Failure::Usage("give at least one run for each side".to_owned()))?;
    let exit = exit(&comparison);
    output::show(Content::Comparison(Box::new(comparison)), &options.output, false)?;
    Ok(exit)
}

/// What a comparison says to CI.
pub(super) fn exit(comparison: &Comparison) -> Exit {
    match compare::exit_word(comparison, &compare::GATE_MEASURES) {
        compare::Exit::Fine => Exit::Fine,
        compare::Exit::Worse => Exit::Missed,
        compare::Exit::Invalid => Exit::Invalid,
    }
}

/// The runs of `A1.json,A2.json`.
fn read(files: &str) -> Result<Vec<Run>, Failure> {
    let one = |file: &str| match json::read(Path::new(file)).map_err(Failure::Usage)?.content {
        Content::Run(run) => Ok(*run),
        Content::Search(search) => Ok(search.run),
        Content::Comparison(_) => Err(Failure::Usage(format!(
            "{file} is a comparison already; give runs, or show it with `report`"
        ))),
    };
    files.split(',').filter(|file| !file.is_empty()).map(one).collect()
}
