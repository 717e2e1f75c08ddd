//! From a configuration to a running balancer, and to its end.
//!
//! In: a checked configuration, and where to read it again. Out: one pinned lane per core, the control beside them, the access log's writer,
//! and the reaction to signals. A lane that fails takes the process down, so that the service manager can restart a whole one.

use crate::admin;
use crate::config::{Config, Process, Source};
use crate::control::{self, Control};
use crate::fleet::Fleet;
use crate::log::{self, Reopen};
use crate::proxy::{Links, Mail, Proxy};
use clap::ValueEnum;
use net::address::Address;
use net::engine::{self, Engine, Probe};
use net::listen::{self, Listener};
use net::mailbox::{MAILS_MAX, Mailbox, Mailer, mailbox};
use net::percore::{self, Cores, Ended};
use net::signals::{Signal, on_signal};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

/// Connections of the admin port and of checks together.
const CONTROL_CONNECTIONS_MAX: usize = 512;

/// Why the balancer did not start, or did not end well. The text is one line for the operator.
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
    /// The control ended by itself: exit code 1.
    #[error("the control ended: {0}; ending, so that the service manager can start afresh")]
    Control(String),
}

impl Failure {
    /// What the process should exit with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::CannotStart(_) => 2,
            Failure::Lane { .. } | Failure::Control(_) => 1,
        }
    }

    fn cannot_start(error: impl fmt::Display) -> Failure {
        Failure::CannotStart(error.to_string())
    }
}

/// A balancer whose lanes run.
pub struct Running {
    addresses: Vec<Address>,
    admin: Option<Address>,
    cores: Vec<usize>,
    probe: Probe,
    fleet: Arc<Fleet>,
    doors: Doors,
    ended: mpsc::Receiver<Part>,
}

/// The way to all threads.
#[derive(Clone)]
struct Doors {
    lanes: Vec<Mailer<Mail>>,
    control: Mailer<control::Mail>,
    is_draining: Arc<AtomicBool>,
    reopen: Reopen,
}

impl Doors {
    /// Asks every lane to finish what it has and end.
    fn drain(&self) {
        self.is_draining.store(true, Ordering::Release);
        // A control that is gone ends the process anyway.
        let _ = self.control.send_waiting(control::Mail::Drain);
        for mailer in &self.lanes {
            // A lane that is gone has drained; its box has room for this one unless it is stuck.
            let _ = mailer.send_waiting(Mail::Drain);
        }
    }
}

/// A thread that ended.
enum Part {
    Lane(usize, Ended<Result<(), engine::Failure>>),
    Control(String),
}

/// Starts everything.
///
/// # Errors
/// What stands in the way, for the operator.
pub fn start(config: Config, process: &Process, source: Source) -> Result<Running, Failure> {
    let cores = process.cores.resolve().map_err(|e| Failure::CannotStart(format!("--cores: {e}")))?;
    let probe = process.engine.resolve().map_err(Failure::cannot_start)?;
    warn_of_descriptors(&config, cores.len());
    tracing::info!(engine = probe.engine.name(), why = probe.why, "engine chosen");
    let (addresses, listeners) = listeners(&config, cores.len())?;
    let reopen = Reopen::default();
    let log = log::start(&config.log, reopen.clone()).map_err(Failure::CannotStart)?;
    let fleet = Arc::new(Fleet::new(config, cores.len()));
    let mailboxes = cores.iter().map(|_| one_mailbox()).collect::<Result<Vec<_>, _>>()?;
    let (mailers, boxes): (Vec<_>, Vec<_>) = mailboxes.into_iter().unzip();
    let (control, control_box) = one_mailbox()?;
    let doors = Doors { lanes: mailers, control, is_draining: Arc::default(), reopen };
    let (end, ended) = mpsc::channel();
    let admin = start_control(process, &probe, &cores, &fleet, &doors, control_box, source, end.clone())?;
    let lane = LaneStart {
        engine: probe.engine,
        settings: engine_settings(&fleet.config, process),
        fleet: fleet.clone(),
        doors: doors.clone(),
        log,
        seed: any_seed(),
        parts: Arc::new(Mutex::new(listeners.into_iter().zip(boxes).map(Some).collect())),
    };
    let lanes = percore::run(&cores, move |number| lane.run(number))
        .map_err(|e| Failure::CannotStart(format!("start a lane's thread: {e}")))?;
    let forward = move || lanes.iter().try_for_each(|(lane, ended)| end.send(Part::Lane(lane, ended)));
    spawn("lanes", move || drop(forward()))?;
    Ok(Running { addresses, admin, cores, probe, fleet, doors, ended })
}

