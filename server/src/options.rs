//! Everything a user can set: one struct that makes the flags, the help, the environment and the file.
//!
//! What counts, in this order: the command line, `CORELANE_…` variables, the file given by `--config`, the
//! default. A value in the file is read by the same code as the flag of that name, so that it can't mean
//! something else.

use crate::program;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches, Parser};
use net::address::Address;
pub use net::command_line::one_line;
use net::command_line::{EngineChoice, Size, Time};
use net::engine;
use net::http1::{FIELDS_CAP, Limits};
use net::listen::Accept;
use net::percore::Cores;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// The /add microservice: HTTP/1.1, one lane per core
#[derive(Parser, Clone, Debug)]
#[command(name = "corelane-server", version, max_term_width = 100, disable_help_flag = true)]
#[command(after_help = AFTER_HELP, hide_possible_values = true)]
pub struct Options {
    /// Serve on IP:PORT or unix:/PATH; may be repeated
    #[arg(long, value_name = "ADDR", env = "CORELANE_LISTEN", value_delimiter = ',')]
    #[arg(default_value = "127.0.0.1:5000")]
    pub listen: Vec<Address>,
    /// Serve /metrics and /healthz there, or off
    #[arg(long, value_name = "ADDR", env = "CORELANE_ADMIN", default_value = "127.0.0.1:5001")]
    pub admin: Admin,
    /// Run a lane on each of these: all, or as in 0,2-5
    #[arg(long, value_name = "LIST", env = "CORELANE_CORES", default_value = "all")]
    pub cores: Cores,
    /// auto, uring or epoll
    #[arg(long, value_name = "NAME", env = "CORELANE_ENGINE", default_value = "auto")]
    pub engine: EngineChoice,
    /// Lane of a connection: hash, cpu (that received it), or deal (to the one with the fewest)
    #[arg(long, value_name = "HOW", env = "CORELANE_ACCEPT", default_value = "hash")]
    pub accept: Accept,
    /// Spin so long before sleeping: CPU for latency
    #[arg(long, value_name = "TIME", env = "CORELANE_BUSY_POLL", default_value = "0s")]
    pub busy_poll: Time,
    /// Response cache of each lane; 0 is off
    #[arg(long, value_name = "SIZE", env = "CORELANE_CACHE_BYTES", default_value = "4MiB")]
    pub cache_bytes: Size,
    /// Threads for work that takes long
    #[arg(long, value_name = "N", env = "CORELANE_WORKERS", default_value = "2")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: u16,
    /// Jobs that may wait for them; then 503
    #[arg(long, value_name = "N", env = "CORELANE_WORKER_QUEUE", default_value = "1024")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub worker_queue: u32,

    /// Connections of each lane; more wait unaccepted
    #[arg(long, value_name = "N", env = "CORELANE_CONNECTIONS_MAX", default_value = "20000")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000_000), help_heading = BOUNDS)]
    pub connections_max: u32,
    /// Requests of a connection at work at once
    #[arg(long, value_name = "N", env = "CORELANE_IN_FLIGHT_MAX", default_value = "16")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=4096), help_heading = BOUNDS)]
    pub in_flight_max: u16,
    /// Unsent output over which a connection isn't read
    #[arg(long, value_name = "SIZE", env = "CORELANE_UNSENT_MAX", default_value = "256KiB", help_heading = BOUNDS)]
    pub unsent_max: Size,
    /// Unfinished requests that a lane holds in all; then 503
    #[arg(long, value_name = "SIZE", env = "CORELANE_HELD_MAX", default_value = "256MiB", help_heading = BOUNDS)]
    pub held_max: Size,
    /// Request head; beyond: 431
    #[arg(long, value_name = "SIZE", env = "CORELANE_HEAD_MAX", default_value = "16KiB", help_heading = BOUNDS)]
    pub head_max: Size,
    /// Request target; beyond: 414
    #[arg(long, value_name = "SIZE", env = "CORELANE_TARGET_MAX", default_value = "8KiB", help_heading = BOUNDS)]
    pub target_max: Size,
    /// Fields of a head; beyond: 431
    #[arg(long, value_name = "N", env = "CORELANE_FIELDS_MAX", default_value = "100")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=FIELDS_CAP as i64), help_heading = BOUNDS)]
    pub fields_max: u16,
    /// Request body; beyond: 413
    #[arg(long, value_name = "SIZE", env = "CORELANE_BODY_MAX", default_value = "1MiB", help_heading = BOUNDS)]
    pub body_max: Size,

