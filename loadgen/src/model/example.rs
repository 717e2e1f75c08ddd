//! A run that never was: 30 s at 100,000 requests per second, as a good one looks.
//!
//! In: nothing. Out: the same run each time, for the tests of what judges and draws runs. Never: random from one
//! call to the next, or shown to a user as measured.

use super::{
    Arrivals, BANDS, Counts, Interval, LaneUse, Latency, Load, Machine, Piece, Run, Setup, TargetUse,
    band_floor_ns,
};
use crate::slo::Slo;
use crate::verdict;
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rand_distr::{Distribution, Poisson};

const RATE: f64 = 100_000.0;
const INTERVALS: usize = 60;
const INTERVAL_NS: u64 = 500_000_000;
const LANES: u64 = 2;
/// An interval in which the server paused for a moment: something to see in a chart.
const PAUSED: usize = 37;
/// Below the tail, so many requests share a time; in the tail each has its own.
const ALIKE: u64 = 50;
const TAIL: u64 = 500;

/// The run with its checks, which all pass, and two targets that are met.
pub fn judged() -> Run {
    let mut run = run();
    let slos = ["p99<1ms", "errors<0.1%"].map(|slo| slo.parse::<Slo>().expect("the text is a target"));
    verdict::judge(&mut run, &slos);
    run
}

/// The run: open loop, Poisson, two lanes, `/add`, every answer right. It isn't judged: no checks, no targets.
pub fn run() -> Run {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let arrivals = Poisson::new(RATE * INTERVAL_NS as f64 / 1e9).expect("the rate is positive");
    let mut whole = Times::default();
    let mut intervals = Vec::with_capacity(INTERVALS);
    for index in 0..INTERVALS {
        let offered = arrivals.sample(&mut random) as u64;
        let times = Times::of_interval(index, offered);
        intervals.push(times.interval(index, offered));
        whole.add(&times);
    }
    let offered = intervals.iter().map(|interval| interval.offered).sum();
    let window_ns = INTERVAL_NS * INTERVALS as u64;
    // Little's law, kept exactly.
    let in_flight_mean = offered as f64 / window_ns as f64 * whole.service.0.mean();
    Run {
        setup: setup(window_ns),
        machine: machine(),
        started_unix_ms: 1_767_225_600_000,
        window_ns,
        counts: counts(offered, in_flight_mean as u64),
        errors: Vec::new(),
        statuses: vec![(200, offered)],
        response: whole.response,
        service: whole.service,
        own_lag: whole.own_lag,
        connection_wait: whole.connection_wait,
        connect: spread(64, 90_000.0, 0.2),
        intervals,
        lanes: (0..LANES).map(|lane| lane_use(lane, offered)).collect(),
        target: Some(target()),
        arrivals: Some(Arrivals { asked: 1.000_4, sent: 0.998_7, gaps: offered - LANES }),
        in_flight_mean,
        in_flight_by_times: in_flight_mean,
        ledger: None,
        interrupted: false,
        checks: Vec::new(),
        slos: Vec::new(),
    }
}

fn setup(window_ns: u64) -> Setup {
    let piece = Piece { length_ns: window_ns, from: RATE, to: RATE };
    Setup {
        command: "corelane-loadgen --rate 100k --duration 30s --slo 'p99<1ms' http://127.0.0.1:5000/add"
            .into(),
        version: env!("CARGO_PKG_VERSION").into(),
        urls: vec![("http://127.0.0.1:5000/add".into(), 1.0)],
        address: "127.0.0.1:5000".into(),
        load: Load::Open { arrivals: "poisson".into(), pieces: vec![piece] },
        workload: "add".into(),
        connections: 64,
        pipeline: 1,
        requests_per_connection: 0,
        warmup_ns: 3_000_000_000,
        timeout_ns: 5_000_000_000,
        seed: 1,
        engine: "uring".into(),
        cores: vec![2, 3],
    }
}

fn machine() -> Machine {
    Machine {
        host: "example".into(),
        kernel: "Linux 6.18.1".into(),
        cpu: "An example of a CPU".into(),
        cpus: 4,
        governor: "performance".into(),
        clocksource: "tsc".into(),
    }
}

fn counts(offered: u64, in_flight: u64) -> Counts {
    Counts {
        offered,
        sent: offered,
        completed: offered,
        completed_in_window: offered - in_flight,
        sent_bytes: offered * 118,
        received_bytes: offered * 131,
        connections_opened: 64,
        ..Counts::default()
    }
}

fn lane_use(lane: u64, offered: u64) -> LaneUse {
    LaneUse {
        core: 2 + lane as usize,
        busy: 0.41 + 0.02 * lane as f64,
        held_up: 0.0005,
        cpu_ns: 29_700_000_000,
        completed: offered / LANES + if lane == 0 { offered % LANES } else { 0 },
    }
}

