//! One lane's part of a workload.
//!
//! In: a buffer to write to; then answers. Out: one request after the other, and for each what its answer
//! must be; for each answer whether it is that. Never: allocates per request once its buffers have grown.

use super::ledger::{Id, Ledger};
use super::plan::{Body, Plan};
use super::sums::{Answer, Operands};
use super::template::{Values, number};
use super::wrong::{self, Wrong};
use super::{Kind, expect};
use crate::model;
use net::http1::{Asked, ResponseHead};
use rand::distr::Distribution;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};
use std::sync::Arc;

/// What the answer to one request must be. To be kept until that answer came, or until it is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected(Holds);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    /// What all answers of the run must be.
    Nothing,
    Sum(i64),
    Id(Id),
}

/// Writes a lane's requests, and checks their answers.
#[derive(Debug)]
pub struct LaneWorkload {
    plan: Arc<Plan>,
    rng: Xoshiro256PlusPlus,
    /// As it was given, the same on all lanes.
    seed: u64,
    operands: OperandsOf,
    /// The next `{{seq}}`.
    seq: u64,
    /// The next `{{line}}`: a place in the plan's lines.
    line: usize,
    lanes: usize,
    /// A body, until its length is known.
    body: Vec<u8>,
}

/// Where operands come from.
#[derive(Debug)]
enum OperandsOf {
    Chance,
    Keys,
    /// Boxed: it is larger than all else together.
    Ledger(Box<Ledger>),
}

impl LaneWorkload {
    pub(super) fn new(plan: Arc<Plan>, seed: u64, lane: usize, lanes: usize, nonce: u64) -> LaneWorkload {
        LaneWorkload {
            rng: of_lane(seed, lane),
            seed,
            operands: match plan.kind {
                Kind::Ledger => OperandsOf::Ledger(Box::new(Ledger::new(nonce, lane))),
                Kind::Add if plan.draws_keys() => OperandsOf::Keys,
                Kind::Add | Kind::Requests => OperandsOf::Chance,
            },
            seq: lane as u64 + 1,
            line: lane % plan.lines.len().max(1),
            lanes,
            body: Vec::new(),
            plan,
        }
    }

    /// Appends one request.
    pub fn write(&mut self, out: &mut Vec<u8>) -> Expected {
        let LaneWorkload { plan, rng, seed, operands, seq, line, lanes, body } = self;
        let url = plan.choice.as_ref().map_or(0, |choice| choice.sample(rng));
        let request = &plan.requests[url];
        let values = Values {
            seq: *seq,
            key: plan.keys.draw(rng),
            line: plan.lines.get(*line).map_or(b"", |line| line.as_bytes()),
        };
        *seq += *lanes as u64;
        if !plan.lines.is_empty() {
            *line = (*line + *lanes) % plan.lines.len();
        }
        request.head.write(out, &values, rng);
        match &request.body {
            Body::Inside => Expected(Holds::Nothing),
            Body::Varying(template) => {
                body.clear();
                template.write(body, &values, rng);
                number(out, body.len());
                out.extend_from_slice(b"\r\n\r\n");
                out.extend_from_slice(body);
                Expected(Holds::Nothing)
            }
            Body::Operands => {
                let (operands, holds) = match operands {
                    OperandsOf::Chance => of(Operands::random(rng)),
                    OperandsOf::Keys => of(Operands::of_key(*seed, values.key)),
                    OperandsOf::Ledger(ledger) => {
                        let id = ledger.issue();
                        (Operands::of_sum(id.sum(), rng), Holds::Id(id))
                    }
                };
                operands.write(out);
                Expected(holds)
            }
        }
    }

    /// What of the request decides how its answer ends.
    pub fn asked(&self, _: &Expected) -> Asked {
        self.plan.asked
    }

