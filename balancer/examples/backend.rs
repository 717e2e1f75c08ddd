//! A server to put behind the balancer: `/add` as a process of its own, that tests can stop and kill.
//!
//! In: the options of `corelane-server`. Out: the same start block, with the port that the kernel chose.

#![forbid(unsafe_code)]

use server::options::Options;
use server::serve::{self, Failure};
use std::process::ExitCode;

fn main() -> ExitCode {
    let (options, _) = Options::read(std::env::args_os().collect::<Vec<_>>()).unwrap_or_else(|e| e.exit());
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("backend: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    let running = serve::start(options)?;
    running.obey_signals(options.drain_delay.0)?;
    println!("{running}");
    running.wait()
}
