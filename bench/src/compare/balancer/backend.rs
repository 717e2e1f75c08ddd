//! The backend behind every proxy: corelane-server, on a TCP port and on a Unix socket at once.
//!
//! In: its core. Out: a running server whose addresses a proxy is given. It ends with its value.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use net::address::Address;

use crate::failure::Failure;
use crate::field::{self, Server};
use crate::request;

/// How a proxy reaches the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Unix,
}

impl Transport {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Unix => "Unix",
        }
    }
}

/// A running backend.
pub(super) struct Backend {
    server: Server,
    socket: PathBuf,
}

impl Backend {
    pub(super) fn start(core: usize) -> Result<Self, Failure> {
        let program = field::built("corelane-server", "cargo build --release -p server")?;
        let core = core.to_string();
        let server = field::start(&program, &core, |address, directory| {
            let listen = format!("{address},unix:{}", directory.join("socket").display());
            let line = ["--listen", &listen, "--admin", "off", "--cores", &core, "--engine", "uring"];
            Ok(line.map(String::from).to_vec())
        })?;
        request::check(server.address)?;
        let socket = server.directory.path().join("socket");
        // nginx's worker gives up root's rights before it connects.
        fs::set_permissions(&socket, Permissions::from_mode(0o777))?;
        Ok(Self { server, socket })
    }

    /// Where the generator reaches it without a proxy.
    pub(super) fn direct(&self) -> SocketAddr {
        self.server.address
    }

    pub(super) fn address(&self, transport: Transport) -> Address {
        match transport {
            Transport::Tcp => Address::Tcp(self.server.address),
            Transport::Unix => Address::Unix(self.socket.clone()),
        }
    }
}