    /// Judges the answer to a request, which is over with that.
    ///
    /// # Errors
    /// The first thing that is wrong with it: the status, then the sum, then the rest of the body.
    pub fn check(&mut self, expected: &Expected, head: &ResponseHead<'_>, body: &[u8]) -> Result<(), Wrong> {
        let status = head.status.code();
        if !self.plan.statuses.contains(status) {
            if let (OperandsOf::Ledger(ledger), Holds::Id(id)) = (&mut self.operands, expected.0) {
                ledger.leave(id);
            }
            return Err(Wrong::Status(status));
        }
        match (expected.0, &mut self.operands) {
            (Holds::Nothing, _) => {}
            (Holds::Id(id), OperandsOf::Ledger(ledger)) => look_up(ledger, id, body)?,
            (Holds::Id(_), OperandsOf::Chance | OperandsOf::Keys) | (Holds::Sum(_), _) => {
                let sum = expected.sum().unwrap_or_default();
                match Answer::read(body, sum) {
                    Answer::Right => {}
                    Answer::Other(_) | Answer::Odd => return Err(Wrong::Sum),
                    Answer::None => return Err(Wrong::NoSum),
                }
            }
        }
        self.check_body(body)
    }

    /// A wrong answer in a sentence of at most 200 bytes, as an example of its kind. Allocates: for the first
    /// of a kind.
    pub fn describe(
        &self,
        wrong: &Wrong,
        expected: &Expected,
        head: &ResponseHead<'_>,
        body: &[u8],
    ) -> String {
        wrong::describe(wrong, expected.sum(), &self.plan.statuses, head, body)
    }

    /// No answer will come to this request: it timed out, or its connection broke. It is over.
    pub fn give_up(&mut self, expected: &Expected) {
        if let (OperandsOf::Ledger(ledger), Holds::Id(id)) = (&mut self.operands, expected.0) {
            ledger.give_up(id);
        }
    }

    /// What the ledger found so far; `None` unless this is [`Kind::Ledger`].
    pub fn ledger(&self) -> Option<model::Ledger> {
        match &self.operands {
            OperandsOf::Ledger(ledger) => Some(ledger.found()),
            OperandsOf::Chance | OperandsOf::Keys => None,
        }
    }

    fn check_body(&self, body: &[u8]) -> Result<(), Wrong> {
        let Plan { expect_body, expect_json, .. } = &*self.plan;
        match (expect_body, expect_json) {
            (Some(wanted), _) if body != wanted.as_bytes() => Err(Wrong::Body),
            (_, Some(wanted)) if !expect::is_json(body, wanted) => Err(Wrong::Json),
            _ => Ok(()),
        }
    }
}

impl Expected {
    fn sum(&self) -> Option<i64> {
        match self.0 {
            Holds::Nothing => None,
            Holds::Sum(sum) => Some(sum),
            Holds::Id(id) => Some(id.sum()),
        }
    }
}

fn of(operands: Operands) -> (Operands, Holds) {
    (operands, Holds::Sum(operands.sum()))
}

fn look_up(ledger: &mut Ledger, id: Id, body: &[u8]) -> Result<(), Wrong> {
    match Answer::read(body, id.sum()) {
        Answer::Right => {
            ledger.settle(id);
            Ok(())
        }
        Answer::Other(number) => Err(ledger.settle_wrong(id, number)),
        Answer::Odd => {
            ledger.settle_corrupted(id);
            Err(Wrong::Corrupted)
        }
        Answer::None => {
            ledger.settle_corrupted(id);
            Err(Wrong::NoSum)
        }
    }
}

/// A generator of the lane's own: seeded by what another one draws, so that neighbours have nothing in
/// common.
fn of_lane(seed: u64, lane: usize) -> Xoshiro256PlusPlus {
    let mut seeds = Xoshiro256PlusPlus::seed_from_u64(seed ^ u64::from_le_bytes(*b"workload"));
    for _ in 0..lane {
        seeds.next_u64();
    }
    Xoshiro256PlusPlus::seed_from_u64(seeds.next_u64())
}

#[cfg(test)]
mod tests;
