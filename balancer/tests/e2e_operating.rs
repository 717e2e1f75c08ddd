//! Reload, drain, the commands, the access log, and mistakes, with the real binary.

#[macro_use]
mod support;

use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;
use support::child::{BINARY, Backend, Balancer};
use support::ledger::Load;
use support::wire::Client;
use support::{Scratch, eventually};

each_engine! {
    a_reload_under_load_loses_nothing
    a_wrong_file_is_refused_whole_and_the_old_one_goes_on
    a_drain_under_load_loses_nothing
    a_drained_server_gets_nothing_and_a_ready_one_does
    the_access_log_has_a_line_for_each_request_and_follows_its_file
    routes_and_unix_sockets_lead_to_their_pools
}

fn config(servers: &[&Backend], more: &str) -> String {
    let list: Vec<String> = servers.iter().map(|server| format!("\"{}\"", server.address)).collect();
    format!(
        "{more}\n[[listeners]]\naddress = \"127.0.0.1:0\"\n[pools.web]\nservers = [{}]\n",
        list.join(", ")
    )
}

fn a_reload_under_load_loses_nothing(engine: &str) {
    let (a, b) = (Backend::start(), Backend::start());
    let file = Scratch::with("reload.toml", config(&[&a], ""));
    let balancer = Balancer::start(&["--config", file.as_str(), "--engine", engine]);
    let load = Load::start(balancer.address(), 8);
    for round in 0..6 {
        load.more(200);
        let servers: &[&Backend] = if round % 2 == 0 { &[&a, &b] } else { &[&b] };
        file.write(config(servers, ""));
        if round < 3 {
            balancer.running.signal("HUP");
        } else {
            let output = balancer.ask(&["reload"]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        eventually("the new list is in use", || balancer.servers().len() == servers.len());
    }
    load.more(200);
    let tally = load.stop();
    assert_eq!((tally.refused.load(Relaxed), tally.lost.load(Relaxed)), (0, 0), "{tally:?}");
}

fn a_wrong_file_is_refused_whole_and_the_old_one_goes_on(engine: &str) {
    let (a, b) = (Backend::start(), Backend::start());
    let file = Scratch::with("wrong.toml", config(&[&a], ""));
    let balancer = Balancer::start(&["--config", file.as_str(), "--engine", engine]);
    file.write(config(&[&a, &b], "[front]\nidle-timeout = \"soon\""));
    let output = balancer.ask(&["reload"]);
    let why = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{why}");
    assert!(why.contains(":2:") && why.contains("idle-timeout"), "{why}");
    assert_eq!(balancer.servers().len(), 1);
    let mut client = Client::connect(balancer.address());
    assert_eq!(client.ask("GET", "/healthz", &[], b"").expect("an answer").status, 200);
}

fn a_drain_under_load_loses_nothing(engine: &str) {
    let (a, b) = (Backend::start(), Backend::start());
    let more = "[front]\ndrain-idle = \"30s\"\ndrain-timeout = \"60s\"";
    let file = Scratch::with("drain.toml", config(&[&a, &b], more));
    let mut balancer = Balancer::start(&["--config", file.as_str(), "--engine", engine]);
    let address = balancer.address().to_owned();
    let answered: Vec<u64> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Client::connect(&address);
                    for n in 0.. {
                        let answer = client.ask("GET", "/healthz", &[], b"").expect("no request is lost");
                        assert_eq!(answer.status, 200);
                        if answer.closes {
                            return n;
                        }
                    }
                    0
                })
            })
            .collect();
        let mut warm = Client::connect(&address);
        (0..100).for_each(|_| drop(warm.ask("GET", "/healthz", &[], b"").expect("an answer")));
        drop(warm);
        balancer.running.signal("TERM");
        clients.into_iter().map(|client| client.join().expect("no request is lost")).collect()
    });
    assert!(answered.iter().sum::<u64>() > 0);
    assert_eq!(balancer.running.wait().code(), Some(0), "{}", balancer.running.said());
}

