//! The file's sections as they are written, before names are resolved.
//!
//! In: text. Out: a [`Config`] and what it says about the process, or the first thing that is wrong. Flags fill the same
//! [`File`], so that they can't mean something else.

use super::refusal::Refusal;
use super::resolve::{Origin, resolve};
use super::tree::Tree;
use super::values::{
    As, Clock, Each, Form, Maybe, OrNone, OwnHeader, Place, Plain, ServerText, Share, Statuses, Word,
};
use super::*;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Reads a configuration from `text`, which is called `name` in errors.
///
/// # Errors
/// The first thing that is wrong, with its line and column.
pub fn read(text: &str, name: &Path) -> Result<(Config, ProcessKeys), Refusal> {
    let tree = Tree::read(text, name)?;
    let reader = toml::de::Deserializer::from(tree.with_inheritance());
    let mut file = File::deserialize(reader).map_err(|error| tree.refuse_by_serde(&error))?;
    let process = std::mem::take(&mut file.process);
    let config = resolve(file, &Origin::File(tree))?;
    Ok((config, process))
}

/// What the whole file says.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct File {
    pub(crate) process: ProcessKeys,
    pub(crate) listeners: Vec<ListenerKeys>,
    pub(crate) routes: Vec<RouteKeys>,
    pub(crate) front: Front,
    pub(crate) forward: Forward,
    pub(crate) access_log: AccessLog,
    /// Read for its mistakes alone: pools have inherited it by now.
    #[allow(dead_code, reason = "reading it is its use")]
    pub(crate) defaults: PoolKeys,
    pub(crate) pools: BTreeMap<String, PoolKeys>,
}

/// `[[listeners]]`.
#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ListenerKeys {
    #[serde(with = "As::<Place>")]
    pub(crate) address: Address,
    pub(crate) accept_proxy: bool,
    /// The outer `None`: nothing is said; the inner one: `none` is.
    #[serde(with = "As::<Maybe<OrNone<Plain>>>", skip_serializing_if = "Option::is_none")]
    pub(crate) pool: Option<Option<String>>,
}

impl Default for ListenerKeys {
    fn default() -> ListenerKeys {
        let Listener { address, accept_proxy, default_pool: _ } = Listener::default();
        ListenerKeys { address, accept_proxy, pool: None }
    }
}

/// `[[routes]]`.
#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RouteKeys {
    pub(crate) listener: String,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) pool: String,
}

impl Default for RouteKeys {
    fn default() -> RouteKeys {
        RouteKeys {
            listener: "*".to_owned(),
            host: "*".to_owned(),
            path: "/".to_owned(),
            pool: String::new(),
        }
    }
}

/// `[pools.NAME]`, and `[defaults]`.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct PoolKeys {
    #[serde(with = "Each::<ServerText>")]
    pub(crate) servers: Vec<Server>,
    #[serde(with = "As::<Word<Balance>>")]
    pub(crate) balance: Balance,
    #[serde(with = "As::<OrNone<OwnHeader>>")]
    pub(crate) report_header: Option<String>,
    #[serde(skip_serializing)]
    pub(crate) check: CheckKeys,
    #[serde(skip_serializing)]
    pub(crate) passive: Passive,
    #[serde(skip_serializing)]
    pub(crate) recovery: Recovery,
    #[serde(skip_serializing)]
    pub(crate) retry: Retry,
    #[serde(skip_serializing)]
    pub(crate) queue: Queue,
    #[serde(skip_serializing)]
    pub(crate) timeouts: Timeouts,
    #[serde(skip_serializing)]
    pub(crate) idle: Idle,
}

/// `check`.
#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct CheckKeys {
    #[serde(with = "As::<ProbeText>")]
    pub(crate) path: Probe,
    #[serde(with = "As::<values::HostText>")]
    pub(crate) host: String,
    #[serde(with = "As::<Statuses>")]
    pub(crate) expect: Vec<(u16, u16)>,
    #[serde(with = "As::<Clock>")]
    pub(crate) interval: Duration,
    /// `None`: the default, or `interval` if that is shorter.
    #[serde(with = "As::<Maybe<Clock>>", skip_serializing_if = "Option::is_none")]
    pub(crate) fast_interval: Option<Duration>,
    #[serde(with = "As::<Share>")]
    pub(crate) jitter: f64,
    #[serde(with = "As::<Clock>")]
    pub(crate) timeout: Duration,
    pub(crate) rise: u32,
    pub(crate) fall: u32,
}

impl Default for CheckKeys {
    fn default() -> CheckKeys {
        let check = CheckKeys::new(Probe::Off, Check::default());
        CheckKeys { fast_interval: None, ..check }
    }
}

impl CheckKeys {
    fn new(path: Probe, check: Check) -> CheckKeys {
        let Check { path: _, host, expect, interval, fast_interval, jitter, timeout, rise, fall } = check;
        let fast_interval = Some(fast_interval);
        CheckKeys { path, host, expect, interval, fast_interval, jitter, timeout, rise, fall }
    }

    /// As `[check]` would say it.
    pub(crate) fn of(check: Option<&Check>) -> CheckKeys {
        let path = match check {
            None => Probe::Off,
            Some(Check { path: None, .. }) => Probe::Connect,
            Some(Check { path: Some(path), .. }) => Probe::Get(path.clone()),
        };
        CheckKeys::new(path, check.cloned().unwrap_or_default())
    }

    /// As the model has it.
    pub(crate) fn check(self) -> Option<Check> {
        let path = match self.path {
            Probe::Off => return None,
            Probe::Connect => None,
            Probe::Get(path) => Some(path),
        };
        let CheckKeys { path: _, host, expect, interval, fast_interval, jitter, timeout, rise, fall } = self;
        let fast_interval = fast_interval.unwrap_or_else(|| Check::default().fast_interval.min(interval));
        Some(Check { path, host, expect, interval, fast_interval, jitter, timeout, rise, fall })
    }
}

/// How a server is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Probe {
    /// Not at all.
    #[default]
    Off,
    /// By a connect.
    Connect,
    /// By a GET of this path.
    Get(String),
}

/// `off`, `connect` or a path.
pub(crate) struct ProbeText;

impl Form for ProbeText {
    type Value = Probe;

    fn read(text: &str) -> Result<Probe, String> {
        // What goes into a request's first line: visible ASCII, and no fragment (RFC 9112 §3.2.1).
        let is_path = text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        match text {
            "off" => Ok(Probe::Off),
            "connect" => Ok(Probe::Connect),
            path if is_path && path.len() <= values::TARGET_BYTES_MAX => Ok(Probe::Get(path.to_owned())),
            _ => Err(format!("`{text}` is no check: write off, connect, or a path as in /healthz")),
        }
    }

    fn show(value: &Probe) -> String {
        match value {
            Probe::Off => "off".to_owned(),
            Probe::Connect => "connect".to_owned(),
            Probe::Get(path) => path.clone(),
        }
    }
}
