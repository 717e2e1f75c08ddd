//! Listening sockets that this process was started with: by systemd (sd_listen_fds(3)), or by the process that it replaces.
//!
//! In: descriptors, as the environment tells of them. Out: listeners for the addresses that they are bound to. Never: a socket that nobody
//! asks for left to swallow connections; that is an error.

use crate::address::Address;
use crate::handover;
use crate::listen::{self, Listener};
use socket2::{Domain, Socket, Type};
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Sockets that wait for the address they are for.
#[derive(Default)]
pub struct Inherited {
    sockets: Vec<Given>,
}

struct Given {
    listener: Listener,
    /// As the service manager calls it.
    name: String,
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.listener.address(), self.name)
    }
}

impl Inherited {
    /// Those of this process; to be called before it opens anything itself.
    ///
    /// # Errors
    /// Something else than listening sockets was passed.
    pub fn take() -> io::Result<Inherited> {
        let passed = match handover::passed()? {
            Some(passed) => passed,
            // What belongs to the service manager, it goes on with.
            None => sd_notify::listen_fds_with_names()?.map(|(number, name)| (number, name, true)).collect(),
        };
        let numbers: Vec<_> = passed.iter().map(|(number, ..)| *number).collect();
        let given = |(socket, (_, name, is_lent)): (Socket, (_, String, bool))| {
            let address = address_of(&socket).map_err(|error| {
                io::Error::new(error.kind(), format!("the inherited socket {name} can't be used: {error}"))
            })?;
            Ok(Given { listener: Listener::inherited(socket, address, is_lent)?, name })
        };
        let sockets = listen::adopt(&numbers)?.into_iter().zip(passed).map(given);
        Ok(Inherited { sockets: sockets.collect::<io::Result<_>>()? })
    }

    /// A listener of `address` for each of `lanes`, if there is any. With fewer sockets than lanes, several lanes have the same one.
    ///
    /// # Errors
    /// There are more sockets than lanes: nobody would accept from the rest.
    pub(crate) fn listeners(&mut self, address: &Address, lanes: usize) -> io::Result<Vec<Listener>> {
        let Some(bound) = self.bound(address) else { return Ok(Vec::new()) };
        let (own, others): (Vec<Given>, Vec<Given>) = std::mem::take(&mut self.sockets)
            .into_iter()
            .partition(|given| *given.listener.address() == bound);
        self.sockets = others;
        if own.len() > lanes {
            let plural = if lanes == 1 { "lane" } else { "lanes" };
            return Err(io::Error::other(format!(
                "{} sockets were inherited for {bound}, and there {verb} {lanes} {plural}: nobody would accept from the rest; pass at most one for each lane",
                own.len(),
                verb = if lanes == 1 { "is" } else { "are" },
            )));
        }
        Ok((0..lanes).map(|lane| own[lane % own.len()].listener.clone()).collect())
    }

    /// Must be empty by now.
    ///
    /// # Errors
    /// Names those that are left.
    pub fn must_be_used_up(&self) -> io::Result<()> {
        if self.sockets.is_empty() {
            return Ok(());
        }
        let left: Vec<String> = self.sockets.iter().map(Given::to_string).collect();
        Err(io::Error::other(format!(
            "nothing listens on these inherited sockets: {}; name each address as the socket is bound (ListenStream=80 is [::]:80), or don't pass it",
            left.join(", ")
        )))
    }

    /// The address of the sockets for `address`; where any port will do, that of the first.
    fn bound(&self, address: &Address) -> Option<Address> {
        let any_port = |bound: &Address| match (bound, address) {
            (Address::Tcp(bound), Address::Tcp(wanted)) => wanted.port() == 0 && bound.ip() == wanted.ip(),
            _ => false,
        };
        let mut bound = self.sockets.iter().map(|given| given.listener.address());
        bound.clone().find(|bound| *bound == address).or_else(|| bound.find(|bound| any_port(bound))).cloned()
    }
}

/// Where a socket listens.
fn address_of(socket: &Socket) -> io::Result<Address> {
    if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
        return Err(io::Error::other("it is no listening stream socket (ListenStream=, Accept=no)"));
    }
    let bound = socket.local_addr()?;
    if let Some(path) = bound.as_pathname().filter(|_| bound.domain() == Domain::UNIX) {
        return Ok(Address::Unix(path.to_path_buf()));
    }
    let tcp: Option<SocketAddr> = bound.as_socket();
    tcp.map(Address::Tcp).ok_or_else(|| io::Error::other("it is neither TCP nor a path's"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn inherited(addresses: &[&str]) -> Inherited {
        let given = |address: &&str| {
            let socket = Socket::from(TcpListener::bind(address).unwrap());
            let address = address_of(&socket).unwrap();
            Given { listener: Listener::inherited(socket, address, true).unwrap(), name: "x".to_owned() }
        };
        Inherited { sockets: addresses.iter().map(given).collect() }
    }

    #[test]
    fn a_socket_serves_the_address_it_is_bound_to_and_all_lanes_share_it() {
        let mut inherited = inherited(&["127.0.0.1:0", "127.0.0.2:0"]);
        let second = inherited.sockets[1].listener.address().clone();
        let listeners = inherited.listeners(&second, 3).unwrap();
        assert_eq!(listeners.len(), 3);
        assert!(listeners.iter().all(|listener| *listener.address() == second));
        assert!(inherited.listeners(&"127.0.0.3:0".parse().unwrap(), 1).unwrap().is_empty());
        let left = inherited.must_be_used_up().unwrap_err().to_string();
        assert!(left.contains("127.0.0.1:") && !left.contains("127.0.0.2:"), "{left}");
        assert_eq!(inherited.listeners(&"127.0.0.1:0".parse().unwrap(), 1).unwrap().len(), 1);
        inherited.must_be_used_up().unwrap();
    }

    #[test]
    fn more_sockets_than_lanes_are_refused() {
        let mut inherited = inherited(&["127.0.0.1:0"]);
        let Given { listener, name } = &inherited.sockets[0];
        let again = Given { listener: listener.clone(), name: name.clone() };
        let address = listener.address().clone();
        inherited.sockets.push(again);
        let error = inherited.listeners(&address, 1).err().unwrap().to_string();
        assert!(error.contains("2 sockets") && error.contains("1 lane"), "{error}");
    }
}
