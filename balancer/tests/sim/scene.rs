//! A world with clients, a balancer of two lanes, and three servers.

use super::client::{Client, Manners};
use super::request::Shape;
use super::server::{Script, Server};
use balancer::config::Config;
use balancer::control;
use balancer::fleet::Fleet;
use balancer::proxy::{Links, Mail, Proxy};
use net::address::Address;
use net::engine::sim::{Faults, HostId, Outcome, Rng, Setup, World};
use net::mailbox::{MAILS_MAX, Mailbox, Mailer, mailbox};
use std::sync::Arc;
use std::time::Duration;

const LANES: usize = 2;
const SERVERS: usize = 3;

pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) lanes: Vec<HostId<Proxy>>,
    pub(crate) servers: Vec<HostId<Server>>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) doors: Vec<Mailer<Mail>>,
    clients: Vec<HostId<Client>>,
    address: Address,
    rng: Rng,
    /// Nobody reads it: what lanes tell the control is lost here.
    _control: Mailbox<control::Mail>,
}

impl Scene {
    pub(crate) fn new(seed: u64, faults: Faults, script: Script, set: impl Fn(&mut Config)) -> Scene {
        let address: Address = "10.0.0.1:80".parse().unwrap();
        let backs: Vec<Address> = (0..SERVERS).map(|n| format!("10.0.1.{n}:80").parse().unwrap()).collect();
        let mut config = Config::for_one_pool(&backs);
        config.listeners[0].address = address.clone();
        config.front.linger_timeout = Duration::from_secs(5);
        set(&mut config);
        let mut world = World::new(seed, faults);
        let servers = backs
            .iter()
            .enumerate()
            .map(|(n, back)| world.add(Server::new(script.clone(), seed ^ n as u64), Setup::listening(back)))
            .collect();
        let unsent_bytes_max = 4096;
        let fleet = Arc::new(Fleet::new(config, LANES));
        let (control, _control) = mailbox(MAILS_MAX).unwrap();
        let (doors, boxes): (Vec<_>, Vec<_>) = (0..LANES).map(|_| mailbox(MAILS_MAX).unwrap()).unzip();
        let mut lanes = Vec::new();
        for (number, door) in boxes.into_iter().enumerate() {
            let links = Links {
                number,
                lanes: doors.clone(),
                control: control.clone(),
                log: None,
                seed: seed ^ (number as u64) << 20,
            };
            let setup = Setup { mailbox: Some(door), unsent_bytes_max, ..Setup::listening(&address) };
            lanes.push(world.add(Proxy::new(&fleet, links), setup));
        }
        Scene {
            world,
            lanes,
            servers,
            fleet,
            doors,
            clients: Vec::new(),
            address,
            rng: Rng::new(seed),
            _control,
        }
    }

    pub(crate) fn add_clients(&mut self, manners: &[Manners], shape: Shape) {
        for &manners in manners {
            let client = Client::new(self.clients.len(), manners, &self.address, shape, &mut self.rng);
            let setup = Setup { unsent_bytes_max: 1 << 30, ..Setup::default() };
            self.clients.push(self.world.add(client, setup));
        }
    }

    pub(crate) fn run(&mut self) {
        assert_ne!(self.world.run(), Outcome::TimeUp);
    }

    pub(crate) fn clients(&self) -> impl Iterator<Item = &Client> {
        self.clients.iter().map(|&client| self.world.program(client))
    }

    pub(crate) fn assert_nothing_is_left(&self, seed: u64) {
        for (number, &lane) in self.lanes.iter().enumerate() {
            let proxy = self.world.program(lane);
            assert_eq!(proxy.open(), 0, "seed {seed}: clients' connections leaked");
            assert_eq!(proxy.open_backs(), 0, "seed {seed}: servers' connections leaked");
            assert_eq!(self.world.stats(lane).open(), 0, "seed {seed}: the engine's count is off");
            let stats = &self.fleet.lanes[number];
            for (name, cell) in [
                ("active", &stats.active),
                ("queued", &stats.queued),
                ("tunnels", &stats.tunnels),
                ("front", &stats.front_open),
            ] {
                assert_eq!(cell.get(), 0, "seed {seed}: {name}");
            }
            for server in &self.fleet.pools[0].servers {
                assert_eq!(server.lanes[number].open.get(), 0, "seed {seed}: open");
                assert_eq!(server.lanes[number].idle.get(), 0, "seed {seed}: idle");
            }
        }
        for load in &self.fleet.pools[0].loads {
            assert_eq!(load.in_flight(), 0, "seed {seed}: a place leaked");
        }
        for pool in &self.fleet.pools {
            let retries = pool.retries.load(std::sync::atomic::Ordering::Relaxed);
            assert_eq!(retries, 0, "seed {seed}: a retry leaked");
        }
        for &server in &self.servers {
            assert_eq!(self.world.program(server).open(), 0, "seed {seed}: a server's connection is left");
        }
    }
}
