//! Everything a user can set, checked: what the file and the command line become.
//!
//! In: a TOML file, or flags (see `command_line`). Out: one [`Config`] in which every name is resolved and every number
//! within its bounds. Never: a half-taken file; the first thing that is wrong refuses the whole, and says where.
//!
//! A text's way: `tree` (TOML with places) → `keys` (is there such a key, does it take such a value) → `file` (pools inherit,
//! serde reads) → `resolve` and `routing` (names, and what contradicts what). `values` says how each value is written; `shown`
//! writes a configuration back as a file; `source` reads it again for a reload.

pub mod defaults;
pub(crate) mod file;
pub mod keys;
pub(crate) mod process;
mod refusal;
mod resolve;
mod routing;
mod shown;
pub(crate) mod source;
mod tree;
pub(crate) mod values;

pub use file::read;
pub use process::ProcessKeys;
pub use refusal::{At, Refusal};
pub(crate) use resolve::from_flags;
pub use shown::{Said, shown};
pub use source::Source;

use clap::ValueEnum;
use ipnet::IpNet;
use net::address::Address;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use values::{As, Each};

/// A whole configuration. What only a restart can change is in [`Process`].
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where to listen, and for whom; at least one.
    pub listeners: Vec<Listener>,
    /// The pools of servers; at least one.
    pub pools: Vec<Pool>,
    /// Which request goes to which pool.
    pub routes: Vec<Route>,
    /// What a client may do, and for how long.
    pub front: Front,
    /// What is added to requests on their way.
    pub forward: Forward,
    /// The access log.
    pub log: AccessLog,
}

/// A front listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub address: Address,
    /// Every connection begins with a PROXY protocol header (v1 or v2), which says who the client is; one without is refused.
    pub accept_proxy: bool,
    /// Index of the pool for requests that no route of this listener takes; `None`: they get 404.
    pub default_pool: Option<usize>,
}

/// One rule: the first that matches, in order of the list, decides. `config` sorts them: exact hosts before wildcards before any; longer paths first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Index of the listener it is for; `None`: all.
    pub listener: Option<usize>,
    /// The host that is asked for.
    pub host: HostRule,
    /// The path is this, or begins with it and goes on behind a `/`. `/` takes all.
    pub path_prefix: String,
    /// Index of the pool.
    pub pool: usize,
}

/// Which hosts a route takes: compared without the port, in any case, without a trailing dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRule {
    /// Any, and none.
    Any,
    /// This one (lower case).
    Exact(String),
    /// `*.example.com`: any name that ends in `.example.com` (kept with its dot, lower case).
    Suffix(String),
}

/// What a client may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Front {
    /// From the first byte of a head to its end (and from a connection's start to its first byte).
    #[serde(with = "As::<values::Clock>")]
    pub head_timeout: Duration,
    /// From one piece of a request's body to the next; and, while a response is sent, from one piece that the client takes to the next.
    #[serde(with = "As::<values::Clock>")]
    pub body_timeout: Duration,
    /// From the end of a response to the next request.
    #[serde(with = "As::<values::Clock>")]
    pub idle_timeout: Duration,
    /// For the client to take the last output and end, once we have closed.
    #[serde(with = "As::<values::Clock>")]
    pub linger_timeout: Duration,
    /// From the call to drain to the end of everything.
    #[serde(with = "As::<values::Clock>")]
    pub drain_timeout: Duration,
    /// While draining, how long idle connections may still bring a request.
    #[serde(with = "As::<values::Clock>")]
    pub drain_idle: Duration,
    /// A request's body; `u64::MAX`: no limit.
    #[serde(rename = "body-max", with = "As::<values::BytesOrNone>")]
    pub body_bytes_max: u64,
    /// A head, of a request and of a response.
    #[serde(rename = "head-max", with = "As::<values::Bytes>")]
    pub head_bytes_max: usize,
    /// Field lines of a head.
    pub fields_max: usize,
    /// Connections that one lane holds, of both sides together.
    pub connections_max: u32,
    /// Unsent output of one connection over which the other side is not read.
    #[serde(rename = "unsent-max", with = "As::<values::Bytes>")]
    pub unsent_bytes_max: usize,
}

