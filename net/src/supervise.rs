//! Sees that every lane turns, and tells whoever wants to know: the service manager, and the process that this one replaces.
//!
//! In: for each thread that must turn a way to wake it and to count its turns; numbers to show. Out: "ready" once all of them have turned,
//! a status every few seconds, food for the watchdog while all of them turn. Never: runs where nobody wants to know.

use crate::handover::Predecessor;
use crate::mailbox::Mailer;
use crate::notify;
use crate::service::{self, Failure, Part};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often the status is told.
const STATUS_EVERY: Duration = Duration::from_secs(3);
/// Looks within one period of the watchdog: a lane must be stuck for most of it before the watchdog hears nothing.
const LOOKS: u32 = 4;
/// From one look at threads that start to the next.
const START_PAUSE: Duration = Duration::from_millis(2);
/// While it drains, the service manager is asked for this much more time with each status.
const PATIENCE: Duration = Duration::from_secs(15);

/// A thread that must turn.
pub struct Pulse {
    part: Part,
    /// Ends its wait; `false`: it has ended.
    nudge: Box<dyn Fn() -> bool + Send>,
    turns: Box<dyn Fn() -> u64 + Send>,
    seen: u64,
    since: Instant,
    is_stuck: bool,
}

impl Pulse {
    /// Of the thread that reads what `mailer` sends, and counts its turns.
    pub fn of<M: Send + 'static>(
        part: Part,
        mailer: &Mailer<M>,
        turns: impl Fn() -> u64 + Send + 'static,
    ) -> Pulse {
        let mailer = mailer.clone();
        let (nudge, turns) = (Box::new(move || mailer.nudge()), Box::new(turns));
        Pulse { part, nudge, turns, seen: 0, since: Instant::now(), is_stuck: false }
    }

    /// Whether it has turned since the last look, or has ended; and wakes it, so that it turns before the next.
    fn beats(&mut self) -> bool {
        let turns = (self.turns)();
        let lives = (self.nudge)();
        if turns == self.seen && lives {
            return false;
        }
        (self.seen, self.since) = (turns, Instant::now());
        true
    }

    /// As `beats`; and says so when that changes.
    fn look(&mut self) -> bool {
        let beats = self.beats();
        if beats == self.is_stuck {
            self.is_stuck = !beats;
            let (part, silent) = (self.part, self.since.elapsed());
            if beats {
                tracing::warn!(%part, "turns again");
            } else {
                tracing::error!(%part, ?silent, "does not turn: the watchdog hears nothing until it does");
            }
        }
        beats
    }
}

/// What the status shows.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// Connections open now.
    pub open: u64,
    /// Requests since the start.
    pub requests: u64,
    /// What else there is to say.
    pub more: Option<String>,
}

/// How far the service is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Serving,
    Stopping,
    Replaced,
}

/// What the service is about to do, for the service manager.
#[derive(Clone, Default)]
pub struct Announcer {
    phase: Arc<Mutex<Phase>>,
}

impl Announcer {
    /// It drains, and will end.
    pub(crate) fn stopping(&self) {
        let mut phase = self.phase();
        if *phase == Phase::Serving {
            *phase = Phase::Stopping;
            notify::stopping(PATIENCE);
        }
    }

