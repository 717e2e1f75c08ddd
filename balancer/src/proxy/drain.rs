//! The end of a lane: no new connections, what is under way is finished, idle connections get a last chance.

use super::{Lane, Proxy};
use crate::fleet::Fault;
use net::engine::{Accepting, Io, Token};
use net::time::Time;

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drain {
    /// It hasn't been asked for.
    Off,
    /// This very turn: what waits in the backlog is yet to be opened.
    Asked { idle_until: Time, until: Time },
    /// Idle connections may still bring a request until `idle_until`.
    Idling { idle_until: Time, until: Time },
    /// Only what is under way is waited for.
    Finishing { until: Time },
}

impl Drain {
    pub(super) fn is_off(self) -> bool {
        self == Drain::Off
    }

    pub(super) fn is_finishing(self) -> bool {
        matches!(self, Drain::Finishing { .. })
    }

    /// When it is to be looked at again.
    pub(super) fn next(self, open: usize) -> Option<Time> {
        match self {
            Drain::Off => None,
            Drain::Idling { .. } if open == 0 => Some(Time(0)),
            Drain::Asked { idle_until, until } | Drain::Idling { idle_until, until } => {
                Some(idle_until.min(until))
            }
            Drain::Finishing { until } => Some(until),
        }
    }

    /// A turn has passed.
    pub(super) fn turn(&mut self) {
        if let Drain::Asked { idle_until, until } = *self {
            *self = Drain::Idling { idle_until, until };
        }
    }
}

impl Lane {
    /// Begins to drain.
    pub(super) fn drain(&mut self, io: &mut Io) {
        if self.drain.is_off() {
            let until = io.now() + self.config.front.drain_timeout;
            let idle_until = io.now() + self.config.front.drain_idle;
            self.drain = Drain::Asked { idle_until, until };
            io.accepting(Accepting::Off);
        }
    }

    pub(super) fn stop_if_drained(&self, io: &mut Io) {
        if self.open == 0 && self.drain.is_finishing() {
            io.stop();
        }
    }
}

impl Proxy {
    /// What is due of a drain.
    pub(super) fn meet_drain(&mut self, io: &mut Io) {
        let now = io.now();
        match self.lane.drain {
            Drain::Idling { .. } if self.lane.open == 0 => io.stop(),
            Drain::Idling { until, .. } | Drain::Finishing { until } if now >= until => {
                let open = self.lane.open;
                tracing::warn!(open, "the drain timeout has passed: what is still open is cut off");
                // Each sees that it was cut: the end of a connection may look like the end of a response.
                let busy = self.fronts.iter().flatten().filter(|(_, front)| front.exchange.is_under_way());
                let busy: Vec<Token> = busy.map(|&(token, _)| token).collect();
                busy.into_iter().for_each(|token| self.give_up(token, Fault::Draining, io));
                io.stop();
            }
            // A turn that brought bytes may have left some unread, and what looks idle may wait for the lane: idle
            // connections are closed in the first quiet turn.
            Drain::Idling { idle_until, until } if now >= idle_until && !self.lane.heard => {
                self.lane.drain = Drain::Finishing { until };
                let idle = self.fronts.iter().flatten().filter(|(_, front)| front.is_idle());
                let idle: Vec<Token> = idle.map(|&(token, _)| token).collect();
                idle.into_iter().for_each(|token| self.close_front(token, io));
                self.lane.stop_if_drained(io);
            }
            _ => {}
        }
    }
}
