//! The engine without a kernel: hosts, wires and a clock, all driven by one seed.
//!
//! In: programs, addresses, [`Faults`]. Out: the same contract that the real engines keep, in a world where bytes
//! are cut, delayed and refused as the seed wills, and where an hour passes in a moment. The same seed makes
//! the same run. Never: a thread, a socket, a real clock.
//!
//! ```
//! use net::engine::sim::{Faults, Outcome, Setup, World};
//! use net::engine::{Close, End, Io, Opened, Program, Token};
//!
//! /// Says one word to whoever listens at the address, or returns what it hears.
//! struct Talker { to: Option<net::address::Address>, heard: Vec<u8> }
//!
//! impl Program for Talker {
//!     type Mail = ();
//!     fn on_start(&mut self, io: &mut Io) {
//!         if let Some(to) = self.to.clone() { io.connect(to); }
//!     }
//!     fn on_open(&mut self, token: Token, opened: Opened, io: &mut Io) {
//!         if opened == Opened::Connected { io.out(token).extend(b"hello"); io.close(token, Close::AfterFlush); }
//!     }
//!     fn on_bytes(&mut self, _: Token, bytes: &[u8], _: &mut Io) { self.heard.extend(bytes); }
//!     fn on_end(&mut self, _: Token, end: End, _: &mut Io) { assert_eq!(end, End::Closed); }
//!     fn on_mail(&mut self, _: (), _: &mut Io) {}
//! }
//!
//! let here: net::address::Address = "10.0.0.1:80".parse().unwrap();
//! for seed in 0..100 {
//!     let mut world = World::new(seed, Faults::rough());
//!     let ear = world.add(Talker { to: None, heard: vec![] }, Setup::listening(&here));
//!     world.add(Talker { to: Some(here.clone()), heard: vec![] }, Setup::default());
//!     assert_eq!(world.run(), Outcome::Idle);
//!     assert_eq!(world.program(ear).heard, b"hello", "seed {seed}");
//! }
//! ```

mod faults;
mod lane;
mod net;
mod wire;

pub use faults::{Faults, Rng};

use crate::address::Address;
use crate::engine::Program;
use crate::mailbox::Mailbox;
use crate::stats::EngineStats;
use crate::time::Time;
use lane::{Host, Lane, Life};
use net::{Event, Net};
use std::marker::PhantomData;
use std::time::Duration;

/// `World::run` gives up after this much virtual time: longer than any time limit of a network.
const RUN_MAX: Duration = Duration::from_secs(3600);
/// More events than this in one instant: two programs chase each other and time stands still.
const EVENTS_PER_INSTANT_MAX: u32 = 1_000_000;

/// Hosts, the network between them, and their one clock, which begins at `Time(0)`.
pub struct World {
    seed: u64,
    net: Net,
    hosts: Vec<Box<dyn Host>>,
    instant: Time,
    events_in_instant: u32,
}

/// A host of a world: one lane that runs a `P`.
pub struct HostId<P> {
    number: usize,
    program: PhantomData<fn() -> P>,
}

impl<P> Clone for HostId<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for HostId<P> {}

/// What a host is given besides its program.
pub struct Setup<M> {
    /// Where it listens. Hosts that share an address are the lanes of one server.
    pub listen: Vec<Address>,
    /// Its door for other threads and hosts. Its other end may be anywhere, in another program too.
    pub mailbox: Option<Mailbox<M>>,
    /// Connections that it holds; more wait in the backlog.
    pub connections_max: usize,
    /// Unsent output of a connection over which it is not read.
    pub unsent_bytes_max: usize,
    /// The largest piece that arrives at once.
    pub receive_buffer_bytes: usize,
}

impl<M> Default for Setup<M> {
    fn default() -> Setup<M> {
        Setup {
            listen: Vec::new(),
            mailbox: None,
            connections_max: 20_000,
            unsent_bytes_max: 256 * 1024,
            receive_buffer_bytes: 4 * 1024,
        }
    }
}

impl<M> Setup<M> {
    /// Listens on one address.
    pub fn listening(address: &Address) -> Setup<M> {
        Setup { listen: vec![address.clone()], ..Setup::default() }
    }
}

/// Why a run of the world ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every program has stopped (or was killed).
    Stopped,
    /// Nothing will happen any more unless somebody from outside makes it.
    Idle,
    /// The time is up.
    TimeUp,
}

impl World {
    /// A world without hosts.
    pub fn new(seed: u64, faults: Faults) -> World {
        let net = Net::new(seed, faults);
        World { seed, net, hosts: Vec::new(), instant: Time(0), events_in_instant: 0 }
    }

