//! A world with clients, a balancer of two lanes, and servers.

use super::actor::{Act, Actor};
use super::client::{Client, Manners};
use super::request::Shape;
use super::server::{Script, Server};
use balancer::config::Config;
use balancer::control::{self, Answer, Command, Control, Desk, View};
use balancer::fleet::{Fault, Fleet};
use balancer::proxy::{Links, Mail, Proxy};
use net::address::Address;
use net::engine::sim::{Faults, HostId, Outcome, Rng, Setup, World};
use net::http1::{Request, Status};
use net::mailbox::{MAILS_MAX, Mailbox, Mailer, mailbox};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const LANES: usize = 2;
const SERVERS: usize = 3;
/// Unsent output of one connection of a lane over which the other side is not read.
pub(crate) const UNSENT_BYTES_MAX: usize = 4096;

pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) lanes: Vec<HostId<Proxy>>,
    pub(crate) servers: Vec<HostId<Server>>,
    pub(crate) actors: Vec<HostId<Actor>>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) doors: Vec<Mailer<Mail>>,
    pub(crate) rng: Rng,
    clients: Vec<HostId<Client>>,
    address: Address,
    /// Without a control nobody reads it: what lanes tell is lost then.
    control_box: Option<Mailbox<control::Mail>>,
}

/// Where the n-th server is.
pub(crate) fn back(n: usize) -> Address {
    format!("10.0.1.{n}:80").parse().unwrap()
}

impl Scene {
    /// Three servers with this script.
    pub(crate) fn new(seed: u64, faults: Faults, script: Script, set: impl Fn(&mut Config)) -> Scene {
        let mut scene = Scene::bare(seed, faults, SERVERS, LANES, set);
        for n in 0..SERVERS {
            scene.add_server(n, script.clone());
        }
        scene
    }

    /// Lanes that know so many servers, of which none is there.
    pub(crate) fn bare(
        seed: u64,
        faults: Faults,
        servers: usize,
        lanes: usize,
        set: impl Fn(&mut Config),
    ) -> Scene {
        let address: Address = "10.0.0.1:80".parse().unwrap();
        let backs: Vec<Address> = (0..servers).map(back).collect();
        let mut config = Config::for_one_pool(&backs);
        config.listeners[0].address = address.clone();
        config.front.linger_timeout = Duration::from_secs(5);
        set(&mut config);
        let mut world = World::new(seed, faults);
        let fleet = Arc::new(Fleet::new(config, lanes));
        let (control_door, control_box) = mailbox(MAILS_MAX).unwrap();
        let (doors, boxes): (Vec<_>, Vec<_>) = (0..lanes).map(|_| mailbox(MAILS_MAX).unwrap()).unzip();
        let mut hosts = Vec::new();
        for (number, door) in boxes.into_iter().enumerate() {
            let links = Links {
                number,
                lanes: doors.clone(),
                control: control_door.clone(),
                log: None,
                seed: seed ^ (number as u64) << 20,
            };
            let setup = Setup {
                mailbox: Some(door),
                unsent_bytes_max: UNSENT_BYTES_MAX,
                ..Setup::listening(&address)
            };
            hosts.push(world.add(Proxy::new(&fleet, links), setup));
        }
        Scene {
            world,
            lanes: hosts,
            servers: Vec::new(),
            actors: Vec::new(),
            fleet,
            doors,
            rng: Rng::new(seed),
            clients: Vec::new(),
            address,
            control_box: Some(control_box),
        }
    }

    pub(crate) fn add_server(&mut self, n: usize, script: Script) {
        let server = Server::new(script, self.rng.any());
        self.servers.push(self.world.add(server, Setup::listening(&back(n))));
    }

    /// The n-th server plays these parts.
    pub(crate) fn add_back(&mut self, n: usize, parts: &[&[Act]]) -> HostId<Actor> {
        self.actors.push(self.world.add(Actor::server(parts), Setup::listening(&back(n))));
        self.actors[self.actors.len() - 1]
    }

    /// A client that plays this part.
    pub(crate) fn add_front(&mut self, part: &[Act]) -> HostId<Actor> {
        let setup = Setup { unsent_bytes_max: 1 << 30, ..Setup::default() };
        self.actors.push(self.world.add(Actor::client(&self.address, part), setup));
        self.actors[self.actors.len() - 1]
    }

