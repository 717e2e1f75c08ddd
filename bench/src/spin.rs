//! `bench latency-spin`: what busy polling buys, at one connection.
//!
//! Two clients, because each end that sleeps adds a wake-up: wrk, which sleeps, and our own, which spins as well
//! and so shows the server's part alone.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use crate::contender::{self, Contender, Run};
use crate::failure::Failure;
use crate::report::{self, Table, ends, median};
use crate::request::{self, PATIENCE, REQUEST};
use crate::stats::{Spread, percentile};
use crate::wrk::{Load, Wrk};
use crate::{child, proc, rounds};

/// The contender without busy polling, to which the others are set in proportion.
const BASELINE: &str = "corelane-uring";

/// Options of `bench latency-spin`.
#[derive(Args, Debug)]
#[group(id = "spin")]
pub(crate) struct Options {
    /// Only these contenders
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    only: Vec<String>,
    #[command(flatten)]
    pace: rounds::Options,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Client {
    Wrk,
    Spinning,
}

impl Client {
    fn name(self) -> &'static str {
        match self {
            Self::Wrk => "wrk (sleeps)",
            Self::Spinning => "spinning",
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    p50_us: f64,
    p99_us: f64,
    cpu_us: f64,
}

type Series = rounds::Series<(&'static Contender, Client), Sample>;

/// Measures, prints, writes.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let machine = options.pace.begin()?;
    let wrk = Wrk::find(options.pace.cores.client_core)?;
    let field = contender::select(Run::Spin, &options.only)?;

    let clients = [Client::Wrk, Client::Spinning];
    let pairs = clients.iter().flat_map(|&client| field.present.iter().map(move |&one| (one, client)));
    let mut series: Vec<Series> = pairs.map(Series::new).collect();
    let broken = options.pace.go(
        Duration::from_secs(options.pace.seconds()),
        &mut series,
        |(contender, client)| format!("{}, {}", contender.name, client.name()),
        |&(contender, client)| measure(contender, client, &wrk, options),
    )?;

    let mut notes = vec![
        "One connection, one request at a time; medians over rounds, ratios within a round. The spinning client \
         never sleeps, so what it sees is the server's wake-up and work."
            .to_owned(),
    ];
    notes.extend(field.skipped);
    notes.extend(broken.0.iter().cloned());
    let results = series.iter().map(|one| json(one, &series, options)).collect::<Vec<_>>();
    let name = options.pace.name_of("latency-spin");
    report::publish(&options.pace.report, &machine, &name, &[table(&series)], &notes, &json!(results))?;
    broken.outcome()
}

fn measure(contender: &Contender, client: Client, wrk: &Wrk, options: &Options) -> Result<Sample, Failure> {
    let server = contender.start(&options.pace.cores.server_core.to_string())?;
    request::check(server.address)?;
    let before = proc::cpu_time(server.child.pid())?;
    let (answers, p50_us, p99_us) = match client {
        Client::Wrk => {
            let load = Load { connections: 1, depth: 1 };
            let outcome = wrk.drive(server.address, load, options.pace.seconds())?;
            (outcome.answers, outcome.p50_us as f64, outcome.p99_us as f64)
        }
        Client::Spinning => {
            let nanos = spin(server.address, options.pace.cores.client_core, options.pace.seconds())?;
            let at = |percent| f64::from(percentile(&nanos, percent)) / 1e3;
            (nanos.len() as u64, at(50.0), at(99.0))
        }
    };
    let cpu = proc::cpu_time(server.child.pid())?.saturating_sub(before);
    Ok(Sample { p50_us, p99_us, cpu_us: cpu.as_secs_f64() * 1e6 / answers.max(1) as f64 })
}

/// Asks as fast as it is answered, without ever sleeping; returns each answer's time in nanoseconds, sorted.
fn spin(server: SocketAddr, core: usize, seconds: u64) -> Result<Vec<u32>, Failure> {
    // A thread of its own, so that only it is pinned, and not whatever this process starts next.
    let client = thread::spawn(move || {
        core_affinity::set_for_current(core_affinity::CoreId { id: core });
        let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
        stream.set_nodelay(true)?;
        let answer_bytes = request::ask(&mut stream)?;
        stream.set_nonblocking(true)?;

        let end = Instant::now() + Duration::from_secs(seconds);
        let mut nanos = Vec::with_capacity(1 << 18);
        loop {
            let sent = Instant::now();
            if sent > end {
                break;
            }
            child::check_stopped()?;
            stream.write_all(REQUEST.as_bytes())?;
            receive(&mut stream, answer_bytes, sent + PATIENCE)?;
            nanos.push(u32::try_from(sent.elapsed().as_nanos()).unwrap_or(u32::MAX));
        }
        nanos.sort_unstable();
        Ok(nanos)
    });
    client.join().unwrap_or_else(|_| Err(Failure::run("the spinning client panicked")))
}

/// Spins until an answer of a known length has arrived.
fn receive(stream: &mut TcpStream, answer_bytes: usize, deadline: Instant) -> Result<(), Failure> {
    let mut buffer = [0; 4096];
    let mut len = 0;
    while len < answer_bytes {
        match stream.read(&mut buffer) {
            Ok(0) => return Err(Failure::run("the server closed the connection")),
            Ok(bytes) => len += bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < deadline => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn table(all: &[Series]) -> Table {
    let mut table =
        Table::new(&["contender", "client", "p50 µs", "[min..max]", "× without", "p99 µs", "CPU µs/req"]);
    for one in all {
        let (contender, client) = one.who;
        let p50 = one.spread(|sample| sample.p50_us);
        table.row(vec![
            contender.name.into(),
            client.name().into(),
            median(p50, 1),
            ends(p50, 1),
            median(over_baseline(one, all), 2),
            median(one.spread(|sample| sample.p99_us), 1),
            median(one.spread(|sample| sample.cpu_us), 2),
        ]);
    }
    table
}

fn over_baseline(one: &Series, all: &[Series]) -> Option<Spread> {
    let other = all.iter().find(|each| each.who.0.name == BASELINE && each.who.1 == one.who.1)?;
    one.over(other, |sample| sample.p50_us)
}

fn json(one: &Series, all: &[Series], options: &Options) -> serde_json::Value {
    let spread = |value: fn(&Sample) -> f64| one.spread(value).map(Spread::json);
    let (contender, client) = one.who;
    json!({
        "contender": contender.name,
        "command": contender.command(&options.pace.cores.server_core.to_string()),
        "client": client.name(),
        "p50_us": spread(|sample| sample.p50_us),
        "p50_over_baseline": over_baseline(one, all).map(Spread::json),
        "p99_us": spread(|sample| sample.p99_us),
        "cpu_us_per_request": spread(|sample| sample.cpu_us),
    })
}
