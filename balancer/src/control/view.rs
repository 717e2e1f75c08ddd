//! What operators see of servers, and what they can ask for: plain data between `control` and `admin`.

use crate::fleet::Fleet;
use net::time::{Time, UnixSeconds};
use std::time::Duration;

/// Whether a server works, as far as checks and traffic tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It does.
    Up,
    /// It does again since a short while: its share grows (slow start).
    Rising,
    /// Live traffic failed there: it gets nothing for a while.
    Ejected,
    /// Its ejection is over: it gets single requests.
    Probation,
    /// Its checks fail.
    Down,
}

impl State {
    /// Its name in metrics, API and page.
    pub fn name(self) -> &'static str {
        match self {
            State::Up => "up",
            State::Rising => "rising",
            State::Ejected => "ejected",
            State::Probation => "probation",
            State::Down => "down",
        }
    }
}

/// What the operator wants of a server, whatever its state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Admin {
    /// Work.
    #[default]
    Ready,
    /// Nothing new; what is in flight is finished. Checks go on.
    Drain,
    /// Nothing new, and no checks.
    Maint,
}

impl Admin {
    /// Its name in metrics, API and page.
    pub fn name(self) -> &'static str {
        match self {
            Admin::Ready => "ready",
            Admin::Drain => "drain",
            Admin::Maint => "maint",
        }
    }
}

/// One server as operators see it.
#[derive(Clone, Debug)]
pub struct ServerView {
    /// Does it work?
    pub state: State,
    /// Is it to work?
    pub admin: Admin,
    /// Why it is in this state: `3 checks in a row failed: status 503`; empty for one that was never in doubt.
    pub why: String,
    /// Since when it is in this state.
    pub since: Time,
    /// The same, on the wall clock.
    pub since_wall: UnixSeconds,
    /// When an ejection ends.
    pub until: Option<Time>,
    /// Its weight, of the configuration or by command: 0 to 256.
    pub weight: u32,
    /// What it gets of its weight now: that times slow start and `adaptive`, by its state and fail-open; 0 takes nothing.
    pub effective_weight: f64,
    /// The last active check.
    pub check: Option<CheckView>,
    /// Times it stopped working: from up or rising to anything else.
    pub failures: u64,
}

/// How a check went.
#[derive(Clone, Debug)]
pub struct CheckView {
    /// When it ended.
    pub at: Time,
    /// How long it took.
    pub took: Duration,
    /// Was it good?
    pub is_good: bool,
    /// `status 200`, `connection refused`, `no answer in 2s`.
    pub said: String,
}

/// Everything, at a moment.
pub struct View<'a> {
    /// The pools and servers, with their counts.
    pub fleet: &'a Fleet,
    /// In the order of the fleet's pools and servers.
    pub servers: &'a [Vec<ServerView>],
    /// For each pool: too few of its servers work, so that all are used.
    pub is_failing_open: &'a [bool],
    /// Now.
    pub now: Time,
    /// The same, on the wall clock.
    pub wall: UnixSeconds,
    /// When the process began.
    pub started: Time,
    /// The process is ending.
    pub is_draining: bool,
    /// Why the last reload was refused; `None`: it wasn't.
    pub reload_error: Option<&'a str>,
}

/// What an operator may ask for. Commands about servers last until the process ends, also over reloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Sets what a server is to do.
    Set {
        /// Its pool.
        pool: String,
        /// Its name in the pool.
        server: String,
        /// What.
        admin: Admin,
    },
    /// Sets a server's weight, 0 to 256; `None`: as configured.
    Weigh {
        /// Its pool.
        pool: String,
        /// Its name in the pool.
        server: String,
        /// The weight.
        weight: Option<u32>,
    },
    /// Reads the configuration again.
    Reload,
}
