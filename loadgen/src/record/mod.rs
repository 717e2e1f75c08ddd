//! What a lane writes down.
//!
//! In: each request's four instants and its outcome, the moment it is known. Out: whole-run histograms that the lane
//! keeps, and a small slice of each interval that is handed to the main thread. Never: keeps a sample, allocates for
//! one, or grows with the length of the run.

mod slice;
mod totals;

pub use slice::Slice;
pub use totals::{Failed, Times, Totals};

use crate::schedule::{GapMeter, Profile};
use net::time::Time;
use std::time::Duration;

/// The life of one request that was handed to the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Instants {
    /// The schedule's time for it; in a closed loop, when a connection became free for it.
    pub due: Time,
    /// When it was due and a connection was free.
    pub sendable: Time,
    /// The turn in which it was handed to the kernel.
    pub handed: Time,
}

/// The measured part of a run.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Its first instant.
    pub begin: Time,
    /// The first instant behind it; `Time::NEVER` where a number of requests ends it.
    pub end: Time,
}

impl Window {
    /// Whether something that is due then is measured.
    pub fn holds(&self, time: Time) -> bool {
        self.begin <= time && time < self.end
    }

    /// How much of the time between two instants lies in it.
    fn part_of(&self, from: Time, to: Time) -> Duration {
        to.min(self.end).since(from.max(self.begin))
    }
}

/// How a request came out.
#[derive(Clone, Debug)]
pub enum Ended {
    /// As expected.
    Completed,
    /// A whole answer, but not the expected one.
    Wrong(Failed),
    /// No answer.
    Failed(Failed),
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder::new()
    }
}

/// One lane's records.
pub struct Recorder {
    window: Window,
    /// Of the whole window.
    pub totals: Totals,
    /// The slice under way.
    pub slice: Box<Slice>,
    /// In flight now, and since when it is so many.
    in_flight: u64,
    since: Time,
    gaps: Option<GapMeter>,
    schedule_begin: Time,
}

impl Recorder {
    /// Measures nothing until [`Recorder::begin`], but counts connections.
    pub fn new() -> Recorder {
        Recorder {
            window: Window { begin: Time::NEVER, end: Time::NEVER },
            totals: Totals::default(),
            slice: Box::default(),
            in_flight: 0,
            since: Time::NEVER,
            gaps: None,
            schedule_begin: Time::NEVER,
        }
    }

    /// From now on the window is known; `profile` is the offered rate of all lanes, of an open loop that begins at
    /// `schedule_begin`.
    pub fn begin(&mut self, window: Window, profile: Option<&Profile>, schedule_begin: Time) {
        self.window = window;
        self.since = window.begin;
        self.gaps = profile.map(GapMeter::new);
        self.schedule_begin = schedule_begin;
    }

    /// A request was handed to the kernel.
    pub fn handed(&mut self, at: &Instants, bytes: usize) {
        self.change_in_flight(at.handed, 1);
        if self.window.holds(at.handed) {
            self.slice.sent += 1;
        }
        if !self.window.holds(at.due) {
            return;
        }
        self.totals.counts.offered += 1;
        let lag = at.handed.since(at.sendable);
        let wait = at.sendable.since(at.due);
        self.totals.handed(lag, wait, bytes);
        self.slice.own_lag(lag);
        if let Some(gaps) = &mut self.gaps {
            // When it would have gone if a connection had always been free.
            gaps.sent((at.due + lag).since(self.schedule_begin).as_nanos() as u64);
        }
    }

    /// A request that was handed over has come to its end.
    ///
    /// Without a right answer it counts in the response times with at least `timeout`: else a server that fails fast
    /// would have a better percentile than one that answers.
    pub fn ended(&mut self, at: &Instants, now: Time, timeout: Duration, how: Ended) {
        self.change_in_flight(now, -1);
        self.totals.in_window_ns += self.window.part_of(at.handed, now).as_nanos();
        let came_inside = self.window.holds(now);
        if came_inside && matches!(how, Ended::Completed) {
            self.totals.counts.completed_in_window += 1;
            self.slice.completed += 1;
        }
        if !self.window.holds(at.due) {
            self.totals.counts.wrong_outside += u64::from(matches!(how, Ended::Wrong(_)));
            return;
        }
        let response = match how {
            Ended::Completed => now.since(at.due),
            Ended::Wrong(_) | Ended::Failed(_) => now.since(at.due).max(timeout),
        };
        self.totals.ended(response, now.since(at.handed), &how);
        self.slice.ended(response, !matches!(how, Ended::Completed));
    }

    /// A whole answer came, of so many bytes.
    pub fn answered(&mut self, at: &Instants, status: u16, bytes: usize) {
        if self.window.holds(at.due) {
            self.totals.counts.received_bytes += bytes as u64;
            self.totals.status(status);
        }
    }

    /// The user has ended the run while a request was in flight: it was never offered.
    pub fn forgotten(&mut self, at: &Instants, now: Time) {
        self.change_in_flight(now, -1);
        self.totals.in_window_ns += self.window.part_of(at.handed, now).as_nanos();
        if self.window.holds(at.due) {
            self.totals.counts.offered -= 1;
            self.totals.counts.sent -= 1;
        }
    }

    /// A request was due and never handed to the kernel: its time so far, or `timeout`, is the least that a user has
    /// waited.
    pub fn never_sent(&mut self, due: Time, now: Time, timeout: Duration, why: Failed) {
        if self.window.holds(due) {
            self.totals.counts.offered += 1;
            self.totals.counts.failed += 1;
            self.totals.response.record(now.since(due).max(timeout));
            self.totals.note(why);
            self.slice.errors += 1;
        }
    }

    /// Something went wrong that belongs to no request: a connection could not be made.
    pub fn trouble(&mut self, why: Failed, now: Time) {
        if self.window.holds(now) {
            self.totals.note(why);
            self.slice.errors += 1;
        }
    }

    /// A connection is open, so long after it was asked for.
    pub fn connected(&mut self, after: Duration) {
        self.totals.counts.connections_opened += 1;
        self.totals.connect.record(after);
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// The whole window is known: until `now`, for one that a number of requests ended.
    pub fn finish(mut self, now: Time) -> (Totals, Option<GapMeter>) {
        self.change_in_flight(now, 0);
        (self.totals, self.gaps)
    }

    /// Adds up requests times time, inside the window.
    fn change_in_flight(&mut self, now: Time, by: i64) {
        let until = now.min(self.window.end);
        if until > self.since {
            let time = until.since(self.since).as_nanos();
            self.totals.in_flight_ns += time * u128::from(self.in_flight);
            self.since = until;
        }
        self.in_flight = self.in_flight.saturating_add_signed(by);
    }
}
