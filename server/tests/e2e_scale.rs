//! Many connections on one lane of the real binary: what they cost, and what happens when there are more than
//! the process may open.

#[macro_use]
mod support;

use support::client::{Client, add, sum};
use support::metrics::Metrics;
use support::server::{Server, command_after};
use support::{eventually, note, one_core, skipped};

use std::sync::{Mutex, PoisonError};

each_engine! {
    ten_thousand_idle_connections_cost_little_and_disturb_nobody
    out_of_descriptors_new_connections_wait_and_open_ones_are_served
    connections_over_the_maximum_wait
}

const IDLE: u64 = 10_000;
/// Descriptors that a process of these tests needs besides its connections, with the other tests beside it.
const DESCRIPTORS_SPARE: u64 = 500;
/// Of our memory. The aim is 512; the rest allows for an allocator that had to grow in large steps.
fn idle_bytes_max(engine: &str) -> u64 {
    match engine {
        // A task, and the buffer of the read that it waits for.
        "monoio" | "monoio-epoll" => 8 * 1024,
        "glommio" => 4 * 1024,
        _ => 1024,
    }
}

fn ten_thousand_idle_connections_cost_little_and_disturb_nobody(engine: &str) {
    // One engine at a time: two would need twice the descriptors.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let limit = net::listen::raise_descriptor_limit();
    let count = IDLE.min(limit.saturating_sub(DESCRIPTORS_SPARE));
    if count < IDLE {
        skipped(&format!("only {count} of {IDLE} connections: the hard limit on open files is {limit}"));
    }
    let server = Server::with_one_lane(engine, &["--idle-timeout", "600s", "--connections-max", "20000"]);
    let mut busy = server.connect();
    // What the first requests need once, such as buffers and a place in the cache, is no connection's own.
    for _ in 0..1000 {
        assert_eq!(busy.ask(add(1, 2)).text(), sum(1, 2));
    }
    let before = server.own_bytes();
    let mut idle = Vec::new();
    for n in 0..count {
        let mut client = server.connect();
        // One in eight has been used: keep-alive, and not merely opened.
        if n % 8 == 0 {
            assert_eq!(client.ask(add(1, 2)).text(), sum(1, 2));
        }
        idle.push(client);
    }
    let open = || Metrics::of(&server).sum("corelane_open_connections", &[]);
    eventually("all are accepted", || open() == (count + 1) as f64);
    let each = server.own_bytes().saturating_sub(before) / count.max(1);
    note(&format!("{count} idle connections, {each} bytes of memory each"));
    assert!(each <= idle_bytes_max(engine), "{each} bytes each");

    for n in 0..100 {
        assert_eq!(busy.ask(add(n, 2)).text(), sum(n, 2));
    }
    assert_eq!(server.connect().ask(add(1, 1)).text(), sum(1, 1), "there is room for more");
    let step = (idle.len() / 50).max(1);
    for client in idle.iter_mut().step_by(step) {
        assert_eq!(client.ask(add(7, 7)).text(), sum(7, 7), "an idle one is as good as new");
    }
    drop(idle);
    eventually("all are gone", || open() == 1.0);
    assert_eq!(busy.ask(add(3, 2)).text(), sum(3, 2));
}

fn out_of_descriptors_new_connections_wait_and_open_ones_are_served(engine: &str) {
    let core = one_core();
    let server = Server::started_by(command_after("ulimit -n 64"), engine, &["--cores", &core]);
    let mut admin = Client::connect(server.admin()).expect("the admin port accepts");
    let pauses = |admin: &mut Client| Metrics::by(admin).sum("corelane_engine_descriptor_pauses_total", &[]);
    assert_eq!(pauses(&mut admin), 0.0);
    // The kernel completes all of these; the server can accept no more than its descriptors.
    let mut clients: Vec<Client> = (0..100).map(|_| server.connect()).collect();
    eventually("descriptors run out", || pauses(&mut admin) >= 1.0);
    let open = Metrics::by(&mut admin).sum("corelane_open_connections", &[]) as usize;
    assert!((10..64).contains(&open), "{open}");
    for round in 0..20 {
        // The kernel hands out connections in the order in which they came.
        for (n, client) in (0..).zip(&mut clients[..open]) {
            assert_eq!(client.ask(add(n, round)).text(), sum(n, round));
        }
    }
    assert!(server.log().contains("out of file descriptors"), "{}", server.log());
    assert!(server.log().lines().count() < 20, "it is logged, and not at each attempt: {}", server.log());
    // Those that waited are served as soon as there is room.
    let waiting = clients.split_off(open);
    drop(clients);
    let mut waiting = waiting.into_iter();
    while waiting.len() > 0 {
        for mut client in waiting.by_ref().take(20) {
            assert_eq!(client.ask(add(1, 2)).text(), sum(1, 2));
        }
    }
    eventually("all are gone", || Metrics::by(&mut admin).sum("corelane_open_connections", &[]) == 0.0);
}

fn connections_over_the_maximum_wait(engine: &str) {
    let server = Server::with_one_lane(engine, &["--connections-max", "4"]);
    let mut clients: Vec<Client> = (0..8).map(|_| server.connect()).collect();
    for client in &mut clients[..4] {
        client.must_serve();
    }
    assert_eq!(Metrics::of(&server).sum("corelane_open_connections", &[]), 4.0);
    for client in &mut clients[4..] {
        client.send(add(1, 2));
    }
    let late = clients.split_off(4);
    drop(clients);
    for mut client in late {
        assert_eq!(client.answer().text(), sum(1, 2));
    }
    assert!(Metrics::of(&server).sum("corelane_engine_connection_pauses_total", &[]) >= 1.0);
}
