//! A fleet comes into force: at the start, after a reload, and in a process that replaces another.
//!
//! In: the fleet. Out: for each of its servers what is known of it: as before where it stays, small at first where it joins others that work.
//! Never: a server that stays forgotten, or one that is gone given work.

use super::Moment;
use super::adapting::Adapting;
use super::judge::{Judge, Judged, Note, Wish};
use super::knowledge::Knowledge;
use super::view::Admin;
use crate::config;
use crate::fleet::{Fleet, Pool, Server};
use crate::health::{Health, Rules};
use net::time::UnixSeconds;
use std::sync::Arc;

impl Judge {
    /// The process starts: every server is up until something says otherwise, or as the process that this one replaces knows it.
    pub(super) fn begin(&mut self, at: Moment) {
        for server in self.fleet.clone().pools.iter().flat_map(|pool| &pool.servers) {
            if let Some(known) = self.remembered.of(server) {
                let (admin, weight) = (known.admin(), known.weight);
                *self.wish_mut(server) = Wish { admin, weight };
            }
        }
        self.adopt(self.fleet.clone(), at);
        self.remembered = Knowledge::default();
    }

    /// The configuration changed: what is known of servers that stay is kept, lanes are told.
    pub(super) fn replace(&mut self, fleet: Arc<Fleet>, at: Moment) {
        let old = self.fleet.clone();
        self.adopt(fleet, at);
        self.outbox.send_fleet(&self.fleet, at.now);
        for server in old.pools.iter().flat_map(|pool| &pool.servers) {
            if self.find(server).is_none() {
                // Lanes that have not read their mail yet stop here.
                server.load.set_weight(0);
                server.suspicion.tell_of(0, 0);
                server.suspicion.watch(false);
            }
        }
    }

    fn adopt(&mut self, fleet: Arc<Fleet>, at: Moment) {
        let old_fleet = std::mem::replace(&mut self.fleet, fleet.clone());
        let mut old = std::mem::take(&mut self.pools);
        for (pool, config) in fleet.pools.iter().zip(&fleet.config.pools) {
            let was = old_fleet.pools.iter().position(|old| old.name == pool.name);
            let was = was.and_then(|n| Some((&old_fleet.pools[n], old.get_mut(n)?)));
            let judged = self.judged(pool, config, was, at);
            self.pools.push(judged);
        }
        (0..self.pools.len()).for_each(|n| self.learn_rules(n, at));
    }

    fn judged(
        &self,
        pool: &Arc<Pool>,
        config: &config::Pool,
        was: Option<(&Arc<Pool>, &mut Judged)>,
        at: Moment,
    ) -> Judged {
        let rules = Rules::of(config);
        let mut judged = Judged::empty();
        judged.adapting = Adapting::for_pool(config, pool, at.now);
        let mut kept: Vec<Option<(Health, Note)>> = vec![None; pool.servers.len()];
        if let Some((old_pool, old)) = was {
            for (server, kept) in pool.servers.iter().zip(&mut kept) {
                let stays = old_pool.servers.iter().position(|other| Arc::ptr_eq(server, other));
                *kept = stays.and_then(|n| Some((old.health.take(n, at.now)?, old.notes[n].clone())));
            }
            judged.is_failing_open = old.health.is_failing_open();
            // What was learned of servers holds beside the same ones.
            if judged.adapting.is_some() && is_same(old_pool, pool) && old.adapting.is_some() {
                judged.adapting = old.adapting.take();
            }
        }
        for (server, kept) in pool.servers.iter().zip(&mut kept).filter(|(_, kept)| kept.is_none()) {
            *kept = self.remembered.of(server).map(|known| known.health()).map(|health| {
                let age = at.now.since(health.since()).as_secs();
                let since_wall = UnixSeconds(at.wall.0.saturating_sub(age));
                (health, Note { since_wall, check: None, order: None })
            });
        }
        if let Some(adapting) = &mut judged.adapting {
            let factor = |server: &Arc<Server>| self.remembered.of(server).and_then(|known| known.factor);
            let factors: Vec<Option<f64>> = pool.servers.iter().map(factor).collect();
            adapting.resume(&factors);
        }
        // A slow start is slow beside others; where nobody else has the work, it would only be too little.
        let is_carried =
            kept.iter().flatten().any(|(health, _)| health.works() && health.admin() == Admin::Ready);
        for ((server, config), kept) in pool.servers.iter().zip(&config.servers).zip(kept) {
            let (health, note) = kept.unwrap_or_else(|| {
                let note = Note { since_wall: at.wall, check: None, order: None };
                (if is_carried { Health::added(&rules, at.now) } else { Health::up(at.now) }, note)
            });
            let wish = self.wish(server);
            judged.health.push(health, wish.weight.unwrap_or(config.weight), config.maxconn);
            judged.health.set_admin(judged.notes.len(), wish.admin, &rules, at.now);
            judged.notes.push(note);
            server.suspicion.tell_of(rules.passive.failures, rules.passive.errors_5xx);
        }
        judged
    }

    fn learn_rules(&mut self, pool: usize, at: Moment) {
        let fleet = self.fleet.clone();
        let changes = self.pools[pool].health.on_rules(&Rules::of(&fleet.config.pools[pool]), at.now);
        self.apply(pool, changes, at);
    }
}

fn is_same(old: &Pool, new: &Pool) -> bool {
    let pairs = || old.servers.iter().zip(&new.servers);
    old.servers.len() == new.servers.len() && pairs().all(|(old, new)| Arc::ptr_eq(old, new))
}
