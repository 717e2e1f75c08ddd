//! A target on a thread and a port of its own.
//!
//! In: how it is to behave, on which core, by which engine. Out: its address, and at the end what it did.
//! Never: goes on without its handle.

use super::{Behaviour, Counts, Mail, Target};
use net::address::Address;
use net::engine::{self, Engine, Probe, Settings};
use net::listen::{self, Listener};
use net::mailbox::{MAILS_MAX, Mailbox, Mailer, mailbox};
use net::percore::{self, Ended};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

/// A target with a core of its own watches the clock this long before an answer is due: what a sleep and a wake-up
/// are late by, else the known delay would not be known.
const DEADLINE_WATCH: Duration = Duration::from_micros(100);

/// A target that runs; it ends when this is dropped.
pub struct RunningTarget {
    /// Where it listens.
    pub address: Address,
    mailer: Mailer<Mail>,
    ended: mpsc::Receiver<Ended<Result<Counts, String>>>,
}

/// What the target's thread takes along.
struct Parts {
    listeners: Vec<Listener>,
    mailbox: Mailbox<Mail>,
    target: Target,
    engine: Engine,
    settings: Settings,
}

/// Starts a target on a free port of 127.0.0.1. On a core of its own it keeps its times to a few microseconds, at the
/// cost of that core; without one it sleeps as any server does, and is late by as much as the machine is.
///
/// # Errors
/// One line: no port, no thread, or an engine that doesn't work here.
pub fn start(behaviour: Behaviour, core: Option<usize>, engine: Engine) -> Result<RunningTarget, String> {
    let probe = Probe::named(engine).map_err(|error| error.to_string())?;
    let anywhere = Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let listeners = listen::listen(&anywhere, 1).map_err(|error| error.to_string())?;
    let address = listeners.first().map_or(anywhere, |listener| listener.address().clone());
    let (mailer, mailbox) =
        mailbox(MAILS_MAX).map_err(|error| format!("make the target's mailbox: {error}"))?;
    let deadline_watch = if core.is_some() { DEADLINE_WATCH } else { Duration::ZERO };
    let settings = Settings { deadline_watch, ..Settings::default() };
    let parts = Parts { listeners, mailbox, target: Target::new(behaviour), engine: probe.engine, settings };
    let (report, ended) = mpsc::channel::<Ended<Result<Counts, String>>>();
    // Nobody listens only when the handle is gone, and with it whoever wanted to know.
    let report = move |ended| drop(report.send(ended));
    let started = match core {
        Some(core) => {
            let run = |_, parts: Parts| parts.run();
            percore::run(&[core], vec![parts], run, move |_, ended| report(ended))
        }
        None => {
            let thread = std::thread::Builder::new().name("target".to_owned());
            thread.spawn(move || report(percore::caught(|| parts.run()))).map(drop)
        }
    };
    started.map_err(|error| format!("start the target's thread: {error}"))?;
    Ok(RunningTarget { address, mailer, ended })
}

impl Parts {
    fn run(self) -> Result<Counts, String> {
        let Parts { listeners, mailbox, target, engine, settings } = self;
        let stats = Arc::default();
        let ended = engine::run(engine, listeners, target, &mailbox, &settings, &stats);
        ended.map(|target| target.counts()).map_err(|error| error.to_string())
    }
}

impl RunningTarget {
    /// Ends it, and says what it did.
    ///
    /// # Errors
    /// It had ended by itself, and why: what was measured against it says nothing.
    pub fn stop(self) -> Result<Counts, String> {
        self.tell_to_stop();
        match self.ended.recv() {
            Ok(Ended::Returned(counts)) => counts.map_err(|why| format!("the target failed: {why}")),
            Ok(Ended::Panicked(why)) => Err(format!("the target panicked: {why}")),
            Err(_) => Err("the target panicked".to_owned()),
        }
    }

    fn tell_to_stop(&self) {
        // A box that is closed or full of this very mail belongs to a target that ends anyway.
        let _ = self.mailer.send(Mail::Stop);
    }
}

impl Drop for RunningTarget {
    fn drop(&mut self) {
        self.tell_to_stop();
    }
}
