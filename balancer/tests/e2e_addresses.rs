//! Addresses of every kind, on both sides: IPv4, IPv6, Unix sockets; and names, which are none.

#[macro_use]
mod support;

use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;
use support::child::{BINARY, Backend, Balancer};
use support::ledger::Load;
use support::metrics::{Metrics, nothing_is_left};
use support::wire::{Client, serve_mirrors};
use support::{Scratch, has_ipv6};

each_engine! {
    listeners_and_servers_of_every_kind_serve_together
    a_client_over_ipv6_is_told_to_the_server
}

fn listeners_and_servers_of_every_kind_serve_together(engine: &str) {
    if !has_ipv6() {
        return;
    }
    let socket = Scratch::new("kinds.sock");
    let unix = format!("unix:{}", socket.as_str());
    let servers = [Backend::start(), Backend::at("[::1]:0"), Backend::at(&unix)];
    let list: Vec<String> = servers.iter().map(|server| format!("\"{}\"", server.address)).collect();
    let file = Scratch::with(
        "kinds.toml",
        format!(
            "[[listeners]]\naddress = \"127.0.0.1:0\"\n[[listeners]]\naddress = \"[::1]:0\"\n\
             [pools.web]\nservers = [{}]\n[pools.web.check]\npath = \"/healthz\"\n",
            list.join(", ")
        ),
    );
    let balancer = Balancer::start(&["--config", file.as_str(), "--engine", engine]);
    assert!(
        balancer.addresses.iter().any(|address| address.starts_with("[::1]:")),
        "{:?}",
        balancer.addresses
    );
    for address in &balancer.addresses {
        let load = Load::start(address, 4);
        load.more(300);
        let tally = load.stop();
        assert_eq!((tally.refused.load(Relaxed), tally.lost.load(Relaxed)), (0, 0), "{tally:?}");
    }
    nothing_is_left(&balancer);
    let metrics = Metrics::of(&balancer);
    for server in &servers {
        let label = format!("server=\"{}\"", server.address);
        assert!(metrics.sum("server_tries_total", &[&label]) > 60, "{}", server.address);
        assert_eq!(balancer.state(&server.address), "up");
    }
}

fn a_client_over_ipv6_is_told_to_the_server(engine: &str) {
    if !has_ipv6() {
        return;
    }
    let log = Scratch::new("ipv6.log");
    let file = Scratch::with(
        "ipv6.toml",
        format!(
            "[[listeners]]\naddress = \"[::1]:0\"\n[forward]\nforwarded = true\n[access-log]\nto = \"{}\"\n\
             [pools.web]\nservers = [\"{}\"]\n",
            log.as_str(),
            serve_mirrors()
        ),
    );
    let balancer = Balancer::start(&["--config", file.as_str(), "--engine", engine]);
    let answer = Client::connect(balancer.address()).ask("GET", "/", &[], b"").expect("an answer");
    let head = answer.text().to_ascii_lowercase();
    assert!(head.contains("\r\nx-forwarded-for: ::1\r\n"), "{head}");
    assert!(head.contains("\r\nforwarded: host=test;for=\"[::1]\";proto=http\r\n"), "{head}");
    support::eventually("it is logged", || {
        std::fs::read_to_string(&log.0).is_ok_and(|text| text.contains("\"client\":\"::1\""))
    });
}

/// Who would look a name up, when, and what if it changes? An address is asked for instead, in one line.
#[test]
fn a_name_is_refused_with_what_to_write_instead() {
    for (flag, name) in
        [("--server", "localhost:5000"), ("--server", "web.example.com:80"), ("--listen", "localhost:0")]
    {
        let server = ["--server", "127.0.0.1:1"];
        let args = if flag == "--listen" { &server[..] } else { &[] };
        let output = Command::new(BINARY).args([flag, name, "--admin", "none"]).args(args).output();
        let output = output.expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(name) && said.contains("IP:PORT"), "{said}");
    }
}
