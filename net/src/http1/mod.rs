//! HTTP/1.1 on bytes: what arrived goes in, requests and responses come out, bytes to send are appended.
//!
//! [`ServerConn`] reads requests, [`ClientConn`] reads responses, each with its whole body; [`RequestStream`] and
//! [`ResponseStream`] hand bodies out piece by piece. [`mod@write`] makes messages. Strict after RFC 9110 and 9112: a
//! message is valid or refused, never repaired, and a connection is never read on after a doubt. No socket, no clock,
//! no unsafe code. `docs/http1.md` has the table of verdicts.

#![forbid(unsafe_code)]

mod authority;
pub mod body;
mod chars;
pub mod client;
mod connection;
pub mod error;
pub mod fields;
pub mod framing;
pub mod head;
pub mod heads;
pub mod limits;
mod reader;
pub mod request_stream;
mod response_head;
pub mod response_heads;
pub mod response_stream;
pub mod server;
pub mod status;
pub mod target;
pub mod write;

pub use client::{Asked, ClientConn, ClientError, Response, ResponseHead, ResponseStep};
pub use error::{Reason, Refusal};
pub use fields::Fields;
pub use framing::{Framing, ResponseFraming};
pub use head::{Head, Method, Version};
pub use heads::Heads;
pub use limits::{FIELDS_CAP, Limits};
pub use request_stream::{RequestEvent, RequestStream};
pub use response_heads::ResponseHeads;
pub use response_stream::{Ended, ResponseEvent, ResponseStream};
pub use server::{Phase, Request, ServerConn, Step};
pub use status::Status;
pub use target::Target;
pub use write::{DateCache, Persistence};
