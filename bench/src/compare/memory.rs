//! `bench compare memory`: what a server takes at start, per lane, and per idle connection.
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
use crate::failure::Failure;
use crate::field::{Server, Who};
use crate::proc::{self, Memory};
use crate::report::{Found, Progress, Table};
use crate::request::{self, PATIENCE};
use crate::{rounds, versions};

/// Connections from one source address: far below the 28,000 ports that Linux has for them by default, so that
/// those of an earlier server that linger in TIME_WAIT are never in the way.
const PER_SOURCE: usize = 5_000;

/// Until a server has accepted what was opened.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(10);

/// Until a server that has gone quiet is done with what it does afterwards.
const SETTLE: Duration = Duration::from_millis(300);

/// Descriptors that a server may give up while connections are opened: a proxy closes connections to its backend that
/// are idle.
const OTHERS_MAX: usize = 8;

/// Descriptors that this process needs besides the connections.
const DESCRIPTORS_OF_OURS: u64 = 64;

/// What the columns mean.
pub(super) const EXPLAINED: &str = "Userspace only (VmRSS, RssAnon); sockets in the kernel come on top, the same for everyone. B/connection: \
         growth since that server's start, per connection. slope: the same between this number of connections and \
         the one before, which leaves out what is paid once.";

/// Connections stay for as long as it takes to open them all, however busy the machine; peers have no such limits here.
const PATIENT: [&str; 4] = ["--head-timeout", "1h", "--idle-timeout", "1h"];

/// Numbers of idle connections, where none are asked for; a quick look takes the first.
const CONNECTIONS: [usize; 2] = [1_000, 10_000];

/// Options of `bench compare memory`.
#[derive(Args, Debug)]
#[group(id = "memory")]
pub(super) struct Options {
    /// Numbers of idle connections, rising [default: 1000,10000]
    #[arg(long, value_delimiter = ',')]
    connections: Vec<usize>,
    #[command(flatten)]
    who: Who,
}

impl Options {
    /// Does it measure less than it does by itself, or something else?
    pub(super) fn is_partial(&self) -> bool {
        self.who.is_partial() || !self.connections.is_empty()
    }
}

/// What a server holds when its memory is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum State {
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
pub(super) struct Row {
    contender: String,
    state: State,
    memory: Memory,
    /// The same server before the connections.
    at_start: Memory,
}

/// Measures.
pub(super) fn run(pace: &rounds::Options, options: &Options) -> Result<Found, Failure> {
    let connections = match &options.connections[..] {
        [] if pace.quick => CONNECTIONS[..1].to_vec(),
        [] => CONNECTIONS.to_vec(),
        asked => asked.to_vec(),
    };
    let most = connections.iter().copied().max().unwrap_or(0) as u64;
    raise_descriptor_limit(most)?;
    let field = contender::select(Run::Memory, &options.who.only)?;

    let mut found = Found { notes: vec![EXPLAINED.to_owned()], ..Found::default() };
    let mut progress = Progress::new(field.present.len() * (1 + connections.len()), Duration::from_secs(1));
    let mut rows = Vec::new();
    for &contender in &field.present {
        let name = &contender.name;
        let looks = visit(contender, &connections, pace, &mut progress).or_else(|failure| match failure {
            // Once more, as in rounds.
            Failure::Run(message) => {
                progress.say(&format!("{name}, once more: {message}"));
                visit(contender, &connections, pace, &mut progress)
            }
            other => Err(other),
        });
        match looks {
            Ok(looks) => rows.extend(looks),
            Err(Failure::Run(message)) => found.broken.0.push(format!("FAILED {name}: {message}")),
            Err(other) => return Err(other),
        }
    }
    drop(progress);

    found.tables.push(table(&rows));
    found.notes.extend(versions::note(field.present.iter().map(|contender| contender.version())));
    found.notes.extend(field.skipped);
    found.results = rows.iter().map(|row| json(row, &rows)).collect();
    Ok(found)
}

/// One contender: at start, and with each number of connections.
fn visit(
    contender: &Contender,
    connections: &[usize],
    pace: &rounds::Options,
    progress: &mut Progress,
) -> Result<Vec<Row>, Failure> {
    let name = &contender.name;
    progress.step(&format!("{name}: start"));
    let mut looks = starts(contender, pace)?;
    for &connections in connections {
        progress.step(&format!("{name}: {connections} connections"));
        let more = match contender.kind {
            Kind::Corelane { .. } => PATIENT.map(String::from).to_vec(),
            _ => vec![],
        };
        let server = contender.start_with(&pace.cores.server_core.to_string(), &more)?;
        looks.extend(idle(name, &server, connections)?);
    }
    Ok(looks)
}

/// At start: one lane, and two for those that have lanes, because the difference is what a lane costs.
fn starts(contender: &Contender, pace: &rounds::Options) -> Result<Vec<Row>, Failure> {
    let one = pace.cores.server_core.to_string();
    let two = format!("{one},{}", pace.cores.client_core);
    let starts = match contender.kind {
        Kind::Corelane { .. } => vec![(1, one), (2, two)],
        _ => vec![(1, one)],
    };
    let measure = |(lanes, cores): (usize, String)| {
        let server = contender.start(&cores)?;
        pause(SETTLE)?;
        let memory = proc::memory(server.child.pid())?;
        let contender = contender.name.clone();
        Ok(Row { contender, state: State::Start { lanes }, memory, at_start: memory })
    };
    starts.into_iter().map(measure).collect()
}

/// A server with so many connections: silent, then after a request on each.
pub(super) fn idle(contender: &str, server: &Server, connections: usize) -> Result<[Row; 2], Failure> {
    pause(SETTLE)?;
    let pid = server.child.pid();
    let at_start = proc::memory(pid)?;
    let row = |state| {
        let memory = proc::memory(pid)?;
        Ok::<_, Failure>(Row { contender: contender.to_owned(), state, memory, at_start })
    };

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
        if accepted + OTHERS_MAX >= connections {
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
pub(super) fn raise_descriptor_limit(connections: u64) -> Result<(), Failure> {
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

pub(super) fn table(all: &[Row]) -> Table {
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
            row.contender.clone(),
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

pub(super) fn json(row: &Row, all: &[Row]) -> Value {
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
