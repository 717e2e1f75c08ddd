//! `corelane-server`: options, start, wait, exit code.

#![forbid(unsafe_code)]

use net::notify::logs_to_journal;
use server::options::{self, Options};
use server::serve::{self, Failure};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let (options, matches) = match Options::read(std::env::args_os().collect::<Vec<_>>()) {
        Ok(read) => read,
        Err(error) if error.use_stderr() => {
            eprintln!("corelane-server: {} (see --help)", options::one_line(&error));
            return ExitCode::from(2);
        }
        Err(help) => help.exit(),
    };
    if options.check {
        print!("{}", options::effective(&matches));
        return ExitCode::SUCCESS;
    }
    let to_terminal = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt()
        .with_max_level(options.log)
        .with_writer(std::io::stderr)
        .with_ansi(to_terminal)
        .with_target(false)
        // It would say on stderr that stderr is closed, and panic.
        .log_internal_errors(false);
    if logs_to_journal() {
        log.without_time().init()
    } else {
        log.init()
    }
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("corelane-server: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    let running = serve::start(options)?;
    running.obey_signals(options.drain_delay.0)?;
    // A closed stdout is no reason to end.
    let _ = writeln!(std::io::stdout(), "{running}");
    running.wait()
}
