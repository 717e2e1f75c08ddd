//! How two runs were not made alike, apart from the target itself.
//!
//! In: a run of each side. Out: a line for each thing that differs. Never: the URL or the address, which are what
//! is compared, or the seed, which every run may have for itself.

use crate::model::{Load, Run};
use crate::units::{format_ns, format_rate};

/// A name and how to say it of a run.
type Aspect = (&'static str, fn(&Run) -> String);

const ASPECTS: [Aspect; 17] = [
    ("host", |run| run.machine.host.clone()),
    ("kernel", |run| run.machine.kernel.clone()),
    ("CPU", |run| run.machine.cpu.clone()),
    ("CPUs", |run| run.machine.cpus.to_string()),
    ("governor", |run| run.machine.governor.clone()),
    ("clock source", |run| run.machine.clocksource.clone()),
    ("version", |run| run.setup.version.clone()),
    ("engine", |run| run.setup.engine.clone()),
    ("cores", |run| format!("{:?}", run.setup.cores)),
    ("load", |run| load(&run.setup.load)),
    ("workload", |run| run.setup.workload.clone()),
    ("connections", |run| run.setup.connections.to_string()),
    ("pipeline", |run| run.setup.pipeline.to_string()),
    ("requests per connection", |run| run.setup.requests_per_connection.to_string()),
    ("warm-up", |run| format_ns(run.setup.warmup_ns)),
    ("timeout", |run| format_ns(run.setup.timeout_ns)),
    ("duration", |run| format_ns(tenths_of_a_second(run.window_ns))),
];

/// `connections: 64 against 128`, …
pub(super) fn between(a: &Run, b: &Run) -> Vec<String> {
    let said = ASPECTS.iter().map(|(name, say)| (name, say(a), say(b)));
    said.filter(|(_, a, b)| a != b).map(|(name, a, b)| format!("{name}: {a} against {b}")).collect()
}

fn load(load: &Load) -> String {
    let Load::Open { arrivals, pieces } = load else { return "closed loop".into() };
    let rates = |piece: &crate::model::Piece| match (format_rate(piece.from), format_rate(piece.to)) {
        (from, to) if from == to => from,
        (from, to) => format!("{from} to {to}"),
    };
    let rates: Vec<String> = pieces.iter().map(rates).collect();
    format!("{arrivals} at {} req/s", rates.join(", "))
}

/// A window ends when the last lane has looked at its clock.
fn tenths_of_a_second(ns: u64) -> u64 {
    (ns + 50_000_000) / 100_000_000 * 100_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Piece, example};

    #[test]
    fn only_what_differs_is_listed_and_never_the_target() {
        let a = example::run();
        let mut b = a.clone();
        b.setup.address = "127.0.0.1:6000".into();
        b.setup.urls[0].0 = "http://127.0.0.1:6000/add".into();
        b.setup.seed += 1;
        b.window_ns += 3_000;
        assert_eq!(between(&a, &b), Vec::<String>::new());
        b.setup.connections = 128;
        b.setup.cores = vec![2];
        b.machine.kernel = "Linux 6.12.0".into();
        let lines = [
            "kernel: Linux 6.18.1 against Linux 6.12.0",
            "cores: [2, 3] against [2]",
            "connections: 64 against 128",
        ];
        assert_eq!(between(&a, &b), lines);
    }

    #[test]
    fn loads_differ_by_loop_arrivals_and_rates() {
        let piece = |from, to| Piece { length_ns: 1, from, to };
        let open = |arrivals: &str, pieces: &[Piece]| {
            load(&Load::Open { arrivals: arrivals.into(), pieces: pieces.to_vec() })
        };
        assert_eq!(load(&Load::Closed), "closed loop");
        let flat = open("poisson", &[piece(500.0, 500.0)]);
        assert_eq!(flat, format!("poisson at {} req/s", format_rate(500.0)));
        assert_ne!(flat, open("constant", &[piece(500.0, 500.0)]));
        assert_ne!(flat, open("poisson", &[piece(500.0, 900.0)]));
        assert_ne!(flat, open("poisson", &[piece(500.0, 500.0), piece(900.0, 900.0)]));
    }
}
