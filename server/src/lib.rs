//! The `/add` microservice: a [`Program`](net::engine::Program) that turns requests into answers.
//!
//! A request goes `program` (bytes in) → `routes` (who answers) → `cache` (known already?) → `handlers` (the
//! answer) → `program` (bytes out). What takes long leaves the lane through `pool` and comes back as mail.
//! `serve` puts one such program on each core; `options` is everything a user can set.

#![forbid(unsafe_code)]

pub mod cache;
pub mod handlers;
pub mod metrics;
pub mod options;
pub mod pool;
pub mod program;
pub mod routes;
pub mod serve;
