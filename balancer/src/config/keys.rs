//! Every key of the file: its name, what it takes, and its bounds.
//!
//! In: a value as it stands in the file. Out: nothing, or one line that says what is wrong and what would be right. The
//! reference (`docs/balancer-reference.md`) shows this table. Never: a meaning, which is its section's.

use super::values::{Bytes, Clock, Form, NONE, Share};
use std::fmt;
use std::time::Duration;
use toml::de::DeValue;

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its section: `front`, or `defaults.check` (which stands for `pools.NAME.check` too).
    pub section: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// What it takes.
    pub takes: Takes,
}

/// What a key takes; bounds are inclusive.
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    /// Text of this kind; what reads it says more.
    Text(&'static str),
    /// A list of such text.
    Texts(&'static str),
    /// One of these words.
    Words(&'static [&'static str]),
    /// `true` or `false`.
    Switch,
    /// A whole number.
    Count(u64, u64),
    /// A length of time.
    Time(Duration, Duration),
    /// A number of bytes.
    Size(usize, usize),
    /// A share, from 0 to 1.
    Share(f64, f64),
    /// `none`, or this.
    OrNone(&'static Takes),
}

use Takes::{Count, OrNone, Share as Part, Size, Switch, Text, Texts, Time as Wait, Words};

const ZERO: Duration = Duration::ZERO;
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// Longest limit: what waits longer has been forgotten.
const WEEK: Duration = Duration::from_secs(7 * 86_400);
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const ADDRESS: &str = "an address: IP:PORT or unix:/PATH";
const POOL: &str = "a pool's name";

/// All of them, section by section.
pub const KEYS: &[Key] = &[
    key("process", "cores", Text("all, or a list as in 0,2-5")),
    key("process", "engine", Words(&["auto", "uring", "epoll", "monoio", "monoio-epoll", "glommio"])),
    key("process", "admin", OrNone(&Text(ADDRESS))),
    // Spinning longer only burns CPU: sleeping and waking takes some 50 us.
    key("process", "accept", Words(&["hash", "cpu", "deal"])),
    key("process", "busy-poll", Wait(ZERO, Duration::from_millis(10))),
    key("process", "log", Words(&["error", "warn", "info", "debug", "trace"])),
    key("listeners", "address", Text(ADDRESS)),
    key("listeners", "accept-proxy", Switch),
    key("listeners", "pool", OrNone(&Text(POOL))),
    key("routes", "listener", Text("a listener's address, or *")),
    key("routes", "host", Text("a host, *.SUFFIX, or *")),
    key("routes", "path", Text("a path that begins with /")),
    key("routes", "pool", Text(POOL)),
    key("front", "head-timeout", Wait(MS, HOUR)),
    key("front", "body-timeout", Wait(MS, WEEK)),
    key("front", "idle-timeout", Wait(MS, WEEK)),
    key("front", "linger-timeout", Wait(MS, HOUR)),
    key("front", "drain-timeout", Wait(ZERO, WEEK)),
    key("front", "drain-idle", Wait(ZERO, HOUR)),
    key("front", "body-max", OrNone(&Size(0, 1 << 40))),
    key("front", "head-max", Size(256, MIB)),
    key("front", "fields-max", Count(1, net::http1::FIELDS_CAP as u64)),
    // Two: one request needs a connection on either side.
    key("front", "connections-max", Count(2, 10_000_000)),
    // Less stalls on one response; more is not for one connection.
    key("front", "unsent-max", Size(4 * KIB, 1024 * MIB)),
    key("forward", "trusted-proxies", Texts("a network as in 10.0.0.0/8")),
    key("forward", "x-forwarded", Switch),
    key("forward", "forwarded", Switch),
    key("forward", "request-id", Switch),
    key("forward", "via", OrNone(&Text("a word"))),
    key("access-log", "to", OrNone(&Text("stdout, or a file's path"))),
    key("access-log", "format", Words(&["json", "common"])),
    key("access-log", "sample", Part(0.000_01, 1.0)),
    key("pools", "servers", Texts("a server as in 127.0.0.1:5000,weight=2")),
    key("defaults", "balance", Words(BALANCE)),
    key("defaults", "report-header", OrNone(&Text("a field name"))),
    key("defaults.check", "path", Text("off, connect, or a path that begins with /")),
    key("defaults.check", "host", Text("a host, with its port if it has one")),
    key("defaults.check", "expect", Text("status codes as in 200-399,401")),
    key("defaults.check", "interval", Wait(Duration::from_millis(10), DAY)),
    key("defaults.check", "fast-interval", Wait(Duration::from_millis(10), DAY)),
    // Beyond a half, two checks may follow each other without a pause.
    key("defaults.check", "jitter", Part(0.0, 0.5)),
    key("defaults.check", "timeout", Wait(MS, HOUR)),
    key("defaults.check", "rise", Count(1, 100)),
    key("defaults.check", "fall", Count(1, 100)),
    key("defaults.passive", "failures", Count(0, 1000)),
    key("defaults.passive", "errors-5xx", Count(0, 100_000)),
    key("defaults.passive", "ejection", Wait(Duration::from_millis(10), DAY)),
    key("defaults.passive", "ejection-max", Wait(Duration::from_millis(10), DAY)),
    key("defaults.passive", "ejected-max", Part(0.01, 1.0)),
    key("defaults.recovery", "slow-start", Wait(ZERO, HOUR)),
    key("defaults.recovery", "probation", Count(1, 100)),
    key("defaults.recovery", "fail-open", Part(0.0, 1.0)),
    // A request that ten servers fail is the cause itself.
    key("defaults.retry", "attempts", Count(1, 10)),
    key("defaults.retry", "budget", Part(0.0, 1.0)),
    key("defaults.retry", "budget-floor", Count(0, 1000)),
    key("defaults.retry", "all-idempotent", Switch),
    key("defaults.retry", "keep-max", Size(0, 16 * MIB)),
    key("defaults.queue", "length-max", Count(0, 1_000_000)),
    key("defaults.queue", "timeout", Wait(MS, HOUR)),
    key("defaults.timeouts", "connect", Wait(MS, HOUR)),
    key("defaults.timeouts", "response-head", Wait(MS, WEEK)),
    key("defaults.timeouts", "body", Wait(MS, WEEK)),
    key("defaults.timeouts", "total", OrNone(&Wait(MS, WEEK))),
    key("defaults.timeouts", "tunnel", Wait(SECOND, WEEK)),
    key("defaults.idle", "connections-max", Count(0, 10_000)),
    key("defaults.idle", "timeout", Wait(MS, DAY)),
    key("defaults.idle", "age-max", Wait(SECOND, WEEK)),
];

const BALANCE: &[&str] = &[
    "random",
    "round-robin",
    "weighted-round-robin",
    "adaptive",
    "least-requests",
    "two-choices",
    "hot-cold",
];

const fn key(section: &'static str, name: &'static str, takes: Takes) -> Key {
    Key { section, name, takes }
}

/// The key of this section and name.
pub fn find(section: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.section == section && key.name == name)
}

