//! Requests out, answers in.
//!
//! What falls due while no connection is free stays in the schedule; nothing is queued, however far the server falls
//! behind. A turn's requests share the instant at which the turn hands them over.

use super::conn::{Flight, Slot, Use};
use super::plan::Pace;
use super::{ANSWER, Client, Stage, faults};
use crate::record::{Ended, Failed, Instants, Recorder};
use crate::workload::LaneWorkload;
use net::engine::{Close, End, Io, Token};
use net::http1::client::{Response, ResponseStep};
use net::time::Time;
use std::collections::VecDeque;
use std::time::Duration;

impl Client {
    /// Hands what is due to whoever is free.
    pub(super) fn send_due(&mut self, io: &mut Io) {
        let (Stage::Running { begin } | Stage::Late { begin, .. }) = self.stage else { return };
        let now = io.now();
        if now < begin {
            return;
        }
        while let Some(&Slot { token, since }) = self.free.front() {
            let Some(conn) = self.conns.get(token).filter(|conn| conn.using == Use::Taking) else {
                self.free.pop_front();
                continue;
            };
            let due = match &self.pace {
                Pace::Closed => since.max(begin),
                Pace::Open(schedule, _) => match schedule.peek() {
                    Some(ns) => begin + Duration::from_nanos(ns),
                    None => break,
                },
            };
            if due > now || due >= self.window.end {
                break;
            }
            let is_measured = self.window.holds(due);
            if is_measured && self.quota == 0 {
                break;
            }
            self.free.pop_front();
            if let Pace::Open(schedule, _) = &mut self.pace {
                schedule.next();
            }
            if is_measured {
                self.quota -= 1;
                self.offered += 1;
            }
            let out = io.out(token);
            let before = out.len();
            let expected = self.workload.write(out);
            let bytes = out.len() - before;
            let at = Instants { due, sendable: due.max(since), handed: now };
            self.recorder.handed(&at, bytes);
            if conn.in_flight.is_empty() {
                self.limits.set(token, ANSWER, now);
            }
            conn.in_flight.push_back(Flight { at, expected });
            conn.sent += 1;
            if self.plan.requests_per_connection == Some(conn.sent) {
                conn.using = Use::Last;
            } else if conn.in_flight.len() < self.plan.pipeline {
                self.free.push_back(Slot { token, since });
            }
        }
    }

    /// When something may be sent next. Without a free connection that is when an answer comes.
    pub(super) fn next_send(&self, begin: Time) -> Time {
        match &self.pace {
            _ if self.free.is_empty() => Time::NEVER,
            Pace::Closed => begin,
            Pace::Open(schedule, _) => {
                schedule.peek().map_or(Time::NEVER, |ns| begin + Duration::from_nanos(ns))
            }
        }
    }

    /// Reads answers from the front of `bytes`.
    pub(super) fn read(&mut self, token: Token, mut bytes: &[u8], io: &mut Io) {
        let now = io.now();
        while !bytes.is_empty() {
            let Some(conn) = self.conns.get(token).filter(|conn| conn.using != Use::Closing) else { return };
            let Some(&flight) = conn.in_flight.front() else {
                return self.fail(token, now, faults::unasked(bytes), io);
            };
            let asked = self.workload.asked(&flight.expected);
            match conn.reader.next(bytes, asked, &mut self.heads) {
                Ok(ResponseStep::Response { response, used }) => {
                    let goes_on = response.head.keep_alive;
                    take_answer(
                        &mut self.workload,
                        &mut self.recorder,
                        &flight,
                        &response,
                        used,
                        (now, self.plan.timeout),
                    );
                    bytes = &bytes[used..];
                    self.answered(token, now, goes_on, io);
                }
                Ok(ResponseStep::Interim { used, .. }) => bytes = &bytes[used..],
                Ok(ResponseStep::More) => return,
                Err(error) => return self.fail(token, now, faults::unreadable(error, bytes), io),
            }
        }
    }

    /// The server sends no more: that may be how the last answer ends.
    pub(super) fn read_end(&mut self, token: Token, io: &mut Io) {
        let now = io.now();
        let Some(conn) = self.conns.get(token).filter(|conn| conn.using != Use::Closing) else { return };
        let last = conn.in_flight.front().copied();
        match (conn.reader.end(&self.heads), last) {
            (Ok(Some(response)), Some(flight)) => {
                let bytes = response.body.len();
                take_answer(
                    &mut self.workload,
                    &mut self.recorder,
                    &flight,
                    &response,
                    bytes,
                    (now, self.plan.timeout),
                );
                self.answered(token, now, false, io);
            }
            (Ok(_), None) => {
                conn.using = Use::Closing;
                io.close(token, Close::Now);
            }
            (Ok(_), Some(_)) => self.fail(token, now, faults::ended(End::Closed), io),
            (Err(error), _) => self.fail(token, now, faults::unreadable(error, b""), io),
        }
    }

    /// The oldest request in flight has its answer.
    fn answered(&mut self, token: Token, now: Time, keep_alive: bool, io: &mut Io) {
        let Some(conn) = self.conns.get(token) else { return };
        let was_full = conn.in_flight.len() >= self.plan.pipeline;
        conn.in_flight.pop_front();
        conn.answered += 1;
        self.opener.worked();
        if !keep_alive {
            let left = std::mem::take(&mut conn.in_flight);
            conn.using = Use::Closing;
            io.close(token, Close::Now);
            return self.give_up(left, now, &faults::ended(End::Closed));
        }
        match conn.using {
            Use::Taking if was_full => self.free.push_back(Slot { token, since: now }),
            Use::Taking => {}
            Use::Last if conn.in_flight.is_empty() => {
                conn.using = Use::Closing;
                io.close(token, Close::Now);
            }
            Use::Last | Use::Closing => {}
        }
    }

    /// The connection is of no more use, and what is in flight on it gets no answer.
    pub(super) fn fail(&mut self, token: Token, now: Time, why: Failed, io: &mut Io) {
        let Some(conn) = self.conns.get(token) else { return };
        conn.using = Use::Closing;
        let left = std::mem::take(&mut conn.in_flight);
        io.close(token, Close::Now);
        if left.is_empty() {
            self.recorder.trouble(why, now);
        } else {
            self.give_up(left, now, &why);
        }
    }

    pub(super) fn give_up(&mut self, left: VecDeque<Flight>, now: Time, why: &Failed) {
        for flight in left {
            self.workload.give_up(&flight.expected);
            self.recorder.ended(&flight.at, now, self.plan.timeout, Ended::Failed(why.clone()));
        }
    }
}

/// Checks and records a whole answer.
fn take_answer(
    workload: &mut LaneWorkload,
    recorder: &mut Recorder,
    flight: &Flight,
    response: &Response<'_>,
    bytes: usize,
    (now, timeout): (Time, Duration),
) {
    let ended = match workload.check(&flight.expected, &response.head, response.body) {
        Ok(()) => Ended::Completed,
        Err(wrong) => {
            let kind = wrong.label();
            let example = match recorder.totals.knows(&kind) {
                true => String::new(),
                false => workload.describe(&wrong, &flight.expected, &response.head, response.body),
            };
            Ended::Wrong(Failed::new(kind, example))
        }
    };
    recorder.answered(&flight.at, response.head.status.code(), bytes);
    recorder.ended(&flight.at, now, timeout, ended);
}
