//! The load balancer: a [`Program`](net::engine::Program) that passes requests on to servers, and another that watches those.
//!
//! A request goes `proxy` (bytes in) → `forward` (which pool; the head as the server gets it) → `pick` (which server) →
//! `proxy` (bytes on, and the answer back). `fleet` is what all lanes share: the servers, with their live counts.
//! `control` runs beside the lanes and decides with `health` who gets work; `admin` shows and changes that.
//! `config` is everything a user can set; `serve` starts it all.

#![forbid(unsafe_code)]

pub mod admin;
pub mod command_line;
pub mod config;
pub mod control;
pub mod fleet;
pub mod forward;
pub mod health;
pub mod log;
pub mod pick;
pub mod proxy;
pub mod proxy_protocol;
pub mod retry;
pub mod serve;
