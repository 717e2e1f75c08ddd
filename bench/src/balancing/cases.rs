//! What is simulated: a list, by the question that it answers.
//!
//! In: nothing. Out: cases. The kinds of trouble at three loads; then what more lanes and more servers
//! change.

use super::model::Setup;
use super::trouble::Trouble;

/// The load at which a rule's weakness shows, and that a sane operator doesn't go beyond.
pub(super) const HIGH: f64 = 0.9;

/// What the question of a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Trouble,
    Lanes,
    Servers,
}

/// One row of a table.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) question: Question,
    pub(super) setup: Setup,
}

impl Case {
    /// What it is called in its table.
    pub(super) fn name(&self) -> String {
        let Setup { servers, lanes, load, trouble, .. } = &self.setup;
        let trouble = trouble.name();
        match self.question {
            Question::Trouble => format!("{trouble}, load {load}"),
            Question::Lanes => format!("{trouble}, {lanes} {}", if *lanes == 1 { "lane" } else { "lanes" }),
            Question::Servers => format!("{trouble}, {servers} servers, load {load}"),
        }
    }
}

/// All, in the order of the tables.
pub(super) fn all(is_quick: bool) -> Vec<Case> {
    let case = |question, servers: usize, lanes, load, trouble| {
        // A thousand servers need more requests, until a slow one's queue shows and `adaptive` has had time.
        let requests = 600_000.max(3_000 * servers);
        let requests = if is_quick { requests / 6 } else { requests };
        Case { question, setup: Setup { servers, lanes, load, trouble, requests } }
    };
    let mut cases = Vec::new();
    for trouble in Trouble::ALL {
        cases.extend([0.5, 0.7, HIGH].map(|load| case(Question::Trouble, 16, 16, load, trouble)));
    }
    for trouble in [Trouble::None, Trouble::Slow] {
        cases.extend([1, 4, 64].map(|lanes| case(Question::Lanes, 16, lanes, HIGH, trouble)));
    }
    for trouble in [Trouble::None, Trouble::Slow] {
        for servers in [2, 4, 100, 1_000] {
            cases.extend([0.7, HIGH].map(|load| case(Question::Servers, servers, 16, load, trouble)));
        }
    }
    cases
}
