//! The time limits of a lane, as kinds of its [`Deadlines`].
//!
//! In: what the configuration says. Out: a kind for each length; equal lengths share one. What a limit that ran out means is told
//! by the state of its connection.

use crate::config;
use net::deadlines::Deadlines;

/// The limits of clients' connections.
#[derive(Clone, Copy, Default)]
pub(super) struct FrontLimits {
    pub(super) head: u16,
    pub(super) body: u16,
    pub(super) idle: u16,
    pub(super) linger: u16,
}

/// The limits of a pool.
#[derive(Clone, Copy, Default)]
pub(super) struct PoolLimits {
    pub(super) queue: u16,
    pub(super) connect: u16,
    pub(super) response_head: u16,
    pub(super) body: u16,
    pub(super) tunnel: u16,
    pub(super) idle: u16,
}

impl FrontLimits {
    pub(super) fn new(front: &config::Front, deadlines: &mut Deadlines) -> FrontLimits {
        FrontLimits {
            head: deadlines.kind(front.head_timeout),
            body: deadlines.kind(front.body_timeout),
            idle: deadlines.kind(front.idle_timeout),
            linger: deadlines.kind(front.linger_timeout),
        }
    }
}

impl PoolLimits {
    pub(super) fn new(pool: &config::Pool, deadlines: &mut Deadlines) -> PoolLimits {
        PoolLimits {
            queue: deadlines.kind(pool.queue.timeout),
            connect: deadlines.kind(pool.timeouts.connect),
            response_head: deadlines.kind(pool.timeouts.response_head),
            body: deadlines.kind(pool.timeouts.body),
            tunnel: deadlines.kind(pool.timeouts.tunnel),
            idle: deadlines.kind(pool.idle.timeout),
        }
    }
}