fn warn_of_descriptors(config: &Config, lanes: usize) {
    let descriptors = listen::raise_descriptor_limit();
    let wanted = u64::from(config.front.connections_max) * lanes as u64;
    if descriptors < wanted {
        tracing::warn!(
            descriptors,
            wanted,
            "fewer file descriptors than connections on all lanes: raise LimitNOFILE= (ulimit -n), or lower connections-max"
        );
    }
}

/// For each lane its listeners, in the order of the configuration.
fn listeners(config: &Config, lanes: usize) -> Result<(Vec<Address>, Vec<Vec<Listener>>), Failure> {
    let mut all: Vec<Vec<Listener>> = (0..lanes).map(|_| Vec::new()).collect();
    let mut addresses = Vec::new();
    for listener in &config.listeners {
        let bound = listen::listen(&listener.address, lanes).map_err(Failure::cannot_start)?;
        addresses.extend(bound.first().map(|listener| listener.address().clone()));
        for (lane, listener) in all.iter_mut().zip(bound) {
            lane.push(listener);
        }
    }
    Ok((addresses, all))
}

fn one_mailbox<M>() -> Result<(Mailer<M>, Mailbox<M>), Failure> {
    mailbox(MAILS_MAX).map_err(|e| Failure::CannotStart(format!("make a mailbox: {e}")))
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.map(drop).map_err(|e| Failure::CannotStart(format!("start the {name} thread: {e}")))
}

/// Another one at each start.
fn any_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn engine_settings(config: &Config, process: &Process) -> engine::Settings {
    engine::Settings {
        connections_max: config.front.connections_max as usize,
        unsent_bytes_max: config.front.unsent_bytes_max,
        busy_poll: process.busy_poll,
        peer_addresses: true,
        ..engine::Settings::default()
    }
}

/// What one lane's engine is given.
type LaneParts = (Vec<Listener>, Mailbox<Mail>);

/// What a lane's thread takes along.
#[derive(Clone)]
struct LaneStart {
    engine: Engine,
    settings: engine::Settings,
    fleet: Arc<Fleet>,
    doors: Doors,
    log: Option<log::Log>,
    seed: u64,
    /// Each lane takes its own.
    parts: Arc<Mutex<Vec<Option<LaneParts>>>>,
}

impl LaneStart {
    fn run(&self, number: usize) -> Result<(), engine::Failure> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner)[number].take();
        let (listeners, mailbox) = parts.expect("each lane starts once");
        let links = Links {
            number,
            lanes: self.doors.lanes.clone(),
            control: self.doors.control.clone(),
            log: self.log.clone(),
            // An odd factor: different lanes get seeds far apart.
            seed: self.seed ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        };
        let proxy = Proxy::new(&self.fleet, links);
        let stats = &self.fleet.lanes[number].engine;
        engine::run(self.engine, listeners, proxy, &mailbox, &self.settings, stats).map(drop)
    }
}

