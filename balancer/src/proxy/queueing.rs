//! Requests that wait for a place: every server of their pool is full.
//!
//! In: requests that found none, places that were given back, here or on another lane. Out: tries, in the order of arrival. Never: longer
//! than the pool's limits, or a place that stays free while somebody waits for it.

use super::answers::Own;
use super::front::Passing;
use super::{Lane, Mail, Proxy, QUEUE_CHECK, get, up};
use crate::fleet::Fault;
use crate::pick::Refused;
use net::engine::{Io, Token};
use net::time::Time;

impl Proxy {
    /// The request waits, if there is room to.
    pub(super) fn enqueue(&mut self, token: Token, io: &mut Io) {
        let Some(front) = get(&mut self.fronts, token) else { return };
        let number = front.exchange.pool;
        let Some(pool) = self.lane.pools.pool_mut(number) else { return };
        if pool.queue.len() >= pool.config.queue.length_max {
            let own = Own::of_fault(Fault::QueueFull, Some(&pool.config));
            return self.answer(token, own, io);
        }
        pool.queue.push_back(token);
        pool.shared.waiting.begin(self.lane.number);
        front.exchange.stage = Passing::Queued;
        let limit = pool.limits.queue;
        self.lane.deadlines.set(token, limit, io.now());
        up(&self.lane.stats().queued);
        // A place that was given back just before was told to nobody.
        self.lane.freed.push(number);
        self.lane.queue_checked = io.now();
        self.steer(token, io);
    }

    /// Gives the places that became free to those who wait.
    pub(super) fn serve_queues(&mut self, io: &mut Io) {
        if self.lane.queue_check().is_some_and(|due| due <= io.now()) {
            self.lane.queue_checked = io.now();
            self.lane.freed.extend(self.lane.pools.numbers());
        }
        while let Some(number) = self.lane.freed.pop() {
            self.serve_queue(number, io);
        }
    }

    fn serve_queue(&mut self, number: u32, io: &mut Io) {
        while let Some(token) = self.lane.pools.pool(number).and_then(|pool| pool.queue.front().copied()) {
            let Some(front) = get(&mut self.fronts, token) else {
                self.lane.leave_queue(token, number);
                continue;
            };
            if front.exchange.generation != self.lane.generation {
                front.exchange.generation = self.lane.generation;
                front.exchange.tried.clear();
            }
            let picked = self.lane.pools.pick(number, &front.exchange.tried);
            if picked == Err(Refused::AllFull) {
                return;
            }
            self.lane.leave_queue(token, number);
            self.lane.deadlines.clear(token);
            match picked {
                Ok((at, server)) => self.send_to(token, at, server, io),
                Err(_) => self.try_next(token, io),
            }
            self.steer(token, io);
        }
    }
}

impl Lane {
    /// The request waits no more, for whatever reason.
    pub(super) fn leave_queue(&mut self, token: Token, number: u32) {
        let lane = self.number;
        let Some(pool) = self.pools.pool_mut(number) else { return };
        if let Some(at) = pool.queue.iter().position(|&waiting| waiting == token) {
            pool.queue.remove(at);
            if pool.queue.is_empty() {
                pool.shared.waiting.end(lane);
            }
            super::down(&self.stats().queued);
        }
    }

    /// A place was given back: whoever waits for one is to look, on this lane or on the next one that has somebody waiting.
    pub(super) fn room_at(&mut self, number: u32) {
        let Some(pool) = self.pools.pool(number) else { return };
        let Some(lane) = pool.shared.waiting.next_after(self.number, self.lanes.len()) else { return };
        // Another one has its turn, so that lanes with many requests don't keep all places. If it has no use for it, the check comes.
        let is_told = lane != self.number && self.lanes[lane].send(Mail::Room).is_ok();
        if !is_told {
            self.freed.push(number);
        }
    }

    /// When those who wait look by themselves.
    pub(super) fn queue_check(&self) -> Option<Time> {
        let waits = self.stats().queued.get() > 0;
        waits.then(|| self.queue_checked + QUEUE_CHECK)
    }
}
