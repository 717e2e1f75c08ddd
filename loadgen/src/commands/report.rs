//! `report`: a page of recorded runs.

use super::{Exit, output};
use crate::job::Failure;
use crate::live::to_stderr;
use crate::options::ReportOptions;
use crate::report::{html, json};

pub(super) fn act(options: &ReportOptions) -> Result<Exit, Failure> {
    let read = |path: &std::path::PathBuf| json::read(path).map_err(Failure::Usage);
    let documents = options.files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    output::write(&options.html, &html::html(&documents))?;
    if !output::is_stdout(&options.html) {
        to_stderr(&format!("written: {}\n", options.html.display()));
    }
    Ok(Exit::Fine)
}
