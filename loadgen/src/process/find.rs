//! Who listens on an address of this machine.
//!
//! In: the kernel's tables of sockets, `/proc/net/tcp`, `tcp6` and `unix`, and the descriptors of all processes that
//! we may look at. Out: process ids. Never: an error; who can't be seen isn't there.

use net::address::Address;
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;

/// The state of a listening TCP socket, as the tables write it.
const LISTEN: &str = "0A";
/// The flag of a listening Unix socket (__SO_ACCEPTCON).
const ACCEPTS: u32 = 0x1_0000;
/// Who holds every socket that it has started a service with.
const INIT: u32 = 1;

/// The processes that hold a socket which accepts connections to `address`, ascending; all but `except`.
pub(super) fn who_listens(proc: &Path, address: &Address, except: Option<u32>) -> Vec<u32> {
    let table = |name: &str| fs::read_to_string(proc.join("net").join(name)).unwrap_or_default();
    let sockets = match address {
        Address::Tcp(to) if is_here(*to) => tcp_sockets(&table("tcp"), &table("tcp6"), *to),
        Address::Tcp(_) => return Vec::new(),
        Address::Unix(path) => unix_sockets(&table("unix"), path),
    };
    if sockets.is_empty() {
        return Vec::new();
    }
    let mut pids = holders(proc, &sockets);
    pids.retain(|pid| Some(*pid) != except);
    // With socket activation, init holds what the service listens on. In a container it may be the server itself.
    if pids.len() > 1 {
        pids.retain(|pid| *pid != INIT);
    }
    pids.sort_unstable();
    pids
}

/// Whether the address is this machine's: only then may a socket be bound to it.
fn is_here(mut to: SocketAddr) -> bool {
    to.set_port(0);
    to.ip().is_loopback() || to.ip().is_unspecified() || UdpSocket::bind(to).is_ok()
}

/// The inodes of the sockets that the kernel would choose from for a connection to `to`.
fn tcp_sockets(tcp: &str, tcp6: &str, to: SocketAddr) -> Vec<u64> {
    // Who connects to no address in particular connects to this machine.
    let ip = match to.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let lines = tcp.lines().chain(tcp6.lines());
    let listening = lines.filter_map(listening_socket).filter(|(local, _)| local.port() == to.port());
    let fitting: Vec<(Fit, u64)> =
        listening.filter_map(|(local, inode)| Some((fit(local.ip(), ip)?, inode))).collect();
    let Some(best) = fitting.iter().map(|(fit, _)| *fit).min() else { return Vec::new() };
    fitting.into_iter().filter(|(fit, _)| *fit == best).map(|(_, inode)| inode).collect()
}

/// How well a listener's address fits; the kernel takes the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Exact,
    AnyOfFamily,
    /// An IPv6 socket that takes IPv4 as well, unless it was told not to, which the table doesn't show.
    AnyOfBoth,
}

fn fit(local: IpAddr, to: IpAddr) -> Option<Fit> {
    match (local, to) {
        _ if local.to_canonical() == to => Some(Fit::Exact),
        (IpAddr::V4(local), IpAddr::V4(_)) if local.is_unspecified() => Some(Fit::AnyOfFamily),
        (IpAddr::V6(local), IpAddr::V6(_)) if local.is_unspecified() => Some(Fit::AnyOfFamily),
        (IpAddr::V6(local), IpAddr::V4(_)) if local.is_unspecified() => Some(Fit::AnyOfBoth),
        _ => None,
    }
}

/// Of a line of `tcp` or `tcp6`: where it listens, and the inode. `None` for any other line.
fn listening_socket(line: &str) -> Option<(SocketAddr, u64)> {
    let mut fields = line.split_whitespace();
    let (local, state) = (fields.nth(1)?, fields.nth(1)?);
    let inode = fields.nth(5)?.parse().ok()?;
    if state != LISTEN {
        return None;
    }
    let (ip, port) = local.split_once(':')?;
    Some((SocketAddr::new(parse_ip(ip)?, u16::from_str_radix(port, 16).ok()?), inode))
}

/// An address is written as one or four numbers of 32 bits, as the machine sees its bytes in network order.
fn parse_ip(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(IpAddr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: [u8; 16] = words.as_flattened().try_into().ok()?;
            Some(IpAddr::from(bytes))
        }
        _ => None,
    }
}

/// The inodes of the Unix sockets that listen at this path, as it was written when they were bound.
fn unix_sockets(table: &str, path: &Path) -> Vec<u64> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let inode = |line: &str| {
        let (flags, inode, bound) = unix_socket(line)?;
        let is_it = Path::new(bound) == path || Path::new(bound) == absolute;
        (is_it && flags & ACCEPTS != 0).then_some(inode)
    };
    table.lines().filter_map(inode).collect()
}

