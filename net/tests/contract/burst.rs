//! More at once than the ring's completion queue holds.

use crate::checked::{At, Case, Side};
use crate::drive::{Places, Tune, kernel, run};
use net::engine::{Close, End, Engine, Io, Token};

const CALLERS: usize = 4_000;

#[test]
fn more_completions_than_the_queue_holds_lose_nothing() {
    let Some(on) = kernel(Engine::Uring) else { return };
    if net::listen::raise_descriptor_limit() < 10_000 {
        return eprintln!("SKIPPED: needs 10,000 descriptors, see `ulimit -Hn`");
    }
    let burst = Burst { opened: 0, callers: vec![], answers: 0, ends: 0 };
    let ran = run(&on, &Tune { connections_max: 9_000, receive_buffers: 8192, ..Tune::default() }, burst);
    assert_eq!(ran.case.answers, CALLERS);
    assert!(ran.stats["completion_queue_overflows"] > 0, "{:?}", ran.stats);
    assert!(ran.stats["receive_rearms"] > 0, "{:?}", ran.stats);
}

/// When all are connected, all say a word in one turn.
#[derive(Debug)]
struct Burst {
    opened: usize,
    callers: Vec<Token>,
    answers: usize,
    ends: usize,
}

impl Case for Burst {
    fn start(&mut self, to: &Places, io: &mut Io) {
        for _ in 0..CALLERS {
            io.connect(to.here.clone());
        }
    }

    fn open(&mut self, at: At, io: &mut Io) {
        self.opened += 1;
        if at.side == Side::Caller {
            self.callers.push(at.token);
        }
        if self.opened == 2 * CALLERS {
            self.callers.iter().for_each(|caller| io.out(*caller).push(1));
        }
    }

    fn bytes(&mut self, at: At, bytes: &[u8], io: &mut Io) {
        assert_eq!(bytes, [1]);
        match at.side {
            Side::Callee => io.out(at.token).push(1),
            Side::Caller => {
                self.answers += 1;
                io.close(at.token, Close::AfterFlush);
            }
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
