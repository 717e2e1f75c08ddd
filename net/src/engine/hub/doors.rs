//! What comes from outside of connections: mail, and peers who want in.
//!
//! The mailbox's bell and the listeners are in an epoll set of their own, and the runtime watches that one descriptor:
//! all of this is rare compared with bytes, and a peer that waits in a backlog is lost to nobody when the watch ends
//! (an accept under way that is given up may have taken one).

use crate::engine::Failure;
use crate::listen::Listener;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const BELL: u64 = u64::MAX;

pub(super) struct Doors {
    set: OwnedFd,
    listeners: Vec<Listener>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Peers wait in the backlog.
    Shut,
    Open,
    /// The listeners are gone.
    Gone,
}

/// Something to look after.
pub(super) enum Ring {
    Bell,
    Listener(usize),
}

impl Doors {
    pub(super) fn new(listeners: Vec<Listener>, bell: BorrowedFd<'_>) -> Result<Doors, Failure> {
        let set = epoll::create(CreateFlags::CLOEXEC)
            .map_err(|e| Failure::system("epoll_create1 (out of descriptors? see ulimit -n)")(e.into()))?;
        epoll::add(&set, bell, EventData::new_u64(BELL), EventFlags::IN)
            .map_err(|e| Failure::system("epoll_ctl for the mailbox")(e.into()))?;
        for listener in &listeners {
            listener.set_nonblocking().map_err(Failure::system("make the listener non-blocking"))?;
        }
        Ok(Doors { set, listeners, stage: Stage::Shut })
    }

    /// A descriptor that is readable while there is something to look after.
    pub(super) fn descriptor(&self) -> Result<OwnedFd, Failure> {
        self.set.try_clone().map_err(Failure::system("dup (out of descriptors? see ulimit -n)"))
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    pub(super) fn listener(&self, index: usize) -> Option<&Listener> {
        self.listeners.get(index).filter(|_| self.stage == Stage::Open)
    }

    /// What there is to look after now. At most one look per bell and listener; what is left comes again.
    pub(super) fn rings(&self) -> Result<Vec<Ring>, Failure> {
        let mut events = Vec::with_capacity(self.listeners.len() + 1);
        let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        match epoll::wait(&self.set, rustix::buffer::spare_capacity(&mut events), Some(&now)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Failure::system("epoll_wait")(error.into())),
        }
        let ring = |event: &Event| match event.data.u64() {
            BELL => Ring::Bell,
            index => Ring::Listener(index as usize),
        };
        Ok(events.iter().map(ring).collect())
    }

    pub(super) fn open(&mut self) -> Result<(), Failure> {
        if self.stage == Stage::Shut {
            self.stage = Stage::Open;
            for (index, listener) in self.listeners.iter().enumerate() {
                epoll::add(&self.set, listener.as_fd(), EventData::new_u64(index as u64), EventFlags::IN)
                    .map_err(|e| Failure::system("epoll_ctl for a listener")(e.into()))?;
            }
        }
        Ok(())
    }

    /// True if they were open.
    pub(super) fn shut(&mut self) -> Result<bool, Failure> {
        if self.stage != Stage::Open {
            return Ok(false);
        }
        self.stage = Stage::Shut;
        for listener in &self.listeners {
            epoll::delete(&self.set, listener.as_fd())
                .map_err(|e| Failure::system("epoll_ctl for a listener")(e.into()))?;
        }
        Ok(true)
    }

    /// For ever: the listeners, whose backlogs are still to be emptied.
    pub(super) fn take(&mut self) -> Result<Vec<Listener>, Failure> {
        self.shut()?;
        self.stage = Stage::Gone;
        Ok(std::mem::take(&mut self.listeners))
    }
}
