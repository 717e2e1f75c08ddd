//! Which rate is held next, for how long, and when it is enough.
//!
//! In: the bounds of the search, then trials, one by one. Out: the next trial to make, or the answer. Never: reads a
//! clock, or goes on beyond its budget or [`TRIALS_MAX`] trials.
//!
//! The answer is the rate at which trials meet the targets as often as they miss them; its interval holds that rate
//! with 95 % (see `fit`). It is not the rate that always meets them: whoever wants to be safe stays below the
//! interval's low end.
//!
//! Trials are held in turn at, below and above the estimate, where they tell most: that is bisection, but it
//! forgives wrong trials. While the interval is wide trials are short; near the boundary they are whole. Of several boundaries (met, missed, met again, missed) one is found,
//! most likely the one that the ramp crossed first.

use super::fit::{Fit, Prior};
use super::words;
use crate::model::{Answer, Trial, TrialResult};
use std::time::Duration;

/// Ends a search whose trials take no time or whose budget has no end. A search of a sharp boundary takes some 15
/// trials, of a blurred one 30, and more than this many nobody reads in a report.
pub const TRIALS_MAX: usize = 80;

/// Short trials take this share of a whole one.
const SHORT: f64 = 0.25;
/// Trials are short while the interval's half is wider than this share of the estimate.
const WIDE: f64 = 0.2;
/// Whole trials before an interval is believed: two at, two below and two above the estimate.
const WHOLE_MIN: usize = 6;
/// Whole trials that have to come out the same at an end of the search's range.
const WHOLE_AT_END: usize = 2;
/// Requests that a short trial has beyond the percentile at the lowest rate; fewer say nothing about it.
const TAIL_MIN: f64 = 20.0;
/// Below this share of the ceiling nobody asks for a highest rate.
const LOWEST_SHARE: f64 = 0.001;
/// A ramp holds each rate for a moment only, so that queues are shorter than they would get: the boundary lies lower.
const RAMP_MARGIN: f64 = 0.9;
/// Where trials are held, in turn, while they are short: quantiles of what is known of the boundary. Not only in the
/// middle, where trials tell little about how steep the boundary is, without which the interval stays wide.
const PLACES_WIDE: [f64; 3] = [0.5, 0.2, 0.8];
/// The same of whole trials: at the estimate, and close to both ends of the interval. (On simulated queues this takes
/// half the time of quarter and three quarters.)
const PLACES: [f64; 3] = [0.5, 0.03, 0.97];
/// As likely as this, the boundary is taken to lie outside of the search's range.
const SURE: f64 = 0.8;

/// What is searched, and how carefully.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What has to hold, as given: `p99<1ms`. For the words only: a trial says itself whether it met them.
    pub slos: Vec<String>,
    /// The percentile that the search is about: 0.99.
    pub quantile: f64,
    /// Its limit.
    pub limit_ns: u64,
    /// The highest rate that a closed loop reached: the search's upper end, requests per second.
    pub ceiling: f64,
    /// Rates in ascending order with the response time at the percentile, in ns; may be empty, and may be wrong.
    pub ramp: Vec<(f64, u64)>,
    /// Wanted half width of the interval, as a share of the rate: 0.02. Of zero the budget decides alone.
    pub precision: f64,
    /// Window of a whole trial.
    pub trial: Duration,
    /// For the windows of all trials together.
    pub budget: Duration,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Offer this rate for a window of this length, and record what came of it.
    Hold {
        /// Requests per second.
        rate: f64,
        /// Of the measured window.
        length: Duration,
    },
    /// The search is over.
    Done(Answer),
}

/// What bounds the search from above.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Top {
    /// What the closed loop reached.
    Ceiling(f64),
    /// The generator failed twice at this rate.
    Generator(f64),
}

impl Top {
    fn rate(self) -> f64 {
        match self {
            Top::Ceiling(rate) | Top::Generator(rate) => rate,
        }
    }
}

/// A search under way.
#[derive(Clone, Debug)]
pub struct Plan {
    settings: Settings,
    lowest: f64,
    top: Top,
    /// The generator failed at this rate in the last trial: it gets a second chance.
    doubt: Option<f64>,
    fit: Fit,
    trials: Vec<Trial>,
    spent: Duration,
}

