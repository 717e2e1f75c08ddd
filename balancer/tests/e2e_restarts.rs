//! Restarts and hand-overs under load: nobody is refused, no answer is wrong, and what is known of servers stays known.

#[path = "../../server/tests/support/manager.rs"]
#[allow(dead_code, reason = "the server's tests use the rest")]
#[allow(unreachable_pub, reason = "it is compiled into each file of tests")]
mod manager;
#[macro_use]
mod support;

use manager::{Manager, Stray, activated, hand_over, listening};
use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;
use support::child::{BINARY, Backend, Balancer};
use support::ledger::Load;
use support::{Scratch, eventually};

each_engine! {
    restarts_on_a_socket_that_is_held_lose_nothing
    handovers_under_load_lose_nothing
    a_handover_keeps_what_is_known_of_servers
    the_manager_is_told_of_servers_and_of_reloads
}

/// In a row.
const TIMES: usize = 20;
const CLIENTS: u64 = 6;

/// In front of these. Idle connections may bring a request until everybody has closed.
fn config(name: &str, listen: &str, servers: &[&Backend], pool: &str) -> Scratch {
    let list: Vec<String> = servers.iter().map(|server| format!("\"{}\"", server.address)).collect();
    let text = format!(
        "[front]\ndrain-idle = \"60s\"\ndrain-timeout = \"60s\"\n[[listeners]]\naddress = \"{listen}\"\n\
         [pools.web]\nservers = [{}]\n{pool}\n",
        list.join(", ")
    );
    Scratch::with(name, text)
}

fn restarts_on_a_socket_that_is_held_lose_nothing(engine: &str) {
    let (a, b) = (Backend::start(), Backend::start());
    let (sockets, address) = listening(1);
    let file = config("restart.toml", &address.to_string(), &[&a, &b], "");
    let start = || {
        let (mut command, _passed) = activated(BINARY, &sockets)?;
        command.args(["--config", file.as_str(), "--engine", engine]);
        Some(Balancer::by(command))
    };
    let Some(mut balancer) = start() else { return };
    let load = Load::start(&address.to_string(), CLIENTS);
    for _ in 0..TIMES {
        load.more(50);
        balancer.running.signal("TERM");
        assert!(balancer.running.wait().success(), "{}", balancer.running.said());
        balancer = start().expect("it started before");
    }
    load.more(50);
    let tally = load.stop();
    assert_eq!((tally.refused.load(Relaxed), tally.lost.load(Relaxed)), (0, 0), "{tally:?}");
}

fn handovers_under_load_lose_nothing(engine: &str) {
    let (a, b) = (Backend::start(), Backend::start());
    let file = config("handover.toml", "127.0.0.1:0", &[&a, &b], "");
    let mut balancer = Balancer::start(&["--config", file.as_str(), "--engine", engine]);
    let load = Load::start(balancer.address(), CLIENTS);
    let mut serving = Stray(balancer.running.id());
    for _ in 0..TIMES {
        load.more(50);
        let next = hand_over(&serving, || balancer.running.said());
        eventually("the old process ends", || serving.has_ended());
        serving = next;
    }
    load.more(50);
    let tally = load.stop();
    assert_eq!((tally.refused.load(Relaxed), tally.lost.load(Relaxed)), (0, 0), "{tally:?}");
    assert!(balancer.running.wait().success(), "{}", balancer.running.said());
}

fn a_handover_keeps_what_is_known_of_servers(engine: &str) {
    let (a, b, c) = (Backend::start(), Backend::start(), Backend::start());
    let check = "[pools.web.check]\npath = \"/healthz\"\ninterval = \"500ms\"\n";
    let file = config("knowledge.toml", "127.0.0.1:0", &[&a, &b, &c], check);
    let balancer = Balancer::start(&["--config", file.as_str(), "--engine", engine]);
    a.running.signal("KILL");
    eventually("it is seen as down", || balancer.state(&a.address) == "down");
    for order in [
        ["weigh", &format!("web/{}", name(&balancer, &b)), "7"],
        ["disable", &format!("web/{}", name(&balancer, &c)), ""],
    ] {
        let args: Vec<&str> = order.into_iter().filter(|arg| !arg.is_empty()).collect();
        let output = balancer.ask(&args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    // Nobody may find out anew: the new process is told not to check.
    file.write(
        std::fs::read_to_string(&file.0)
            .expect("it was just written")
            .replace("interval = \"500ms\"", "interval = \"1h\""),
    );
    let before = balancer.servers();
    let first = Stray(balancer.running.id());
    let second = hand_over(&first, || balancer.running.said());
    eventually("operators reach the new process", || {
        first.has_ended() || balancer.ask(&["servers"]).status.success()
    });
    let after = balancer.servers();
    for key in ["name", "address", "state", "admin", "weight", "why", "failures"] {
        let of = |servers: &[serde_json::Value]| -> Vec<serde_json::Value> {
            servers.iter().map(|server| server[key].clone()).collect()
        };
        assert_eq!(of(&before), of(&after), "{key}: {}", balancer.running.said());
    }
    assert_eq!(balancer.state(&a.address), "down");
    drop(second);
}

fn the_manager_is_told_of_servers_and_of_reloads(engine: &str) {
    let (a, b) = (Backend::start(), Backend::start());
    let file = config("told.toml", "127.0.0.1:0", &[&a, &b], "");
    let manager = Manager::new();
    let mut command = Command::new(BINARY);
    manager.listen_to(&mut command, Some(1_000_000));
    command.args(["--config", file.as_str(), "--engine", engine]);
    let mut balancer = Balancer::by(command);
    manager.line("READY=1");
    eventually("the watchdog is fed", || manager.count("WATCHDOG=1") >= 2);
    eventually("the servers are counted", || {
        manager.told().iter().any(|line| line.starts_with("STATUS=") && line.ends_with("2 of 2 servers up"))
    });
    balancer.running.signal("HUP");
    eventually("the reload is over", || manager.count("READY=1") == 2);
    file.write("[front]\nnonsense = 1\n");
    balancer.running.signal("HUP");
    assert!(manager.line("STATUS=not reloaded").contains("nonsense"));
    let told = manager.told();
    let at = |start: &str| told.iter().position(|line| line.starts_with(start));
    assert!(
        at("RELOADING=1") < at("MONOTONIC_USEC=") && at("MONOTONIC_USEC=") < at("STATUS=reloaded"),
        "{told:?}"
    );
    balancer.running.signal("TERM");
    assert!(balancer.running.wait().success(), "{}", balancer.running.said());
    assert_eq!(manager.count("STOPPING=1"), 1);
}

/// The name of the server at this address.
fn name(balancer: &Balancer, server: &Backend) -> String {
    let servers = balancer.servers();
    let found = servers.iter().find(|found| found["address"] == *server.address).expect("it is listed");
    found["name"].as_str().expect("a name").to_owned()
}
