//! `corelane-balancer`: options, start, wait, exit code.

#![forbid(unsafe_code)]

use balancer::admin::client;
use balancer::command_line::{self, Run, Serve};
use balancer::serve::{self, Failure};
use net::command_line::one_line;
use net::notify::logs_to_journal;
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    match command_line::read(std::env::args_os()) {
        Ok(Run::Check(effective)) => {
            print!("{effective}");
            ExitCode::SUCCESS
        }
        Ok(Run::Serve(serve)) => match run(*serve) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failed(&failure, failure.exit_code()),
        },
        Ok(Run::Ask { admin, ask }) => match client::run(&admin, &ask, &mut std::io::stdout()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failed(&failure, failure.exit_code()),
        },
        Err(error) if error.use_stderr() => failed(&format_args!("{} (see --help)", one_line(&error)), 2),
        Err(help) => help.exit(),
    }
}

fn run(Serve { config, process, source }: Serve) -> Result<(), Failure> {
    let log = tracing_subscriber::fmt()
        .with_max_level(process.log)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // It would say on stderr that stderr is closed, and panic.
        .log_internal_errors(false);
    if logs_to_journal() {
        log.without_time().init()
    } else {
        log.init()
    }
    let running = serve::start(config, &process, source)?;
    running.obey_signals()?;
    // A closed stdout is no reason to end.
    let _ = write!(std::io::stdout(), "{running}");
    running.wait()
}

/// A closed stderr is no reason to end otherwise.
fn failed(why: &dyn Display, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "corelane-balancer: {why}");
    ExitCode::from(code)
}
