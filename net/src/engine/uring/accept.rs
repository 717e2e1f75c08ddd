//! Accepting: armed while there is room, parked when there is none, and ended without losing whom the kernel let in.

use super::Lane;
use super::ring::{Completion, Ring};
use crate::engine::os::DESCRIPTOR_PAUSE;
use crate::engine::{Accepting, Failure, Program, Seat};
use crate::listen;
use std::os::fd::{AsFd, OwnedFd};

impl<P: Program> Lane<'_, P> {
    pub(super) fn on_accepted(&mut self, listener: usize, completion: Completion) -> Result<(), Failure> {
        let door = &mut self.listeners[listener];
        if !completion.more && door.accept == Some(completion.id) {
            door.accept = None;
        }
        match completion.result {
            Ok(fd) => {
                let fd = Ring::adopt(fd);
                let Some(fd) = self.deal(listener, fd) else { return Ok(()) };
                if self.is_full() || self.io.wants_accept() == Accepting::Paused {
                    self.parked.push_back((listener, fd));
                } else {
                    self.open(listener, fd);
                }
            }
            // Closed by us.
            Err(_) if self.listeners[listener].listener.is_none() => {}
            Err(error) if listen::is_out_of_descriptors(error) => {
                if self.resume_at.is_none() {
                    self.stats.descriptor_pauses.one();
                    listen::log_out_of_descriptors(self.stats.descriptor_pauses.get());
                }
                self.resume_at = Some(self.io.now() + DESCRIPTOR_PAUSE);
            }
            Err(error) if listen::is_fatal_to_accept(error) => {
                return Err(Failure::system("accept")(std::io::Error::from_raw_os_error(error)));
            }
            // One peer's trouble (ECONNABORTED and the like), or our own cancel.
            Err(_) => {}
        }
        Ok(())
    }

    /// Gives a connection to the lane with the fewest; back, if that is this one, or none is asked.
    fn deal(&self, listener: usize, fd: OwnedFd) -> Option<OwnedFd> {
        let seat = self.settings.seat.as_ref().filter(|_| self.io.wants_accept() != Accepting::Off);
        let Some(seat) = seat else { return Some(fd) };
        let kept = seat.deal(self.io.in_use(), listener, fd);
        if kept.is_none() {
            self.stats.deals.one();
        }
        kept
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

    /// Arms, cancels or ends accepting.
    pub(super) fn settle_accepting(&mut self) {
        if self.resume_at.is_some_and(|at| at <= self.io.now()) {
            self.resume_at = None;
        }
        while self.io.wants_accept() != Accepting::Paused
            && !self.is_full()
            && let Some((listener, fd)) = self.parked.pop_front()
        {
            self.open(listener, fd);
            while let Some(token) = self.io.next_touched() {
                self.settle_conn(token);
            }
        }
        let full = self.is_full();
        if let Some(seat) = &self.settings.seat {
            let takes = self.io.wants_accept() == Accepting::On && !full && self.resume_at.is_none();
            seat.tell(takes.then(|| self.io.in_use()));
        }
        match self.io.wants_accept() {
            Accepting::Off => self.close_listeners(),
            Accepting::On if !full && self.resume_at.is_none() => self.arm_listeners(),
            Accepting::On | Accepting::Paused => self.cancel_accepts(full),
        }
    }

    fn arm_listeners(&mut self) {
        for (index, door) in self.listeners.iter_mut().enumerate() {
            if let (None, Some(listener)) = (door.accept, &door.listener) {
                door.accept = Some(self.ring.accept(index, listener.as_fd(), self.stats));
            }
        }
    }

    fn cancel_accepts(&mut self, full: bool) {
        let armed = self.listeners.iter_mut().filter_map(|door| door.accept.take());
        let mut any = false;
        for id in armed {
            self.ring.cancel(id, self.stats);
            any = true;
        }
        if any && full {
            self.stats.connection_pauses.one();
        }
    }

    /// What waits in the backlog was promised a connection: it is taken before the listener closes.
    fn close_listeners(&mut self) {
        self.cancel_accepts(false);
        for index in 0..self.listeners.len() {
            let Some(listener) = self.listeners[index].listener.take() else { continue };
            for fd in listener.accept_backlog() {
                self.open(index, fd);
            }
            // The accept under way would hold the socket open until its cancel is submitted.
            listener.refuse();
        }
        while let Some((listener, fd)) = self.parked.pop_front() {
            self.open(listener, fd);
        }
        self.leave_table();
        while let Some(token) = self.io.next_touched() {
            self.settle_conn(token);
        }
    }
}
