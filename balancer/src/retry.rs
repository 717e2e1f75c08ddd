//! When a request may be tried again: the rules, and the budget.
//!
//! In: how a try failed, and what is known of its request. Out: whether to try again, where, and at whose expense. Pure.
//! Never: a second try of what may have been processed, unless processing it twice does no harm; nor one after a byte of a response.

use crate::fleet::Outcome;
use crate::forward::Repeat;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// How far a try had come when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reached {
    /// Not a byte of the request had been taken by the kernel: the server can't have processed it.
    Nothing,
    /// Some of the request was sent.
    Sent,
    /// A byte of the response was passed on.
    Answering,
}

/// Over what a try was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Over {
    /// A connection that had served another request before: servers close idle connections, and a request may cross that on its way.
    Reused,
    /// A connection made for it.
    Fresh,
}

/// What to do about a failed try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Again at once, at the same server, on a fresh connection. Costs nothing: the old connection's end says nothing about the server.
    SameServer,
    /// Again, at another server. Costs nothing: the one that was tried has not worked for it.
    OtherServer,
    /// Again, at another server, if the budget allows it.
    OtherServerOnBudget,
    /// No more.
    GiveUp,
}

/// Decides. `is_kept`: the whole request, as far as it has come, can be sent once more.
pub fn decide(outcome: Outcome, reached: Reached, over: Over, repeat: Repeat, is_kept: bool) -> Decision {
    let has_gone = matches!(outcome, Outcome::ConnectFailed | Outcome::Broke);
    match (reached, over) {
        (Reached::Answering, _) => Decision::GiveUp,
        _ if !is_kept => Decision::GiveUp,
        // Waiting for a connect has cost time, and those who wait add up: only as many as the budget allows.
        (Reached::Nothing, _) if outcome == Outcome::ConnectTimeout => Decision::OtherServerOnBudget,
        // An answer that is none, or is late, came from a server that works on the request.
        _ if !has_gone => Decision::GiveUp,
        (Reached::Nothing, Over::Reused) => Decision::SameServer,
        (Reached::Nothing, Over::Fresh) => Decision::OtherServer,
        (Reached::Sent, _) if repeat == Repeat::No => Decision::GiveUp,
        (Reached::Sent, Over::Reused) => Decision::SameServer,
        (Reached::Sent, Over::Fresh) => Decision::OtherServerOnBudget,
    }
}

/// Takes one retry out of the budget: `percent` of the pool's `live` requests, and `floor` beside. Every `true` needs one [`give_back`].
///
/// A share of what is live, after Envoy's retry budgets: retries can't multiply the work of servers that are in trouble.
pub fn take(retries: &AtomicU32, live: u32, percent: u32, floor: u32) -> bool {
    let max = (u64::from(live) * u64::from(percent) / 100) as u32;
    let more = |now: u32| (now < max.saturating_add(floor)).then_some(now + 1);
    retries.fetch_update(Relaxed, Relaxed, more).is_ok()
}

/// Ends a retry that was [`take`]n.
pub fn give_back(retries: &AtomicU32) {
    retries.fetch_sub(1, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use Decision::{GiveUp, OtherServer, OtherServerOnBudget, SameServer};
    use Outcome::{Broke, ConnectFailed, ConnectTimeout, Malformed, TimedOut};
    use Over::{Fresh, Reused};
    use Reached::{Answering, Nothing, Sent};
    use Repeat::{Idempotent, No, Safe};

    #[test]
    fn the_rules_are_these() {
        for (outcome, reached, over, repeat, decision) in [
            (ConnectFailed, Nothing, Fresh, No, OtherServer),
            (ConnectTimeout, Nothing, Fresh, No, OtherServerOnBudget),
            (Broke, Nothing, Fresh, No, OtherServer),
            (Broke, Nothing, Reused, No, SameServer),
            (Broke, Sent, Reused, Safe, SameServer),
            (Broke, Sent, Reused, No, GiveUp),
            (Broke, Sent, Fresh, Idempotent, OtherServerOnBudget),
            (Broke, Sent, Fresh, No, GiveUp),
            (Broke, Answering, Reused, Safe, GiveUp),
            (TimedOut, Sent, Fresh, Idempotent, GiveUp),
            (Malformed, Sent, Reused, Safe, GiveUp),
        ] {
            let is = |is_kept| decide(outcome, reached, over, repeat, is_kept);
            assert_eq!(is(true), decision, "{outcome:?} {reached:?} {over:?} {repeat:?}");
            assert_eq!(is(false), GiveUp);
        }
    }

    #[test]
    fn a_budget_is_a_share_of_what_is_live_and_a_floor() {
        let retries = AtomicU32::new(0);
        let taken = (0..100).filter(|_| take(&retries, 50, 20, 3)).count();
        assert_eq!(taken, 13);
        give_back(&retries);
        assert!(take(&retries, 50, 20, 3));
        assert!(!take(&retries, 50, 20, 3));
    }
}
