//! What a running service is asked for by signals: to end, to read its configuration again, to leave its place to a new process.
//!
//! In: signals. Out: a service's own way to do each, at the right moment, and the service manager told. Never: two of them at once; a service
//! that is ending does nothing else.

use crate::handover;
use crate::listen::Handle;
use crate::notify;
use crate::service::{self, Failure};
use crate::signals::{Signal, on_signal};
use crate::supervise::Announcer;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How a service does what it is asked for.
pub trait Orders: Send + Sync + 'static {
    /// Finish what there is, and end.
    fn drain(&self);

    /// Read the configuration again, if there is anything to read. It is done when this returns, and what was done is said in words.
    ///
    /// # Errors
    /// Why everything stays as it was.
    fn reload(&self) -> Result<String, String>;

    /// What the process that takes over should know.
    fn knowledge(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Another process serves on the same sockets: accept nothing more, for operators neither, finish what there is, and end.
    fn step_back(&self);
}

/// Obeys: drains at the first SIGTERM or SIGINT, ends the process at the second, reloads at SIGHUP, hands over at SIGUSR2. `handles` are of
/// all sockets that the service listens on.
///
/// # Errors
/// Signals can't be caught.
pub fn obey(orders: impl Orders, handles: Vec<Handle>, announcer: Announcer) -> Result<(), Failure> {
    let service =
        Arc::new(Obedient { orders, handles, announcer, work: Mutex::new(Work::Serve), one: Mutex::new(()) });
    let act = move |signal| match signal {
        Signal::Stop => service.stop(),
        Signal::Reload => service.clone().beside("reload", Obedient::reload),
        Signal::HandOver => service.clone().beside("handover", Obedient::hand_over),
    };
    on_signal(act).map_err(Failure::to("catch signals"))
}

struct Obedient<O> {
    orders: O,
    handles: Vec<Handle>,
    announcer: Announcer,
    work: Mutex<Work>,
    /// Reloads and hand-overs come one after another.
    one: Mutex<()>,
}

/// What a service is at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Serve,
    /// Another process serves; this one drains.
    SteppedBack,
    Drain,
}

impl<O: Orders> Obedient<O> {
    fn stop(&self) {
        let was = std::mem::replace(&mut *self.work(), Work::Drain);
        match was {
            Work::Serve => {
                tracing::info!("draining; a second signal ends at once");
                self.announcer.stopping();
                self.orders.drain();
            }
            // A service manager's signal goes to all processes of the service, also to one that was replaced.
            Work::SteppedBack => tracing::info!("draining already; a second signal ends at once"),
            Work::Drain => {
                tracing::warn!("second signal: ending at once");
                self.handles.iter().for_each(Handle::remove_socket_file);
                std::process::exit(0);
            }
        }
    }

    /// A state that a panic can't leave half changed: a poisoned lock is a lock.
    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// On a thread of its own: the signals' thread must hear the next one.
    fn beside(self: Arc<Self>, name: &str, work: fn(&Self)) {
        let run = move || {
            let _alone = self.one.lock().unwrap_or_else(PoisonError::into_inner);
            let is_serving = *self.work() == Work::Serve;
            if is_serving {
                work(&self);
            } else {
                tracing::warn!("it is ending: neither reloads nor hands over");
            }
        };
        if let Err(error) = service::spawn(name, run) {
            tracing::error!(%error, "everything stays as it is");
        }
    }

    /// Whether it was serving until now.
    fn steps_back(&self) -> bool {
        let mut work = self.work();
        let was_serving = *work == Work::Serve;
        if was_serving {
            *work = Work::SteppedBack;
        }
        was_serving
    }

    fn reload(&self) {
        notify::reloading();
        match self.orders.reload() {
            Ok(done) => notify::ready(&format!("reloaded: {done}")),
            Err(why) => notify::ready(&format!("not reloaded, all is as before: {why}")),
        }
    }

    fn hand_over(&self) {
        notify::reloading();
        tracing::info!("handing over: the program is started anew");
        let replaced_by = |process| {
            self.announcer.replaced_by(process);
            tracing::info!(process, "another process serves now: draining");
        };
        match handover::hand_over(&self.handles, &self.orders.knowledge(), replaced_by) {
            Ok(()) => {
                // One that was asked to end meanwhile drains already.
                if self.steps_back() {
                    self.orders.step_back();
                }
            }
            Err(why) => {
                tracing::error!(why, "nobody takes over: this process goes on");
                notify::ready("nobody took over: see the log");
            }
        }
    }
}
