//! The forwarding floor: bare loops that send what arrives on one side to the other, without reading it.
//!
//! In: connections of clients (the front). Out: for each of them one connection to the backend (the back), and every
//! byte, end and break of one side passed on to the other. No parsing, no pool, no limits, no deadlines: what is left
//! is what the kernel costs, and whatever a proxy costs above it is the proxy's own doing.

mod epoll;
mod ring;
#[cfg(test)]
mod tests;

use std::io;
use std::net::TcpListener;

use net::address::Address;
use socket2::{Domain, SockAddr, Socket, Type};

use super::Loop;

/// Forwards until the process is killed.
pub(super) fn serve(which: Loop, listener: &TcpListener, backend: &Address) -> io::Result<()> {
    // Leaked: the kernel reads it whenever a connect is submitted.
    let backend: &'static SockAddr = Box::leak(Box::new(match backend {
        Address::Tcp(address) => (*address).into(),
        Address::Unix(path) => SockAddr::unix(path)?,
    }));
    match which {
        Loop::Ring => ring::serve(listener, backend),
        Loop::Epoll => epoll::serve(listener, backend),
    }
}

/// A socket for one connection to the backend, not connected yet.
fn back_socket(backend: &SockAddr) -> io::Result<Socket> {
    let socket = Socket::new(backend.domain(), Type::STREAM, None)?;
    if backend.domain() != Domain::UNIX {
        socket.set_tcp_nodelay(true)?;
    }
    Ok(socket)
}

/// Which side of a pair: the client's, or the backend's. A way has the number of the side that it reads from.
const FRONT: usize = 0;
const BACK: usize = 1;

/// The side that a way writes to.
fn across(side: usize) -> usize {
    1 - side
}
