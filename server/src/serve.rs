//! From options to a running server, and to its end.
//!
//! In: options. Out: one pinned lane per core, an admin thread, a background pool, and the reaction to signals.
//! A lane that fails takes the process down, so that the service manager can restart a whole one.

use crate::cache::Cache;
use crate::metrics::{LaneStats, Shared};
use crate::options::{Admin, Options};
use crate::pool::{Background, Pool};
use crate::program::{Mail, Server, Settings};
use crate::routes::{ADMIN_ROUTES, ROUTES, Route};
use bytesize::ByteSize;
use net::address::Address;
use net::engine::{self, Engine, Probe};
use net::listen;
use net::mailbox::Mailer;
pub use net::service::Failure;
use net::service::{self, Banner, LaneParts, Threads};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Connections of the admin port; a handful of scrapers and people.
const ADMIN_CONNECTIONS_MAX: usize = 256;

/// A server whose lanes run.
pub struct Running {
    addresses: Vec<Address>,
    admin: Option<Address>,
    cores: Vec<usize>,
    probe: Probe,
    lanes: Lanes,
    threads: Threads,
    memory: Memory,
}

/// What a lane takes before the first request, and what it may grow to.
struct Memory {
    receive: usize,
    cache: usize,
}

/// The way to all lanes.
#[derive(Clone)]
pub struct Lanes {
    mailers: Vec<Mailer<Mail>>,
    shared: Arc<Shared>,
}

impl Lanes {
    /// Asks every lane to finish what it has and end. `/readyz` says 503 from now on.
    pub fn drain(&self) {
        self.shared.drain();
        for mailer in &self.mailers {
            // A lane that is gone has drained; its box has room for this one unless it is stuck.
            let _ = mailer.send_waiting(Mail::Drain);
        }
    }

    /// `/readyz` says 503 from now on, and new connections are taken until `delay` has passed: for whoever
    /// spreads the traffic to notice.
    fn drain_after(&self, delay: Duration) {
        self.shared.drain();
        let lanes = self.clone();
        let wait_and_drain = move || {
            std::thread::sleep(delay);
            lanes.drain();
        };
        // Off the signals' thread, which must hear the second one. Without a thread to be had, at once.
        if service::spawn("drain", wait_and_drain).is_err() {
            self.drain();
        }
    }
}

/// Starts everything that `options` ask for.
///
/// # Errors
/// What stands in the way, for the operator.
pub fn start(options: &Options) -> Result<Running, Failure> {
    start_with(options, ROUTES)
}

/// As [`start`], with endpoints of your own on the data port.
///
/// # Errors
/// What stands in the way, for the operator.
pub fn start_with(options: &Options, routes: &'static [Route]) -> Result<Running, Failure> {
    let cores = options.cores.resolve().map_err(Failure::to("--cores"))?;
    let probe = options.engine.resolve().map_err(Failure::cannot_start)?;
    service::warn_of_descriptors(options.connections_max, cores.len(), "lower --connections-max");
    tracing::info!(engine = probe.engine.name(), why = probe.why, "engine chosen");
    let doors = service::doors(&options.listen, &cores, options.accept)?;
    let shared = Shared::new(cores.len(), routes, probe.engine.name());
    let pool = Pool::start(usize::from(options.workers), options.worker_queue as usize)
        .map_err(Failure::to("start the background workers"))?;
    let mailboxes = cores.iter().map(|_| service::one_mailbox()).collect::<Result<Vec<_>, _>>()?;
    let (mailers, boxes): (Vec<_>, Vec<_>) = mailboxes.into_iter().unzip();
    let admin = start_admin(options, probe.engine, &shared, pool.clone())?;
    let lane = LaneStart {
        probe: probe.clone(),
        routes,
        engine: options.engine(),
        program: options.program(),
        shared: shared.clone(),
        pool,
        mailers: mailers.clone(),
    };
    let parts = service::lane_parts(doors.listeners, boxes, &lane.mailers, options.accept);
    let mut threads = Threads::default();
    threads.start_lanes(&cores, parts, move |number, parts| lane.run(number, parts))?;
    let memory = Memory {
        receive: options.engine().receive_bytes(probe.engine),
        cache: Cache::new(options.cache_bytes.0).bytes_max(),
    };
    let lanes = Lanes { mailers, shared };
    Ok(Running { addresses: doors.addresses, admin, cores, probe, lanes, threads, memory })
}

