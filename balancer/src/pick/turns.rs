//! Servers take turns in proportion to their weights, each one's turns evenly apart.
//!
//! In: weights as they are now, of which each pick looks at a few. Out: the server whose turn is due first.
//! Each server has a due time on a clock that nobody reads but this: its turns are one period apart, which is
//! short for a large weight. The first ones lie anywhere in a period, so that each lane has an order of its
//! own. A turn that can't be taken is lost, and not owed: a server that comes back gets its share, no flood.

use super::weights::SWEEP;
use super::{ATTEMPTS_MAX, Servers};
use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;

/// The period of a server with the weight 1 (a 256th of a configured weight of one): periods of the largest
/// weights are still precise to 1 in 10,000.
const PERIOD: u64 = 1 << 32;

/// Due times are made smaller from here on. A period cannot carry one from here to [`NEVER`].
const TIME_MAX: u64 = 1 << 62;

/// Has no turn.
const NEVER: u64 = u64::MAX;

/// All servers' next turns.
#[derive(Debug, Default)]
pub(super) struct Turns {
    seats: Vec<Seat>,
    /// A tree in an array: node `k` is the earlier one of nodes `2k` and `2k + 1`, node 1 is the earliest of
    /// all, and the second half are the servers.
    first: Vec<Turn>,
    now: u64,
    swept: usize,
}

/// What is remembered of a server.
#[derive(Clone, Copy, Debug)]
struct Seat {
    weight: u32,
    due: u64,
    period: u64,
}

#[derive(Clone, Copy, Debug)]
struct Turn {
    due: u64,
    server: usize,
}

impl Turns {
    /// The open server that is due, with a place taken.
    pub(super) fn next(&mut self, servers: Servers, chance: &mut Xoshiro256PlusPlus) -> Option<usize> {
        self.follow(servers, chance);
        // Those that were tried keep their turns: this request is not for them.
        servers.tried().for_each(|server| self.put(server, NEVER));
        let found = (0..ATTEMPTS_MAX).find_map(|_| self.take_turn(servers, chance));
        servers.tried().for_each(|server| self.put(server, self.seats[server].due));
        found
    }

    /// Lets the one that is due have its turn. `None`: it lost it.
    fn take_turn(&mut self, servers: Servers, chance: &mut Xoshiro256PlusPlus) -> Option<usize> {
        let Turn { due, server } = self.first[1];
        if due == NEVER {
            return None;
        }
        self.see(server, servers.loads[server].weight(), chance);
        self.now = self.now.max(due);
        if self.seats[server].weight > 0 {
            self.set_due(server, due + self.seats[server].period);
        }
        servers.take(server).then_some(server)
    }

    /// Looks at the weights of the next few servers; begins anew if there are more or fewer than before.
    fn follow(&mut self, servers: Servers, chance: &mut Xoshiro256PlusPlus) {
        let loads = servers.loads;
        if self.seats.len() != loads.len() {
            self.seats = vec![Seat { weight: 0, due: NEVER, period: 0 }; loads.len()];
            self.first = vec![Turn { due: NEVER, server: 0 }; 2 * loads.len()];
            (0..loads.len()).for_each(|server| self.first[loads.len() + server].server = server);
            (0..loads.len()).for_each(|server| self.see(server, loads[server].weight(), chance));
        }
        for _ in 0..SWEEP.min(loads.len()) {
            self.swept = servers.after(self.swept);
            self.see(self.swept, loads[self.swept].weight(), chance);
        }
        if self.now >= TIME_MAX {
            self.begin_time_anew();
        }
    }

    /// Its next turn comes at the old time, or earlier if its weight grew; that of a new one, anywhere in its
    /// first period.
    fn see(&mut self, server: usize, weight: u32, chance: &mut Xoshiro256PlusPlus) {
        let seat = &mut self.seats[server];
        if seat.weight == weight {
            return;
        }
        let is_new = seat.weight == 0;
        seat.weight = weight;
        // The one division, for each change of a weight and not for each pick.
        seat.period = PERIOD.checked_div(u64::from(weight)).unwrap_or(NEVER).max(1);
        let due = match weight {
            0 => NEVER,
            _ if is_new => self.now + chance.random_range(0..seat.period),
            _ => seat.due.min(self.now + seat.period),
        };
        self.set_due(server, due);
    }

    fn set_due(&mut self, server: usize, due: u64) {
        self.seats[server].due = due;
        self.put(server, due);
    }

    /// Enters a due time into the tree.
    fn put(&mut self, server: usize, due: u64) {
        let mut node = self.seats.len() + server;
        let mut turn = Turn { due, server };
        self.first[node] = turn;
        while node > 1 {
            let beside = self.first[node ^ 1];
            if beside.due < turn.due {
                turn = beside;
            }
            node /= 2;
            self.first[node] = turn;
        }
    }

    fn begin_time_anew(&mut self) {
        for server in 0..self.seats.len() {
            let due = self.seats[server].due;
            if due != NEVER {
                self.set_due(server, due.saturating_sub(self.now));
            }
        }
        self.now = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pick::{Load, WEIGHT_ONE};
    use rand::SeedableRng as _;
    use std::sync::Arc;

    #[test]
    fn time_that_begins_anew_changes_no_order() {
        let loads: Vec<_> = [1, 2, 5].map(|weight| Arc::new(Load::new(weight * WEIGHT_ONE, u32::MAX))).into();
        let servers = Servers { loads: &loads, avoid: &[] };
        let order = |now: u64| {
            let mut turns = Turns { now, ..Turns::default() };
            let mut chance = Xoshiro256PlusPlus::seed_from_u64(7);
            let order: Vec<_> = (0..100).map(|_| turns.next(servers, &mut chance).unwrap()).collect();
            assert!(turns.now < TIME_MAX);
            order
        };
        let period = PERIOD / u64::from(WEIGHT_ONE);
        assert_eq!(order(0), order(TIME_MAX - 3 * period));
    }
}
