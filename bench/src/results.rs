//! What a part has measured, as plain data: written as JSON, read again, set in proportion.
//!
//! In: a number for each quantity, contender, case and round. Out: medians over rounds, and ratios within rounds. Tables,
//! charts and aims come from here alone, so that a recorded run says the same as it did when it ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::stats::Spread;

/// The quantities, by their names in files.
pub(crate) const RATE: &str = "requests_per_second";
pub(crate) const CPU: &str = "cpu_us_per_request";
pub(crate) const BUSY: &str = "server_busy";
pub(crate) const P50: &str = "p50_us";
pub(crate) const P99: &str = "p99_us";
pub(crate) const P999: &str = "p999_us";
pub(crate) const ERRORS: &str = "errors";

/// One measurement: each quantity's number.
pub(crate) type Sample = BTreeMap<&'static str, f64>;

/// What a contender is measured as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sort {
    /// A bare loop, which nobody would use.
    Floor,
    Ours,
    /// What others use today.
    Peer,
}

/// Is more of it better?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    More,
    Less,
}

/// One contender in one case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) contender: String,
    pub(crate) sort: Sort,
    /// The load, or whatever else sets it apart from the other rows of its contender.
    pub(crate) case: String,
    /// The floor that uses the kernel as it does.
    pub(crate) floor: Option<String>,
    /// What a reader would type, without directories.
    pub(crate) command: String,
    /// Of each quantity a number per round.
    pub(crate) rounds: BTreeMap<String, Vec<f64>>,
}

impl Row {
    /// With what the rounds gave; a quantity that one of them lacks is left out.
    pub(crate) fn filled<'s>(mut self, samples: impl Iterator<Item = &'s Sample> + Clone) -> Self {
        let names = samples.clone().next().into_iter().flat_map(|sample| sample.keys().copied());
        self.rounds = names
            .filter_map(|name| {
                let numbers = samples.clone().map(|sample| sample.get(name).copied());
                Some((name.to_owned(), numbers.collect::<Option<_>>()?))
            })
            .collect();
        self
    }

    pub(crate) fn numbers(&self, quantity: &str) -> &[f64] {
        self.rounds.get(quantity).map_or(&[], Vec::as_slice)
    }

    /// `None` where it was not measured.
    pub(crate) fn spread(&self, quantity: &str) -> Option<Spread> {
        Spread::of(self.numbers(quantity).iter().copied())
    }

    /// Of the ratios to another, within each round; `None` where the two have not the same rounds.
    pub(crate) fn over(&self, other: &Self, quantity: &str) -> Option<Spread> {
        self.over_numbers(other.numbers(quantity), quantity)
    }

    fn over_numbers(&self, others: &[f64], quantity: &str) -> Option<Spread> {
        let ours = self.numbers(quantity);
        (ours.len() == others.len()).then(|| Spread::of_ratios(ours, others)).flatten()
    }

    /// To its floor, in the same case.
    pub(crate) fn over_floor(&self, all: &[Self], quantity: &str) -> Option<Spread> {
        self.over(find(all, self.floor.as_deref()?, &self.case)?, quantity)
    }

    /// To whichever peer was best in the round, in the same case.
    pub(crate) fn over_best_peer(&self, all: &[Self], quantity: &str, better: Better) -> Option<Spread> {
        let peers = all.iter().filter(|row| row.sort == Sort::Peer && row.case == self.case);
        let peers: Vec<&[f64]> = peers.map(|peer| peer.numbers(quantity)).collect();
        let choose = match better {
            Better::More => f64::max,
            Better::Less => f64::min,
        };
        let best = (0..self.numbers(quantity).len())
            .map(|round| peers.iter().filter_map(|peer| peer.get(round).copied()).reduce(choose))
            .collect::<Option<Vec<_>>>()?;
        self.over_numbers(&best, quantity)
    }
}

/// The row of a contender in a case.
pub(crate) fn find<'r>(all: &'r [Row], contender: &str, case: &str) -> Option<&'r Row> {
    all.iter().find(|row| row.contender == contender && row.case == case)
}

/// The cases, in the order in which they first come.
pub(crate) fn cases(all: &[Row]) -> Vec<&str> {
    let mut cases: Vec<&str> = Vec::new();
    for row in all {
        if !cases.contains(&row.case.as_str()) {
            cases.push(&row.case);
        }
    }
    cases
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A row with these requests per second.
    pub(crate) fn row(contender: &str, sort: Sort, case: &str, rates: &[f64]) -> Row {
        let row = Row {
            contender: contender.into(),
            sort,
            case: case.into(),
            floor: Some("floor".into()),
            command: String::new(),
            rounds: BTreeMap::new(),
        };
        let samples: Vec<Sample> = rates.iter().map(|&rate| Sample::from([(RATE, rate)])).collect();
        row.filled(samples.iter())
    }

    fn all() -> Vec<Row> {
        vec![
            row("floor", Sort::Floor, "64", &[8.0, 10.0]),
            row("ours", Sort::Ours, "64", &[4.0, 20.0]),
            row("one", Sort::Peer, "64", &[2.0, 5.0]),
            row("two", Sort::Peer, "64", &[1.0, 10.0]),
            row("two", Sort::Peer, "256", &[100.0, 100.0]),
        ]
    }

    #[test]
    fn the_best_peer_is_found_anew_in_each_round() {
        let all = all();
        let over = |better| all[1].over_best_peer(&all, RATE, better).unwrap();
        assert_eq!((over(Better::More).min, over(Better::More).max), (2.0, 2.0));
        assert_eq!((over(Better::Less).min, over(Better::Less).max), (4.0, 4.0));
        assert_eq!(all[1].over_best_peer(&all[..2], RATE, Better::More), None, "no peer was measured");
    }

    #[test]
    fn a_ratio_is_taken_within_each_round_and_case() {
        let all = all();
        let over = all[1].over_floor(&all, RATE).unwrap();
        assert_eq!((over.min, over.max), (0.5, 2.0));
        assert_eq!(all[4].over_floor(&all, RATE), None, "the floor was not measured in that case");
        let short = row("short", Sort::Ours, "64", &[1.0]);
        assert_eq!(short.over_floor(&all, RATE), None, "other rounds");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let all = all();
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Row>>(&text).unwrap(), all);
        assert!(text.contains("\"sort\":\"peer\""));
        assert_eq!(cases(&all), ["64", "256"]);
    }

    #[test]
    fn what_a_round_lacks_is_left_out() {
        let samples = [Sample::from([(RATE, 1.0), (P99, 2.0)]), Sample::from([(RATE, 3.0)])];
        let row = row("x", Sort::Ours, "1", &[]).filled(samples.iter());
        assert_eq!(row.numbers(RATE), [1.0, 3.0]);
        assert_eq!(row.spread(P99), None);
    }
}
