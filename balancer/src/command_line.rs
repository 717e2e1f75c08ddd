//! The command line: serve one pool by flags or many by a file, or ask a balancer that runs.
//!
//! In: arguments and variables (and the file that they name). Out: a [`Run`], whole and checked. What counts for the process, in
//! this order: the command line, `CORELANE_BALANCER_…` variables, `[process]` in the file, the default. Never: two ways to say
//! one thing at once; pools come from flags or from a file.

mod ask;

pub use crate::admin::client::Ask;
use crate::config::file::{CheckKeys, ListenerKeys, PoolKeys, Probe, ProbeText};
use crate::config::process::LogLevel;
use crate::config::source::{check_admin, read_file};
use crate::config::values::{Clock, Form, Network, Place, ServerText};
use crate::config::{
    Balance, Config, Forward, Process, ProcessKeys, Said, Server, Source, from_flags, keys, shown,
};
use ask::{AdminText, AskOptions};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, CommandFactory, FromArgMatches, Parser};
use ipnet::IpNet;
use net::address::Address;
use net::command_line::EngineChoice;
use net::listen::Accept;
use net::percore::Cores;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the command line asks for.
#[derive(Clone, Debug)]
pub enum Run {
    /// Serve.
    Serve(Box<Serve>),
    /// Print this, which is what would be used, and exit.
    Check(String),
    /// Ask a balancer that runs.
    Ask {
        /// Where its admin API is.
        admin: Address,
        /// What.
        ask: Ask,
    },
}

/// All that it takes to serve.
#[derive(Clone, Debug)]
pub struct Serve {
    /// What to do.
    pub config: Config,
    /// How the process is.
    pub process: Process,
    /// Where `config` comes from, for reloads.
    pub source: Source,
}

/// Reads the command line, the environment and the file.
///
/// # Errors
/// `clap`'s, which knows whether it is help (exit 0) or a mistake (exit 2), and prints itself. A mistake is one line by
/// `net::command_line::one_line`.
pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Run, clap::Error> {
    let matches = command_line().try_get_matches_from(args)?;
    let options = Options::from_arg_matches(&matches)?;
    if let Some(ask) = options.ask {
        return ask.run().map_err(|why| wrong(&why));
    }
    let told = Told(&matches);
    let said = options.process(&told);
    let is_check = options.check;
    let (serve, file) = match &options.config {
        Some(path) => from_file(path, said.clone(), &told),
        None => options.one_pool(said.clone(), &told),
    }
    .map_err(|why| wrong(&why))?;
    if is_check {
        return Ok(Run::Check(effective(&serve, &told, &file)));
    }
    Ok(Run::Serve(Box::new(serve)))
}

/// What would be used, as a file for `--config`, with the source of what is not the default.
fn effective(serve: &Serve, told: &Told<'_>, file: &ProcessKeys) -> String {
    shown(&serve.config, &serve.process, |key| {
        told.by(&key.replace('-', "_")).or_else(|| file.says(key).then_some(Said::File))
    })
}

/// The command line as `--help` shows it: a screen, with the variables' names left to the rule below it.
pub fn command_line() -> clap::Command {
    let hidden = |command: clap::Command| command.mut_args(|argument| argument.hide_env(true));
    hidden(Options::command()).mut_subcommands(hidden)
}

/// HTTP load balancer: spreads requests by load, survives its servers
#[derive(Parser, Clone, Debug)]
#[command(name = "corelane-balancer", bin_name = "corelane-balancer", version, max_term_width = 100)]
#[command(disable_help_flag = true, disable_version_flag = true, disable_help_subcommand = true)]
#[command(override_usage = USAGE, after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
#[command(hide_possible_values = true, subcommand_help_heading = "Ask one that runs")]
struct Options {
    #[command(subcommand)]
    ask: Option<AskOptions>,

