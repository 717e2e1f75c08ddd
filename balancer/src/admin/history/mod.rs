//! What was: rates, quantiles of the last minute, and the columns of the heat maps.
//!
//! In: a view each `SAMPLE_EVERY`, and counts as they stand when somebody asks. Out: differences of counts. A server that
//! stays over a reload keeps its past. Never: grows: [`COLUMNS_MAX`] columns and [`MOMENTS_MAX`] moments of each server,
//! 27 KiB of them together, however many requests there are.

mod flow;

pub(super) use flow::{Flow, LanesFlow};

use crate::control::{SAMPLE_EVERY, ServerView, State, View};
use crate::fleet::{Counts, Fleet, OCTAVES, STEPS, Server};
use flow::{LanesMoment, Moment};
use net::time::Time;
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Columns kept: ten minutes.
pub(super) const COLUMNS_MAX: usize = 120;
/// Moments kept: the oldest is 60 to 65 s ago. That is the *last minute*.
const MOMENTS_MAX: usize = 13;

/// Counts by octave of latency.
pub(super) type Octaves = [u32; OCTAVES];

/// What [`SAMPLE_EVERY`] brought, of one server.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// Answers, by latency.
    pub(super) octaves: Octaves,
    /// Tries that failed.
    pub(super) failed: u32,
    /// Times it left `Up`.
    pub(super) falls: u32,
    /// How it was at the end.
    pub(super) state: State,
}

// What the documentation says of time and memory.
const _: () = assert!(
    COLUMNS_MAX as u64 * SAMPLE_EVERY.as_secs() == 600
        && (MOMENTS_MAX as u64 - 1) * SAMPLE_EVERY.as_secs() == 60
);
const _: () = assert!(COLUMNS_MAX * size_of::<Column>() + MOMENTS_MAX * size_of::<Moment>() <= 27 * 1024);

/// The past of one server.
#[derive(Debug, Default)]
struct Past {
    /// Answers by octave since it began, up to the last moment: lanes count in 32 bits, which wrap.
    octaves: [u64; OCTAVES],
    /// [`ServerView::failures`], as it was last.
    failures: u64,
    /// The newest last.
    moments: VecDeque<Moment>,
    columns: VecDeque<Column>,
}

/// The past of all.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Samples taken: the number of the next column.
    next: u64,
    lanes: VecDeque<LanesMoment>,
    servers: HashMap<This, Past>,
}

/// A server, not one like it: over a reload, one that stays is the same, and one that came back under its name is not.
#[derive(Debug)]
struct This(Arc<Server>);

impl PartialEq for This {
    fn eq(&self, other: &This) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for This {}

impl Hash for This {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl History {
    /// Remembers a moment. Servers that are gone are forgotten.
    #[expect(clippy::mutable_key_type, reason = "a server is told by its address, which does not change")]
    pub(super) fn sample(&mut self, view: &View<'_>) {
        self.next += 1;
        push(&mut self.lanes, LanesMoment::of(view.fleet, view.now), MOMENTS_MAX);
        let mut before = std::mem::take(&mut self.servers);
        for (pool, views) in view.fleet.pools.iter().zip(view.servers) {
            for (server, seen) in pool.servers.iter().zip(views) {
                let this = This(Arc::clone(server));
                let moment = Moment::of(server, view.now);
                let past = before.remove(&this).unwrap_or_default().and(moment, seen);
                self.servers.insert(this, past);
            }
        }
    }

    fn past(&self, server: &Arc<Server>) -> Option<&Past> {
        self.servers.get(&This(Arc::clone(server)))
    }

    /// The number of the next column.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// A server's columns from number `since` on: the number of the first, and all.
    pub(super) fn columns(&self, server: &Arc<Server>, since: u64) -> (u64, impl Iterator<Item = &Column>) {
        let columns = self.past(server).map(|past| &past.columns);
        let first = self.next - columns.map_or(0, VecDeque::len) as u64;
        let skip = usize::try_from(since.saturating_sub(first)).unwrap_or(usize::MAX);
        (first.max(since), columns.into_iter().flatten().skip(skip))
    }

    /// What a server did since a moment 5 to 10 s ago, and in the last minute. Nothing for one that is new.
    pub(super) fn flows(&self, server: &Arc<Server>, now: Time) -> [Flow; 2] {
        let Some(past) = self.past(server) else {
            return [Flow::default(), Flow::default()];
        };
        let here = Moment::of(server, now);
        let since = |moment: Option<&Moment>| moment.map(|moment| here.since(moment)).unwrap_or_default();
        [since(recent(&past.moments)), since(past.moments.front())]
    }

    /// A server's answers by octave, since it began.
    pub(super) fn octaves(&self, server: &Arc<Server>) -> [u64; OCTAVES] {
        let now = server.latencies();
        let none = ([0; OCTAVES], Counts::default());
        let past = self.past(server);
        let past = past.and_then(|past| Some((past.octaves, past.moments.back()?.latencies.clone())));
        let (mut sums, last) = past.unwrap_or(none);
        add(&mut sums, &coarse(&now.since(&last)));
        sums
    }

    /// What the lanes did of late.
    pub(super) fn lanes(&self, fleet: &Fleet, now: Time) -> LanesFlow {
        let here = LanesMoment::of(fleet, now);
        let mut flow = self.lanes.front().map(|then| here.since(then)).unwrap_or_default();
        flow.rates = recent(&self.lanes).and_then(|then| here.rates(then));
        flow
    }
}

impl Past {
    /// With one moment more.
    fn and(mut self, moment: Moment, seen: &ServerView) -> Past {
        // A server without a moment is new: all its counts came since the last sample.
        let nothing = Moment::default();
        let flow = moment.since(self.moments.back().unwrap_or(&nothing));
        let octaves = coarse(&flow.latencies);
        add(&mut self.octaves, &octaves);
        let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let falls = narrow(seen.failures.saturating_sub(self.failures));
        let column = Column { octaves, failed: narrow(flow.failed), falls, state: seen.state };
        self.failures = seen.failures;
        push(&mut self.moments, moment, MOMENTS_MAX);
        push(&mut self.columns, column, COLUMNS_MAX);
        self
    }
}

/// The moment before the last: a rate since the last may be over no time at all.
fn recent<T>(moments: &VecDeque<T>) -> Option<&T> {
    moments.get(moments.len().saturating_sub(2))
}

fn coarse(counts: &Counts) -> Octaves {
    std::array::from_fn(|octave| {
        let steps = &counts.0[octave * STEPS..(octave + 1) * STEPS];
        steps.iter().fold(0, |sum: u32, &count| sum.saturating_add(count))
    })
}

fn add(sums: &mut [u64; OCTAVES], octaves: &Octaves) {
    sums.iter_mut().zip(octaves).for_each(|(sum, &count)| *sum += u64::from(count));
}

fn push<T>(ring: &mut VecDeque<T>, item: T, max: usize) {
    if ring.len() == max {
        ring.pop_front();
    }
    ring.push_back(item);
}
