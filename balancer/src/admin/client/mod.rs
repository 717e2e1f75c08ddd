//! The sub-commands that ask a running balancer: `corelane-balancer servers`, `drain`, `weigh`, `reload` and so on.
//!
//! In: where its admin address is, and what is asked. Out: what it says, on one line; for a list a table; or a failure with an exit code
//! and the next thing to try. Never: a wait without an end, a change of a server that was not named without doubt, or
//! words of a server that command the terminal.

mod exchange;
mod table;

use super::text::{encode, tame};
use crate::control::Admin;
use exchange::Ask as Message;
use net::address::Address;
use net::http1::Status;
use serde::Deserialize;
use std::io::{self, ErrorKind, Write};

/// What is asked of a running balancer. A server is named as `pool/server`, or as `server` if only one pool has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Its servers.
    List {
        /// As the balancer sends it, and not as a table.
        json: bool,
    },
    /// What a server is to do.
    Set {
        /// Which.
        server: String,
        /// What.
        admin: Admin,
    },
    /// A server's weight.
    Weigh {
        /// Which.
        server: String,
        /// 0 to 256; `None`: as configured.
        weight: Option<u32>,
    },
    /// To read its configuration again.
    Reload,
}

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ClientFailure {
    /// What was asked for does not exist, or is not one thing: the user's to mend.
    #[error("{0}")]
    Asked(String),
    /// Nobody answers there.
    #[error("{0}")]
    Unreachable(String),
    /// What answers there is no balancer of ours, or breaks off.
    #[error("what answers at {0} is not corelane-balancer's admin address ({1}): see `--admin`")]
    Foreign(Address, String),
    /// The balancer said no.
    #[error("the balancer refused: {0}")]
    Refused(String),
    /// The output could not be written.
    #[error("can't write the output: {0}")]
    Output(#[from] io::Error),
}

impl ClientFailure {
    /// 2 if it was asked wrongly, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            ClientFailure::Asked(_) => 2,
            _ => 1,
        }
    }
}

/// Asks the balancer at `admin`, and writes what it says.
///
/// # Errors
/// See [`ClientFailure`]. Nothing was changed unless it says [`ClientFailure::Output`]; after a wait without an answer,
/// the balancer may still do it.
pub fn run(admin: &Address, ask: &Ask, out: &mut impl Write) -> Result<(), ClientFailure> {
    let written = match ask {
        Ask::List { json: true } => out.write_all(&get(admin)?).and_then(|()| writeln!(out)),
        Ask::List { json: false } => out.write_all(table::of(&list(admin)?).as_bytes()),
        Ask::Set { server, admin: wanted } => {
            let verb = match wanted {
                Admin::Ready => "enable",
                Admin::Drain => "drain",
                Admin::Maint => "disable",
            };
            let target = format!("{}/{verb}", find(admin, server)?);
            writeln!(out, "{}", change(admin, "POST", &target, b"{}")?)
        }
        Ask::Weigh { server, weight } => {
            let target = format!("{}/weight", find(admin, server)?);
            let body = serde_json::json!({ "weight": weight }).to_string();
            writeln!(out, "{}", change(admin, "PUT", &target, body.as_bytes())?)
        }
        Ask::Reload => writeln!(out, "{}", change(admin, "POST", "/reload", b"{}")?),
    };
    match written.and_then(|()| out.flush()) {
        // Who reads no further, such as `head`, has what it wanted.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// What the table and the names need of `/servers`.
#[derive(Debug, Deserialize)]
struct Listed {
    servers: Vec<ListedServer>,
}

/// See `docs/balancer-admin.md`.
#[derive(Debug, Deserialize)]
struct ListedServer {
    pool: String,
    name: String,
    address: String,
    state: String,
    admin: String,
    why: String,
    state_seconds: u64,
    weight: u32,
    configured_weight: u32,
    in_flight: u32,
    limit: Option<u32>,
    requests_per_second: Option<f64>,
    error_share: Option<f64>,
    p50_seconds: Option<f64>,
    p99_seconds: Option<f64>,
}

fn get(admin: &Address) -> Result<Vec<u8>, ClientFailure> {
    let (status, body) = exchange::ask(admin, &Message { method: "GET", target: "/servers", body: None })?;
    if status == Status::OK { Ok(body) } else { Err(refusal(admin, status, &body)) }
}

fn list(admin: &Address) -> Result<Vec<ListedServer>, ClientFailure> {
    let list: Result<Listed, _> = serde_json::from_slice(&get(admin)?);
    list.map(|list| list.servers).map_err(|error| ClientFailure::Foreign(admin.clone(), error.to_string()))
}

/// The path of the one server that is called so.
fn find(admin: &Address, called: &str) -> Result<String, ClientFailure> {
    let list = list(admin)?;
    let full = |server: &ListedServer| format!("{}/{}", server.pool, server.name);
    // A server's name may have a `/` itself, so that both readings are tried.
    let is_it = |server: &&ListedServer| server.name == called || full(server) == called;
    let found: Vec<&ListedServer> = list.iter().filter(is_it).collect();
    let names = |servers: &[&ListedServer]| {
        let names: Vec<String> = servers.iter().map(|server| full(server)).collect();
        tame(&super::route::list(names.iter().map(String::as_str)))
    };
    match found[..] {
        [server] => Ok(format!("/servers/{}/{}", encode(&server.pool), encode(&server.name))),
        [] => Err(ClientFailure::Asked(format!(
            "there is no server `{called}`: there is {}",
            names(&list.iter().collect::<Vec<_>>())
        ))),
        _ => Err(ClientFailure::Asked(format!(
            "`{called}` may be any of these: {}; name its pool too",
            names(&found)
        ))),
    }
}

fn change(admin: &Address, method: &'static str, target: &str, body: &[u8]) -> Result<String, ClientFailure> {
    #[derive(Deserialize)]
    struct Done {
        done: String,
    }
    let (status, body) = exchange::ask(admin, &Message { method, target, body: Some(body) })?;
    if status != Status::OK {
        return Err(refusal(admin, status, &body));
    }
    match serde_json::from_slice::<Done>(&body) {
        Ok(Done { done }) => Ok(tame(&done)),
        Err(error) => Err(ClientFailure::Foreign(admin.clone(), error.to_string())),
    }
}

/// What a status other than 200 means.
fn refusal(admin: &Address, status: Status, body: &[u8]) -> ClientFailure {
    #[derive(Deserialize)]
    struct Problem {
        error: String,
    }
    match serde_json::from_slice::<Problem>(body) {
        // The name was in the list a moment ago, and the number was the user's.
        Ok(Problem { error }) if status == Status::UNPROCESSABLE_CONTENT => {
            ClientFailure::Asked(tame(&error))
        }
        Ok(Problem { error }) => ClientFailure::Refused(tame(&error)),
        Err(_) => ClientFailure::Foreign(admin.clone(), format!("it says {status}")),
    }
}
