//! The lane itself: time, mail, fairness, and doing nothing.

use crate::checked::{At, Case, Side, Writer};
use crate::drive::{On, Places, Tune, run, run_with};
use net::engine::sim::Rng;
use net::engine::{Close, End, Io, Token};
use net::mailbox::Refused;
use net::time::Time;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

pub(crate) fn deadlines_fire_in_time_order_and_never_early(on: &On) {
    for deadline_watch in [Duration::ZERO, Duration::from_micros(500)] {
        let tune = Tune { deadline_watch, ..Tune::default() };
        let ran = run(on, &tune, Clock { due: vec![], fired: 0 });
        assert_eq!(ran.case.fired, 40);
        let watched = ran.stats["spin_nanoseconds"] > 0;
        assert_eq!(watched, on.is_kernel() && !deadline_watch.is_zero());
    }
}

#[derive(Debug)]
struct Clock {
    /// Latest first.
    due: Vec<Time>,
    fired: usize,
}

impl Case for Clock {
    fn start(&mut self, _to: &Places, io: &mut Io) {
        let mut rng = Rng::new(5);
        let wait = Duration::ZERO..=Duration::from_millis(60);
        self.due = (0..40).map(|_| io.now() + rng.duration(&wait)).collect();
        self.due.sort_by_key(|due| std::cmp::Reverse(*due));
    }

    fn next_deadline(&self) -> Option<Time> {
        self.due.last().copied()
    }

    fn deadline(&mut self, io: &mut Io) {
        assert!(self.due.pop().expect("one is due") <= io.now());
        self.fired += 1;
    }

    fn end(&mut self, _at: At, _end: End, _io: &mut Io) {}

    fn is_done(&self) -> bool {
        self.due.is_empty()
    }
}

const MAILS: u64 = 3000;

pub(crate) fn mail_arrives_in_order_and_a_full_box_refuses(on: &On) {
    let (mut next, mut refused) = (0, 0);
    let is_sim = on.is_sim();
    let ran = run_with(on, &Tune::default(), Letters { got: 0 }, move |mailer, _, _| {
        while next < MAILS {
            match mailer.send(next) {
                Ok(()) => next += 1,
                Err(Refused::Full(mail)) => {
                    assert_eq!(mail, next);
                    refused += 1;
                    return Some(Duration::from_micros(50));
                }
                Err(Refused::Closed(_)) => panic!("the lane ended early"),
            }
        }
        assert!(!is_sim || refused > 100, "{refused}");
        None
    });
    assert_eq!(ran.case.got, MAILS);
}

#[derive(Debug)]
struct Letters {
    got: u64,
}

impl Case for Letters {
    fn start(&mut self, _to: &Places, _io: &mut Io) {}

    fn mail(&mut self, mail: u64, _io: &mut Io) {
        assert_eq!(mail, self.got);
        self.got += 1;
    }

    fn end(&mut self, _at: At, _end: End, _io: &mut Io) {}

    fn is_done(&self) -> bool {
        self.got == MAILS
    }
}

pub(crate) fn an_idle_lane_is_not_called(on: &On) {
    let ready = Arc::new(AtomicU64::new(0));
    let case = Idle { ready: ready.clone(), opened: 0, is_done: false };
    let mut turns = None;
    // Whatever is still under way, and in worlds a pause of accepting, is over by then.
    let settled_after = Duration::from_millis(on.size(100, 2000) as u64);
    run_with(on, &Tune::default(), case, move |mailer, stats, _| {
        if ready.load(SeqCst) < 20 {
            return Some(Duration::from_millis(5));
        }
        // Twice: the first look waits until the last turn with news is over.
        let Some((looks, before)) = turns else {
            turns = Some((0, 0));
            return Some(settled_after);
        };
        let now = stats.turns.get();
        turns = Some((looks + 1, now));
        match looks {
            0 => Some(Duration::from_millis(300)),
            _ => {
                assert_eq!(now, before, "turns of a lane with nothing to do");
                mailer.send(0).unwrap();
                None
            }
        }
    });
}

/// Open connections on which nothing happens.
#[derive(Debug)]
struct Idle {
    ready: Arc<AtomicU64>,
    opened: usize,
    is_done: bool,
}

impl Case for Idle {
    fn start(&mut self, to: &Places, io: &mut Io) {
        for _ in 0..10 {
            io.connect(to.here.clone());
        }
    }

    fn open(&mut self, at: At, io: &mut Io) {
        if at.side == Side::Caller {
            io.out(at.token).extend(b"hello");
        }
        self.opened += 1;
    }

    fn bytes(&mut self, _at: At, bytes: &[u8], _io: &mut Io) {
        self.ready.fetch_add(bytes.len() as u64, SeqCst);
    }

    fn mail(&mut self, _mail: u64, _io: &mut Io) {
        assert_eq!(self.opened, 20);
        self.is_done = true;
    }

    fn end(&mut self, _at: At, end: End, _io: &mut Io) {
        assert_eq!(end, End::Aborted, "the engine stops and what is open is ended");
    }

    fn is_done(&self) -> bool {
        self.is_done
    }
}

pub(crate) fn a_flooding_peer_does_not_hold_the_lane(on: &On) {
    let tune = Tune { unsent_bytes_max: on.size(1 << 20, 4 << 10), ..Tune::default() };
    let case = Flood { caller: None, next: None, ticks: 0, sink: Writer::new(1, usize::MAX), ends: 0 };
    run(on, &tune, case);
}

/// A caller that writes whenever there is room, and a clock that must be heard in spite of it.
#[derive(Debug)]
struct Flood {
    caller: Option<Token>,
    next: Option<Time>,
    ticks: usize,
    sink: Writer,
    ends: usize,
}

impl Flood {
    fn write(&mut self, token: Token, io: &mut Io) {
        while !io.is_over(token) {
            self.sink.write(token, 64 << 10, io);
        }
    }
}

impl Case for Flood {
    fn start(&mut self, to: &Places, io: &mut Io) {
        io.connect(to.here.clone());
    }

    fn open(&mut self, at: At, io: &mut Io) {
        if at.side == Side::Caller {
            self.caller = Some(at.token);
            self.next = Some(io.now());
            self.write(at.token, io);
        }
    }

    fn drained(&mut self, at: At, io: &mut Io) {
        self.write(at.token, io);
    }

    fn next_deadline(&self) -> Option<Time> {
        self.next
    }

    fn deadline(&mut self, io: &mut Io) {
        self.ticks += 1;
        self.next = Some(io.now() + Duration::from_millis(1)).filter(|_| self.ticks < 50);
        if let (None, Some(caller)) = (self.next, self.caller) {
            io.close(caller, Close::Now);
        }
    }

    fn end(&mut self, _at: At, _end: End, _io: &mut Io) {
        self.ends += 1;
    }

    fn is_done(&self) -> bool {
        self.ends == 2
    }
}
