//! A response's head as the client gets it, written from validated fields.
//!
//! In: a [`ResponseHead`] that was parsed strictly, and who asked. Out: the head to send, but for the date; and how its body goes
//! on. Never: passes on a field that is for the server's hop, or a framing that the client can't read.

use super::lines::{self, Line, Lines, Places, first_line, list, parts};
use super::names::{Kind, Options, members, protocols};
use super::{Asker, Framed, Returned};
use net::http1::{ResponseFraming, ResponseHead, Status, Version};

const UPGRADE_REQUIRED: u16 = 426;

/// What is remembered with a written head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Means {
    pub(super) returned: Returned,
    /// The head ends with a `Date` that is still to be written, and its empty line.
    pub(super) needs_date: bool,
}

/// What one look at all fields says.
struct Seen<'r> {
    lines: Lines<'r>,
    /// Names of fields in which servers tell the balancer something.
    reports: &'r [String],
    options: Options<'r>,
    lengths: usize,
    length: &'r [u8],
    codings: usize,
    coding: &'r [u8],
    has_date: bool,
    /// Some line can't go on as it came, whatever the framing.
    has_hop_fields: bool,
}

/// What, besides the head, decides what becomes of a response.
pub(super) fn key(to: &Asker) -> u32 {
    (to.asked as u32) << 2 | u32::from(to.version == Version::Http11) << 1 | u32::from(to.keep_alive)
}

/// Appends `head` as the client gets it, without `reports`; nothing, if that client can't take it.
pub(super) fn write(
    head: &ResponseHead<'_>,
    raw: &[u8],
    to: &Asker,
    reports: &[String],
    lines: &mut Places,
    out: &mut Vec<u8>,
) -> Means {
    let status = head.status;
    let is_switch = status == Status::SWITCHING_PROTOCOLS;
    let framed = framed(head.framing, to.version);
    let returned =
        Returned { framed, keep_alive: to.keep_alive && framed != Framed::UntilClose && !is_switch };
    if status.is_interim() && to.version == Version::Http10 {
        // RFC 9110 §15.2: HTTP/1.0 has none.
        return Means { returned, needs_date: false };
    }
    let seen = look(lines.find(raw), reports);
    let needs_date = !seen.has_date && !status.is_interim();
    let says_close = !returned.keep_alive && !status.is_interim();
    let says_keep_alive = returned.keep_alive && to.version == Version::Http10;
    let says_nothing = !says_close && !says_keep_alive && !needs_date;
    if says_nothing
        && !seen.has_hop_fields
        && is_framed_alike(head, framed, &seen)
        && raw.starts_with(b"HTTP/1.1 ")
    {
        out.extend_from_slice(raw);
        return Means { returned, needs_date };
    }
    status_line(out, raw);
    fields(out, head, framed, &seen);
    // What a server asks to be upgraded to is for the client, as we pass upgrades on.
    let may_upgrade = (is_switch || status.code() == UPGRADE_REQUIRED) && to.version == Version::Http11;
    let upgrades = seen.lines.iter().filter(|line| may_upgrade && line.kind == Kind::Upgrade);
    let start = out.len();
    list(out, "Upgrade", upgrades.flat_map(|line| protocols(line.value)));
    let says_upgrade = out.len() > start;
    let options = [(says_close, &b"close"[..]), (says_keep_alive, b"keep-alive"), (says_upgrade, b"upgrade")];
    list(out, "Connection", options.into_iter().filter(|(is_said, _)| *is_said).map(|(_, option)| option));
    if !needs_date {
        out.extend_from_slice(b"\r\n");
    }
    Means { returned, needs_date }
}

/// Chunks are for who understands them; HTTP/1.0 is told the end by the connection's (RFC 9112 §6.3, §7).
fn framed(framing: ResponseFraming, version: Version) -> Framed {
    match (framing, version) {
        (ResponseFraming::None, _) => Framed::None,
        (ResponseFraming::Length(length), _) => Framed::Length(length),
        (ResponseFraming::Chunked | ResponseFraming::UntilClose, Version::Http11) => Framed::Chunked,
        (ResponseFraming::Chunked | ResponseFraming::UntilClose, Version::Http10) => Framed::UntilClose,
    }
}

