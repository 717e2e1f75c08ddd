//! What is aimed at: a table. Each aim says of which numbers it is computed and what they must be.
//!
//! In: recorded results. Out: each aim with its number, and whether it is met. Never: rounds a miss away; an aim is met
//! by its median.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::compare::{balancer, latency, loadgen, spin};
use crate::contender::{EPOLL_FLOOR, RING_FLOOR};
use crate::report::{Record, Table};
use crate::results::{Better, CPU, P50, P99, RATE, find};
use crate::stats::Spread;

/// A result that was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) record: Record,
    pub(crate) directory: PathBuf,
    /// The name of its files.
    pub(crate) name: String,
}

impl Found {
    /// Was it made only to see that it works?
    pub(crate) fn is_quick(&self) -> bool {
        self.name.ends_with("-quick")
    }
}

/// By part.
pub(crate) type Records = BTreeMap<&'static str, Found>;

/// Each part's result, under the name that is made of the part's, from the first of these directories that has it.
pub(crate) fn records(directories: &[PathBuf], name: impl Fn(&str) -> String) -> Records {
    let of_part = |part: &'static str| {
        let name = name(part);
        let found = directories.iter().find_map(|directory| {
            let record = read(&directory.join(format!("{name}.json")))?;
            Some(Found { record, directory: directory.clone(), name: name.clone() })
        });
        Some((part, found?))
    };
    crate::compare::PARTS.iter().filter_map(|part| of_part(part)).collect()
}

/// `None` for what is none of ours, or from before results had this form.
fn read(file: &Path) -> Option<Record> {
    serde_json::from_str(&fs::read_to_string(file).ok()?).ok()
}

struct Aim {
    what: &'static str,
    part: &'static str,
    number: Number,
    bound: Bound,
    /// For the table.
    digits: usize,
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn holds(self, number: f64) -> bool {
        match self {
            Self::AtLeast(least) => number >= least,
            Self::AtMost(most) => number <= most,
        }
    }
}

