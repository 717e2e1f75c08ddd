//! From options to a running server, and to its end.
//!
//! In: options. Out: one pinned lane per core, an admin thread, a background pool, and the reaction to signals.
//! A lane that fails takes the process down, so that the service manager can restart a whole one.

use crate::cache::Cache;
use crate::metrics::{LaneStats, Shared};
use crate::options::{Accept, Admin, Options};
use crate::pool::{Background, Pool};
use crate::program::{Mail, Server, Settings};
use crate::routes::{ADMIN_ROUTES, ROUTES, Route};
use bytesize::ByteSize;
use net::address::Address;
use net::engine::{self, Engine, Probe};
use net::listen::{self, Listener};
use net::mailbox::{MAILS_MAX, Mailbox, Mailer, mailbox};
use net::percore::{self, Cores, Ended};
use net::signals::{Signal, on_signal};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// Connections of the admin port; a handful of scrapers and people.
const ADMIN_CONNECTIONS_MAX: usize = 256;

/// Why the server did not start, or did not end well. The text is one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something the operator can put right: exit code 2.
    #[error("{0}")]
    CannotStart(String),
    /// A lane ended by itself: exit code 1.
    #[error("lane {lane}: {why}; ending, so that the service manager can start afresh")]
    Lane {
        /// Which.
        lane: usize,
        /// What it said.
        why: String,
    },
}

impl Failure {
    /// What the process should exit with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::CannotStart(_) => 2,
            Failure::Lane { .. } => 1,
        }
    }

    fn cannot_start(error: impl fmt::Display) -> Failure {
        Failure::CannotStart(error.to_string())
    }
}

/// A server whose lanes run.
pub struct Running {
    addresses: Vec<Address>,
    admin: Option<Address>,
    cores: Vec<usize>,
    probe: Probe,
    lanes: Lanes,
    ended: mpsc::Receiver<(usize, Ended<Result<(), engine::Failure>>)>,
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
            thread::sleep(delay);
            lanes.drain();
        };
        // Off the signals' thread, which must hear the second one. Without a thread to be had, at once.
        if thread::Builder::new().name("drain".to_owned()).spawn(wait_and_drain).is_err() {
            self.drain();
        }
    }
}

/// Starts everything that `options` ask for.
pub fn start(options: &Options) -> Result<Running, Failure> {
    start_with(options, ROUTES)
}

/// As [`start`], with endpoints of your own on the data port.
pub fn start_with(options: &Options, routes: &'static [Route]) -> Result<Running, Failure> {
    let cores = options.cores.resolve().map_err(|e| Failure::CannotStart(format!("--cores: {e}")))?;
    let probe = options.engine.resolve().map_err(Failure::cannot_start)?;
    let descriptors = listen::raise_descriptor_limit();
    let wanted = u64::from(options.connections_max) * cores.len() as u64;
    if descriptors < wanted {
        tracing::warn!(
            descriptors,
            wanted,
            "fewer file descriptors than connections on all lanes: raise LimitNOFILE= (ulimit -n), or lower --connections-max"
        );
    }
    tracing::info!(engine = probe.engine.name(), why = probe.why, "engine chosen");
    let (addresses, doors) = doors(options, &cores)?;
    let shared = Shared::new(cores.len(), routes, probe.engine.name());
    let pool = Pool::start(usize::from(options.workers), options.worker_queue as usize)
        .map_err(|e| Failure::CannotStart(format!("start the background workers: {e}")))?;
    let mailboxes = cores.iter().map(|_| one_mailbox()).collect::<Result<Vec<_>, _>>()?;
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
        parts: Arc::new(Mutex::new(doors.into_iter().zip(boxes).map(Some).collect())),
    };
    let ended = percore::run(&cores, move |number| lane.run(number))
        .map_err(|e| Failure::CannotStart(format!("start a lane's thread: {e}")))?;
    let engine = options.engine();
    let memory = Memory {
        receive: engine.receive_bytes(probe.engine),
        cache: Cache::new(options.cache_bytes.0).bytes_max(),
    };
    Ok(Running { addresses, admin, cores, probe, lanes: Lanes { mailers, shared }, ended, memory })
}

/// For each lane, its listeners: one for each address.
fn doors(options: &Options, cores: &[usize]) -> Result<(Vec<Address>, Vec<Vec<Listener>>), Failure> {
    let mut doors: Vec<Vec<Listener>> = cores.iter().map(|_| Vec::new()).collect();
    let mut addresses = Vec::new();
    for address in &options.listen {
        let listeners = listen::listen(address, cores.len()).map_err(Failure::cannot_start)?;
        if let (Accept::Cpu, Address::Tcp(_)) = (options.accept, address) {
            listen::steer(&listeners, cores).map_err(|e| {
                Failure::CannotStart(format!("--accept cpu: the kernel refuses to steer: {e}"))
            })?;
        }
        addresses.extend(listeners.first().map(|listener| listener.address().clone()));
        for (door, listener) in doors.iter_mut().zip(listeners) {
            door.push(listener);
        }
    }
    Ok((addresses, doors))
}

