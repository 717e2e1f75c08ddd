//! The fields of a request on their way to a server.
//!
//! In: the lines of a head, what was seen in them and decided about them. Out: the lines to send, appended. Never: decides anew;
//! see `request.rs`.

use super::client::{self, Added, Client};
use super::ids::{ID_BYTES, RequestIds};
use super::lines::{self, line, list};
use super::names::{Claim, Kind, members, protocols};
use super::request::Seen;
use net::http1::Framing;
use std::ops::Range;

/// A client's id that is longer is replaced: it goes into every log line behind us.
const ID_BYTES_MAX: usize = 128;

/// What is said between us and the server alone.
#[derive(Clone, Copy)]
pub(super) struct Hop {
    pub(super) upgrade: bool,
    pub(super) trailers: bool,
    pub(super) expect: bool,
    pub(super) close: bool,
}

/// The fields of one head on their way.
pub(super) struct Fields<'f> {
    pub(super) framing: Framing,
    pub(super) seen: &'f Seen<'f>,
    pub(super) hop: Hop,
    /// The host that is meant; empty if none is named.
    pub(super) host: &'f [u8],
    pub(super) forwards_left: Option<u64>,
    pub(super) client: &'f Client,
    pub(super) added: Added,
}

impl Fields<'_> {
    /// The fields in the order of arrival, without those that are written behind them. Where the client's request id is, if
    /// it is kept.
    pub(super) fn fields(&self, out: &mut Vec<u8>, start: usize) -> Option<Range<usize>> {
        let mut is_framed = false;
        let mut kept_id = None;
        for line in self.seen.lines.iter() {
            let replace = |out: &mut Vec<u8>, value: &[u8]| lines::line(out, line.name, value);
            match line.kind {
                Kind::Other if self.seen.options.name_field(line.name) => {}
                Kind::Trailer
                    if self.framing != Framing::Chunked || self.seen.options.name_field(line.name) => {}
                Kind::Other | Kind::Trailer | Kind::Via | Kind::Date => line.copy(out),
                Kind::Host => replace(out, self.host),
                Kind::Length | Kind::Coding if !is_framed => {
                    is_framed = true;
                    match self.framing {
                        Framing::Length(length) => {
                            replace(out, itoa::Buffer::new().format(length).as_bytes())
                        }
                        Framing::Chunked => replace(out, b"chunked"),
                        Framing::None => {}
                    }
                }
                Kind::Expect if self.hop.expect => replace(out, b"100-continue"),
                Kind::MaxForwards => match self.forwards_left {
                    Some(left) => replace(out, itoa::Buffer::new().format(left).as_bytes()),
                    None => line.copy(out),
                },
                Kind::Claim(claim) if self.client.is_trusted() && self.keeps(claim) => {
                    line.copy(out);
                    if claim == Claim::RequestId {
                        let end = out.len() - start - 2;
                        kept_id = Some(end - line.value.len()..end);
                    }
                }
                _ => {}
            }
        }
        kept_id
    }

    /// Does a claim that is believed stay where it is? Lists that get a member from us are written anew behind.
    fn keeps(&self, claim: Claim) -> bool {
        match claim {
            Claim::XFor => !self.added.x_forwarded,
            Claim::Forwarded => !self.added.forwarded,
            Claim::RequestId => self.seen.ids == 1 && is_sane_id(self.seen.id),
            Claim::XProto | Claim::XHost | Claim::Any => true,
        }
    }

    /// What `Connection` lists must be there, and what is there for one hop must be listed (RFC 9110 §7.6.1, §10.1.4).
    pub(super) fn hop_fields(&self, out: &mut Vec<u8>) {
        let Hop { upgrade, trailers, close, .. } = self.hop;
        if trailers {
            out.extend_from_slice(b"TE: trailers\r\n");
        }
        if upgrade {
            list(out, "Upgrade", self.values(Kind::Upgrade).flat_map(protocols));
        }
        let options = [(trailers, &b"TE"[..]), (upgrade, b"upgrade"), (close && !upgrade, b"close")];
        list(
            out,
            "Connection",
            options.into_iter().filter(|(is_said, _)| *is_said).map(|(_, option)| option),
        );
    }

    /// The last lines of a head whose sender is believed, with what it said of its client; to the head's end. Where the id is.
    pub(super) fn claims(
        &self,
        out: &mut Vec<u8>,
        start: usize,
        kept_id: Option<Range<usize>>,
        ids: &mut RequestIds,
    ) -> Range<usize> {
        let has = |claim| self.values(Kind::Claim(claim)).next().is_some();
        let (ip, scheme) = (self.client.ip(), self.client.scheme());
        if self.added.x_forwarded {
            let mut ours = Vec::new();
            if let Some(ip) = ip {
                client::address(&mut ours, ip);
            }
            let theirs = self.values(Kind::Claim(Claim::XFor)).flat_map(members);
            list(out, "X-Forwarded-For", theirs.chain((!ours.is_empty()).then_some(&ours[..])));
            if !has(Claim::XProto) {
                client::x_forwarded_proto(out, scheme);
            }
            if !has(Claim::XHost) && !self.host.is_empty() {
                line(out, b"X-Forwarded-Host", self.host);
            }
        }
        if self.added.forwarded {
            let mut ours = Vec::new();
            client::forwarded_host(&mut ours, self.host);
            client::forwarded_node(&mut ours, ip, scheme);
            // Whole values, as a quoted string may hold a comma.
            let theirs = self.values(Kind::Claim(Claim::Forwarded)).filter(|value| !value.is_empty());
            list(out, "Forwarded", theirs.chain([&ours[..]]));
        }
        match kept_id {
            Some(id) => {
                out.extend_from_slice(b"\r\n");
                id
            }
            None if self.added.request_id => {
                out.extend_from_slice(b"X-Request-Id: ");
                let at = out.len() - start;
                out.extend_from_slice(ids.next());
                at..at + ID_BYTES
            }
            None => {
                out.extend_from_slice(b"\r\n");
                0..0
            }
        }
    }

    fn values(&self, kind: Kind) -> impl Iterator<Item = &[u8]> {
        self.seen.lines.iter().filter(move |line| line.kind == kind).map(|line| line.value)
    }
}

/// Letters, digits and what ids are else made of: nothing that a log or a shell reads as something else.
fn is_sane_id(id: &[u8]) -> bool {
    let is_sane = |b: &u8| b.is_ascii_alphanumeric() || b"-_.:=+/~@".contains(b);
    (1..=ID_BYTES_MAX).contains(&id.len()) && id.iter().all(is_sane)
}
