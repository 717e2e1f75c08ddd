//! Which server gets the next request. Pure: no socket, no clock, no lock; the same code serves, is simulated
//! and is measured.
//!
//! In: the live loads of a pool's servers. Out: the index of one of them, with a place taken there. Each lane
//! has a [`Picker`] of its own, with a seed of its own, so that lanes that start together don't choose
//! together. Never: more than a bounded number of attempts, or a server that may not take work.

mod adaptive;
mod hot_cold;
mod least;
mod load;
#[cfg(test)]
mod tests;
mod turns;
mod weights;

pub use adaptive::{ADAPTIVE_INTERVAL, Adaptive, Sample};
pub use load::{Load, WEIGHT_ONE};

use crate::config::Balance;
use hot_cold::HotCold;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use std::sync::Arc;
use turns::Turns;
use weights::Weights;

/// How often a rule asks chance, or takes the next in turn, when what it found is full or was tried. Then the
/// least loaded server decides: with half of the servers full, one pick in 256 gets there.
const ATTEMPTS_MAX: usize = 8;

/// Servers that are all looked at for each pick. Up to here a full scan costs less than 100 ns and is better
/// than two choices; beyond, it would cost more than the rest of the request's way through a pick.
const SCAN_MAX: usize = 32;

/// One lane's choices in one pool.
#[derive(Debug)]
pub struct Picker {
    rule: Rule,
    chance: Xoshiro256PlusPlus,
    /// Where the next scan begins, behind the server that was chosen last; where there is no server:
    /// anywhere.
    cursor: usize,
}

/// Why there is no server for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// No server has weight.
    NoServer,
    /// Those that have are full.
    AllFull,
    /// Those that have, and have room, were tried for this request.
    OnlyTried,
}

/// How to choose, and what that remembers.
#[derive(Debug)]
enum Rule {
    Random(Weights),
    RoundRobin,
    /// Weighted round robin, also with weights that adapt: they come from outside.
    Turns(Turns),
    /// With what larger pools need.
    Least(Weights),
    TwoChoices(Weights),
    HotCold(Box<HotCold>),
}

impl Picker {
    /// For one lane and one pool. `seed` differs between lanes, or their choices would be the same.
    pub fn new(balance: Balance, seed: u64) -> Picker {
        let rule = match balance {
            Balance::Random => Rule::Random(Weights::default()),
            Balance::RoundRobin => Rule::RoundRobin,
            Balance::WeightedRoundRobin | Balance::Adaptive => Rule::Turns(Turns::default()),
            Balance::LeastRequests => Rule::Least(Weights::default()),
            Balance::TwoChoices => Rule::TwoChoices(Weights::default()),
            Balance::HotCold => Rule::HotCold(Box::default()),
        };
        Picker { rule, chance: Xoshiro256PlusPlus::seed_from_u64(seed), cursor: usize::MAX }
    }

    /// Chooses a server and takes a place there ([`Load::enter`]), which the caller gives back with
    /// [`Load::leave`].
    ///
    /// `avoid` are the indices that this request has tried. `loads` may have another length or order than
    /// before: what the picker remembers of them is soon right again. Allocates only when the length changes.
    pub fn pick(&mut self, loads: &[Arc<Load>], avoid: &[u16]) -> Result<usize, Refused> {
        let servers = Servers { loads, avoid };
        if self.cursor >= loads.len() {
            if loads.is_empty() {
                return Err(Refused::NoServer);
            }
            self.cursor = self.chance.random_range(0..loads.len());
        }
        let found = match &mut self.rule {
            Rule::RoundRobin => return self.first(servers),
            Rule::Least(_) if loads.len() <= SCAN_MAX => None,
            Rule::Random(weights) => weights.any(servers, &mut self.chance),
            Rule::Least(weights) | Rule::TwoChoices(weights) => {
                weights.better_of_two(servers, &mut self.chance)
            }
            Rule::Turns(turns) => turns.next(servers, &mut self.chance),
            Rule::HotCold(hot_cold) => hot_cold.coldest(servers, &mut self.chance),
        };
        found.map_or_else(|| self.least(servers), Ok)
    }

    /// The next one that takes it.
    fn first(&mut self, servers: Servers) -> Result<usize, Refused> {
        let server = least::first(servers, self.cursor).ok_or_else(|| servers.refusal())?;
        self.cursor = servers.after(server);
        Ok(server)
    }

    /// The least loaded of all. A rule of its own, and the way out of the others when their own ways found
    /// none.
    fn least(&mut self, servers: Servers) -> Result<usize, Refused> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(server) = least::of(servers, self.cursor) else { break };
            // Another lane may have taken the last place meanwhile.
            if servers.loads[server].enter() {
                self.cursor = servers.after(server);
                return Ok(server);
            }
        }
        self.first(servers)
    }
}

/// What one pick chooses from.
#[derive(Clone, Copy)]
struct Servers<'a> {
    loads: &'a [Arc<Load>],
    avoid: &'a [u16],
}

impl Servers<'_> {
    fn is_tried(&self, server: usize) -> bool {
        self.avoid.iter().any(|&tried| usize::from(tried) == server)
    }

    /// It has weight and room, and was not tried.
    fn is_open(&self, server: usize) -> bool {
        let load = &self.loads[server];
        (load.weight() > 0) & (load.in_flight() < load.limit()) & !self.is_tried(server)
    }

    /// The next one around.
    fn after(&self, server: usize) -> usize {
        if server + 1 < self.loads.len() { server + 1 } else { 0 }
    }

    /// Takes a place there, if it is open.
    fn take(&self, server: usize) -> bool {
        self.is_open(server) && self.loads[server].enter()
    }

    /// Why none was found. A place that came free since is for the next pick.
    fn refusal(&self) -> Refused {
        let mut refusal = Refused::NoServer;
        for (server, load) in self.loads.iter().enumerate().filter(|(_, load)| load.weight() > 0) {
            let has_room = load.in_flight() < load.limit();
            match (has_room, self.is_tried(server)) {
                (true, false) => return Refused::AllFull,
                (true, true) => refusal = Refused::OnlyTried,
                (false, _) if refusal == Refused::NoServer => refusal = Refused::AllFull,
                (false, _) => {}
            }
        }
        refusal
    }

    /// The indices of those that this request has tried and that there are.
    fn tried(&self) -> impl Iterator<Item = usize> {
        let servers = self.loads.len();
        self.avoid.iter().map(|&server| usize::from(server)).filter(move |&server| server < servers)
    }
}
