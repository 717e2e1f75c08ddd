//! The self-test's target, in the test's process: its faults are known, and counted.

use loadgen::selftest::target::{Behaviour, Counts, RunningTarget, start};
use net::engine::Engine;

/// A target that runs.
pub struct Target(RunningTarget);

impl Target {
    /// One without a core of its own: the tests share theirs.
    pub fn new(behaviour: Behaviour) -> Target {
        // The engine that works everywhere; which one the target has is not what is tested.
        #[cfg(feature = "epoll")]
        let engine = Engine::Epoll;
        #[cfg(not(feature = "epoll"))]
        let engine = Engine::Uring;
        Target(start(behaviour, None, engine).expect("the target starts"))
    }

    /// Where sums are served.
    pub fn url(&self) -> String {
        format!("http://{}/add", self.0.address)
    }

    /// Where it listens, as host and port.
    pub fn address(&self) -> String {
        self.0.address.to_string()
    }

    /// Ends it, and says what it did.
    pub fn stop(self) -> Counts {
        self.0.stop().expect("the target ends well")
    }
}
