//! Sockets: one listener per lane, and sockets to connect with.
//!
//! In: an address and the number of lanes. Out: listeners that share the address (SO_REUSEPORT for TCP, one
//! socket for a Unix path), configured so that accepted connections need no further call. And what engines
//! want of a socket besides moving bytes: its peer's address, a reset. Never: waits for a peer, or ends a socket
//! that somebody else goes on with.

use crate::address::Address;
use rustix::io::Errno;
use rustix::net::SocketFlags;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Connections that may wait to be accepted; the kernel cuts it to `net.core.somaxconn`. A steered listener
/// doesn't spill over to its neighbours, so this is large.
pub const BACKLOG: i32 = 4096;

/// How often, and how far apart, an address is tried that seems to be taken.
const BUSY_TRIES: u32 = 10;
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// To which lane a connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "command-line", derive(clap::ValueEnum))]
pub enum Accept {
    /// Plain SO_REUSEPORT: by a hash of the addresses.
    Hash,
    /// To the lane on the CPU that received the connection (SO_ATTACH_REUSEPORT_CBPF).
    Cpu,
    /// By a hash, and then dealt to the lane that has the fewest.
    Deal,
}

/// A listening socket of one lane. Several lanes may have the same one.
#[derive(Clone)]
pub struct Listener {
    socket: Arc<Socket>,
    address: Address,
    /// Somebody else goes on with it when we are done: the service manager, or the process that follows us.
    is_lent: Arc<AtomicBool>,
}

impl Listener {
    fn new(socket: Socket, address: Address, is_lent: bool) -> Listener {
        Listener { socket: Arc::new(socket), address, is_lent: Arc::new(AtomicBool::new(is_lent)) }
    }

    /// One on a socket that this process was started with.
    pub(crate) fn inherited(socket: Socket, address: Address, is_lent: bool) -> io::Result<Listener> {
        if let Address::Tcp(_) = address {
            // Accepted sockets inherit it (Linux), which saves a call for each.
            socket.set_tcp_nodelay(true)?;
        }
        // Of one that listens already, this sets the backlog.
        socket.listen(BACKLOG)?;
        Ok(Listener::new(socket, address, is_lent))
    }

    /// Where it listens, with the port that the kernel chose.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// A grip on it, for as long as a lane has it.
    pub fn handle(&self) -> Handle {
        Handle {
            socket: Arc::downgrade(&self.socket),
            address: self.address.clone(),
            is_lent: self.is_lent.clone(),
        }
    }

    /// The connections that have been waiting, without waiting for more: at most as many as a backlog holds, so that
    /// peers who keep connecting can't hold a lane that wants to end. None of a lent socket: there they are not lost.
    pub(crate) fn accept_backlog(&self) -> impl Iterator<Item = OwnedFd> {
        let ready = !self.is_lent() && self.socket.set_nonblocking(true).is_ok();
        let tries = if ready { 0..BACKLOG } else { 0..0 };
        let accepted = tries.map(|_| self.accept()).take_while(|result| match result {
            // One peer's trouble; the next may be fine.
            Ok(_) | Err(Errno::CONNABORTED | Errno::INTR) => true,
            Err(_) => false,
        });
        accepted.filter_map(Result::ok)
    }

    /// Refuses whoever connects from now on, although something may still hold the socket: else they would be
    /// accepted by nobody, and reset. A Unix socket is shared by all lanes, and stays as it is; so does a lent one.
    #[cfg(feature = "uring")]
    pub(crate) fn refuse(&self) {
        if let (Address::Tcp(_), false) = (&self.address, self.is_lent()) {
            // Closing it is next, so that a failure changes nothing.
            let _ = self.socket.shutdown(std::net::Shutdown::Read);
        }
    }

    fn is_lent(&self) -> bool {
        self.is_lent.load(Ordering::Acquire)
    }

