//! Which engine runs on this kernel, what all of them may use, and how they fail.

use super::{Program, Seat};
use crate::listen::Listener;
use crate::mailbox::Mailbox;
use crate::stats::EngineStats;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// An engine that is compiled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// io_uring (Linux 6.1 or later).
    #[cfg(feature = "uring")]
    Uring,
    /// epoll, through mio.
    #[cfg(feature = "epoll")]
    Epoll,
    /// monoio on its io_uring driver, to compare with.
    #[cfg(feature = "monoio")]
    Monoio,
    /// monoio on its epoll driver, to compare with.
    #[cfg(feature = "monoio")]
    MonoioEpoll,
    /// glommio, to compare with.
    #[cfg(feature = "glommio")]
    Glommio,
}

impl Engine {
    /// Every engine of this build, the preferred one first.
    pub const ALL: &[Engine] = &[
        #[cfg(feature = "uring")]
        Engine::Uring,
        #[cfg(feature = "epoll")]
        Engine::Epoll,
        #[cfg(feature = "monoio")]
        Engine::Monoio,
        #[cfg(feature = "monoio")]
        Engine::MonoioEpoll,
        #[cfg(feature = "glommio")]
        Engine::Glommio,
    ];

    /// Whether it is there to be compared with, and therefore chosen by name alone where there is another.
    fn is_guest(self) -> bool {
        match self {
            #[cfg(feature = "uring")]
            Engine::Uring => false,
            #[cfg(feature = "epoll")]
            Engine::Epoll => false,
            #[cfg(feature = "monoio")]
            Engine::Monoio | Engine::MonoioEpoll => true,
            #[cfg(feature = "glommio")]
            Engine::Glommio => true,
        }
    }

