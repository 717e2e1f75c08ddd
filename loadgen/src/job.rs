//! From options to what is going to be done: names resolved, files read, cores chosen.
//!
//! In: options. Out: a [`Job`] that can be run again and again, with another rate, length or seed. Whatever can be
//! wrong with what the user gave is found here, before anything is sent.

use crate::model::{Load, Piece};
use crate::options::{CoresChoice, LoadOptions};
use crate::process::Watch;
use crate::schedule::ArrivalKind;
use crate::url::{self, Url};
use crate::workload::{Kind, Source, Spec, Workload};
use net::address::Address;
use net::engine::Probe;
use net::percore::Cores;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Why nothing was measured. The text is one line for the user.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was asked for can't be: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// It could not be done: exit code 1.
    #[error("{0}")]
    CannotRun(String),
}

/// Everything that a measurement needs.
#[derive(Clone)]
pub struct Job {
    /// What the user typed.
    pub command: String,
    /// Where to, and how often each.
    pub urls: Vec<Url>,
    /// Where to connect.
    pub address: Address,
    /// What requests hold.
    pub workload: Arc<Workload>,
    /// Its kind, for the report.
    pub kind: Kind,
    /// The offered rate; `None` in a closed loop.
    pub pieces: Option<Vec<Piece>>,
    /// The gaps between requests.
    pub arrivals: ArrivalKind,
    /// Connections of all lanes.
    pub connections: usize,
    /// Made per second.
    pub connections_per_second: Option<f64>,
    /// In flight on a connection.
    pub pipeline: usize,
    /// A connection is closed after so many.
    pub requests_per_connection: Option<u64>,
    /// For an answer.
    pub timeout: Duration,
    /// In front of the window.
    pub warmup: Duration,
    /// Length of the window.
    pub duration: Duration,
    /// Instead of the duration.
    pub requests: Option<u64>,
    /// Of everything random.
    pub seed: u64,
    /// The engine, and why.
    pub probe: Probe,
    /// One lane on each.
    pub cores: Vec<usize>,
    /// How long before a request is due to stop sleeping.
    pub spin: Duration,
    /// The served process.
    pub watch: Option<Watch>,
}

/// A schedule that only a number of requests ends.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 86_400);

impl Job {
    /// What the options ask for.
    ///
    /// # Errors
    /// What of them can't be, and what could.
    pub fn new(command: String, urls: &[Url], options: &LoadOptions) -> Result<Job, Failure> {
        // What the user can put right is told first, even where no server runs.
        let place = url::common_place(urls).map_err(Failure::Usage)?;
        let kind = options.workload.unwrap_or_else(|| kind_of(urls, options));
        let spec = spec(urls, kind, options)?;
        let workload = Workload::new(spec).map_err(Failure::Usage)?;
        let probe = options.engine.resolve().map_err(|e| Failure::CannotRun(e.to_string()))?;
        let addresses = place.resolve().map_err(Failure::CannotRun)?;
        let address = reachable(&addresses, options.timeout.0)?;
        let watch = Watch::find(&options.pid, &address).map_err(Failure::Usage)?;
        let cores = cores(options, watch.as_ref())?;
        let mut job = Job {
            command,
            urls: urls.to_vec(),
            address,
            workload: Arc::new(workload),
            kind,
            pieces: None,
            arrivals: options.arrivals,
            connections: options.connections as usize,
            connections_per_second: options.connections_per_second.map(|rate| rate.from),
            pipeline: usize::from(options.pipeline),
            requests_per_connection: options.requests_per_connection,
            timeout: options.timeout.0,
            warmup: options.warmup().0,
            duration: options.duration.0,
            requests: options.requests,
            seed: options.seed,
            probe,
            cores,
            spin: options.spin.0,
            watch,
        };
        let length = if job.requests.is_some() { FOR_EVER } else { job.duration };
        job.pieces = options.rate.map(|rate| pieces(rate.from, rate.to, options.steps, length));
        // A lane without a connection, or without a request, would have nothing to do.
        let lanes = job.cores.len().min(job.connections).min(job.requests.unwrap_or(u64::MAX) as usize);
        job.cores.truncate(lanes);
        Ok(job)
    }

    /// The same in a closed loop.
    pub fn closed(&self) -> Job {
        Job { pieces: None, ..self.clone() }
    }

    /// The same at a rate, for so long.
    pub fn held(&self, rate: f64, duration: Duration) -> Job {
        Job { pieces: Some(pieces(rate, rate, None, duration)), duration, requests: None, ..self.clone() }
    }