    /// Accepts one connection, not blocking on its own reads and writes.
    pub(crate) fn accept(&self) -> rustix::io::Result<OwnedFd> {
        rustix::net::accept_with(&*self.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
    }

    /// For engines that poll the listener.
    #[cfg(any(feature = "epoll", feature = "monoio", feature = "glommio"))]
    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        self.socket.set_nonblocking(true)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A grip on a listener that a lane has. It keeps nothing open.
#[derive(Clone)]
pub struct Handle {
    socket: Weak<Socket>,
    address: Address,
    is_lent: Arc<AtomicBool>,
}

impl Handle {
    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether somebody else goes on with it when we are done.
    pub fn is_lent(&self) -> bool {
        self.is_lent.load(Ordering::Acquire)
    }

    /// Says whether somebody else goes on with it when we are done.
    pub(crate) fn lend(&self, is_lent: bool) {
        self.is_lent.store(is_lent, Ordering::Release);
    }

    /// Is it the same socket?
    pub(crate) fn is(&self, other: &Handle) -> bool {
        self.socket.ptr_eq(&other.socket)
    }

    /// Another descriptor of it, which processes that we start inherit. `None`: no lane has it any more.
    pub(crate) fn inheritable(&self) -> Option<io::Result<OwnedFd>> {
        // Not closed on exec, as opposed to what `try_clone` makes.
        Some(rustix::io::dup(&*self.socket.upgrade()?).map_err(io::Error::from))
    }

    /// Removes the socket file of a Unix address, when its server ends and nobody goes on with it.
    pub fn remove_socket_file(&self) {
        if !self.is_lent() {
            remove_socket_file(&self.address);
        }
    }
}

/// Takes over the descriptors with these numbers, which whoever started this process opened for it. Only once in the life of a
/// process, and before it opens anything itself.
pub(crate) fn adopt(numbers: &[RawFd]) -> io::Result<Vec<Socket>> {
    static IS_DONE: AtomicBool = AtomicBool::new(false);
    if numbers.is_empty() || IS_DONE.swap(true, Ordering::AcqRel) {
        return Ok(Vec::new());
    }
    let adopt = |&number: &RawFd| {
        // SAFETY: whoever started the process says that the descriptor is for it, nothing in it knows the number otherwise, and
        // this happens once. A number that isn't open fails in the next call, and is never closed by us.
        let socket = std::mem::ManuallyDrop::new(unsafe { Socket::from_raw_fd(number) });
        let flags = rustix::io::fcntl_getfd(&*socket)?;
        rustix::io::fcntl_setfd(&*socket, flags | rustix::io::FdFlags::CLOEXEC)?;
        Ok(std::mem::ManuallyDrop::into_inner(socket))
    };
    numbers.iter().map(adopt).collect()
}

/// Listens on `address` once for each of `lanes`.
///
/// Errors carry what to do; an address that another process listens on is one of them, although SO_REUSEPORT
/// would let two servers of one user share it silently.
pub fn listen(address: &Address, lanes: usize) -> io::Result<Vec<Listener>> {
    let listeners = match address {
        Address::Tcp(address) => listen_tcp(*address, lanes),
        Address::Unix(path) => listen_unix(path, lanes),
    };
    listeners.map_err(|error| explain(address, error))
}

fn listen_tcp(address: SocketAddr, lanes: usize) -> io::Result<Vec<Listener>> {
    if address.port() != 0 {
        must_be_free(address)?;
    }
    let mut listeners = Vec::with_capacity(lanes);
    let mut address = address;
    // In lane order: the index in the SO_REUSEPORT group, which steering uses, is the order of listen(2).
    for _ in 0..lanes {
        let socket = tcp_socket(address, true)?;
        socket.listen(BACKLOG)?;
        if let Some(bound) = socket.local_addr()?.as_socket() {
            address = bound;
        }
        listeners.push(Listener::new(socket, Address::Tcp(address), false));
    }
    Ok(listeners)
}

/// Fails if somebody listens on `address`, although SO_REUSEPORT would let us join in. The ring of a process that was
/// just killed holds its listeners a moment longer than the process lived: that is waited for.
fn must_be_free(address: SocketAddr) -> io::Result<()> {
    let mut tries = 0;
    loop {
        match tcp_socket(address, false) {
            Err(error) if error.raw_os_error() == Some(libc::EADDRINUSE) && tries < BUSY_TRIES => tries += 1,
            result => return result.map(drop),
        }
        std::thread::sleep(BUSY_PAUSE);
    }
}

/// A bound TCP socket.
fn tcp_socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Accepted sockets inherit it (Linux), which saves a call for each.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A Unix path has one socket, which all lanes accept from.
fn listen_unix(path: &Path, lanes: usize) -> io::Result<Vec<Listener>> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    if let Err(error) = socket.bind(&address) {
        if error.raw_os_error() != Some(libc::EADDRINUSE) || !is_stale(path, &address)? {
            return Err(error);
        }
        std::fs::remove_file(path)?;
        socket.bind(&address)?;
    }
    socket.listen(BACKLOG)?;
    let listener = Listener::new(socket, Address::Unix(PathBuf::from(path)), false);
    Ok(vec![listener; lanes])
}

/// A socket file that nobody listens on was left behind by a process that is gone.
fn is_stale(path: &Path, address: &SockAddr) -> io::Result<bool> {
    use std::os::unix::fs::FileTypeExt;
    if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
        return Ok(false);
    }
    // A living one with a full backlog answers EAGAIN; a socket that blocks would wait there.
    let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    Ok(probe.connect(address).is_err_and(|e| e.raw_os_error() == Some(libc::ECONNREFUSED)))
}