    /// For a head to arrive; beyond: 408
    #[arg(long, value_name = "TIME", env = "CORELANE_HEAD_TIMEOUT", default_value = "10s", help_heading = TIMES)]
    pub head_timeout: Time,
    /// Between pieces of a body; beyond: 408
    #[arg(long, value_name = "TIME", env = "CORELANE_BODY_TIMEOUT", default_value = "30s", help_heading = TIMES)]
    pub body_timeout: Time,
    /// Between requests; then the connection is closed
    #[arg(long, value_name = "TIME", env = "CORELANE_IDLE_TIMEOUT", default_value = "75s", help_heading = TIMES)]
    pub idle_timeout: Time,
    /// For a peer to take its last answer, once we closed
    #[arg(long, value_name = "TIME", env = "CORELANE_LINGER_TIMEOUT", default_value = "2s", help_heading = TIMES)]
    pub linger_timeout: Time,
    /// From SIGTERM, how long /readyz says 503 before the drain
    #[arg(long, value_name = "TIME", env = "CORELANE_DRAIN_DELAY", default_value = "0s", help_heading = TIMES)]
    pub drain_delay: Time,
    /// From there to the end of what is in flight
    #[arg(long, value_name = "TIME", env = "CORELANE_DRAIN_TIMEOUT", default_value = "30s", help_heading = TIMES)]
    pub drain_timeout: Time,
    /// From there, for idle connections to ask once more
    #[arg(long, value_name = "TIME", env = "CORELANE_DRAIN_IDLE", default_value = "500ms", help_heading = TIMES)]
    pub drain_idle: Time,

    /// Log lines to show: error, warn, info, debug
    #[arg(long, value_name = "LEVEL", env = "CORELANE_LOG", default_value = "info", help_heading = USE)]
    pub log: tracing::Level,
    /// Read options from a TOML file
    #[arg(long, value_name = "FILE", env = "CORELANE_CONFIG", help_heading = USE)]
    pub config: Option<PathBuf>,
    /// Print what would be used, and exit
    #[arg(long, help_heading = USE)]
    pub check: bool,
    /// Print this
    #[arg(short, long, action = clap::ArgAction::HelpShort, help_heading = USE)]
    help: Option<bool>,
}

const BOUNDS: &str = "Bounds";
const TIMES: &str = "Time limits";
const USE: &str = "Using it";
const AFTER_HELP: &str = "\
Each option is also a CORELANE_ variable and a key in the --config file (TOML), in this order of weight:
  --busy-poll 50us    CORELANE_BUSY_POLL=50us    busy-poll = \"50us\"
Try it: curl -d '{\"a\":1,\"b\":2}' -H 'content-type: application/json' http://127.0.0.1:5000/add";

/// The command line as `--help` shows it: a screen, with the variables' names left to the rule below it.
pub fn command_line() -> Command {
    <Options as CommandFactory>::command().mut_args(|argument| argument.hide_env(true))
}

/// `--admin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admin {
    /// No admin port.
    Off,
    /// Here.
    At(Address),
}

impl FromStr for Admin {
    type Err = String;

    fn from_str(text: &str) -> Result<Admin, String> {
        if text == "off" { Ok(Admin::Off) } else { text.parse().map(Admin::At) }
    }
}

impl Options {
    /// Reads the command line, the environment and the file.
    ///
    /// # Errors
    /// `clap`'s, which knows whether it is help (exit 0) or a mistake (exit 2), and prints itself.
    pub fn read(
        args: impl IntoIterator<Item = OsString> + Clone,
    ) -> Result<(Options, ArgMatches), clap::Error> {
        let first = command_line().try_get_matches_from(args.clone())?;
        let matches = match first.get_one::<PathBuf>("config") {
            Some(path) => with_file(command_line(), path)?.try_get_matches_from(args)?,
            None => first,
        };
        let options = Options::from_arg_matches(&matches)?;
        options.check_bounds()?;
        Ok((options, matches))
    }

