//! Servers that die, hang and come back, under load that checks every answer.

#[macro_use]
mod support;

use std::sync::atomic::Ordering::Relaxed;
use support::child::{Backend, Balancer};
use support::ledger::Load;
use support::wire::{Client, read_head, serve};
use support::{Scratch, eventually};

each_own_engine! {
    a_killed_server_costs_at_most_what_it_was_working_on
    where_all_may_be_repeated_a_killed_server_costs_nothing
    a_server_that_hangs_is_left_out_and_comes_back
    without_a_server_there_is_503_at_once
    a_server_that_closes_idle_connections_costs_nothing
    a_slow_server_gets_less
}

/// The load's connections, hence what a server can have at work.
const CLIENTS: u64 = 8;

fn a_killed_server_costs_at_most_what_it_was_working_on(engine: &str) {
    let mut servers = [Backend::start(), Backend::start(), Backend::start()];
    let [a, b, c] = &servers;
    let balancer =
        Balancer::of(engine, &[a, b, c], &["--health-check", "/healthz", "--check-interval", "500ms"]);
    let load = Load::start(balancer.address(), CLIENTS);
    load.more(500);
    servers[1].running.signal("KILL");
    let address = servers[1].address.clone();
    eventually("it is seen as down", || balancer.state(&address) == "down");
    load.more(500);
    servers[1].again();
    eventually("it is seen as up again", || matches!(&balancer.state(&address)[..], "rising" | "up"));
    load.more(500);
    let tally = load.stop();
    let refused = tally.refused.load(Relaxed);
    assert!(refused <= CLIENTS, "more than it can have been working on: {tally:?}");
    assert_eq!(tally.lost.load(Relaxed), 0, "{tally:?}");
}

fn where_all_may_be_repeated_a_killed_server_costs_nothing(engine: &str) {
    let servers = [Backend::start(), Backend::start()];
    let config = Scratch::with(
        "repeat.toml",
        format!(
            "[[listeners]]\naddress = \"127.0.0.1:0\"\n[pools.web]\nservers = [\"{}\", \"{}\"]\n\
             [pools.web.retry]\nall-idempotent = true\nbudget = \"100%\"\n",
            servers[0].address, servers[1].address
        ),
    );
    let balancer = Balancer::start(&["--config", config.as_str(), "--engine", engine]);
    let load = Load::start(balancer.address(), CLIENTS);
    load.more(500);
    servers[0].running.signal("KILL");
    load.more(2000);
    let tally = load.stop();
    assert_eq!((tally.refused.load(Relaxed), tally.lost.load(Relaxed)), (0, 0), "{tally:?}");
}

fn a_server_that_hangs_is_left_out_and_comes_back(engine: &str) {
    let servers = [Backend::start(), Backend::start()];
    let [a, b] = &servers;
    let args = ["--health-check", "/healthz", "--check-interval", "500ms"];
    let balancer = Balancer::of(engine, &[a, b], &args);
    let load = Load::start(balancer.address(), CLIENTS);
    load.more(300);
    a.running.signal("STOP");
    eventually("it is seen as down", || balancer.state(&a.address) == "down");
    // Those that wait for it wait; the others are served.
    load.more(300);
    a.running.signal("CONT");
    eventually("it is seen as up again", || matches!(&balancer.state(&a.address)[..], "rising" | "up"));
    load.more(300);
    let tally = load.stop();
    assert_eq!((tally.refused.load(Relaxed), tally.lost.load(Relaxed)), (0, 0), "{tally:?}");
}

fn without_a_server_there_is_503_at_once(engine: &str) {
    let mut server = Backend::start();
    let balancer =
        Balancer::of(engine, &[&server], &["--health-check", "/healthz", "--check-interval", "500ms"]);
    server.running.signal("KILL");
    server.running.wait();
    eventually("it is seen as down", || balancer.state(&server.address) == "down");
    let mut client = Client::connect(balancer.address());
    for _ in 0..3 {
        let answer = client.ask("GET", "/", &[], b"").expect("an answer");
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(answer.field("retry-after").is_some_and(|after| after.parse::<u32>().is_ok_and(|s| s > 0)));
        assert!(!answer.closes, "the connection goes on");
    }
}

/// Each connection gets one answer that promises to go on, and is closed then: what comes next crosses that.
fn a_server_that_closes_idle_connections_costs_nothing(engine: &str) {
    let address = serve(|mut socket| {
        if read_head(&mut socket).is_some() {
            let _ = std::io::Write::write_all(&mut socket, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let balancer = Balancer::start(&[
        "--engine",
        engine,
        "--listen",
        "127.0.0.1:0",
        "--server",
        &address,
        "--cores",
        "0",
    ]);
    let mut client = Client::connect(balancer.address());
    for n in 0..300 {
        let answer = client.ask("GET", "/", &[], b"").expect("an answer");
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"), "request {n}");
    }
}

fn a_slow_server_gets_less(engine: &str) {
    let answers = |name: &'static str, wait: u64| {
        serve(move |mut socket| {
            while read_head(&mut socket).is_some() {
                std::thread::sleep(std::time::Duration::from_millis(wait));
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{name}");
                if std::io::Write::write_all(&mut socket, answer.as_bytes()).is_err() {
                    return;
                }
            }
        })
    };
    let (slow, fast) = (answers("slow", 100), answers("fast", 1));
    let args = ["--engine", engine, "--listen", "127.0.0.1:0", "--server", &slow, "--server", &fast];
    let balancer = Balancer::start(&args);
    let slow_answers: usize = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Client::connect(balancer.address());
                    let mut ask = || client.ask("GET", "/", &[], b"").expect("an answer").text();
                    (0..50).filter(|_| ask() == "slow").count()
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("no panic")).sum()
    });
    assert!(slow_answers < 100, "half of 200 would be blind: {slow_answers}");
}
