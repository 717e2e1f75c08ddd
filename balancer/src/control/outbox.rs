//! Mails to the lanes: none is lost, and nobody waits for one.
//!
//! In: mails for all lanes. Out: the same into each lane's box, at once or as soon as it has room, in order. Never: more than one fleet and
//! one mail for each server kept for a lane.

use super::limits::OUTBOX_PAUSE;
use crate::fleet::{Fleet, Server};
use crate::proxy::Mail;
use net::mailbox::{Mailer, Refused};
use net::time::Time;
use std::collections::VecDeque;
use std::sync::Arc;

/// The way to all lanes.
pub(super) struct Outbox {
    lanes: Vec<Lane>,
    retry_at: Option<Time>,
}

struct Lane {
    mailer: Mailer<Mail>,
    /// What its box had no room for.
    kept: VecDeque<Mail>,
}

impl Outbox {
    pub(super) fn new(lanes: Vec<Mailer<Mail>>) -> Outbox {
        let lane = |mailer| Lane { mailer, kept: VecDeque::new() };
        Outbox { lanes: lanes.into_iter().map(lane).collect(), retry_at: None }
    }

    /// Has every lane work by another fleet.
    pub(super) fn send_fleet(&mut self, fleet: &Arc<Fleet>, now: Time) {
        for lane in &mut self.lanes {
            // An older fleet is of no use any more, nor is a word about a server that is not in this one.
            lane.kept.retain(|mail| matches!(mail, Mail::CloseIdle(server) if has(fleet, server)));
            lane.kept.push_back(Mail::Fleet(fleet.clone()));
        }
        self.deliver(now);
    }

    /// Has every lane close its idle connections to a server.
    pub(super) fn send_close_idle(&mut self, server: &Arc<Server>, now: Time) {
        let is_it = |mail: &Mail| matches!(mail, Mail::CloseIdle(other) if Arc::ptr_eq(server, other));
        for lane in &mut self.lanes {
            lane.kept.retain(|mail| !is_it(mail));
            lane.kept.push_back(Mail::CloseIdle(server.clone()));
        }
        self.deliver(now);
    }

    /// When a full box is to be tried again.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.retry_at
    }

    /// Puts into the boxes what they have room for.
    pub(super) fn deliver(&mut self, now: Time) {
        let is_left = self.lanes.iter_mut().fold(false, |is_left, lane| !lane.deliver() | is_left);
        self.retry_at = is_left.then(|| now + OUTBOX_PAUSE);
    }
}

impl Lane {
    /// True if nothing is left.
    fn deliver(&mut self) -> bool {
        while let Some(mail) = self.kept.pop_front() {
            match self.mailer.send(mail) {
                Ok(()) => {}
                Err(Refused::Full(mail)) => {
                    self.kept.push_front(mail);
                    return false;
                }
                // The lane has ended, and with it whatever it was to do.
                Err(Refused::Closed(_)) => self.kept.clear(),
            }
        }
        true
    }
}

fn has(fleet: &Fleet, server: &Arc<Server>) -> bool {
    fleet.pools.iter().flat_map(|pool| &pool.servers).any(|other| Arc::ptr_eq(server, other))
}
