//! What a reload may change.
//!
//! In: the configuration in force, and the one that was read. Out: the new one, or why it needs a restart. Never: half of it.

use crate::config::{Config, Listener};
use crate::fleet::Fleet;
use std::sync::Arc;

/// The new configuration, if the process can take it over as it is.
///
/// # Errors
/// Listeners are opened before the lanes begin: other ones need a restart.
pub(super) fn allowed(old: &Config, new: Config) -> Result<Config, String> {
    let what = |listener: Option<&Listener>| listener.map(|at| (at.address.clone(), at.accept_proxy));
    let count = old.listeners.len().max(new.listeners.len());
    let differs = (0..count).find(|&n| what(old.listeners.get(n)) != what(new.listeners.get(n)));
    match differs {
        None => Ok(new),
        Some(n) => {
            let (was, is) = (name(old.listeners.get(n)), name(new.listeners.get(n)));
            Err(format!("listener {} was {was} and would be {is}: that needs a restart", n + 1))
        }
    }
}

fn name(listener: Option<&Listener>) -> String {
    match listener {
        None => "none".to_owned(),
        Some(Listener { address, accept_proxy: true, .. }) => format!("{address} with accept-proxy"),
        Some(Listener { address, .. }) => address.to_string(),
    }
}

/// What became of the servers, in words.
pub(super) fn summary(old: &Fleet, new: &Fleet) -> String {
    let servers = |fleet: &Fleet| fleet.pools.iter().map(|pool| pool.servers.len()).sum::<usize>();
    let stay = |pool: &Arc<crate::fleet::Pool>| {
        let was = old.pools.iter().find(|was| was.name == pool.name);
        let was = |server: &_| was.is_some_and(|was| was.servers.iter().any(|old| Arc::ptr_eq(old, server)));
        pool.servers.iter().filter(|server| was(server)).count()
    };
    let stay: usize = new.pools.iter().map(stay).sum();
    let (added, removed) = (servers(new) - stay, servers(old) - stay);
    let (servers, pools) = (count(servers(new), "server"), count(new.pools.len(), "pool"));
    format!("{servers} in {pools}: {added} added, {removed} removed")
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