impl Plan {
    /// A search with nothing tried yet. A ceiling that is no rate (zero, NaN) is done at once.
    pub fn new(settings: Settings) -> Plan {
        let ceiling = if settings.ceiling.is_finite() { settings.ceiling.max(1.0) } else { 1.0 };
        let short_s = settings.trial.as_secs_f64() * SHORT;
        let enough = TAIL_MIN / (1.0 - settings.quantile).max(1e-6) / short_s.max(1e-3);
        let lowest = enough.max(ceiling * LOWEST_SHARE).min(ceiling / 2.0);
        let (guess, spread) = guess(&settings, ceiling);
        let prior = Prior {
            // Beyond the ends, so that "below all" and "above all" are possible outcomes.
            lowest: lowest / 1.3,
            highest: ceiling * 2.0,
            guess: guess.clamp(lowest, ceiling),
            spread,
            cell: (settings.precision / 4.0).clamp(0.001, 0.01),
        };
        Plan {
            settings,
            lowest,
            top: Top::Ceiling(ceiling),
            doubt: None,
            fit: Fit::new(prior),
            trials: Vec::new(),
            spent: Duration::ZERO,
        }
    }

    /// The next trial, or the answer.
    pub fn next(&self) -> Step {
        let rate = self.doubt.unwrap_or_else(|| self.rate());
        let length = self.length();
        let over = self.trials.len() >= TRIALS_MAX || self.spent + length > self.settings.budget;
        let usable = self.settings.ceiling.is_finite() && self.settings.ceiling > 0.0;
        if over || !usable || (self.doubt.is_none() && self.is_settled()) {
            return Step::Done(self.answer());
        }
        Step::Hold { rate, length }
    }

    /// Takes what came of a trial, whose `rate` is the one that was asked for.
    pub fn record(&mut self, trial: Trial) {
        let window = Duration::from_nanos(trial.window_ns);
        self.spent += window;
        // The noise of a percentile falls with the root of the number of requests.
        let weight =
            (window.as_secs_f64() / self.settings.trial.as_secs_f64().max(1e-9)).clamp(0.01, 1.0).sqrt();
        match (trial.result, self.doubt.take()) {
            (TrialResult::Met, _) => self.fit.add(trial.rate, true, weight),
            (TrialResult::Missed, _) => self.fit.add(trial.rate, false, weight),
            (TrialResult::Invalid, None) => self.doubt = Some(trial.rate),
            (TrialResult::Invalid, Some(rate)) => {
                self.top = Top::Generator(rate.min(trial.rate).min(self.top.rate()));
            }
        }
        self.trials.push(trial);
    }

    /// The trials so far, in order.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// What the trials so far tell; the answer of an interrupted search.
    pub fn answer(&self) -> Answer {
        let slos = words::slos(&self.settings.slos);
        let of = |result| self.trials.iter().filter(move |trial| trial.result == result);
        let highest_met = of(TrialResult::Met).max_by(|a, b| a.rate.total_cmp(&b.rate));
        let lowest_missed = of(TrialResult::Missed).min_by(|a, b| a.rate.total_cmp(&b.rate));
        let at_generator = matches!(self.top, Top::Generator(_));
        let (low, high) = self.interval();
        let none = |high: f64, words: String| Answer {
            rate: None,
            low: 0.0,
            high,
            limited_by_generator: at_generator && lowest_missed.is_none(),
            words,
        };
        match (highest_met, lowest_missed) {
            (None, None) => none(self.top.rate(), words::nothing(&self.trials)),
            (None, Some(missed)) => none(missed.rate, words::none(&slos, missed, self.settings.quantile)),
            (Some(_), Some(_)) if self.share_above_top() < 0.5 => {
                let rate = self.fit.quantile(0.5).clamp(low, high);
                let wanted = (self.half_width() > self.settings.precision).then_some(self.settings.precision);
                Answer {
                    rate: Some(rate),
                    low,
                    high,
                    limited_by_generator: at_generator && high >= self.top.rate(),
                    words: words::between(&slos, rate, (high - low) / 2.0, wanted),
                }
            }
            (Some(met), _) => {
                let rate = met.rate.min(self.top.rate());
                Answer {
                    rate: Some(rate),
                    low: low.min(rate),
                    high: rate,
                    limited_by_generator: at_generator,
                    words: words::at_least(&slos, rate, self.reason_for_at_least()),
                }
            }
        }
    }