/// What is added to requests (and taken from whom it is not believed).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Forward {
    /// Peers whose `X-Forwarded-*`, `Forwarded` and `X-Request-Id` are believed and kept; those of others are removed.
    #[serde(with = "Each::<values::Network>")]
    pub trusted_proxies: Vec<IpNet>,
    /// Add `X-Forwarded-For`, `-Proto` and `-Host`.
    pub x_forwarded: bool,
    /// Add `Forwarded` (RFC 7239).
    pub forwarded: bool,
    /// Add `X-Request-Id` where there is none (or none that is believed).
    pub request_id: bool,
    /// The pseudonym in `Via` (RFC 9110 §7.6.3); empty: no `Via`.
    #[serde(with = "As::<values::Via>")]
    pub via: String,
}

/// The access log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AccessLog {
    /// Where and how; `None`: no log.
    #[serde(with = "As::<values::LogPlace>")]
    pub to: Option<LogTo>,
    /// One line per request, as JSON or in the common log format.
    #[serde(with = "As::<values::Word<LogFormat>>")]
    pub format: LogFormat,
    /// The share of requests that are logged, over 0 and up to 1. Those that were answered by an error of ours always are.
    #[serde(with = "As::<values::Share>")]
    pub sample: f64,
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTo {
    /// The process' standard output.
    Stdout,
    /// Appended to a file; opened anew at SIGHUP.
    File(std::path::PathBuf),
}

/// The shape of a line of the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object.
    Json,
    /// The common log format with the server and the times behind it.
    Common,
}

/// Servers that do the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Its name: letters, digits, `-`, `_`, `.`.
    pub name: String,
    /// How a server is chosen.
    pub balance: Balance,
    /// The servers; at least one. Their names and addresses differ.
    pub servers: Vec<Server>,
    /// Active checks; `None`: none.
    pub check: Option<Check>,
    /// What live traffic tells.
    pub passive: Passive,
    /// What is done for a server that comes back.
    pub recovery: Recovery,
    /// When to try again.
    pub retry: Retry,
    /// Where requests wait when every server is full.
    pub queue: Queue,
    /// How long a server may take.
    pub timeouts: Timeouts,
    /// Connections kept for the next request.
    pub idle: Idle,
    /// A response header in which servers report their own load for `hot-cold`, such as `x-corelane-load`.
    pub report_header: Option<String>,
}

/// How a server is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, ValueEnum)]
pub enum Balance {
    /// Any, by weight.
    Random,
    /// One after the other; weights are not looked at.
    RoundRobin,
    /// One after the other, in proportion to the configured weights, smoothly interleaved.
    WeightedRoundRobin,
    /// As `WeightedRoundRobin`, with weights that follow each server's load and performance.
    Adaptive,
    /// The server with the fewest requests in flight, divided by its weight.
    #[default]
    LeastRequests,
    /// Two at random, and the better one of them.
    TwoChoices,
    /// Servers with many requests in flight are hot; of the cold ones the fastest.
    HotCold,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name in the pool; its address if it was given none.
    pub name: String,
    /// Where.
    pub address: Address,
    /// 1 to 256; a server with twice the weight gets twice the work.
    pub weight: u32,
    /// Requests that it gets at a time, from all lanes together; `None`: any number.
    pub maxconn: Option<u32>,
}

/// Active checks of a pool's servers.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// The path that is asked with GET; `None`: a connect is enough.
    pub path: Option<String>,
    /// The `Host` field of the check.
    pub host: String,
    /// The status codes that are well, as inclusive ranges.
    pub expect: Vec<(u16, u16)>,
    /// From one check to the next.
    pub interval: Duration,
    /// The same while a server is in doubt: the last check said otherwise than its state, or it was ejected.
    pub fast_interval: Duration,
    /// Up to this share (0 to 0.5) is added to or taken from each interval, at random.
    pub jitter: f64,
    /// For a check, from its start to its answer.
    pub timeout: Duration,
    /// So many good checks in a row and a server is up.
    pub rise: u32,
    /// So many bad checks in a row and a server is down.
    pub fall: u32,
}

