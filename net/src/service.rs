//! What every service of ours does between its options and its end.
//!
//! In: addresses, cores, and what each lane runs. Out: a lane on each core, threads beside them, the reaction to signals, and the first
//! failure. Never: half a service: a lane that ends unasked ends the process, so that the service manager can start a whole one.

use crate::address::Address;
use crate::engine::{self, Probe, Seat};
use crate::inherited::Inherited;
use crate::listen::{self, Accept, Handle, Listener};
use crate::mailbox::{MAILS_MAX, Mailbox, Mailer, mailbox};
use crate::percore::{self, Cores, Ended};
use std::fmt;
use std::io;
use std::sync::mpsc;
use std::thread;

/// Why a service did not start, or did not end well. The text is one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something the operator can put right: exit code 2.
    #[error("{0}")]
    CannotStart(String),
    /// A part of it ended by itself: exit code 1.
    #[error("{part}: {why}; ending, so that the service manager can start afresh")]
    Ended {
        /// Which.
        part: Part,
        /// What it said.
        why: String,
    },
}

impl Failure {
    /// `what` failed, and so the service does not start. For `map_err`.
    pub fn to<E: fmt::Display>(what: impl fmt::Display) -> impl FnOnce(E) -> Failure {
        move |error| Failure::CannotStart(format!("{what}: {error}"))
    }

    /// An error that says itself what it is about.
    pub fn cannot_start(error: impl fmt::Display) -> Failure {
        Failure::CannotStart(error.to_string())
    }

    /// What the process should exit with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::CannotStart(_) => 2,
            Failure::Ended { .. } => 1,
        }
    }
}

/// A thread that a service can't do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The lane with this number.
    Lane(usize),
    /// One that lives as long as the process.
    Beside(&'static str),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Lane(number) => write!(f, "lane {number}"),
            Part::Beside(name) => write!(f, "the {name} thread"),
        }
    }
}

/// For each lane its listeners, one for each address.
pub struct Doors {
    /// In the order given, with the ports that the kernel chose.
    pub addresses: Vec<Address>,
    /// By lane.
    pub listeners: Vec<Vec<Listener>>,
}

/// Listens on each address, once for each of `cores`; where a socket was inherited for it, on that.
///
/// # Errors
/// What stands in the way.
pub fn doors<'a>(
    addresses: impl IntoIterator<Item = &'a Address>,
    cores: &[usize],
    accept: Accept,
    inherited: &mut Inherited,
) -> Result<Doors, Failure> {
    let listeners = cores.iter().map(|_| Vec::new()).collect();
    let mut doors = Doors { addresses: Vec::new(), listeners };
    for address in addresses {
        let bound = one_door(address, cores.len(), inherited).map_err(Failure::cannot_start)?;
        if let (Accept::Cpu, Address::Tcp(_)) = (accept, address) {
            if handles(&bound).len() < cores.len() {
                return Err(Failure::CannotStart(format!(
                    "--accept cpu needs a socket for each lane: have {} of them passed for {address} (ReusePort=yes)",
                    cores.len()
                )));
            }
            listen::steer(&bound, cores).map_err(Failure::to("--accept cpu: the kernel refuses to steer"))?;
        }
        doors.addresses.extend(bound.first().map(|listener| listener.address().clone()));
        doors.listeners.iter_mut().zip(bound).for_each(|(lane, listener)| lane.push(listener));
    }
    Ok(doors)
}

/// A listener on one address for each of `lanes`.
///
/// # Errors
/// What stands in the way.
pub fn one_door(address: &Address, lanes: usize, inherited: &mut Inherited) -> io::Result<Vec<Listener>> {
    let listeners = inherited.listeners(address, lanes)?;
    if listeners.is_empty() { listen::listen(address, lanes) } else { Ok(listeners) }
}

/// A grip on each socket once, whichever lanes have it.
pub fn handles<'a>(listeners: impl IntoIterator<Item = &'a Listener>) -> Vec<Handle> {
    let mut handles: Vec<Handle> = Vec::new();
    for handle in listeners.into_iter().map(Listener::handle) {
        if !handles.iter().any(|other| other.is(&handle)) {
            handles.push(handle);
        }
    }
    handles
}

/// What each lane's thread has for itself.
pub struct LaneParts<M> {
    /// One for each address.
    pub listeners: Vec<Listener>,
    /// The lane's mail.
    pub mailbox: Mailbox<M>,
    /// For its engine's settings.
    pub seat: Option<Seat>,
}

/// Puts together what each lane has for itself, in the order of the lanes.
pub fn lane_parts<M>(
    listeners: Vec<Vec<Listener>>,
    mailboxes: Vec<Mailbox<M>>,
    mailers: &[Mailer<M>],
    accept: Accept,
) -> Vec<LaneParts<M>> {
    let mut seats = match accept {
        Accept::Deal => engine::seats(mailers),
        Accept::Hash | Accept::Cpu => Vec::new(),
    }
    .into_iter();
    let part = |(listeners, mailbox)| LaneParts { listeners, mailbox, seat: seats.next() };
    listeners.into_iter().zip(mailboxes).map(part).collect()
}

