//! Handing accepted connections to the lane that has the fewest.
//!
//! SO_REUSEPORT spreads connections by a hash: of a few hundred, some lanes get a third more than others, and long-lived ones stay where
//! they are. Here the lane that accepted a connection deals it to the one with the fewest.
//!
//! In: how many connections each lane has, and one that was just accepted. Out: its descriptor, in the inbox of the lane that shall have
//! it, whose bell is rung. Never: moves a connection on which something was read, or loses one that a lane wants no more.

use crate::mailbox::{Bell, Mailer};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Says of a lane that it takes no connections now.
const CLOSED: usize = usize::MAX / 2;

/// One lane's place at the table.
#[derive(Clone, Debug)]
pub struct Seat {
    table: Arc<[Place]>,
    lane: usize,
}

/// A lane, as the others see it. On cache lines of its own: its count changes with every turn that opens or ends something.
#[derive(Debug)]
#[repr(align(128))]
struct Place {
    /// Its connections, as it last said; [`CLOSED`] or more: it takes none.
    open: AtomicUsize,
    /// Those dealt to it that `open` does not count yet.
    dealt: AtomicUsize,
    inbox: Mutex<Inbox>,
    bell: Arc<Bell>,
}

#[derive(Debug, Default)]
struct Inbox {
    /// With the number of the listener that each came from.
    connections: VecDeque<(usize, OwnedFd)>,
    is_closed: bool,
}

/// Seats for as many lanes as there are mailers, in their order. A dealt connection rings the bell of its lane's mailbox.
pub fn seats<M>(mailers: &[Mailer<M>]) -> Vec<Seat> {
    let place = |mailer: &Mailer<M>| Place {
        open: AtomicUsize::new(0),
        dealt: AtomicUsize::new(0),
        inbox: Mutex::default(),
        bell: mailer.bell(),
    };
    let table: Arc<[Place]> = mailers.iter().map(place).collect();
    (0..table.len()).map(|lane| Seat { table: table.clone(), lane }).collect()
}

impl Seat {
    /// A connection was accepted here, where `open` are. Gives it back if this lane shall have it.
    pub(super) fn deal(&self, open: usize, listener: usize, connection: OwnedFd) -> Option<OwnedFd> {
        let Some(other) = self.emptier_than(open) else { return Some(connection) };
        let mut inbox = other.lock();
        if inbox.is_closed {
            return Some(connection);
        }
        let is_first = inbox.connections.is_empty();
        inbox.connections.push_back((listener, connection));
        other.dealt.fetch_add(1, Relaxed);
        drop(inbox);
        if is_first {
            other.bell.ring();
        }
        None
    }

    /// The lane with the fewest connections, if that is fewer than `open`. Lanes look in different orders, so that two that
    /// accept at once don't choose the same one of equals.
    fn emptier_than(&self, open: usize) -> Option<&Place> {
        let others = (1..self.table.len()).map(|step| &self.table[(self.lane + step) % self.table.len()]);
        let count = |place: &Place| place.open.load(Relaxed) + place.dealt.load(Relaxed);
        let (fewest, place) = others.map(|place| (count(place), place)).min_by_key(|(count, _)| *count)?;
        (fewest < open).then_some(place)
    }

    /// What this lane tells the others: its number of connections, `None` if it takes none now.
    pub(super) fn tell(&self, open: Option<usize>) {
        self.table[self.lane].open.store(open.unwrap_or(CLOSED), Relaxed);
    }

    /// The oldest connection that was dealt to this lane; [`Seat::opened`] follows. The bell is silent once this has said `None`.
    pub(super) fn take(&self) -> Option<(usize, OwnedFd)> {
        self.table[self.lane].lock().connections.pop_front()
    }

    /// What was taken is one of `open` now.
    pub(super) fn opened(&self, open: usize) {
        let place = &self.table[self.lane];
        // In this order it is counted twice for a moment, and never not at all.
        place.open.fetch_max(open, Relaxed);
        place.dealt.fetch_sub(1, Relaxed);
    }

    /// From now on nobody deals to this lane; what was dealt before is still to be taken.
    pub(super) fn close(&self) {
        self.tell(None);
        self.table[self.lane].lock().is_closed = true;
    }
}

impl Place {
    /// An inbox has no half-done state that a panic could leave behind: a poisoned lock is a lock.
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{self, Accepting, End, Engine, Io, Opened, Probe, Program, Settings, Token};
    use crate::mailbox::mailbox;
    use crate::time::Time;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    fn connection() -> OwnedFd {
        UnixStream::pair().unwrap().0.into()
    }

