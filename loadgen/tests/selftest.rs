//! The self-test, as a user runs it, without what only measures the machine.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use loadgen::selftest::{Place, Result, prove};
use net::engine::{Engine, Probe};
use net::percore::Cores;
use std::sync::atomic::AtomicBool;

#[test]
fn the_generator_proves_itself_on_every_engine() {
    // It takes long: ours, or whichever the build has.
    for &engine in &Engine::ALL[..Engine::ALL.len().min(2)] {
        if let Err(failure) = Probe::named(engine) {
            eprintln!("SKIPPED on {engine}: {failure}");
            continue;
        }
        let place = Place::new(&Cores::All, engine).unwrap();
        let findings =
            prove(&place, true, &AtomicBool::new(false), |finding| eprintln!("{finding:?}")).unwrap();
        assert!(findings.len() > 8);
        let failed: Vec<_> = findings.iter().filter(|finding| finding.result != Result::Pass).collect();
        assert!(failed.is_empty(), "{engine}: {failed:?}");
    }
}
