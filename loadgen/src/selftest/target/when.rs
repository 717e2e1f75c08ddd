//! When an answer is due: the known part of a known delay.
//!
//! In: the arrivals of requests, in order. Out: for each, when its answer is due, never before an earlier one's of the
//! same connection. Never: reads a clock.

use super::{Behaviour, Service};
use net::time::Time;
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rand_distr::{Distribution, Exp1};
use std::time::Duration;

pub(super) struct When {
    delay: Delay,
    /// The first arrival: stalls are counted from it.
    began: Option<Time>,
    stalled: u64,
}

enum Delay {
    Always(Duration),
    Queue { service: Server, free_at: Time },
    Stall { at: Duration, length: Duration },
    StallEvery { every: Duration, length: Duration },
}

enum Server {
    Fixed(Duration),
    Exponential { mean: Duration, random: Xoshiro256PlusPlus },
}

impl When {
    pub(super) fn new(behaviour: &Behaviour) -> When {
        let delay = match *behaviour {
            Behaviour::Delay(length) => Delay::Always(length),
            Behaviour::Queue { ref service } => {
                Delay::Queue { service: Server::new(service), free_at: Time(0) }
            }
            Behaviour::Stall { at, length } => Delay::Stall { at, length },
            Behaviour::StallEvery { every, length } => Delay::StallEvery { every, length },
            _ => Delay::Always(Duration::ZERO),
        };
        When { delay, began: None, stalled: 0 }
    }

    /// When the answer is due to what arrives now. Each call is an arrival, and none is before the one before it.
    pub(super) fn due(&mut self, now: Time) -> Time {
        let since = now.since(*self.began.get_or_insert(now));
        let wait = match &mut self.delay {
            Delay::Always(length) => return now + *length,
            Delay::Queue { service, free_at } => {
                *free_at = now.max(*free_at) + service.time();
                return *free_at;
            }
            Delay::Stall { at, length } if since >= *at => at.saturating_add(*length).saturating_sub(since),
            Delay::StallEvery { every, length } if since >= *every => {
                length.saturating_sub(rest(since, *every))
            }
            Delay::Stall { .. } | Delay::StallEvery { .. } => Duration::ZERO,
        };
        self.stalled += u64::from(!wait.is_zero());
        now + wait
    }

    /// Arrivals in a stall.
    pub(super) fn stalled(&self) -> u64 {
        self.stalled
    }
}

impl Server {
    fn new(service: &Service) -> Server {
        match *service {
            Service::Fixed(time) => Server::Fixed(time),
            Service::Exponential { mean, seed } => {
                Server::Exponential { mean, random: Xoshiro256PlusPlus::seed_from_u64(seed) }
            }
        }
    }

    fn time(&mut self) -> Duration {
        match self {
            Server::Fixed(time) => *time,
            Server::Exponential { mean, random } => {
                let factor: f64 = Exp1.sample(random);
                mean.mul_f64(factor)
            }
        }
    }
}

/// What is left of `time` when as many `every` as fit have been taken off; all of it if `every` is zero.
fn rest(time: Duration, every: Duration) -> Duration {
    let left = time.as_nanos().checked_rem(every.as_nanos()).unwrap_or(time.as_nanos());
    Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 7_000;

    #[test]
    fn a_stall_holds_what_arrives_from_its_begin_up_to_its_end() {
        let behaviour = Behaviour::Stall { at: ms(10), length: ms(5) };
        let arrivals = [0, 9, 10, 12, 14, 15, 30];
        assert_eq!(dues(&behaviour, &arrivals), ([0, 9, 15, 15, 15, 15, 30].to_vec(), 3));
    }

    #[test]
    fn a_stall_from_the_beginning_holds_the_first_request_too() {
        let behaviour = Behaviour::Stall { at: ms(0), length: ms(5) };
        assert_eq!(dues(&behaviour, &[0, 4, 5]), ([5, 5, 5].to_vec(), 2));
    }

    #[test]
    fn stalls_come_again_and_the_first_one_after_its_period() {
        let behaviour = Behaviour::StallEvery { every: ms(10), length: ms(2) };
        let arrivals = [0, 1, 9, 10, 11, 12, 20, 25, 31];
        assert_eq!(dues(&behaviour, &arrivals), ([0, 1, 9, 12, 12, 12, 22, 25, 32].to_vec(), 4));
    }

    #[test]
    fn a_period_of_zero_is_no_division() {
        let behaviour = Behaviour::StallEvery { every: ms(0), length: ms(2) };
        assert_eq!(dues(&behaviour, &[0, 5]).0, [2, 5]);
    }

    #[test]
    fn a_queue_serves_one_after_the_other_and_rests_when_it_is_empty() {
        let behaviour = Behaviour::Queue { service: Service::Fixed(ms(3)) };
        assert_eq!(dues(&behaviour, &[0, 1, 2, 20, 21]).0, [3, 6, 9, 23, 26]);
    }

    /// The standard error of the mean of n exponential times is 1/√n: 0.0022 here; the seed makes it one number.
    #[test]
    fn exponential_times_have_the_mean_and_the_spread_that_they_should() {
        let service = Service::Exponential { mean: Duration::from_micros(100), seed: 1 };
        let mut server = Server::new(&service);
        let times: Vec<f64> = (0..200_000).map(|_| server.time().as_secs_f64() / 100e-6).collect();
        let mean = times.iter().sum::<f64>() / times.len() as f64;
        let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / times.len() as f64;
        let over_three = times.iter().filter(|time| **time > 3.0).count() as f64 / times.len() as f64;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        assert!((variance - 1.0).abs() < 0.03, "{variance}");
        assert!((over_three - (-3.0_f64).exp()).abs() < 0.002, "{over_three}");
    }

    #[test]
    fn the_same_seed_makes_the_same_times_and_another_seed_others() {
        let times = |seed| {
            let mut server = Server::new(&Service::Exponential { mean: ms(1), seed });
            (0..10).map(|_| server.time()).collect::<Vec<_>>()
        };
        assert_eq!(times(1), times(1));
        assert_ne!(times(1), times(2));
    }

    /// In whole milliseconds from the first arrival, which is not at zero; and how many were in a stall.
    fn dues(behaviour: &Behaviour, arrivals: &[u64]) -> (Vec<u64>, u64) {
        let mut when = When::new(behaviour);
        let due = |at: &u64| when.due(Time((START + at) * 1_000_000)).0 / 1_000_000 - START;
        let dues = arrivals.iter().map(due).collect();
        (dues, when.stalled())
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }
}