    /// The name on the command line and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "uring")]
            Engine::Uring => "uring",
            #[cfg(feature = "epoll")]
            Engine::Epoll => "epoll",
            #[cfg(feature = "monoio")]
            Engine::Monoio => "monoio",
            #[cfg(feature = "monoio")]
            Engine::MonoioEpoll => "monoio-epoll",
            #[cfg(feature = "glommio")]
            Engine::Glommio => "glommio",
        }
    }

    /// Whether this engine works here.
    fn probe(self) -> Result<(), Failure> {
        match self {
            #[cfg(feature = "uring")]
            Engine::Uring => super::uring::probe(),
            #[cfg(feature = "epoll")]
            Engine::Epoll => Ok(()),
            #[cfg(feature = "monoio")]
            Engine::Monoio => super::monoio::probe(),
            #[cfg(feature = "monoio")]
            Engine::MonoioEpoll => Ok(()),
            #[cfg(feature = "glommio")]
            Engine::Glommio => super::glommio::probe(),
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The engine that will run, and why.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The choice.
    pub engine: Engine,
    /// One clause for the log.
    pub why: String,
}

impl Probe {
    /// The engine that was asked for, or what stands in its way: no silent fallback.
    pub fn named(engine: Engine) -> Result<Probe, Failure> {
        engine.probe()?;
        Ok(Probe { engine, why: "asked for".to_owned() })
    }

    /// The best engine that works here. One that this kernel or container forbids is passed over; any other
    /// failure is an error, because it would hit the next engine too.
    pub fn auto() -> Result<Probe, Failure> {
        let mut passed = Vec::new();
        let are_all_guests = Engine::ALL.iter().all(|engine| engine.is_guest());
        for &engine in Engine::ALL.iter().filter(|engine| are_all_guests || !engine.is_guest()) {
            match engine.probe() {
                Ok(()) if passed.is_empty() => {
                    return Ok(Probe { engine, why: "the best one works here".to_owned() });
                }
                Ok(()) => return Ok(Probe { engine, why: passed.join("; ") }),
                Err(Failure::Forbidden { engine, what, source }) => {
                    passed.push(format!("{engine} is not available: {what}: {source}"));
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(Failure::NoEngine(passed.join("; ")))
    }
}

/// What one lane's engine is given.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Connections that one lane holds; more wait in the listener's backlog.
    pub connections_max: usize,
    /// Unsent output of a connection over which it is not read.
    pub unsent_bytes_max: usize,
    /// How long to spin for the next event before sleeping; `None` sleeps at once. Adaptive: a lane whose
    /// spins find nothing tries ever more rarely.
    pub busy_poll: Option<Duration>,
    /// How long before a deadline to stop sleeping and watch the clock: what a timer and a wake-up are late by.
    /// Zero leaves it to the timer. A lane whose deadlines are closer than this never sleeps.
    pub deadline_watch: Duration,
    /// Size of one receive buffer. One request of a common client fits.
    pub receive_buffer_bytes: usize,
    /// uring: receive buffers of a lane, a power of two; what one turn can hold unread.
    pub receive_buffers: u16,
    /// Whether to look up the address of each accepted peer: a system call per connection (getpeername(2)),
    /// as a multishot accept has no room for one.
    pub peer_addresses: bool,
    /// This lane's place where accepted connections are dealt to the lane with the fewest; `None`: each lane keeps its own.
    pub seat: Option<Seat>,
}

impl Settings {
    /// Memory of one lane's receive buffers on `engine`.
    pub fn receive_bytes(&self, engine: Engine) -> usize {
        match engine {
            #[cfg(feature = "uring")]
            Engine::Uring => usize::from(self.receive_buffers) * self.receive_buffer_bytes,
            #[cfg(feature = "epoll")]
            Engine::Epoll => super::epoll::RECEIVE_BUFFERS * self.receive_buffer_bytes,
            // A read under way owns its buffer, and each connection has one.
            #[cfg(feature = "monoio")]
            Engine::Monoio | Engine::MonoioEpoll => self.connections_max * self.receive_buffer_bytes,
            #[cfg(feature = "glommio")]
            Engine::Glommio => self.receive_buffer_bytes,
        }
    }
}

/// What to do until the next deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Sleep until something happens, at most so long; `None` for ever.
    Sleep(Option<Duration>),
    /// Watch for what happens, so long.
    Watch(Duration),
}

impl Settings {
    /// How to spend the time up to a deadline, when a sleep is a whole number of `grains`.
    pub(crate) fn until(&self, wait: Option<Duration>, grain: Duration) -> Until {
        match wait {
            Some(wait) if !self.deadline_watch.is_zero() => {
                let sleep = wait.saturating_sub(self.deadline_watch).as_nanos() as u64;
                match sleep - sleep % grain.as_nanos() as u64 {
                    0 => Until::Watch(wait),
                    sleep => Until::Sleep(Some(Duration::from_nanos(sleep))),
                }
            }
            wait => Until::Sleep(wait),
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            connections_max: 20_000,
            unsent_bytes_max: 256 * 1024,
            busy_poll: None,
            deadline_watch: Duration::ZERO,
            receive_buffer_bytes: 4 * 1024,
            receive_buffers: 256,
            peer_addresses: false,
            seat: None,
        }
    }
}

/// Why an engine could not start or go on. The process should end with it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The kernel or the container doesn't permit this engine.
    #[error(
        "{engine}: {what}: {source}; use --engine epoll or auto, or allow io_uring (kernel.io_uring_disabled=0, a seccomp profile with io_uring_setup, io_uring_enter, io_uring_register)"
    )]
    Forbidden {
        /// Which engine.
        engine: &'static str,
        /// The step that failed.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// This process may lock less memory than the engine insists on.
    #[error(
        "{engine}: only {allowed} bytes of memory may be locked, and {needed} are needed: set LimitMEMLOCK= in the unit, raise `ulimit -l`, or use --engine auto"
    )]
    LockedMemory {
        /// Which engine.
        engine: &'static str,
        /// The limit (RLIMIT_MEMLOCK).
        allowed: u64,
        /// What would do.
        needed: u64,
    },
    /// No engine of this build works here.
    #[error("no engine works here: {0}")]
    NoEngine(String),
    /// A system call failed that an engine can't do without.
    #[error("{what}: {source}")]
    System {
        /// What was tried, and what helps.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Failure {
    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Failure {
        move |source| Failure::System { what, source }
    }
}

