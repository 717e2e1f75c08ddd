//! One server's health as another process goes on with it.
//!
//! In: a [`Health`]. Out: the same, as plain data for both processes of a hand-over, which read the same clock (CLOCK_MONOTONIC). What is left
//! out is about requests that the old process still has: those end there. Never: a step backwards, or a panic over what the other says.

use super::server::{Cause, Health, Run, Stage};
use super::slow_start::SlowStart;
use crate::control::Admin;
use net::time::Time;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A server's health, to be passed on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    #[serde(flatten)]
    stage: SavedStage,
    since_ns: u64,
    why: String,
    ejections: u32,
    failures: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
enum SavedStage {
    Up,
    Rising { began_ns: u64, over_ns: u64 },
    Ejected { could_not_connect: bool, until_ns: u64, look_ns: u64 },
    Probation { successes: u32 },
    Down,
}

impl Health {
    /// To be passed on.
    pub fn save(&self) -> Saved {
        let stage = match &self.stage {
            Stage::Up => SavedStage::Up,
            Stage::Rising(SlowStart { began, over }) => {
                SavedStage::Rising { began_ns: began.0, over_ns: nanoseconds(*over) }
            }
            Stage::Ejected { by, until, look, .. } => SavedStage::Ejected {
                could_not_connect: *by == Cause::Connect,
                until_ns: until.0,
                look_ns: nanoseconds(*look),
            },
            Stage::Probation { successes, .. } => SavedStage::Probation { successes: *successes },
            Stage::Down => SavedStage::Down,
        };
        let Health { since, why, ejections, failures, .. } = self;
        Saved { stage, since_ns: since.0, why: why.clone(), ejections: *ejections, failures: *failures }
    }
}

impl Saved {
    /// As it goes on. What the operator wants of the server is told apart.
    pub fn restore(self) -> Health {
        let Saved { stage, since_ns, why, ejections, failures } = self;
        let stage = match stage {
            // A slow start without a length is over.
            SavedStage::Up | SavedStage::Rising { over_ns: 0, .. } => Stage::Up,
            SavedStage::Rising { began_ns, over_ns } => {
                Stage::Rising(SlowStart { began: Time(began_ns), over: Duration::from_nanos(over_ns) })
            }
            SavedStage::Ejected { could_not_connect, until_ns, look_ns } => Stage::Ejected {
                by: if could_not_connect { Cause::Connect } else { Cause::Answers },
                until: Time(until_ns),
                latest: Time(until_ns),
                look: Duration::from_nanos(look_ns),
            },
            SavedStage::Probation { successes } => Stage::Probation { successes, stragglers: 0 },
            SavedStage::Down => Stage::Down,
        };
        Health { stage, admin: Admin::Ready, since: Time(since_ns), why, run: Run::None, ejections, failures }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_goes_on_where_it_was() {
        let (second, now) = (Duration::from_secs(1), Time(7_000_000_000));
        let ejected =
            |by| Stage::Ejected { by, until: now + second, latest: now + second * 2, look: second / 8 };
        for stage in [
            Stage::Up,
            Stage::Rising(SlowStart { began: Time(5_000_000_000), over: second * 10 }),
            ejected(Cause::Connect),
            ejected(Cause::Answers),
            Stage::Probation { successes: 2, stragglers: 5 },
            Stage::Down,
        ] {
            let before = Health {
                stage,
                why: "x".to_owned(),
                ejections: 3,
                failures: 4,
                ..Health::up(Time(6_000_000_000))
            };
            let json = serde_json::to_vec(&before.save()).unwrap();
            let after = serde_json::from_slice::<Saved>(&json).unwrap().restore();
            assert_eq!(after.save(), before.save());
            assert_eq!((after.state(), after.why(), after.since()), (before.state(), "x", before.since()));
            assert_eq!((after.failures(), after.ejected_until()), (4, before.ejected_until()));
            assert_eq!(after.share(now), before.share(now));
        }
    }

    #[test]
    fn a_slow_start_of_no_length_is_over() {
        let json =
            r#"{"state":"rising","began_ns":1,"over_ns":0,"since_ns":1,"why":"","ejections":0,"failures":0}"#;
        let health = serde_json::from_str::<Saved>(json).unwrap().restore();
        assert_eq!(health.share(Time(2)), 1.0);
    }
}
