//! Heads on their way: a request's as the server gets it, a response's as the client gets it.
//!
//! In: heads that `net::http1` took, which is strict, with their bytes; who asks; the date. Out: the bytes to pass on, appended, and what
//! to know of the message. Never: repairs, waits, reads a clock, or lets one peer's words end up as a second message to the other.
//!
//! A head goes on as it came, in order and spelling, but for this (RFC 9110 §7.6):
//!
//! | fields | to the server | to the client |
//! |---|---|---|
//! | first line | target in origin form, HTTP/1.1 | HTTP/1.1, reason kept |
//! | `Connection`, and what it names | removed; 400 if it names what is for every recipient | removed; what is for every recipient stays |
//! | `Keep-Alive`, `Proxy-Connection`, `Proxy-Auth...`, `Proxy`, `HTTP2-Settings` | removed | removed |
//! | `Content-Length`, `Transfer-Encoding` | exactly one, from the framing that was found | the same; with `HEAD` and 304 the server's length |
//! | `TE` | `trailers` alone | removed |
//! | `Trailer` | with chunks | with chunks |
//! | `Upgrade` | without HTTP and TLS, if `Connection` says so too and there is no body | with 101 and 426 |
//! | `Expect` | `100-continue`, with a body | – |
//! | `Max-Forwards` | with `OPTIONS`: one less | – |
//! | `Host` | that of an absolute target; `localhost` if there is none | – |
//! | `X-Forwarded-...`, `X-Real-IP`, `Forwarded`, `X-Request-Id` | removed unless the sender is trusted; then ours are added | – |
//! | `Via` | ours is added | – |
//! | a name like one of these with `_` for `-` | removed | – |
//! | `Date` | – | added if missing |
//! | a pool's `report-header` | – | removed |

mod client;
mod fields;
mod ids;
mod lines;
mod memo;
mod names;
mod request;
mod response;
mod route;

use crate::config::Config;
pub use client::Client;
use ids::{ID_BYTES, RequestIds};
use lines::Places;
use memo::Memo;
use names::{Kind, is_for_all};
use net::http1::{Asked, Fields, Framing, Head, Method, ResponseHead, Status, Version};
use request::{Rules, Written};
use response::Means;

/// Rewrites one lane's heads, and remembers those that it rewrote.
#[derive(Debug)]
pub struct Forwarder {
    rules: Rules,
    /// Fields of responses in which servers report their load, to us alone.
    reports: Vec<String>,
    ids: RequestIds,
    lines: Places,
    requests: Memo<Onward>,
    responses: Memo<Means>,
}

/// What a request is, for who sends it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Onward {
    /// Index of the pool that it goes to; `usize::MAX`: none.
    pub pool: usize,
    /// What the response will have to be read by.
    pub asked: Asked,
    /// May it be sent again when nobody knows whether it was done?
    pub repeat: Repeat,
    /// How its body ends, on both sides.
    pub framing: Framing,
    /// The client's version.
    pub version: Version,
    /// The client keeps its connection open behind the response.
    pub keep_alive: bool,
    /// The client waits for `100 (Continue)`, and so does the head that was written: the server's answer decides.
    pub expects_continue: bool,
    /// The client asks for another protocol behind this request, and so does the head that was written: the server may answer 101.
    pub wants_upgrade: bool,
    id_at: u32,
    id_len: u8,
}

impl Onward {
    /// Of a request that is answered here: it goes to no pool.
    pub fn unrouted(head: &Head<'_>) -> Onward {
        Onward {
            repeat: Repeat::of(head.method),
            framing: head.framing,
            version: head.version,
            keep_alive: head.keep_alive,
            ..Onward::unread(if head.method == Method::Head { Asked::Head } else { Asked::Other })
        }
    }

