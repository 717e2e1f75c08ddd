//! CPU per proxied request, over TCP and over a Unix socket, with the generator asking as fast as it is answered.
//!
//! In: the proxies. Out: what each reached (its saturation), and the tables. CPU is the proxy's from its first request
//! to its last, all of its tasks, over all right answers: it does not depend on who was the limit.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::backend::Transport;
use super::proxies::{FLOOR, Proxy};
use super::{Bench, Found, Part};
use crate::failure::Failure;
use crate::loadgen::{Outcome, Pace};
use crate::report::{Table, ends, median};
use crate::stats::Spread;
use crate::{proc, rounds};

/// What we aim at, in CPU per request: at most so many times the floor's, and the better peer's.
const AIM_OVER_FLOOR: f64 = 1.08;
const AIM_OVER_PEER: f64 = 0.80;

/// One measurement.
#[derive(Clone, Copy, Debug)]
struct Sample {
    outcome: Outcome,
    cpu: Duration,
}

impl Sample {
    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.outcome.answers.max(1) as f64
    }

    /// How much of its core the proxy used: near 1, it was the limit.
    fn busy(&self) -> f64 {
        self.cpu.as_secs_f64() / self.outcome.window.as_secs_f64()
    }
}

type Series = rounds::Series<(&'static Proxy, Transport), Sample>;

/// Requests per second that each reached over TCP, by its name.
pub(super) type Reached = BTreeMap<&'static str, f64>;

/// Measures everybody over what the parts need, and adds their tables.
pub(super) fn run(bench: &Bench<'_>, parts: &[Part], found: &mut Found) -> Result<Reached, Failure> {
    let transports = match parts.contains(&Part::Unix) {
        true => &[Transport::Tcp, Transport::Unix][..],
        false => &[Transport::Tcp],
    };
    let cases =
        bench.field.present.iter().flat_map(|&proxy| transports.iter().map(move |&over| (proxy, over)));
    let mut series: Vec<Series> = cases.map(Series::new).collect();
    let guess = Duration::from_secs(bench.options.pace.seconds());
    let rounds = match parts {
        [Part::Latency] | [Part::Latency, Part::Memory] => 1,
        _ => bench.options.pace.rounds(),
    };
    let name = |(proxy, over): &(&Proxy, Transport)| format!("{} over {}", proxy.name, over.name());
    let broken = rounds::go(rounds, guess, &mut series, name, |&(proxy, over)| measure(bench, proxy, over))?;
    found.broken.0.extend(broken.0);

    if parts.contains(&Part::Cpu) {
        found.tables.push(table(&series));
        found.notes.push(
            "CPU is the proxy's (all tasks, schedstat) divided by right answers. busy: the share of its core that the \
             proxy used; below 0.95 the limit was elsewhere, and req/s says little."
                .to_owned(),
        );
        found.notes.extend(aims(&series));
    }
    if parts.contains(&Part::Unix) {
        found.tables.push(unix_table(&series));
    }
    found.json.insert("cpu".into(), series.iter().map(|one| json(one, &series)).collect());
    Ok(reached(&series))
}

/// One visit: backend and proxy started, checked, driven, ended.
fn measure(bench: &Bench<'_>, proxy: &Proxy, over: Transport) -> Result<Sample, Failure> {
    let (_backend, server) = bench.start(proxy, over)?;
    let before = proc::cpu_time(server.child.pid())?;
    let outcome = bench.loadgen.drive(server.address, bench.load(0, Pace::Closed))?;
    let cpu = proc::cpu_time(server.child.pid())?.saturating_sub(before);
    match outcome {
        Outcome { errors: 0, answers: 1.., .. } => Ok(Sample { outcome, cpu }),
        Outcome { errors, answers, .. } => {
            Err(Failure::run(format!("{errors} errors beside {answers} right answers")))
        }
    }
}

fn reached(all: &[Series]) -> Reached {
    let tcp = all.iter().filter(|one| one.who.1 == Transport::Tcp);
    tcp.filter_map(|one| Some((one.who.0.name, one.spread(|sample| sample.outcome.per_second)?.median)))
        .collect()
}

fn table(all: &[Series]) -> Table {
    let mut table = Table::new(&[
        "contender",
        "CPU µs/req",
        "[min..max]",
        "× floor-uring",
        "[min..max]",
        "× better peer",
        "[min..max]",
        "req/s",
        "[min..max]",
        "busy",
    ])
    .titled("CPU per proxied request, backend over TCP");
    for one in all.iter().filter(|one| one.who.1 == Transport::Tcp) {
        let (cpu, rate) = (one.spread(Sample::cpu_us), one.spread(|sample| sample.outcome.per_second));
        let (floor, peer) = (over_floor(one, all), over_peer(one, all));
        table.row(vec![
            one.who.0.name.into(),
            median(cpu, 2),
            ends(cpu, 2),
            median(floor, 2),
            ends(floor, 2),
            median(peer, 2),
            ends(peer, 2),
            median(rate, 0),
            ends(rate, 0),
            median(one.spread(Sample::busy), 2),
        ]);
    }
    table
}

fn unix_table(all: &[Series]) -> Table {
    let mut table = Table::new(&[
        "contender",
        "TCP CPU µs/req",
        "Unix CPU µs/req",
        "Unix × TCP",
        "[min..max]",
        "TCP req/s",
        "Unix req/s",
    ])
    .titled("Backend on a Unix socket against TCP");
    for unix in all.iter().filter(|one| one.who.1 == Transport::Unix) {
        let Some(tcp) = same(unix, unix.who.0.name, Transport::Tcp, all) else { continue };
        let ratio = unix.over(tcp, Sample::cpu_us);
        let rate = |one: &Series| median(one.spread(|sample| sample.outcome.per_second), 0);
        table.row(vec![
            unix.who.0.name.into(),
            median(tcp.spread(Sample::cpu_us), 2),
            median(unix.spread(Sample::cpu_us), 2),
            median(ratio, 2),
            ends(ratio, 2),
            rate(tcp),
            rate(unix),
        ]);
    }
    table
}

/// Another series that has as many rounds.
fn same<'a>(one: &Series, name: &str, over: Transport, all: &'a [Series]) -> Option<&'a Series> {
    all.iter()
        .find(|each| (each.who.0.name, each.who.1) == (name, over) && each.samples.len() == one.samples.len())
}

