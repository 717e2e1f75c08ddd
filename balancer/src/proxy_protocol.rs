//! The header of the PROXY protocol, versions 1 and 2: who a connection is really from.
//!
//! In: the first bytes of a connection, cut anywhere. Out: who it is from, and where HTTP begins; or why that can't be believed, and
//! then the connection is closed without an answer. Never: takes a header that is not there for granted, reads past its end, or
//! keeps more than its bound.
//!
//! After `doc/proxy-protocol.txt` of HAProxy (below: the specification).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest line of version 1 with its CRLF (specification §2.1).
const LINE_BYTES_MAX: usize = 107;
/// What version 2 begins with (§2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and protocol, length.
const FIXED_BYTES: usize = 16;
/// The most that version 2 may have behind its fixed part. The specification wants all of a header to fit in 536 bytes; names out of
/// certificates can make it longer.
const REST_BYTES_MAX: usize = 2048;

/// Reads the header of one connection.
#[derive(Debug, Default)]
pub struct ProxyHeader {
    /// What came of it, if it was cut.
    kept: Vec<u8>,
}

/// Who a connection is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// The proxy itself, which checks whether we are there (`LOCAL`): the connection's own peer.
    Itself,
    /// A client of the proxy.
    Client {
        /// Its address; `None`: it has none that we could use (`UNKNOWN`, a Unix socket).
        source: Option<SocketAddr>,
        /// It came over TLS, and the proxy says so.
        is_tls: bool,
    },
}

/// The connection does not begin with a valid header. Close it: who it is from is unknown, and a proxy that speaks wrongly
/// would not understand an answer (§5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnnounced(pub &'static str);

impl fmt::Display for NotAnnounced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for NotAnnounced {}

impl ProxyHeader {
    /// Nothing was read.
    pub fn new() -> ProxyHeader {
        ProxyHeader::default()
    }

    /// Reads on in `input`, which are the bytes behind those given before. `Some`: who it is from, and how many bytes of the
    /// input belong to the header; HTTP begins behind them. `None`: all were taken and more are needed.
    ///
    /// # Errors
    /// There is no valid header.
    pub fn read(&mut self, input: &[u8]) -> Result<Option<(Announced, usize)>, NotAnnounced> {
        if self.kept.is_empty() {
            let read = parse(input)?;
            if read.is_none() {
                self.kept.extend_from_slice(input);
            }
            return Ok(read);
        }
        let before = self.kept.len();
        let room = (FIXED_BYTES + REST_BYTES_MAX).saturating_sub(before);
        self.kept.extend_from_slice(&input[..input.len().min(room)]);
        let Some((announced, len)) = parse(&self.kept)? else {
            return Ok(None);
        };
        self.kept = Vec::new();
        // What was kept before was not whole, so that the header ends behind it.
        Ok(Some((announced, len.saturating_sub(before))))
    }

    /// Bytes of memory kept for a header that is cut; at most twice the longest header.
    pub fn kept_bytes(&self) -> usize {
        self.kept.capacity()
    }
}

fn wrong<T>(why: &'static str) -> Result<T, NotAnnounced> {
    Err(NotAnnounced(why))
}

/// The header at the front of `bytes`, and its length. `None`: it is cut.
fn parse(bytes: &[u8]) -> Result<Option<(Announced, usize)>, NotAnnounced> {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(a, b)| a == b);
    if begins(SIGNATURE) {
        if bytes.len() < FIXED_BYTES { Ok(None) } else { binary(bytes) }
    } else if begins(b"PROXY ") {
        line(bytes)
    } else {
        wrong("the connection does not begin with a PROXY protocol header")
    }
}