fn target() -> TargetUse {
    TargetUse {
        name: "corelane, listening on port 5000".into(),
        pids: vec![4711],
        cpu_ns: 21_300_000_000,
        cpus: vec![0, 1],
        looks_on_our_cores: 0,
        looks: 5_870,
    }
}

/// The times of an interval, or of all.
#[derive(Default)]
struct Times {
    response: Latency,
    service: Latency,
    own_lag: Latency,
    connection_wait: Latency,
    bands: Vec<u64>,
}

impl Times {
    /// The n-th of each kind belong to one request, so that means add up.
    fn of_interval(index: usize, count: u64) -> Times {
        let mut times = Times { bands: vec![0; BANDS], ..Times::default() };
        // The server breathes: slower and faster again within 10 s.
        let median_ns = 120_000.0 + 6_000.0 * (index as f64 * std::f64::consts::TAU / 20.0).sin();
        let mut rank = 0;
        while rank < count {
            let alike = if rank + TAIL + ALIKE < count { ALIKE } else { 1 };
            let share = (rank as f64 + alike as f64 / 2.0) / count as f64;
            let mut service = log_logistic(share, median_ns, 0.2);
            // Some three in a hundred of the interval wait for the end of the pause.
            if index == PAUSED && share > 0.97 {
                service += (share - 0.97) / 0.03 * 2_500_000.0;
            }
            let own_lag = log_logistic(share, 2_800.0, 0.28);
            let wait = if share > 0.998 { (share - 0.998) * 20_000_000.0 } else { 0.0 };
            let parts = [service as u64, own_lag as u64, wait as u64];
            times.service.0.saturating_record_n(parts[0], alike);
            times.own_lag.0.saturating_record_n(parts[1], alike);
            times.connection_wait.0.saturating_record_n(parts[2], alike);
            let response: u64 = parts.iter().sum();
            times.response.0.saturating_record_n(response, alike);
            times.bands[band(response)] += alike;
            rank += alike;
        }
        times
    }

    fn interval(&self, index: usize, count: u64) -> Interval {
        let used = self.bands.iter().rposition(|&count| count > 0).map_or(0, |last| last + 1);
        Interval {
            at_ns: index as u64 * INTERVAL_NS,
            length_ns: INTERVAL_NS,
            offered: count,
            sent: count,
            completed: count,
            errors: 0,
            response: [0.5, 0.9, 0.99, 0.999, 1.0].map(|q| self.response.at(q)),
            own_lag: [0.5, 0.99, 1.0].map(|q| self.own_lag.at(q)),
            bands: self.bands[..used].to_vec(),
        }
    }

    fn add(&mut self, other: &Times) {
        for (all, part) in [
            (&mut self.response, &other.response),
            (&mut self.service, &other.service),
            (&mut self.own_lag, &other.own_lag),
            (&mut self.connection_wait, &other.connection_wait),
        ] {
            all.0.add(&part.0).expect("the same bounds");
        }
    }
}

/// So many times of one kind.
fn spread(count: u64, median_ns: f64, width: f64) -> Latency {
    let mut times = Latency::new();
    for rank in 0..count {
        times.record(log_logistic((rank as f64 + 0.5) / count as f64, median_ns, width) as u64);
    }
    times
}

/// A skewed shape with a heavy tail, whose inverse is one line.
fn log_logistic(share: f64, median_ns: f64, width: f64) -> f64 {
    median_ns * (share / (1.0 - share)).powf(width)
}

fn band(ns: u64) -> usize {
    (1..BANDS).take_while(|&band| band_floor_ns(band) <= ns as f64).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_agrees_with_itself() {
        let run = run();
        let count = run.counts.offered;
        assert!((count as f64 - 3_000_000.0).abs() < 6.0 * 3_000_000f64.sqrt(), "{count}");
        for times in [&run.response, &run.service, &run.own_lag, &run.connection_wait] {
            assert_eq!(times.count(), count);
        }
        let banded: u64 = run.intervals.iter().flat_map(|interval| &interval.bands).sum();
        assert_eq!(banded, count);
        let completed: u64 = run.lanes.iter().map(|lane| lane.completed).sum();
        assert_eq!(completed, count);
        assert_eq!(run.intervals.len() as u64 * INTERVAL_NS, run.window_ns);
        let parts = run.service.0.mean() + run.own_lag.0.mean() + run.connection_wait.0.mean();
        assert!((run.response.0.mean() / parts - 1.0).abs() < 0.01);
    }

    #[test]
    fn the_example_is_the_same_each_time() {
        let [one, two] = [run(), run()].map(|run| serde_json::to_string(&run).unwrap());
        assert_eq!(one, two);
    }

    #[test]
    fn a_time_lies_in_its_band() {
        for band in 1..BANDS {
            let floor = band_floor_ns(band);
            assert_eq!(super::band(floor.ceil() as u64), band, "{floor}");
        }
        assert_eq!(
            [super::band(0), super::band(999), super::band(1_000), super::band(u64::MAX)],
            [0, 0, 1, 127]
        );
    }
}
