//! What two or more of corelane's programs need: HTTP/1.1 on bytes, and the engines that move them.
//!
//! [`http1`] turns bytes into messages and messages into bytes: no socket, no clock, no unsafe code.
//! [`engine`] owns sockets and drives a [`engine::Program`]: no HTTP, no policy.
//! The rest puts one engine on each core: [`service`], with [`percore`], [`listen`], [`mailbox`], [`signals`], [`stats`];
//! [`orders`], [`inherited`], [`handover`], [`notify`] and [`supervise`] are for whoever starts, watches and replaces a service;
//! [`command_line`] has the values that their flags share.

pub mod address;
pub mod deadlines;
pub mod engine;
pub mod http1;
pub mod mailbox;
pub mod stats;
pub mod time;

#[cfg(feature = "command-line")]
pub mod command_line;
#[cfg(feature = "os")]
pub mod handover;
#[cfg(feature = "os")]
pub mod inherited;
#[cfg(feature = "os")]
pub mod listen;
#[cfg(feature = "os")]
pub mod notify;
#[cfg(feature = "os")]
pub mod orders;
#[cfg(feature = "os")]
pub mod percore;
#[cfg(feature = "os")]
pub mod service;
#[cfg(feature = "os")]
pub mod signals;
#[cfg(feature = "os")]
pub mod supervise;
