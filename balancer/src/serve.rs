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
use net::listen;
use net::mailbox::{Mailbox, Mailer};
pub use net::service::Failure;
use net::service::{self, Banner, LaneParts, Threads};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Connections of the admin port and of checks together.
const CONTROL_CONNECTIONS_MAX: usize = 512;

/// A balancer whose lanes run.
pub struct Running {
    addresses: Vec<Address>,
    admin: Option<Address>,
    cores: Vec<usize>,
    probe: Probe,
    fleet: Arc<Fleet>,
    doors: Doors,
    threads: Threads,
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

/// Starts everything.
///
/// # Errors
/// What stands in the way, for the operator.
pub fn start(config: Config, process: &Process, source: Source) -> Result<Running, Failure> {
    let cores = process.cores.resolve().map_err(Failure::to("--cores"))?;
    let probe = process.engine.resolve().map_err(Failure::cannot_start)?;
    service::warn_of_descriptors(config.front.connections_max, cores.len(), "lower connections-max");
    tracing::info!(engine = probe.engine.name(), why = probe.why, "engine chosen");
    let bind = config.listeners.iter().map(|listener| &listener.address);
    let service::Doors { addresses, listeners } = service::doors(bind, &cores, process.accept)?;
    let reopen = Reopen::default();
    let log = log::start(&config.log, reopen.clone()).map_err(Failure::CannotStart)?;
    let fleet = Arc::new(Fleet::new(config, cores.len()));
    let mailboxes = cores.iter().map(|_| service::one_mailbox()).collect::<Result<Vec<_>, _>>()?;
    let (mailers, boxes): (Vec<_>, Vec<_>) = mailboxes.into_iter().unzip();
    let (control, control_box) = service::one_mailbox()?;
    let doors = Doors { lanes: mailers, control, is_draining: Arc::default(), reopen };
    let mut threads = Threads::default();
    let desk = admin::Admin::new(probe.engine.name(), cores.clone());
    let load = Box::new(move || source.load());
    let program = Control::new(fleet.clone(), doors.lanes.clone(), load, Box::new(desk), any_seed());
    let admin = start_control(&threads, process, probe.engine, program, control_box)?;
    let lane = LaneStart {
        engine: probe.engine,
        settings: engine_settings(&fleet.config, process),
        fleet: fleet.clone(),
        doors: doors.clone(),
        log,
        seed: any_seed(),
    };
    let parts = service::lane_parts(listeners, boxes, &doors.lanes, process.accept);
    threads.start_lanes(&cores, parts, move |number, parts| lane.run(number, parts))?;
    Ok(Running { addresses, admin, cores, probe, fleet, doors, threads })
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

/// What every lane's thread takes along.
#[derive(Clone)]
struct LaneStart {
    engine: Engine,
    settings: engine::Settings,
    fleet: Arc<Fleet>,
    doors: Doors,
    log: Option<log::Log>,
    seed: u64,
}

impl LaneStart {
    fn run(&self, number: usize, own: LaneParts<Mail>) -> Result<(), engine::Failure> {
        let LaneParts { listeners, mailbox, seat } = own;
        let settings = engine::Settings { seat, ..self.settings.clone() };
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
        engine::run(self.engine, listeners, proxy, &mailbox, &settings, stats).map(drop)
    }
}

/// The control: checks and the admin port, on a thread that no lane waits for. It ends with the process, so that a drain can be watched.
fn start_control(
    threads: &Threads,
    process: &Process,
    engine: Engine,
    control: Control,
    mailbox: Mailbox<control::Mail>,
) -> Result<Option<Address>, Failure> {
    let listeners = match &process.admin {
        Some(address) => listen::listen(address, 1).map_err(Failure::to("--admin"))?,
        None => Vec::new(),
    };
    let bound = listeners.first().map(|listener| listener.address().clone());
    let settings =
        engine::Settings { connections_max: CONTROL_CONNECTIONS_MAX, ..engine::Settings::default() };
    threads.start_beside("control", move || {
        let stats = Arc::default();
        engine::run(engine, listeners, control, &mailbox, &settings, &stats).map(drop)
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
        let (drains, reloads) = (self.doors.clone(), self.doors.clone());
        let reload = move || {
            reloads.reopen.ask();
            // A control that is gone ends the process anyway.
            let _ = reloads.control.send_waiting(control::Mail::Reload);
        };
        service::obey_signals(self.all_addresses(), move || drains.drain(), reload)
    }

    /// Waits until every lane has drained.
    ///
    /// # Errors
    /// As soon as a lane or the control has failed; the others still run, so end the process.
    pub fn wait(self) -> Result<(), Failure> {
        let addresses = self.all_addresses();
        let result = self.threads.wait(|| self.doors.is_draining.load(Ordering::Acquire));
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
        let Running { addresses, admin, cores, probe, fleet, .. } = self;
        let program = concat!("corelane-balancer ", env!("CARGO_PKG_VERSION"));
        write!(f, "{}", Banner { program, probe, cores, addresses, admin: admin.as_ref() })?;
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
