//! The server and its service manager: what it is told, sockets that it holds, and processes that follow each other without anybody noticing.

#[macro_use]
mod support;
#[path = "support/manager.rs"]
#[allow(unreachable_pub, reason = "it is compiled into each file of tests")]
mod manager;

use manager::{Manager, Stray, activated, hand_over, listening};
use net::address::Address;
use std::io;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use support::client::{Client, Expected, add, get, sum};
use support::server::{BINARY, Scratch, Server, command, run_to_the_end};
use support::{eventually, note, one_core};

each_engine! {
    the_manager_is_told_from_start_to_end
    a_lane_that_is_stuck_starves_the_watchdog_and_is_named
    inherited_sockets_are_served_one_by_a_lane_or_one_by_all
    restarts_on_a_socket_that_is_held_lose_nothing
    restarts_on_a_socket_for_each_lane_lose_nothing
    handovers_lose_nothing
    a_handover_to_what_does_not_start_changes_nothing
    a_unix_socket_is_handed_over_with_its_file
    the_manager_learns_of_a_handover
}

/// In a row.
const TIMES: usize = 20;
/// Clients that ask as fast as they are answered.
const CLIENTS: u64 = 6;
/// Longer than a test: idle connections may bring a request until everybody has closed.
const LONG: &str = "60s";
const PATIENT: [&str; 4] = ["--drain-idle", LONG, "--drain-timeout", LONG];

fn the_manager_is_told_from_start_to_end(engine: &str) {
    let manager = Manager::new();
    let mut command = command();
    manager.listen_to(&mut command, Some(1_000_000));
    let mut server = Server::started_by(command, engine, &PATIENT);
    manager.line("READY=1");
    assert!(manager.line("STATUS=").contains(" lane"), "{:?}", manager.told());
    eventually("the watchdog is fed", || manager.count("WATCHDOG=1") >= 3);
    eventually("the status is told again", || {
        manager.told().iter().filter(|line| line.starts_with("STATUS=")).count() >= 2
    });
    let mut client = server.connect();
    client.must_serve();
    server.signal("TERM");
    manager.line("STOPPING=1");
    manager.line("EXTEND_TIMEOUT_USEC=");
    let told = manager.told();
    let at = |line: &str| told.iter().position(|told| told.starts_with(line));
    assert!(at("READY=1") < at("WATCHDOG=1") && at("WATCHDOG=1") < at("STOPPING=1"), "{told:?}");
    assert_eq!(manager.count("READY=1"), 1, "{told:?}");
    let fed = manager.count("WATCHDOG=1");
    eventually("the watchdog is fed while it drains", || manager.count("WATCHDOG=1") > fed);
    drop(client);
    assert_eq!(server.exit_code(), Some(0), "{}", server.log());
}

fn a_lane_that_is_stuck_starves_the_watchdog_and_is_named(engine: &str) {
    let manager = Manager::new();
    let mut command = Command::new(example("stall"));
    manager.listen_to(&mut command, Some(1_000_000));
    let server = Server::started_by(command, engine, &["--cores", &one_core(), "--admin", "off"]);
    eventually("the watchdog is fed", || manager.count("WATCHDOG=1") >= 2);
    let mut client = server.connect();
    client.send(get("/stall"));
    eventually("it is noticed", || server.log().contains("does not turn"));
    assert!(server.log().contains("part=lane 0"), "{}", server.log());
    let fed = manager.count("WATCHDOG=1");
    thread::sleep(std::time::Duration::from_millis(1200));
    let fed_meanwhile = manager.count("WATCHDOG=1") - fed;
    let is_over = server.log().contains("turns again");
    assert!(is_over || fed_meanwhile == 0, "{:?}", manager.told());
    assert_eq!(client.answer().status, 200);
    eventually("it is fed again", || {
        server.log().contains("turns again") && manager.count("WATCHDOG=1") > fed + fed_meanwhile
    });
}

