//! What it costs to choose a server, by each rule: a pick, and the place given back.
//!
//! `cargo bench -p bench --bench pick`

use balancer::config::Balance;
use balancer::pick::{Load, Picker, WEIGHT_ONE};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::sync::Arc;
use std::time::Duration;

criterion_group!(benches, picks, retries, changes);
criterion_main!(benches);

const RULES: [(Balance, &str); 6] = [
    (Balance::Random, "random"),
    (Balance::RoundRobin, "round_robin"),
    (Balance::WeightedRoundRobin, "weighted_round_robin"),
    (Balance::LeastRequests, "least_requests"),
    (Balance::TwoChoices, "two_choices"),
    (Balance::HotCold, "hot_cold"),
];

fn picks(c: &mut Criterion) {
    for (balance, name) in RULES {
        let mut group = c.benchmark_group(format!("pick/{name}"));
        for servers in [2, 16, 32, 100, 1_000] {
            group.bench_with_input(BenchmarkId::from_parameter(servers), &servers, |b, &servers| {
                let mut lane = Lane::new(balance, servers);
                b.iter(|| lane.turn(&[]));
            });
        }
    }
}

/// Of 16 servers one was tried.
fn retries(c: &mut Criterion) {
    let mut group = c.benchmark_group("retry");
    for (balance, name) in RULES {
        group.bench_function(name, |b| {
            let mut lane = Lane::new(balance, 16);
            b.iter(|| lane.turn(&[5]));
        });
    }
}

/// A weight changes before each pick: `adaptive` and slow start never change that many.
fn changes(c: &mut Criterion) {
    let mut group = c.benchmark_group("weight_changes/weighted_round_robin");
    for servers in [16, 1_000] {
        group.bench_with_input(BenchmarkId::from_parameter(servers), &servers, |b, &servers| {
            let mut lane = Lane::new(Balance::Adaptive, servers);
            b.iter(|| {
                lane.loads[lane.next % servers].set_weight(WEIGHT_ONE + lane.next as u32);
                lane.turn(&[])
            });
        });
    }
}

/// A lane with two requests under way for each server.
struct Lane {
    loads: Vec<Arc<Load>>,
    picker: Picker,
    under_way: Vec<usize>,
    next: usize,
}

impl Lane {
    fn new(balance: Balance, servers: usize) -> Lane {
        let loads: Vec<_> = (0..servers).map(server).collect();
        let mut picker = Picker::new(balance, 1);
        let mut pick = || picker.pick(&loads, &[]).expect("there is room for thousands");
        let under_way = (0..2 * servers).map(|_| pick()).collect();
        Lane { loads, picker, under_way, next: 0 }
    }

    /// The oldest request ends, and another one begins.
    fn turn(&mut self, avoid: &[u16]) -> usize {
        self.next = if self.next + 1 < self.under_way.len() { self.next + 1 } else { 0 };
        self.loads[self.under_way[self.next]].leave();
        let server = self.picker.pick(&self.loads, avoid).expect("there is room for thousands");
        self.under_way[self.next] = server;
        server
    }
}

/// Weights of 1 to 3, up to 4 requests from elsewhere, a limit, a latency.
fn server(n: usize) -> Arc<Load> {
    let load = Load::new(WEIGHT_ONE * (1 + n as u32 % 3), 5_000);
    (0..n % 5).for_each(|_| assert!(load.enter()));
    load.took(Duration::from_micros(500 + n as u64 * 7_919 % 300));
    Arc::new(load)
}