    fn table(lanes: usize) -> Vec<Seat> {
        let mailers: Vec<Mailer<()>> = (0..lanes).map(|_| mailbox(1).unwrap().0).collect();
        seats(&mailers)
    }

    #[test]
    fn a_connection_goes_to_the_lane_with_the_fewest() {
        let seats = table(3);
        seats[1].tell(Some(5));
        seats[2].tell(Some(4));
        assert!(seats[0].deal(4, 0, connection()).is_some(), "no lane has fewer");
        let dealt = connection();
        let number = dealt.as_raw_fd();
        assert!(seats[0].deal(5, 7, dealt).is_none());
        // What is on its way counts: the next one stays, as everybody has five.
        assert!(seats[0].deal(5, 0, connection()).is_some());
        assert!(seats[1].take().is_none());
        let (listener, dealt) = seats[2].take().unwrap();
        assert_eq!((listener, dealt.as_raw_fd()), (7, number));
        // Nor does it cease to count while it is being opened.
        assert!(seats[0].deal(5, 0, connection()).is_some());
        seats[2].opened(5);
        assert!(seats[0].deal(5, 0, connection()).is_some());
        assert!(seats[0].deal(6, 0, connection()).is_none());
    }

    #[test]
    fn lanes_that_accept_at_once_deal_to_different_ones_of_equals() {
        let seats = table(4);
        assert!(seats[0].deal(1, 0, connection()).is_none());
        seats[0].tell(Some(1));
        assert!(seats[1].take().is_some());
        assert!(seats[2].deal(1, 0, connection()).is_none());
        assert!(seats[3].take().is_some());
    }

    #[test]
    fn a_lane_that_takes_none_is_dealt_none_and_what_it_was_dealt_before_is_there() {
        let seats = table(2);
        assert!(seats[0].deal(9, 0, connection()).is_none());
        seats[1].close();
        assert!(seats[0].deal(9, 0, connection()).is_some());
        assert!(seats[1].take().is_some() && seats[1].take().is_none());
        // Whoever looked before it closed, and comes after, gets it back.
        seats[1].tell(Some(0));
        assert!(seats[0].deal(9, 0, connection()).is_some());
    }

    /// Is asked to end, and is dealt a connection in the same turn, when nobody looks into the inbox any more.
    struct Last {
        other: Seat,
        opened: usize,
        /// Since it was asked to.
        turns: Option<usize>,
    }

    impl Program for Last {
        type Mail = ();

        fn on_open(&mut self, _: Token, _: Opened, _: &mut Io) {
            self.opened += 1;
        }

        fn on_bytes(&mut self, _: Token, _: &[u8], _: &mut Io) {}

        fn on_end(&mut self, _: Token, _: End, _: &mut Io) {}

        fn on_mail(&mut self, (): (), io: &mut Io) {
            self.turns = Some(0);
            io.accepting(Accepting::Off);
        }

        fn next_deadline(&self) -> Option<Time> {
            self.turns.map(|_| Time(0))
        }

        fn on_turn(&mut self, io: &mut Io) {
            let Some(turns) = &mut self.turns else { return };
            *turns += 1;
            match *turns {
                1 => assert!(self.other.deal(9, 0, connection()).is_none()),
                2 => assert!(self.other.deal(9, 0, connection()).is_some(), "it has left"),
                _ => io.stop(),
            }
        }
    }

    #[test]
    fn what_is_dealt_in_the_turn_in_which_a_lane_leaves_is_opened() {
        for &engine in Engine::ALL {
            if let Err(failure) = Probe::named(engine) {
                eprintln!("SKIPPED on {engine}: {failure}");
                continue;
            }
            let (mailer, mailbox) = mailbox(1).unwrap();
            let (other, _other) = crate::mailbox::mailbox(1).unwrap();
            let mut seats = seats(&[mailer.clone(), other]);
            let last = Last { other: seats.remove(1), opened: 0, turns: None };
            let settings = Settings { seat: seats.pop(), ..Settings::default() };
            mailer.send(()).unwrap();
            let stats = Arc::default();
            let last = engine::run(engine, vec![], last, &mailbox, &settings, &stats).unwrap();
            assert_eq!(last.opened, 1, "{engine}");
        }
    }
}