/// Version 1: `PROXY TCP4 source destination port port CRLF` (§2.1).
fn line(bytes: &[u8]) -> Result<Option<(Announced, usize)>, NotAnnounced> {
    let window = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = window.iter().position(|&b| b == b'\n') else {
        return if window.len() == LINE_BYTES_MAX {
            wrong("the PROXY line is longer than 107 bytes")
        } else {
            Ok(None)
        };
    };
    let text = window[..end].strip_suffix(b"\r").and_then(|line| str::from_utf8(line).ok());
    let Some(text) = text.and_then(|text| text.strip_prefix("PROXY ")) else {
        return wrong("the PROXY line must be of ASCII and end with CR LF");
    };
    let source = match text.split(' ').collect::<Vec<_>>()[..] {
        // Whatever else the line says is to be ignored.
        ["UNKNOWN", ..] => None,
        ["TCP4", source, destination, source_port, destination_port] => Some(
            endpoint::<Ipv4Addr>(source, source_port)
                .zip(endpoint::<Ipv4Addr>(destination, destination_port)),
        ),
        ["TCP6", source, destination, source_port, destination_port] => Some(
            endpoint::<Ipv6Addr>(source, source_port)
                .zip(endpoint::<Ipv6Addr>(destination, destination_port)),
        ),
        _ => return wrong("the PROXY line must name TCP4, TCP6 or UNKNOWN, two addresses and two ports"),
    };
    match source {
        None => Ok(Some((Announced::Client { source: None, is_tls: false }, end + 1))),
        Some(Some((source, _))) => {
            Ok(Some((Announced::Client { source: Some(source), is_tls: false }, end + 1)))
        }
        Some(None) => wrong("the PROXY line has an address or port that is none"),
    }
}

/// In the usual notation, the port without zeros in front.
fn endpoint<A: std::str::FromStr + Into<IpAddr>>(address: &str, port: &str) -> Option<SocketAddr> {
    let is_number = port == "0" || port.bytes().all(|b| b.is_ascii_digit()) && !port.starts_with('0');
    let port = port.parse().ok().filter(|_| is_number)?;
    Some(SocketAddr::new(address.parse::<A>().ok()?.into(), port))
}

/// Version 2 (§2.2). `bytes` has the fixed part.
fn binary(bytes: &[u8]) -> Result<Option<(Announced, usize)>, NotAnnounced> {
    let (fixed, behind) = bytes.split_at(FIXED_BYTES);
    let (version_and_command, family_and_protocol) = (fixed[12], fixed[13]);
    if version_and_command >> 4 != 2 {
        return wrong("the PROXY protocol's version is neither 1 nor 2");
    }
    let len = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if len > REST_BYTES_MAX {
        return wrong("the PROXY header is longer than is taken here");
    }
    let Some(rest) = behind.get(..len) else {
        return Ok(None);
    };
    let announced = match version_and_command & 0xf {
        0 => Announced::Itself,
        1 => client(family_and_protocol, rest)?,
        _ => return wrong("the PROXY header's command is neither LOCAL nor PROXY"),
    };
    Ok(Some((announced, FIXED_BYTES + len)))
}

/// The addresses of a relayed connection, and what follows them.
fn client(family_and_protocol: u8, rest: &[u8]) -> Result<Announced, NotAnnounced> {
    const SHORT: NotAnnounced = NotAnnounced("the PROXY header is too short for its addresses");
    let (source, behind) = match family_and_protocol {
        0x00 => (None, rest),
        0x11 => {
            let (addresses, behind) = rest.split_first_chunk::<12>().ok_or(SHORT)?;
            let [a, b, c, d, _, _, _, _, high, low, ..] = *addresses;
            (Some((IpAddr::from([a, b, c, d]), [high, low])), behind)
        }
        0x21 => {
            let (ip, behind) = rest.split_first_chunk::<16>().ok_or(SHORT)?;
            let (others, behind) = behind.split_first_chunk::<20>().ok_or(SHORT)?;
            (Some((IpAddr::from(*ip), [others[16], others[17]])), behind)
        }
        // Paths of Unix sockets, which say nothing of who is there.
        0x31 => (None, rest.split_first_chunk::<216>().ok_or(SHORT)?.1),
        // Datagrams are not what came here.
        _ => return wrong("the PROXY header's family and protocol are none of TCP and Unix streams"),
    };
    let source = source.map(|(ip, port)| SocketAddr::new(ip, u16::from_be_bytes(port)));
    Ok(Announced::Client { source, is_tls: is_tls(behind)? })
}