fn a_drained_server_gets_nothing_and_a_ready_one_does(engine: &str) {
    let (a, b) = (Backend::start(), Backend::start());
    let balancer = Balancer::of(engine, &[&a, &b], &[]);
    let load = Load::start(balancer.address(), 4);
    load.more(200);
    let is_used = |address: &str| {
        let tries = || metric(&balancer, "corelane_balancer_server_tries_total", address);
        let before = tries();
        load.more(300);
        tries() > before
    };
    assert!(is_used(&a.address));
    for verb in ["drain", "disable"] {
        let done = balancer.ask(&[verb, &a.address]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert!(!is_used(&a.address), "{verb}");
        assert!(balancer.ask(&["ready", &a.address]).status.success());
        eventually("it is used again", || is_used(&a.address));
    }
    assert!(balancer.ask(&["weigh", &a.address, "0"]).status.success());
    assert!(!is_used(&a.address), "a weight of 0");
    let nobody = balancer.ask(&["drain", "nobody"]);
    assert_eq!(nobody.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains(&a.address), "it says what there is");
    let tally = load.stop();
    assert_eq!((tally.refused.load(Relaxed), tally.lost.load(Relaxed)), (0, 0), "{tally:?}");
}

/// A number of one server, out of the metrics.
fn metric(balancer: &Balancer, name: &str, server: &str) -> f64 {
    let text = Client::connect(&balancer.admin).ask("GET", "/metrics", &[("host", "")], b"");
    let text = match text {
        Ok(answer) if answer.status == 200 => answer.text(),
        _ => {
            // The admin address answers to its own names alone.
            let mut client = Client::connect(&balancer.admin);
            let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", balancer.admin);
            std::io::Write::write_all(&mut client.socket, request.as_bytes()).expect("it is sent");
            client.answer(net::http1::Asked::Other).expect("an answer").text()
        }
    };
    let is_it = |line: &&str| line.starts_with(name) && line.contains(&format!("server=\"{server}\""));
    let line = text.lines().find(is_it).unwrap_or_else(|| panic!("no {name} of {server} in {text}"));
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
}

fn the_access_log_has_a_line_for_each_request_and_follows_its_file(engine: &str) {
    let a = Backend::start();
    let (log, moved) = (Scratch::new("access.log"), Scratch::new("access.log.1"));
    let more = format!("[access-log]\nto = \"{}\"", log.as_str());
    let file = Scratch::with("log.toml", config(&[&a], &more));
    let balancer = Balancer::start(&["--config", file.as_str(), "--engine", engine]);
    let mut client = Client::connect(balancer.address());
    let lines = |path: &Scratch| -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(&path.0).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a line is one object")).collect()
    };
    for target in ["/healthz", "/nowhere?x=%22", "/healthz"] {
        client.ask("GET", target, &[("user-agent", "a \"test\"")], b"").expect("an answer");
    }
    eventually("all are written", || lines(&log).len() == 3);
    let second = &lines(&log)[1];
    assert_eq!((&second["status"], &second["target"]), (&404.into(), &"/nowhere?x=%22".into()));
    assert_eq!((&second["client"], &second["user_agent"]), (&"127.0.0.1".into(), &"a \"test\"".into()));
    assert_eq!(second["server"], a.address.as_str());
    std::fs::rename(&log.0, &moved.0).expect("it can be moved");
    balancer.running.signal("HUP");
    eventually("a line is in the new file", || {
        client.ask("GET", "/healthz", &[], b"").expect("an answer");
        !lines(&log).is_empty()
    });
}

fn routes_and_unix_sockets_lead_to_their_pools(engine: &str) {
    let socket = Scratch::new("web.sock");
    let web = Backend::at(&format!("unix:{}", socket.as_str()));
    let front = Scratch::new("front.sock");
    let file = Scratch::with(
        "routes.toml",
        format!(
            "[[listeners]]\naddress = \"127.0.0.1:0\"\n[[listeners]]\naddress = \"unix:{}\"\n\
             [pools.web]\nservers = [\"{}\"]\n[pools.nowhere]\nservers = [\"127.0.0.1:1\"]\n\
             [[routes]]\nhost = \"*.example.com\"\npool = \"nowhere\"\n[[routes]]\npath = \"/healthz\"\npool = \"web\"\n",
            front.as_str(),
            web.address
        ),
    );
    let balancer = Balancer::start(&["--config", file.as_str(), "--engine", engine]);
    let tcp = balancer.addresses.iter().find(|address| !address.starts_with("unix:")).expect("one is TCP");
    let ask = |host: &str, target: &str| {
        let mut client = Client::connect(tcp);
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        std::io::Write::write_all(&mut client.socket, request.as_bytes()).expect("it is sent");
        client.answer(net::http1::Asked::Other).expect("an answer").status
    };
    assert_eq!(ask("test", "/healthz"), 200);
    assert_eq!(ask("test", "/other"), 404);
    assert_eq!(ask("a.example.com:80", "/healthz"), 502);
    let mut unix = std::os::unix::net::UnixStream::connect(&front.0).expect("it listens");
    std::io::Write::write_all(&mut unix, b"GET /healthz HTTP/1.0\r\n\r\n").expect("it is sent");
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut unix, &mut answer).expect("it ends");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn a_mistake_is_one_line_that_says_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let taken = taken.local_addr().expect("it is bound").to_string();
    for (args, code, says) in [
        (&["--server", "127.0.0.1:1", "--listen", &taken, "--admin", "none"][..], 2, &taken[..]),
        (&["--config", "/nowhere.toml"], 2, "/nowhere.toml"),
        (&["--server", "nowhere"], 2, "nowhere"),
        (&["--server", "127.0.0.1:1", "--cores", "9999", "--admin", "none"], 2, "--cores"),
        (&["servers", "--admin", "127.0.0.1:1"], 1, "--admin"),
    ] {
        let output = Command::new(BINARY).args(args).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        let complaints: Vec<&str> = said.lines().filter(|l| l.starts_with("corelane-balancer: ")).collect();
        assert_eq!((output.status.code(), complaints.len()), (Some(code), 1), "{args:?}: {said}");
        assert!(complaints[0].contains(says), "{args:?}: {said}");
    }
}