fn look<'r>(lines: Lines<'r>, reports: &'r [String]) -> Seen<'r> {
    let mut options = Options::default();
    let (mut lengths, mut length) = (0, &b""[..]);
    let (mut codings, mut coding) = (0, &b""[..]);
    let mut has_date = false;
    let mut has_hop_fields = false;
    for Line { name, value, kind, .. } in lines.iter() {
        match kind {
            Kind::Connection => {
                has_hop_fields = true;
                for option in members(value) {
                    // What a server may not name stays: the client is owed its answer.
                    let _ = options.add(option);
                }
            }
            Kind::Hop | Kind::Te | Kind::Upgrade | Kind::Trailer => has_hop_fields = true,
            Kind::Length => {
                lengths += 1;
                length = value;
            }
            Kind::Coding => {
                codings += 1;
                coding = value;
            }
            Kind::Date => has_date = true,
            _ => has_hop_fields |= is_among(reports, name),
        }
    }
    Seen { lines, reports, options, lengths, length, codings, coding, has_date, has_hop_fields }
}

fn is_among(reports: &[String], name: &[u8]) -> bool {
    reports.iter().any(|report| report.as_bytes().eq_ignore_ascii_case(name))
}

/// Do the fields say the body's length as we would: once, and plainly?
fn is_framed_alike(head: &ResponseHead<'_>, framed: Framed, seen: &Seen<'_>) -> bool {
    match (framed, seen.lengths, seen.codings) {
        (Framed::None, 0, 0) => true,
        (Framed::None, 1, 0) => announces(head) && plain_number(seen.length) == seen.length,
        (Framed::Length(_), 1, 0) => plain_number(seen.length) == seen.length,
        (Framed::Chunked, 0, 1) => seen.coding == b"chunked",
        _ => false,
    }
}

/// May it name the length of a body that is not there? As the answer to `HEAD`, and with 304, it is that of the answer to `GET`
/// (RFC 9110 §8.6); with 1xx and 204 it is wrong.
fn announces(head: &ResponseHead<'_>) -> bool {
    !head.status.is_interim() && head.status.code() != 204
}

/// The first number of a `Content-Length` without zeros in front. It was parsed: it is digits, and all numbers are the same.
fn plain_number(value: &[u8]) -> &[u8] {
    let number = members(value).next().unwrap_or_default();
    let zeros = number.iter().take_while(|&&b| b == b'0').count();
    &number[zeros.min(number.len().saturating_sub(1))..]
}

/// The server's line with our version (RFC 9110 §2.5) and its reason. It was parsed: `HTTP/1.x` is in front.
fn status_line(out: &mut Vec<u8>, raw: &[u8]) {
    parts(out, &[b"HTTP/1.1", first_line(raw).get(8..).unwrap_or_default()]);
}

/// The fields in the order of arrival, with the framing where the server's was.
fn fields(out: &mut Vec<u8>, head: &ResponseHead<'_>, framed: Framed, seen: &Seen<'_>) {
    let has_trailers = framed == Framed::Chunked && head.framing == ResponseFraming::Chunked;
    let mut is_framed = false;
    for line in seen.lines.iter() {
        match line.kind {
            Kind::Connection | Kind::Hop | Kind::Te | Kind::Upgrade => {}
            Kind::Length | Kind::Coding if is_framed => {}
            Kind::Length | Kind::Coding => {
                is_framed = true;
                framing(out, line.name, head, framed, seen);
            }
            Kind::Trailer if !has_trailers => {}
            _ if seen.options.name_field(line.name) || is_among(seen.reports, line.name) => {}
            _ => line.copy(out),
        }
    }
    if framed == Framed::Chunked && !is_framed {
        lines::line(out, b"Transfer-Encoding", b"chunked");
    }
}

/// The one line that says how long the body is, under the name that the server used.
fn framing(out: &mut Vec<u8>, name: &[u8], head: &ResponseHead<'_>, framed: Framed, seen: &Seen<'_>) {
    match framed {
        Framed::Length(length) => lines::line(out, name, itoa::Buffer::new().format(length).as_bytes()),
        Framed::Chunked => lines::line(out, name, b"chunked"),
        // Where both fields are there, neither is to be believed.
        Framed::None if announces(head) && seen.codings == 0 => {
            lines::line(out, name, plain_number(seen.length))
        }
        Framed::None | Framed::UntilClose => {}
    }
}