/// Removes the socket file of a Unix address, when its server ends.
pub fn remove_socket_file(address: &Address) {
    if let Address::Unix(path) = address {
        // Already gone is as good as removed.
        let _ = std::fs::remove_file(path);
    }
}

fn explain(address: &Address, error: io::Error) -> io::Error {
    let help = match error.raw_os_error() {
        Some(libc::EADDRINUSE) => "another process listens there: stop it, or choose another address",
        Some(libc::EACCES) => {
            "not permitted: ports below 1024 need CAP_NET_BIND_SERVICE, a path needs write access"
        }
        Some(libc::EADDRNOTAVAIL) => "no interface of this host has that address: see `ip addr`",
        Some(libc::EAFNOSUPPORT) => "this host has that address family switched off",
        Some(libc::ENOENT) => "the directory of the socket doesn't exist",
        Some(libc::EMFILE | libc::ENFILE) => "out of file descriptors: raise `ulimit -n`",
        _ => "can't listen there",
    };
    io::Error::new(error.kind(), format!("listen on {address}: {help} ({error})"))
}

/// Steers each new TCP connection to the listener whose lane runs on the CPU that received it
/// (SO_ATTACH_REUSEPORT_CBPF, socket(7)). `cpus[n]` is the CPU of `listeners[n]`. Connections that arrive on
/// another CPU are spread by hash, as without steering.
pub fn steer(listeners: &[Listener], cpus: &[usize]) -> io::Result<()> {
    let Some(first) = listeners.first() else { return Ok(()) };
    let program = steering_program(cpus);
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    // SAFETY: `filter` and the instructions it points to live through the call; the kernel copies them.
    let result = unsafe {
        libc::setsockopt(
            first.socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const filter).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// "Load the CPU; if it is the CPU of lane n, return n; else return a number outside the group."
fn steering_program(cpus: &[usize]) -> Vec<libc::sock_filter> {
    let op = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
    let cpu = (libc::SKF_AD_OFF + libc::SKF_AD_CPU) as u32;
    let mut program = vec![op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, cpu)];
    for (lane, &cpu) in cpus.iter().enumerate() {
        program.push(op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, cpu as u32));
        program.push(op(libc::BPF_RET | libc::BPF_K, 0, 0, lane as u32));
    }
    program.push(op(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX));
    program
}