impl Takes {
    /// Why this value is refused: the wrong type, no such text, or out of bounds. Text is left to what reads it.
    pub(super) fn refuse(&self, value: &DeValue<'_>) -> Option<String> {
        match (self, value) {
            (Text(_), DeValue::String(_)) | (Switch, DeValue::Boolean(_)) => None,
            (Texts(_), DeValue::Array(items)) => {
                items.iter().find_map(|item| self.one().refuse(item.get_ref()))
            }
            (Words(_) | Wait(..) | Size(..) | Part(..) | OrNone(_), DeValue::String(text)) => {
                self.refuse_text(text)
            }
            (Count(min, max), DeValue::Integer(number)) => {
                let is_in = i128::from_str_radix(number.as_str(), number.radix())
                    .is_ok_and(|number| (i128::from(*min)..=i128::from(*max)).contains(&number));
                (!is_in).then(|| format!("must lie between {min} and {max}, not {number}"))
            }
            _ => Some(format!("takes {}, not {}", self.example(), kind(value))),
        }
    }

    /// Why this text is refused, here or on a command line.
    pub(crate) fn refuse_text(&self, text: &str) -> Option<String> {
        fn outside<F: Form>(text: &str, min: F::Value, max: F::Value) -> Option<String>
        where
            F::Value: PartialOrd,
        {
            match F::read(text) {
                Err(wrong) => Some(wrong),
                Ok(value) if value < min || value > max => {
                    Some(format!("must lie between {} and {}, not {text}", F::show(&min), F::show(&max)))
                }
                Ok(_) => None,
            }
        }
        match *self {
            OrNone(inner) => {
                if text == NONE {
                    None
                } else {
                    inner.refuse_text(text)
                }
            }
            Words(words) if !words.contains(&text) => Some(format!(
                "`{text}` is none of {}{}",
                words.join(", "),
                did_you_mean(text, words.iter().copied())
            )),
            Wait(min, max) => outside::<Clock>(text, min, max),
            Size(min, max) => outside::<Bytes>(text, min, max),
            Part(min, max) => outside::<Share>(text, min, max),
            Text(_) | Texts(_) | Switch | Count(..) | Words(_) => None,
        }
    }

    /// What one item of a list takes.
    fn one(&self) -> Takes {
        match *self {
            Texts(what) => Text(what),
            other => other,
        }
    }

    fn example(&self) -> String {
        match self {
            Text(what) => format!("text, {what}"),
            Texts(what) => format!("a list of texts, each {what}"),
            Words(words) => format!("one of the words {}", words.join(", ")),
            Switch => "true or false".to_owned(),
            Count(..) => format!("a whole number, {self}"),
            Wait(..) => format!("a time as in \"30s\", {self}"),
            Size(..) => format!("a size as in \"64KiB\", {self}"),
            Part(..) => format!("a share as in \"20%\", {self}"),
            OrNone(inner) => format!("{}, or \"none\"", inner.example()),
        }
    }
}

impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Text(what) | Texts(what) => f.write_str(what),
            Words(words) => f.write_str(&words.join(", ")),
            Switch => f.write_str("true or false"),
            Count(min, max) => write!(f, "{min} to {max}"),
            Wait(min, max) => write!(f, "{} to {}", Clock::show(min), Clock::show(max)),
            Size(min, max) => write!(f, "{} to {}", Bytes::show(min), Bytes::show(max)),
            Part(min, max) => write!(f, "{} to {}", Share::show(min), Share::show(max)),
            OrNone(inner) => write!(f, "{inner}, or none"),
        }
    }
}

/// `; did you mean this?`, if one of these is near.
pub(super) fn did_you_mean<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> String {
    let likeness = |word: &str| strsim::jaro(text, word);
    let nearest = known.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    // A little over clap's 0.7, which takes `recovery` for `servers`.
    match nearest.filter(|word| likeness(word) > 0.75) {
        Some(word) => format!("; did you mean `{word}`?"),
        None => String::new(),
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
