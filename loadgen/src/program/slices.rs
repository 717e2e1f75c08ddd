//! Slices of the window, handed to the main thread as they end.

use super::Client;
use super::plan::{Pace, Report};
use crate::record::Slice;
use net::time::Time;
use std::sync::mpsc::TrySendError;

impl Client {
    /// When the slice under way ends.
    pub(super) fn slice_end(&self) -> Time {
        match self.window.begin {
            Time::NEVER => Time::NEVER,
            begin => Time(begin.0.saturating_add((self.slice + 1) * self.interval_ns())),
        }
    }

    /// Hands over the slice under way if its time is over. The window's last one stays until the last answer.
    pub(super) fn cut_slice(&mut self, now: Time) {
        if now >= self.slice_end() && now < self.window.end {
            let past = now.since(self.window.begin).as_nanos() as u64 / self.interval_ns();
            self.hand_over_slice(past - 1, now);
            self.slice = past;
        }
    }

    /// The last slice waits for room: behind it there is nothing to be late for. Nobody listens if the run has failed.
    pub(super) fn hand_over_last_slice(&mut self, now: Time) {
        let lane = self.outbox.lane;
        if now >= self.window.begin {
            let (slice, _) = self.take_slice(now);
            let _ = self.outbox.reports.send((lane, Report::Slice { index: self.slice, slice }));
        }
        let _ = self.outbox.reports.send((lane, Report::Over));
    }

    fn hand_over_slice(&mut self, index: u64, now: Time) {
        let (slice, offered) = self.take_slice(now);
        match self.outbox.reports.try_send((self.outbox.lane, Report::Slice { index, slice })) {
            // The main thread is late: this slice goes on.
            Err(TrySendError::Full((_, Report::Slice { slice, .. }))) => self.recorder.slice = slice,
            _ => self.offered_before = offered,
        }
    }

    /// The slice under way, and how many requests fell due up to its end.
    fn take_slice(&mut self, now: Time) -> (Box<Slice>, u64) {
        let offered = self.offered + self.behind(now);
        self.recorder.slice.offered = offered.saturating_sub(self.offered_before);
        let empty = self.outbox.spares.try_recv().unwrap_or_default();
        (std::mem::replace(&mut self.recorder.slice, empty), offered)
    }

    /// About how many are due and not sent: their number is known when they are taken from the schedule.
    fn behind(&self, now: Time) -> u64 {
        match (&self.pace, self.begun()) {
            (Pace::Open(schedule, _), Some(begin)) => {
                let by = |time: Time| schedule.behind(time.since(begin).as_nanos() as u64);
                // What fell due in the warm-up is sent first, and is in no slice.
                by(now.min(self.window.end)).saturating_sub(by(self.window.begin)).min(self.quota)
            }
            _ => 0,
        }
    }

    fn interval_ns(&self) -> u64 {
        self.plan.interval.as_nanos() as u64
    }
}