    fn reason_for_at_least(&self) -> words::AtLeast {
        match self.top {
            Top::Generator(rate) => words::AtLeast::Generator(rate),
            Top::Ceiling(_) if self.is_settled() => words::AtLeast::Ceiling,
            Top::Ceiling(_) => words::AtLeast::Budget,
        }
    }

    /// Whether more trials would not change the answer enough.
    fn is_settled(&self) -> bool {
        if self.is_near_top(self.lowest) {
            return true;
        }
        if self.half_width() > self.settings.precision {
            return false;
        }
        let (met, missed) = (self.whole(TrialResult::Met), self.whole(TrialResult::Missed));
        if self.share_above_top() >= SURE {
            met >= WHOLE_AT_END && self.is_near_top(self.highest_met())
        } else if self.fit.share_below(self.lowest) >= SURE {
            missed >= WHOLE_AT_END
        } else {
            met + missed >= WHOLE_MIN && met > 0 && missed > 0
        }
    }

    /// Whole trials that came out so.
    fn whole(&self, result: TrialResult) -> usize {
        // A window that ends a little early is whole.
        let enough_ns = self.settings.trial.as_nanos() as f64 * 0.9;
        let whole = |trial: &&Trial| trial.result == result && trial.window_ns as f64 >= enough_ns;
        self.trials.iter().filter(whole).count()
    }

    fn length(&self) -> Duration {
        if self.is_wide() { self.settings.trial.mul_f64(SHORT) } else { self.settings.trial }
    }

    fn is_wide(&self) -> bool {
        self.half_width() > WIDE
    }

    fn rate(&self) -> f64 {
        let places = if self.is_wide() { PLACES_WIDE } else { PLACES };
        let place = places[self.trials.len() % places.len()];
        let rate = match self.top {
            Top::Ceiling(ceiling) => self.fit.quantile(place).min(ceiling),
            Top::Generator(top) => {
                self.fit.quantile(place * self.fit.share_below(top)).min(self.highest_untried(top))
            }
        };
        four_digits(rate.max(self.lowest))
    }

    /// Between what met and what the generator failed at: the middle, until both are close together.
    fn highest_untried(&self, top: f64) -> f64 {
        let met = self.highest_met();
        if self.is_near_top(met) { met } else { (met * top).sqrt() }
    }

    fn is_near_top(&self, rate: f64) -> bool {
        self.top.rate() <= rate * (1.0 + 2.0 * self.settings.precision)
    }

    /// Below the top; the lowest of all rates if none met.
    fn highest_met(&self) -> f64 {
        let met = self.trials.iter().filter(|trial| trial.result == TrialResult::Met);
        met.map(|trial| trial.rate.min(self.top.rate())).fold(self.lowest.min(self.top.rate()), f64::max)
    }

    fn share_above_top(&self) -> f64 {
        1.0 - self.fit.share_below(self.top.rate())
    }

    /// Ends of the 95 % interval, inside of what is searched.
    fn interval(&self) -> (f64, f64) {
        let top = self.top.rate();
        let lowest = self.lowest.min(top);
        (self.fit.quantile(0.025).clamp(lowest, top), self.fit.quantile(0.975).clamp(lowest, top))
    }

    /// Of the interval, as a share of its middle.
    fn half_width(&self) -> f64 {
        let (low, high) = self.interval();
        (high - low) / (high + low)
    }
}

/// Where the boundary likely is, and how far off that is in half of the cases, as a share.
fn guess(settings: &Settings, ceiling: f64) -> (f64, f64) {
    let ramp: Vec<(f64, u64)> =
        settings.ramp.iter().copied().filter(|(rate, _)| *rate > 0.0 && rate.is_finite()).collect();
    let over = |&(_, response_ns): &(f64, u64)| response_ns > settings.limit_ns;
    // One slow moment alone is not yet the boundary.
    let crossed = (0..ramp.len()).find(|&at| over(&ramp[at]) && ramp.get(at + 1).is_none_or(over));
    match (crossed, ramp.last()) {
        (Some(at), _) => (ramp[at].0 * RAMP_MARGIN, 0.15),
        (None, Some(&(highest, _))) => (highest, 0.3),
        (None, None) => (ceiling * 0.7, 0.5),
    }
}

/// Rates that people can read and type.
fn four_digits(rate: f64) -> f64 {
    let unit = 10f64.powf(rate.log10().floor() - 3.0);
    (rate / unit).round() * unit
}
