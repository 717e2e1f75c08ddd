//! Targets that a run has to meet: `p99<1ms`, `errors<0.1%`, `rate>100k`.
//!
//! In: the target as the user wrote it; a run. Out: what was found, and whether that meets it. Never: lets a target
//! pass for want of samples, or because requests failed fast. Whether the run may be believed is said elsewhere, by
//! `verdict`.

use crate::model::{Run, SloResult};
use crate::quantile::{TAIL_MIN, quantile};
use crate::units::{decimal, format_ns, format_rate, format_share, rate, time_ns};
use std::fmt;
use std::str::FromStr;

/// A target. Times are response times, from when a request was due.
#[derive(Clone, Debug, PartialEq)]
pub struct Slo {
    /// As it was given, without blanks.
    text: String,
    measure: Measure,
    /// In the unit of the measure: nanoseconds, a share, or per second.
    limit: f64,
    edge: Edge,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Measure {
    /// With its share: 0.99.
    Percentile(f64),
    Max,
    Mean,
    /// Failed and wrong out of all that were offered.
    Errors,
    /// Completed per second of the window.
    Rate,
}

/// Whether the limit itself is allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Edge {
    Within,
    Beyond,
}

impl Slo {
    /// Whether the run meets it.
    ///
    /// A request without a right answer was recorded with at least the time limit for an answer: no answer is no fast
    /// answer. Where a limit is above that, what lies there is not known to be met.
    pub fn judge(&self, run: &Run) -> SloResult {
        let result = |found: String, met: bool| SloResult { slo: self.text.clone(), found, met };
        let time = |ns: u64| result(format_ns(ns), self.allows(ns as f64));
        if run.response.count() == 0 || run.counts.offered == 0 {
            return result("no answers".to_owned(), false);
        }
        match self.measure {
            Measure::Percentile(q) => self.judge_percentile(run, q),
            Measure::Max => self.judge_time(run, run.response.0.max()),
            Measure::Mean => time(run.response.0.mean().round() as u64),
            Measure::Errors => result(format_share(run.error_share()), self.allows(run.error_share())),
            Measure::Rate => result(format!("{}/s", format_rate(run.rate())), self.allows(run.rate())),
        }
    }

    fn judge_percentile(&self, run: &Run, q: f64) -> SloResult {
        let result = |found: String, met: bool| SloResult { slo: self.text.clone(), found, met };
        let found = quantile(&run.response, &[], q);
        if !found.is_enough {
            let value = format_ns(found.value_ns);
            return result(
                format!("{value}, with {} of the {TAIL_MIN} samples needed beyond it", found.tail),
                false,
            );
        }
        self.judge_time(run, found.value_ns)
    }

    /// A time that may be that of a request without a right answer.
    fn judge_time(&self, run: &Run, ns: u64) -> SloResult {
        let bad = run.counts.failed + run.counts.wrong;
        let is_answer = bad == 0 || ns < run.setup.timeout_ns;
        let found = match is_answer {
            true => format_ns(ns),
            false => format!("no right answer within {}", format_ns(run.setup.timeout_ns)),
        };
        SloResult { slo: self.text.clone(), found, met: is_answer && self.allows(ns as f64) }
    }

    fn allows(&self, found: f64) -> bool {
        match (self.measure, self.edge) {
            (Measure::Rate, Edge::Within) => found >= self.limit,
            (Measure::Rate, Edge::Beyond) => found > self.limit,
            (_, Edge::Within) => found <= self.limit,
            (_, Edge::Beyond) => found < self.limit,
        }
    }

    /// The percentile as a share, and its limit in nanoseconds; `None` for a target about something else.
    pub fn quantile_and_limit(&self) -> Option<(f64, u64)> {
        match self.measure {
            Measure::Percentile(q) => Some((q, self.limit as u64)),
            _ => None,
        }
    }

