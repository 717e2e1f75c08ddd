//! The simulator itself: the same seed makes the same run, and its faults really occur.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use net::address::Address;
use net::engine::sim::{Faults, HostId, Outcome, Setup, World};
use net::engine::{Close, End, Io, Opened, Program, Token};
use net::mailbox::{Mailer, mailbox};
use net::time::Time;
use std::time::Duration;

#[test]
fn the_same_seed_makes_the_same_run_and_another_seed_another() {
    let trace = |seed| {
        let (mut world, caller, _) = pair(seed, Faults::hostile(), 20);
        world.run();
        (world.trace(), world.now(), world.program(caller).ends.clone())
    };
    for seed in 0..100 {
        assert_eq!(trace(seed), trace(seed));
        assert_ne!(trace(seed).0, trace(seed + 1).0);
    }
}

#[test]
fn rough_worlds_cut_and_delay_and_lose_nothing() {
    let (mut pieces, mut short_sends, mut held_back) = (0, 0, 0);
    for seed in 0..200 {
        let (mut world, caller, callee) = pair(seed, Faults::rough(), 3);
        world.run_for(Duration::from_secs(60));
        assert_eq!(world.program(caller).heard, 3 * BYTES, "seed {seed}");
        assert_eq!(world.program(caller).ends, [End::Closed; 3]);
        pieces = pieces.max(world.program(callee).pieces);
        short_sends += world.stats(callee).short_sends.get();
        held_back += world.stats(callee).backpressure_pauses.get();
    }
    assert!(pieces > BYTES, "some connection crumbles: {pieces}");
    assert!(short_sends > 100 && held_back > 100, "{short_sends} {held_back}");
}

#[test]
fn hostile_worlds_refuse_reset_and_fall_silent() {
    let (mut refused, mut reset, mut silent) = (0, 0, 0);
    for seed in 0..300 {
        let (mut world, caller, _) = pair(seed, Faults::hostile(), 5);
        world.run();
        let program = world.program(caller);
        refused += program.ends.iter().filter(|end| matches!(end, End::ConnectFailed(_))).count();
        reset += program.ends.iter().filter(|end| **end == End::Reset).count();
        silent += 5 - program.ends.len();
        assert!(program.ends.len() <= 5);
    }
    assert!(refused > 10 && reset > 10 && silent > 0, "{refused} {reset} {silent}");
}

#[test]
fn time_passes_only_as_far_as_events_need_it() {
    let (mut world, caller, _) = pair(1, Faults::calm(), 1);
    assert!(world.run_to(Duration::from_secs(1), |world| world.program(caller).heard == BYTES));
    assert!(world.now() < Time(5_000_000), "{:?}", world.now());
    assert_eq!(world.run_for(Duration::from_secs(86_400)), Outcome::Idle);
    assert!(world.now() >= Time(86_400_000_000_000));
}

#[test]
fn a_killed_host_resets_and_refuses_until_it_is_restarted() {
    let (mut world, caller, callee) = pair(1, Faults::calm(), 2);
    let mailer = world.program(caller).mailer.clone();
    assert!(world.run_to(Duration::from_secs(1), |world| world.program(caller).heard > 0));
    world.kill(callee);
    world.run();
    assert_eq!(world.program(caller).ends, [End::Reset, End::Reset]);
    mailer.send(Order::Connect).unwrap();
    world.run();
    assert_eq!(world.program(caller).ends[2..], [End::ConnectFailed(111)]);
    world.restart(callee, Talk::new(None, 0, mailer.clone()));
    mailer.send(Order::Connect).unwrap();
    world.run();
    assert_eq!(world.program(caller).ends[3..], [End::Closed]);
}

#[test]
fn a_hung_host_still_completes_connects_and_goes_on_later() {
    let (mut world, caller, callee) = pair(1, Faults::calm(), 0);
    let mailer = world.program(caller).mailer.clone();
    world.run();
    world.hang(callee);
    mailer.send(Order::Connect).unwrap();
    assert_eq!(world.run_for(Duration::from_secs(10)), Outcome::Idle);
    assert_eq!((world.program(caller).opened, world.program(caller).heard), (1, 0));
    world.resume(callee);
    world.run();
    assert_eq!(world.program(caller).ends, [End::Closed]);
    mailer.send(Order::Stop).unwrap();
    world.kill(callee);
    assert_eq!(world.run(), Outcome::Stopped);
}

