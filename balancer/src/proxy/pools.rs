//! A lane's own view of the pools: pickers, queues, idle connections.
//!
//! In: a fleet, and the next one. Out: numbers for pools and servers that stay the same over reloads, so that a request that is
//! under way ends where it began. Never: shared with another lane.

use super::limits::PoolLimits;
use crate::config;
use crate::fleet::{self, Fleet, Server, ServerStats};
use crate::pick::{Load, Picker, Refused};
use net::engine::Token;
use std::collections::VecDeque;
use std::sync::Arc;

/// All pools of a lane.
pub(super) struct Pools {
    lane: usize,
    seed: u64,
    pools: Vec<LanePool>,
    servers: Vec<Option<LaneServer>>,
    /// By index in the configuration.
    by_config: Vec<u32>,
}

/// One pool, as this lane sees it.
pub(super) struct LanePool {
    name: String,
    pub(super) config: config::Pool,
    pub(super) limits: PoolLimits,
    pub(super) shared: Arc<fleet::Pool>,
    picker: Picker,
    /// The lane's numbers of its servers, in the order of the loads.
    servers: Vec<u32>,
    /// Clients whose request waits, in their order.
    pub(super) queue: VecDeque<Token>,
}

/// One server, as this lane sees it.
pub(super) struct LaneServer {
    pub(super) shared: Arc<Server>,
    /// Idle connections, the one used last at the end: that one is the most alive.
    pub(super) idle: Vec<Token>,
    /// Connections and places that refer to it.
    users: u32,
    is_configured: bool,
}

impl Pools {
    /// The pools of a lane, whose picks begin elsewhere than those of a lane with another seed.
    pub(super) fn new(fleet: &Fleet, lane: usize, seed: u64) -> Pools {
        let mut pools = Pools { lane, seed, pools: Vec::new(), servers: Vec::new(), by_config: Vec::new() };
        pools.update(fleet);
        pools
    }

    /// Takes over a fleet. Queues stay; so do servers that somebody still uses.
    pub(super) fn update(&mut self, fleet: &Fleet) {
        for server in self.servers.iter_mut().flatten() {
            server.is_configured = false;
        }
        for pool in &mut self.pools {
            pool.servers.clear();
            pool.shared = Arc::new(fleet::Pool::empty(&pool.name));
        }
        self.by_config = fleet
            .pools
            .iter()
            .zip(&fleet.config.pools)
            .map(|(shared, config)| self.update_pool(shared, config, fleet.generation))
            .collect();
        for slot in &mut self.servers {
            if slot.as_ref().is_some_and(|server| !server.is_configured && server.users == 0) {
                *slot = None;
            }
        }
    }

    fn update_pool(&mut self, shared: &Arc<fleet::Pool>, config: &config::Pool, generation: u64) -> u32 {
        let servers = shared.servers.iter().map(|server| self.number_of(server)).collect();
        let known = self.pools.iter().position(|pool| pool.name == shared.name);
        let number = known.unwrap_or(self.pools.len());
        let seed = self.seed ^ (number as u64) << 32 ^ generation << 48;
        let queue = match known {
            Some(number) => std::mem::take(&mut self.pools[number].queue),
            None => VecDeque::new(),
        };
        let pool = LanePool {
            name: shared.name.clone(),
            config: config.clone(),
            limits: PoolLimits::default(),
            shared: shared.clone(),
            picker: Picker::new(config.balance, seed),
            servers,
            queue,
        };
        match known {
            Some(number) => self.pools[number] = pool,
            None => self.pools.push(pool),
        }
        number as u32
    }

    fn number_of(&mut self, shared: &Arc<Server>) -> u32 {
        let is_it = |slot: &Option<LaneServer>| {
            slot.as_ref().is_some_and(|server| Arc::ptr_eq(&server.shared, shared))
        };
        let free = |slot: &Option<LaneServer>| slot.is_none();
        let known = self.servers.iter().position(is_it);
        let number = known.or_else(|| self.servers.iter().position(free)).unwrap_or(self.servers.len());
        if number == self.servers.len() {
            self.servers.push(None);
        }
        let server = self.servers[number].get_or_insert_with(|| LaneServer {
            shared: shared.clone(),
            idle: Vec::new(),
            users: 0,
            is_configured: false,
        });
        server.is_configured = true;
        number as u32
    }

    /// The lane's number of a pool that is named by its index in the configuration.
    pub(super) fn of_config(&self, index: usize) -> u32 {
        self.by_config.get(index).copied().unwrap_or(u32::MAX)
    }

    pub(super) fn pool(&self, number: u32) -> Option<&LanePool> {
        self.pools.get(number as usize)
    }

    pub(super) fn pool_mut(&mut self, number: u32) -> Option<&mut LanePool> {
        self.pools.get_mut(number as usize)
    }

    /// Every pool's number.
    pub(super) fn numbers(&self) -> std::ops::Range<u32> {
        0..self.pools.len() as u32
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut LanePool> {
        self.pools.iter_mut()
    }

    /// Picks a server of the pool and takes a place there. Says its number in the pool, and the lane's.
    pub(super) fn pick(&mut self, pool: u32, tried: &[u16]) -> Result<(u16, u32), Refused> {
        let pool = self.pools.get_mut(pool as usize).ok_or(Refused::NoServer)?;
        let at = pool.picker.pick(&pool.shared.loads, tried)?;
        let number = pool.servers[at];
        self.hold(number);
        Ok((at as u16, number))
    }

    /// Gives a place back that was taken by [`Pools::pick`].
    pub(super) fn give_back(&mut self, server: u32) {
        if let Some(entry) = self.server(server) {
            entry.shared.load.leave();
        }
        self.let_go(server);
    }

    /// One more refers to the server.
    pub(super) fn hold(&mut self, server: u32) {
        if let Some(entry) = self.server_mut(server) {
            entry.users += 1;
        }
    }

    /// One less does.
    pub(super) fn let_go(&mut self, server: u32) {
        let Some(slot) = self.servers.get_mut(server as usize) else { return };
        if let Some(entry) = slot {
            entry.users -= 1;
            if entry.users == 0 && !entry.is_configured {
                *slot = None;
            }
        }
    }

    pub(super) fn server(&self, number: u32) -> Option<&LaneServer> {
        self.servers.get(number as usize)?.as_ref()
    }

    pub(super) fn server_mut(&mut self, number: u32) -> Option<&mut LaneServer> {
        self.servers.get_mut(number as usize)?.as_mut()
    }

    /// What this lane counts about a server.
    pub(super) fn stats(&self, server: u32) -> Option<&ServerStats> {
        self.server(server)?.shared.lanes.get(self.lane)
    }

    /// Every server that somebody refers to or that is configured.
    pub(super) fn servers_mut(&mut self) -> impl Iterator<Item = &mut LaneServer> {
        self.servers.iter_mut().flatten()
    }
}

impl LanePool {
    /// Requests at work at its servers, from all lanes.
    pub(super) fn live(&self) -> u32 {
        self.shared.loads.iter().map(|load: &Arc<Load>| load.in_flight()).sum()
    }
}

impl LaneServer {
    /// Is it in the lane's present configuration?
    pub(super) fn is_configured(&self) -> bool {
        self.is_configured
    }
}
