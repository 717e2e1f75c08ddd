//! What the balancer says of itself at `/metrics`, as numbers.

use super::child::Balancer;
use super::eventually;
use std::io::{Read, Write};
use std::net::TcpStream;

/// One scrape.
pub struct Metrics(String);

impl Metrics {
    pub fn of(balancer: &Balancer) -> Metrics {
        let mut socket = TcpStream::connect(&balancer.admin).expect("the admin address accepts");
        socket.set_read_timeout(Some(super::PATIENCE)).expect("a timeout can be set");
        let request =
            format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", balancer.admin);
        socket.write_all(request.as_bytes()).expect("it is sent");
        let mut text = String::new();
        socket.read_to_string(&mut text).expect("it is answered");
        assert!(text.starts_with("HTTP/1.1 200 ") && text.ends_with("# EOF\n"), "{text}");
        Metrics(text)
    }

    /// The sum over all series of a family (named without `corelane_balancer_`) that have all of these labels, each as in
    /// `class="2xx"`.
    pub fn sum(&self, name: &str, labels: &[&str]) -> u64 {
        let name = format!("corelane_balancer_{name}");
        let values = self.0.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let rest = series.strip_prefix(&name)?;
            let is_it = rest.starts_with('{') && labels.iter().all(|label| rest.contains(label));
            is_it.then(|| value.parse::<f64>().expect("a number"))
        });
        let values: Vec<f64> = values.collect();
        assert!(!values.is_empty(), "no {name} with {labels:?} in {}", self.0);
        values.iter().sum::<f64>() as u64
    }

    /// The faults that happened, for messages.
    pub fn faults(&self) -> Vec<&str> {
        let is_one = |line: &&str| line.contains("lane_faults_total{") && !line.ends_with(" 0");
        self.0.lines().filter(is_one).collect()
    }
}

/// Nothing is under way any more: neither at the clients nor at the servers.
pub fn is_quiet(balancer: &Balancer) -> bool {
    let metrics = Metrics::of(balancer);
    ["lane_active_requests", "server_in_flight", "lane_tunnels", "lane_queued_requests"]
        .iter()
        .all(|gauge| metrics.sum(gauge, &[]) == 0)
}

/// Waits for that, and for the end of each connection to a server that isn't idle.
pub fn nothing_is_left(balancer: &Balancer) {
    eventually("nothing is under way", || is_quiet(balancer));
    eventually("only idle connections are open", || {
        let metrics = Metrics::of(balancer);
        metrics.sum("server_connections", &[]) == metrics.sum("server_idle_connections", &[])
    });
}
