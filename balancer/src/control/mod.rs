//! Beside the lanes: checks servers, hears what lanes saw, decides who gets work, and answers operators.
//!
//! In: mail from lanes and signals, checks' answers, requests at the admin address. Out: weights and limits in the servers'
//! [`Load`](crate::pick::Load), new fleets for the lanes. One thread for all lanes, so that they agree. Never: a wait, of a lane for it or of
//! it for a lane; a server's state changes in `health` alone.
//!
//! `judge` knows the servers and applies what `health` says; `checks` and `probe` ask them; `office` obeys and answers operators, whose
//! connections are `door`'s; `outbox` tells the lanes.

mod adapting;
mod adoption;
mod checks;
mod desk;
mod door;
mod judge;
mod knowledge;
mod limits;
mod office;
mod outbox;
mod plan;
mod probe;
mod reload;
mod view;

pub use desk::{Answer, Desk, SAMPLE_EVERY};
pub use knowledge::Knowledge;
pub use view::{Admin, CheckView, Command, ServerView, State, View};

use crate::config::Config;
use crate::fleet::{Fleet, Outcome, Server};
use crate::proxy;
use checks::Verdict;
use door::Door;
use net::engine::{Accepting, Close, End, Io, Opened, Program, Token};
use net::mailbox::Mailer;
use net::stats::Cell;
use net::time::{Time, UnixSeconds};
use office::Office;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

/// What others tell the control.
#[derive(Debug)]
pub enum Mail {
    /// A lane saw this, and its server's [`Suspicion`](crate::fleet::Suspicion) said to tell it.
    Told {
        /// Which.
        server: Arc<Server>,
        /// What.
        outcome: Outcome,
        /// How long the request was there.
        took: Duration,
    },
    /// Read the configuration again (SIGHUP). Whoever waits is told what became of it.
    Reload(Option<Sender<Result<String, String>>>),
    /// The process is ending: `/readyz` says so.
    Drain,
    /// What is known of the servers is wanted, for a process that takes over.
    Know(Sender<Knowledge>),
    /// Another process has taken over: operators are to reach that one.
    StepBack,
}

/// How many servers there are, for whoever watches from outside of the control.
#[derive(Debug, Default)]
pub struct Census {
    /// That work, and may.
    pub up: Cell,
    /// In all.
    pub all: Cell,
}

/// Reads the configuration again; the error names the place.
pub type Load = Box<dyn FnMut() -> Result<Config, String> + Send>;

/// The control as a program, for an engine of its own. Every connection that it accepts is an operator's.
pub struct Control {
    office: Office,
    desk: Box<dyn Desk>,
    door: Door,
    next_sample: Option<Time>,
    census: Arc<Census>,
}

/// When something happens, on both clocks.
#[derive(Clone, Copy, Debug)]
struct Moment {
    now: Time,
    wall: UnixSeconds,
}

impl Moment {
    fn of(io: &Io) -> Moment {
        Moment { now: io.now(), wall: io.wall() }
    }
}

impl Control {
    /// For the servers of `fleet`, which the `lanes` have been given. `load` reads the configuration again, `desk` answers operators.
    /// `seed` spreads the checks: it differs between processes, or those of several balancers would come together.
    pub fn new(
        fleet: Arc<Fleet>,
        lanes: Vec<Mailer<proxy::Mail>>,
        load: Load,
        desk: Box<dyn Desk>,
        seed: u64,
    ) -> Control {
        let office = Office::new(fleet, lanes, load, seed);
        Control { office, desk, door: Door::new(), next_sample: None, census: Arc::default() }
    }

    /// It begins with what another process knows.
    pub fn remember(&mut self, knowledge: Knowledge) {
        self.office.judge.remembered = knowledge;
    }

    /// How many servers work, as of its last turn.
    pub fn census(&self) -> Arc<Census> {
        self.census.clone()
    }

    /// What is in force: the servers with their counts.
    pub fn fleet(&self) -> &Arc<Fleet> {
        self.office.judge.fleet()
    }