    /// What clap can't see in one value alone.
    fn check_bounds(&self) -> Result<(), clap::Error> {
        let wrong = |text: String| Err(command_line().error(ErrorKind::ValueValidation, text));
        if self.head_max.0 < 256 || self.head_max.0 > 1 << 20 {
            return wrong("--head-max must lie between 256B and 1MiB".to_owned());
        }
        if self.target_max.0 == 0 {
            return wrong("--target-max must be at least 1B: every request has a target".to_owned());
        }
        // A growing buffer holds up to twice what is in it.
        let needed = self.body_max.0.saturating_add(self.head_max.0).saturating_mul(2);
        if self.held_max.0 < needed {
            return wrong(format!(
                "--held-max must be at least {needed}B, twice --body-max and --head-max: else the largest request never fits"
            ));
        }
        if self.target_max.0 > self.head_max.0 {
            return wrong("--target-max is larger than --head-max, of which the target is a part".to_owned());
        }
        if self.unsent_max.0 < 4096 {
            return wrong("--unsent-max must be at least 4KiB: less stalls on one answer".to_owned());
        }
        for (name, time) in [
            ("head", self.head_timeout),
            ("body", self.body_timeout),
            ("idle", self.idle_timeout),
            ("linger", self.linger_timeout),
        ] {
            if time.0 < Duration::from_millis(1) {
                return wrong(format!(
                    "--{name}-timeout must be at least 1ms: a limit of nothing closes everything"
                ));
            }
        }
        if self.busy_poll.0 > Duration::from_millis(10) {
            return wrong(
                "--busy-poll over 10ms only burns CPU: sleeping and waking takes some 50us".to_owned(),
            );
        }
        Ok(())
    }

    /// For the program.
    pub fn program(&self) -> program::Settings {
        program::Settings {
            limits: Limits {
                head_bytes_max: self.head_max.0,
                target_bytes_max: self.target_max.0,
                fields_max: usize::from(self.fields_max),
                body_bytes_max: self.body_max.0 as u64,
                ..Limits::default()
            },
            head_timeout: self.head_timeout.0,
            body_timeout: self.body_timeout.0,
            idle_timeout: self.idle_timeout.0,
            linger_timeout: self.linger_timeout.0,
            drain_timeout: self.drain_timeout.0,
            drain_idle: self.drain_idle.0,
            in_flight_max: usize::from(self.in_flight_max),
            held_bytes_max: self.held_max.0,
            cache_bytes: self.cache_bytes.0,
        }
    }

    /// For the engine.
    pub fn engine(&self) -> engine::Settings {
        engine::Settings {
            connections_max: self.connections_max as usize,
            unsent_bytes_max: self.unsent_max.0,
            busy_poll: Some(self.busy_poll.0).filter(|spin| !spin.is_zero()),
            ..engine::Settings::default()
        }
    }
}

/// The command with the file's values as its defaults.
fn with_file(mut command: Command, path: &Path) -> Result<Command, clap::Error> {
    let wrong = |text: String| {
        command_line().error(ErrorKind::InvalidValue, format!("{}: {}", path.display(), text.trim_end()))
    };
    let text = std::fs::read_to_string(path).map_err(|e| wrong(format!("can't read it: {e}")))?;
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
        let before = &text[..e.span().map_or(0, |span| span.start.min(text.len()))];
        let (line, column) =
            (before.matches('\n').count() + 1, before.lines().last().map_or(0, str::len) + 1);
        wrong(format!("line {line}, column {column}: {}", e.message()))
    })?;
    for (key, value) in table {
        let argument = settable(&command).find(|argument| argument.get_long() == Some(&key)).cloned();
        let Some(argument) = argument else {
            return Err(wrong(format!("there is no option `{key}`; keys are the long options without --")));
        };
        let Some(values) = plain_values(&value) else {
            return Err(wrong(format!("`{key}` must be a string, a number, or a list of these")));
        };
        // Tried by itself first, so that a mistake is reported with its file.
        let id = argument.get_id().clone();
        let alone = Command::new("file").no_binary_name(true).arg(argument.env(None::<&str>));
        let args = values.iter().map(|value| format!("--{key}={value}"));
        if let Err(error) = alone.try_get_matches_from(args) {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            return Err(wrong(first.trim_start_matches("error: ").to_owned()));
        }
        command = command.mut_arg(id, |argument| argument.default_values(values));
    }
    Ok(command)
}

/// The options that a file may set: all but those that are about the file itself.
pub fn settable(command: &Command) -> impl Iterator<Item = &clap::Arg> {
    let about_itself = ["config", "check", "help", "version"];
    command.get_arguments().filter(move |argument| !about_itself.contains(&argument.get_id().as_str()))
}

/// A TOML value as what would stand on the command line.
fn plain_values(value: &toml::Value) -> Option<Vec<String>> {
    match value {
        toml::Value::String(text) => Some(vec![text.clone()]),
        toml::Value::Integer(number) => Some(vec![number.to_string()]),
        toml::Value::Array(values) => {
            let nested: Option<Vec<Vec<String>>> = values.iter().map(plain_values).collect();
            nested.map(|values| values.concat())
        }
        _ => None,
    }
}

