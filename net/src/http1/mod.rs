//! HTTP/1.1 on bytes: what arrived goes in, requests and responses come out, bytes to send are appended.
//!
//! [`ServerConn`] reads requests, [`ClientConn`] reads responses, [`mod@write`] makes both. Strict after
//! RFC 9110 and 9112: a message is taken whole or refused, never repaired, and a connection is never read
//! on after a doubt. No socket, no clock, no unsafe code. `docs/http1.md` has the table of verdicts.

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
mod response_head;
pub mod response_heads;
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
pub use response_heads::ResponseHeads;
pub use server::{Phase, Request, ServerConn, Step};
pub use status::Status;
pub use target::Target;
pub use write::{DateCache, Persistence};