/// A mailbox.
///
/// # Errors
/// Out of descriptors.
pub fn one_mailbox<M>() -> Result<(Mailer<M>, Mailbox<M>), Failure> {
    mailbox(MAILS_MAX).map_err(Failure::to("make a mailbox"))
}

/// Warns where the lanes together may want more descriptors than the process may have. `remedy`: what else helps, as in
/// `lower --connections-max`.
pub fn warn_of_descriptors(connections_max: u32, lanes: usize, remedy: &str) {
    let descriptors = listen::raise_descriptor_limit();
    let wanted = u64::from(connections_max) * lanes as u64;
    if descriptors < wanted {
        tracing::warn!(
            descriptors,
            wanted,
            "fewer file descriptors than connections on all lanes: raise LimitNOFILE= (ulimit -n), or {remedy}"
        );
    }
}

/// Starts a thread that the service goes on without.
///
/// # Errors
/// There is none to be had.
pub fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.map(drop).map_err(Failure::to(format_args!("start the {name} thread")))
}

/// The threads that a service can't do without.
pub struct Threads {
    tell: mpsc::Sender<(Part, Ended<Result<(), engine::Failure>>)>,
    told: mpsc::Receiver<(Part, Ended<Result<(), engine::Failure>>)>,
    lanes: usize,
}

impl Default for Threads {
    fn default() -> Threads {
        let (tell, told) = mpsc::channel();
        Threads { tell, told, lanes: 0 }
    }
}

impl Threads {
    /// Runs a lane on each of `cores`, with a part of `parts` for each.
    ///
    /// # Errors
    /// No thread is to be had.
    pub fn start_lanes<T: Send + 'static>(
        &mut self,
        cores: &[usize],
        parts: Vec<T>,
        run: impl Fn(usize, T) -> Result<(), engine::Failure> + Send + Clone + 'static,
    ) -> Result<(), Failure> {
        self.lanes = cores.len();
        let tell = self.tell.clone();
        // Nobody listens only when the process is ending anyway.
        let on_end = move |lane, ended| drop(tell.send((Part::Lane(lane), ended)));
        percore::run(cores, parts, run, on_end).map_err(Failure::to("start a lane's thread"))
    }

    /// Runs what must live as long as the process, on a thread that no lane waits for.
    ///
    /// # Errors
    /// No thread is to be had.
    pub fn start_beside(
        &self,
        name: &'static str,
        run: impl FnOnce() -> Result<(), engine::Failure> + Send + 'static,
    ) -> Result<(), Failure> {
        let tell = self.tell.clone();
        spawn(name, move || {
            let ended = percore::caught(run);
            // Nobody listens only when the process is ending anyway.
            let _ = tell.send((Part::Beside(name), ended));
        })
    }

    /// Waits until every lane has ended. `is_asked`: they have been asked to.
    ///
    /// # Errors
    /// As soon as a lane has ended unasked, or anything has failed; the others still run, so end the process.
    pub fn wait(self, is_asked: impl Fn() -> bool) -> Result<(), Failure> {
        let mut left = self.lanes;
        while left > 0 {
            // It can't be closed: one of its senders is in `self`.
            let Ok((part, ended)) = self.told.recv() else { break };
            let why = match (part, ended) {
                (Part::Lane(_), Ended::Returned(Ok(()))) if is_asked() => {
                    left -= 1;
                    continue;
                }
                (_, Ended::Returned(Ok(()))) => "ended without being asked".to_owned(),
                (_, Ended::Returned(Err(error))) => error.to_string(),
                (_, Ended::Panicked(why)) => format!("panicked: {why}"),
            };
            return Err(Failure::Ended { part, why });
        }
        Ok(())
    }
}

/// What is printed at the start: the lines that all services have.
pub struct Banner<'a> {
    /// The program, with its version.
    pub program: &'a str,
    /// The engine.
    pub probe: &'a Probe,
    /// The lanes' cores.
    pub cores: &'a [usize],
    /// Where it serves.
    pub addresses: &'a [Address],
    /// Where operators ask.
    pub admin: Option<&'a Address>,
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Banner { program, probe, cores, addresses, admin } = self;
        let listening: Vec<String> = addresses.iter().map(Address::to_string).collect();
        let lanes = match cores.len() {
            1 => "1 lane on core".to_owned(),
            lanes => format!("{lanes} lanes, one on each of cores"),
        };
        writeln!(f, "{program}")?;
        writeln!(f, "  engine     {} ({})", probe.engine, probe.why)?;
        writeln!(f, "  lanes      {lanes} {}", Cores::List(cores.to_vec()))?;
        writeln!(f, "  listening  {}", listening.join(" "))?;
        writeln!(f, "  admin      {}", admin.map_or("off".to_owned(), Address::to_string))
    }
}
