//! One connection, one request at a time, with and without busy polling: the second half of `bench compare latency`.
//!
//! Two clients, because each end that sleeps adds a wake-up: our generator, which sleeps, and one of this file, which
//! spins and so shows the server's part alone.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::speed::START;
use crate::contender::{self, Contender, Run};
use crate::drive::loadgen::{Load, Loadgen, Pace};
use crate::drive::{self, Shape};
use crate::failure::Failure;
use crate::report::{Found, Table, ends, median};
use crate::request::{self, Asks, PATIENCE, REQUEST};
use crate::results::{CPU, P50, P99, P999, Row, Sample, find};
use crate::stats::percentile;
use crate::{child, proc, rounds};

/// The contender without busy polling, to which the others are set in proportion.
const BASELINE: &str = "corelane-uring";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Client {
    Sleeping,
    Spinning,
}

impl Client {
    const ALL: [Self; 2] = [Self::Sleeping, Self::Spinning];

    /// The case of its rows.
    fn name(self) -> &'static str {
        match self {
            Self::Sleeping => SLEEPING,
            Self::Spinning => SPINNING,
        }
    }
}

/// The cases, which aims name.
pub(crate) const SLEEPING: &str = "one connection, client sleeps";
pub(crate) const SPINNING: &str = "one connection, client spins";

type Series = rounds::Series<(&'static Contender, Client), Sample>;

/// Measures, and adds its table; does nothing where nobody of this half was asked for.
pub(super) fn run(pace: &rounds::Options, only: &[String], found: &mut Found) -> Result<(), Failure> {
    let Ok(field) = contender::select(Run::Spin, only) else { return Ok(()) };
    let core = pace.cores.client_core;
    let loadgen = Loadgen::find(core, core.to_string())?;
    let pairs = Client::ALL.iter().flat_map(|&client| field.present.iter().map(move |&one| (one, client)));
    let mut series: Vec<Series> = pairs.map(Series::new).collect();
    let broken = pace.go(
        pace.window() + pace.warmup() + START * 2,
        &mut series,
        |(contender, client)| format!("{}, {}", contender.name, client.name()),
        |&(contender, client)| measure(contender, client, &loadgen, pace),
    )?;
    found.broken.0.extend(broken.0);
    let cores = pace.cores.server_core.to_string();
    let row = |one: &Series| one.who.0.row(one.who.1.name(), &cores).filled(one.samples.iter());
    let rows: Vec<Row> = series.iter().map(row).collect();
    found.tables.push(table(&rows).titled("One connection, one request at a time"));
    found.notes.push(
        "One connection: the client that spins never sleeps, so what it sees is the server's wake-up and work. × without: p50 \
         over that of the same server without --busy-poll, within each round."
            .to_owned(),
    );
    found.rows.extend(rows);
    Ok(())
}

fn measure(
    contender: &Contender,
    client: Client,
    loadgen: &Loadgen,
    pace: &rounds::Options,
) -> Result<Sample, Failure> {
    let server = contender.start(&pace.cores.server_core.to_string())?;
    request::check(server.address)?;
    if client == Client::Sleeping {
        let shape = Shape { connections: 1, depth: 1 };
        let (window, warmup) = (pace.window(), pace.warmup());
        let load = Load { engine: "uring", shape, window, warmup, pace: Pace::Closed, asks: Asks::Fixed };
        return drive::measure(loadgen, &server, &load);
    }
    let before = proc::cpu_time(server.child.pid())?;
    let nanos = spin(server.address, pace.cores.client_core, pace.window())?;
    let cpu = proc::cpu_time(server.child.pid())?.saturating_sub(before);
    let at = |percent| f64::from(percentile(&nanos, percent)) / 1e3;
    let cpu_us = cpu.as_secs_f64() * 1e6 / nanos.len() as f64;
    Ok(Sample::from([(P50, at(50.0)), (P99, at(99.0)), (P999, at(99.9)), (CPU, cpu_us)]))
}

/// Asks as fast as it is answered, without ever sleeping; returns each answer's time in nanoseconds, sorted.
fn spin(server: SocketAddr, core: usize, window: Duration) -> Result<Vec<u32>, Failure> {
    // A thread of its own, so that only it is pinned, and not whatever this process starts next.
    let client = thread::spawn(move || {
        core_affinity::set_for_current(core_affinity::CoreId { id: core });
        let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
        stream.set_nodelay(true)?;
        let answer_bytes = request::ask(&mut stream)?;
        stream.set_nonblocking(true)?;

        let end = Instant::now() + window;
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
        match nanos.is_empty() {
            true => Err(Failure::run("not one answer")),
            false => Ok(nanos),
        }
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

fn table(all: &[Row]) -> Table {
    let head =
        ["contender", "client", "p50 µs", "[min..max]", "× without", "p99 µs", "p99.9 µs", "CPU µs/req"];
    let mut table = Table::new(&head);
    for row in all {
        let p50 = row.spread(P50);
        let without = find(all, BASELINE, &row.case).and_then(|other| row.over(other, P50));
        table.row(vec![
            row.contender.clone(),
            row.case.rsplit(' ').next().unwrap_or_default().to_owned(),
            median(p50, 1),
            ends(p50, 1),
            median(without, 2),
            median(row.spread(P99), 1),
            median(row.spread(P999), 1),
            median(row.spread(CPU), 2),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_set_in_proportion_to_the_one_that_sleeps() {
        let row = |name: &str, p50| {
            let sample = Sample::from([(P50, p50)]);
            contender::named(name).unwrap().row(SPINNING, "0").filled([&sample].into_iter())
        };
        let text = table(&[row(BASELINE, 20.0), row("corelane-uring-busy", 5.0)]).text();
        let cells: Vec<_> = text.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(cells[..5], ["corelane-uring-busy", "spins", "5.0", "[5.0..5.0]", "0.25"]);
    }
}