/// Walks the type-length-value entries behind the addresses (§2.2.1 ff.). Of all of them only the one about TLS is looked at.
fn is_tls(mut entries: &[u8]) -> Result<bool, NotAnnounced> {
    const TYPE_SSL: u8 = 0x20;
    const CLIENT_SSL: u8 = 0x01;
    let mut is_tls = false;
    while let [kind, high, low, behind @ ..] = entries {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let Some((value, behind)) = behind.split_at_checked(len) else {
            return wrong("the PROXY header has an entry that is longer than the header");
        };
        is_tls |= *kind == TYPE_SSL && value.first().is_some_and(|client| client & CLIENT_SSL != 0);
        entries = behind;
    }
    if entries.is_empty() { Ok(is_tls) } else { wrong("the PROXY header ends inside an entry") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `header` whole, in two pieces cut anywhere, and byte by byte, with HTTP behind it; it must be the same each time.
    fn read(header: &[u8]) -> Result<Announced, NotAnnounced> {
        let bytes = [header, b"GET / HTTP/1.1\r\n\r\n"].concat();
        let in_pieces = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let mut reader = ProxyHeader::new();
            let mut before = 0;
            for piece in pieces {
                match reader.read(piece)? {
                    Some((announced, used)) => {
                        assert_eq!(before + used, header.len(), "HTTP begins behind the header");
                        assert_eq!(reader.kept_bytes(), 0);
                        return Ok(Some(announced));
                    }
                    None => before += piece.len(),
                }
                assert!(before < header.len(), "a header that is whole is read");
            }
            Ok(None)
        };
        let whole = in_pieces(&mut [&bytes[..]].into_iter());
        for cut in 1..bytes.len() {
            let (front, behind) = bytes.split_at(cut);
            assert_eq!(in_pieces(&mut [front, behind].into_iter()), whole, "cut at {cut}");
        }
        assert_eq!(in_pieces(&mut bytes.chunks(1)), whole, "byte by byte");
        whole.map(|announced| announced.expect("all of it was given"))
    }

    fn from(source: &str) -> Result<Announced, NotAnnounced> {
        Ok(Announced::Client { source: Some(source.parse().unwrap()), is_tls: false })
    }

    const NOBODY: Result<Announced, NotAnnounced> = Ok(Announced::Client { source: None, is_tls: false });

    /// Version 2 with this command, family and rest.
    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &len, rest].concat()
    }

    /// Captured from HAProxy 2.6.12.
    #[test]
    fn what_haproxy_sends_is_read() {
        // `send-proxy`
        assert_eq!(read(b"PROXY TCP4 127.0.0.1 127.0.0.1 54366 18080\r\n"), from("127.0.0.1:54366"));
        assert_eq!(read(b"PROXY TCP6 ::1 ::1 43086 18080\r\n"), from("[::1]:43086"));
        // `send-proxy-v2`
        assert_eq!(
            read(b"\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01\xd4lF\xa0"),
            from("127.0.0.1:54380")
        );
        assert_eq!(
            read(
                b"\r\n\r\n\x00\r\nQUIT\n!!\x00$\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\
                \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\xa8PF\xa0"
            ),
            from("[::1]:43088")
        );
        // `send-proxy-v2 proxy-v2-options crc32c,unique-id`
        assert_eq!(
            read(
                b"\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x16\x7f\x00\x00\x01\x7f\x00\x00\x01\xd4xF\xa0\x03\x00\x04 \x17D\xe4\x05\x00\x00"
            ),
            from("127.0.0.1:54392")
        );
        // `send-proxy-v2-ssl`, from a listener with TLS.
        let with_tls = read(
            b"\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x1e\x7f\x00\x00\x01\x7f\x00\x00\x01\xa0\xa6F\xa0 \x00\x0f\x01\x00\x00\x00\x00!\x00\x07TLSv1.3"
        );
        let source = Some("127.0.0.1:41126".parse().unwrap());
        assert_eq!(with_tls, Ok(Announced::Client { source, is_tls: true }));
        // `send-proxy-v2 check`: a check of its own.
        assert_eq!(read(b"\r\n\r\n\x00\r\nQUIT\n \x00\x00\x00"), Ok(Announced::Itself));
    }

    #[test]
    fn a_line_names_an_address_or_nobody() {
        assert_eq!(read(b"PROXY TCP6 2001:db8::1 ::1 65535 0\r\n"), from("[2001:db8::1]:65535"));
        assert_eq!(read(b"PROXY UNKNOWN\r\n"), NOBODY);
        assert_eq!(read(b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n"), NOBODY);
        let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(107 - 16));
        assert_eq!(read(longest.as_bytes()), NOBODY);
    }

    #[test]
    fn a_line_that_is_not_exact_is_refused() {
        for bad in [
            "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\n",
            "PROXY TCP4 127.0.0.1 127.0.0.1 1\r\n",
            "PROXY TCP4 127.0.0.1 127.0.0.1 1 2 3\r\n",
            "PROXY TCP4  127.0.0.1 127.0.0.1 1 2\r\n",
            "PROXY TCP4 127.0.0.1 127.0.0.1 1 65536\r\n",
            "PROXY TCP4 127.0.0.1 127.0.0.1 01 2\r\n",
            "PROXY TCP4 127.0.0.1 127.0.0.1 +1 2\r\n",
            "PROXY TCP4 127.0.0.1 127.0.0.1 1 \r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP4 127.0.0.1 ::1 1 2\r\n",
            "PROXY TCP6 127.0.0.1 127.0.0.1 1 2\r\n",
            "PROXY TCP4 127.0.0.01 127.0.0.1 1 2\r\n",
            "PROXY UDP4 127.0.0.1 127.0.0.1 1 2\r\n",
            "PROXY \r\n",
            "PROXY UNKNOWN \u{0}\u{e9}\n",
            "proxy TCP4 127.0.0.1 127.0.0.1 1 2\r\n",
            " PROXY UNKNOWN\r\n",
            "GET / HTTP/1.1\r\n\r\n",
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{bad:?}");
        }
        let too_long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(107 - 15));
        assert!(read(too_long.as_bytes()).is_err());
        let endless = "PROXY UNKNOWN ".to_owned() + &"f".repeat(10_000);
        assert!(read(endless.as_bytes()).is_err());
    }

    #[test]
    fn version_2_names_an_address_or_nobody() {
        let v6 = [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[1], &[0; 15], &[1], &[1, 2, 3, 4]].concat();
        assert_eq!(read(&v2(0x21, 0x21, &v6)), from("[2001:db8::1]:258"));
        assert_eq!(read(&v2(0x21, 0x31, &[b'/'; 216])), NOBODY);
        assert_eq!(read(&v2(0x21, 0x00, b"")), NOBODY);
        assert_eq!(read(&v2(0x20, 0x00, b"")), Ok(Announced::Itself));
        assert_eq!(read(&v2(0x20, 0x11, b"whatever it says")), Ok(Announced::Itself));
    }

    #[test]
    fn version_2_that_is_not_exact_is_refused() {
        let v4 = [127, 0, 0, 1, 127, 0, 0, 1, 0, 1, 0, 2];
        for (command, family, rest) in [
            (0x11, 0x11, &v4[..]),
            (0x31, 0x11, &v4),
            (0x22, 0x11, &v4),
            (0x21, 0x12, &v4),
            (0x21, 0x10, &v4),
            (0x21, 0x41, &v4),
            (0x21, 0x11, &v4[..11]),
            (0x21, 0x21, &[0; 35]),
            (0x21, 0x31, &[0; 215]),
            (0x21, 0x11, &[0; REST_BYTES_MAX + 1]),
        ] {
            assert!(read(&v2(command, family, rest)).is_err(), "{command:x} {family:x} {}", rest.len());
        }
        for at in 0..SIGNATURE.len() {
            let mut bytes = v2(0x21, 0x11, &v4);
            bytes[at] ^= 1;
            assert!(read(&bytes).is_err(), "{at}");
        }
    }

    #[test]
    fn entries_behind_the_addresses_are_skipped_but_for_tls() {
        let v4 = [192, 0, 2, 1, 127, 0, 0, 1, 0, 80, 0, 2];
        let with = |entries: &[u8]| read(&v2(0x21, 0x11, &[&v4[..], entries].concat()));
        let tls = |is_tls| Ok(Announced::Client { source: Some("192.0.2.1:80".parse().unwrap()), is_tls });
        assert_eq!(with(b"\x04\0\0\x03\0\x04\x12\x34\x56\x78"), tls(false));
        assert_eq!(with(b"\x02\0\x01x\x20\0\x05\x01\0\0\0\0"), tls(true));
        assert_eq!(with(b"\x20\0\x05\x06\0\0\0\0"), tls(false));
        assert_eq!(with(b"\x20\0\0"), tls(false));
        assert_eq!(with(&[&[4, 0x07, 0xf1][..], &[0; 0x7f1]].concat()), tls(false));
        for bad in [&b"\x04"[..], b"\x04\0", b"\x04\0\x01", b"\x20\0\x05\x01\0\0\0", b"\x04\xff\xff\0"] {
            assert!(with(bad).is_err(), "{bad:?}");
        }
    }
}
