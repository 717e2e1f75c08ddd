//! The lanes of one measurement: started, told to begin, and what they gave at their end.

use crate::job::{Failure, Job};
use crate::model::Piece;
use crate::program::{Client, LanePlan, LaneResult, Mail, Outbox, Pace, Report};
use crate::record::Slice;
use crate::schedule::{Profile, Schedule};
use net::engine::{self, Settings};
use net::mailbox::{Mailbox, Mailer, mailbox};
use net::percore::{self, Ended};
use net::stats::EngineStats;
use net::time::Time;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Slices under way to the main thread: it is never so late, and if it is, slices become longer.
const REPORTS_MAX: usize = 64;
/// Begin and stop.
const MAILS_MAX: usize = 8;
/// What is in flight bounds a connection's output; holding back its answers for it would only lock both sides up.
const UNSENT_BYTES_MAX: usize = usize::MAX / 4;
/// An answer that fits is checked where it was received; a larger one is gathered first.
const RECEIVE_BUFFER_BYTES: usize = 16 * 1024;
/// How often the user's wish to stop is looked at while connections are made.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The running lanes.
pub(super) struct Lanes {
    mailers: Vec<Mailer<Mail>>,
    pub(super) reports: Receiver<(usize, Report)>,
    spares: Vec<Sender<Box<Slice>>>,
    ended: Receiver<(usize, Ended<Result<LaneResult, engine::Failure>>)>,
    results: Vec<Option<LaneResult>>,
    threads: Vec<Arc<Thread>>,
}

/// What the main thread knows of a lane's thread.
#[derive(Default)]
struct Thread {
    life: Mutex<Life>,
    stats: Arc<EngineStats>,
}

#[derive(Clone, Copy, Default)]
enum Life {
    #[default]
    Starting,
    /// With this id.
    Running(i32),
    /// Having used so much.
    Ended(Cpu),
}

/// A lane's use of its core, up to a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cpu {
    at: Instant,
    pub(super) all_ns: u64,
    /// Of these, spent spinning.
    pub(super) spin_ns: u64,
    /// Ready to run, and not running.
    pub(super) held_up_ns: u64,
}

impl Cpu {
    /// Used between two moments.
    pub(super) fn since(&self, before: &Cpu) -> Used {
        let time_ns = (self.at - before.at).as_nanos().max(1) as f64;
        let cpu_ns = self.all_ns.saturating_sub(before.all_ns);
        let spin_ns = self.spin_ns.saturating_sub(before.spin_ns);
        Used {
            cpu_ns,
            busy: cpu_ns.saturating_sub(spin_ns) as f64 / time_ns,
            held_up: self.held_up_ns.saturating_sub(before.held_up_ns) as f64 / time_ns,
        }
    }
}

/// A lane's use of its core, between two moments.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    pub(super) cpu_ns: u64,
    /// Share of the time, without spins.
    pub(super) busy: f64,
    /// Share of the time.
    pub(super) held_up: f64,
}

impl Thread {
    fn is(&self, life: Life) {
        *self.life.lock().unwrap_or_else(PoisonError::into_inner) = life;
    }

    fn cpu(&self) -> Cpu {
        let life = *self.life.lock().unwrap_or_else(PoisonError::into_inner);
        let (all_ns, held_up_ns) = match life {
            Life::Ended(cpu) => return cpu,
            Life::Running(id) => schedstat(id).unwrap_or_default(),
            Life::Starting => (0, 0),
        };
        Cpu { at: Instant::now(), all_ns, spin_ns: self.stats.spin_nanoseconds.get(), held_up_ns }
    }
}

/// What a lane's thread takes along.
struct Parts {
    mailbox: Mailbox<Mail>,
    spares: Receiver<Box<Slice>>,
}

#[derive(Clone)]
struct Start {
    job: Job,
    interval: Duration,
    profile: Option<Profile>,
    nonce: u64,
    reports: SyncSender<(usize, Report)>,
    threads: Vec<Arc<Thread>>,
}

