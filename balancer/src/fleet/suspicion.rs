//! What live traffic says about one server: runs of failures, over all lanes.
//!
//! In: the outcome of each request, on any lane. Out: a word to `control` when a run is long enough. In good times nothing is
//! written, so that lanes share no dirty cache line for it. Never: a verdict; that is `health`'s.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// How a try of a request at a server ended, as far as it tells about the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A whole response came, with this status.
    Answered(u16),
    /// It could not be connected to.
    ConnectFailed,
    /// The connection did not open in time.
    ConnectTimeout,
    /// It closed or reset a fresh connection before its response was complete.
    Broke,
    /// The response did not come, or did not go on, in time.
    TimedOut,
    /// What came is no HTTP/1.1 response.
    Malformed,
}

impl Outcome {
    /// What it says about the server.
    fn kind(self) -> Kind {
        match self {
            Outcome::Answered(500..=599) => Kind::Error,
            Outcome::Answered(_) => Kind::Good,
            _ => Kind::Failure,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Good,
    Error,
    Failure,
}

/// The runs of one server.
#[derive(Debug, Default)]
pub struct Suspicion {
    failures: AtomicU32,
    errors: AtomicU32,
    /// How long a run `control` wants to hear of; 0: none.
    failures_max: AtomicU32,
    errors_max: AtomicU32,
    /// `control` wants to hear of every outcome: the server is on probation.
    is_watched: AtomicBool,
}

impl Suspicion {
    /// Notes one outcome. True: tell `control` of it.
    pub fn note(&self, outcome: Outcome) -> bool {
        let told = match outcome.kind() {
            Kind::Good => {
                clear(&self.failures);
                clear(&self.errors);
                false
            }
            // An error is an answer: it ends a run of failures.
            Kind::Error => {
                clear(&self.failures);
                is_full(&self.errors, &self.errors_max)
            }
            Kind::Failure => is_full(&self.failures, &self.failures_max),
        };
        told || self.is_watched.load(Relaxed)
    }

    /// Sets how long a run is told; for `control`. 0: never.
    pub fn tell_of(&self, failures: u32, errors_5xx: u32) {
        self.failures_max.store(failures, Relaxed);
        self.errors_max.store(errors_5xx, Relaxed);
    }

    /// Has every outcome told, or not; for `control`. Runs begin anew.
    pub fn watch(&self, every_outcome: bool) {
        self.is_watched.store(every_outcome, Relaxed);
        clear(&self.failures);
        clear(&self.errors);
    }
}

fn clear(run: &AtomicU32) {
    if run.load(Relaxed) != 0 {
        run.store(0, Relaxed);
    }
}

/// Lengthens a run. True each time that it is full, when it begins anew.
fn is_full(run: &AtomicU32, max: &AtomicU32) -> bool {
    let max = max.load(Relaxed);
    let length = run.fetch_add(1, Relaxed) + 1;
    if max == 0 || length < max {
        return false;
    }
    run.store(0, Relaxed);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_failures_is_told_once_and_an_answer_ends_it() {
        let suspicion = Suspicion::default();
        suspicion.tell_of(3, 2);
        let note = |outcomes: &[Outcome]| {
            outcomes.iter().map(|&outcome| suspicion.note(outcome)).collect::<Vec<_>>()
        };
        use Outcome::{Answered, Broke, ConnectFailed, TimedOut};
        assert_eq!(note(&[Broke, TimedOut, Answered(200), Broke, Broke]), [false; 5]);
        assert_eq!(note(&[ConnectFailed, Broke]), [true, false]);
        assert_eq!(note(&[Answered(500), Broke, Answered(503)]), [false, false, true]);
        assert_eq!(note(&[Answered(500), Answered(404), Answered(500)]), [false; 3]);
    }

    #[test]
    fn a_server_on_probation_is_told_of_at_each_outcome() {
        let suspicion = Suspicion::default();
        assert!(!suspicion.note(Outcome::Answered(200)));
        suspicion.watch(true);
        assert!(suspicion.note(Outcome::Answered(200)));
        suspicion.watch(false);
        assert!(!suspicion.note(Outcome::Broke));
    }
}
