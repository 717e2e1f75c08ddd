//! The ledger: which requests are out, by a number that their answers bring back.
//!
//! Every request of every lane has an id of its own, which is the sum that it asks for. An answer with
//! another sum then tells whose it is. In: requests as they go out, and how they end. Out: what an answer
//! was, and counts. Never: holds more than is in flight and [`OWED_MAX`].
//!
//! Each request is counted once at most, for what *it* got. Two requests that get each other's answers are
//! two swapped ones. A request that ends without its own answer leaves that answer **owed**: when it comes to
//! another request, late, that one is swapped too. So a server that is one answer behind makes one duplicate,
//! and swaps from then on. Only an answer that has come before, to whomever, is a duplicate.

use super::wrong::Wrong;
use crate::model;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};
use std::collections::{HashMap, VecDeque};

/// Requests of a lane that are told apart: hours at full speed, after which the numbers begin anew.
const COUNT_BITS: u32 = 32;
/// Lanes and runs that are told apart.
const SENDER_BITS: u32 = 14;
/// A number that was damaged on its way has the right bits here by chance, once in 128 times.
const CHECK_BITS: u32 = 7;
/// Answers that are owed and still awaited. A connection that is behind is so by as many as are pipelined on
/// it.
const OWED_MAX: usize = 4096;

/// The sum that a request asks for: from 0 to 2^53 - 1, so that it is exact in a double. From the high bits
/// to the low: its lane and run, its number on the lane, and a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id(u64);

impl Id {
    fn new(sender: u64, count: u64) -> Id {
        let named = sender << COUNT_BITS | count;
        Id(named << CHECK_BITS | check_of(named))
    }

    /// `None`: no request has it, on any lane.
    fn read(number: i64) -> Option<Id> {
        let id = Id(u64::try_from(number).ok()?);
        let is_ours =
            id.sender() >> SENDER_BITS == 0 && id.0 & ((1 << CHECK_BITS) - 1) == check_of(id.0 >> CHECK_BITS);
        is_ours.then_some(id)
    }

    fn sender(self) -> u64 {
        self.0 >> (COUNT_BITS + CHECK_BITS)
    }

    fn count(self) -> u64 {
        (self.0 >> CHECK_BITS) & ((1 << COUNT_BITS) - 1)
    }

    /// As a sum.
    pub(crate) fn sum(self) -> i64 {
        self.0 as i64
    }
}

/// Fibonacci hashing, of a value that makes zero no valid id: a server that always says 0 is no sender.
fn check_of(named: u64) -> u64 {
    (named ^ 0x5bd1_e995).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - CHECK_BITS)
}

/// How things stand with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In flight; its sum has not come.
    Awaited,
    /// In flight; its sum came to another request.
    Taken,
    /// Over; its sum has not come.
    Owed,
}

/// The ledger of a lane.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    sender: u64,
    /// Requests that got an id.
    issued: u64,
    states: HashMap<Id, State, ahash::RandomState>,
    /// Oldest first. Some may have come since.
    owed: VecDeque<Id>,
    found: model::Ledger,
}

impl Ledger {
    /// For a lane of a run, which `nonce` tells apart from other runs.
    pub(crate) fn new(nonce: u64, lane: usize) -> Ledger {
        let run = Xoshiro256PlusPlus::seed_from_u64(nonce).next_u64();
        Ledger {
            sender: run.wrapping_add(lane as u64) & ((1 << SENDER_BITS) - 1),
            issued: 0,
            states: HashMap::default(),
            owed: VecDeque::new(),
            found: model::Ledger::default(),
        }
    }

    /// A new request.
    pub(crate) fn issue(&mut self) -> Id {
        let id = Id::new(self.sender, self.issued & ((1 << COUNT_BITS) - 1));
        self.issued += 1;
        self.states.insert(id, State::Awaited);
        id
    }

    /// It got its own answer.
    pub(crate) fn settle(&mut self, id: Id) {
        self.states.remove(&id);
    }

    /// It got the answer `number` instead.
    pub(crate) fn settle_wrong(&mut self, id: Id, number: i64) -> Wrong {
        let wrong = self.look_up(number);
        let count = match wrong {
            Wrong::Swapped => &mut self.found.swapped,
            Wrong::Duplicated => &mut self.found.duplicated,
            Wrong::Misrouted => &mut self.found.misrouted,
            _ => &mut self.found.corrupted,
        };
        *count += 1;
        self.leave(id);
        wrong
    }

    /// It got an answer without any number that could be one of ours.
    pub(crate) fn settle_corrupted(&mut self, id: Id) {
        self.found.corrupted += 1;
        self.leave(id);
    }

    /// It got an answer that was refused before its number was looked at, such as a 503.
    pub(crate) fn leave(&mut self, id: Id) {
        if self.states.remove(&id) == Some(State::Awaited) {
            self.states.insert(id, State::Owed);
            self.owed.push_back(id);
        }
        if self.owed.len() > OWED_MAX
            && let Some(oldest) = self.owed.pop_front()
        {
            self.states.remove(&oldest);
        }
    }

    /// No answer will come to it.
    pub(crate) fn give_up(&mut self, id: Id) {
        self.found.lost += 1;
        self.leave(id);
    }

    /// What was found so far.
    pub(crate) fn found(&self) -> model::Ledger {
        self.found
    }

    /// Whose answer is it?
    fn look_up(&mut self, number: i64) -> Wrong {
        let Some(id) = Id::read(number) else {
            return Wrong::Corrupted;
        };
        if id.sender() != self.sender {
            return Wrong::Misrouted;
        }
        match self.states.get_mut(&id) {
            Some(state @ State::Awaited) => {
                *state = State::Taken;
                Wrong::Swapped
            }
            Some(State::Owed) => {
                self.states.remove(&id);
                Wrong::Swapped
            }
            Some(State::Taken) => Wrong::Duplicated,
            None if id.count() < self.issued => Wrong::Duplicated,
            None => Wrong::Corrupted,
        }
    }
}

#[cfg(test)]
mod tests;