impl Lanes {
    /// Starts a lane on each core. They connect, and wait for the begin.
    pub(super) fn start(job: &Job, interval: Duration) -> Result<Lanes, Failure> {
        net::listen::raise_descriptor_limit();
        let (reports_in, reports) = mpsc::sync_channel(REPORTS_MAX.max(4 * job.cores.len()));
        let (mut mailers, mut spares, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        for _ in &job.cores {
            let made = mailbox(MAILS_MAX);
            let (mailer, mailbox) =
                made.map_err(|e| Failure::CannotRun(format!("make a lane's mailbox: {e}")))?;
            let (spare_in, spare_out) = mpsc::channel();
            // The receiver is in scope.
            let _ = spare_in.send(Box::default());
            mailers.push(mailer);
            spares.push(spare_in);
            parts.push(Parts { mailbox, spares: spare_out });
        }
        let threads: Vec<_> = job.cores.iter().map(|_| Arc::default()).collect();
        let start = Start {
            job: job.clone(),
            interval,
            profile: job.pieces.as_ref().map(|pieces| profile(pieces, job.warmup)),
            nonce: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64),
            reports: reports_in,
            threads: threads.clone(),
        };
        let (tell, ended) = mpsc::channel();
        // Nobody listens only when the process is ending anyway.
        let on_end = move |lane, ended| drop(tell.send((lane, ended)));
        percore::run(&job.cores, parts, move |lane, parts| start.run(lane, parts), on_end)
            .map_err(|e| Failure::CannotRun(format!("start a lane's thread: {e}")))?;
        let results = job.cores.iter().map(|_| None).collect();
        Ok(Lanes { mailers, reports, spares, ended, results, threads })
    }

    pub(super) fn count(&self) -> usize {
        self.mailers.len()
    }

