//! From a configuration to a running balancer, and to its end.
//!
//! In: a checked configuration, and where to read it again. Out: one pinned lane per core, the control beside them, the access log's writer,
//! and the reaction to signals. A lane that fails takes the process down, so that the service manager can restart a whole one.

use crate::admin;
use crate::config::{Config, Process, Source};
use crate::control::{self, Census, Control, Knowledge};
use crate::fleet::{Fleet, LaneStats};
use crate::log::{self, Reopen};
use crate::proxy::{Links, Mail, Proxy};
use clap::ValueEnum;
use net::address::Address;
use net::engine::{self, Engine, Probe};
use net::handover::{self, Predecessor};
use net::inherited::Inherited;
use net::listen::{Handle, Listener};
use net::mailbox::{Mailbox, Mailer};
use net::orders::{self, Orders};
pub use net::service::Failure;
use net::service::{self, Banner, LaneParts, Part, Threads};
use net::stats::{Cell, EngineStats};
use net::supervise::{self, Announcer, Numbers, Pulse};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Connections of the admin port and of checks together.
const CONTROL_CONNECTIONS_MAX: usize = 512;
/// How long the control may take for what signals ask of it: it is idle nearly always.
const CONTROL_PATIENCE: Duration = Duration::from_secs(10);

/// A balancer whose lanes run.
pub struct Running {
    addresses: Vec<Address>,
    admin: Option<Address>,
    cores: Vec<usize>,
    probe: Probe,
    fleet: Arc<Fleet>,
    doors: Doors,
    threads: Threads,
    /// Of every socket that it listens on.
    handles: Vec<Handle>,
    announcer: Announcer,
    predecessor: Option<Predecessor>,
    census: Arc<Census>,
    control: Arc<EngineStats>,
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
        self.end(control::Mail::Drain);
    }

    fn end(&self, how: control::Mail) {
        self.is_draining.store(true, Ordering::Release);
        // A control that is gone ends the process anyway.
        let _ = self.control.send_waiting(how);
        for mailer in &self.lanes {
            // A lane that is gone has drained; its box has room for this one unless it is stuck.
            let _ = mailer.send_waiting(Mail::Drain);
        }
    }

    /// What every lane and the control must do to be called alive.
    fn pulses(&self, fleet: &Arc<Fleet>, control: Arc<EngineStats>) -> Vec<Pulse> {
        let pulse = |(number, mailer): (usize, &Mailer<Mail>)| {
            let fleet = fleet.clone();
            Pulse::of(Part::Lane(number), mailer, move || fleet.lanes[number].engine.turns.get())
        };
        let control = Pulse::of(Part::Beside("control"), &self.control, move || control.turns.get());
        self.lanes.iter().enumerate().map(pulse).chain([control]).collect()
    }

    /// Asks the control, which answers at its next turn. `None`: it is gone, or stuck.
    fn ask<T>(&self, mail: impl FnOnce(mpsc::Sender<T>) -> control::Mail) -> Option<T> {
        let (answer, answers) = mpsc::channel();
        self.control.send_waiting(mail(answer)).ok()?;
        answers.recv_timeout(CONTROL_PATIENCE).ok()
    }
}

impl Orders for Doors {
    fn drain(&self) {
        Doors::drain(self);
    }

    fn reload(&self) -> Result<String, String> {
        self.reopen.ask();
        let silent = || Err("the control doesn't answer".to_owned());
        self.ask(|done| control::Mail::Reload(Some(done))).unwrap_or_else(silent)
    }

    fn knowledge(&self) -> Vec<u8> {
        let knowledge = self.ask(control::Mail::Know);
        if knowledge.is_none() {
            tracing::error!(
                "the control doesn't answer: the new process begins without what is known of the servers"
            );
        }
        knowledge.unwrap_or_default().write()
    }

    fn step_back(&self) {
        self.end(control::Mail::StepBack);
    }
}