/// Of a line of `unix`: flags, inode and path, which may have spaces.
fn unix_socket(line: &str) -> Option<(u32, u64, &str)> {
    let mut rest = line.trim_start();
    let mut fields = [""; 7];
    for field in &mut fields {
        (*field, rest) = rest.split_once(' ')?;
        rest = rest.trim_start();
    }
    Some((u32::from_str_radix(fields[3], 16).ok()?, fields[6].parse().ok()?, rest))
}

/// The processes with a descriptor of one of these sockets. All of them: a server's workers inherit its listener.
fn holders(proc: &Path, sockets: &[u64]) -> Vec<u32> {
    let wanted: HashSet<OsString> = sockets.iter().map(|inode| format!("socket:[{inode}]").into()).collect();
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let descriptors = fs::read_dir(proc.join(format!("{pid}/fd"))).into_iter().flatten().flatten();
        descriptors
            .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
            .any(|link| wanted.contains(link.as_os_str()))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 651 1 000000004833235a 100 0 0 10 0
   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 652 1 000000004833235a 100 0 0 10 0
   2: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 653 1 000000004833235a 100 0 0 10 0
   3: 0100007F:1F90 0100007F:8C3E 01 00000000:00000000 00:00000000 00000000  1000        0 654 1 000000004833235a 20 4 30 10 -1
   4: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 655 1 000000004833235a 100 0 0 10 0
";
    const TCP6: &str = "\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 700 1 0000000000000000 100 0 0 10 0
   1: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 701 1 0000000000000000 100 0 0 10 0
   2: B80D01200000000000000000BA000000:1F91 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 702 1 0000000000000000 100 0 0 10 0
   3: 0000000000000000FFFF00000100007F:1F92 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 703 1 0000000000000000 100 0 0 10 0
";
    const UNIX: &str = "\
Num       RefCount Protocol Flags    Type St Inode Path
00000000ef5b7ad1: 00000003 00000000 00000000 0001 03   647
00000000fde06840: 00000002 00000000 00010000 0001 01   648 /run/corelane.sock
00000000fde06841: 00000003 00000000 00000000 0001 03   649 /run/corelane.sock
00000000fde06842: 00000002 00000000 00010000 0001 01 12345 /run/my own.sock
00000000fde06843: 00000002 00000000 00010000 0001 01   650 @/run/corelane.sock
";

    #[cfg(target_endian = "little")]
    #[test]
    fn the_kernel_prefers_the_listener_whose_address_fits_best() {
        let found = |to: &str| tcp_sockets(TCP, TCP6, to.parse().unwrap());
        // Exactly there, twice: SO_REUSEPORT.
        assert_eq!(found("127.0.0.1:8080"), [652, 655]);
        assert_eq!(found("127.0.0.2:8080"), [653]);
        assert_eq!(found("127.0.0.1:5000"), [651]);
        assert_eq!(found("[::1]:8080"), [701]);
        assert_eq!(found("[2001:db8::ba]:8081"), [702]);
        // Of an IPv6 socket that takes both.
        assert_eq!(found("127.0.0.1:80"), [700]);
        assert_eq!(found("[::1]:80"), [700]);
        // IPv4 written as IPv6, on either side.
        assert_eq!(found("127.0.0.1:8082"), [703]);
        assert_eq!(found("[::ffff:127.0.0.1]:8080"), [652, 655]);
        // No address in particular.
        assert_eq!(found("0.0.0.0:8080"), [652, 655]);
        assert_eq!(found("[::]:8080"), [701]);
    }

    #[test]
    fn who_listens_on_another_port_address_or_family_is_not_meant() {
        let found = |to: &str| tcp_sockets(TCP, TCP6, to.parse().unwrap());
        for nobody in ["127.0.0.1:81", "[::1]:5000", "[::2]:8080", "127.0.0.1:35902", "[2001:db8::bb]:8081"] {
            assert!(found(nobody).is_empty(), "{nobody}");
        }
    }

    #[test]
    fn a_unix_listener_is_found_by_its_path_and_its_connections_are_not() {
        let found = |path: &str| unix_sockets(UNIX, Path::new(path));
        assert_eq!(found("/run/corelane.sock"), [648]);
        assert_eq!(found("/run/my own.sock"), [12345]);
        assert!(found("/run/other.sock").is_empty());
    }

    #[test]
    fn lines_that_are_none_are_passed_over() {
        for line in ["", "x", "1: 0100007F:1F90", "1: 0100007F 0 0A 0 0 0 0 0 9", "1: 01:1 0 0A 0 0 0 0 0 9"]
        {
            assert_eq!(listening_socket(line), None, "{line}");
        }
        for line in ["", "a: b c d e f g", "Num RefCount Protocol Flags Type St Inode Path"] {
            assert_eq!(unix_socket(line), None, "{line}");
        }
    }

    #[test]
    fn an_address_of_another_machine_is_not_here() {
        // RFC 5737 keeps this one for documents: nobody has it.
        assert!(!is_here("192.0.2.1:80".parse().unwrap()));
        assert!(is_here("127.8.9.10:80".parse().unwrap()));
        assert!(is_here("[::]:80".parse().unwrap()));
    }
}