fn inherited_sockets_are_served_one_by_a_lane_or_one_by_all(engine: &str) {
    let lanes = net::percore::Cores::All.resolve().expect("the cores can be read").len();
    for count in [1, lanes] {
        let (sockets, address) = listening(count);
        // Of any kind: what one process set, the next may find.
        sockets.iter().for_each(|socket| socket.set_nonblocking(count == 1).expect("a flag"));
        let Some((command, passed)) = activated(BINARY, &sockets) else { return };
        let server = Server::started_by(command, engine, &["--listen", &address.to_string()]);
        drop(passed);
        assert_eq!(server.address(), &Address::Tcp(address));
        let mut clients: Vec<Client> = (0..16).map(|_| server.connect()).collect();
        clients.iter_mut().for_each(Client::must_serve);
    }
    let (sockets, address) = listening(1);
    for (options, says) in [
        (["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"], None),
        (
            ["--listen", "127.0.0.2:0", "--admin", "127.0.0.3:0"],
            Some("nothing listens on these inherited sockets"),
        ),
    ] {
        let Some((mut command, passed)) = activated(BINARY, &sockets) else { return };
        if let Some(says) = says {
            let ended = run_to_the_end(command.args(options));
            assert_eq!(ended.code, Some(2), "{}", ended.stderr);
            assert!(
                ended.stderr.contains(says) && ended.stderr.contains(&address.to_string()),
                "{}",
                ended.stderr
            );
        } else {
            let server = Server::started_by(command, engine, &options);
            assert_eq!(server.address(), &Address::Tcp(address), "any port is that of the socket");
        }
        drop(passed);
    }
    let Some((mut command, _passed)) = activated(BINARY, &sockets) else { return };
    if lanes > 1 {
        let listen = address.to_string();
        let ended = run_to_the_end(command.args(["--listen", &listen, "--accept", "cpu", "--admin", "off"]));
        assert!(ended.code == Some(2) && ended.stderr.contains("a socket for each lane"), "{}", ended.stderr);
    }
}

fn restarts_on_a_socket_that_is_held_lose_nothing(engine: &str) {
    restart(engine, 1);
}

fn restarts_on_a_socket_for_each_lane_lose_nothing(engine: &str) {
    restart(engine, net::percore::Cores::All.resolve().expect("the cores can be read").len());
}

/// As systemd restarts: the old process has ended before the new one begins, and who connects meanwhile waits.
fn restart(engine: &str, sockets: usize) {
    let (sockets, address) = listening(sockets);
    let listen = address.to_string();
    let options = [&["--listen", &listen, "--admin", "127.0.0.1:0"], &PATIENT[..]].concat();
    let start = || {
        let (command, _passed) = activated(BINARY, &sockets)?;
        Some(Server::started_by(command, engine, &options))
    };
    let Some(mut server) = start() else { return };
    under_load(&Address::Tcp(address), |answered| {
        for _ in 0..TIMES {
            more(answered, 50);
            server.signal("TERM");
            assert_eq!(server.exit_code(), Some(0), "{}", server.log());
            server = start().expect("it started before");
        }
        more(answered, 50);
    });
}

fn handovers_lose_nothing(engine: &str) {
    let mut server = Server::start(engine, &PATIENT);
    let mut serving = Stray(server.pid());
    under_load(server.address(), |answered| {
        for _ in 0..TIMES {
            more(answered, 50);
            let next = hand_over(&serving, || server.log());
            eventually("the old process ends", || serving.has_ended());
            serving = next;
        }
        more(answered, 50);
    });
    let mut admin = Client::connect(server.admin()).expect("operators reach the new process");
    assert_eq!(admin.ask(get("/healthz")).status, 200);
    assert_eq!(server.exit_code(), Some(0), "{}", server.log());
    serving.signal("TERM");
    eventually("the last one ends", || serving.has_ended());
}

fn a_handover_to_what_does_not_start_changes_nothing(engine: &str) {
    let link = Scratch::new(&format!("handover-{engine}"));
    let point_to = |target: &str| {
        let new = link.0.with_extension("new");
        symlink(target, &new).expect("a link");
        std::fs::rename(&new, &link.0).expect("it is replaced");
    };
    point_to(BINARY);
    let server = Server::started_by(Command::new(&link.0), engine, &PATIENT);
    let mut client = server.connect();
    client.must_serve();
    point_to("/bin/false");
    let serving = Stray(server.pid());
    serving.signal("USR2");
    eventually("it says so", || server.log().contains("nobody takes over: this process goes on"));
    client.must_serve();
    server.connect().must_serve();
    point_to(BINARY);
    let next = hand_over(&serving, || server.log());
    server.connect().must_serve();
    assert!(client.ask(get("/healthz")).closes(), "the old process drains");
    drop(client);
    eventually("it ends", || serving.has_ended());
    server.connect().must_serve();
    drop(next);
}

