//! What a lane is given, and what it gives: plain data between the main thread and a lane.

use crate::model::Ledger;
use crate::record::{Failed, Slice, Totals, Window};
use crate::schedule::{GapMeter, Profile, Schedule};
use net::address::Address;
use net::time::Time;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

/// What one lane does.
#[derive(Clone, Debug)]
pub struct LanePlan {
    /// Where to connect.
    pub address: Address,
    /// Connections of this lane.
    pub connections: usize,
    /// Made per second by this lane; `None` for all at once.
    pub connections_per_second: Option<f64>,
    /// Requests in flight on a connection at once.
    pub pipeline: usize,
    /// A connection is closed after so many.
    pub requests_per_connection: Option<u64>,
    /// For a connection, and for an answer.
    pub timeout: Duration,
    /// In front of the window.
    pub warmup: Duration,
    /// Length of the window; `None` if `requests` ends it.
    pub duration: Option<Duration>,
    /// Requests of this lane in the window.
    pub requests: Option<u64>,
    /// Length of a slice.
    pub interval: Duration,
}

/// How requests come to be due.
pub enum Pace {
    /// When a connection is free.
    Closed,
    /// By a schedule, whose time 0 is the begin of the warm-up.
    Open(Schedule, Profile),
}

/// From the main thread.
#[derive(Clone, Copy, Debug)]
pub enum Mail {
    /// Begin then.
    Begin(Time),
    /// End now; what is in flight is forgotten.
    Stop,
}

/// To the main thread.
#[derive(Debug)]
pub enum Report {
    /// Connections were made, or tried: ready to begin.
    Ready {
        /// The lane's clock.
        now: Time,
        /// Connections that are open.
        open: usize,
        /// Why one is not.
        trouble: Option<Failed>,
    },
    /// The lane has ended: no slice comes behind this.
    Over,
    /// An interval is over.
    Slice {
        /// Counted from the window's begin.
        index: u64,
        /// What happened.
        slice: Box<Slice>,
    },
}

/// The way to the main thread and back.
pub struct Outbox {
    /// Which lane.
    pub lane: usize,
    /// Reports; when it is full, a slice becomes longer.
    pub reports: SyncSender<(usize, Report)>,
    /// Slices that may be used again.
    pub spares: Receiver<Box<Slice>>,
}

/// What a lane has at its end.
pub struct LaneResult {
    /// Its records.
    pub totals: Totals,
    /// The gaps between its requests.
    pub gaps: Option<GapMeter>,
    /// What its ledger found.
    pub ledger: Option<Ledger>,
    /// When the window ended.
    pub window: Window,
}
