//! The latency that a proxy adds: response times through it, minus those of the backend alone at the same rate.
//!
//! In: what each proxy reached. Out: two tables, at shares of each one's own saturation, and of the slowest one's, so
//! that rows compare. Open loop: a request's time counts from when it was due. Through and direct are measured one after
//! the other, with the same arrivals, and subtracted within a round.

use std::time::Duration;

use serde_json::{Value, json};

use super::backend::Transport;
use super::cpu::Reached;
use super::proxies::Proxy;
use super::{Bench, Found};
use crate::failure::Failure;
use crate::loadgen::{Outcome, Pace, Percentiles};
use crate::report::{Table, ends, median};
use crate::rounds;
use crate::stats::Spread;

/// Of a saturation.
const SHARES_PERCENT: [u32; 3] = [10, 50, 80];

/// Seconds in front of each measurement, unmeasured.
const WARMUP_SECONDS: u64 = 1;

/// Whose saturation a share is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Own,
    Slowest,
}

/// A proxy, and the rates at which it is measured.
#[derive(Clone, Copy, Debug)]
struct Who {
    proxy: &'static Proxy,
    /// Requests per second that it reached, and that the slowest did.
    own: f64,
    slowest: f64,
}

impl Who {
    /// Without those that would be measured twice.
    fn rates(&self) -> Vec<f64> {
        let of = |whole: f64| SHARES_PERCENT.map(|percent| whole * f64::from(percent) / 100.0);
        let mut rates = of(self.own).to_vec();
        if self.own > self.slowest {
            rates.extend(of(self.slowest));
        }
        rates
    }

    /// Where the rate of a share stands among `rates`.
    fn place(&self, of: Of, share: usize) -> usize {
        match of {
            Of::Slowest if self.own > self.slowest => SHARES_PERCENT.len() + share,
            Of::Slowest | Of::Own => share,
        }
    }
}

/// At one rate.
#[derive(Clone, Copy, Debug)]
struct Sample {
    direct: Outcome,
    through: Outcome,
}

impl Sample {
    fn added(&self, percentile: fn(&Percentiles) -> f64) -> f64 {
        percentile(&self.through.response) - percentile(&self.direct.response)
    }
}

type Series = rounds::Series<Who, Vec<Sample>>;

/// Measures those who reached something, and adds their tables.
pub(super) fn run(bench: &Bench<'_>, reached: &Reached, found: &mut Found) -> Result<(), Failure> {
    let slowest = reached.values().copied().fold(f64::INFINITY, f64::min);
    let who = bench.field.present.iter().filter_map(|&proxy| {
        let own = *reached.get(proxy.name)?;
        Some(Who { proxy, own, slowest })
    });
    let mut series: Vec<Series> = who.map(Series::new).collect();
    let measurements = 4 * SHARES_PERCENT.len() as u64;
    let guess = Duration::from_secs(measurements * (bench.options.pace.seconds() + WARMUP_SECONDS));
    let name = |who: &Who| format!("{}, added latency", who.proxy.name);
    let broken = bench.options.pace.go(guess, &mut series, name, |who| visit(bench, who))?;
    found.broken.0.extend(broken.0);

    found.tables.push(table(&series, Of::Own).titled("Added latency at shares of each one's own saturation"));
    found.tables.push(
        table(&series, Of::Slowest)
            .titled("Added latency at the same rates: shares of the slowest one's saturation"),
    );
    found.notes.push(
        "Added: response time (from due to complete) through the proxy, minus that of the backend alone at the same rate \
         with the same arrivals. reached: right answers per second within the window, of the rate; below 0.98 it was no \
         such load."
            .to_owned(),
    );
    found.json.insert("latency".into(), series.iter().map(json).collect());
    Ok(())
}

/// One visit: at each rate the backend alone, then through the proxy.
fn visit(bench: &Bench<'_>, who: &Who) -> Result<Vec<Sample>, Failure> {
    let (backend, server) = bench.start(who.proxy, Transport::Tcp)?;
    let shares_core = bench.options.backend_core() == bench.options.pace.cores.client_core;
    let measure = |rate: f64| {
        let pace = if shares_core { Pace::Sleeping { rate } } else { Pace::Spinning { rate } };
        let load = bench.load(WARMUP_SECONDS, pace);
        let direct = bench.loadgen.drive(backend.direct(), load)?;
        let through = bench.loadgen.drive(server.address, load)?;
        Ok(Sample { direct, through })
    };
    who.rates().into_iter().map(measure).collect()
}

fn table(all: &[Series], of: Of) -> Table {
    let mut table = Table::new(&[
        "contender",
        "at",
        "rate/s",
        "direct p50 µs",
        "added p50 µs",
        "[min..max]",
        "direct p99 µs",
        "added p99 µs",
        "[min..max]",
        "reached",
    ]);
    for (share, percent) in SHARES_PERCENT.into_iter().enumerate() {
        for one in all {
            let place = one.who.place(of, share);
            let spread = |value: &dyn Fn(&Sample) -> f64| one.spread(|samples| value(&samples[place]));
            let rate = one.who.rates()[place];
            let (p50, p99) = (spread(&|sample| sample.added(p50)), spread(&|sample| sample.added(p99)));
            table.row(vec![
                one.who.proxy.name.into(),
                format!("{percent} %"),
                format!("{rate:.0}"),
                median(spread(&|sample| sample.direct.response.p50_us), 0),
                median(p50, 0),
                ends(p50, 0),
                median(spread(&|sample| sample.direct.response.p99_us), 0),
                median(p99, 0),
                ends(p99, 0),
                median(spread(&|sample| sample.through.per_second / rate), 2),
            ]);
        }
    }
    table
}