fn a_unix_socket_is_handed_over_with_its_file(engine: &str) {
    let path = Scratch::new(&format!("over-{engine}.sock"));
    let listen = format!("unix:{}", path.as_str());
    let server = Server::start(engine, &[&["--listen", &listen], &PATIENT[..]].concat());
    server.connect().must_serve();
    let first = Stray(server.pid());
    let second = hand_over(&first, || server.log());
    eventually("the old process ends", || first.has_ended());
    server.connect().must_serve();
    second.signal("TERM");
    eventually("the new process ends", || second.has_ended());
    assert!(!path.0.exists(), "who ends last removes the file");
}

fn the_manager_learns_of_a_handover(engine: &str) {
    let manager = Manager::new();
    let mut command = command();
    manager.listen_to(&mut command, Some(2_000_000));
    command.env("WATCHDOG_PID", "1");
    let server = Server::started_by(command, engine, &PATIENT);
    manager.line("READY=1");
    let first = Stray(server.pid());
    let second = hand_over(&first, || server.log());
    assert_eq!(manager.line("MAINPID="), format!("MAINPID={}", second.0));
    eventually("the new process tells how it is", || manager.count("READY=1") >= 3);
    eventually("the new process feeds the watchdog", || manager.count("WATCHDOG=1") > 0);
    let told = manager.told();
    let at = |start: &str| told.iter().position(|line| line.starts_with(start));
    assert!(at("RELOADING=1") < at("MONOTONIC_USEC=") && at("MONOTONIC_USEC=") < at("MAINPID="), "{told:?}");
    let (_, after) = told.split_at(at("MAINPID=").expect("it was told"));
    let ready = after.iter().filter(|line| *line == "READY=1").count();
    assert!(ready >= 2, "the new process says nothing before it is the main one: {told:?}");
    assert_eq!(manager.count("STOPPING=1"), 0, "the service doesn't stop: {told:?}");
    let parent = std::fs::read_to_string(format!("/proc/{}/status", second.0)).expect("it runs");
    assert!(!parent.contains(&format!("PPid:\t{}\n", first.0)), "the manager can adopt it: {parent}");
}

/// Clients that ask for sums which are all different, over connections that they open again when told to; not one may fail.
fn under_load(address: &Address, work: impl FnOnce(&AtomicU64)) {
    let (answered, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let client = |number: u64| {
            let (answered, stop) = (&answered, &stop);
            move || -> io::Result<()> {
                let mut n = number * 1_000_000_000;
                while !stop.load(Relaxed) {
                    let mut client = Client::connect(address)?;
                    loop {
                        n += 1;
                        client.try_send(add(n, 1).as_bytes())?;
                        let answer = client.try_answer(Expected::Body)?;
                        assert_eq!((answer.status, answer.text()), (200, &*sum(n, 1)));
                        answered.fetch_add(1, Relaxed);
                        if answer.closes() || stop.load(Relaxed) {
                            break;
                        }
                    }
                }
                Ok(())
            }
        };
        let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(client(number))).collect();
        let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&answered)));
        stop.store(true, Relaxed);
        for client in clients {
            client.join().expect("no answer is wrong").expect("no request is lost");
        }
        worked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    note(&format!("{} requests, none lost", answered.load(Relaxed)));
}

fn more(answered: &AtomicU64, count: u64) {
    let until = answered.load(Relaxed) + count;
    eventually("there is load", || answered.load(Relaxed) >= until);
}

/// An example of this package: built together with its tests.
fn example(name: &str) -> PathBuf {
    let path = PathBuf::from(BINARY).with_file_name("examples").join(name);
    assert!(path.exists(), "{} isn't built: run all tests of the package", path.display());
    path
}
