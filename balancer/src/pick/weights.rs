//! Draws servers in proportion to their weights.
//!
//! In: weights as they are now, of which each pick looks at a few, so that all are followed without a scan.
//! Out: servers by chance. A server that lost its weight is never drawn; one whose weight rose is drawn by
//! the new one after a quarter as many picks as there are servers, at the latest.

use super::least::Share;
use super::{ATTEMPTS_MAX, Servers};
use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;

/// Servers whose weight is looked at with each pick: their cache lines come while the draw is computed.
pub(super) const SWEEP: usize = 4;

/// The weights as this lane last saw them, as a tree in an array: node `k` holds the sum of nodes `2k` and
/// `2k + 1`, node 1 is the root, and the second half are the servers.
#[derive(Debug, Default)]
pub(super) struct Weights {
    sums: Vec<u64>,
    swept: usize,
}

/// A server that was drawn: its part of the sum of all begins behind `before`.
#[derive(Clone, Copy)]
struct Drawn {
    server: usize,
    before: u64,
    weight: u64,
}

impl Weights {
    /// Any open server, by weight, with a place taken.
    pub(super) fn any(&mut self, servers: Servers, chance: &mut Xoshiro256PlusPlus) -> Option<usize> {
        self.without_tried(servers, |weights| {
            (0..ATTEMPTS_MAX).find_map(|_| {
                let server = weights.draw(servers, chance)?.server;
                servers.take(server).then_some(server)
            })
        })
    }

    /// Two different servers by weight, and of those the one that has less to do for its weight, with a place
    /// taken.
    pub(super) fn better_of_two(
        &mut self,
        servers: Servers,
        chance: &mut Xoshiro256PlusPlus,
    ) -> Option<usize> {
        self.without_tried(servers, |weights| {
            (0..ATTEMPTS_MAX).find_map(|_| {
                let one = weights.draw(servers, chance)?;
                let other = weights.draw_another(one, chance).unwrap_or(one.server);
                let (better, worse) = match share(servers, other).is_less(share(servers, one.server)) {
                    true => (other, one.server),
                    false => (one.server, other),
                };
                [better, worse].into_iter().find(|&server| servers.take(server))
            })
        })
    }

    /// Draws any `N` servers by weight, perhaps the same one several times; none if none has weight.
    pub(super) fn some<const N: usize>(
        &mut self,
        servers: Servers,
        chance: &mut Xoshiro256PlusPlus,
    ) -> Option<[usize; N]> {
        self.follow(servers);
        let all = self.sums[1];
        (all > 0).then(|| std::array::from_fn(|_| self.find(chance.random_range(0..all)).server))
    }

    /// Draws as if those that were tried had no weight.
    fn without_tried(
        &mut self,
        servers: Servers,
        draw: impl FnOnce(&mut Weights) -> Option<usize>,
    ) -> Option<usize> {
        self.follow(servers);
        servers.tried().for_each(|server| self.see(server, 0));
        let found = draw(self);
        servers.tried().for_each(|server| self.see(server, servers.loads[server].weight()));
        found
    }

    /// One server by weight; `None` if none has any.
    fn draw(&mut self, servers: Servers, chance: &mut Xoshiro256PlusPlus) -> Option<Drawn> {
        for _ in 0..ATTEMPTS_MAX {
            let all = self.sums[1];
            if all == 0 {
                return None;
            }
            let drawn = self.find(chance.random_range(0..all));
            let weight = servers.loads[drawn.server].weight();
            if u64::from(weight) == drawn.weight {
                return Some(drawn);
            }
            self.see(drawn.server, weight);
        }
        None
    }

    /// One server by weight, other than `one`; `None` if no other has any.
    fn draw_another(&self, one: Drawn, chance: &mut Xoshiro256PlusPlus) -> Option<usize> {
        let others = self.sums[1] - one.weight;
        if others == 0 {
            return None;
        }
        // The part of `one` is stepped over.
        let at = chance.random_range(0..others);
        let at = if at < one.before { at } else { at + one.weight };
        Some(self.find(at).server)
    }

    /// Whose part of the sum of all `at` is in.
    fn find(&self, at: u64) -> Drawn {
        let servers = self.sums.len() / 2;
        let (mut node, mut left) = (1, at);
        while node < servers {
            node *= 2;
            let below = self.sums[node];
            // Without a branch: chance is not to be predicted.
            let is_right = left >= below;
            left -= if is_right { below } else { 0 };
            node += usize::from(is_right);
        }
        Drawn { server: node - servers, before: at - left, weight: self.sums[node] }
    }

    /// Looks at the weights of the next few servers; of all, if there are more or fewer than before.
    fn follow(&mut self, servers: Servers) {
        let loads = servers.loads;
        if self.sums.len() != 2 * loads.len() {
            self.sums = vec![0; 2 * loads.len()];
            (0..loads.len()).for_each(|server| self.see(server, loads[server].weight()));
        }
        for _ in 0..SWEEP.min(loads.len()) {
            self.swept = servers.after(self.swept);
            self.see(self.swept, loads[self.swept].weight());
        }
    }

    fn see(&mut self, server: usize, weight: u32) {
        let mut node = self.sums.len() / 2 + server;
        let (old, new) = (self.sums[node], u64::from(weight));
        if old == new {
            return;
        }
        while node > 0 {
            self.sums[node] = self.sums[node] - old + new;
            node /= 2;
        }
    }
}

/// What it would have to do with one more request.
fn share(servers: Servers, server: usize) -> Share {
    let load = &servers.loads[server];
    Share { requests: load.in_flight().saturating_add(1), weight: load.weight() }
}
