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
use net::handover::{self, Predecessor};
use net::inherited::Inherited;
use net::listen::{Handle, Listener};
use net::mailbox::{Mailbox, Mailer};
use net::orders::{self, Orders};
pub use net::service::Failure;
use net::service::{self, Banner, LaneParts, Part, Threads};
use net::supervise::{self, Announcer, Numbers, Pulse};
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
    /// Of every socket that it listens on.
    handles: Vec<Handle>,
    announcer: Announcer,
    predecessor: Option<Predecessor>,
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
    admin: Option<Mailer<Mail>>,
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

    /// What every lane must do to be called alive.
    fn pulses(&self) -> Vec<Pulse> {
        let pulse = |(number, mailer): (usize, &Mailer<Mail>)| {
            let stats = self.shared.lanes[number].clone();
            Pulse::of(Part::Lane(number), mailer, move || stats.engine.turns.get())
        };
        self.mailers.iter().enumerate().map(pulse).collect()
    }
}

/// What signals ask for.
struct Asked {
    lanes: Lanes,
    drain_delay: Duration,
}

impl Orders for Asked {
    fn drain(&self) {
        self.lanes.drain_after(self.drain_delay);
    }

    fn reload(&self) -> Result<String, String> {
        tracing::info!("SIGHUP: nothing to reload; hand over (SIGUSR2) or restart to change options");
        Ok("there is nothing to reload".to_owned())
    }

    fn step_back(&self) {
        // Whoever connects reaches the new process: nobody has to be warned first.
        self.lanes.drain();
        // Operators are to reach the new process too. One that is gone has ended already.
        self.lanes.admin.iter().for_each(|admin| drop(admin.send_waiting(Mail::Drain)));
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
    handover::launch()?;
    // Before anything else is opened.
    let mut inherited = Inherited::take().map_err(Failure::cannot_start)?;
    let predecessor = Predecessor::find().map_err(Failure::to("take over"))?;
    let cores = options.cores.resolve().map_err(Failure::to("--cores"))?;
    let probe = options.engine.resolve().map_err(Failure::cannot_start)?;
    service::warn_of_descriptors(options.connections_max, cores.len(), "lower --connections-max");
    tracing::info!(engine = probe.engine.name(), why = probe.why, "engine chosen");
    let doors = service::doors(&options.listen, &cores, options.accept, &mut inherited)?;
    let admin_door = match &options.admin {
        Admin::At(address) => {
            service::one_door(address, 1, &mut inherited).map_err(Failure::to("--admin"))?
        }
        Admin::Off => Vec::new(),
    };
    inherited.must_be_used_up().map_err(Failure::cannot_start)?;
    let handles = service::handles(doors.listeners.iter().flatten().chain(&admin_door));
    let shared = Shared::new(cores.len(), routes, probe.engine.name());
    let pool = Pool::start(usize::from(options.workers), options.worker_queue as usize)
        .map_err(Failure::to("start the background workers"))?;
    let mailboxes = cores.iter().map(|_| service::one_mailbox()).collect::<Result<Vec<_>, _>>()?;
    let (mailers, boxes): (Vec<_>, Vec<_>) = mailboxes.into_iter().unzip();
    let admin = admin_door.first().map(|listener| listener.address().clone());
    let admin_mailer = start_admin(options, probe.engine, admin_door, &shared, pool.clone())?;
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
    let lanes = Lanes { mailers, admin: admin_mailer, shared };
    let (addresses, announcer) = (doors.addresses, Announcer::default());
    let predecessor = predecessor.map(|(predecessor, _)| predecessor);
    Ok(Running { addresses, admin, cores, probe, lanes, threads, memory, handles, announcer, predecessor })
}

/// For the service manager's status.
fn numbers(shared: &Shared) -> Numbers {
    Numbers {
        open: shared.lanes.iter().map(|lane| lane.engine.open()).sum(),
        requests: shared.lanes.iter().map(|lane| lane.answers()).sum(),
        more: None,
    }
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
/// process, so that a drain can be watched, or when another process takes over. `None`: there is none.
fn start_admin(
    options: &Options,
    engine: Engine,
    listeners: Vec<Listener>,
    shared: &Arc<Shared>,
    pool: Arc<dyn Background>,
) -> Result<Option<Mailer<Mail>>, Failure> {
    if listeners.is_empty() {
        return Ok(None);
    }
    let (mailer, mailbox): (Mailer<Mail>, Mailbox<Mail>) = service::one_mailbox()?;
    let settings = engine::Settings { connections_max: ADMIN_CONNECTIONS_MAX, ..engine::Settings::default() };
    let program = Settings { cache_bytes: 0, ..options.program() };
    let stats = Arc::new(LaneStats::new(ADMIN_ROUTES));
    let program = Server::new(ADMIN_ROUTES, &program, stats.clone(), shared.clone(), pool, mailer.clone());
    let run = move || {
        if let Err(error) = engine::run(engine, listeners, program, &mailbox, &settings, &stats.engine) {
            tracing::error!(%error, "the admin port has ended; the lanes go on");
        }
    };
    service::spawn("admin", run)?;
    Ok(Some(mailer))
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

    /// Drains `drain_delay` after the first SIGTERM or SIGINT, ends the process at the second, and hands over at SIGUSR2.
    ///
    /// # Errors
    /// Signals can't be caught.
    pub fn obey_signals(&self, drain_delay: Duration) -> Result<(), Failure> {
        let asked = Asked { lanes: self.lanes.clone(), drain_delay };
        orders::obey(asked, self.handles.clone(), self.announcer.clone())
    }

    /// Tells the service manager, or the process that this one replaces, once every lane serves; and waits until every lane has drained.
    ///
    /// # Errors
    /// As soon as one lane has failed or panicked; the others still run, so end the process.
    pub fn wait(self) -> Result<(), Failure> {
        let shared = self.lanes.shared.clone();
        supervise::start(self.lanes.pulses(), move || numbers(&shared), self.predecessor, self.announcer)?;
        let result = self.threads.wait(|| self.lanes.shared.is_draining());
        self.handles.iter().for_each(Handle::remove_socket_file);
        result
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
