//! A lane as the world sees it: a process that starts, takes turns, hangs, dies and starts again.

use super::{Lane, Life, Sends};
use crate::engine::sim::Setup;
use crate::engine::sim::net::{Event, Leave, Net, News};
use crate::engine::{Io, Program};
use crate::stats::EngineStats;
use crate::time::Time;
use std::any::Any;
use std::collections::VecDeque;

/// A lane whose program's type the world has forgotten.
pub(in crate::engine::sim) trait Host {
    fn life(&self) -> Life;
    fn revive(&mut self, net: &mut Net);
    fn hang(&mut self);
    fn kill(&mut self, net: &mut Net);
    fn collect_mail(&mut self, net: &mut Net);
    fn hear(&mut self, news: News, net: &mut Net);
    fn turn(&mut self, net: &mut Net);
    fn stats(&self) -> &EngineStats;
    fn program(&self) -> &dyn Any;
    fn program_mut(&mut self) -> &mut dyn Any;
    fn into_program(self: Box<Self>) -> Box<dyn Any>;
    /// Replaces a dead program by one of the same type.
    fn restart(&mut self, program: Box<dyn Any>, net: &mut Net);
}

impl<P: Program + 'static> Host for Lane<P> {
    fn life(&self) -> Life {
        self.life
    }

    fn revive(&mut self, net: &mut Net) {
        if self.life == Life::Hung {
            self.life = Life::Running;
            self.schedule(net.now, net);
        }
    }

    fn hang(&mut self) {
        if self.life == Life::Running {
            self.life = Life::Hung;
        }
    }

    fn kill(&mut self, net: &mut Net) {
        net.unlisten(self.number);
        for conn in std::mem::take(&mut self.conns).into_iter().flatten() {
            net.leave(conn.plug, Leave::Reset);
        }
        self.life = Life::Killed;
    }

    fn collect_mail(&mut self, net: &mut Net) {
        let Some(mailbox) = &self.setup.mailbox else { return };
        if !matches!(self.life, Life::Running | Life::Fresh) {
            return;
        }
        let before = self.mails.len();
        self.mails.extend(std::iter::from_fn(|| mailbox.take()));
        if self.mails.len() > before {
            let at = net.soon();
            self.schedule(at, net);
        }
    }

    fn hear(&mut self, news: News, net: &mut Net) {
        if matches!(self.life, Life::Running | Life::Fresh | Life::Hung) {
            self.news.push(news);
            self.schedule(net.now, net);
        }
    }

    fn turn(&mut self, net: &mut Net) {
        // A turn that was scheduled and then moved forward, or one of a host that is dead.
        if self.turn_at.is_none_or(|at| at > net.now) {
            return;
        }
        self.turn_at = None;
        let began = net.now;
        match self.life {
            Life::Fresh => {
                self.life = Life::Running;
                self.read_clocks(net);
                self.program.on_start(&mut self.io);
                self.settle(net);
            }
            Life::Running if self.is_due(net) => self.run_turn(net),
            Life::Running => {}
            Life::Hung | Life::Stopped | Life::Killed => return,
        }
        if self.io.is_stopping() {
            self.end_all(net);
        }
        // The lane was busy until now; the other hosts were not.
        self.busy_until = std::mem::replace(&mut net.now, began);
        if self.life != Life::Running {
            return;
        }
        if self.has_work() {
            self.schedule(net.now, net);
        } else if let Some(due) = [self.program.next_deadline(), self.resume_at].into_iter().flatten().min() {
            self.schedule(due, net);
        }
    }

    fn stats(&self) -> &EngineStats {
        &self.stats
    }

    fn program(&self) -> &dyn Any {
        &self.program
    }

    fn program_mut(&mut self) -> &mut dyn Any {
        &mut self.program
    }

    fn into_program(self: Box<Self>) -> Box<dyn Any> {
        Box::new(self.program)
    }

    fn restart(&mut self, program: Box<dyn Any>, net: &mut Net) {
        let Ok(program) = program.downcast::<P>() else { return };
        let setup = std::mem::take(&mut self.setup);
        *self = Lane::start(self.number, *program, setup, net);
    }
}

impl<P: Program + 'static> Lane<P> {
    pub(in crate::engine::sim) fn start(
        number: usize,
        program: P,
        setup: Setup<P::Mail>,
        net: &mut Net,
    ) -> Lane<P> {
        let mut lane = Lane {
            number,
            life: Life::Fresh,
            turn_at: None,
            busy_until: net.now,
            news: Vec::new(),
            mails: VecDeque::new(),
            conns: Vec::new(),
            sends: if net.rng.chance(0.5) { Sends::AtOnce } else { Sends::Later },
            resume_at: None,
            full: false,
            buffer: Vec::new(),
            io: Io::new(setup.unsent_bytes_max),
            setup,
            program,
            stats: EngineStats::default(),
        };
        lane.begin(net);
        lane
    }

    fn begin(&mut self, net: &mut Net) {
        for (listener, address) in self.setup.listen.iter().enumerate() {
            net.listen(self.number, listener, address.clone());
        }
        self.schedule(net.now, net);
    }

    fn schedule(&mut self, at: Time, net: &mut Net) {
        let at = at.max(self.busy_until).max(net.now);
        if self.turn_at.is_none_or(|earlier| at < earlier) {
            self.turn_at = Some(at);
            net.push(at, Event::Turn(self.number));
        }
    }
}