    /// Waits until every lane has tried its connections, and gives the latest of their clocks.
    pub(super) fn wait_until_ready(&mut self, timeout: Duration, stop: &AtomicBool) -> Result<Time, Failure> {
        // Each lane gives up a connect by itself after its limit, which fires a little late.
        let end = Instant::now() + 2 * timeout + Duration::from_secs(5);
        let (mut latest, mut open, mut trouble, mut ready) = (Time(0), 0, None, 0);
        while ready < self.count() {
            self.look_at_ends()?;
            if stop.load(Relaxed) || Instant::now() > end {
                self.tell(Mail::Stop);
                let why = if stop.load(Relaxed) { "stopped" } else { "connections don't get ready" };
                return Err(Failure::CannotRun(format!("{why} before the first request")));
            }
            match self.reports.recv_timeout(LOOK_EVERY) {
                Ok((_, Report::Ready { now, open: here, trouble: why })) => {
                    latest = latest.max(now);
                    open += here;
                    trouble = trouble.or(why);
                    ready += 1;
                }
                Ok((_, Report::Slice { .. } | Report::Over)) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        match trouble {
            Some(trouble) if open == 0 => {
                self.tell(Mail::Stop);
                Err(Failure::CannotRun(format!("no connection: {} ({})", trouble.kind, trouble.example)))
            }
            _ => Ok(latest),
        }
    }

    /// Tells every lane.
    pub(super) fn tell(&self, mail: Mail) {
        for mailer in &self.mailers {
            // A lane that is gone needs no mail; its box has room for the few there are.
            let _ = mailer.send(mail);
        }
    }

    /// Takes what lanes gave that have ended; an error if one ended badly.
    pub(super) fn look_at_ends(&mut self) -> Result<(), Failure> {
        while let Ok((lane, ended)) = self.ended.try_recv() {
            self.results[lane] = Some(result(lane, ended)?);
        }
        Ok(())
    }

    /// What every lane gave; waits for those that are about to end.
    pub(super) fn results(&mut self) -> Result<Vec<LaneResult>, Failure> {
        while self.results.iter().any(Option::is_none) {
            match self.ended.recv() {
                Ok((lane, ended)) => self.results[lane] = Some(result(lane, ended)?),
                Err(_) => return Err(Failure::CannotRun("a lane ended without a word".to_owned())),
            }
        }
        Ok(self.results.iter_mut().filter_map(Option::take).collect())
    }

    /// Gives a slice back for its lane to use again.
    pub(super) fn give_back(&self, lane: usize, spare: Box<Slice>) {
        // The lane may have ended.
        let _ = self.spares[lane].send(spare);
    }

    /// What each lane has used so far.
    pub(super) fn cpu(&self) -> Vec<Cpu> {
        self.threads.iter().map(|thread| thread.cpu()).collect()
    }
}

impl Start {
    fn run(&self, lane: usize, parts: Parts) -> Result<LaneResult, engine::Failure> {
        let Parts { mailbox, spares } = parts;
        let thread = &self.threads[lane];
        thread.is(Life::Running(rustix::thread::gettid().as_raw_nonzero().get()));
        // A sleep may be prolonged by the slack, by default 50 us (PR_SET_TIMERSLACK); without it a run still works.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let job = &self.job;
        let plan = self.plan(lane);
        let settings = Settings {
            // Those that are being closed while their successors are opened count, too.
            connections_max: 2 * plan.connections + 16,
            unsent_bytes_max: UNSENT_BYTES_MAX,
            deadline_watch: if job.pieces.is_some() { job.spin } else { Duration::ZERO },
            receive_buffer_bytes: RECEIVE_BUFFER_BYTES,
            ..Settings::default()
        };
        let pace = match &self.profile {
            None => Pace::Closed,
            Some(profile) => {
                let schedule = Schedule::new(profile, job.arrivals, job.seed, lane, job.cores.len());
                Pace::Open(schedule, profile.clone())
            }
        };
        let workload = job.workload.lane(job.seed, lane, job.cores.len(), self.nonce);
        let outbox = Outbox { lane, reports: self.reports.clone(), spares };
        let client = Client::new(plan, pace, workload, outbox);
        let ended = engine::run(job.probe.engine, vec![], client, &mailbox, &settings, &thread.stats);
        // As long as it is there to be read: the main thread may be late.
        thread.is(Life::Ended(thread.cpu()));
        ended.map(Client::finish)
    }

    /// This lane's share.
    fn plan(&self, lane: usize) -> LanePlan {
        let (job, lanes) = (&self.job, self.job.cores.len());
        let share = |all: u64| all / lanes as u64 + u64::from((lane as u64) < all % lanes as u64);
        LanePlan {
            address: job.address.clone(),
            connections: share(job.connections as u64) as usize,
            connections_per_second: job.connections_per_second.map(|rate| rate / lanes as f64),
            pipeline: job.pipeline,
            requests_per_connection: job.requests_per_connection,
            timeout: job.timeout,
            warmup: job.warmup,
            duration: job.requests.is_none().then_some(job.duration),
            requests: job.requests.map(share),
            interval: self.interval,
        }
    }
}

/// The rate of all lanes; the warm-up holds the first one.
fn profile(pieces: &[Piece], warmup: Duration) -> Profile {
    let first = pieces.first().map_or(0.0, |piece| piece.from);
    let warmup = Piece { length_ns: warmup.as_nanos() as u64, from: first, to: first };
    Profile::new([warmup].iter().filter(|piece| piece.length_ns > 0).chain(pieces).copied().collect())
}

fn result(lane: usize, ended: Ended<Result<LaneResult, engine::Failure>>) -> Result<LaneResult, Failure> {
    match ended {
        Ended::Returned(Ok(result)) => Ok(result),
        Ended::Returned(Err(error)) => Err(Failure::CannotRun(format!("lane {lane}: {error}"))),
        Ended::Panicked(why) => Err(Failure::CannotRun(format!("lane {lane} panicked: {why}"))),
    }
}

/// How long a thread of ours was on a CPU, and how long it waited for one, in nanoseconds (proc(5), schedstat).
fn schedstat(thread: i32) -> Option<(u64, u64)> {
    let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
    let mut numbers = text.split_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}