    /// IP:PORT or unix:/PATH; may be repeated
    #[arg(long, value_name = "ADDR", env = "CORELANE_BALANCER_LISTEN", value_delimiter = ',')]
    #[arg(default_value = "127.0.0.1:8080", help_heading = POOL, value_parser = Place::read)]
    listen: Vec<Address>,
    #[arg(help = "A server: ADDR[,weight=N][,maxconn=N][,name=NAME]; may be repeated")]
    #[arg(long, value_name = "ADDR", env = "CORELANE_BALANCER_SERVER", value_delimiter = ' ')]
    #[arg(help_heading = POOL, value_parser = ServerText::read)]
    server: Vec<Server>,
    /// least-requests, two-choices, hot-cold, adaptive, weighted-round-robin, round-robin or random
    #[arg(long, value_name = "HOW", env = "CORELANE_BALANCER_BALANCE", default_value = "least-requests")]
    #[arg(help_heading = POOL)]
    balance: Balance,
    /// Check servers: by GET of a path, connect, or off
    #[arg(long, value_name = "PATH", env = "CORELANE_BALANCER_HEALTH_CHECK", default_value = "off")]
    #[arg(help_heading = POOL, value_parser = ProbeText::read)]
    health_check: Probe,
    /// From one check to the next
    #[arg(long, value_name = "TIME", env = "CORELANE_BALANCER_CHECK_INTERVAL", default_value = "2s")]
    #[arg(help_heading = POOL, value_parser = within::<Clock>("defaults.check", "interval"))]
    check_interval: Duration,
    /// Connections begin with a PROXY protocol header
    #[arg(long, env = "CORELANE_BALANCER_ACCEPT_PROXY", help_heading = POOL)]
    accept_proxy: bool,
    /// Believe the X-Forwarded fields of these; may be repeated
    #[arg(long, value_name = "CIDR", env = "CORELANE_BALANCER_TRUSTED_PROXY", value_delimiter = ',')]
    #[arg(help_heading = POOL, value_parser = Network::read)]
    trusted_proxy: Vec<IpNet>,

    /// Metrics, status page and admin API, or none
    #[arg(long, value_name = "ADDR", env = "CORELANE_BALANCER_ADMIN", default_value = "127.0.0.1:9090")]
    #[arg(help_heading = PROCESS, value_parser = AdminText::read)]
    admin: AdminText,
    /// Run a lane on each of these: all, or as in 0,2-5
    #[arg(long, value_name = "LIST", env = "CORELANE_BALANCER_CORES", default_value = "all")]
    #[arg(help_heading = PROCESS)]
    cores: Cores,
    /// auto, uring or epoll
    #[arg(long, value_name = "NAME", env = "CORELANE_BALANCER_ENGINE", default_value = "auto")]
    #[arg(help_heading = PROCESS)]
    engine: EngineChoice,
    /// Lane of a connection: hash, cpu (that received it), or deal (to the one with the fewest)
    #[arg(long, value_name = "HOW", env = "CORELANE_BALANCER_ACCEPT", default_value = "hash")]
    #[arg(help_heading = PROCESS)]
    accept: Accept,
    /// Spin so long before sleeping: CPU for latency
    #[arg(long, value_name = "TIME", env = "CORELANE_BALANCER_BUSY_POLL", default_value = "0s")]
    #[arg(help_heading = PROCESS, value_parser = within::<Clock>("process", "busy-poll"))]
    busy_poll: Duration,
    /// Log lines to show: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL", env = "CORELANE_BALANCER_LOG", default_value = "info")]
    #[arg(help_heading = PROCESS, value_parser = within::<LogLevel>("process", "log"))]
    log: tracing::Level,

    /// Read listeners, pools, routes and all else from a TOML file
    #[arg(long, value_name = "FILE", env = "CORELANE_BALANCER_CONFIG", help_heading = USE)]
    config: Option<PathBuf>,
    /// Print what would be used, as such a file, and exit
    #[arg(long, help_heading = USE)]
    check: bool,
    /// Print this
    #[arg(short, long, global = true, action = ArgAction::HelpShort, help_heading = USE)]
    help: Option<bool>,
    /// Print the version
    #[arg(short = 'V', long, action = ArgAction::Version, help_heading = USE)]
    version: Option<bool>,
}

const POOL: &str = "One pool, by flags";
const PROCESS: &str = "The process";
const USE: &str = "Using it";
const USAGE: &str = "\
corelane-balancer --server ADDR [--server ADDR]... [OPTIONS]
       corelane-balancer --config FILE [OPTIONS]
       corelane-balancer servers | drain | ready | disable | weigh | reload";
