//! CPU per proxied request, over TCP and over a Unix socket, with the generator asking as fast as it is answered.
//!
//! In: the proxies. Out: what each reached (its saturation), and the tables. CPU is the proxy's, all of its tasks, from
//! the middle of a window, over the right answers of that time: it does not depend on who was the limit.

use std::collections::BTreeMap;

use super::backend::Transport;
use super::proxies::Proxy;
use super::{Bench, Part};
use crate::compare::speed::START;
use crate::compare::tables;
use crate::drive;
use crate::drive::loadgen::Pace;
use crate::failure::Failure;
use crate::report::{Found, Table, ends, median};
use crate::results::{CPU, ERRORS, RATE, Row, Sample, find};
use crate::rounds;

/// The case of requests over TCP, which aims name.
pub(crate) const OVER_TCP: &str = "TCP";

type Series = rounds::Series<(&'static Proxy, Transport), Sample>;

/// Requests per second that each reached over TCP, by its name.
pub(super) type Reached = BTreeMap<&'static str, f64>;

/// Measures everybody over what the parts need, and adds their tables.
pub(super) fn run(bench: &Bench<'_>, parts: &[Part], found: &mut Found) -> Result<Reached, Failure> {
    let transports = match parts.contains(&Part::Unix) {
        true => &[Transport::Tcp, Transport::Unix][..],
        false => &[Transport::Tcp],
    };
    let is_case = |(proxy, over): &(&Proxy, Transport)| *over == Transport::Tcp || proxy.is_in_everything();
    let cases = bench
        .field
        .present
        .iter()
        .flat_map(|&proxy| transports.iter().map(move |&over| (proxy, over)))
        .filter(is_case);
    let mut series: Vec<Series> = cases.map(Series::new).collect();
    let guess = bench.pace.window() + bench.pace.warmup() + START * 2;
    let rounds = match parts {
        [Part::Latency] | [Part::Latency, Part::Memory] => 1,
        _ => bench.pace.rounds(),
    };
    let name = |(proxy, over): &(&Proxy, Transport)| format!("{} over {}", proxy.name, over.name());
    let broken = rounds::go(rounds, guess, &mut series, name, |&(proxy, over)| measure(bench, proxy, over))?;
    found.broken.0.extend(broken.0);

    let measured: Vec<Row> =
        series.iter().map(|one| one.who.0.row(one.who.1.name()).filled(one.samples.iter())).collect();
    if parts.contains(&Part::Cpu) {
        found.tables.push(tables::speed(&measured, OVER_TCP, "CPU per proxied request, backend over TCP"));
        found.notes.push(tables::SPEED_EXPLAINED.to_owned());
        let title = "CPU per proxied request in µs".to_owned();
        let below = "less is better; medians, and from the smallest to the largest of the rounds";
        found.charts.push(tables::bars(&measured, OVER_TCP, (CPU, 2), "cpu", title, below));
    }
    if parts.contains(&Part::Unix) {
        found.tables.push(unix_table(&measured));
    }
    found.rows.extend(measured);
    Ok(reached(&series))
}

/// One visit: backend and proxy started, checked, driven, ended.
fn measure(bench: &Bench<'_>, proxy: &Proxy, over: Transport) -> Result<Sample, Failure> {
    let (_backend, server) = bench.start(proxy, over)?;
    let sample = drive::measure(&bench.loadgen, &server, &bench.load(Pace::Closed))?;
    match sample.get(ERRORS) {
        Some(&errors) if errors > 0.0 => Err(Failure::run(format!("{errors} requests failed"))),
        _ => Ok(sample),
    }
}

fn reached(all: &[Series]) -> Reached {
    let tcp = all.iter().filter(|one| one.who.1 == Transport::Tcp);
    tcp.filter_map(|one| {
        let row = one.who.0.row(OVER_TCP).filled(one.samples.iter());
        Some((one.who.0.name.as_str(), row.spread(RATE)?.median))
    })
    .collect()
}

fn unix_table(all: &[Row]) -> Table {
    let head = [
        "contender",
        "TCP CPU µs/req",
        "Unix CPU µs/req",
        "Unix × TCP",
        "[min..max]",
        "TCP req/s",
        "Unix req/s",
    ];
    let mut table = Table::new(&head).titled("Backend on a Unix socket against TCP");
    for unix in all.iter().filter(|row| row.case == Transport::Unix.name()) {
        let Some(tcp) = find(all, &unix.contender, OVER_TCP) else { continue };
        let ratio = unix.over(tcp, CPU);
        table.row(vec![
            unix.contender.clone(),
            median(tcp.spread(CPU), 2),
            median(unix.spread(CPU), 2),
            median(ratio, 2),
            ends(ratio, 2),
            median(tcp.spread(RATE), 0),
            median(unix.spread(RATE), 0),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::proxies::PROXIES;
    use super::*;

    fn series(name: &str, over: Transport, cpu_us: &[f64]) -> Series {
        let sample = |&us: &f64| Sample::from([(CPU, us), (RATE, 1000.0 * us)]);
        let proxy = PROXIES.iter().find(|proxy| proxy.name == name).unwrap();
        Series { who: (proxy, over), samples: cpu_us.iter().map(sample).collect() }
    }

    fn all() -> Vec<Series> {
        vec![
            series("floor-uring", Transport::Tcp, &[8.0, 10.0]),
            series("ours-uring", Transport::Tcp, &[8.0, 12.0]),
            series("nginx", Transport::Tcp, &[10.0, 30.0]),
            series("ours-uring", Transport::Unix, &[4.0, 6.0]),
        ]
    }

    #[test]
    fn only_who_was_measured_over_both_is_set_against_itself() {
        let rows: Vec<Row> =
            all().iter().map(|one| one.who.0.row(one.who.1.name()).filled(one.samples.iter())).collect();
        let text = unix_table(&rows).text();
        assert!(text.lines().last().unwrap().contains("0.50  [0.50..0.50]"), "{text}");
        assert_eq!(text.lines().count(), 4, "{text}");
    }

    #[test]
    fn what_was_reached_is_the_median_over_tcp() {
        let reached = reached(&all());
        assert_eq!(reached["ours-uring"], 10_000.0);
        assert_eq!(reached.len(), 3);
    }
}
