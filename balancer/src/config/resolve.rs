//! Names become indices, and what contradicts itself is found.
//!
//! In: sections, each of them well. Out: a [`Config`]. Never: a server, listener or route that could not do its work.

use super::file::{File, ListenerKeys, PoolKeys, Probe};
use super::keys::did_you_mean;
use super::refusal::{At, Refusal};
use super::tree::Tree;
use super::{Address, Config, Listener, Pool, Server, routing};
use std::collections::{BTreeMap, HashMap};

/// Most pools, listeners and routes. Routes are tried one by one; more are another program's work.
const POOLS_MAX: usize = 1024;
const LISTENERS_MAX: usize = 64;
const ROUTES_MAX: usize = 1024;

/// Most servers of a pool: lanes × servers × counters must fit into memory.
const SERVERS_MAX: usize = 4096;

/// Where sections come from, so that a refusal can say it.
pub(super) enum Origin<'t> {
    /// A file.
    File(Tree<'t>),
    /// The command line.
    Flags,
}

/// Checks what one key alone doesn't show, and resolves names.
pub(super) fn resolve(file: File, origin: &Origin<'_>) -> Result<Config, Refusal> {
    let (names, pools) = pools(file.pools, origin)?;
    let listeners = listeners(file.listeners, file.routes.is_empty(), &names, origin)?;
    at_most(file.routes.len(), ROUTES_MAX, "routes", origin)?;
    let routes = routing::routes(&file.routes, &listeners, &names, origin)?;
    routing::check_reach(&listeners, &routes, origin)?;
    check_loops(&listeners, &pools, origin)?;
    Ok(Config { listeners, pools, routes, front: file.front, forward: file.forward, log: file.access_log })
}

/// The flags' way here: one pool.
pub(crate) fn from_flags(
    listeners: Vec<ListenerKeys>,
    pool: PoolKeys,
    forward: super::Forward,
) -> Result<Config, Refusal> {
    let pools = BTreeMap::from([(super::defaults::POOL.to_owned(), pool)]);
    resolve(File { listeners, pools, forward, ..File::default() }, &Origin::Flags)
}

/// The pools in the order of the file, with their names.
fn pools(keys: BTreeMap<String, PoolKeys>, origin: &Origin<'_>) -> Result<(Vec<String>, Vec<Pool>), Refusal> {
    if keys.is_empty() {
        return Err(
            origin.refuse(&["pools"], "there is none: write [pools.NAME] with servers = [\"IP:PORT\", ...]")
        );
    }
    at_most(keys.len(), POOLS_MAX, "pools", origin)?;
    let mut keys: Vec<(String, PoolKeys)> = keys.into_iter().collect();
    keys.sort_by_key(|(name, _)| origin.position(&["pools", name]));
    let pools = keys.into_iter().map(|(name, keys)| {
        check_pool(&name, &keys, origin)?;
        let PoolKeys {
            servers,
            balance,
            report_header,
            check,
            passive,
            recovery,
            retry,
            queue,
            timeouts,
            idle,
        } = keys;
        let check = check.check();
        Ok(Pool {
            name,
            balance,
            servers,
            check,
            passive,
            recovery,
            retry,
            queue,
            timeouts,
            idle,
            report_header,
        })
    });
    let pools = pools.collect::<Result<Vec<Pool>, Refusal>>()?;
    Ok((pools.iter().map(|pool| pool.name.clone()).collect(), pools))
}

fn check_pool(name: &str, pool: &PoolKeys, origin: &Origin<'_>) -> Result<(), Refusal> {
    if pool.servers.is_empty() {
        return Err(origin.refuse(
            &["pools", name, "servers"],
            "a pool needs servers: write servers = [\"IP:PORT\", ...]",
        ));
    }
    if pool.servers.len() > SERVERS_MAX {
        let why = format!("has {} servers, {SERVERS_MAX} at most", pool.servers.len());
        return Err(origin.refuse(&["pools", name, "servers"], &why));
    }
    check_servers(name, &pool.servers, origin)?;

    let check = &pool.check;
    let in_check = |key: &'static str| ["pools", name, "check", key];
    if check.path == Probe::Off && origin.says(&["pools", name, "check"]) && !origin.says(&in_check("path")) {
        let why = "there is no check to set this for: add path = \"/healthz\", or path = \"connect\"";
        return Err(origin.refuse(&["pools", name, "check"], why));
    }
    if check.fast_interval.is_some_and(|fast| fast > check.interval) {
        let why = "fast-interval is longer than interval: in doubt checks come more often, not less";
        return Err(origin.refuse_first(&[&in_check("fast-interval"), &in_check("interval")], why));
    }
    if pool.passive.ejection > pool.passive.ejection_max {
        let in_passive = |key: &'static str| ["pools", name, "passive", key];
        let why = "ejection is longer than ejection-max, its own upper bound";
        return Err(origin.refuse_first(&[&in_passive("ejection"), &in_passive("ejection-max")], why));
    }
    Ok(())
}

