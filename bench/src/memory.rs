//! `bench memory`: what a server takes at start, per lane, and per idle connection.
//!
//! Idle in two ways: opened and silent, and after one answered request (what keep-alive leaves behind). Each
//! number of connections gets a fresh server; what is paid once (touched buffers, grown tables) shows in the
//! growth since start and drops out of the slope between two numbers of connections.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use socket2::{Domain, Protocol, Socket, Type};

use crate::child::{self, pause};
use crate::contender::{self, Contender, Kind, Run};
use crate::cores::Cores;
use crate::failure::Failure;
use crate::field::Server;
use crate::machine::Machine;
use crate::proc::{self, Memory};
use crate::report::{self, Progress, Table};
use crate::request::{self, PATIENCE};

/// Connections from one source address: far below the 28,000 ports that Linux has for them by default, so that
/// those of an earlier server that linger in TIME_WAIT are never in the way.
const PER_SOURCE: usize = 5_000;

/// Until a server has accepted what was opened.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(10);

/// Until a server that has gone quiet is done with what it does afterwards.
const SETTLE: Duration = Duration::from_millis(300);

/// Descriptors that this process needs besides the connections.
const DESCRIPTORS_OF_OURS: u64 = 64;

/// What the columns mean.
pub(crate) const EXPLAINED: &str = "Userspace only (VmRSS, RssAnon); sockets in the kernel come on top, the same for everyone. B/connection: \
         growth since that server's start, per connection. slope: the same between this number of connections and \
         the one before, which leaves out what is paid once.";

/// Options of `bench memory`.
#[derive(Args, Debug)]
#[group(id = "memory")]
pub(crate) struct Options {
    /// Numbers of idle connections, rising
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000])]
    connections: Vec<usize>,
    /// Only these contenders
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    only: Vec<String>,
    #[command(flatten)]
    cores: Cores,
    #[command(flatten)]
    report: report::Options,
}

/// What a server holds when its memory is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum State {
    Start { lanes: usize },
    Silent { connections: usize },
    Answered { connections: usize },
}

impl State {
    fn name(self) -> String {
        match self {
            Self::Start { lanes: 1 } => "at start, 1 lane".into(),
            Self::Start { lanes } => format!("at start, {lanes} lanes"),
            Self::Silent { .. } => "silent since opened".into(),
            Self::Answered { .. } => "idle after one request".into(),
        }
    }

    fn connections(self) -> usize {
        match self {
            Self::Start { .. } => 0,
            Self::Silent { connections } | Self::Answered { connections } => connections,
        }
    }
}

/// One look at a server's memory.
#[derive(Debug)]
pub(crate) struct Row {
    contender: &'static str,
    state: State,
    memory: Memory,
    /// The same server before the connections.
    at_start: Memory,
}

/// Measures, prints, writes.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    options.cores.check()?;
    child::stop_flag();
    let most = options.connections.iter().copied().max().unwrap_or(0) as u64;
    raise_descriptor_limit(most)?;
    let field = contender::select(Run::Memory, &options.only)?;
    let machine = Machine::ask();

    let steps = field.present.len() * (1 + options.connections.len());
    let mut progress = Progress::new(steps, Duration::from_secs(2));
    let mut rows = Vec::new();
    for contender in &field.present {
        progress.step(&format!("{}: start", contender.name));
        let of = |failure: Failure| failure.of(contender.name);
        rows.extend(starts(contender, options).map_err(of)?);
        for &connections in &options.connections {
            progress.step(&format!("{}: {connections} connections", contender.name));
            let server = contender.start(&options.cores.server_core.to_string()).map_err(of)?;
            rows.extend(idle(contender.name, &server, connections).map_err(of)?);
        }
    }
    drop(progress);

    let mut notes = vec![EXPLAINED.to_owned()];
    notes.extend(field.skipped);
    let results = rows.iter().map(|row| json(row, &rows)).collect::<Vec<_>>();
    report::publish(&options.report, &machine, "memory", &[table(&rows)], &notes, &json!(results))
}

/// At start: one lane, and two for those that have lanes, because the difference is what a lane costs.
fn starts(contender: &'static Contender, options: &Options) -> Result<Vec<Row>, Failure> {
    let one = options.cores.server_core.to_string();
    let two = format!("{one},{}", options.cores.client_core);
    let starts = match contender.kind {
        Kind::Corelane { .. } => vec![(1, one), (2, two)],
        _ => vec![(1, one)],
    };
    let measure = |(lanes, cores): (usize, String)| {
        let server = contender.start(&cores)?;
        pause(SETTLE)?;
        let memory = proc::memory(server.child.pid())?;
        Ok(Row { contender: contender.name, state: State::Start { lanes }, memory, at_start: memory })
    };
    starts.into_iter().map(measure).collect()
}