/// Runs `program` on `engine` in this thread until it stops, and gives it back.
pub fn run<P: Program + 'static>(
    engine: Engine,
    listeners: Vec<Listener>,
    program: P,
    mailbox: &Mailbox<P::Mail>,
    settings: &Settings,
    stats: &Arc<EngineStats>,
) -> Result<P, Failure> {
    match engine {
        #[cfg(feature = "uring")]
        Engine::Uring => super::uring::run(listeners, program, mailbox, settings, stats),
        #[cfg(feature = "epoll")]
        Engine::Epoll => super::epoll::run(listeners, program, mailbox, settings, stats),
        #[cfg(feature = "monoio")]
        Engine::Monoio => super::monoio::run(listeners, program, mailbox, settings, stats),
        #[cfg(feature = "monoio")]
        Engine::MonoioEpoll => super::monoio::run_on_epoll(listeners, program, mailbox, settings, stats),
        #[cfg(feature = "glommio")]
        Engine::Glommio => super::glommio::run(listeners, program, mailbox, settings, stats),
    }
}

/// Accepting pauses this long after descriptors ran out, unless a connection ends before: other parts of the
/// process may have freed some.
pub(crate) const DESCRIPTOR_PAUSE: Duration = Duration::from_millis(100);

/// Adaptive spinning: spin only while it pays.
pub(crate) struct Spin {
    budget: Option<Duration>,
    /// Sleeps to go without a spin.
    skip: u32,
    /// How many sleeps to skip after the next spin that finds nothing.
    penalty: u32,
}

/// A lane whose spins never pay tries one in this many sleeps.
const SPIN_PENALTY_MAX: u32 = 256;

impl Spin {
    pub(crate) fn new(budget: Option<Duration>) -> Spin {
        Spin { budget: budget.filter(|b| !b.is_zero()), skip: 0, penalty: 1 }
    }

    /// How long to spin before this sleep; `None` is not at all.
    pub(crate) fn next(&mut self) -> Option<Duration> {
        let budget = self.budget?;
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        Some(budget)
    }

    /// What came of the spin.
    pub(crate) fn ended(&mut self, found: bool) {
        if found {
            self.penalty = 1;
        } else {
            self.skip = self.penalty;
            self.penalty = (self.penalty * 2).min(SPIN_PENALTY_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_slept_towards_and_watched_when_it_is_near() {
        let us = Duration::from_micros;
        let settings = Settings { deadline_watch: us(80), ..Settings::default() };
        for (wait, grain, until) in [
            (None, us(1), Until::Sleep(None)),
            (Some(us(1000)), us(1), Until::Sleep(Some(us(920)))),
            (Some(us(80)), us(1), Until::Watch(us(80))),
            (Some(us(0)), us(1), Until::Watch(us(0))),
            (Some(us(1000)), us(1000), Until::Watch(us(1000))),
            (Some(us(2079)), us(1000), Until::Sleep(Some(us(1000)))),
        ] {
            assert_eq!(settings.until(wait, grain), until, "{wait:?} {grain:?}");
            let unset = Settings::default();
            assert_eq!(unset.until(wait, grain), Until::Sleep(wait), "{wait:?}");
        }
    }

    #[test]
    fn spinning_that_finds_nothing_becomes_rare_and_one_find_brings_it_back() {
        let mut spin = Spin::new(Some(Duration::from_micros(50)));
        let tries = |spin: &mut Spin| {
            let mut tries = 0;
            for _ in 0..10_000 {
                if spin.next().is_some() {
                    tries += 1;
                    spin.ended(false);
                }
            }
            tries
        };
        let before = tries(&mut spin);
        assert!((10..100).contains(&before), "{before}");
        while spin.next().is_none() {}
        spin.ended(true);
        assert!(spin.next().is_some());
        assert!(Spin::new(None).next().is_none());
    }
}
