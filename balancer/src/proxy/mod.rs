//! The balancer's lane as a program: requests in, passed on; responses back.
//!
//! In: what an engine tells of one lane's connections, to clients (*front*) and to servers (*back*). Out: every request gets exactly one
//! answer, its own, or sees its connection cut. Never: waits, reads a clock, touches a socket.

use crate::fleet::{Fleet, Server};
use std::sync::Arc;

/// What other threads tell a lane.
#[derive(Debug)]
pub enum Mail {
    /// Work by this from now on; what is under way ends as it began.
    Fleet(Arc<Fleet>),
    /// A place was given back at a server: look after those who wait.
    Room,
    /// A server is down or ejected: idle connections to it are of no use.
    CloseIdle(Arc<Server>),
    /// Finish what you have, and end.
    Drain,
}
