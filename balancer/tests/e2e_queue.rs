//! Requests that wait for a place at a server: who holds it, who gives it back, and who leaves before.

#[macro_use]
mod support;

use net::http1::Asked;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use support::child::Balancer;
use support::metrics::{Metrics, nothing_is_left};
use support::wire::{Client, read_head, serve};
use support::{Scratch, eventually};

each_engine! {
    a_tunnel_holds_a_place_and_gives_it_back
    who_is_gone_before_there_is_a_place_asks_no_server
    requests_wait_in_order_and_in_vain_only_so_long
}

/// In front of a server that takes one request at a time.
fn balancer(engine: &str, server: &str, timeout: &str) -> (Balancer, Scratch) {
    let text = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n[pools.web]\nservers = [\"{server},maxconn=1\"]\n\
         [pools.web.queue]\ntimeout = \"{timeout}\"\nlength-max = 10\n"
    );
    let file = Scratch::with("queue.toml", text);
    (Balancer::start(&["--config", file.as_str(), "--engine", engine, "--cores", "0"]), file)
}

/// A server that answers with the target; `/hold` not before it gets another byte, and `/tunnel` by switching.
fn holds(asked: Arc<AtomicU64>) -> String {
    serve(move |mut socket| {
        while let Some(head) = read_head(&mut socket) {
            asked.fetch_add(1, Relaxed);
            let target = head.split(' ').nth(1).unwrap_or_default();
            if target == "/tunnel" {
                let switch =
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw/1\r\n\r\n";
                socket.write_all(switch).expect("it is sent");
                // To the end of what the client has to say.
                let _ = socket.read_to_end(&mut Vec::new());
                return;
            }
            if target == "/hold" && socket.read_exact(&mut [0]).is_err() {
                return;
            }
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len());
            if socket.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    })
}

const HOLD: &str = "POST /hold HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\n";

/// A client that has sent this, and has the one place.
fn first(balancer: &Balancer, request: &str) -> Client {
    let mut client = Client::connect(balancer.address());
    client.send(request);
    eventually("it is at the server", || Metrics::of(balancer).sum("server_in_flight", &[]) == 1);
    client
}

/// A client that has sent this, and waits as the n-th.
fn waits(balancer: &Balancer, target: &str, n: u64) -> Client {
    let mut client = Client::connect(balancer.address());
    client.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
    eventually("it waits", || queued(balancer) == n);
    client
}

fn queued(balancer: &Balancer) -> u64 {
    Metrics::of(balancer).sum("lane_queued_requests", &[])
}

fn a_tunnel_holds_a_place_and_gives_it_back(engine: &str) {
    let (balancer, _file) = balancer(engine, &holds(Arc::default()), "10min");
    let tunnel = "GET /tunnel HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: raw/1\r\n\r\n";
    for _ in 0..3 {
        let mut holder = first(&balancer, tunnel);
        let head = read_head(&mut holder.socket).expect("a head");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let mut second = waits(&balancer, "/second", 1);
        drop(holder);
        assert_eq!(second.answer(Asked::Other).expect("an answer").text(), "/second");
    }
    nothing_is_left(&balancer);
}

fn who_is_gone_before_there_is_a_place_asks_no_server(engine: &str) {
    let asked = Arc::<AtomicU64>::default();
    let (balancer, _file) = balancer(engine, &holds(asked.clone()), "10min");
    let mut holder = first(&balancer, HOLD);
    let gone = waits(&balancer, "/gone", 1);
    // A reset: an end alone could be that of a client which still waits for its answer.
    rustix::net::sockopt::set_socket_linger(&gone.socket, Some(Duration::ZERO))
        .expect("an option can be set");
    drop(gone);
    eventually("it has left the queue", || queued(&balancer) == 0);
    let mut last = waits(&balancer, "/last", 1);
    holder.send("x");
    assert_eq!(holder.answer(Asked::Other).expect("an answer").text(), "/hold");
    assert_eq!(last.answer(Asked::Other).expect("an answer").text(), "/last");
    nothing_is_left(&balancer);
    assert_eq!(asked.load(Relaxed), 2, "/hold and /last");
    let metrics = Metrics::of(&balancer);
    assert_eq!(metrics.sum("lane_faults_total", &["fault=\"client-gone\""]), 1, "{:?}", metrics.faults());
}

fn requests_wait_in_order_and_in_vain_only_so_long(engine: &str) {
    let asked = Arc::<AtomicU64>::default();
    let (balancer, _file) = balancer(engine, &holds(asked.clone()), "1s");
    let mut holder = first(&balancer, HOLD);
    let mut waiting: Vec<Client> = (1..=10).map(|_| Client::connect(balancer.address())).collect();
    for client in &mut waiting {
        client.send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    for client in &mut waiting {
        let answer = client.answer(Asked::Other).expect("an answer");
        assert_eq!((answer.status, answer.field("retry-after"), answer.closes), (503, Some("1"), false));
    }
    holder.send("x");
    assert_eq!(holder.answer(Asked::Other).expect("an answer").status, 200);
    for client in &mut waiting {
        assert_eq!(client.ask("GET", "/again", &[], b"").expect("an answer").text(), "/again");
    }
    nothing_is_left(&balancer);
    assert_eq!(asked.load(Relaxed), 11, "those who waited in vain were not sent");
    let metrics = Metrics::of(&balancer);
    assert_eq!(metrics.sum("lane_faults_total", &["fault=\"queue-timeout\""]), 10, "{:?}", metrics.faults());
}
