//! What all lanes share: the pools, their servers, and what is counted about them.
//!
//! In: a checked [`Config`], and the fleet that it replaces. Out: one [`Fleet`], handed to every lane whole; a reload makes another,
//! in which a server that stays keeps its counts. Never: a lock on a request's way.

mod fault;
mod latency;
mod suspicion;
mod waiting;

pub use fault::Fault;
pub use latency::{BUCKETS, Counts, Latencies, OCTAVES, STEPS, upper_end};
pub use suspicion::{Outcome, Suspicion};
pub use waiting::Waiting;

use crate::config::{self, Config};
use crate::pick::{Load, WEIGHT_ONE};
use net::address::Address;
use net::stats::{Cell, EngineStats};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// One configuration, and the servers it names.
#[derive(Debug)]
pub struct Fleet {
    /// What it was made of. Its indices are those of `pools` and of their servers.
    pub config: Arc<Config>,
    /// In the order of the configuration.
    pub pools: Vec<Arc<Pool>>,
    /// How many were before it.
    pub generation: u64,
    /// Of each lane; lanes live as long as the process.
    pub lanes: Arc<[LaneStats]>,
}

/// Servers that do the same.
#[derive(Debug)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// In the order of the configuration.
    pub servers: Vec<Arc<Server>>,
    /// Their loads, in the same order: what a pick looks at.
    pub loads: Vec<Arc<Load>>,
    /// Lanes that wait for a place.
    pub waiting: Arc<Waiting>,
    /// Retries under way, on all lanes: for the budget.
    pub retries: Arc<AtomicU32>,
}

/// One server, as long as any configuration names it.
#[derive(Debug)]
pub struct Server {
    /// Its pool's name.
    pub pool: String,
    /// Its name in the pool.
    pub name: String,
    /// Where it is.
    pub address: Address,
    /// What picks look at.
    pub load: Arc<Load>,
    /// What live traffic says about it.
    pub suspicion: Suspicion,
    /// What each lane counts.
    pub lanes: Box<[ServerStats]>,
}

/// What one lane counts about one server.
#[derive(Debug, Default)]
pub struct ServerStats {
    /// Tries that were sent to it; a retry is one more.
    pub tries: Cell,
    /// Final responses that were passed on whole, by the first digit of their status: 1xx (101) to 5xx.
    pub responses: [Cell; 5],
    /// Connections opened to it.
    pub connects: Cell,
    /// Tries that went over a connection that was there already.
    pub reuses: Cell,
    /// Connects refused, failed or timed out.
    pub connect_failures: Cell,
    /// Tries that it ended by closing or resetting.
    pub breaks: Cell,
    /// Tries that took too long.
    pub timeouts: Cell,
    /// Tries whose response was no HTTP/1.1.
    pub malformed: Cell,
    /// Tries that were repeated elsewhere.
    pub retried: Cell,
    /// Connections open now, in use or idle.
    pub open: Cell,
    /// Of those, idle.
    pub idle: Cell,
    /// Bytes sent to it, heads and bodies.
    pub sent_bytes: Cell,
    /// Bytes received from it.
    pub received_bytes: Cell,
    /// From the request's head to the head of the response, where one came.
    pub latencies: Latencies,
    /// The sum of those, in nanoseconds.
    pub latency_sum_ns: Cell,
}

/// What one lane counts beside its servers.
#[derive(Debug, Default)]
pub struct LaneStats {
    /// Its engine's own numbers.
    pub engine: Arc<EngineStats>,
    /// Requests whose head was taken.
    pub requests: Cell,
    /// Requests that ended otherwise than by a response passed on whole, by [`Fault`].
    pub faults: [Cell; Fault::ALL.len()],
    /// Client connections open now.
    pub front_open: Cell,
    /// Requests under way now.
    pub active: Cell,
    /// Requests that wait in a queue now.
    pub queued: Cell,
    /// Tunnels open now.
    pub tunnels: Cell,
    /// Retries begun.
    pub retries: Cell,
    /// Retries that the budget did not allow.
    pub retries_refused: Cell,
    /// Lines of the access log that were dropped because its writer did not keep up.
    pub log_dropped: Cell,
}

impl Fleet {
    /// The first fleet, for so many lanes.
    pub fn new(config: Config, lanes: usize) -> Fleet {
        let stats = (0..lanes).map(|_| LaneStats::default()).collect();
        Fleet::build(config, stats, None)
    }

    /// The fleet after this one: a server with the pool and the address of one here is that one, with all its counts.
    pub fn next(&self, config: Config) -> Fleet {
        Fleet::build(config, self.lanes.clone(), Some(self))
    }

    fn build(config: Config, lanes: Arc<[LaneStats]>, old: Option<&Fleet>) -> Fleet {
        let pool = |pool: &config::Pool| Arc::new(Pool::build(pool, lanes.len(), old));
        Fleet {
            pools: config.pools.iter().map(pool).collect(),
            config: Arc::new(config),
            generation: old.map_or(0, |old| old.generation + 1),
            lanes,
        }
    }

    fn pool(&self, name: &str) -> Option<&Arc<Pool>> {
        self.pools.iter().find(|pool| pool.name == name)
    }
}

impl Pool {
    /// A pool without servers: one that the configuration names no more.
    pub fn empty(name: &str) -> Pool {
        Pool {
            name: name.to_owned(),
            servers: Vec::new(),
            loads: Vec::new(),
            waiting: Arc::default(),
            retries: Arc::default(),
        }
    }

    fn build(pool: &config::Pool, lanes: usize, old: Option<&Fleet>) -> Pool {
        let old = old.and_then(|old| old.pool(&pool.name));
        let server = |server: &config::Server| {
            let stays = old.and_then(|old| old.servers.iter().find(|old| old.is(server)).cloned());
            stays.unwrap_or_else(|| Arc::new(Server::build(&pool.name, server, lanes)))
        };
        let servers: Vec<Arc<Server>> = pool.servers.iter().map(server).collect();
        Pool {
            name: pool.name.clone(),
            loads: servers.iter().map(|server| server.load.clone()).collect(),
            servers,
            waiting: old.map_or_else(Arc::default, |old| old.waiting.clone()),
            retries: old.map_or_else(Arc::default, |old| old.retries.clone()),
        }
    }
}

impl Server {
    /// A server as it is configured, before `control` has said anything about it.
    fn build(pool: &str, server: &config::Server, lanes: usize) -> Server {
        let load = Load::new(server.weight * WEIGHT_ONE, server.maxconn.unwrap_or(u32::MAX));
        Server {
            pool: pool.to_owned(),
            name: server.name.clone(),
            address: server.address.clone(),
            load: Arc::new(load),
            suspicion: Suspicion::default(),
            lanes: (0..lanes).map(|_| ServerStats::default()).collect(),
        }
    }

    fn is(&self, server: &config::Server) -> bool {
        self.address == server.address && self.name == server.name
    }

    /// A number of its lanes, summed.
    pub fn sum(&self, cell: impl Fn(&ServerStats) -> &Cell) -> u64 {
        self.lanes.iter().map(|lane| cell(lane).get()).sum()
    }

    /// Its latencies, of all lanes.
    pub fn latencies(&self) -> Counts {
        let mut counts = Counts::default();
        self.lanes.iter().for_each(|lane| lane.latencies.add_to(&mut counts));
        counts
    }
}