/// What every lane's thread takes along.
#[derive(Clone)]
struct LaneStart {
    probe: Probe,
    routes: &'static [Route],
    engine: engine::Settings,
    program: Settings,
    shared: Arc<Shared>,
    pool: Arc<dyn Background>,
    mailers: Vec<Mailer<Mail>>,
}

impl LaneStart {
    fn run(&self, number: usize, own: LaneParts<Mail>) -> Result<(), engine::Failure> {
        let LaneParts { listeners, mailbox, seat } = own;
        let settings = engine::Settings { seat, ..self.engine.clone() };
        let stats = self.shared.lanes[number].clone();
        let (shared, pool, mailer) = (self.shared.clone(), self.pool.clone(), self.mailers[number].clone());
        let program = Server::new(self.routes, &self.program, stats.clone(), shared, pool, mailer);
        engine::run(self.probe.engine, listeners, program, &mailbox, &settings, &stats.engine).map(drop)
    }
}

/// The admin port: the same program with other routes, on a thread that no lane waits for. It ends with the
/// process, so that a drain can be watched.
fn start_admin(
    options: &Options,
    engine: Engine,
    shared: &Arc<Shared>,
    pool: Arc<dyn Background>,
) -> Result<Option<Address>, Failure> {
    let Admin::At(address) = &options.admin else { return Ok(None) };
    let listeners = listen::listen(address, 1).map_err(Failure::to("--admin"))?;
    let bound = listeners.first().map(|listener| listener.address().clone());
    let (mailer, mailbox) = service::one_mailbox()?;
    let settings = engine::Settings { connections_max: ADMIN_CONNECTIONS_MAX, ..engine::Settings::default() };
    let program = Settings { cache_bytes: 0, ..options.program() };
    let stats = Arc::new(LaneStats::new(ADMIN_ROUTES));
    let program = Server::new(ADMIN_ROUTES, &program, stats.clone(), shared.clone(), pool, mailer);
    let run = move || {
        if let Err(error) = engine::run(engine, listeners, program, &mailbox, &settings, &stats.engine) {
            tracing::error!(%error, "the admin port has ended; the lanes go on");
        }
    };
    service::spawn("admin", run)?;
    Ok(bound)
}

impl Running {
    /// Where it serves, with the ports that the kernel chose.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Where the admin port is.
    pub fn admin(&self) -> Option<&Address> {
        self.admin.as_ref()
    }

    /// The way to all lanes.
    pub fn lanes(&self) -> Lanes {
        self.lanes.clone()
    }

    /// Drains `drain_delay` after the first SIGTERM or SIGINT, and ends the process at the second.
    ///
    /// # Errors
    /// Signals can't be caught.
    pub fn obey_signals(&self, drain_delay: Duration) -> Result<(), Failure> {
        let lanes = self.lanes.clone();
        let drain = move || lanes.drain_after(drain_delay);
        let reload = || tracing::info!("SIGHUP: nothing to reload; restart to change options");
        service::obey_signals(self.all_addresses(), drain, reload)
    }

    /// Waits until every lane has drained.
    ///
    /// # Errors
    /// As soon as one lane has failed or panicked; the others still run, so end the process.
    pub fn wait(self) -> Result<(), Failure> {
        let addresses = self.all_addresses();
        let result = self.threads.wait(|| self.lanes.shared.is_draining());
        addresses.iter().for_each(listen::remove_socket_file);
        result
    }

    fn all_addresses(&self) -> Vec<Address> {
        self.addresses.iter().chain(&self.admin).cloned().collect()
    }
}

/// The block that is printed at start.
impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Running { addresses, admin, cores, probe, memory, .. } = self;
        let program = concat!("corelane-server ", env!("CARGO_PKG_VERSION"));
        write!(f, "{}", Banner { program, probe, cores, addresses, admin: admin.as_ref() })?;
        let (receive, cache) = (ByteSize(memory.receive as u64), ByteSize(memory.cache as u64));
        let cache = if memory.cache == 0 { "no cache".to_owned() } else { format!("up to {cache} of cache") };
        write!(f, "  memory     {receive} of receive buffers per lane, and {cache}")
    }
}