    /// It is about the share of errors.
    pub fn is_about_errors(&self) -> bool {
        self.measure == Measure::Errors
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for Slo {
    type Err = String;

    fn from_str(given: &str) -> Result<Slo, String> {
        let text: String = given.split_whitespace().collect();
        let wrong = |why: String| format!("target '{given}': {why}");
        let Some(at) = text.find(['<', '>']) else {
            return Err(wrong("say a measure, < or >, and a limit, such as p99<1ms".to_owned()));
        };
        let (name, rest) = text.split_at(at);
        let measure = measure(name).map_err(wrong)?;
        let (sign, limit) = rest.split_at(1);
        let (edge, limit) = match limit.strip_prefix('=') {
            Some(limit) => (Edge::Within, limit),
            None => (Edge::Beyond, limit),
        };
        match (measure, sign) {
            (Measure::Rate, "<") => return Err(wrong(format!("more is better; say {name}>{limit}"))),
            (Measure::Rate, _) | (_, "<") => {}
            _ => return Err(wrong(format!("less is better; say {name}<{limit}"))),
        }
        let value = match measure {
            Measure::Rate => rate(limit),
            Measure::Errors => share(limit),
            Measure::Percentile(_) | Measure::Max | Measure::Mean => time_ns(limit).map(|ns| ns as f64),
        };
        let value = value.map_err(wrong)?;
        if value == 0.0 && edge == Edge::Beyond && measure != Measure::Rate {
            return Err(wrong(format!("nothing is below zero; say {name}<={limit}")));
        }
        Ok(Slo { text, measure, limit: value, edge })
    }
}

fn measure(name: &str) -> Result<Measure, String> {
    match name {
        "max" => return Ok(Measure::Max),
        "mean" => return Ok(Measure::Mean),
        "errors" => return Ok(Measure::Errors),
        "rate" => return Ok(Measure::Rate),
        _ => {}
    }
    let percent = name.strip_prefix('p').filter(|percent| decimal(percent).is_some());
    // The decimal point is moved in the text, so that 99.9 becomes 0.999 and not 0.9990000000000001.
    let share = percent.and_then(|percent| format!("{percent}e-2").parse().ok());
    match share {
        Some(share) if share > 0.0 && share < 1.0 => Ok(Measure::Percentile(share)),
        Some(_) => Err(format!("'{name}' is no percentile between p0 and p100; say p99.9 or max")),
        None => Err(format!("'{name}' is no measure; say p99, max, mean, errors or rate")),
    }
}

/// `0.1%` or `0.001`.
fn share(text: &str) -> Result<f64, String> {
    let share = match text.strip_suffix('%') {
        Some(percent) => decimal(percent).map(|percent| percent / 100.0),
        None => decimal(text),
    };
    let share = share.filter(|share| *share <= 1.0);
    share.ok_or_else(|| format!("'{text}' is no share of requests; say 0.1% or 0.001"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Latency, example};

    fn judge(slo: &str, run: &Run) -> (bool, String) {
        let result = slo.parse::<Slo>().unwrap().judge(run);
        (result.met, result.found)
    }

    /// 100,000 requests, 1 µs, 2 µs, … 100 ms, in 10 s.
    fn ladder() -> Run {
        let mut run = example::run();
        run.response = Latency::new();
        (1..=100_000).for_each(|n| run.response.record(n * 1_000));
        run.window_ns = 10_000_000_000;
        run.counts.offered = 100_000;
        run.counts.completed_in_window = 99_000;
        run
    }

    #[test]
    fn a_target_is_written_as_it_was_given() {
        for text in [
            "p99<1ms",
            "p99.9<=2ms",
            "p50<300us",
            "max<50ms",
            "mean<1.5ms",
            "errors<0.1%",
            "errors<0.001",
            "errors<=0",
            "rate>100k",
            "rate>=100000",
        ] {
            let slo: Slo = text.parse().unwrap();
            assert_eq!(slo.to_string(), text);
            assert_eq!(slo.to_string().parse(), Ok(slo));
        }
        assert_eq!(" p99 < 1 ms ".parse::<Slo>().unwrap().to_string(), "p99<1ms");
    }

    #[test]
    fn what_is_no_target_is_answered_with_what_would_be() {
        for (text, hint) in [
            ("p99>1ms", "say p99<1ms"),
            ("rate<100k", "say rate>100k"),
            ("p99<1", "say 1ms"),
            ("p101<1ms", "say p99.9 or max"),
            ("p100<1ms", "say p99.9 or max"),
            ("p0<1ms", "say p99.9 or max"),
            ("p99<1parsec", "say 300us, 1.5ms or 2s"),
            ("p99<", "say 300us, 1.5ms or 2s"),
            ("p99<-1ms", "say 300us, 1.5ms or 2s"),
            ("p<1ms", "say p99, max, mean, errors or rate"),
            ("pinf<1ms", "say p99, max, mean, errors or rate"),
            ("p9e1<1ms", "say p99, max, mean, errors or rate"),
            ("latency<1ms", "say p99, max, mean, errors or rate"),
            ("<1ms", "say p99, max, mean, errors or rate"),
            ("p99=1ms", "such as p99<1ms"),
            ("", "such as p99<1ms"),
            ("errors<2", "say 0.1% or 0.001"),
            ("errors<101%", "say 0.1% or 0.001"),
            ("errors<nan", "say 0.1% or 0.001"),
            ("errors<0", "say errors<=0"),
            ("p99<0ms", "say p99<=0ms"),
            ("rate>fast", "such as 184k"),
        ] {
            let error = text.parse::<Slo>().unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
            assert!(error.contains(&format!("'{text}'")) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_percentile_is_held_against_its_limit() {
        let run = ladder();
        assert_eq!(judge("p99<99.5ms", &run), (true, "99.0 ms".into()));
        assert_eq!(judge("p99<98.5ms", &run), (false, "99.0 ms".into()));
        assert_eq!(judge("p50<=51ms", &run), (true, "50.0 ms".into()));
        assert_eq!(judge("max<200ms", &run), (true, "100 ms".into()));
        assert!(!judge("max<99ms", &run).0);
        assert_eq!(judge("mean<50.2ms", &run), (true, "50.0 ms".into()));
        assert!(!judge("mean<49ms", &run).0);
    }

    #[test]
    fn rate_counts_what_was_answered_in_the_window() {
        let mut run = ladder();
        run.counts.completed_in_window = 100_000;
        assert_eq!(judge("rate>=10k", &run), (true, "10.0k/s".into()));
        assert_eq!(judge("rate>10k", &run), (false, "10.0k/s".into()));
        run.counts.completed_in_window = 99_999;
        assert!(!judge("rate>=10k", &run).0);
    }

    #[test]
    fn errors_are_a_share_of_what_was_offered() {
        let mut run = ladder();
        assert_eq!(judge("errors<=0", &run), (true, "0 %".into()));
        (run.counts.failed, run.counts.wrong) = (60, 40);
        assert_eq!(judge("errors<0.1%", &run), (false, "0.10 %".into()));
        assert!(judge("errors<=0.1%", &run).0);
        assert!(judge("errors<0.0011", &run).0);
    }

    #[test]
    fn too_few_samples_do_not_pass() {
        let run = ladder();
        assert!(judge("p99.99<1s", &run).0, "ten lie beyond it");
        let (met, found) = judge("p99.999<1s", &run);
        assert!(!met);
        assert_eq!(found, "100 ms, with 1 of the 10 samples needed beyond it");
        let mut nothing = ladder();
        nothing.response = Latency::new();
        for slo in ["p50<1s", "max<1s", "mean<1s", "errors<100%", "rate>=0"] {
            assert_eq!(judge(slo, &nothing), (false, "no answers".into()), "{slo}");
        }
    }

    #[test]
    fn what_was_not_answered_meets_no_limit() {
        let mut run = ladder();
        run.setup.timeout_ns = 99_500_000;
        assert!(judge("max<1s", &run).0, "slow, but right");
        run.counts.failed = 500;
        assert_eq!(judge("max<1s", &run), (false, "no right answer within 99.5 ms".into()));
        assert!(judge("p99<1s", &run).0, "99.0 ms is a time of an answer");
        assert!(!judge("p99.9<1s", &run).0);
    }

    #[test]
    fn a_search_learns_the_percentile_and_its_limit() {
        let parts = |slo: &str| slo.parse::<Slo>().unwrap().quantile_and_limit();
        assert_eq!(parts("p99.9<=2ms"), Some((0.999, 2_000_000)));
        assert_eq!(parts("max<2ms"), None);
        assert_eq!(parts("rate>1"), None);
    }
}