/// A socket to connect with, and where to. One for a Unix path does not block: its connect is done or refused
/// at once, with EAGAIN if the listener's backlog is full.
pub(crate) fn socket_for(to: &Address) -> io::Result<(Socket, SockAddr)> {
    match to {
        Address::Tcp(address) => {
            let socket = Socket::new(Domain::for_address(*address), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_tcp_nodelay(true)?;
            Ok((socket, (*address).into()))
        }
        Address::Unix(path) => {
            Ok((Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?, SockAddr::unix(path)?))
        }
    }
}

/// Where the peer of an accepted connection is. `None` for a Unix socket, and for a peer that is gone
/// already.
pub(crate) fn peer_of(socket: impl AsFd) -> Option<SocketAddr> {
    // ENOTCONN: reset since it was accepted, or before. The next read says so.
    rustix::net::getpeername(socket).ok().flatten()?.try_into().ok()
}

/// Breaks a TCP connection: the peer sees a reset, now, and every operation on the socket ends. A Unix socket
/// stays as it is (EINVAL).
///
/// Dissolving the association (connect(2), AF_UNSPEC) does both at once. With SO_LINGER the reset would come
/// with the close of the descriptor, which an operation under way holds back, and ending that first by a
/// shutdown would tell the peer that all is well.
pub(crate) fn reset(socket: impl AsFd) {
    let _ = rustix::net::connect_unspec(socket);
}

/// Descriptors or socket memory have run out: accepting again at once would only spin (accept(2)).
pub(crate) fn is_out_of_descriptors(error: i32) -> bool {
    matches!(error, libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
}

/// The listener itself is broken, as opposed to one peer's connection (accept(2)).
pub(crate) fn is_fatal_to_accept(error: i32) -> bool {
    matches!(error, libc::EBADF | libc::EINVAL | libc::ENOTSOCK | libc::EOPNOTSUPP | libc::EFAULT)
}

/// Once per shortage would still be a flood on a busy day: at the 1st, 2nd, 4th, 8th …
pub(crate) fn log_out_of_descriptors(times: u64) {
    if times.is_power_of_two() {
        tracing::warn!(
            times,
            "out of file descriptors: accepting pauses until a connection ends; raise LimitNOFILE= or lower --connections-max"
        );
    }
}

/// Raises the soft limit on open files to the hard one, and says what it is now.
pub fn raise_descriptor_limit() -> u64 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Raising the soft limit to the hard one needs no privilege; if it fails, the old limit holds.
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_refused_although_it_could_be_shared() {
        let first = listen(&"127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let error = listen(first[0].address(), 1).err().unwrap();
        assert!(error.to_string().contains("another process listens there"), "{error}");
        let free = first[0].address().clone();
        drop(first);
        assert_eq!(listen(&free, 3).unwrap().len(), 3);
    }

    #[test]
    fn a_socket_file_left_behind_is_replaced_and_a_living_one_is_not() {
        let dir = std::env::temp_dir().join(format!("corelane-listen-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let address = Address::Unix(dir.join("a.sock"));
        let living = listen(&address, 2).unwrap();
        assert!(listen(&address, 1).is_err());
        // The look that was just taken waits in the backlog, which is now full: the next one must not wait as
        // well.
        living[0].socket.listen(0).unwrap();
        assert!(listen(&address, 1).is_err());
        drop(living);
        assert!(listen(&address, 1).is_ok());
        let file = dir.join("file");
        std::fs::write(&file, "precious").unwrap();
        assert!(listen(&Address::Unix(file.clone()), 1).is_err());
        assert_eq!(std::fs::read(file).unwrap(), b"precious");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn both_ends_of_a_connection_send_small_pieces_at_once() {
        let listeners = listen(&"127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let (caller, to) = socket_for(listeners[0].address()).unwrap();
        caller.connect(&to).unwrap();
        let callee = Socket::from(listeners[0].accept().unwrap());
        assert!(caller.tcp_nodelay().unwrap() && callee.tcp_nodelay().unwrap());
        assert_eq!(peer_of(&callee), caller.local_addr().unwrap().as_socket());
    }

    #[test]
    fn steering_is_accepted_by_the_kernel() {
        let listeners = listen(&"127.0.0.1:0".parse().unwrap(), 2).unwrap();
        steer(&listeners, &[0, 1]).unwrap();
    }
}
