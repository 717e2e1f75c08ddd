//! What would be used, written as a file that means the same.
//!
//! In: a configuration and the process' options. Out: TOML with every key, the defaults marked as such. Never: a key left out,
//! as the text is also what the sample file is held against.

use super::file::{CheckKeys, ListenerKeys, PoolKeys, RouteKeys};
use super::{AccessLog, Config, Forward, Front, HostRule, Listener, Pool, Process, ProcessKeys, Route};
use serde::Serialize;
use std::fmt::Write;

/// Who said something that is not the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// A flag.
    CommandLine,
    /// A variable.
    Environment,
    /// The file.
    File,
}

/// All keys as TOML. `said` tells who said a key of `[process]`; `None`: nobody.
pub fn shown(config: &Config, process: &Process, said: impl Fn(&str) -> Option<Said>) -> String {
    let mut text = format!("# corelane-balancer {}: what would be used\n", env!("CARGO_PKG_VERSION"));
    let default = Pool::of("", Vec::new());
    section(&mut text, "[process]", &ProcessKeys::from(process), None, |key, _| match said(key) {
        Some(Said::CommandLine) => "# command line",
        Some(Said::Environment) => "# environment",
        Some(Said::File) => "# file",
        None => DEFAULT,
    });
    for listener in &config.listeners {
        let (keys, default) = (listener_keys(config, listener), listener_keys(config, &Listener::default()));
        marked(&mut text, "[[listeners]]", &keys, &default);
    }
    for route in &config.routes {
        marked(&mut text, "[[routes]]", &route_keys(config, route), &RouteKeys::default());
    }
    marked(&mut text, "[front]", &config.front, &Front::default());
    marked(&mut text, "[forward]", &config.forward, &Forward::default());
    marked(&mut text, "[access-log]", &config.log, &AccessLog::default());
    for pool in &config.pools {
        pool_sections(&mut text, pool, &default);
    }
    text
}

const DEFAULT: &str = "# default";

fn pool_sections(text: &mut String, pool: &Pool, default: &Pool) {
    // A dot would make two keys of one name.
    let name = if pool.name.contains('.') { format!("\"{}\"", pool.name) } else { pool.name.clone() };
    let header = |section: &str| format!("[pools.{name}{section}]");
    let own = |pool: &Pool| PoolKeys {
        servers: pool.servers.clone(),
        balance: pool.balance,
        report_header: pool.report_header.clone(),
        ..PoolKeys::default()
    };
    marked(text, &header(""), &own(pool), &own(default));
    let checks = (CheckKeys::of(pool.check.as_ref()), CheckKeys::of(None));
    marked(text, &header(".check"), &checks.0, &checks.1);
    marked(text, &header(".passive"), &pool.passive, &default.passive);
    marked(text, &header(".recovery"), &pool.recovery, &default.recovery);
    marked(text, &header(".retry"), &pool.retry, &default.retry);
    marked(text, &header(".queue"), &pool.queue, &default.queue);
    marked(text, &header(".timeouts"), &pool.timeouts, &default.timeouts);
    marked(text, &header(".idle"), &pool.idle, &default.idle);
}

fn listener_keys(config: &Config, listener: &Listener) -> ListenerKeys {
    let pool = listener.default_pool.and_then(|pool| config.pools.get(pool));
    ListenerKeys {
        address: listener.address.clone(),
        accept_proxy: listener.accept_proxy,
        pool: Some(pool.map(|pool| pool.name.clone())),
    }
}

fn route_keys(config: &Config, route: &Route) -> RouteKeys {
    let listener = route.listener.and_then(|listener| config.listeners.get(listener));
    RouteKeys {
        listener: listener.map_or_else(|| "*".to_owned(), |listener| listener.address.to_string()),
        host: match &route.host {
            HostRule::Any => "*".to_owned(),
            HostRule::Exact(name) => name.clone(),
            HostRule::Suffix(suffix) => format!("*{suffix}"),
        },
        path: route.path_prefix.clone(),
        pool: config.pools.get(route.pool).map(|pool| pool.name.clone()).unwrap_or_default(),
    }
}

/// A section whose lines are marked where they say the default.
fn marked<T: Serialize>(text: &mut String, header: &str, values: &T, default: &T) {
    section(text, header, values, Some(default), |_, is_default| if is_default { DEFAULT } else { "" });
}

fn section<T: Serialize>(
    text: &mut String,
    header: &str,
    values: &T,
    default: Option<&T>,
    mark: impl Fn(&str, bool) -> &'static str,
) {
    let lines =
        |values: &T| toml::to_string(values).expect("text, numbers and lists of them can be written as TOML");
    let defaults = default.map(lines).unwrap_or_default();
    let _ = writeln!(text, "\n{header}");
    for line in lines(values).lines() {
        let key = line.split(' ').next().unwrap_or_default();
        let mark = mark(key, defaults.lines().any(|default| default == line));
        let _ = writeln!(text, "{}", format!("{line:<40} {mark}").trim_end());
    }
}