fn p50(percentiles: &Percentiles) -> f64 {
    percentiles.p50_us
}

fn p99(percentiles: &Percentiles) -> f64 {
    percentiles.p99_us
}

fn json(one: &Series) -> Value {
    let at = |(place, rate): (usize, f64)| {
        let spread =
            |value: &dyn Fn(&Sample) -> f64| one.spread(|samples| value(&samples[place])).map(Spread::json);
        let side = |outcome: fn(&Sample) -> &Outcome| {
            json!({
                "response_p50_us": spread(&|sample| outcome(sample).response.p50_us),
                "response_p99_us": spread(&|sample| outcome(sample).response.p99_us),
                "response_p999_us": spread(&|sample| outcome(sample).response.p999_us),
                "service_p50_us": spread(&|sample| outcome(sample).service.p50_us),
                "service_p99_us": spread(&|sample| outcome(sample).service.p99_us),
                "own_lag_p50_us": spread(&|sample| outcome(sample).own_lag.p50_us),
                "own_lag_p99_us": spread(&|sample| outcome(sample).own_lag.p99_us),
                "reached": spread(&|sample| outcome(sample).per_second / rate),
                "errors": one.samples.iter().map(|samples| outcome(&samples[place]).errors).sum::<u64>(),
            })
        };
        json!({
            "rate": rate,
            "added_p50_us": spread(&|sample| sample.added(p50)),
            "added_p99_us": spread(&|sample| sample.added(p99)),
            "direct": side(|sample| &sample.direct),
            "through": side(|sample| &sample.through),
        })
    };
    json!({
        "contender": one.who.proxy.name,
        "own_saturation": one.who.own,
        "slowest_saturation": one.who.slowest,
        "shares_percent": SHARES_PERCENT,
        "rates": one.who.rates().into_iter().enumerate().map(at).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::proxies::PROXIES;
    use super::*;

    fn who(own: f64) -> Who {
        Who { proxy: &PROXIES[0], own, slowest: 1000.0 }
    }

    /// Direct takes 10 and 100 µs; through takes more, the more the higher the rate.
    fn sample(rate: f64, more_us: f64) -> Sample {
        let outcome = |p50_us, p99_us| {
            let response = Percentiles { p50_us, p99_us, p999_us: 0.0 };
            let window = Duration::from_secs(1);
            Outcome {
                answers: 1,
                per_second: rate,
                window,
                errors: 0,
                response,
                service: response,
                own_lag: response,
            }
        };
        Sample { direct: outcome(10.0, 100.0), through: outcome(10.0 + more_us, 100.0 + 2.0 * more_us) }
    }

    #[test]
    fn the_slowest_is_not_measured_twice_at_the_same_rates() {
        assert_eq!(who(1000.0).rates(), [100.0, 500.0, 800.0]);
        assert_eq!(who(2000.0).rates(), [200.0, 1000.0, 1600.0, 100.0, 500.0, 800.0]);
        for own in [1000.0, 2000.0] {
            let who = who(own);
            assert_eq!(who.rates()[who.place(Of::Own, 2)], own * 0.8);
            assert_eq!(who.rates()[who.place(Of::Slowest, 2)], 800.0);
        }
    }

    #[test]
    fn what_is_added_is_a_difference_within_each_round() {
        let one = who(2000.0);
        let round = |extra: f64| one.rates().iter().map(|&rate| sample(rate, rate / 100.0 + extra)).collect();
        let series = [Series { who: one, samples: vec![round(0.0), round(2.0), round(1.0)] }];
        let own = table(&series, Of::Own).text();
        let row: Vec<_> = own.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(row[1..], ["80", "%", "1600", "10", "17", "[16..18]", "100", "34", "[32..36]", "1.00"]);
        let slowest = table(&series, Of::Slowest).text();
        let row: Vec<_> = slowest.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(row[3..6], ["800", "10", "9"]);
    }

    #[test]
    fn the_recorded_result_has_both_sides_of_every_rate() {
        let one = who(1000.0);
        let samples = one.rates().iter().map(|&rate| sample(rate, 5.0)).collect();
        let recorded = json(&Series { who: one, samples: vec![samples] });
        let rates = recorded["rates"].as_array().unwrap();
        assert_eq!(rates.len(), 3);
        assert_eq!(rates[2]["added_p99_us"]["median"], 10.0);
        assert_eq!(rates[2]["direct"]["response_p50_us"]["median"], 10.0);
        assert_eq!(rates[2]["through"]["response_p50_us"]["median"], 15.0);
    }
}
