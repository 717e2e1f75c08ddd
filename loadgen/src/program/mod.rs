//! A lane of the generator: sends what is due to whoever is free, and writes down what became of it.
//!
//! In: a schedule, a workload, answers. Out: bytes, and records of four instants per request: due, connection free,
//! handed to the kernel, answer complete. Never: waits for an answer before the schedule goes on, hides a request
//! that could not be sent, keeps more than what is in flight.

mod conn;
mod faults;
mod opener;
mod plan;
mod slices;
mod traffic;

pub use plan::{LanePlan, LaneResult, Mail, Outbox, Pace, Report};

use self::conn::{Conn, Conns, Slot};
use self::opener::Opener;
use crate::record::{Failed, Recorder, Window};
use crate::workload::LaneWorkload;
use net::deadlines::Deadlines;
use net::engine::{Close, End, Io, Opened, Program, Token};
use net::http1::{Limits, ResponseHeads};
use net::time::Time;
use std::collections::VecDeque;
use std::time::Duration;

/// An answer's body is held whole to be checked; a larger one is an error.
const BODY_BYTES_MAX: u64 = 256 << 20;

/// How long a lane that has to send a number of requests tries to connect, besides two time limits.
const ALONE: Duration = Duration::from_secs(5);

/// The one kind of time limit: for a connection to be there, and for an answer.
const ANSWER: u16 = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Connections are made; nothing is sent.
    Opening,
    /// Ready, and told so.
    Ready,
    /// Requests are sent from `begin` on.
    Running { begin: Time },
    /// The window is over. What fell due in it and found no free connection still gets one, for as long as an
    /// answer may take: its time counts from when it was due.
    Late { begin: Time, until: Time },
    /// Nothing is sent any more; answers are awaited.
    Draining { until: Time },
    /// All is known.
    Over,
}

/// One lane.
pub struct Client {
    plan: LanePlan,
    stage: Stage,
    pace: Pace,
    /// Requests that are still to be sent in the window.
    quota: u64,
    workload: LaneWorkload,
    heads: ResponseHeads,
    conns: Conns,
    opener: Opener,
    open: usize,
    failed_connects: usize,
    /// Why the last connection that could not be made could not be made.
    trouble: Option<Failed>,
    /// Where requests can go, the longest free first.
    free: VecDeque<Slot>,
    /// When connections were asked for, by token index.
    asked_at: Vec<Time>,
    limits: Deadlines,
    window: Window,
    recorder: Recorder,
    /// Requests of the window taken from the schedule.
    offered: u64,
    /// Of these and of those it was behind, counted in slices that are handed over.
    offered_before: u64,
    /// The slice under way, counted from the window's begin.
    slice: u64,
    /// When it ended: behind the last answer, or where it was stopped.
    ended_at: Time,
    /// When a connection was last there; at first, when it began.
    worked_at: Time,
    outbox: Outbox,
}

impl Client {
    /// A lane that will begin when it is told.
    pub fn new(plan: LanePlan, pace: Pace, workload: LaneWorkload, outbox: Outbox) -> Client {
        let window = Window { begin: Time::NEVER, end: Time::NEVER };
        Client {
            stage: Stage::Opening,
            pace,
            quota: plan.requests.unwrap_or(u64::MAX),
            workload,
            heads: ResponseHeads::new(Limits { body_bytes_max: BODY_BYTES_MAX, ..Limits::default() }),
            conns: Conns::default(),
            opener: Opener::new(plan.connections, plan.connections_per_second),
            open: 0,
            failed_connects: 0,
            trouble: None,
            free: VecDeque::new(),
            asked_at: Vec::new(),
            limits: Deadlines::new(&[plan.timeout]),
            window,
            recorder: Recorder::new(),
            offered: 0,
            offered_before: 0,
            slice: 0,
            ended_at: Time(0),
            worked_at: Time(0),
            outbox,
            plan,
        }
    }

    /// What it has recorded.
    pub fn finish(self) -> LaneResult {
        let end = self.window_end();
        let ledger = self.workload.ledger();
        let (totals, gaps) = self.recorder.finish(end);
        LaneResult { totals, gaps, ledger, window: Window { end, ..self.window } }
    }

    /// Where the window really ended.
    fn window_end(&self) -> Time {
        match self.window.end {
            Time::NEVER => self.ended_at,
            end => end.min(self.ended_at),
        }
    }

