//! What requests hold, and what their answers must be.
//!
//! In: what the user asked for ([`Spec`]), checked once. Out: for each lane requests, written one after the
//! other, and a verdict on each answer. Never: reads a clock, or draws anything that the seed doesn't decide.
//!
//! `plan` makes a [`Spec`] ready to send; `lane` writes and checks; `template` has the variables, `sums` the
//! operands of `/add`, `ledger` the ids that tell whose answer came, `expect` and `wrong` the verdicts,
//! `front_door` what may be sent.

mod expect;
pub(crate) mod front_door;
mod lane;
mod ledger;
mod plan;
mod sums;
pub(crate) mod template;
mod wrong;

pub use expect::Statuses;
pub use lane::{Expected, LaneWorkload};
pub use wrong::Wrong;

use crate::url::{Place, Url};
use plan::Plan;
use std::sync::Arc;

/// What is sent.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Sums to compute, each answer checked.
    Add,
    /// As [`Kind::Add`], but each sum occurs once, so that an answer tells which request it is for.
    Ledger,
    /// What the user wrote.
    #[default]
    Requests,
}

impl Kind {
    /// Its name on the command line and in records.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Add => "add",
            Kind::Ledger => "ledger",
            Kind::Requests => "requests",
        }
    }
}

/// Where a body comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// There is none.
    #[default]
    None,
    /// A text, perhaps with `{{variables}}`.
    Text(String),
    /// A line for each request, as it is. If `{{line}}` stands in the target or in a field, it goes there,
    /// and there is no body; else it is the body.
    Lines(Vec<String>),
    /// A text with `{{line}}` in it, and a line for each request.
    TextWithLines {
        /// The body, with `{{variables}}`.
        text: String,
        /// What `{{line}}` stands for, one after the other.
        lines: Vec<String>,
    },
}

/// What the user asked for.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// All on one address.
    pub urls: Vec<Url>,
    /// What is sent.
    pub kind: Kind,
    /// A token. If not given: `POST` where there is a body, else `GET`.
    pub method: Option<String>,
    /// Fields; values may have `{{variables}}`. A `Host` replaces ours.
    pub headers: Vec<(String, String)>,
    /// The body of [`Kind::Requests`]; the others make their own.
    pub body: Source,
    /// `{{key}}` is from 1 to this; 0 is no keys. With [`Kind::Add`], the operands are a function of the key.
    pub keys: u64,
    /// How unequal keys are: the k-th is asked for in proportion to 1/k^zipf. 0: all alike.
    pub zipf: f64,
    /// If not given: 200 where a sum is expected, else 2xx.
    pub expect_status: Option<Statuses>,
    /// Each answer's body, to the byte.
    pub expect_body: Option<String>,
    /// Of an object: members that each answer must have, equal. Anything else: what each answer must equal.
    pub expect_json: Option<serde_json::Value>,
}

/// A [`Spec`] that was found good, ready for the lanes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Workload {
    plan: Arc<Plan>,
}

impl Workload {
    /// Checks everything that can be checked before the first request.
    ///
    /// # Errors
    /// What is wrong, and what would be right, for the user.
    pub fn new(spec: Spec) -> Result<Workload, String> {
        Ok(Workload { plan: Arc::new(Plan::new(spec)?) })
    }

    /// What to connect to.
    pub fn place(&self) -> &Place {
        &self.plan.place
    }

    /// What is sent.
    pub fn kind(&self) -> Kind {
        self.plan.kind
    }

    /// The part of lane `lane`, out of `lanes`. The same seed makes the same requests; `nonce` tells the
    /// ledger's ids of this run apart from another run's, and should differ each time (the time at the start
    /// does).
    pub fn lane(&self, seed: u64, lane: usize, lanes: usize, nonce: u64) -> LaneWorkload {
        LaneWorkload::new(self.plan.clone(), seed, lane, lanes.max(1), nonce)
    }
}

#[cfg(test)]
pub(crate) mod tests;
