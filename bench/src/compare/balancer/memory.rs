//! What an idle proxied connection takes: client connections that have each had one answer, kept open.
//!
//! In: the proxies, without the floors. Out: a table of the proxy's own memory; a KiB per connection is a MiB per
//! 1,000 of them. The backend's memory and the kernel's sockets are not in it.

use std::time::Duration;

use super::Bench;
use super::backend::Transport;
use crate::compare::memory;
use crate::failure::Failure;
use crate::report::{Found, Progress};
use crate::results::Sort;

/// What some thousands of connections take to open and to ask once.
const GUESS: Duration = Duration::from_secs(2);

/// Measures, and adds the table.
pub(super) fn run(bench: &Bench<'_>, found: &mut Found) -> Result<(), Failure> {
    let most = bench.options.idle.iter().copied().max().unwrap_or(0) as u64;
    memory::raise_descriptor_limit(most)?;
    let idle = &bench.options.idle;
    let idle = if bench.pace.quick { &idle[..idle.len().min(1)] } else { idle };
    let mut rows = Vec::new();
    let measured = bench.field.present.iter().filter(|proxy| proxy.sort() != Sort::Floor);
    let mut progress = Progress::new(measured.clone().count() * idle.len(), GUESS);
    for proxy in measured {
        for &connections in idle {
            progress.step(&format!("{}: {connections} idle connections", proxy.name));
            let looks = bench
                .start(proxy, Transport::Tcp)
                .and_then(|(_backend, server)| memory::idle(&proxy.name, &server, connections));
            match looks {
                Ok(looks) => rows.extend(looks),
                Err(Failure::Run(message)) => {
                    found.broken.0.push(format!("FAILED {} at {connections} idle: {message}", proxy.name));
                }
                Err(other) => return Err(other),
            }
        }
    }
    drop(progress);
    found.tables.push(memory::table(&rows).titled("Memory of idle proxied connections"));
    found.notes.push(memory::EXPLAINED.to_owned());
    found.results = rows.iter().map(|row| memory::json(row, &rows)).collect();
    Ok(())
}
