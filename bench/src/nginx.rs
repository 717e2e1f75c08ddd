//! nginx's configuration, for what it is measured as: a server, or a proxy.
//!
//! In: where to listen, a directory for its files, and what to do. Out: the text of a file. One worker, no access
//! log, and no bound that a run could reach.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use crate::failure::Failure;

/// More than any run opens, because nginx sets aside memory for each from the start.
const CONNECTIONS: u32 = 16_384;

/// A server at its cheapest: it answers while it reads the head, from the configuration alone.
pub(crate) const ANSWERS: Task<'static> = Task {
    above: "",
    location: "default_type application/json;
            return 200 '{\"result\":3}';",
};

/// What it does with `/add`.
pub(crate) struct Task<'a> {
    /// What stands beside `server`.
    pub(crate) above: &'a str,
    pub(crate) location: &'a str,
}

/// Writes the configuration into the directory, and returns nginx's arguments.
pub(crate) fn arguments(
    address: SocketAddr,
    directory: &Path,
    task: &Task<'_>,
) -> Result<Vec<String>, Failure> {
    let file = directory.join("nginx.conf");
    fs::write(&file, configuration(address, directory, task))?;
    let (file, directory) = (file.display().to_string(), directory.display().to_string());
    Ok(["-c", &file, "-p", &directory, "-e", "stderr"].map(String::from).to_vec())
}

fn configuration(address: SocketAddr, directory: &Path, task: &Task<'_>) -> String {
    let (directory, Task { above, location }) = (directory.display(), task);
    format!(
        "daemon off;
worker_processes 1;
pid {directory}/pid;
error_log stderr crit;
events {{ worker_connections {CONNECTIONS}; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    {above}
    server {{
        listen {address} backlog=4096;
        location = /add {{
            {location}
        }}
    }}
}}
"
    )
}