/// Of what an aim is computed.
enum Number {
    /// A quantity of a contender in a case.
    Plain(&'static str, &'static str, &'static str),
    /// The same, over that of another in the same case.
    Over(&'static str, &'static str, &'static str, Other),
    /// A number of the memory part: contender, state, connections, name. Resident memory is in MiB.
    Memory(&'static str, &'static str, u64, &'static str),
}

enum Other {
    Contender(&'static str),
    BestPeer(Better),
}

const OURS: &str = "corelane-uring";
const OURS_EPOLL: &str = "corelane-epoll";
const BALANCER: &str = "ours-uring";

const AIMS: &[Aim] = {
    use Bound::{AtLeast, AtMost};
    use Number::{Memory, Over, Plain};
    use Other::{BestPeer, Contender};
    const fn aim(what: &'static str, part: &'static str, number: Number, bound: Bound) -> Aim {
        Aim { what, part, number, bound, digits: 2 }
    }
    &[
        aim(
            "`uring`, 64 connections: requests per second ≥ 0.94 × the ring floor",
            "server",
            Over(OURS, "64", RATE, Contender(RING_FLOOR)),
            AtLeast(0.94),
        ),
        aim(
            "… ≥ 1.25 × may_minihttp",
            "server",
            Over(OURS, "64", RATE, Contender("may_minihttp")),
            AtLeast(1.25),
        ),
        aim("… ≥ 1.4 × nginx", "server", Over(OURS, "64", RATE, Contender("nginx")), AtLeast(1.4)),
        aim("… ≥ 1.5 × hyper", "server", Over(OURS, "64", RATE, Contender("hyper")), AtLeast(1.5)),
        aim(
            "… 16 pipelined: requests per second ≥ 1.5 × the best peer",
            "server",
            Over(OURS, "64 × 16", RATE, BestPeer(Better::More)),
            AtLeast(1.5),
        ),
        aim(
            "… CPU per request ≤ 1.06 × the ring floor",
            "server",
            Over(OURS, "64", CPU, Contender(RING_FLOOR)),
            AtMost(1.06),
        ),
        aim(
            "`epoll`, 64 connections: CPU per request ≤ 1.06 × the epoll floor",
            "server",
            Over(OURS_EPOLL, "64", CPU, Contender(EPOLL_FLOOR)),
            AtMost(1.06),
        ),
        aim(
            "p99 at half of what the slowest reaches: lowest of all (≤ 1 × the best peer)",
            "latency",
            Over(OURS, latency::COMMON, P99, BestPeer(Better::Less)),
            AtMost(1.0),
        ),
        aim(
            "`--busy-poll`: p50 of one connection at most half",
            "latency",
            Over("corelane-uring-busy", spin::SPINNING, P50, Contender(OURS)),
            AtMost(0.5),
        ),
        aim(
            "balancer: CPU per request ≤ 1.08 × the forwarding floor",
            "balancer",
            Over(BALANCER, balancer::cpu::OVER_TCP, CPU, Contender(balancer::proxies::FLOOR)),
            AtMost(1.08),
        ),
        aim(
            "balancer: CPU per request ≤ 0.80 × the best peer",
            "balancer",
            Over(BALANCER, balancer::cpu::OVER_TCP, CPU, BestPeer(Better::Less)),
            AtMost(0.8),
        ),
        aim(
            "generator, closed loop, every answer checked: requests per second ≥ 1.4 × wrk",
            "loadgen",
            Over(loadgen::CLOSED, loadgen::OUR_SERVER, RATE, Contender(loadgen::WRK)),
            AtLeast(1.4),
        ),
        aim(
            "generator: CPU per request ≤ 0.7 × wrk's",
            "loadgen",
            Over(loadgen::CLOSED, loadgen::OUR_SERVER, CPU, Contender(loadgen::WRK)),
            AtMost(0.7),
        ),
        aim(
            "generator, open loop: less than 10 % slower than its closed loop",
            "loadgen",
            Over(loadgen::OPEN, loadgen::OUR_SERVER, RATE, Contender(loadgen::CLOSED)),
            AtLeast(0.9),
        ),
        Aim {
            what: "generator: own lag p99.9 ≤ 50 µs at half of the ceiling",
            part: "loadgen",
            number: Plain(loadgen::AT_HALF, loadgen::OUR_SERVER, loadgen::LAG),
            bound: AtMost(50.0),
            digits: 0,
        },
        Aim {
            what: "≤ 8 MiB resident at start with one lane, in MiB",
            part: "memory",
            number: Memory(OURS, "at start, 1 lane", 0, "rss_bytes"),
            bound: AtMost(8.0),
            digits: 1,
        },
        Aim {
            what: "≤ 512 bytes per idle connection (`uring`, the slope up to 10,000)",
            part: "memory",
            number: Memory(OURS, "idle after one request", 10_000, "bytes_per_connection_slope"),
            bound: AtMost(512.0),
            digits: 0,
        },
    ]
};

/// How each of these parts stands.
pub(crate) fn table(records: &Records, parts: &[&str]) -> Table {
    let mut table = Table::new(&["aim", "measured", "[min..max]", ""]).titled("What was aimed at");
    for aim in AIMS.iter().filter(|aim| parts.contains(&aim.part)) {
        let spread = records.get(aim.part).and_then(|found| aim.number.of(&found.record));
        let digits = aim.digits;
        let (median, ends, word) = match spread {
            None => ("–".into(), "–".into(), "not measured".into()),
            Some(spread) => {
                let is_quick = records.get(aim.part).is_some_and(Found::is_quick);
                let word = if aim.bound.holds(spread.median) { "met" } else { "**missed**" };
                (
                    format!("{:.digits$}", spread.median),
                    format!("[{:.digits$}..{:.digits$}]", spread.min, spread.max),
                    format!("{word}{}", if is_quick { ", a quick look" } else { "" }),
                )
            }
        };
        table.row(vec![aim.what.into(), median, ends, word]);
    }
    table
}

impl Number {
    fn of(&self, record: &Record) -> Option<Spread> {
        let rows = &record.rows;
        match self {
            Self::Plain(contender, case, quantity) => find(rows, contender, case)?.spread(quantity),
            Self::Over(contender, case, quantity, other) => {
                let one = find(rows, contender, case)?;
                match other {
                    Other::BestPeer(better) => one.over_best_peer(rows, quantity, *better),
                    Other::Contender(name) => one.over(find(rows, name, case)?, quantity),
                }
            }
            Self::Memory(contender, state, connections, name) => {
                let is_it = |look: &&serde_json::Value| {
                    look["contender"] == *contender
                        && look["state"] == *state
                        && look["connections"] == *connections
                };
                let number = record.results.as_array()?.iter().find(is_it)?[*name].as_f64()?;
                let unit = if *name == "rss_bytes" { 1024.0 * 1024.0 } else { 1.0 };
                Spread::of([number / unit])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::row;
    use crate::results::{Row, Sort};

    fn records_of(part: &'static str, name: &str, rows: Vec<Row>) -> Records {
        let record = Record {
            machine: BTreeMap::new(),
            notes: vec![],
            tables: vec![],
            charts: vec![],
            rows,
            results: serde_json::json!([
                { "contender": OURS, "state": "at start, 1 lane", "connections": 0, "rss_bytes": 6 * 1024 * 1024 },
            ]),
        };
        [(part, Found { record, directory: "x".into(), name: name.into() })].into()
    }

    fn line(records: &Records, what: &str) -> String {
        let text = table(records, &crate::compare::PARTS).text();
        text.lines().find(|line| line.contains(what)).unwrap().to_owned()
    }

    #[test]
    fn an_aim_is_met_by_the_median_of_its_ratios() {
        let rows = vec![
            row(RING_FLOOR, Sort::Floor, "64", &[100.0, 100.0, 100.0]),
            row(OURS, Sort::Ours, "64", &[90.0, 95.0, 96.0]),
            row("nginx", Sort::Peer, "64", &[80.0, 80.0, 80.0]),
        ];
        let records = records_of("server", "server", rows);
        let met = line(&records, "0.94 ×");
        assert!(met.contains("0.95") && met.contains("[0.90..0.96]") && met.ends_with("met"), "{met}");
        assert!(line(&records, "1.4 × nginx").ends_with("**missed**"));
        assert!(line(&records, "1.5 × hyper").ends_with("not measured"));
    }

    #[test]
    fn a_quick_look_says_that_it_is_one() {
        let rows = vec![row(RING_FLOOR, Sort::Floor, "64", &[100.0]), row(OURS, Sort::Ours, "64", &[95.0])];
        assert!(line(&records_of("server", "server-quick", rows), "0.94 ×").ends_with("met, a quick look"));
    }

    #[test]
    fn memory_has_aims_in_mebibytes_and_bytes() {
        assert!(line(&records_of("memory", "memory", vec![]), "8 MiB").contains("6.0"));
    }

    #[test]
    fn the_parts_of_aims_exist() {
        for aim in AIMS {
            assert!(crate::compare::PARTS.contains(&aim.part), "{}", aim.part);
        }
    }

    #[test]
    fn what_is_no_record_is_none() {
        assert!(records(&[PathBuf::from("/nowhere")], str::to_owned).is_empty());
    }
}