    /// Another process is the service now. Nothing more is said by this one.
    pub(crate) fn replaced_by(&self, process: u32) {
        *self.phase() = Phase::Replaced;
        notify::main_is(process);
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        // Plain data: a panic can't leave it half changed.
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches `pulses` for whoever wants to know; if nobody does, nothing runs.
///
/// # Errors
/// No thread is to be had.
pub fn start(
    pulses: Vec<Pulse>,
    numbers: impl Fn() -> Numbers + Send + 'static,
    predecessor: Option<Predecessor>,
    announcer: Announcer,
) -> Result<(), Failure> {
    if predecessor.is_none() && !notify::is_wanted() {
        return Ok(());
    }
    let lanes = pulses.iter().filter(|pulse| matches!(pulse.part, Part::Lane(_))).count();
    let status = Status { numbers: Box::new(numbers), lanes, last: 0, at: Instant::now() };
    let supervisor = Supervisor { pulses, status, announcer };
    service::spawn("supervisor", move || supervisor.run(predecessor))
}

struct Supervisor {
    pulses: Vec<Pulse>,
    status: Status,
    announcer: Announcer,
}

impl Supervisor {
    fn run(mut self, predecessor: Option<Predecessor>) {
        while !self.pulses.iter().all(|pulse| (pulse.nudge)() && (pulse.turns)() > 0) {
            sleep(START_PAUSE);
        }
        if let Some(predecessor) = predecessor {
            predecessor.follow();
        }
        if !notify::is_wanted() {
            return;
        }
        let status = self.status.text();
        // Held while it is told: what comes of a signal meanwhile is told after it.
        let phase = self.announcer.phase();
        if *phase == Phase::Serving {
            notify::ready(&status);
        }
        drop(phase);
        let look_every = notify::watchdog().map(|period| period / LOOKS);
        let pause = look_every.map_or(STATUS_EVERY, |look| look.min(STATUS_EVERY));
        let mut told = Instant::now();
        loop {
            // All are looked at and woken, whatever the first one says.
            let stuck = self.pulses.iter_mut().map(Pulse::look).filter(|beats| !beats).count();
            let all_turn = stuck == 0;
            let phase = *self.announcer.phase();
            if phase == Phase::Replaced {
                return;
            }
            if all_turn && look_every.is_some() {
                notify::feed_watchdog();
            }
            if told.elapsed() >= STATUS_EVERY {
                told = Instant::now();
                self.tell_status(phase, all_turn);
            }
            sleep(pause);
        }
    }

    /// A drain that gets nowhere because a lane is stuck is given no more time.
    fn tell_status(&mut self, phase: Phase, all_turn: bool) {
        let text = self.status.text();
        match phase {
            Phase::Stopping if all_turn => notify::still_stopping(PATIENCE, &format!("draining: {text}")),
            Phase::Stopping => notify::status(&format!("draining: {text}")),
            Phase::Serving | Phase::Replaced => notify::status(&text),
        }
    }
}

struct Status {
    numbers: Box<dyn Fn() -> Numbers + Send>,
    lanes: usize,
    last: u64,
    at: Instant,
}

impl Status {
    /// `2 lanes, 130 connections, 5120 requests/s`.
    fn text(&mut self) -> String {
        let Numbers { open, requests, more } = (self.numbers)();
        let rate = requests.saturating_sub(self.last) as f64 / self.at.elapsed().as_secs_f64().max(0.001);
        (self.last, self.at) = (requests, Instant::now());
        let plural = |n: u64| if n == 1 { "" } else { "s" };
        let lanes = self.lanes as u64;
        let more = more.map_or(String::new(), |more| format!(", {more}"));
        format!(
            "{lanes} lane{}, {open} connection{}, {rate:.0} requests/s{more}",
            plural(lanes),
            plural(open)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::mailbox;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn a_lane_beats_while_it_turns_and_once_it_has_ended() {
        let (mailer, mailbox) = mailbox::<()>(1).unwrap();
        let turns = Arc::new(AtomicU64::new(0));
        let counted = turns.clone();
        let mut pulse = Pulse::of(Part::Lane(0), &mailer, move || counted.load(Ordering::Relaxed));
        assert!(!pulse.look() && pulse.is_stuck, "it has not turned yet");
        turns.store(1, Ordering::Relaxed);
        assert!(pulse.look() && !pulse.is_stuck);
        assert!(!pulse.look() && pulse.is_stuck, "it was nudged, and did not turn");
        drop(mailbox);
        assert!(pulse.look(), "a lane that has drained is not stuck");
    }

    #[test]
    fn the_status_has_a_rate_and_what_else_there_is() {
        let numbers = || Numbers { open: 1, requests: 0, more: Some("3 of 4 servers up".to_owned()) };
        let mut status = Status { numbers: Box::new(numbers), lanes: 2, last: 0, at: Instant::now() };
        assert_eq!(status.text(), "2 lanes, 1 connection, 0 requests/s, 3 of 4 servers up");
    }
}
