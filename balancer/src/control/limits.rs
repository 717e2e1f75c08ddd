//! Every bound of the control, with its reason.

use net::http1::Limits;
use std::time::Duration;

/// Checks under way at a time. A thousand servers of which a quarter hang keep it busy with their timeouts, and the others are still
/// checked on time; more would be a burst of connects for nothing.
pub(super) const CHECKS_MAX: usize = 256;

/// From one check of a server to the next, at least, whatever was configured: a check is a few turns of this thread.
pub(super) const CHECK_PAUSE_MIN: Duration = Duration::from_millis(1);

/// A check's answer: a status is wanted, and what stands around it has to fit.
pub(super) const CHECK_LIMITS: Limits = Limits {
    head_bytes_max: 16 * 1024,
    target_bytes_max: 8 * 1024,
    method_bytes_max: 32,
    fields_max: 100,
    body_bytes_max: 1024 * 1024,
    chunk_line_bytes_max: 4 * 1024,
    chunk_extension_bytes_max: 16 * 1024,
    trailer_bytes_max: 4 * 1024,
    trailer_fields_max: 16,
    empty_lines_max: 1,
};

/// Operators' connections at a time: some people, their browsers' six each, and what scrapes the metrics.
pub(super) const OPERATORS_MAX: usize = 128;

/// An operator's request: 16 KiB hold the cookies that a browser has for this host; a body is a weight.
pub(super) const OPERATOR_LIMITS: Limits = Limits { body_bytes_max: 4 * 1024, ..CHECK_LIMITS };

/// For an operator's whole request, from the connection's start or the last answer's end to its last byte: it fits one packet.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// From an answer to the next request; a page that refreshes itself keeps its connection.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// For the peer to end, once we have closed.
pub(super) const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// Unsent answers over which a connection is read no further: whoever sends many requests at once gets so many answers, and a `close`.
pub(super) const UNSENT_BYTES_MAX: usize = 1024 * 1024;

/// How soon a lane whose box was full is tried again: about what it takes to empty one.
pub(super) const OUTBOX_PAUSE: Duration = Duration::from_millis(10);