const AFTER_HELP: &str = "\
SERVER is POOL/NAME as `servers` lists it; NAME alone if only one pool has it.
Each option is also a variable: --busy-poll 50us is CORELANE_BALANCER_BUSY_POLL=50us.
Try it: corelane-balancer --server 127.0.0.1:5000 --server 127.0.0.1:5001, and http://127.0.0.1:9090";

impl Options {
    /// What flags and variables say about the process.
    fn process(&self, told: &Told<'_>) -> ProcessKeys {
        ProcessKeys {
            cores: told.by("cores").map(|_| self.cores.clone()),
            engine: told.by("engine").map(|_| self.engine),
            admin: told.by("admin").map(|_| self.admin.0.clone()),
            accept: told.by("accept").map(|_| self.accept),
            busy_poll: told.by("busy_poll").map(|_| self.busy_poll),
            log: told.by("log").map(|_| self.log),
        }
    }

    fn one_pool(self, said: ProcessKeys, told: &Told<'_>) -> Result<(Serve, ProcessKeys), String> {
        if self.server.is_empty() {
            return Err("no servers: name some by --server ADDR, or a file by --config FILE".to_owned());
        }
        if told.by("check_interval").is_some() && self.health_check == Probe::Off {
            return Err("--check-interval needs --health-check PATH: there is no check".to_owned());
        }
        let listener = |address| ListenerKeys { address, accept_proxy: self.accept_proxy, pool: None };
        let listeners = self.listen.into_iter().map(listener).collect();
        let check =
            CheckKeys { path: self.health_check, interval: self.check_interval, ..CheckKeys::default() };
        let pool = PoolKeys { servers: self.server, balance: self.balance, check, ..PoolKeys::default() };
        let forward = Forward { trusted_proxies: self.trusted_proxy, ..Forward::default() };
        let config = from_flags(listeners, pool, forward).map_err(|refusal| refusal.to_string())?;
        let process = said.over(ProcessKeys::default());
        check_admin(&config, &process)?;
        let source = Source::flags(config.clone(), process.clone());
        Ok((Serve { config, process, source }, ProcessKeys::default()))
    }
}

fn from_file(path: &Path, said: ProcessKeys, told: &Told<'_>) -> Result<(Serve, ProcessKeys), String> {
    for (id, key) in OF_ONE_POOL {
        if let Some(said) = told.by(id) {
            let name = id.replace('_', "-");
            let name = match said {
                Said::Environment => format!("CORELANE_BALANCER_{}", id.to_uppercase()),
                Said::CommandLine | Said::File => format!("--{name}"),
            };
            return Err(format!("{name} and --config exclude each other: the file says it by {key}"));
        }
    }
    let (config, file) = read_file(path)?;
    let process = said.over(file.clone());
    check_admin(&config, &process)?;
    let source = Source::file(path, &config, file.clone(), process.clone());
    Ok((Serve { config, process, source }, file))
}

/// The flags that say what a file says otherwise, and how it does.
const OF_ONE_POOL: [(&str, &str); 7] = [
    ("listen", "address in [[listeners]]"),
    ("server", "servers in [pools.NAME]"),
    ("balance", "balance in [pools.NAME] or [defaults]"),
    ("health_check", "path in [pools.NAME.check] or [defaults.check]"),
    ("check_interval", "interval in [pools.NAME.check] or [defaults.check]"),
    ("accept_proxy", "accept-proxy in [[listeners]]"),
    ("trusted_proxy", "trusted-proxies in [forward]"),
];

/// Who said what.
struct Told<'m>(&'m ArgMatches);

impl Told<'_> {
    /// `None`: nobody, it is the default.
    fn by(&self, id: &str) -> Option<Said> {
        match self.0.value_source(id)? {
            ValueSource::CommandLine => Some(Said::CommandLine),
            ValueSource::EnvVariable => Some(Said::Environment),
            _ => None,
        }
    }
}

/// Reads a value as the file does, within its key's bounds.
fn within<F: Form>(
    section: &'static str,
    name: &'static str,
) -> impl Fn(&str) -> Result<F::Value, String> + Clone {
    move |text| match keys::find(section, name).and_then(|key| key.takes.refuse_text(text)) {
        Some(why) => Err(why),
        None => F::read(text),
    }
}

fn wrong(why: &str) -> clap::Error {
    command_line().error(ErrorKind::ValueValidation, why)
}