    /// The servers as operators see them, in the order of the fleet's pools and servers.
    pub fn servers(&self) -> Vec<Vec<ServerView>> {
        self.office.judge.view()
    }

    /// Checks under way.
    pub fn checks_running(&self) -> usize {
        self.office.checks.running()
    }

    /// Operators' connections open now.
    pub fn open(&self) -> usize {
        self.door.open()
    }

    fn on_verdict(&mut self, verdict: Option<Verdict>, io: &mut Io) {
        if let Some(verdict) = verdict {
            self.office.on_verdict(verdict, Moment::of(io));
        }
    }
}

impl Program for Control {
    type Mail = Mail;

    fn on_start(&mut self, io: &mut Io) {
        self.office.begin(Moment::of(io));
        self.next_sample = Some(io.now() + SAMPLE_EVERY);
        self.office.start_checks(io);
    }

    fn on_open(&mut self, token: Token, opened: Opened, io: &mut Io) {
        match opened {
            Opened::Accepted { .. } => self.door.on_open(token, io),
            Opened::Connected => {
                let verdict = self.office.checks.on_open(token, io);
                self.on_verdict(verdict, io);
            }
        }
    }

    fn on_bytes(&mut self, token: Token, bytes: &[u8], io: &mut Io) {
        if self.office.checks.knows(token) {
            let verdict = self.office.checks.on_bytes(token, bytes, io);
            return self.on_verdict(verdict, io);
        }
        let Control { office, desk, door, .. } = self;
        let at = Moment::of(io);
        door.on_bytes(token, bytes, io, &mut |request| {
            let seen = office.see(at);
            desk.answer(request, &seen.view(), &mut |command| office.obey(command, at))
        });
        // A command may have asked for a check.
        self.office.start_checks(io);
    }

    fn on_eof(&mut self, token: Token, io: &mut Io) {
        if self.office.checks.knows(token) {
            let verdict = self.office.checks.on_eof(token, io);
            return self.on_verdict(verdict, io);
        }
        self.door.on_eof(token, io);
    }

    fn on_end(&mut self, token: Token, end: End, io: &mut Io) {
        if self.office.checks.knows(token) {
            let verdict = self.office.checks.on_end(token, end, io.now());
            return self.on_verdict(verdict, io);
        }
        self.door.on_end(token);
    }

    fn on_mail(&mut self, mail: Mail, io: &mut Io) {
        let moment = Moment::of(io);
        match mail {
            Mail::Told { server, outcome, took } => self.office.on_told(&server, outcome, took, moment),
            // Its outcome is logged and shown; nobody waits for it here.
            Mail::Reload(done) => {
                // It is logged and shown, too.
                let outcome = self.office.reload(moment);
                // Whoever asked may have stopped waiting.
                done.into_iter().for_each(|done| drop(done.send(outcome.clone())));
            }
            Mail::Drain => self.office.drain(),
            Mail::Know(asker) => drop(asker.send(self.office.judge.knowledge())),
            Mail::StepBack => {
                self.office.drain();
                io.accepting(Accepting::Off);
            }
        }
    }

    fn on_turn(&mut self, _: &mut Io) {
        let (up, all) = self.office.judge.census();
        self.census.up.set(up);
        self.census.all.set(all);
    }

    fn next_deadline(&self) -> Option<Time> {
        let times = [self.office.next_deadline(), self.door.next_deadline(), self.next_sample];
        times.into_iter().flatten().min()
    }

    fn on_deadline(&mut self, io: &mut Io) {
        for verdict in self.office.checks.time_out(io) {
            self.on_verdict(Some(verdict), io);
        }
        self.office.on_time(Moment::of(io));
        self.office.start_checks(io);
        self.door.on_deadline(io);
        if self.next_sample.is_some_and(|due| due <= io.now()) {
            self.next_sample = Some(io.now() + SAMPLE_EVERY);
            self.desk.sample(&self.office.see(Moment::of(io)).view());
        }
    }
}

/// Ends a connection of which nothing more is wanted.
fn drop_now(token: Token, io: &mut Io) {
    io.close(token, Close::Now);
}