/// Starts everything.
///
/// # Errors
/// What stands in the way, for the operator.
pub fn start(config: Config, process: &Process, source: Source) -> Result<Running, Failure> {
    handover::launch()?;
    // Before anything else is opened.
    let mut inherited = Inherited::take().map_err(Failure::cannot_start)?;
    let (predecessor, knowledge) = Predecessor::find().map_err(Failure::to("take over"))?.unzip();
    let cores = process.cores.resolve().map_err(Failure::to("--cores"))?;
    let probe = process.engine.resolve().map_err(Failure::cannot_start)?;
    service::warn_of_descriptors(config.front.connections_max, cores.len(), "lower connections-max");
    tracing::info!(engine = probe.engine.name(), why = probe.why, "engine chosen");
    let bind = config.listeners.iter().map(|listener| &listener.address);
    let service::Doors { addresses, listeners } =
        service::doors(bind, &cores, process.accept, &mut inherited)?;
    let admin_door = match &process.admin {
        Some(address) => service::one_door(address, 1, &mut inherited).map_err(Failure::to("--admin"))?,
        None => Vec::new(),
    };
    inherited.must_be_used_up().map_err(Failure::cannot_start)?;
    let handles = service::handles(listeners.iter().flatten().chain(&admin_door));
    let admin = admin_door.first().map(|listener| listener.address().clone());
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
    let mut program = Control::new(fleet.clone(), doors.lanes.clone(), load, Box::new(desk), any_seed());
    program.remember(Knowledge::read(&knowledge.unwrap_or_default()));
    let census = program.census();
    let control_stats = start_control(&threads, admin_door, probe.engine, program, control_box)?;
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
    Ok(Running {
        addresses,
        admin,
        cores,
        probe,
        fleet,
        doors,
        threads,
        handles,
        announcer: Announcer::default(),
        predecessor,
        census,
        control: control_stats,
    })
}

/// For the service manager's status.
fn numbers(fleet: Arc<Fleet>, census: Arc<Census>) -> impl Fn() -> Numbers + Send {
    move || {
        let sum = |cell: fn(&LaneStats) -> &Cell| fleet.lanes.iter().map(|lane| cell(lane).get()).sum();
        Numbers {
            open: sum(|lane| &lane.front_open),
            requests: sum(|lane| &lane.requests),
            more: Some(format!("{} of {} servers up", census.up.get(), census.all.get())),
        }
    }
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
    listeners: Vec<Listener>,
    engine: Engine,
    control: Control,
    mailbox: Mailbox<control::Mail>,
) -> Result<Arc<EngineStats>, Failure> {
    let settings =
        engine::Settings { connections_max: CONTROL_CONNECTIONS_MAX, ..engine::Settings::default() };
    let stats = Arc::<EngineStats>::default();
    let counted = stats.clone();
    threads.start_beside("control", move || {
        engine::run(engine, listeners, control, &mailbox, &settings, &counted).map(drop)
    })?;
    Ok(stats)
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

    /// Drains at the first SIGTERM or SIGINT, ends the process at the second, reads the configuration again at SIGHUP, hands over at SIGUSR2.
    ///
    /// # Errors
    /// Signals can't be caught.
    pub fn obey_signals(&self) -> Result<(), Failure> {
        orders::obey(self.doors.clone(), self.handles.clone(), self.announcer.clone())
    }

    /// Tells the service manager, or the process that this one replaces, once every lane serves; and waits until every lane has drained.
    ///
    /// # Errors
    /// As soon as a lane or the control has failed; the others still run, so end the process.
    pub fn wait(self) -> Result<(), Failure> {
        let pulses = self.doors.pulses(&self.fleet, self.control);
        supervise::start(pulses, numbers(self.fleet, self.census), self.predecessor, self.announcer)?;
        let result = self.threads.wait(|| self.doors.is_draining.load(Ordering::Acquire));
        self.handles.iter().for_each(Handle::remove_socket_file);
        result
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