fn check_servers(pool: &str, servers: &[Server], origin: &Origin<'_>) -> Result<(), Refusal> {
    let (mut addresses, mut names) = (HashMap::new(), HashMap::new());
    for (at, server) in servers.iter().enumerate() {
        let wrong = |why: &str| Err(origin.refuse(&["pools", pool, "servers", &at.to_string()], why));
        if addresses.insert(&server.address, at).is_some() {
            return wrong(&format!("{} is in this pool already: give it a weight instead", server.address));
        }
        if names.insert(&server.name, at).is_some() {
            return wrong(&format!("another server of this pool is called {} already", server.name));
        }
    }
    Ok(())
}

fn listeners(
    mut keys: Vec<ListenerKeys>,
    has_no_routes: bool,
    pools: &[String],
    origin: &Origin<'_>,
) -> Result<Vec<Listener>, Refusal> {
    if keys.is_empty() {
        keys.push(ListenerKeys::default());
    }
    at_most(keys.len(), LISTENERS_MAX, "listeners", origin)?;
    let mut listeners: Vec<Listener> = Vec::with_capacity(keys.len());
    for (at, keys) in keys.into_iter().enumerate() {
        let at = at.to_string();
        // With port 0 the kernel gives each its own.
        let is_chosen_later = matches!(&keys.address, Address::Tcp(address) if address.port() == 0);
        if !is_chosen_later && listeners.iter().any(|other| other.address == keys.address) {
            let why = format!("{} is listened on already", keys.address);
            return Err(origin.refuse(&["listeners", &at, "address"], &why));
        }
        let default_pool = match keys.pool {
            Some(Some(name)) => Some(pool_named(&name, pools, &["listeners", &at, "pool"], origin)?),
            // Nothing else can be meant.
            None if has_no_routes && pools.len() == 1 => Some(0),
            Some(None) | None => None,
        };
        listeners.push(Listener { address: keys.address, accept_proxy: keys.accept_proxy, default_pool });
    }
    Ok(listeners)
}

/// The index of a pool.
pub(super) fn pool_named(
    name: &str,
    pools: &[String],
    key: &[&str],
    origin: &Origin<'_>,
) -> Result<usize, Refusal> {
    pools.iter().position(|pool| pool == name).ok_or_else(|| {
        let nearest = did_you_mean(name, pools.iter().map(String::as_str));
        origin.refuse(key, &format!("there is no pool `{name}`{nearest}"))
    })
}

/// A server that is this balancer would get its own requests again, and again.
fn check_loops(listeners: &[Listener], pools: &[Pool], origin: &Origin<'_>) -> Result<(), Refusal> {
    for pool in pools {
        for (at, server) in pool.servers.iter().enumerate() {
            if let Some(own) = listeners.iter().find(|own| is_reached_by(&own.address, &server.address)) {
                let why =
                    format!("{} is where this balancer itself listens ({})", server.address, own.address);
                return Err(origin.refuse(&["pools", &pool.name, "servers", &at.to_string()], &why));
            }
        }
    }
    Ok(())
}

fn is_reached_by(listener: &Address, to: &Address) -> bool {
    match (listener, to) {
        (Address::Tcp(listener), Address::Tcp(to)) => {
            let on_all =
                listener.ip().is_unspecified() && to.ip().is_loopback() && listener.is_ipv4() == to.is_ipv4();
            listener.port() == to.port() && (on_all || listener.ip() == to.ip())
        }
        _ => listener == to,
    }
}

fn at_most(count: usize, max: usize, key: &str, origin: &Origin<'_>) -> Result<(), Refusal> {
    if count <= max {
        Ok(())
    } else {
        Err(origin.refuse(&[key], &format!("there are {count}, {max} at most")))
    }
}

impl Origin<'_> {
    /// Refuses what this key says.
    pub(super) fn refuse(&self, key: &[&str], why: &str) -> Refusal {
        self.refuse_first(&[key], why)
    }

    /// Refuses what the first of these keys says that is there.
    pub(super) fn refuse_first(&self, keys: &[&[&str]], why: &str) -> Refusal {
        match self {
            Origin::File(tree) => tree.refuse(keys, why),
            Origin::Flags => {
                let key = keys.first().copied().unwrap_or_default();
                let at = At::Flag(if key.first() == Some(&"listeners") { "--listen" } else { "--server" });
                Refusal { at, why: why.to_owned() }
            }
        }
    }

    fn says(&self, key: &[&str]) -> bool {
        matches!(self, Origin::File(tree) if tree.says(key))
    }

    fn position(&self, key: &[&str]) -> usize {
        match self {
            Origin::File(tree) => tree.position(key),
            Origin::Flags => 0,
        }
    }

    /// In words, where another key is.
    pub(super) fn place_of(&self, key: &[&str]) -> String {
        match self {
            Origin::File(tree) => format!("line {}", tree.line(key)),
            Origin::Flags => "the command line".to_owned(),
        }
    }
}