/// The control: checks and the admin port, on a thread that no lane waits for. It ends with the process, so that a drain can be watched.
#[allow(clippy::too_many_arguments)]
fn start_control(
    process: &Process,
    probe: &Probe,
    cores: &[usize],
    fleet: &Arc<Fleet>,
    doors: &Doors,
    mailbox: Mailbox<control::Mail>,
    source: Source,
    end: mpsc::Sender<Part>,
) -> Result<Option<Address>, Failure> {
    let listeners = match &process.admin {
        Some(address) => {
            listen::listen(address, 1).map_err(|e| Failure::CannotStart(format!("--admin: {e}")))?
        }
        None => Vec::new(),
    };
    let bound = listeners.first().map(|listener| listener.address().clone());
    let engine = probe.engine;
    let desk = admin::Admin::new(engine.name(), cores.to_vec());
    let load = Box::new(move || source.load());
    let control = Control::new(fleet.clone(), doors.lanes.clone(), load, Box::new(desk), any_seed());
    let settings =
        engine::Settings { connections_max: CONTROL_CONNECTIONS_MAX, ..engine::Settings::default() };
    spawn("control", move || {
        let stats = net::stats::EngineStats::default();
        let run = || engine::run(engine, listeners, control, &mailbox, &settings, &stats).map(drop);
        let why = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(())) => "without being asked".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => format!("panicked: {}", percore::message(&*panic)),
        };
        // Nobody listens only when the process is ending anyway.
        let _ = end.send(Part::Control(why));
    })?;
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

    /// Drains.
    pub fn drain(&self) {
        self.doors.drain();
    }

    /// Drains at the first SIGTERM or SIGINT, ends the process at the second, and reads the configuration again at SIGHUP.
    ///
    /// # Errors
    /// Signals can't be caught.
    pub fn obey_signals(&self) -> Result<(), Failure> {
        let (doors, addresses) = (self.doors.clone(), self.all_addresses());
        let mut asked = false;
        let act = move |signal| match signal {
            Signal::Reload => {
                doors.reopen.ask();
                let _ = doors.control.send_waiting(control::Mail::Reload);
            }
            Signal::Stop if asked => {
                tracing::warn!("second signal: ending at once");
                addresses.iter().for_each(listen::remove_socket_file);
                std::process::exit(0);
            }
            Signal::Stop => {
                asked = true;
                tracing::info!("draining; a second signal ends at once");
                doors.drain();
            }
        };
        on_signal(act).map_err(|e| Failure::CannotStart(format!("catch signals: {e}")))
    }

    /// Waits until every lane has drained.
    ///
    /// # Errors
    /// As soon as a lane or the control has failed; the others still run, so end the process.
    pub fn wait(self) -> Result<(), Failure> {
        let mut left = self.cores.len();
        let mut result = Ok(());
        while let Some(part) =
            Some(()).filter(|()| left > 0 && result.is_ok()).and_then(|()| self.ended.recv().ok())
        {
            result = self.judge(part);
            left -= 1;
        }
        self.all_addresses().iter().for_each(listen::remove_socket_file);
        result
    }

    fn judge(&self, part: Part) -> Result<(), Failure> {
        let is_draining = self.doors.is_draining.load(Ordering::Acquire);
        match part {
            Part::Lane(_, Ended::Returned(Ok(()))) if is_draining => Ok(()),
            Part::Lane(lane, Ended::Returned(Ok(()))) => {
                Err(Failure::Lane { lane, why: "ended without being asked".to_owned() })
            }
            Part::Lane(lane, Ended::Returned(Err(error))) => {
                Err(Failure::Lane { lane, why: error.to_string() })
            }
            Part::Lane(lane, Ended::Panicked(why)) => {
                Err(Failure::Lane { lane, why: format!("panicked: {why}") })
            }
            Part::Control(why) => Err(Failure::Control(why)),
        }
    }

    fn all_addresses(&self) -> Vec<Address> {
        self.addresses.iter().chain(&self.admin).cloned().collect()
    }
}

/// The block that is printed at start.
impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Running { addresses, admin, cores, probe, fleet, .. } = self;
        let listening: Vec<String> = addresses.iter().map(Address::to_string).collect();
        let lanes = if cores.len() == 1 { "1 lane on core" } else { "lanes, one on each of cores" };
        let count = if cores.len() == 1 { String::new() } else { format!("{} ", cores.len()) };
        writeln!(f, "corelane-balancer {}", env!("CARGO_PKG_VERSION"))?;
        writeln!(f, "  engine     {} ({})", probe.engine, probe.why)?;
        writeln!(f, "  lanes      {count}{lanes} {}", Cores::List(cores.clone()))?;
        writeln!(f, "  listening  {}", listening.join(" "))?;
        writeln!(f, "  admin      {}", admin.as_ref().map_or("off".to_owned(), Address::to_string))?;
        for pool in &fleet.config.pools {
            let servers = pool.servers.len();
            let plural = if servers == 1 { "" } else { "s" };
            let balance = pool.balance.to_possible_value();
            let balance = balance.as_ref().map_or("", |balance| balance.get_name());
            writeln!(f, "  pool       {}: {servers} server{plural}, {balance}", pool.name)?;
        }
        Ok(())
    }
}
