//! One way to run a case on any engine.
//!
//! In: a case, an engine or a seed. Out: the case after its run, and what the engine counted. A case that
//! doesn't end is ended, loudly.

use crate::checked::{AnyCase, Case, Checked};
use net::address::Address;
use net::engine::sim::{Faults, Setup, World};
#[cfg(feature = "os")]
use net::engine::{Engine, Failure, Probe, Settings};
use net::mailbox::{Mailer, mailbox};
use net::stats::EngineStats;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a case runs on.
#[derive(Clone, Debug)]
pub(crate) enum On {
    /// A world of this seed.
    Sim(u64, Faults),
    /// A real engine.
    #[cfg(feature = "os")]
    Kernel(Engine),
}

/// How the engine is set up.
#[derive(Clone)]
pub(crate) struct Tune {
    pub(crate) connections_max: usize,
    pub(crate) unsent_bytes_max: usize,
    pub(crate) receive_buffer_bytes: usize,
    pub(crate) receive_buffers: u16,
    pub(crate) busy_poll: Option<Duration>,
    pub(crate) deadline_watch: Duration,
    pub(crate) unix: bool,
    pub(crate) peer_addresses: bool,
    pub(crate) mails_max: usize,
}

impl Default for Tune {
    fn default() -> Tune {
        Tune {
            connections_max: 5_000,
            unsent_bytes_max: 64 * 1024,
            receive_buffer_bytes: 4096,
            receive_buffers: 64,
            busy_poll: None,
            deadline_watch: Duration::ZERO,
            unix: false,
            peer_addresses: false,
            mails_max: 16,
        }
    }
}

/// Where a case may connect to.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) here: Address,
    /// Nobody listens there.
    pub(crate) nowhere: Address,
}

/// What a run leaves behind.
pub(crate) struct Ran<C> {
    pub(crate) case: C,
    pub(crate) stats: BTreeMap<&'static str, u64>,
}

/// Somebody outside the engine's thread, called again after the time it returns, until it returns `None`.
pub(crate) trait Outside:
    FnMut(&Mailer<u64>, &EngineStats, &Places) -> Option<Duration> + Send + 'static
{
}
impl<F: FnMut(&Mailer<u64>, &EngineStats, &Places) -> Option<Duration> + Send + 'static> Outside for F {}

pub(crate) fn run<C: Case>(on: &On, tune: &Tune, case: C) -> Ran<C> {
    run_with(on, tune, case, |_: &Mailer<u64>, _: &EngineStats, _: &Places| None)
}

pub(crate) fn run_with<C: Case>(on: &On, tune: &Tune, case: C, outside: impl Outside) -> Ran<C> {
    let (case, outside) = (Box::new(case), Box::new(outside));
    let ran = match on {
        On::Sim(seed, faults) => in_world(*seed, faults, tune, case, outside),
        #[cfg(feature = "os")]
        On::Kernel(engine) => kernel::in_thread(*engine, tune, case, outside),
    };
    let Ran { case, stats } = ran;
    let case = case.finish().into_any().downcast().expect("a run gives back what it was given");
    Ran { case: *case, stats }
}

impl On {
    /// A size for real engines, or a smaller one for worlds, of which there are many.
    pub(crate) fn size(&self, kernel: usize, sim: usize) -> usize {
        match self {
            On::Sim(..) => sim,
            #[cfg(feature = "os")]
            On::Kernel(_) => kernel,
        }
    }

    pub(crate) fn is_sim(&self) -> bool {
        matches!(self, On::Sim(..))
    }

    /// Whether time passes by itself.
    pub(crate) fn is_kernel(&self) -> bool {
        !matches!(self, On::Sim(..))
    }

    #[cfg(feature = "uring")]
    pub(crate) fn is_uring(&self) -> bool {
        matches!(self, On::Kernel(Engine::Uring))
    }

    #[cfg(not(feature = "uring"))]
    pub(crate) fn is_uring(&self) -> bool {
        false
    }
}

/// The engine, unless this machine forbids it: then the test says so and passes.
#[cfg(feature = "os")]
pub(crate) fn kernel(engine: Engine) -> Option<On> {
    net::listen::raise_descriptor_limit();
    match Probe::named(engine) {
        Ok(_) => Some(On::Kernel(engine)),
        Err(failure @ (Failure::Forbidden { .. } | Failure::LockedMemory { .. })) => {
            eprintln!("SKIPPED on {engine}: {failure}");
            None
        }
        Err(failure) => panic!("{failure}"),
    }
}

