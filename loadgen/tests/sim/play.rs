//! One lane and one target in a world: played from the first connection to the last answer.

use loadgen::model::{Latency, Piece};
use loadgen::program::{Client, LanePlan, LaneResult, Mail, Outbox, Pace, Report};
use loadgen::record::Times;
use loadgen::schedule::{ArrivalKind, Profile, Schedule};
use loadgen::selftest::target::{Behaviour, Counts, Target};
use loadgen::timeline::Timeline;
use loadgen::workload::{Kind, Source, Spec, Workload};
use net::address::Address;
use net::engine::sim::{Faults, Setup, World};
use net::mailbox::mailbox;
use net::time::Time;
use std::sync::mpsc;
use std::time::Duration;

/// What is played.
#[derive(Clone)]
pub(crate) struct Play {
    pub(crate) behaviour: Behaviour,
    pub(crate) plan: LanePlan,
    /// Per second, and how; `None` for a closed loop.
    pub(crate) rate: Option<(f64, ArrivalKind)>,
    pub(crate) kind: Kind,
    pub(crate) faults: Faults,
    pub(crate) seed: u64,
    /// The largest piece that arrives at once.
    pub(crate) receive_buffer_bytes: usize,
    /// From the begin, when the target is killed.
    pub(crate) dies_after: Option<Duration>,
    /// From the begin, when the user stops the run.
    pub(crate) stops_after: Option<Duration>,
}

/// What came of it.
pub(crate) struct Played {
    pub(crate) lane: LaneResult,
    pub(crate) target: Counts,
    pub(crate) timeline: Vec<loadgen::model::Interval>,
    pub(crate) trace: u64,
    /// From the begin of the window until the lane stopped.
    pub(crate) took: Duration,
}

pub(crate) const TARGET: &str = "10.0.0.1:80";

/// A calm world takes so long for a request and its answer: for each of them 50 µs on the wire and 50 to be read.
pub(crate) const THERE_AND_BACK: Duration = Duration::from_micros(200);

impl Play {
    pub(crate) fn new(behaviour: Behaviour) -> Play {
        Play {
            behaviour,
            plan: LanePlan {
                address: TARGET.parse().unwrap(),
                connections: 64,
                connections_per_second: None,
                pipeline: 1,
                requests_per_connection: None,
                timeout: Duration::from_secs(2),
                warmup: Duration::ZERO,
                duration: Some(Duration::from_secs(10)),
                requests: None,
                interval: Duration::from_millis(100),
            },
            rate: None,
            kind: Kind::Add,
            faults: Faults::calm(),
            seed: 1,
            receive_buffer_bytes: 4096,
            dies_after: None,
            stops_after: None,
        }
    }

    pub(crate) fn rate(mut self, rate: f64, kind: ArrivalKind) -> Play {
        self.rate = Some((rate, kind));
        self
    }

    pub(crate) fn run(&self) -> Played {
        let address: Address = TARGET.parse().unwrap();
        let mut world = World::new(self.seed, self.faults.clone());
        let target = world.add(Target::new(self.behaviour.clone()), Setup::listening(&address));
        // A real clock began long ago: whoever takes zero for a moment of this run is found out.
        world.run_until(Time(0) + Duration::from_secs(86_400));
        let (reports_in, reports) = mpsc::sync_channel(100_000);
        let (_spare, spares) = mpsc::channel();
        let (mailer, mailbox) = mailbox(8).unwrap();
        let outbox = Outbox { lane: 0, reports: reports_in, spares };
        let client = Client::new(self.plan.clone(), self.pace(), self.workload(), outbox);
        let setup = Setup {
            mailbox: Some(mailbox),
            receive_buffer_bytes: self.receive_buffer_bytes,
            unsent_bytes_max: usize::MAX / 4,
            ..Setup::default()
        };
        let client = world.add(client, setup);
        let mut slices = Vec::new();
        let mut begin = None;
        world.run_to(Duration::from_secs(60), |_| match reports.try_recv() {
            Ok((_, Report::Ready { now, .. })) => {
                begin = Some(now + Duration::from_millis(1));
                true
            }
            _ => false,
        });
        let begin = begin.expect("the lane gets ready, whatever its connections do");
        mailer.send(Mail::Begin(begin)).unwrap();
        if let Some(after) = self.dies_after {
            world.run_until(begin + after);
            world.kill(target);
        }
        if let Some(after) = self.stops_after {
            world.run_until(begin + after);
            mailer.send(Mail::Stop).unwrap();
        }
        let limit = Duration::from_secs(3600);
        assert!(world.run_to(limit, |world| world.is_stopped(client)), "seed {}: it never ends", self.seed);
        while let Ok((_, report)) = reports.try_recv() {
            if let Report::Slice { index, slice } = report {
                slices.push((index, slice));
            }
        }
        let (counts, trace) = (world.program(target).counts(), world.trace());
        let took = world.now().since(begin + self.plan.warmup);
        let lane = world.into_program(client).finish();
        let mut timeline = Timeline::new(1, self.plan.interval.as_nanos() as u64);
        for (index, slice) in slices {
            timeline.add(0, index, slice);
        }
        let window_ns = lane.window.end.since(lane.window.begin).as_nanos() as u64;
        Played { lane, target: counts, timeline: timeline.finish(window_ns), trace, took }
    }

