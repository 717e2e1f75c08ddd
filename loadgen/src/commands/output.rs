//! Where results go: files, or `-` for stdout; the text report goes to stdout unless something else does.

use crate::job::Failure;
use crate::live::to_stderr;
use crate::model::{Content, Document, FORMAT};
use crate::options::Output;
use crate::report::{html, json, text};
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

/// Shows and writes what was measured.
pub(super) fn show(content: Content, output: &Output, stdout_is_taken: bool) -> Result<(), Failure> {
    let document = Document { corelane_loadgen: FORMAT, content };
    let is_taken =
        stdout_is_taken || [&output.json, &output.html].into_iter().flatten().any(|path| is_stdout(path));
    if is_taken {
        let colour = wants_colour(io::stderr().is_terminal());
        to_stderr(&text::text(&document, colour));
    } else {
        let colour = wants_colour(io::stdout().is_terminal());
        print(&text::text(&document, colour))?;
    }
    if let Some(path) = &output.json {
        write(path, &json::write(&document))?;
    }
    if let Some(path) = &output.html {
        write(path, &html::html(std::slice::from_ref(&document)))?;
    }
    Ok(())
}

/// Writes to stdout.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    put(&mut io::stdout().lock(), text, Path::new("stdout"))
}

/// Whether a path means the standard output.
pub(super) fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Writes a whole file.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    put(&mut *open(path)?, text, path)
}

/// A file to write to, or stdout. Opened before a long run, so that a wrong path is found at once.
pub(super) fn open(path: &Path) -> Result<Box<dyn Write>, Failure> {
    if is_stdout(path) {
        return Ok(Box::new(io::stdout()));
    }
    let file =
        File::create(path).map_err(|e| Failure::CannotRun(format!("write {}: {e}", path.display())))?;
    Ok(Box::new(file))
}

/// Finds out before a long run whether its result can be written.
pub(super) fn check(paths: &[&Option<std::path::PathBuf>]) -> Result<(), Failure> {
    for path in paths.iter().filter_map(|path| path.as_ref()).filter(|path| !is_stdout(path)) {
        let is_new = path.symlink_metadata().is_err();
        let opened = File::options().append(true).create(true).open(path);
        opened.map_err(|e| Failure::CannotRun(format!("write {}: {e}", path.display())))?;
        if is_new {
            // A run that can't begin leaves nothing behind. If it stays, it is empty.
            let _ = std::fs::remove_file(path);
        }
    }
    Ok(())
}

fn put(to: &mut dyn Write, text: &str, path: &Path) -> Result<(), Failure> {
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        // Whoever reads has read enough (`| head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|e| Failure::CannotRun(format!("write {}: {e}", path.display()))),
    }
}

/// <https://no-color.org>
fn wants_colour(is_terminal: bool) -> bool {
    is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