    /// Of a request whose head was refused, or did not come whole: it goes to no pool, and is the last of its connection.
    pub fn unread(asked: Asked) -> Onward {
        Onward {
            pool: NO_POOL,
            asked,
            repeat: Repeat::No,
            framing: Framing::None,
            version: Version::Http11,
            keep_alive: false,
            expects_continue: false,
            wants_upgrade: false,
            id_at: 0,
            id_len: 0,
        }
    }

    /// The value of `X-Request-Id` in `written`, which is the head that was appended; empty if there is none.
    pub fn request_id<'w>(&self, written: &'w [u8]) -> &'w [u8] {
        let at = self.id_at as usize;
        written.get(at..at + usize::from(self.id_len)).unwrap_or_default()
    }

    /// Who asked, for [`Forwarder::response`]. `keep_alive`: may we keep the client's connection, if it does?
    pub fn asker(&self, keep_alive: bool) -> Asker {
        Asker { version: self.version, asked: self.asked, keep_alive: keep_alive && self.keep_alive }
    }
}

/// The index of no pool.
const NO_POOL: usize = usize::MAX;

/// What repeating a request does (RFC 9110 §9.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repeat {
    /// Perhaps the same once more: `POST`, `PATCH`, and methods that nobody here knows.
    No,
    /// The same as doing it once: `PUT`, `DELETE`.
    Idempotent,
    /// Nothing: `GET`, `HEAD`, `OPTIONS`, `TRACE`.
    Safe,
}

impl Repeat {
    fn of(method: Method<'_>) -> Repeat {
        match method {
            Method::Get | Method::Head | Method::Options | Method::Trace => Repeat::Safe,
            Method::Put | Method::Delete => Repeat::Idempotent,
            Method::Post | Method::Patch | Method::Connect | Method::Other(_) => Repeat::No,
        }
    }
}

/// Why a request is answered here. Nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPassedOn {
    /// No route takes it: 404.
    NoRoute,
    /// `CONNECT` and `TRACE` are not passed on: 405. A tunnel is for proxies that the client chose; and what comes back of `TRACE` would
    /// show the client what we add, and a script what the browser hides.
    Method,
    /// `OPTIONS` with `Max-Forwards: 0` asks whoever has it now (RFC 9110 §7.6.2): 200 without content.
    AskedUs,
    /// It has passed us several times already: 508, as it goes in circles.
    Loop,
    /// It is valid, but can't be passed on safely: 400. Its end is known, so that the connection goes on.
    BadRequest(&'static str),
}

impl NotPassedOn {
    /// What to answer.
    pub const fn status(self) -> Status {
        match self {
            NotPassedOn::NoRoute => Status::NOT_FOUND,
            NotPassedOn::Method => Status::METHOD_NOT_ALLOWED,
            NotPassedOn::AskedUs => Status::OK,
            NotPassedOn::Loop => LOOP_DETECTED,
            NotPassedOn::BadRequest(_) => Status::BAD_REQUEST,
        }
    }

    /// What is wrong; part of a sentence, without a full stop.
    pub const fn why(self) -> &'static str {
        match self {
            NotPassedOn::NoRoute => "no route takes this host and path",
            NotPassedOn::Method => "CONNECT and TRACE are not passed on",
            NotPassedOn::AskedUs => "Max-Forwards is used up",
            NotPassedOn::Loop => "the request goes in circles",
            NotPassedOn::BadRequest(why) => why,
        }
    }

    /// The value of the `Allow` field that 405 needs, and that the answer to `OPTIONS` has (RFC 9110 §10.2.1): what we pass on.
    /// A server may know more or less.
    pub const ALLOW: &'static str = "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH";
}

/// RFC 5842 §7.2.
const LOOP_DETECTED: Status = Status::new(508).expect("508 has three digits");

/// Who gets a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Its version.
    pub version: Version,
    /// What it asked.
    pub asked: Asked,
    /// It keeps its connection behind the response, and so would we.
    pub keep_alive: bool,
}