    fn pace(&self) -> Pace {
        let Some((rate, kind)) = self.rate else { return Pace::Closed };
        let length = self.plan.warmup + self.plan.duration.unwrap_or(Duration::from_secs(100_000));
        let piece = Piece { length_ns: length.as_nanos() as u64, from: rate, to: rate };
        let profile = Profile::new(vec![piece]);
        Pace::Open(Schedule::new(&profile, kind, self.seed, 0, 1), profile)
    }

    fn workload(&self) -> loadgen::workload::LaneWorkload {
        let spec = Spec {
            urls: vec![format!("http://{TARGET}/add").parse().unwrap()],
            kind: self.kind,
            method: None,
            headers: vec![],
            body: Source::None,
            keys: 0,
            zipf: 0.0,
            expect_status: None,
            expect_body: None,
            expect_json: None,
        };
        Workload::new(spec).unwrap().lane(self.seed, 0, 1, 7)
    }
}

impl Played {
    pub(crate) fn response(&self) -> Latency {
        latency(&self.lane.totals.response)
    }

    pub(crate) fn service(&self) -> Latency {
        latency(&self.lane.totals.service)
    }

    pub(crate) fn own_lag(&self) -> Latency {
        latency(&self.lane.totals.own_lag)
    }

    pub(crate) fn connection_wait(&self) -> Latency {
        latency(&self.lane.totals.connection_wait)
    }

    /// How often this kind of error came.
    pub(crate) fn errors(&self, kind: &str) -> u64 {
        self.lane.totals.errors.iter().filter(|error| error.kind == kind).map(|error| error.count).sum()
    }

    /// What must hold whatever happens: everything that was offered came to one end, and is in the tail.
    pub(crate) fn adds_up(&self) {
        let counts = self.lane.totals.counts;
        let told = (counts, &self.lane.totals.errors);
        assert_eq!(counts.offered, counts.completed + counts.wrong + counts.failed, "{told:?}");
        assert_eq!(self.response().count(), counts.offered, "{told:?}");
        assert_eq!(self.service().count(), counts.sent, "{told:?}");
        assert_eq!(self.own_lag().count(), counts.sent, "{told:?}");
        let sum = |part: fn(&loadgen::model::Interval) -> u64| self.timeline.iter().map(part).sum::<u64>();
        // What was sent in the window, whenever it was due: no more than reached the target or failed on the way.
        let sent = sum(|interval| interval.sent);
        assert!(sent <= self.target.requests + self.lane.totals.counts.failed, "{sent}");
        assert_eq!(sum(|interval| interval.completed), counts.completed_in_window);
        // Little's law, exactly: counted as they come and go, and added up from each one's times.
        assert_eq!(self.lane.totals.in_flight_ns, self.lane.totals.in_window_ns);
    }
}

fn latency(times: &Times) -> Latency {
    let mut latency = Latency::new();
    times.add_to(&mut latency);
    latency
}

/// Whether two times agree within a share.
pub(crate) fn near(found: f64, known: f64, within: f64, what: &str) {
    assert!((found / known - 1.0).abs() <= within, "{what}: {found:.0}, known is {known:.0}");
}
