//! One measurement: lanes begin together, run, and are added up.
//!
//! In: a job. Out: a [`Run`], judged. The main thread only collects: it touches nothing that a lane needs, and what
//! it does is little, as it may run on a lane's core.

mod lanes;
mod sum;

use self::lanes::Lanes;
use crate::job::{Failure, Job};
use crate::model::{Interval, Run};
use crate::program::{Mail, Report};
use crate::slo::Slo;
use crate::timeline::Timeline;
use crate::verdict;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Lanes hear of the begin before it comes.
const BEGIN_IN: Duration = Duration::from_millis(20);
/// Between two looks at the user's wish to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A run looks at the target's threads about so often, if its length is known; each look reads many files.
const TARGET_LOOKS: u32 = 20;
const TARGET_LOOK_MAX: Duration = Duration::from_secs(1);
/// A run has about so many intervals, if its length is known.
const INTERVALS: u32 = 120;
const INTERVAL_MIN: Duration = Duration::from_millis(20);

/// A machine that is busy three times is busy.
const TRIES: u64 = 3;

/// Watches a run as it goes.
pub trait Observer {
    /// Connections are there; it begins.
    fn begins(&mut self, _job: &Job) {}
    /// An interval is over; and all so far.
    fn interval(&mut self, _interval: &Interval, _so_far: &Timeline) {}
    /// It is over.
    fn ends(&mut self) {}
}

/// Watches nothing.
pub struct Unwatched;

impl Observer for Unwatched {}

/// Measures once. `stop` ends it before its time: the run is then marked as interrupted.
///
/// # Errors
/// Nothing could be measured, and why.
pub fn measure(
    job: &Job,
    slos: &[Slo],
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<Run, Failure> {
    let mut lanes = Lanes::start(job, interval(job))?;
    let first = lanes.wait_until_ready(job.timeout, stop)?;
    observer.begins(job);
    lanes.tell(Mail::Begin(first + BEGIN_IN));
    let mut collected = collect(job, &mut lanes, stop, observer)?;
    observer.ends();
    let mut run = sum::up(job, &mut collected);
    verdict::judge(&mut run, slos);
    Ok(run)
}

/// Measures until nobody else takes the lanes' cores, at most three times: what a neighbour does says nothing
/// about the target. Gives the number of tries, too.
///
/// # Errors
/// As [`measure`].
pub fn measure_undisturbed(
    job: &Job,
    slos: &[Slo],
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<(Run, u64), Failure> {
    let (mut run, mut tries) = (measure(job, slos, stop, observer)?, 1);
    let is_noise = |run: &Run| verdict::is_disturbed(run) && !verdict::is_met_in_spite_of_noise(run);
    while tries < TRIES && is_noise(&run) && !stop.load(Relaxed) {
        run = measure(job, slos, stop, observer)?;
        tries += 1;
    }
    Ok((run, tries))
}

/// Everything that is known at the end.
struct Collected {
    timeline: Timeline,
    results: Vec<crate::program::LaneResult>,
    /// CPU time of each lane in the window, with and without spins.
    cpu: Vec<lanes::Used>,
    started_unix_ms: u64,
    target: Option<crate::model::TargetUse>,
    interrupted: bool,
}

/// Where the main thread is in the run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Warming,
    Measuring,
    Draining,
}

fn collect(
    job: &Job,
    lanes: &mut Lanes,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<Collected, Failure> {
    let window_begin = Instant::now() + BEGIN_IN + job.warmup;
    let window_end = job.requests.is_none().then(|| window_begin + job.duration);
    let mut timeline = Timeline::new(lanes.count(), interval(job).as_nanos() as u64);
    let mut watch = job.watch.clone();
    // Else it would count from the process's start, should the run be over before its window begins.
    watch.iter_mut().for_each(|watch| watch.begin());
    let (mut phase, mut interrupted, mut last_look) = (Phase::Warming, false, window_begin);
    let (mut before, mut after) = (lanes.cpu(), None);
    let look_every = (job.duration / TARGET_LOOKS).clamp(LOOK_EVERY, TARGET_LOOK_MAX);
    let mut started_unix_ms = unix_ms();
    loop {
        let now = Instant::now();
        if phase == Phase::Warming && now >= window_begin {
            phase = Phase::Measuring;
            (before, started_unix_ms, last_look) = (lanes.cpu(), unix_ms(), now);
            watch.iter_mut().for_each(|watch| watch.begin());
        }
        if phase == Phase::Measuring && now >= last_look + look_every {
            last_look = now;
            watch.iter_mut().for_each(|watch| watch.look(&job.cores));
        }
        lanes.look_at_ends()?;
        // A number of requests ends with the last lane: see below.
        if phase != Phase::Draining && window_end.is_some_and(|end| now >= end) {
            phase = Phase::Draining;
            after = Some((lanes.cpu(), watch.take().map(|mut watch| watch.end())));
        }
        if stop.load(Relaxed) && !interrupted {
            interrupted = true;
            lanes.tell(Mail::Stop);
        }
        let next = match phase {
            Phase::Warming => window_begin,
            Phase::Measuring => window_end.unwrap_or(now + LOOK_EVERY),
            Phase::Draining => now + LOOK_EVERY,
        };
        match lanes.reports.recv_timeout(next.saturating_duration_since(now).min(LOOK_EVERY)) {
            Ok((lane, Report::Slice { index, slice })) => {
                let (intervals, spare) = timeline.add(lane, index, slice);
                // Made here if need be: a lane has better things to do.
                lanes.give_back(lane, spare.unwrap_or_default());
                for interval in &intervals {
                    observer.interval(interval, &timeline);
                }
            }
            Ok((lane, Report::Over)) => {
                for interval in &timeline.over(lane) {
                    observer.interval(interval, &timeline);
                }
            }
            Ok((_, Report::Ready { .. })) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let (after, target) = after.unwrap_or_else(|| (lanes.cpu(), watch.take().map(|mut watch| watch.end())));
    let cpu = before.iter().zip(&after).map(|(before, after)| after.since(before)).collect();
    Ok(Collected { timeline, results: lanes.results()?, cpu, started_unix_ms, target, interrupted })
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// A length of time that people like, so that a run has some hundred intervals, a step has four, and whoever watches
/// sees something every second.
fn interval(job: &Job) -> Duration {
    let run = if job.requests.is_some() { LOOK_EVERY * INTERVALS } else { job.duration };
    let pieces = job.pieces.as_ref().map_or(1, Vec::len) as u32;
    let wanted = (run / INTERVALS).min(run / pieces / 4);
    let nice = [1_000, 500, 250, 100, 50, 20].map(Duration::from_millis);
    nice.into_iter().find(|nice| *nice <= wanted).unwrap_or(INTERVAL_MIN)
}