    /// The same with a rate that rises or falls.
    pub fn ramp(&self, from: f64, to: f64, duration: Duration) -> Job {
        Job { pieces: Some(pieces(from, to, None, duration)), duration, requests: None, ..self.clone() }
    }

    /// How requests come to be due, for the record.
    pub fn load(&self) -> Load {
        match &self.pieces {
            None => Load::Closed,
            Some(pieces) => Load::Open { arrivals: self.arrivals.to_string(), pieces: pieces.clone() },
        }
    }
}

/// The offered rate over `length`.
fn pieces(from: f64, to: f64, steps: Option<u16>, length: Duration) -> Vec<Piece> {
    let Some(steps) = steps.map(u32::from) else {
        return vec![Piece { length_ns: length.as_nanos() as u64, from, to }];
    };
    let piece = |n: u32| {
        let rate = from + (to - from) * f64::from(n) / f64::from(steps - 1);
        Piece { length_ns: (length / steps).as_nanos() as u64, from: rate, to: rate }
    };
    (0..steps).map(piece).collect()
}

/// The first of the addresses that takes a connection.
fn reachable(addresses: &[Address], timeout: Duration) -> Result<Address, Failure> {
    let mut why = "the name has no address".to_owned();
    for address in addresses {
        let tried = match address {
            Address::Tcp(address) => TcpStream::connect_timeout(address, timeout).map(drop),
            Address::Unix(path) => UnixStream::connect(path).map(drop),
        };
        match tried {
            Ok(()) => return Ok(address.clone()),
            Err(error) => why = format!("{address}: {error}; is the server running there?"),
        }
    }
    Err(Failure::CannotRun(format!("can't connect to {why}")))
}

/// What a URL alone asks for.
fn kind_of(urls: &[Url], options: &LoadOptions) -> Kind {
    let is_add = urls.iter().all(|url| url.target == "/add");
    let says_more = options.body.is_some()
        || options.body_file.is_some()
        || options.body_lines.is_some()
        || options.method.as_deref().is_some_and(|method| method != "POST");
    if is_add && !says_more { Kind::Add } else { Kind::Requests }
}

fn spec(urls: &[Url], kind: Kind, options: &LoadOptions) -> Result<Spec, Failure> {
    let field = |text: &String| match text.split_once(':') {
        Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
        None => Err(Failure::Usage(format!("--header `{text}` has no colon: write it as in 'name: value'"))),
    };
    let text = match (&options.body, &options.body_file) {
        (Some(text), _) => Some(text.clone()),
        (None, Some(path)) => Some(read(path, "--body-file")?),
        (None, None) => None,
    };
    let lines = options.body_lines.as_deref().map(|path| read(path, "--body-lines")).transpose()?;
    let lines = lines.map(|lines| lines.lines().map(str::to_owned).collect());
    let body = match (text, lines) {
        (None, None) => Source::None,
        (Some(text), None) => Source::Text(text),
        (None, Some(lines)) => Source::Lines(lines),
        (Some(text), Some(lines)) => Source::TextWithLines { text, lines },
    };
    Ok(Spec {
        urls: urls.to_vec(),
        kind,
        method: options.method.clone(),
        headers: options.header.iter().map(field).collect::<Result<_, _>>()?,
        body,
        keys: options.keys.unwrap_or(0),
        zipf: options.zipf,
        expect_status: options.expect_status.clone(),
        expect_body: options.expect_body.clone(),
        expect_json: options.expect_json.clone(),
    })
}

fn read(path: &Path, option: &str) -> Result<String, Failure> {
    let wrong = |e| Failure::Usage(format!("{option} {}: {e}", path.display()));
    std::fs::read_to_string(path).map_err(wrong)
}

/// Where the lanes run.
fn cores(options: &LoadOptions, watch: Option<&Watch>) -> Result<Vec<usize>, Failure> {
    let wrong = |e| Failure::Usage(format!("--cores: {e}"));
    let all = match &options.cores {
        CoresChoice::These(cores) => return cores.resolve().map_err(wrong),
        CoresChoice::Auto => Cores::All.resolve().map_err(wrong)?,
    };
    let taken = watch.map(Watch::pinned_cpus).unwrap_or_default();
    let free: Vec<usize> = all.iter().copied().filter(|core| !taken.contains(core)).collect();
    Ok(match watch {
        _ if free.is_empty() => all,
        // It is on this machine, and may run anywhere: half is left to it.
        Some(_) if taken.is_empty() && all.len() > 1 => all[all.len() / 2..].to_vec(),
        _ => free,
    })
}
