//! Accepted connections go to the lane with the fewest, on every engine, and none is lost on the way.

#![cfg(feature = "os")]
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use net::engine::{self, Accepting, Close, End, Engine, Io, Opened, Probe, Program, Settings, Token};
use net::listen;
use net::mailbox::{Mailbox, Mailer, mailbox};
use net::stats::EngineStats;
use net::time::Time;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

const LANES: usize = 3;

/// Says its number to whoever connects.
struct Greeter {
    lane: u8,
    open: usize,
    ending: Ending,
}

#[derive(Clone, Copy, PartialEq)]
enum Ending {
    No,
    /// In this turn: the backlog is taken when it is over.
    Asked,
    Soon,
}

impl Program for Greeter {
    type Mail = ();

    fn on_open(&mut self, token: Token, _: Opened, io: &mut Io) {
        self.open += 1;
        io.out(token).push(self.lane);
    }

    fn on_bytes(&mut self, _: Token, _: &[u8], _: &mut Io) {}

    fn on_eof(&mut self, token: Token, io: &mut Io) {
        io.close(token, Close::AfterFlush);
    }

    fn on_end(&mut self, _: Token, _: End, _: &mut Io) {
        self.open -= 1;
    }

    fn on_mail(&mut self, (): (), io: &mut Io) {
        self.ending = Ending::Asked;
        io.accepting(Accepting::Off);
    }

    fn next_deadline(&self) -> Option<Time> {
        (self.ending != Ending::No && self.open == 0).then_some(Time(0))
    }

    fn on_turn(&mut self, io: &mut Io) {
        match self.ending {
            Ending::Soon if self.open == 0 => io.stop(),
            Ending::Asked => self.ending = Ending::Soon,
            Ending::No | Ending::Soon => {}
        }
    }
}

struct Lanes {
    address: SocketAddr,
    mailers: Vec<Mailer<()>>,
    stats: Vec<Arc<EngineStats>>,
    threads: Vec<JoinHandle<()>>,
}

/// Lanes of which the first `listening` have a listener.
fn start(engine: Engine, listening: usize) -> Lanes {
    let (mailers, boxes): (Vec<_>, Vec<Mailbox<()>>) = (0..LANES).map(|_| mailbox(4).unwrap()).unzip();
    let mut listeners = listen::listen(&"127.0.0.1:0".parse().unwrap(), listening).unwrap().into_iter();
    let mut lanes = Lanes { address: SocketAddr::from(([0; 4], 0)), mailers, stats: vec![], threads: vec![] };
    for ((lane, mailbox), seat) in boxes.into_iter().enumerate().zip(engine::seats(&lanes.mailers)) {
        let own: Vec<_> = listeners.next().into_iter().collect();
        if let Some(net::address::Address::Tcp(address)) = own.first().map(|own| own.address()) {
            lanes.address = *address;
        }
        let stats = Arc::new(EngineStats::default());
        lanes.stats.push(stats.clone());
        lanes.threads.push(spawn(move || {
            let settings = Settings { seat: Some(seat), ..Settings::default() };
            let program = Greeter { lane: lane as u8, open: 0, ending: Ending::No };
            engine::run(engine, own, program, &mailbox, &settings, &stats).unwrap();
        }));
    }
    lanes
}

impl Lanes {
    fn end(self) {
        self.mailers.iter().for_each(|mailer| mailer.send(()).unwrap());
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

fn engines() -> impl Iterator<Item = Engine> {
    Engine::ALL.iter().copied().filter(|&engine| match Probe::named(engine) {
        Ok(_) => true,
        Err(failure) => {
            eprintln!("SKIPPED on {engine}: {failure}");
            false
        }
    })
}

fn greeted(client: &mut TcpStream) -> std::io::Result<u8> {
    client.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut lane = [0];
    client.read_exact(&mut lane)?;
    Ok(lane[0])
}

#[test]
fn connections_of_one_listener_are_dealt_evenly_and_stay_so_when_some_leave() {
    for engine in engines() {
        let lanes = start(engine, 1);
        let connect = || {
            let mut client = TcpStream::connect(lanes.address).unwrap();
            (greeted(&mut client).unwrap(), client)
        };
        let mut clients: Vec<(u8, TcpStream)> = (0..30).map(|_| connect()).collect();
        let count = |clients: &[(u8, TcpStream)], lane| clients.iter().filter(|(at, _)| *at == lane).count();
        assert_eq!([0, 1, 2].map(|lane| count(&clients, lane)), [10; 3], "{engine}");
        // All of one lane leave; those that come next go there.
        clients.retain(|(lane, _)| *lane != 1);
        while lanes.stats[1].ends.get() < 10 {
            std::thread::sleep(Duration::from_millis(1));
        }
        clients.extend((0..9).map(|_| connect()));
        assert!(count(&clients, 1) >= 8, "{engine}: {}", count(&clients, 1));
        drop(clients);
        let stats = lanes.stats[0].clone();
        lanes.end();
        assert!(stats.deals.get() >= 28, "{engine}: {}", stats.deals.get());
    }
}

#[test]
fn who_is_connected_is_served_although_the_lanes_end() {
    for engine in engines() {
        for round in 0..50 {
            let lanes = start(engine, 1);
            let clients: Vec<_> = (0..20).map(|_| TcpStream::connect(lanes.address).unwrap()).collect();
            // Some wait in the backlog, some are on their way from lane to lane, some are open.
            let mut mailers = lanes.mailers.clone();
            mailers.rotate_left(round % LANES);
            mailers.iter().for_each(|mailer| mailer.send(()).unwrap());
            for mut client in clients {
                greeted(&mut client).unwrap_or_else(|error| panic!("{engine}, round {round}: {error}"));
            }
            lanes.threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
    }
}