/// What live traffic tells about a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Passive {
    /// Failed connects, resets and timeouts in a row, of all lanes together, that eject a server; 0: never.
    pub failures: u32,
    /// Answers of 500 to 599 in a row that eject a server; 0: never.
    pub errors_5xx: u32,
    /// How long the first ejection lasts; the second in a row lasts twice as long, and so on.
    #[serde(with = "As::<values::Clock>")]
    pub ejection: Duration,
    /// The longest ejection.
    #[serde(with = "As::<values::Clock>")]
    pub ejection_max: Duration,
    /// The largest share of a pool's servers that may be ejected by this (in percent); always at least one of two or more.
    #[serde(rename = "ejected-max", with = "As::<values::Percent>")]
    pub ejected_percent_max: u32,
}

/// What is done for a server that comes back, and when too few are left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Recovery {
    /// Over this time a server that comes back grows from a tenth of its weight (and of its `maxconn`) to all; zero: at once.
    #[serde(with = "As::<values::Clock>")]
    pub slow_start: Duration,
    /// Single requests that must succeed in a row before an ejected server counts as up again.
    pub probation: u32,
    /// Fail-open: while at least one server is up, but fewer than this share of the pool's servers (in percent), all of them are
    /// used as if they were up; 0: never. With none up the answer is 503 at once: then checks and traffic agree. Servers that
    /// the operator took out are neither counted nor used.
    #[serde(rename = "fail-open", with = "As::<values::Percent>")]
    pub fail_open_percent: u32,
}

/// When to try a request again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Retry {
    /// Tries of one request in all; 1: never again.
    pub attempts: u32,
    /// Retries may be this share of a pool's live requests (in percent) ...
    #[serde(rename = "budget", with = "As::<values::Percent>")]
    pub budget_percent: u32,
    /// ... and so many beside, at any time.
    pub budget_floor: u32,
    /// The operator says that every method may be repeated here, POST too.
    pub all_idempotent: bool,
    /// A request's bytes that are kept for another try; a larger one is tried once.
    #[serde(rename = "keep-max", with = "As::<values::Bytes>")]
    pub keep_bytes_max: usize,
}

/// Where requests wait when every server is full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Queue {
    /// Requests that wait, per lane; 0: none does.
    pub length_max: usize,
    /// How long.
    #[serde(with = "As::<values::Clock>")]
    pub timeout: Duration,
}

/// How long a server may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Timeouts {
    /// For a connection to open.
    #[serde(with = "As::<values::Clock>")]
    pub connect: Duration,
    /// From the last byte of the request to the head of the response.
    #[serde(with = "As::<values::Clock>")]
    pub response_head: Duration,
    /// From one piece of a response's body to the next, and from one piece of a request's body that the server takes to the next.
    #[serde(with = "As::<values::Clock>")]
    pub body: Duration,
    /// From the head of the request to the end of the response; `None`: no limit.
    #[serde(with = "As::<values::OrNone<values::Clock>>")]
    pub total: Option<Duration>,
    /// A tunnel in which no byte flows.
    #[serde(with = "As::<values::Clock>")]
    pub tunnel: Duration,
}

/// Connections kept for the next request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Idle {
    /// Idle connections per server and lane; 0: every request gets a connection of its own.
    pub connections_max: usize,
    /// How long one is kept.
    #[serde(with = "As::<values::Clock>")]
    pub timeout: Duration,
    /// How old one may get; then it is closed after its response.
    #[serde(with = "As::<values::Clock>")]
    pub age_max: Duration,
}

/// What only a restart can change.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// Where admin API, status page and metrics are; `None`: nowhere.
    pub admin: Option<Address>,
    /// Which cores get a lane.
    pub cores: net::percore::Cores,
    /// Which engine.
    pub engine: net::command_line::EngineChoice,
    /// To which lane a connection goes.
    pub accept: net::listen::Accept,
    /// Spin for the next event before sleeping.
    pub busy_poll: Option<Duration>,
    /// How much is said on stderr.
    pub log: tracing::Level,
}
