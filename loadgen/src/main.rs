//! `corelane-loadgen`: options, run, report, exit code.

#![forbid(unsafe_code)]

use loadgen::commands::{self, Exit};
use loadgen::job::Failure;
use loadgen::options::Command;
use net::command_line::one_line;
use net::signals::{Signal, on_signal};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    let line = loadgen::command_line::shown(&args);
    let command = match Command::read(args) {
        Ok(command) => command,
        Err(error) if error.use_stderr() => {
            eprintln!("corelane-loadgen: {} (see --help)", one_line(&error));
            return ExitCode::from(2);
        }
        Err(help) => help.exit(),
    };
    match run(command, line) {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(failure) => {
            eprintln!("corelane-loadgen: {failure}");
            ExitCode::from(if matches!(failure, Failure::Usage(_)) { 2 } else { 1 })
        }
    }
}

fn run(command: Command, line: String) -> Result<Exit, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    let act = move |signal| match signal {
        // The second Ctrl-C is meant.
        Signal::Stop if asked.swap(true, Relaxed) => std::process::exit(130),
        Signal::Stop | Signal::Reload | Signal::HandOver => {}
    };
    on_signal(act).map_err(|e| Failure::CannotRun(format!("catch signals: {e}")))?;
    commands::act(command, line, &stop)
}