    /// Counts what was due in the window and never sent.
    fn never_sent(&mut self) {
        let end = self.window_end();
        let (Pace::Open(schedule, _), Some(begin)) = (&mut self.pace, begun(&self.window, &self.plan)) else {
            return;
        };
        let why = match &self.trouble {
            Some(trouble) if self.open == 0 => Failed::new("not sent: no connection", trouble.kind.clone()),
            _ => Failed::new(
                "not sent: every connection was busy",
                "a request waited until the end of the run",
            ),
        };
        while let Some(due) = schedule.next().map(|ns| begin + Duration::from_nanos(ns)) {
            if due >= end || self.quota == 0 {
                break;
            }
            if self.window.holds(due) {
                self.quota -= 1;
                self.offered += 1;
                self.recorder.never_sent(due, self.ended_at.max(due), self.plan.timeout, why.clone());
            }
        }
    }

    fn begin(&mut self, begin: Time) {
        if !matches!(self.stage, Stage::Opening | Stage::Ready) {
            return;
        }
        let window_begin = begin + self.plan.warmup;
        let end = self.plan.duration.map_or(Time::NEVER, |duration| window_begin + duration);
        self.window = Window { begin: window_begin, end };
        let profile = match &self.pace {
            Pace::Closed => None,
            Pace::Open(_, profile) => Some(profile),
        };
        self.recorder.begin(self.window, profile, begin);
        self.worked_at = begin;
        self.stage = Stage::Running { begin };
    }

    /// Whether something is due in the window and not sent.
    fn is_behind(&self, begin: Time) -> bool {
        let due = match &self.pace {
            Pace::Closed => None,
            Pace::Open(schedule, _) => schedule.peek().map(|ns| begin + Duration::from_nanos(ns)),
        };
        self.quota > 0 && due.is_some_and(|due| due < self.window.end)
    }

    /// Sends nothing more, and waits for what is in flight.
    fn drain(&mut self, now: Time) {
        if matches!(self.stage, Stage::Running { .. } | Stage::Late { .. }) {
            self.opener.stop();
            // Each limit fires up to a 32nd of its length late.
            self.stage = Stage::Draining { until: now + self.plan.timeout + self.plan.timeout / 16 };
        }
    }

    /// What is in flight gets no answer any more.
    fn give_up_all(&mut self, now: Time) {
        let left = self.conns.take_in_flight();
        self.give_up(left, now, &faults::timeout(self.plan.timeout));
    }

    /// Ends the lane.
    fn end(&mut self, now: Time, io: &mut Io) {
        if self.stage != Stage::Over {
            self.ended_at = now;
            self.never_sent();
            self.hand_over_last_slice(now);
            self.stage = Stage::Over;
            io.stop();
        }
    }

    /// A connection could not be made.
    fn connect_failed(&mut self, asked: Time, why: Failed, now: Time) {
        self.failed_connects += 1;
        self.trouble = Some(why.clone());
        if matches!((&self.pace, self.stage), (Pace::Closed, Stage::Running { .. })) {
            // A user would have tried, and seen this. In an open loop the schedule's requests say it.
            if self.window.holds(asked) && self.quota > 0 {
                self.quota -= 1;
                self.offered += 1;
                self.recorder.never_sent(asked, now, self.plan.timeout, why);
            }
        } else {
            self.recorder.trouble(why, now);
        }
    }

    fn open_more(&mut self, io: &mut Io) {
        for _ in 0..self.opener.take(io.now()) {
            let token = io.connect(self.plan.address.clone());
            if token.index() >= self.asked_at.len() {
                self.asked_at.resize(token.index() + 1, Time(0));
            }
            self.asked_at[token.index()] = io.now();
            self.limits.set(token, ANSWER, io.now());
        }
    }

    /// A number of requests that nobody is there to answer would take for ever.
    fn give_up_if_alone(&mut self, now: Time) {
        let is_running = matches!(self.stage, Stage::Running { .. });
        let is_alone = self.open == 0 && self.plan.duration.is_none() && self.quota > 0;
        if is_running && is_alone && now.since(self.worked_at) > 2 * self.plan.timeout + ALONE {
            let example = "no connection for a long time: the rest of the requests was not sent";
            self.recorder.trouble(Failed::new("gave up", example), now);
            self.quota = 0;
        }
    }

    /// Tells the main thread when every connection has been tried; with a rate of connections, when one has.
    fn tell_ready(&mut self, now: Time) {
        let tried = self.open + self.failed_connects;
        let wanted = if self.plan.connections_per_second.is_some() { 1 } else { self.plan.connections };
        if self.stage == Stage::Opening && tried >= wanted {
            self.stage = Stage::Ready;
            let report = Report::Ready { now, open: self.open, trouble: self.trouble.clone() };
            // The first of all reports finds room; if nobody listens, the process is ending.
            let _ = self.outbox.reports.try_send((self.outbox.lane, report));
        }
    }

