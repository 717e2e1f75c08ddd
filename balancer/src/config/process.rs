//! What only a restart can change: from flags, from the environment, from `[process]`.
//!
//! In: what each of them says. Out: one [`Process`], in which the command line and the environment beat the file.

use super::Process;
use super::values::{As, Clock, Form, Maybe, OrNone, Place, Word};
use net::address::Address;
use net::command_line::EngineChoice;
use net::listen::Accept;
use net::percore::Cores;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tracing::Level;

/// What is said about the process; `None`: nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProcessKeys {
    /// Which cores get a lane.
    #[serde(with = "As::<Maybe<CoreList>>", skip_serializing_if = "Option::is_none")]
    pub cores: Option<Cores>,
    /// Which engine.
    #[serde(with = "As::<Maybe<Word<EngineChoice>>>", skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineChoice>,
    /// To which lane a connection goes.
    #[serde(with = "As::<Maybe<Word<Accept>>>", skip_serializing_if = "Option::is_none")]
    pub accept: Option<Accept>,
    /// Where admin API, status page and metrics are; `Some(None)`: nowhere.
    #[serde(with = "As::<Maybe<OrNone<Place>>>", skip_serializing_if = "Option::is_none")]
    pub admin: Option<Option<Address>>,
    /// Spin so long for the next event before sleeping; zero: don't.
    #[serde(with = "As::<Maybe<Clock>>", skip_serializing_if = "Option::is_none")]
    pub busy_poll: Option<Duration>,
    /// How much is said on stderr.
    #[serde(with = "As::<Maybe<LogLevel>>", skip_serializing_if = "Option::is_none")]
    pub log: Option<Level>,
}

impl ProcessKeys {
    /// Is anything said by this key?
    pub(crate) fn says(&self, key: &str) -> bool {
        match key {
            "cores" => self.cores.is_some(),
            "engine" => self.engine.is_some(),
            "accept" => self.accept.is_some(),
            "admin" => self.admin.is_some(),
            "busy-poll" => self.busy_poll.is_some(),
            "log" => self.log.is_some(),
            _ => false,
        }
    }

    /// What these say, and else what the others say, and else the defaults.
    pub fn over(self, others: ProcessKeys) -> Process {
        let default = Process::default();
        Process {
            admin: self.admin.or(others.admin).unwrap_or(default.admin),
            cores: self.cores.or(others.cores).unwrap_or(default.cores),
            engine: self.engine.or(others.engine).unwrap_or(default.engine),
            accept: self.accept.or(others.accept).unwrap_or(default.accept),
            busy_poll: match self.busy_poll.or(others.busy_poll) {
                Some(spin) => Some(spin).filter(|spin| !spin.is_zero()),
                None => default.busy_poll,
            },
            log: self.log.or(others.log).unwrap_or(default.log),
        }
    }
}

impl From<&Process> for ProcessKeys {
    fn from(process: &Process) -> ProcessKeys {
        ProcessKeys {
            cores: Some(process.cores.clone()),
            engine: Some(process.engine),
            accept: Some(process.accept),
            admin: Some(process.admin.clone()),
            busy_poll: Some(process.busy_poll.unwrap_or_default()),
            log: Some(process.log),
        }
    }
}

/// `all`, or numbers and ranges.
pub(crate) struct CoreList;

impl Form for CoreList {
    type Value = Cores;

    fn read(text: &str) -> Result<Cores, String> {
        text.parse()
    }

    fn show(value: &Cores) -> String {
        value.to_string()
    }
}

/// A level of the process' own log. `keys` knows the words.
pub(crate) struct LogLevel;

impl Form for LogLevel {
    type Value = Level;

    fn read(text: &str) -> Result<Level, String> {
        text.parse().map_err(|_| format!("`{text}` is no level: write error, warn, info, debug or trace"))
    }

    fn show(value: &Level) -> String {
        value.to_string().to_lowercase()
    }
}
