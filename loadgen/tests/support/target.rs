//! The self-test's target, in the test's process: its faults are known, and counted.

use loadgen::selftest::target::{Behaviour, Counts, RunningTarget, start};
use net::engine::Engine;

/// A target that runs.
pub struct Target(RunningTarget);

impl Target {
    /// One without a core of its own: the tests share theirs.
    pub fn new(behaviour: Behaviour) -> Target {
        // One that works everywhere, if there is one; which the target has is not what is tested.
        let engine = Engine::ALL.iter().find(|engine| engine.name().ends_with("epoll"));
        let engine = engine.or(Engine::ALL.first()).expect("a build has an engine");
        Target(start(behaviour, None, *engine).expect("the target starts"))
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
