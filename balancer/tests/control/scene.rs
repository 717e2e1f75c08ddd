//! A control with its servers, two lanes that keep their mail, and a configuration that can be read again.

use crate::hosts::{Lane, Manners, Operator, SmallDesk, Target};
use balancer::config::{Check, Config, Server as Configured};
use balancer::control::{Control, Mail, ServerView, State};
use balancer::fleet::{Fleet, Outcome, Server};
use net::address::Address;
use net::engine::sim::{Faults, HostId, Setup, World};
use net::mailbox::{MAILS_MAX, Mailer, mailbox};
use net::time::Time;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) control: HostId<Control>,
    pub(crate) targets: Vec<HostId<Target>>,
    pub(crate) lanes: Vec<HostId<Lane>>,
    pub(crate) mailer: Mailer<Mail>,
    /// What is read at the next reload.
    pub(crate) file: Arc<Mutex<Result<Config, String>>>,
    pub(crate) samples: Arc<AtomicU32>,
}

impl Scene {
    /// One pool of servers that all begin with these manners.
    pub(crate) fn new(seed: u64, faults: Faults, config: Config, manners: &Manners) -> Scene {
        Scene::with_boxes(seed, faults, config, manners, MAILS_MAX)
    }

    /// The same, with lanes whose boxes hold so many mails.
    pub(crate) fn with_boxes(
        seed: u64,
        faults: Faults,
        config: Config,
        manners: &Manners,
        mails_max: usize,
    ) -> Scene {
        let mut world = World::new(seed, faults);
        let addresses: Vec<Address> =
            config.pools.iter().flat_map(|pool| &pool.servers).map(|server| server.address.clone()).collect();
        let target =
            |world: &mut World, address| world.add(Target::new(manners.clone()), Setup::listening(address));
        let targets = addresses.iter().map(|address| target(&mut world, address)).collect();
        let (mut lanes, mut doors) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            let (door, lane_box) = mailbox(mails_max).expect("a box");
            lanes.push(world.add(Lane::default(), Setup { mailbox: Some(lane_box), ..Setup::default() }));
            doors.push(door);
        }
        let file = Arc::new(Mutex::new(Ok(config.clone())));
        let samples = Arc::new(AtomicU32::new(0));
        let (mailer, control_box) = mailbox(MAILS_MAX).expect("a box");
        let read = file.clone();
        let load = Box::new(move || read.lock().expect("no test panics with it").clone());
        let desk = Box::new(SmallDesk { samples: samples.clone() });
        let fleet = Arc::new(Fleet::new(config, 2));
        let control = Control::new(fleet, doors, load, desk, seed);
        let setup = Setup { mailbox: Some(control_box), ..Setup::listening(&admin()) };
        let control = world.add(control, setup);
        Scene { world, control, targets, lanes, mailer, file, samples }
    }

    /// Runs up to this many milliseconds since the start.
    pub(crate) fn until(&mut self, ms: u64) {
        self.world.run_until(at(ms));
    }

    pub(crate) fn fleet(&self) -> Arc<Fleet> {
        self.world.program(self.control).fleet().clone()
    }

    pub(crate) fn server(&self, n: usize) -> Arc<Server> {
        self.fleet().pools[0].servers[n].clone()
    }

    pub(crate) fn view(&self, n: usize) -> ServerView {
        self.world.program(self.control).servers()[0][n].clone()
    }

    pub(crate) fn state(&self, n: usize) -> State {
        self.view(n).state
    }

    pub(crate) fn states(&self) -> Vec<State> {
        let servers = self.world.program(self.control).servers();
        servers.into_iter().flatten().map(|server| server.state).collect()
    }

    /// The weights of the first pool's servers, as a pick sees them.
    pub(crate) fn weights(&self) -> Vec<u32> {
        self.fleet().pools[0].loads.iter().map(|load| load.weight()).collect()
    }

    pub(crate) fn said(&self, n: usize) -> String {
        self.view(n).check.map(|check| check.said).unwrap_or_default()
    }

    pub(crate) fn set_manners(&mut self, n: usize, manners: Manners) {
        self.world.program_mut(self.targets[n]).manners = manners;
    }

    pub(crate) fn asked(&self, n: usize) -> &[Time] {
        &self.world.program(self.targets[n]).asked
    }

    /// A lane sees an outcome, as `proxy` would; true if it told the control.
    pub(crate) fn see(&mut self, server: &Arc<Server>, outcome: Outcome) -> bool {
        let is_told = server.suspicion.note(outcome);
        if is_told {
            self.mail(Mail::Told { server: server.clone(), outcome, took: Duration::ZERO });
        }
        is_told
    }

    /// The same three times: a run that is long enough by default.
    pub(crate) fn see_three(&mut self, server: &Arc<Server>, outcome: Outcome) {
        (0..3).for_each(|_| {
            self.see(server, outcome);
        });
    }

    pub(crate) fn mail(&mut self, mail: Mail) {
        self.mailer.send(mail).unwrap_or_else(|_| panic!("the control's box is full, or it has ended"));
        self.world.run_for(Duration::from_millis(1));
    }

    /// An operator connects and sends these bytes.
    pub(crate) fn send(&mut self, bytes: impl Into<Vec<u8>>) -> HostId<Operator> {
        let setup = Setup { unsent_bytes_max: 1 << 30, ..Setup::default() };
        self.world.add(Operator::new(&admin(), bytes), setup)
    }

    /// An operator asks for a path, and gets this answer.
    pub(crate) fn ask(&mut self, path: &str) -> (u16, String) {
        let operator = self.send(format!("POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"));
        self.world.run_for(Duration::from_millis(200));
        let (status, body, _) = self.world.program(operator).answers[0].clone();
        (status, body)
    }

    /// Another configuration is read; returns what an operator is told.
    pub(crate) fn reload(&mut self, config: Result<Config, String>) -> (u16, String) {
        *self.file.lock().expect("no test panics with it") = config;
        self.ask("/reload")
    }
}

pub(crate) fn at(ms: u64) -> Time {
    Time(ms * 1_000_000)
}

fn admin() -> Address {
    "10.0.9.9:9090".parse().expect("an address")
}

/// A server of the test's network, named by its number.
pub(crate) fn configured(n: usize) -> Configured {
    let address: Address = format!("10.0.{}.{}:80", n / 200, n % 200 + 1).parse().expect("an address");
    Configured { name: format!("s{n}"), address, weight: 1, maxconn: Some(100) }
}

/// A pool of so many servers, checked by `GET /up` every 2 s, in doubt every half second, without jitter.
pub(crate) fn config(servers: usize) -> Config {
    let mut config = Config::for_one_pool(&[]);
    let pool = &mut config.pools[0];
    pool.name = "app".to_owned();
    pool.servers = (0..servers).map(configured).collect();
    let path = Some("/up".to_owned());
    pool.check = Some(Check { path, host: "app.test".to_owned(), jitter: 0.0, ..Check::default() });
    config
}

/// The same without checks.
pub(crate) fn unchecked(servers: usize) -> Config {
    let mut config = config(servers);
    config.pools[0].check = None;
    config
}