fn over_floor(one: &Series, all: &[Series]) -> Option<Spread> {
    one.over(same(one, FLOOR, one.who.1, all)?, Sample::cpu_us)
}

/// CPU over that of whichever peer was better in the round.
fn over_peer(one: &Series, all: &[Series]) -> Option<Spread> {
    let peers = all.iter().filter(|each| each.who.0.is_peer() && each.who.1 == one.who.1);
    let peers: Vec<Vec<f64>> = peers.map(|peer| peer.each(Sample::cpu_us)).collect();
    let better = (0..one.samples.len())
        .map(|round| peers.iter().filter_map(|peer| peer.get(round).copied()).reduce(f64::min))
        .collect::<Option<Vec<f64>>>()?;
    Spread::of_ratios(&one.each(Sample::cpu_us), &better)
}

/// How ours stand against what we aim at.
fn aims(all: &[Series]) -> Vec<String> {
    let ours = all.iter().filter(|one| one.who.0.is_ours() && one.who.1 == Transport::Tcp);
    let aim = |ratio: Option<Spread>, of: &str, most: f64| {
        ratio.map_or(format!("{of} was not measured"), |ratio| {
            let word = if ratio.median <= most { "met" } else { "MISSED" };
            format!("{:.3} × {of} (at most {most:.2}: {word})", ratio.median)
        })
    };
    ours.map(|one| {
        let floor = aim(over_floor(one, all), FLOOR, AIM_OVER_FLOOR);
        let peer = aim(over_peer(one, all), "the better peer", AIM_OVER_PEER);
        format!("{}, CPU per request: {floor}; {peer}.", one.who.0.name)
    })
    .collect()
}

fn json(one: &Series, all: &[Series]) -> Value {
    let spread = |value: fn(&Sample) -> f64| one.spread(value).map(Spread::json);
    json!({
        "contender": one.who.0.name,
        "backend_over": one.who.1.name(),
        "cpu_us_per_request": spread(Sample::cpu_us),
        "cpu_over_floor": over_floor(one, all).map(Spread::json),
        "cpu_over_better_peer": over_peer(one, all).map(Spread::json),
        "requests_per_second": spread(|sample| sample.outcome.per_second),
        "busy": spread(Sample::busy),
        "rounds": one.samples.iter().map(|sample| json!({
            "answers": sample.outcome.answers,
            "window_us": sample.outcome.window.as_micros() as u64,
            "cpu_us": sample.cpu.as_micros() as u64,
        })).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::proxies::PROXIES;
    use super::*;
    use crate::loadgen::Percentiles;

    fn series(name: &str, over: Transport, cpu_us: &[u64]) -> Series {
        let none = Percentiles { p50_us: 0.0, p99_us: 0.0, p999_us: 0.0 };
        let sample = |&us: &u64| Sample {
            outcome: Outcome {
                answers: 1000,
                per_second: 1000.0 * us as f64,
                window: Duration::from_secs(1),
                errors: 0,
                response: none,
                service: none,
                own_lag: none,
            },
            cpu: Duration::from_micros(us * 1000),
        };
        let proxy = PROXIES.iter().find(|proxy| proxy.name == name).unwrap();
        Series { who: (proxy, over), samples: cpu_us.iter().map(sample).collect() }
    }

    fn all() -> Vec<Series> {
        vec![
            series("floor-uring", Transport::Tcp, &[8, 10]),
            series("ours-uring", Transport::Tcp, &[8, 12]),
            series("nginx", Transport::Tcp, &[10, 30]),
            series("haproxy", Transport::Tcp, &[16, 15]),
            series("ours-uring", Transport::Unix, &[4, 6]),
        ]
    }

    #[test]
    fn the_better_peer_is_found_anew_in_each_round() {
        let all = all();
        let over = over_peer(&all[1], &all).unwrap();
        assert_eq!((over.min, over.max), (0.8, 0.8));
        assert_eq!(over_peer(&all[1], &all[..2]), None, "no peer was measured");
    }

    #[test]
    fn an_aim_is_met_or_missed_in_words() {
        let lines = aims(&all());
        assert_eq!(lines.len(), 1, "over TCP only");
        assert!(lines[0].contains("1.100 × floor-uring (at most 1.08: MISSED)"), "{}", lines[0]);
        assert!(lines[0].contains("0.800 × the better peer (at most 0.80: met)"), "{}", lines[0]);
    }

    #[test]
    fn the_tables_hold_tcp_alone_and_unix_beside_it() {
        let text = table(&all()).text();
        assert_eq!(text.matches("ours-uring").count(), 1);
        assert!(text.contains("10.00") && text.contains("[8.00..12.00]") && text.contains("1.10"), "{text}");
        let text = unix_table(&all()).text();
        assert!(text.lines().last().unwrap().contains("0.50  [0.50..0.50]"), "{text}");
        assert_eq!(text.lines().count(), 4, "only who was measured over both: {text}");
    }

    #[test]
    fn what_was_reached_is_the_median_over_tcp() {
        let reached = reached(&all());
        assert_eq!(reached["ours-uring"], 10_000.0);
        assert_eq!(reached.len(), 4);
    }
}