/// A world's time passes only when something happens in it, so this may be long.
const WORLD_TIME_MAX: Duration = Duration::from_secs(3000);

type AnyOutside = Box<dyn FnMut(&Mailer<u64>, &EngineStats, &Places) -> Option<Duration> + Send>;

fn in_world(seed: u64, faults: &Faults, tune: &Tune, case: AnyCase, mut outside: AnyOutside) -> Ran<Checked> {
    let address = |text: &str| text.parse().unwrap();
    let places = Places { here: address("10.0.0.1:80"), nowhere: address("10.0.0.2:81") };
    let (mailer, mailbox) = mailbox(tune.mails_max).unwrap();
    let mut world = World::new(seed, faults.clone());
    let setup = Setup {
        listen: vec![places.here.clone()],
        mailbox: Some(mailbox),
        connections_max: tune.connections_max,
        unsent_bytes_max: tune.unsent_bytes_max,
        receive_buffer_bytes: tune.receive_buffer_bytes,
    };
    let host = world.add(Checked::new(case, &places, WORLD_TIME_MAX), setup);
    while let Some(wait) = outside(&mailer, world.stats(host), &places) {
        world.run_for(wait);
    }
    let outcome = world.run();
    assert!(world.is_stopped(host), "{outcome:?} at {:?} with {:?}", world.now(), world.program(host));
    let stats = world.stats(host).each().collect();
    Ran { case: world.into_program(host), stats }
}

#[cfg(feature = "os")]
mod kernel {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc;

    /// Generous: nothing here takes more than a second on an idle machine.
    const TIME_MAX: Duration = Duration::from_secs(20);
    /// For an engine that doesn't even keep deadlines.
    const HANG_MAX: Duration = Duration::from_secs(40);

    /// Runs the engine in a thread of its own, so that one that hangs fails instead of hanging the test.
    pub(crate) fn in_thread(engine: Engine, tune: &Tune, case: AnyCase, outside: AnyOutside) -> Ran<Checked> {
        let places = Places { here: free_address(tune.unix), nowhere: refusing_address() };
        let listeners = net::listen::listen(&places.here, 1).unwrap();
        let places = Places { here: listeners[0].address().clone(), ..places };
        let (mailer, mailbox) = mailbox(tune.mails_max).unwrap();
        let stats = Arc::new(EngineStats::default());
        let settings = settings(tune);
        let program = Checked::new(case, &places, TIME_MAX);
        let (done, is_done) = mpsc::channel();
        let lane = std::thread::spawn({
            let stats = stats.clone();
            move || {
                let ran = net::engine::run(engine, listeners, program, &mailbox, &settings, &stats);
                let _ = done.send(());
                ran
            }
        });
        let other = std::thread::spawn({
            let (stats, places, mut outside) = (stats.clone(), places.clone(), outside);
            move || {
                while let Some(wait) = outside(&mailer, &stats, &places) {
                    std::thread::sleep(wait);
                }
            }
        });
        if let Err(mpsc::RecvTimeoutError::Timeout) = is_done.recv_timeout(HANG_MAX) {
            panic!("{engine} hangs: {stats:?}");
        }
        let case = lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).unwrap();
        other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        net::listen::remove_socket_file(&places.here);
        Ran { case, stats: stats.each().collect() }
    }

    fn settings(tune: &Tune) -> Settings {
        Settings {
            connections_max: tune.connections_max,
            unsent_bytes_max: tune.unsent_bytes_max,
            busy_poll: tune.busy_poll,
            deadline_watch: tune.deadline_watch,
            receive_buffer_bytes: tune.receive_buffer_bytes,
            receive_buffers: tune.receive_buffers,
            peer_addresses: tune.peer_addresses,
            seat: None,
        }
    }

    fn free_address(unix: bool) -> Address {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !unix {
            return "127.0.0.1:0".parse().unwrap();
        }
        let name = format!("corelane-{}-{}.sock", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Address::Unix(std::env::temp_dir().join(name))
    }

    /// Bound and not listening, for as long as the process lives.
    fn refusing_address() -> Address {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        std::mem::forget(socket);
        Address::Tcp(address)
    }
}
