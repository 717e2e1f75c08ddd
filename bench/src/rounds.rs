//! Rounds: all contenders, then all again, so that a slow minute of the machine slows everyone.
//!
//! In: who is measured, and how one is visited. Out: samples, one per round, and who broke. A ratio or a difference is
//! taken within a round, and its median over rounds.

use std::time::Duration;

use clap::Args;

use crate::child;
use crate::cores::Cores;
use crate::failure::Failure;
use crate::report::{self, Progress};

/// What a quick look measures of each visit.
const QUICK: Duration = Duration::from_millis(200);

/// Long enough for any contender here to have settled: some 40,000 requests.
const WARMUP_MAX: Duration = Duration::from_millis(200);

/// Options of every command that measures in rounds.
#[derive(Args, Debug)]
#[group(id = "pace")]
pub(crate) struct Options {
    /// Rounds over all contenders
    #[arg(long, global = true, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of each measurement (by default all of them take less than 20 minutes)
    #[arg(long, global = true, default_value_t = 0.7, value_parser = seconds)]
    seconds: f64,
    /// 1 round of 0.2 seconds: to see that it works
    #[arg(long, global = true, conflicts_with_all = ["rounds", "seconds"])]
    pub(crate) quick: bool,
    #[command(flatten)]
    pub(crate) cores: Cores,
    #[command(flatten)]
    pub(crate) report: report::Options,
}

impl Options {
    pub(crate) fn rounds(&self) -> u32 {
        if self.quick { 1 } else { self.rounds }
    }

    /// What is measured of each visit.
    pub(crate) fn window(&self) -> Duration {
        if self.quick { QUICK } else { Duration::from_secs_f64(self.seconds) }
    }

    /// In front of it: caches fill, buffers grow.
    pub(crate) fn warmup(&self) -> Duration {
        (self.window() / 3).min(WARMUP_MAX)
    }

    /// The name of a result: one of a quick look replaces none that took its time.
    pub(crate) fn name_of(&self, result: &str) -> String {
        if self.quick { format!("{result}-quick") } else { result.to_owned() }
    }

    /// What every such command begins with: is this build worth a measurement, and are the cores there?
    pub(crate) fn begin(&self) -> Result<(), Failure> {
        if cfg!(debug_assertions) {
            return Err(Failure::setup(
                "only an optimised build says anything: use cargo run --release -p bench",
            ));
        }
        self.cores.check()?;
        child::stop_flag();
        Ok(())
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

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("seconds, from 0.1 to 3600".into()),
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
            let sample = visit(&one.who).or_else(|failure| match failure {
                // Once more: a port that was taken meanwhile, or a neighbour's long stall, is nobody's fault here.
                Failure::Run(message) => {
                    progress.say(&format!("{name}, once more: {message}"));
                    visit(&one.who)
                }
                other => Err(other),
            });
            match sample {
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
    /// Nobody is.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
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
        assert!(broken.is_empty());
    }

    #[test]
    fn who_breaks_is_left_out_from_there_on_and_the_others_go_on() {
        let mut visits = String::new();
        let (series, broken) = two_rounds(|who| {
            visits += who;
            if *who == "b" { Err(Failure::run("no answer")) } else { Ok(1) }
        });
        assert_eq!(visits, "abbcac");
        assert_eq!(series.iter().map(|one| one.who).collect::<String>(), "ac");
        assert_eq!(broken.0, ["FAILED b: no answer"]);
        assert!(!broken.is_empty());
    }

    #[test]
    fn who_fails_once_is_visited_again() {
        let mut visits = 0;
        let (series, broken) = two_rounds(|_| {
            visits += 1;
            if visits == 2 { Err(Failure::run("stalled")) } else { Ok(visits) }
        });
        assert!(broken.is_empty());
        assert_eq!(series[1].samples, [3, 6]);
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
        assert_eq!(
            (quick.rounds(), quick.window(), quick.name_of("server")),
            (1, QUICK, "server-quick".into())
        );
        let slow = pace(&["--rounds", "7", "--seconds", "9"]);
        let window = Duration::from_secs(9);
        assert_eq!((slow.rounds(), slow.window(), slow.name_of("server")), (7, window, "server".into()));
        assert_eq!(slow.warmup(), WARMUP_MAX);
        assert!(Line::try_parse_from(["bench", "--quick", "--rounds", "3"]).is_err());
        assert!(Line::try_parse_from(["bench", "--seconds", "0"]).is_err());
    }
}
