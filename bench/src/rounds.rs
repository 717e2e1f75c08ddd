//! Rounds: all contenders, then all again, so that a slow minute of the machine slows everyone.
//!
//! In: who is measured, and how one is visited. Out: samples, one per round, and who broke. A ratio or a difference is
//! taken within a round, and its median over rounds.

use std::time::Duration;

use clap::Args;

use crate::child;
use crate::cores::Cores;
use crate::failure::Failure;
use crate::machine::Machine;
use crate::report::{self, Progress};
use crate::stats::Spread;

/// Options of every command that measures in rounds.
#[derive(Args, Debug)]
#[group(id = "pace")]
pub(crate) struct Options {
    /// Rounds over all contenders
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// 2 rounds of 1 second: to see that it works
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    pub(crate) quick: bool,
    #[command(flatten)]
    pub(crate) cores: Cores,
    #[command(flatten)]
    pub(crate) report: report::Options,
}

impl Options {
    pub(crate) fn rounds(&self) -> u32 {
        if self.quick { 2 } else { self.rounds }
    }

    pub(crate) fn seconds(&self) -> u64 {
        if self.quick { 1 } else { self.seconds }
    }

    /// The name of a result: one of a quick look replaces none that took its time.
    pub(crate) fn name_of(&self, result: &str) -> String {
        if self.quick { format!("{result}-quick") } else { result.to_owned() }
    }

    /// What every such command begins with: is this build worth a measurement, and are the cores there?
    pub(crate) fn begin(&self) -> Result<Machine, Failure> {
        if cfg!(debug_assertions) {
            return Err(Failure::setup(
                "only an optimised build says anything: use cargo run --release -p bench",
            ));
        }
        self.cores.check()?;
        child::stop_flag();
        Ok(Machine::ask())
    }
}

impl Options {
    /// Visits everyone, round after round, and keeps a sample of each visit. One that breaks is taken out of the
    /// series, with a line that says why; the others go on. `guess` is what one visit takes.
    pub(crate) fn go<W, S>(
        &self,
        guess: Duration,
        series: &mut Vec<Series<W, S>>,
        name: impl Fn(&W) -> String,
        visit: impl FnMut(&W) -> Result<S, Failure>,
    ) -> Result<Broken, Failure> {
        go(self.rounds(), guess, series, name, visit)
    }
}

/// As `Options::go`, for another number of rounds.
pub(crate) fn go<W, S>(
    rounds: u32,
    guess: Duration,
    series: &mut Vec<Series<W, S>>,
    name: impl Fn(&W) -> String,
    mut visit: impl FnMut(&W) -> Result<S, Failure>,
) -> Result<Broken, Failure> {
    let mut broken = Broken::default();
    let mut progress = Progress::new(rounds as usize * series.len(), guess);
    for round in 1..=rounds {
        let mut at = 0;
        while let Some(one) = series.get_mut(at) {
            let name = name(&one.who);
            progress.step(&format!("round {round} of {rounds}: {name}"));
            match visit(&one.who) {
                Ok(sample) => {
                    one.samples.push(sample);
                    at += 1;
                }
                Err(Failure::Run(message)) => {
                    broken.0.push(format!("FAILED {name}: {message}"));
                    series.remove(at);
                }
                Err(other) => return Err(other),
            }
        }
    }
    Ok(broken)
}

/// A line for each that could not be measured to the end.
#[derive(Debug, Default)]
pub(crate) struct Broken(pub(crate) Vec<String>);

impl Broken {
    /// The outcome of the command, once its results are written.
    pub(crate) fn outcome(&self) -> Result<(), Failure> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(Failure::run("not everyone could be measured")),
        }
    }
}

/// All measurements of one thing, one per round.
#[derive(Debug)]
pub(crate) struct Series<W, S> {
    pub(crate) who: W,
    pub(crate) samples: Vec<S>,
}

impl<W, S> Series<W, S> {
    pub(crate) fn new(who: W) -> Self {
        Self { who, samples: Vec::new() }
    }

    pub(crate) fn each(&self, value: impl Fn(&S) -> f64) -> Vec<f64> {
        self.samples.iter().map(value).collect()
    }

    /// `None` before the first round.
    pub(crate) fn spread(&self, value: impl Fn(&S) -> f64) -> Option<Spread> {
        Spread::of(self.each(value))
    }

    /// Of the ratios to another, within each round.
    pub(crate) fn over(&self, other: &Self, value: impl Fn(&S) -> f64) -> Option<Spread> {
        Spread::of_ratios(&self.each(&value), &other.each(&value))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        pace: Options,
    }

    fn pace(line: &[&str]) -> Options {
        Line::try_parse_from([&["bench"], line].concat()).unwrap().pace
    }

    fn two_rounds(
        visit: impl FnMut(&&str) -> Result<u32, Failure>,
    ) -> (Vec<Series<&'static str, u32>>, Broken) {
        let mut series = vec![Series::new("a"), Series::new("b"), Series::new("c")];
        let pace = pace(&["--rounds", "2"]);
        let broken = pace.go(Duration::ZERO, &mut series, |who| (*who).to_owned(), visit).unwrap();
        (series, broken)
    }

    #[test]
    fn a_round_goes_over_all_before_the_next_begins() {
        let mut visits = String::new();
        let (series, broken) = two_rounds(|who| {
            visits += who;
            Ok(visits.len() as u32)
        });
        assert_eq!(visits, "abcabc");
        assert_eq!(series[1].samples, [2, 5]);
        assert!(broken.outcome().is_ok());
    }

    #[test]
    fn who_breaks_is_left_out_from_there_on_and_the_others_go_on() {
        let mut visits = String::new();
        let (series, broken) = two_rounds(|who| {
            visits += who;
            if *who == "b" { Err(Failure::run("no answer")) } else { Ok(1) }
        });
        assert_eq!(visits, "abcac");
        assert_eq!(series.iter().map(|one| one.who).collect::<String>(), "ac");
        assert_eq!(broken.0, ["FAILED b: no answer"]);
        assert!(broken.outcome().is_err());
    }

    #[test]
    fn a_user_who_stops_it_stops_everything() {
        let mut series: Vec<Series<&str, u32>> = vec![Series::new("a")];
        let stopped = pace(&[]).go(Duration::ZERO, &mut series, |_| String::new(), |_| Err(Failure::Stopped));
        assert!(matches!(stopped, Err(Failure::Stopped)));
    }

    #[test]
    fn a_quick_look_takes_its_own_time_and_replaces_no_result() {
        let quick = pace(&["--quick"]);
        assert_eq!((quick.rounds(), quick.seconds(), quick.name_of("server")), (2, 1, "server-quick".into()));
        let slow = pace(&["--rounds", "7", "--seconds", "9"]);
        assert_eq!((slow.rounds(), slow.seconds(), slow.name_of("server")), (7, 9, "server".into()));
        assert!(Line::try_parse_from(["bench", "--quick", "--rounds", "3"]).is_err());
    }

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        let (one, other) =
            (Series { who: (), samples: vec![2.2, 8.8] }, Series { who: (), samples: vec![2.0, 8.0] });
        let over = one.over(&other, |&sample| sample).unwrap();
        assert!((over.min - 1.1).abs() < 1e-9 && (over.max - 1.1).abs() < 1e-9);
    }
}
