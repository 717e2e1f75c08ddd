//! A handler that does what no handler may: it waits, and its lane with it. For watching a watchdog: `cargo run -p server --example stall`.
//!
//! In: `GET /stall`. Out: the same as `/healthz`, four seconds later; nobody else on that lane is served meanwhile.

#![forbid(unsafe_code)]

use net::http1::{Request, Status};
use server::handlers::{Context, health};
use server::options::Options;
use server::routes::{Answer, Route};
use server::serve::{self, Failure};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

const ROUTES: &[Route] = &[Route::get("/stall", stall), Route::get("/healthz", health::healthz)];

fn stall(_: &Request<'_>, cx: &mut Context<'_>) -> Answer {
    thread::sleep(Duration::from_secs(4));
    cx.body.extend_from_slice(br#"{"status":"ok"}"#);
    Answer::Done(Status::OK)
}

fn main() -> ExitCode {
    let (options, _) = Options::read(std::env::args_os().collect::<Vec<_>>()).unwrap_or_else(|e| e.exit());
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("stall: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).with_target(false).init();
    let running = serve::start_with(options, ROUTES)?;
    running.obey_signals(options.drain_delay.0)?;
    println!("{running}");
    running.wait()
}