#[test]
fn a_full_backlog_refuses_at_a_unix_socket_and_is_tried_again_over_tcp() {
    for (address, ends) in [("unix:/a", vec![End::ConnectFailed(11)]), ("10.0.0.1:80", vec![])] {
        let mut world = World::new(1, Faults::calm());
        let (mailer, mails) = mailbox(1).unwrap();
        let address: Address = address.parse().unwrap();
        let callee = world.add(Talk::new(None, 0, mailer.clone()), Setup::listening(&address));
        world.run();
        world.hang(callee);
        let calling = Setup { mailbox: Some(mails), ..Setup::default() };
        let caller = world.add(Talk::new(Some(address), 4097, mailer), calling);
        world.run_for(Duration::from_secs(1));
        assert_eq!((world.program(caller).opened, &world.program(caller).ends), (4096, &ends));
        world.resume(callee);
        world.run();
        assert_eq!(world.program(caller).opened, 4097 - ends.len());
    }
}

#[test]
fn lanes_that_share_an_address_share_its_connections() {
    let (mut world, caller, first) = pair(3, Faults::calm(), 40);
    let mailer = world.program(caller).mailer.clone();
    let second = world.add(Talk::new(None, 0, mailer), Setup::listening(&here()));
    world.run();
    let accepts = |host: HostId<Talk>| world.stats(host).accepts.get();
    assert_eq!(accepts(first) + accepts(second), 40);
    assert!(accepts(first) > 5 && accepts(second) > 5);
}

const BYTES: usize = 3000;

fn here() -> Address {
    "10.0.0.1:80".parse().unwrap()
}

/// A caller with so many connections, and a callee that echoes.
fn pair(seed: u64, faults: Faults, connections: usize) -> (World, HostId<Talk>, HostId<Talk>) {
    let mut world = World::new(seed, faults);
    let (mailer, mails) = mailbox(16).unwrap();
    let listening = Setup { unsent_bytes_max: 200, ..Setup::listening(&here()) };
    let callee = world.add(Talk::new(None, 0, mailer.clone()), listening);
    let calling = Setup { mailbox: Some(mails), ..Setup::default() };
    let caller = world.add(Talk::new(Some(here()), connections, mailer), calling);
    (world, caller, callee)
}

#[derive(Debug)]
enum Order {
    Connect,
    Stop,
}

/// Sends bytes to the address and hangs up when as many have come back; or echoes.
struct Talk {
    to: Option<Address>,
    connections: usize,
    mailer: Mailer<Order>,
    opened: usize,
    pieces: usize,
    heard: usize,
    left: std::collections::HashMap<Token, usize>,
    ends: Vec<End>,
}

impl Talk {
    fn new(to: Option<Address>, connections: usize, mailer: Mailer<Order>) -> Talk {
        let left = std::collections::HashMap::new();
        Talk { to, connections, mailer, opened: 0, pieces: 0, heard: 0, left, ends: vec![] }
    }
}

impl Program for Talk {
    type Mail = Order;

    fn on_start(&mut self, io: &mut Io) {
        for _ in 0..self.connections {
            self.on_mail(Order::Connect, io);
        }
    }

    fn on_open(&mut self, token: Token, opened: Opened, io: &mut Io) {
        self.opened += 1;
        if opened == Opened::Connected {
            self.left.insert(token, BYTES);
            io.out(token).extend([5; BYTES]);
        }
    }

    fn on_bytes(&mut self, token: Token, bytes: &[u8], io: &mut Io) {
        self.pieces += 1;
        self.heard += bytes.len();
        match self.left.get_mut(&token) {
            None => io.out(token).extend(bytes),
            Some(left) => {
                *left -= bytes.len();
                if *left == 0 {
                    io.close(token, Close::AfterFlush);
                }
            }
        }
    }

    fn on_end(&mut self, _token: Token, end: End, _io: &mut Io) {
        self.ends.push(end);
    }

    fn on_mail(&mut self, order: Order, io: &mut Io) {
        match (order, &self.to) {
            (Order::Connect, Some(to)) => drop(io.connect(to.clone())),
            (Order::Connect, None) => {}
            (Order::Stop, _) => io.stop(),
        }
    }
}
