//! Who answers operators: `admin`, or a small one in tests.
//!
//! In: one request, or the time to remember how things are, each with the [`View`] of the moment. Out: an answer. Never: a socket or a clock.

use super::view::{Command, View};
use net::http1::{Request, Status};
use std::time::Duration;

/// How often a view is remembered.
pub const SAMPLE_EVERY: Duration = Duration::from_secs(5);

/// Answers requests at the admin address.
pub trait Desk: Send {
    /// Answers `request`. A change that is asked for goes to `obey`, which says what was done, or why not.
    fn answer(
        &mut self,
        request: &Request<'_>,
        view: &View<'_>,
        obey: &mut dyn FnMut(Command) -> Result<String, String>,
    ) -> Answer;

    /// Remembers a moment; called each [`SAMPLE_EVERY`].
    fn sample(&mut self, view: &View<'_>);
}

/// What goes back to an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: Status,
    /// The type of `body`.
    pub content_type: &'static str,
    /// Fields beside `date`, `content-type`, `content-length` and `connection`.
    pub fields: Vec<(&'static str, String)>,
    /// The content, also for HEAD: it is left out when written.
    pub body: Vec<u8>,
}