/// How a response goes on behind its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Returned {
    /// How its body must be written.
    pub framed: Framed,
    /// The head tells the client that its connection goes on. Says nothing in a 1xx.
    pub keep_alive: bool,
}

/// How a body must be written for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framed {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
    /// As it is; then the connection is closed.
    UntilClose,
}

impl Forwarder {
    /// For one lane. `seed` names it in request ids: never give two the same, nor one lane the same again after a reload.
    pub fn new(config: &Config, seed: u64) -> Forwarder {
        Forwarder {
            rules: Rules::new(config),
            reports: config.pools.iter().filter_map(|pool| pool.report_header.clone()).collect(),
            ids: RequestIds::new(seed),
            lines: Places::default(),
            requests: Memo::new(),
            responses: Memo::new(),
        }
    }

    /// Appends the head as the server gets it, and says what the request is. `raw`: the bytes of `head`, to the end of its
    /// empty line.
    ///
    /// # Errors
    /// Why it is not passed on. Then nothing was appended.
    pub fn request(
        &mut self,
        head: &Head<'_>,
        raw: &[u8],
        client: &Client,
        out: &mut Vec<u8>,
    ) -> Result<Onward, NotPassedOn> {
        let start = out.len();
        let key = client.key();
        let mut onward = match self.requests.find(key, raw) {
            Ok((written, onward)) => {
                out.extend_from_slice(written);
                onward
            }
            Err(place) => {
                let (onward, written) =
                    request::write(head, raw, client, &self.rules, &mut self.lines, &mut self.ids, out)?;
                match written {
                    Written::Shared => self.requests.learn(place, key, raw, &out[start..], onward),
                    Written::Whole { id } => return Ok(onward.with_id(id.start, id.len())),
                }
                onward
            }
        };
        let added = self.rules.added;
        out.extend_from_slice(client.lines());
        if added.request_id {
            onward = onward.with_id(out.len() - start, ID_BYTES);
            out.extend_from_slice(self.ids.next());
        } else {
            out.extend_from_slice(b"\r\n");
        }
        Ok(onward)
    }

    /// Appends the head as the client gets it, and says how the body goes on. `raw`: the bytes of `head`, to the end of its empty
    /// line. `date`: what `Date` says, if the server did not.
    ///
    /// Interim heads too; nothing is appended of one that is for a client of HTTP/1.0, which knows none.
    pub fn response(
        &mut self,
        head: &ResponseHead<'_>,
        raw: &[u8],
        to: &Asker,
        date: &[u8; 29],
        out: &mut Vec<u8>,
    ) -> Returned {
        let key = response::key(to);
        let means = match self.responses.find(key, raw) {
            Ok((written, means)) => {
                out.extend_from_slice(written);
                means
            }
            Err(place) => {
                let start = out.len();
                let means = response::write(head, raw, to, &self.reports, &mut self.lines, out);
                self.responses.learn(place, key, raw, &out[start..], means);
                means
            }
        };
        if means.needs_date {
            out.extend_from_slice(b"Date: ");
            out.extend_from_slice(date);
            out.extend_from_slice(b"\r\n\r\n");
        }
        means.returned
    }
}

/// Appends what ends a chunked body, with those of its `trailers` that may be passed on to either side.
///
/// Not what a head may not bring either: a server that merges trailers into the head's fields (which it should not,
/// RFC 9110 §6.5.1) would believe `X-Forwarded-For` there. Nor who the sender is, for the same reason.
pub fn last_chunk(out: &mut Vec<u8>, trailers: Fields<'_>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        if Kind::of(name) == Kind::Other && !is_for_all(name) {
            lines::line(out, name, value);
        }
    }
    out.extend_from_slice(b"\r\n");
}

impl Onward {
    fn with_id(self, at: usize, len: usize) -> Onward {
        // A head has far fewer bytes, an id at most 128.
        Onward { id_at: at as u32, id_len: len as u8, ..self }
    }
}