fn one_mailbox() -> Result<(Mailer<Mail>, Mailbox<Mail>), Failure> {
    mailbox(MAILS_MAX).map_err(|e| Failure::CannotStart(format!("make a lane's mailbox: {e}")))
}

/// What one lane's engine is given.
type LaneParts = (Vec<Listener>, Mailbox<Mail>);

/// What a lane's thread takes along.
#[derive(Clone)]
struct LaneStart {
    probe: Probe,
    routes: &'static [Route],
    engine: engine::Settings,
    program: Settings,
    shared: Arc<Shared>,
    pool: Arc<dyn Background>,
    mailers: Vec<Mailer<Mail>>,
    /// Each lane takes its own.
    parts: Arc<Mutex<Vec<Option<LaneParts>>>>,
}

impl LaneStart {
    fn run(&self, number: usize) -> Result<(), engine::Failure> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner)[number].take();
        let (listeners, mailbox) = parts.expect("each lane starts once");
        let stats = self.shared.lanes[number].clone();
        let (shared, pool, mailer) = (self.shared.clone(), self.pool.clone(), self.mailers[number].clone());
        let program = Server::new(self.routes, &self.program, stats.clone(), shared, pool, mailer);
        engine::run(self.probe.engine, listeners, program, &mailbox, &self.engine, &stats.engine).map(drop)
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
    let listeners = listen::listen(address, 1).map_err(|e| Failure::CannotStart(format!("--admin: {e}")))?;
    let bound = listeners.first().map(|listener| listener.address().clone());
    let (mailer, mailbox) = one_mailbox()?;
    let settings = engine::Settings { connections_max: ADMIN_CONNECTIONS_MAX, ..engine::Settings::default() };
    let program = Settings { cache_bytes: 0, ..options.program() };
    let stats = Arc::new(LaneStats::new(ADMIN_ROUTES));
    let program = Server::new(ADMIN_ROUTES, &program, stats.clone(), shared.clone(), pool, mailer);
    let run = move || {
        if let Err(error) = engine::run(engine, listeners, program, &mailbox, &settings, &stats.engine) {
            tracing::error!(%error, "the admin port has ended; the lanes go on");
        }
    };
    let spawned = thread::Builder::new().name("admin".to_owned()).spawn(run);
    spawned.map_err(|e| Failure::CannotStart(format!("start the admin thread: {e}")))?;
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
    pub fn obey_signals(&self, drain_delay: Duration) -> Result<(), Failure> {
        let (lanes, addresses) = (self.lanes.clone(), self.all_addresses());
        let mut asked = false;
        let act = move |signal| match signal {
            Signal::Reload => tracing::info!("SIGHUP: nothing to reload; restart to change options"),
            Signal::Stop if asked => {
                tracing::warn!("second signal: ending at once");
                addresses.iter().for_each(listen::remove_socket_file);
                std::process::exit(0);
            }
            Signal::Stop => {
                asked = true;
                tracing::info!(open = lanes.shared.open(), "draining; a second signal ends at once");
                lanes.drain_after(drain_delay);
            }
        };
        on_signal(act).map_err(|e| Failure::CannotStart(format!("catch signals: {e}")))
    }

    /// Waits until every lane has drained.
    ///
    /// # Errors
    /// As soon as one lane has failed or panicked; the others still run, so end the process.
    pub fn wait(self) -> Result<(), Failure> {
        let result = self.ended.iter().take(self.cores.len()).try_for_each(|(lane, ended)| match ended {
            Ended::Returned(Ok(())) if self.lanes.shared.is_draining() => Ok(()),
            Ended::Returned(Ok(())) => {
                Err(Failure::Lane { lane, why: "ended without being asked".to_owned() })
            }
            Ended::Returned(Err(error)) => Err(Failure::Lane { lane, why: error.to_string() }),
            Ended::Panicked(why) => Err(Failure::Lane { lane, why: format!("panicked: {why}") }),
        });
        self.all_addresses().iter().for_each(listen::remove_socket_file);
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
        let listening: Vec<String> = addresses.iter().map(Address::to_string).collect();
        let lanes = if cores.len() == 1 { "1 lane on core" } else { "lanes, one on each of cores" };
        let count = if cores.len() == 1 { String::new() } else { format!("{} ", cores.len()) };
        writeln!(f, "corelane-server {}", env!("CARGO_PKG_VERSION"))?;
        writeln!(f, "  engine     {} ({})", probe.engine, probe.why)?;
        writeln!(f, "  lanes      {count}{lanes} {}", Cores::List(cores.clone()))?;
        writeln!(f, "  listening  {}", listening.join(" "))?;
        writeln!(f, "  admin      {}", admin.as_ref().map_or("off".to_owned(), Address::to_string))?;
        let (receive, cache) = (ByteSize(memory.receive as u64), ByteSize(memory.cache as u64));
        let cache = if memory.cache == 0 { "no cache".to_owned() } else { format!("up to {cache} of cache") };
        write!(f, "  memory     {receive} of receive buffers per lane, and {cache}")
    }
}
