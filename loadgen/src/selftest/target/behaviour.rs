//! What a target may do, and what it did: the two lists that a self-test compares.
//!
//! In: a choice. Out: counts. Never: a fault without a count, so that what was caught can be held against what was done.

use std::time::Duration;

/// What the target does to its answers. Requests are counted from one over all connections; where an `every` is
/// zero, the fault never comes.
#[derive(Clone, Debug, PartialEq)]
pub enum Behaviour {
    /// Nothing: each answer at once, and right.
    Right,
    /// Each answer is due so long after its request arrived.
    Delay(Duration),
    /// One server for all connections, first come, first served: with Poisson arrivals an M/D/1 or M/M/1 queue.
    Queue {
        /// How long one request takes.
        service: Service,
    },
    /// Freezes once: what arrives in `[at, at + length)`, counted from the first request, is answered at its end.
    Stall {
        /// Begin, from the first request's arrival.
        at: Duration,
        /// How long.
        length: Duration,
    },
    /// Freezes for `length` whenever another `every` has passed since the first request.
    StallEvery {
        /// From begin to begin.
        every: Duration,
        /// How long; less than `every`.
        length: Duration,
    },
    /// The answer to each `every`-th request is exchanged with the next one of another connection. Both are in
    /// flight then. It waits for that one, at most 100 ms.
    Swap {
        /// Requests from one exchange to the next.
        every: u64,
    },
    /// Each `every`-th request gets no answer; the connection goes on, with the answers of later requests.
    Drop {
        /// Requests from one to the next.
        every: u64,
    },
    /// Each `every`-th request gets the sum that its connection got before.
    Duplicate {
        /// Requests from one to the next.
        every: u64,
    },
    /// Each `every`-th sum has another first digit: far from any sum that was asked for near it.
    Corrupt {
        /// Requests from one to the next.
        every: u64,
    },
    /// Each `every`-th answer ends in its middle, and with it the connection.
    CloseMidAnswer {
        /// Requests from one to the next.
        every: u64,
    },
    /// Says a line of SSH to whatever comes first, and closes.
    NotHttp,
    /// Says a TLS alert to whatever comes first, and closes.
    Tls,
    /// Each answer has this status, from 200 to 999; any other number is 500.
    Status(u16),
    /// After so many answers a connection is closed, and the last one says so. Zero is one.
    CloseAfter(u64),
    /// Accepts and reads, and never answers.
    Silent,
    /// One byte of an answer per millisecond, the first one at once.
    Trickle,
}

/// How long a request takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Service {
    /// Always the same.
    Fixed(Duration),
    /// Random, with an exponential distribution; the same times for the same seed.
    Exponential {
        /// On average.
        mean: Duration,
        /// Of the random numbers.
        seed: u64,
    },
}

/// What the target did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted.
    pub connections: u64,
    /// Requests for a sum that arrived whole.
    pub requests: u64,
    /// Answers handed over whole, right or wrong.
    pub answered: u64,
    /// Requests that arrived in a stall.
    pub stalled: u64,
    /// Answers with the sum of another request in flight: two for each exchange that shows.
    pub swapped: u64,
    /// Answers held for an exchange, and sent as they were because no other one came.
    pub held_in_vain: u64,
    /// Requests without an answer, by [`Behaviour::Drop`] or [`Behaviour::Silent`].
    pub dropped: u64,
    /// Answers with the sum of an earlier one, where that is not their own.
    pub duplicated: u64,
    /// Answers with a digit changed.
    pub corrupted: u64,
    /// Answers that ended in their middle.
    pub cut: u64,
    /// Answers that said they were the connection's last, by [`Behaviour::CloseAfter`].
    pub closed: u64,
    /// Connections that were told something that is not HTTP.
    pub foreign: u64,
    /// Requests for anything else, or against HTTP/1.1: answered with an error, by any behaviour that speaks HTTP.
    pub refused: u64,
}