    /// Adds a host; it starts with the next step.
    pub fn add<P: Program + 'static>(&mut self, program: P, setup: Setup<P::Mail>) -> HostId<P> {
        let number = self.hosts.len();
        self.hosts.push(Box::new(Lane::start(number, program, setup, &mut self.net)));
        HostId { number, program: PhantomData }
    }

    /// What time it is.
    pub fn now(&self) -> Time {
        self.net.now
    }

    /// Runs until every program has stopped or nothing will happen any more; at most for an hour of the world.
    pub fn run(&mut self) -> Outcome {
        let end = self.net.now + RUN_MAX;
        while self.step(end) {}
        self.outcome()
    }

    /// Runs for at most `time`.
    pub fn run_for(&mut self, time: Duration) -> Outcome {
        self.run_until(self.net.now + time)
    }

    /// Runs until `time`, which then is now, unless every program stops before.
    pub fn run_until(&mut self, time: Time) -> Outcome {
        while self.step(time) {}
        let outcome = self.outcome();
        if outcome != Outcome::Stopped {
            self.net.now = self.net.now.max(time);
        }
        outcome
    }

    fn outcome(&self) -> Outcome {
        match self.net.next_at() {
            _ if !self.is_any_alive() => Outcome::Stopped,
            None => Outcome::Idle,
            Some(_) => Outcome::TimeUp,
        }
    }

    fn is_any_alive(&self) -> bool {
        self.hosts.iter().any(|host| is_alive(host.life()))
    }

    /// Runs until `is_so`, looking after each event; false if `time` passes or nothing will happen before.
    pub fn run_to(&mut self, time: Duration, mut is_so: impl FnMut(&World) -> bool) -> bool {
        let end = self.net.now + time;
        loop {
            if is_so(self) {
                return true;
            }
            if !self.step(end) {
                return false;
            }
        }
    }

    /// Lets one event happen, if there is one up to `end`.
    fn step(&mut self, end: Time) -> bool {
        for host in &mut self.hosts {
            host.collect_mail(&mut self.net);
        }
        if self.net.next_at().is_none_or(|at| at > end) || !self.is_any_alive() {
            return false;
        }
        match self.net.pop() {
            None => return false,
            Some(Event::Turn(host)) => self.hosts[host].turn(&mut self.net),
            Some(Event::News(host, news)) => self.hosts[host].hear(news, &mut self.net),
            Some(Event::Segment(from)) => self.net.on_segment(from),
            Some(Event::Syn(wire, to)) => self.net.on_syn(wire, to),
            Some(Event::GiveUp(plug)) => self.net.give_up(plug),
        }
        self.watch_for_standstill();
        true
    }

    fn watch_for_standstill(&mut self) {
        if self.instant != self.net.now {
            (self.instant, self.events_in_instant) = (self.net.now, 0);
        }
        self.events_in_instant += 1;
        assert!(
            self.events_in_instant < EVENTS_PER_INSTANT_MAX,
            "time stands still at {:?}: a program's deadline lies in the past, or two programs chase each other",
            self.net.now
        );
    }

    /// The host's program.
    pub fn program<P: Program + 'static>(&self, host: HostId<P>) -> &P {
        self.hosts[host.number].program().downcast_ref().expect("a host's id carries its program's type")
    }

    /// The host's program, to look at or to turn a knob of; only its mailbox and the network wake it.
    pub fn program_mut<P: Program + 'static>(&mut self, host: HostId<P>) -> &mut P {
        self.hosts[host.number].program_mut().downcast_mut().expect("a host's id carries its program's type")
    }

    /// Ends the world and gives one of its programs back.
    pub fn into_program<P: Program + 'static>(mut self, host: HostId<P>) -> P {
        let program = self.hosts.swap_remove(host.number).into_program();
        *program.downcast().expect("a host's id carries its program's type")
    }

    /// What the host's engine counted.
    pub fn stats<P>(&self, host: HostId<P>) -> &EngineStats {
        self.hosts[host.number].stats()
    }

    /// Whether the host's program has stopped.
    pub fn is_stopped<P>(&self, host: HostId<P>) -> bool {
        self.hosts[host.number].life() == Life::Stopped
    }

    /// The host's process dies: its connections are reset, its address refuses. Its program stays to be looked at.
    pub fn kill<P>(&mut self, host: HostId<P>) {
        self.hosts[host.number].kill(&mut self.net);
        self.net.forget(host.number);
    }

    /// A new process on a host that was killed or has stopped: the same addresses, mailbox and limits.
    pub fn restart<P: Program + 'static>(&mut self, host: HostId<P>, program: P) {
        assert!(!is_alive(self.hosts[host.number].life()), "a host is killed before it is restarted");
        self.net.forget(host.number);
        self.hosts[host.number].restart(Box::new(program), &mut self.net);
    }

    /// The host's process takes no more turns; its kernel still completes connects and takes bytes.
    pub fn hang<P>(&mut self, host: HostId<P>) {
        self.hosts[host.number].hang();
    }

    /// Undoes `hang`.
    pub fn resume<P>(&mut self, host: HostId<P>) {
        self.hosts[host.number].revive(&mut self.net);
    }

    /// From now on, other odds: a storm in the middle of a run. Windows are drawn when a connection is made.
    pub fn set_faults(&mut self, faults: Faults) {
        self.net.faults = faults;
    }

    /// A hash of everything that happened so far: equal for equal seeds and programs.
    pub fn trace(&self) -> u64 {
        self.net.trace.0
    }
}

impl Drop for World {
    /// The seed is what somebody needs who wants to see it again.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in a world of seed {} at {:?}", self.seed, self.net.now);
        }
    }
}

fn is_alive(life: Life) -> bool {
    !matches!(life, Life::Stopped | Life::Killed)
}
