//! The task that turns: deadlines, `on_turn`, connects and accepting, when whoever had something to tell has told it.
//!
//! Tasks run in the order they are woken, so this one, woken by the first that tells something, runs behind all that
//! were woken by the same look at the kernel. Never: runs while nothing happens and nothing is due.

use super::Hub;
use super::lane::Lane;
use super::runtime::Runtime;
use crate::engine::Program;
use crate::engine::os::{Spin, Until};
use crate::time::{Time, real};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

pub(super) async fn turns<R: Runtime, P: Program + 'static>(hub: Rc<Hub<R, P>>) {
    let spin = if R::SPINS { None } else { hub.lane().settings.busy_poll };
    let mut rest = Rest { spin: Spin::new(spin), alarm: None };
    while hub.turn() {
        rest.until_due(&hub).await;
    }
}

/// What goes on between turns.
struct Rest<R: Runtime> {
    spin: Spin,
    /// Kept over turns for as long as it isn't late: deadlines mostly move away.
    alarm: Option<Alarm<R>>,
}

struct Alarm<R: Runtime> {
    at: Time,
    sleep: Pin<Box<R::Sleep>>,
}

impl<R: Runtime> Rest<R> {
    /// Returns when something has happened, or a deadline has come; not without a look at the kernel.
    async fn until_due<P: Program>(&mut self, hub: &Hub<R, P>) {
        let mut has_looked = false;
        loop {
            let (wait, now) = due_in(&hub.lane());
            let until = hub.lane().settings.until(wait, R::SLEEP_GRAIN);
            match until {
                _ if wait == Some(Duration::ZERO) && has_looked => return,
                _ if wait == Some(Duration::ZERO) => hub.runtime().pass().await,
                Until::Watch(time) => drop(watch(hub, time).await),
                Until::Sleep(wait) => self.sleep(hub, now, wait).await,
            }
            has_looked = true;
        }
    }

    async fn sleep<P: Program>(&mut self, hub: &Hub<R, P>, now: Time, wait: Option<Duration>) {
        if let Some(budget) = self.spin.next() {
            hub.lane().stats.spins.one();
            let found = watch(hub, budget.min(wait.unwrap_or(budget))).await;
            self.spin.ended(found);
            if found {
                return hub.lane().stats.spin_hits.one();
            }
        }
        if let Some(wait) = wait {
            let at = now + wait;
            if self.alarm.as_ref().is_none_or(|alarm| alarm.at > at) {
                self.alarm = Some(Alarm { at, sleep: Box::pin(hub.runtime().sleep(wait)) });
            }
        }
        let rang = poll_fn(|cx| {
            if hub.lane().poll_turn(cx).is_ready() {
                return Poll::Ready(false);
            }
            match &mut self.alarm {
                Some(alarm) => alarm.sleep.as_mut().poll(cx).map(|_| true),
                None => Poll::Pending,
            }
        })
        .await;
        if rang {
            self.alarm = None;
        }
    }
}

/// How long it is to the next turn, if that is known, and what time it is.
fn due_in<P: Program>(lane: &Lane<P>) -> (Option<Duration>, Time) {
    let due = lane.next_due();
    let now = if due.is_some() { real::now() } else { lane.io.now() };
    match lane.is_turn_due() {
        true => (Some(Duration::ZERO), now),
        false => (due.map(|due| due.since(now)), now),
    }
}

/// Looks without sleeping for at most `time`. True if something has happened.
async fn watch<R: Runtime, P: Program>(hub: &Hub<R, P>, time: Duration) -> bool {
    let begin = real::now();
    loop {
        hub.runtime().pass().await;
        let (found, spent) = (hub.lane().is_turn_due(), real::now() - begin);
        if found || spent >= time {
            hub.lane().stats.spin_nanoseconds.add(spent.as_nanos() as u64);
            return found;
        }
    }
}