    pub(crate) fn add_clients(&mut self, manners: &[Manners], shape: Shape) {
        for &manners in manners {
            let client = Client::new(self.clients.len(), manners, &self.address, shape, &mut self.rng);
            let setup = Setup { unsent_bytes_max: 1 << 30, ..Setup::default() };
            self.clients.push(self.world.add(client, setup));
        }
    }

    /// The control joins in. From now on the world never rests: it is run for a time.
    pub(crate) fn add_control(&mut self, seed: u64) -> HostId<Control> {
        let config = (*self.fleet.config).clone();
        let load = Box::new(move || Ok(config.clone()));
        let control = Control::new(self.fleet.clone(), self.doors.clone(), load, Box::new(NoDesk), seed);
        self.world.add(control, Setup { mailbox: self.control_box.take(), ..Setup::default() })
    }

    pub(crate) fn mail(&self, mail: &Mail) {
        for door in &self.doors {
            door.send(mail.clone()).unwrap_or_else(|_| panic!("a lane's box is full, or it has ended"));
        }
    }

    /// Runs until nothing will happen any more.
    pub(crate) fn run(&mut self) {
        assert_ne!(self.world.run(), Outcome::TimeUp);
    }

    pub(crate) fn clients(&self) -> impl Iterator<Item = &Client> {
        self.clients.iter().map(|&client| self.world.program(client))
    }

    /// How often servers processed each request, by its method and name.
    pub(crate) fn seen(&self) -> std::collections::BTreeMap<String, usize> {
        let mut seen = std::collections::BTreeMap::new();
        for &server in &self.servers {
            for (name, count) in &self.world.program(server).seen {
                *seen.entry(name.clone()).or_default() += count;
            }
        }
        seen
    }

    /// How many requests ended so.
    pub(crate) fn faults(&self, fault: Fault) -> u64 {
        self.fleet.lanes.iter().map(|lane| lane.faults[fault as usize].get()).sum()
    }

    pub(crate) fn all_faults(&self) -> Vec<(Fault, u64)> {
        let all = Fault::ALL.iter().map(|&fault| (fault, self.faults(fault)));
        all.filter(|&(_, count)| count > 0).collect()
    }

    pub(crate) fn assert_nothing_is_left(&self, seed: u64) {
        self.assert_no_request_is_left(seed);
        for &lane in &self.lanes {
            let proxy = self.world.program(lane);
            assert_eq!(proxy.open(), 0, "seed {seed}: clients' connections leaked");
            assert_eq!(proxy.open_backs(), 0, "seed {seed}: servers' connections leaked");
            assert_eq!(self.world.stats(lane).open(), 0, "seed {seed}: the engine's count is off");
        }
        for &server in &self.servers {
            assert_eq!(self.world.program(server).open(), 0, "seed {seed}: a server's connection is left");
        }
        for &actor in &self.actors {
            assert_eq!(self.world.program(actor).open(), 0, "seed {seed}: a peer's connection is left");
        }
    }

    /// No request is under way, waits, or holds anything.
    pub(crate) fn assert_no_request_is_left(&self, seed: u64) {
        for (number, stats) in self.fleet.lanes.iter().enumerate() {
            for (name, cell) in [
                ("active", &stats.active),
                ("queued", &stats.queued),
                ("tunnels", &stats.tunnels),
                ("front", &stats.front_open),
            ] {
                assert_eq!(cell.get(), 0, "seed {seed}: {name}");
            }
            for server in self.fleet.pools.iter().flat_map(|pool| &pool.servers) {
                assert_eq!(server.lanes[number].open.get(), 0, "seed {seed}: open");
                assert_eq!(server.lanes[number].idle.get(), 0, "seed {seed}: idle");
            }
        }
        for pool in &self.fleet.pools {
            let places: Vec<u32> = pool.loads.iter().map(|load| load.in_flight()).collect();
            assert!(places.iter().all(|&places| places == 0), "seed {seed}: places leaked: {places:?}");
            assert_eq!(pool.retries.load(Relaxed), 0, "seed {seed}: a retry leaked");
            assert_eq!(pool.waiting.next_after(0, LANES), None, "seed {seed}: a lane is said to wait");
        }
    }
}

/// Nobody asks it anything here.
struct NoDesk;

impl Desk for NoDesk {
    fn answer(
        &mut self,
        _: &Request<'_>,
        _: &View<'_>,
        _: &mut dyn FnMut(Command) -> Result<String, String>,
    ) -> Answer {
        Answer { status: Status::NOT_FOUND, content_type: "text/plain", fields: Vec::new(), body: Vec::new() }
    }

    fn sample(&mut self, _: &View<'_>) {}
}
