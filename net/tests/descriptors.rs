//! A process runs out of file descriptors: accepting pauses, is counted, and goes on when some are free again.
//!
//! In a binary of its own, because the limit is the whole process's.

#![cfg(feature = "os")]
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

#[allow(dead_code, reason = "shared with the contract")]
#[path = "contract/checked.rs"]
mod checked;
#[allow(dead_code, reason = "shared with the contract")]
#[path = "contract/drive.rs"]
mod drive;

use checked::{At, Case, Side};
use drive::{Places, Tune, kernel, run};
use net::engine::{Close, End, Engine, Io, Token};
use net::time::Time;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::time::Duration;

const CALLERS: usize = 8;
/// Free descriptors, besides those of the callers.
const SPARE: usize = 3;

/// One test: two at a time would take each other's descriptors.
#[test]
fn accepting_pauses_without_descriptors_and_goes_on_with_them() {
    for engine in Engine::ALL {
        for leave in [Leave::AsServed, Leave::TogetherWhenAllAreServed] {
            let Some(on) = kernel(*engine) else { continue };
            let limits = getrlimit(Resource::Nofile);
            let case = Crowd { leave, hoard: vec![], callers: vec![], answers: 0, ends: 0, free_at: None };
            let ran = run(&on, &Tune::default(), case);
            setrlimit(Resource::Nofile, limits).unwrap();
            assert_eq!(ran.case.answers, CALLERS, "{engine} {leave:?}");
            assert!(ran.stats["descriptor_pauses"] > 0, "{engine} {leave:?}");
            assert!(ran.stats["turns"] < 1000, "{engine} spins: {} turns", ran.stats["turns"]);
        }
    }
}

/// More callers than there are descriptors for both of their ends.
#[derive(Debug)]
struct Crowd {
    leave: Leave,
    /// Takes all descriptors that should not be free.
    hoard: Vec<File>,
    callers: Vec<Token>,
    answers: usize,
    ends: usize,
    free_at: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Leave {
    /// Each connection that ends makes room for the next.
    AsServed,
    /// The room comes from elsewhere in the process, and no connection's end tells the engine.
    TogetherWhenAllAreServed,
}

impl Case for Crowd {
    fn start(&mut self, to: &Places, io: &mut Io) {
        // A low limit, so that filling up to it is quick; the engine has what it needs already.
        let limits = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(200), ..limits }).unwrap();
        self.hoard.extend(std::iter::from_fn(|| File::open("/dev/null").ok()));
        self.hoard.truncate(self.hoard.len() - CALLERS - SPARE);
        for _ in 0..CALLERS {
            io.connect(to.here.clone());
        }
        if self.leave == Leave::TogetherWhenAllAreServed {
            self.free_at = Some(io.now() + Duration::from_millis(30));
        }
    }

    fn open(&mut self, at: At, io: &mut Io) {
        if at.side == Side::Caller {
            io.out(at.token).push(1);
            self.callers.push(at.token);
        }
    }

    fn bytes(&mut self, at: At, _bytes: &[u8], io: &mut Io) {
        if at.side == Side::Callee {
            return io.out(at.token).push(2);
        }
        self.answers += 1;
        match self.leave {
            Leave::AsServed => io.close(at.token, Close::AfterFlush),
            Leave::TogetherWhenAllAreServed if self.answers == CALLERS => {
                self.callers.iter().for_each(|token| io.close(*token, Close::AfterFlush));
            }
            Leave::TogetherWhenAllAreServed => assert!(self.answers <= CALLERS),
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        self.free_at
    }

    fn deadline(&mut self, _io: &mut Io) {
        self.free_at = None;
        if self.leave == Leave::TogetherWhenAllAreServed {
            assert!(self.answers <= SPARE, "the others have no descriptor yet");
            self.hoard.clear();
        }
    }

    fn end(&mut self, _at: At, end: End, _io: &mut Io) {
        assert_eq!(end, End::Closed);
        self.ends += 1;
    }

    fn is_done(&self) -> bool {
        self.ends == 2 * CALLERS
    }
}
