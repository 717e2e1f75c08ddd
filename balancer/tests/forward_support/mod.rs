//! What the tests of heads on their way share: heads are read by the same strict parser as in a lane, and everything that is
//! written is read back by it.
#![allow(dead_code)] // Each test file uses its part.

use balancer::config::{Config, Forward};
use balancer::forward::{Asker, Client, Forwarder, NotPassedOn, Onward, Returned};
use net::http1::{
    Framing, Head, Heads, Limits, RequestEvent, RequestStream, ResponseEvent, ResponseFraming, ResponseHead,
    ResponseHeads, ResponseStream,
};
use std::net::SocketAddr;

/// Names the lane in request ids.
pub(crate) const SEED: u64 = 0xabcd_ef01_2345_6789;
/// The first id with that seed.
pub(crate) const FIRST_ID: &str = "abcdef01234567890000000000000001";
/// What `Date` says where we add one.
pub(crate) const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

/// One pool at one listener; nothing is added, nobody is trusted.
pub(crate) fn bare() -> Config {
    let mut config = Config::for_one_pool(&["127.0.0.1:5000".parse().unwrap()]);
    config.forward = Forward {
        trusted_proxies: Vec::new(),
        x_forwarded: false,
        forwarded: false,
        request_id: false,
        via: String::new(),
    };
    config
}

/// As [`bare`], with everything added, and `10.0.0.0/8` and `fd00::/8` trusted.
pub(crate) fn full() -> Config {
    let mut config = bare();
    config.forward = Forward {
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
        x_forwarded: true,
        forwarded: true,
        request_id: true,
        via: "lb".to_owned(),
    };
    config
}

/// Somebody at this address, at the first listener.
pub(crate) fn client(address: &str, config: &Config) -> Client {
    Client::new(0, Some(SocketAddr::new(address.parse().unwrap(), 40_000)), config)
}

/// Lines with LF, without the empty one, as bytes with CRLF and the empty line.
pub(crate) fn wire(text: &str) -> Vec<u8> {
    format!("{text}\n\n").replace('\n', "\r\n").into_bytes()
}

/// The same the other way round.
pub(crate) fn text(wire: &[u8]) -> String {
    let text = String::from_utf8_lossy(wire).replace("\r\n", "\n");
    text.strip_suffix("\n\n").map(str::to_owned).unwrap_or(format!("(no end) {text}"))
}

/// Lets `then` see the request's head as a lane does.
pub(crate) fn with_request<T>(bytes: &[u8], then: impl FnOnce(&Head<'_>, &[u8]) -> T) -> T {
    let mut heads = Heads::new(limits());
    match RequestStream::new().next(bytes, &mut heads) {
        Ok(RequestEvent::Head { head, raw, .. }) => then(&head, raw),
        other => panic!("{:?}: {other:?}", String::from_utf8_lossy(bytes)),
    }
}

/// Lets `then` see the head of a response to `asked` as a lane does.
pub(crate) fn with_response<T>(
    bytes: &[u8],
    to: &Asker,
    then: impl FnOnce(&ResponseHead<'_>, &[u8]) -> T,
) -> T {
    let mut heads = ResponseHeads::new(limits());
    match ResponseStream::new().next(bytes, to.asked, &mut heads) {
        Ok(
            ResponseEvent::Head { head, raw, .. }
            | ResponseEvent::Interim { head, raw, .. }
            | ResponseEvent::Switched { head, raw, .. },
        ) => then(&head, raw),
        other => panic!("{:?}: {other:?}", String::from_utf8_lossy(bytes)),
    }
}

fn limits() -> Limits {
    Limits { body_bytes_max: u64::MAX, ..Limits::default() }
}

/// What becomes of a request's head, as text; checked in every way that holds for all of them.
pub(crate) fn onward(config: &Config, client: &Client, head: &str) -> Result<(String, Onward), NotPassedOn> {
    let mut out = b"before".to_vec();
    let mut forwarder = Forwarder::new(config, SEED);
    let bytes = wire(head);
    let mut pass = |out: &mut Vec<u8>| {
        with_request(&bytes, |head, raw| {
            assert_eq!(raw, bytes, "all of it is one head");
            forwarder.request(head, raw, client, out)
        })
    };
    let first = pass(&mut out);
    let written = out.split_off(b"before".len());
    assert_eq!(out, b"before");
    let second = pass(&mut out);
    assert_eq!(first, second);
    let again = out.split_off(b"before".len());
    let onward = first.inspect_err(|_| assert!(written.is_empty() && again.is_empty()))?;
    assert_eq!(without_id(&onward, &written), without_id(&onward, &again), "remembered as it was made");
    with_request(&written, |read, raw| {
        assert_eq!(raw, written, "one head, and nothing behind it");
        assert_eq!(read.framing, onward.framing);
        assert_eq!(read.expects_continue, onward.expects_continue);
        assert!(read.host.is_some());
        let lines = read
            .fields()
            .map(|(name, value)| [name, b": ", value, b"\r\n"].concat())
            .collect::<Vec<_>>()
            .concat();
        assert!(text(&written).starts_with(&format!("{} ", read.method.as_str())));
        assert!(written.ends_with(&[&lines[..], b"\r\n"].concat()), "every field is read as it is written");
    });
    Ok((text(&written), onward))
}

/// Two heads that differ only in a new id are alike.
fn without_id(onward: &Onward, written: &[u8]) -> String {
    let id = onward.request_id(written);
    match id.starts_with(b"abcdef0123456789") {
        true => text(written).replace(&String::from_utf8_lossy(id)[..], "<id>"),
        false => text(written),
    }
}

/// What becomes of a response's head, as text; checked in every way that holds for all of them.
pub(crate) fn back(to: &Asker, head: &str) -> (String, Returned) {
    let mut forwarder = Forwarder::new(&bare(), SEED);
    let bytes = wire(head);
    let mut pass = || {
        let mut out = b"before".to_vec();
        let returned = with_response(&bytes, to, |head, raw| {
            assert_eq!(raw, bytes, "all of it is one head");
            forwarder.response(head, raw, to, DATE, &mut out)
        });
        let written = out.split_off(b"before".len());
        assert_eq!(out, b"before");
        (written, returned)
    };
    let (written, returned) = pass();
    assert_eq!(pass(), (written.clone(), returned), "remembered as it was made");
    if written.is_empty() {
        return (String::new(), returned);
    }
    with_response(&written, to, |read, raw| {
        assert_eq!(raw, written, "one head, and nothing behind it");
        assert_eq!(format!("{:?}", returned.framed), format!("{:?}", read.framing));
        let ends_here = read.status.is_interim() || read.framing == ResponseFraming::UntilClose;
        assert!(ends_here || read.keep_alive == returned.keep_alive);
    });
    (text(&written), returned)
}

/// The framing of a request that was passed on.
pub(crate) fn framing(config: &Config, head: &str) -> Framing {
    onward(config, &client("192.0.2.1", config), head).map(|(_, onward)| onward.framing).unwrap()
}