/// What would be used, as a file for `--config`, with the source of each value behind it.
pub fn effective(matches: &ArgMatches) -> String {
    let command = command_line();
    let mut text = format!("# corelane-server {}: what would be used\n", env!("CARGO_PKG_VERSION"));
    for argument in settable(&command) {
        let id = argument.get_id().as_str();
        let values: Vec<String> =
            matches.get_raw(id).into_iter().flatten().map(|v| v.to_string_lossy().into_owned()).collect();
        let defaults = argument.get_default_values();
        let is_default = values.iter().map(OsString::from).eq(defaults.iter().map(|v| v.to_os_string()));
        let source = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => "command line",
            Some(ValueSource::EnvVariable) => "environment",
            _ if is_default => "default",
            _ => "file",
        };
        let quoted: Vec<String> = values.iter().map(|value| toml_text(value)).collect();
        let value = match &quoted[..] {
            [one] if id != "listen" => one.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        let key = argument.get_long().unwrap_or(id);
        text.push_str(&format!("{:<40} # {source}\n", format!("{key} = {value}")));
    }
    text
}

fn toml_text(value: &str) -> String {
    if value.parse::<u64>().is_ok() { value.to_owned() } else { toml::Value::from(value).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<(Options, ArgMatches), clap::Error> {
        Options::read(std::iter::once(&"corelane-server").chain(args).map(OsString::from).collect::<Vec<_>>())
    }

    fn file(name: &str, text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("corelane-options-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn the_command_is_well_formed_and_every_option_has_a_variable() {
        command_line().debug_assert();
        for argument in settable(&command_line()) {
            let long = argument.get_long().unwrap();
            let variable = format!("CORELANE_{}", long.replace('-', "_").to_uppercase());
            assert_eq!(argument.get_env(), Some(OsString::from(variable).as_os_str()), "{long}");
        }
    }

    #[test]
    fn the_command_line_beats_the_file_and_the_file_beats_the_default() {
        let path = file(
            "beats",
            "cores = \"all\"\nbusy-poll = \"50us\"\nworkers = 7\nlisten = [\"[::1]:1\", \"unix:/x\"]",
        );
        let config = format!("--config={}", path.display());
        let (options, matches) = read(&[&config, "--busy-poll", "20us"]).unwrap();
        assert_eq!(options.busy_poll, Time(Duration::from_micros(20)));
        assert_eq!(options.workers, 7);
        assert_eq!(options.listen.len(), 2);
        assert_eq!(options.cache_bytes, Size(4 << 20));
        let shown = effective(&matches);
        for line in [
            "busy-poll = \"20us\"                       # command line",
            "workers = 7                              # file",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_check_prints_is_a_file_that_means_the_same() {
        let (_, matches) =
            read(&["--cores", "0", "--listen", "127.0.0.1:1,unix:/a b", "--body-max", "2MiB"]).unwrap();
        let path = file("same", &effective(&matches));
        let (options, _) = read(&[&format!("--config={}", path.display())]).unwrap();
        assert_eq!(options.cores.to_string(), "0");
        assert_eq!(options.listen[1].to_string(), "unix:/a b");
        assert_eq!(options.body_max, Size(2 << 20));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_mistake_in_the_file_names_the_file_and_the_key() {
        for (text, names) in [
            ("no-such = 1", "no-such"),
            ("busy-poll = \"50\"", "busy-poll"),
            ("workers = 0", "workers"),
            ("listen = true", "listen"),
            ("\nlisten = [", "line 2, column 11"),
        ] {
            let path = file("wrong", text);
            let error = read(&[&format!("--config={}", path.display())]).unwrap_err().to_string();
            assert!(error.contains(names) && error.contains("corelane-options"), "{text}: {error}");
        }
        assert!(read(&["--config", "/nowhere/x.toml"]).unwrap_err().to_string().contains("/nowhere/x.toml"));
    }

    #[test]
    fn values_that_contradict_each_other_are_refused() {
        for args in [
            ["--target-max", "32KiB"],
            ["--head-max", "10B"],
            ["--busy-poll", "1s"],
            ["--idle-timeout", "0s"],
            ["--unsent-max", "1KiB"],
            ["--held-max", "1MiB"],
            ["--body-max", "200MiB"],
            ["--target-max", "0"],
            ["--cores", "1-"],
            ["--listen", "localhost"],
            ["--body-max", "1 parsec"],
            ["--workers", "0"],
        ] {
            assert_eq!(read(&args).unwrap_err().exit_code(), 2, "{args:?}");
        }
    }
}
