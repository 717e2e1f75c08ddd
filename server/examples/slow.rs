//! An endpoint that takes 200 ms, beside `/add`, on the same lanes: `cargo run -p server --example slow`.
//!
//! In: `POST /slow` with any JSON body. Out: `{"bytes":<its length>}`, 200 ms later. The lane that read the request
//! serves everybody else meanwhile.

#![forbid(unsafe_code)]

use net::http1::{Request, Status};
use server::handlers::{Context, add, health};
use server::options::Options;
use server::routes::{Answer, Caching, Reply, Route};
use server::serve::{self, Failure};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

const ROUTES: &[Route] = &[
    Route::post("/add", add::respond).cached(Caching::Forever),
    Route::post("/slow", slow),
    Route::get("/healthz", health::healthz),
    Route::get("/readyz", health::readyz),
];

/// Runs on the lane: takes what the job needs of the request, and returns at once.
fn slow(request: &Request<'_>, _: &mut Context<'_>) -> Answer {
    let bytes = request.body.len();
    Answer::Later(Box::new(move || work(bytes)))
}

/// Runs on a worker, which may wait.
fn work(bytes: usize) -> Reply {
    thread::sleep(Duration::from_millis(200));
    Reply { status: Status::OK, body: format!(r#"{{"bytes":{bytes}}}"#).into_bytes() }
}

fn main() -> ExitCode {
    let (options, _) = Options::read(std::env::args_os().collect::<Vec<_>>()).unwrap_or_else(|e| e.exit());
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("slow: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    let running = serve::start_with(options, ROUTES)?;
    running.obey_signals(options.drain_delay.0)?;
    println!("{running}");
    running.wait()
}
