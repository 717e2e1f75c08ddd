//! Accepting: registered while there is room, and ended without losing whom the kernel let in.

use super::{FIRST_LISTENER, Lane};
use crate::engine::os::DESCRIPTOR_PAUSE;
use crate::engine::{Accepting, Failure, Program, Seat};
use crate::listen;
use mio::Interest;
use mio::unix::SourceFd;
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Accepts in one turn from one listener: peers that keep connecting must not hold the lane.
const ACCEPTS_PER_TURN: usize = 256;

impl<P: Program> Lane<'_, P> {
    pub(super) fn accept(&mut self, index: usize) -> Result<(), Failure> {
        for _ in 0..ACCEPTS_PER_TURN {
            if !self.listeners.get(index).is_some_and(|door| door.armed) {
                return Ok(());
            }
            if self.is_full() || self.io.wants_accept() != Accepting::On {
                break;
            }
            match self.listeners[index].listener.accept() {
                Ok(fd) => self.keep_or_deal(index, fd),
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) if listen::is_out_of_descriptors(error.raw_os_error()) => {
                    if self.resume_at.is_none() {
                        self.stats.descriptor_pauses.one();
                        listen::log_out_of_descriptors(self.stats.descriptor_pauses.get());
                    }
                    self.resume_at = Some(self.io.now() + DESCRIPTOR_PAUSE);
                    break;
                }
                Err(error) if listen::is_fatal_to_accept(error.raw_os_error()) => {
                    return Err(Failure::system("accept")(error.into()));
                }
                // One peer's trouble (ECONNABORTED and the like).
                Err(_) => {}
            }
        }
        // There may be more, and no new edge will say so: registering again (in `settle`) does.
        self.disarm_listeners()
    }

    /// Opens a connection here, or on the lane that has the fewest.
    fn keep_or_deal(&mut self, listener: usize, fd: OwnedFd) {
        let kept = match &self.settings.seat {
            Some(seat) => seat.deal(self.io.in_use(), listener, fd),
            None => Some(fd),
        };
        match kept {
            Some(fd) => self.open(listener, fd),
            None => self.stats.deals.one(),
        }
    }

    /// Nothing is dealt to this lane any more. What was, was promised a connection.
    pub(super) fn leave_table(&mut self) {
        self.settings.seat.iter().for_each(Seat::close);
        self.take_dealt();
    }

    /// Opens what other lanes dealt to this one.
    pub(super) fn take_dealt(&mut self) {
        let Some(seat) = &self.settings.seat else { return };
        while let Some((listener, fd)) = seat.take() {
            self.open(listener, fd);
            seat.opened(self.io.in_use());
        }
    }

    /// Arms, disarms or ends accepting.
    pub(super) fn settle_accepting(&mut self) -> Result<(), Failure> {
        if self.resume_at.is_some_and(|at| at <= self.io.now()) {
            self.resume_at = None;
        }
        let takes = self.io.wants_accept() == Accepting::On && !self.is_full() && self.resume_at.is_none();
        if let Some(seat) = &self.settings.seat {
            seat.tell(takes.then(|| self.io.in_use()));
        }
        match self.io.wants_accept() {
            Accepting::Off => self.close_listeners(),
            Accepting::On if takes => self.arm_listeners(),
            Accepting::On | Accepting::Paused => self.disarm_listeners(),
        }
    }

    fn arm_listeners(&mut self) -> Result<(), Failure> {
        for index in 0..self.listeners.len() {
            if !self.listeners[index].armed {
                self.listeners[index].armed = true;
                let fd = self.listeners[index].listener.as_fd().as_raw_fd();
                self.register(mio::Token(FIRST_LISTENER + index), fd, Interest::READABLE)
                    .map_err(Failure::system("epoll_ctl for a listener"))?;
            }
        }
        Ok(())
    }

    fn disarm_listeners(&mut self) -> Result<(), Failure> {
        let full = self.is_full();
        let mut any = false;
        for door in self.listeners.iter_mut().filter(|door| door.armed) {
            door.armed = false;
            any = true;
            let fd = door.listener.as_fd().as_raw_fd();
            let gone = self.poll.registry().deregister(&mut SourceFd(&fd));
            gone.map_err(Failure::system("epoll_ctl for a listener"))?;
        }
        if any && full {
            self.stats.connection_pauses.one();
        }
        Ok(())
    }

    /// What waits in the backlog was promised a connection: it is taken before the listener closes.
    fn close_listeners(&mut self) -> Result<(), Failure> {
        self.disarm_listeners()?;
        for (index, door) in std::mem::take(&mut self.listeners).into_iter().enumerate() {
            for fd in door.listener.accept_backlog() {
                self.open(index, fd);
            }
        }
        self.leave_table();
        Ok(())
    }
}
