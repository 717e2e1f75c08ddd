//! Beside the lanes: checks servers, hears what lanes saw, decides who gets work, and answers operators.
//!
//! In: mail from lanes and signals, checks' answers, requests at the admin address. Out: weights and limits in the servers'
//! [`Load`](crate::pick::Load), new fleets for the lanes. One thread for all lanes, so that they agree.

mod view;

pub use view::{Admin, CheckView, Command, ServerView, State, View};

use crate::fleet::{Outcome, Server};
use std::sync::Arc;

/// What others tell the control.
#[derive(Debug)]
pub enum Mail {
    /// A lane saw this, and its server's [`Suspicion`](crate::fleet::Suspicion) said to tell it.
    Told {
        /// Which.
        server: Arc<Server>,
        /// What.
        outcome: Outcome,
    },
    /// Read the configuration again (SIGHUP).
    Reload,
    /// The process is ending: `/readyz` says so.
    Drain,
}