    /// A connection waits for too long: to be there, or for an answer.
    fn on_limit(&mut self, token: Token, now: Time, io: &mut Io) {
        let Some(conn) = self.conns.get(token) else {
            return io.close(token, Close::Now);
        };
        match conn.in_flight.front() {
            // It has answered since, and waits for nothing.
            None => {}
            // Of several in flight, each is looked at when its turn comes.
            Some(oldest) if now.since(oldest.at.handed) < self.plan.timeout => {
                self.limits.set(token, ANSWER, oldest.at.handed);
            }
            Some(_) => self.fail(token, now, faults::timeout(self.plan.timeout), io),
        }
    }

    fn asked_at(&self, token: Token, now: Time) -> Time {
        self.asked_at.get(token.index()).copied().unwrap_or(now)
    }

    fn begun(&self) -> Option<Time> {
        begun(&self.window, &self.plan)
    }
}

/// When the schedule began.
fn begun(window: &Window, plan: &LanePlan) -> Option<Time> {
    (window.begin != Time::NEVER).then(|| Time(window.begin.0 - plan.warmup.as_nanos() as u64))
}

impl Program for Client {
    type Mail = Mail;

    fn on_start(&mut self, io: &mut Io) {
        self.open_more(io);
    }

    fn on_open(&mut self, token: Token, _opened: Opened, io: &mut Io) {
        self.open += 1;
        self.recorder.connected(io.now().since(self.asked_at(token, io.now())));
        self.limits.clear(token);
        self.conns.insert(Conn::new(token));
        if self.free.len() > 2 * self.plan.connections {
            // Of connections that are gone: they are left behind where nothing is due.
            self.free.retain(|slot| self.conns.get(slot.token).is_some());
        }
        self.free.push_back(Slot { token, since: io.now() });
        self.tell_ready(io.now());
    }

    fn on_bytes(&mut self, token: Token, bytes: &[u8], io: &mut Io) {
        self.read(token, bytes, io);
    }

    fn on_eof(&mut self, token: Token, io: &mut Io) {
        self.read_end(token, io);
    }

    fn on_end(&mut self, token: Token, end: End, io: &mut Io) {
        let now = io.now();
        if self.stage == Stage::Over {
            // What is open then is closed by us: nobody is to blame.
            return;
        }
        self.limits.clear(token);
        match self.conns.remove(token) {
            Some(conn) => {
                self.open -= 1;
                self.worked_at = now;
                if self.stage == Stage::Opening {
                    self.failed_connects += 1;
                    self.trouble = Some(faults::ended(end));
                }
                self.opener.lost(conn.answered == 0, now);
                self.give_up(conn.in_flight, now, &faults::ended(end));
                self.tell_ready(now);
            }
            None => {
                self.opener.lost(true, now);
                let why = if end == End::Aborted { faults::connect_timeout() } else { faults::ended(end) };
                self.connect_failed(self.asked_at(token, now), why, now);
                self.give_up_if_alone(now);
                self.tell_ready(now);
            }
        }
    }

    fn on_mail(&mut self, mail: Mail, io: &mut Io) {
        match mail {
            // The main thread may have been late.
            Mail::Begin(at) => self.begin(at.max(io.now())),
            Mail::Stop => {
                for flight in self.conns.take_in_flight() {
                    self.recorder.forgotten(&flight.at, io.now());
                }
                self.end(io.now(), io);
            }
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        let stage = match self.stage {
            Stage::Opening | Stage::Ready | Stage::Over => None,
            Stage::Running { begin } => {
                Some(self.next_send(begin).min(self.window.end).min(self.slice_end()))
            }
            Stage::Late { begin, until } => Some(self.next_send(begin).min(until)),
            // An engine may tell of an end when the turn is over: then the next one is wanted at once.
            Stage::Draining { .. } if self.recorder.in_flight() == 0 => Some(Time(0)),
            Stage::Draining { until } => Some(until),
        };
        [stage, self.limits.next(), self.opener.next()].into_iter().flatten().min()
    }

    fn on_deadline(&mut self, io: &mut Io) {
        let now = io.now();
        while let Some((token, _)) = self.limits.pop_due(now) {
            self.on_limit(token, now, io);
        }
    }

    fn on_turn(&mut self, io: &mut Io) {
        self.open_more(io);
        self.send_due(io);
        let now = io.now();
        self.cut_slice(now);
        match self.stage {
            Stage::Running { begin } if now >= self.window.end && self.is_behind(begin) => {
                self.stage = Stage::Late { begin, until: self.window.end + self.plan.timeout };
            }
            Stage::Running { .. } if now >= self.window.end || self.quota == 0 => self.drain(now),
            Stage::Late { begin, until } if now >= until || !self.is_behind(begin) => self.drain(now),
            _ => {}
        }
        match self.stage {
            Stage::Draining { .. } if self.recorder.in_flight() == 0 => self.end(now, io),
            Stage::Draining { until } if now >= until => {
                self.give_up_all(now);
                self.end(now, io);
            }
            _ => {}
        }
    }
}
