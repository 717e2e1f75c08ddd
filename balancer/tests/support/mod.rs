//! What the end-to-end tests share: the real binaries as child processes, clients that check every answer.
//!
//! Everything waits with a bound, asks the kernel for its ports, and ends its children when a test fails. Never: expects
//! anything to be fast.

#![allow(dead_code, reason = "each file of tests uses its part of it")]
#![allow(unreachable_pub, reason = "it is compiled into each file of tests")]

pub mod child;
pub mod ledger;
pub mod metrics;
pub mod noise;
pub mod peers;
pub mod tools;
pub mod wire;

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up; a slow machine should never reach it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Each case as one test per engine. A case takes the engine's name.
#[allow(unused_macros, reason = "each file of tests uses its part of it")]
macro_rules! each_engine {
    ($($case:ident)*) => {
        one_engine!("epoll" epoll "epoll" $($case)*);
        one_engine!("uring" uring "uring" $($case)*);
        one_engine!("monoio" monoio "monoio" $($case)*);
        one_engine!("monoio" monoio_epoll "monoio-epoll" $($case)*);
        one_engine!("glommio" glommio "glommio" $($case)*);
    };
}

/// As `each_engine`, for cases that take long and say little about the engine: ours alone, where the build has one.
#[allow(unused_macros, reason = "each file of tests uses its part of it")]
macro_rules! each_own_engine {
    ($($case:ident)*) => {
        one_engine!("epoll" epoll "epoll" $($case)*);
        one_engine!("uring" uring "uring" $($case)*);
        #[cfg(not(any(feature = "epoll", feature = "uring")))]
        one_engine!("monoio" monoio "monoio" $($case)*);
        #[cfg(not(any(feature = "epoll", feature = "uring")))]
        one_engine!("glommio" glommio "glommio" $($case)*);
    };
}

#[allow(unused_macros, reason = "as above")]
macro_rules! one_engine {
    ($feature:tt $module:ident $name:tt $($case:ident)*) => {
        #[cfg(feature = $feature)]
        mod $module {
            $(#[test] fn $case() {
                if crate::support::permits($name) {
                    super::$case($name);
                }
            })*
        }
    };
}

/// Whether this machine permits an engine of this build; if not, says so.
pub fn permits(name: &str) -> bool {
    use net::engine::{Engine, Failure, Probe};
    let engine = *Engine::ALL.iter().find(|engine| engine.name() == name).expect("an engine of this build");
    // In a thread of its own: the kernel takes a ring apart later, by interrupting the thread that made it.
    match std::thread::spawn(move || Probe::named(engine)).join().expect("a probe doesn't panic") {
        Ok(_) => true,
        Err(failure @ (Failure::Forbidden { .. } | Failure::LockedMemory { .. })) => {
            skipped(&failure.to_string());
            false
        }
        Err(failure) => panic!("{name} is permitted and fails: {failure}"),
    }
}

/// Whether this machine has IPv6 on its loopback; if not, says so.
pub fn has_ipv6() -> bool {
    let bound = std::net::TcpListener::bind("[::1]:0");
    if let Err(error) = &bound {
        skipped(&format!("no IPv6 here: {error}"));
    }
    bound.is_ok()
}

/// Says that a test, or a part of it, was not run; also where the test runner captures what tests print.
pub fn skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // A closed stderr has no reader to tell.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}

/// Waits for what should become true soon.
pub fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A file that is gone when the test is over.
pub struct Scratch(pub PathBuf);

impl Scratch {
    /// A path in the temporary directory that no other test uses; short, as a Unix socket's has to be.
    pub fn new(name: &str) -> Scratch {
        use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let unique = format!("balancer-{}-{}-{name}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        Scratch(std::env::temp_dir().join(unique))
    }

    pub fn with(name: &str, text: impl AsRef<[u8]>) -> Scratch {
        let scratch = Scratch::new(name);
        scratch.write(text);
        scratch
    }

    pub fn write(&self, text: impl AsRef<[u8]>) {
        std::fs::write(&self.0, text).expect("a temporary file can be written");
    }

    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("a path of ours is text")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = std::fs::remove_file(&self.0);
    }
}
