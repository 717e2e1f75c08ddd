//! HAProxy's configuration, for what it is measured as: a server, or a proxy.
//!
//! In: where to listen, a directory for its file, and what to do. Out: the text of a file. One thread, no log, and no
//! bound that a run could reach.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use net::address::Address;

use crate::failure::Failure;

/// Enough for the idle connections of a run, and few enough for HAProxy to have two descriptors for each where 20,000
/// are allowed.
const CONNECTIONS: u32 = 8192;

/// What it does with a request.
pub(crate) enum Task<'a> {
    /// At its cheapest: answers from the configuration alone.
    Answer,
    Forward {
        to: &'a Address,
    },
}

/// Writes the configuration into the directory, and returns HAProxy's arguments.
pub(crate) fn arguments(
    address: SocketAddr,
    directory: &Path,
    task: &Task<'_>,
) -> Result<Vec<String>, Failure> {
    let file = directory.join("haproxy.cfg");
    fs::write(&file, configuration(address, task))?;
    Ok(["-db", "-f", &file.display().to_string()].map(String::from).to_vec())
}

fn configuration(address: SocketAddr, task: &Task<'_>) -> String {
    let task = match task {
        Task::Answer => {
            "    http-request return status 200 content-type application/json string '{\"result\":3}'\n"
                .into()
        }
        Task::Forward { to } => {
            let server = match to {
                Address::Tcp(address) => address.to_string(),
                Address::Unix(path) => format!("unix@{}", path.display()),
            };
            format!(
                "    option forwardfor
    default_backend back
backend back
    http-reuse always
    server s {server}
"
            )
        }
    };
    format!(
        "global
    nbthread 1
    maxconn {CONNECTIONS}
defaults
    mode http
    no log
    option http-keep-alive
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive 1h
frontend front
    bind {address} backlog 4096
{task}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_by_itself_or_forwards() {
        let address = "127.0.0.1:80".parse().unwrap();
        let answer = configuration(address, &Task::Answer);
        assert!(answer.contains("http-request return status 200") && !answer.contains("backend"));
        let to = "unix:/s".parse().unwrap();
        let forward = configuration(address, &Task::Forward { to: &to });
        assert!(forward.contains("server s unix@/s\n") && !forward.contains("http-request return"));
    }
}