/// A server with so many connections: silent, then after a request on each.
pub(crate) fn idle(
    contender: &'static str,
    server: &Server,
    connections: usize,
) -> Result<[Row; 2], Failure> {
    pause(SETTLE)?;
    let pid = server.child.pid();
    let at_start = proc::memory(pid)?;
    let row = |state| Ok::<_, Failure>(Row { contender, state, memory: proc::memory(pid)?, at_start });

    let mut streams = open(server, connections)?;
    pause(SETTLE)?;
    let silent = row(State::Silent { connections })?;
    for stream in &mut streams {
        child::check_stopped()?;
        request::ask(stream)?;
    }
    pause(SETTLE)?;
    let answered = row(State::Answered { connections })?;
    Ok([silent, answered])
}

/// Opens connections, and waits until the server has accepted them all.
fn open(server: &Server, connections: usize) -> Result<Vec<TcpStream>, Failure> {
    let before = proc::descriptors(server.child.pid())?;
    let mut streams = Vec::with_capacity(connections);
    for number in 0..connections {
        child::check_stopped()?;
        streams.push(connect(number, server.address)?);
    }
    let deadline = Instant::now() + ACCEPTED_WITHIN;
    loop {
        let accepted = proc::descriptors(server.child.pid())?.saturating_sub(before);
        if accepted >= connections {
            return Ok(streams);
        }
        if Instant::now() > deadline {
            return Err(Failure::run(format!(
                "holds {accepted} of {connections} connections; is a limit of its own in the way?"
            )));
        }
        pause(Duration::from_millis(20))?;
    }
}

/// From 127.0.0.2 and up, `PER_SOURCE` from each.
fn connect(number: usize, server: SocketAddr) -> Result<TcpStream, Failure> {
    let last = u8::try_from(2 + number / PER_SOURCE)
        .map_err(|_| Failure::setup(format!("more than {} connections", 254 * PER_SOURCE)))?;
    let source = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&source.into())?;
    socket.connect_timeout(&server.into(), PATIENCE)?;
    Ok(socket.into())
}

/// Raises the soft limit to the hard one, for so many connections; the servers inherit it.
pub(crate) fn raise_descriptor_limit(connections: u64) -> Result<(), Failure> {
    let needed = connections + DESCRIPTORS_OF_OURS;
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).map_err(std::io::Error::from)?;
    match limit.maximum {
        Some(maximum) if maximum < needed => Err(Failure::setup(format!(
            "{needed} open files are needed and {maximum} allowed: raise the hard limit (ulimit -Hn), or ask for \
             fewer --connections"
        ))),
        _ => Ok(()),
    }
}

pub(crate) fn table(all: &[Row]) -> Table {
    let mut table = Table::new(&[
        "contender",
        "state",
        "connections",
        "RSS KiB",
        "anonymous KiB",
        "B/connection",
        "slope",
    ]);
    let show = |bytes: Option<f64>| bytes.map_or("–".into(), |bytes| format!("{bytes:.0}"));
    for row in all {
        table.row(vec![
            row.contender.into(),
            row.state.name(),
            row.state.connections().to_string(),
            (row.memory.rss_bytes / 1024).to_string(),
            (row.memory.anonymous_bytes / 1024).to_string(),
            show(per_connection(row)),
            show(slope(row, all)),
        ]);
    }
    table
}

/// Bytes per connection since the server's start.
fn per_connection(row: &Row) -> Option<f64> {
    let grown = row.memory.rss_bytes as f64 - row.at_start.rss_bytes as f64;
    (row.state.connections() > 0).then(|| grown / row.state.connections() as f64)
}

/// Bytes per connection since the next smaller number of connections in the same state.
fn slope(row: &Row, all: &[Row]) -> Option<f64> {
    let same = |other: &&Row| {
        other.contender == row.contender
            && std::mem::discriminant(&other.state) == std::mem::discriminant(&row.state)
            && (1..row.state.connections()).contains(&other.state.connections())
    };
    let smaller = all.iter().filter(same).max_by_key(|other| other.state.connections())?;
    let grown = |row: &Row| row.memory.rss_bytes as f64 - row.at_start.rss_bytes as f64;
    let more = row.state.connections() - smaller.state.connections();
    Some((grown(row) - grown(smaller)) / more as f64)
}

pub(crate) fn json(row: &Row, all: &[Row]) -> Value {
    json!({
        "contender": row.contender,
        "state": row.state.name(),
        "connections": row.state.connections(),
        "rss_bytes": row.memory.rss_bytes,
        "anonymous_bytes": row.memory.anonymous_bytes,
        "rss_bytes_at_start": row.at_start.rss_bytes,
        "bytes_per_connection": per_connection(row),
        "bytes_per_connection_slope": slope(row, all),
    })
}
