//! Looks at every server: the least loaded one, or the first that takes a request.
//!
//! In: the live loads, and where to begin. Out: a server. Of several that are equally loaded the first from
//! there on, so that lanes that begin at different servers don't all choose the same. Never: a division.

use super::Servers;

/// Requests over weight, which compares without dividing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    /// Requests.
    pub(super) requests: u32,
    /// Not zero.
    pub(super) weight: u32,
}

impl Share {
    pub(super) fn is_less(self, other: Share) -> bool {
        // Two factors of 32 bits each: no product overflows.
        u64::from(self.requests) * u64::from(other.weight)
            < u64::from(other.requests) * u64::from(self.weight)
    }
}

/// The open server that has the least to do for its weight once it has this request too.
pub(super) fn of(servers: Servers, start: usize) -> Option<usize> {
    let (before, from) = servers.loads.split_at(start.min(servers.loads.len()));
    let from = from.iter().enumerate().map(|(at, load)| (start + at, load));
    let mut best: Option<(usize, Share)> = None;
    for (server, load) in from.chain(before.iter().enumerate()) {
        let (in_flight, weight) = (load.in_flight(), load.weight());
        let share = Share { requests: in_flight.saturating_add(1), weight };
        let is_better = weight > 0
            && in_flight < load.limit()
            && best.is_none_or(|(_, best)| share.is_less(best))
            && !servers.is_tried(server);
        if is_better {
            best = Some((server, share));
        }
    }
    best.map(|(server, _)| server)
}

/// The first server that takes it.
pub(super) fn first(servers: Servers, start: usize) -> Option<usize> {
    let all = servers.loads.len();
    (start..all).chain(0..start.min(all)).find(|&server| servers.take(server))
}
