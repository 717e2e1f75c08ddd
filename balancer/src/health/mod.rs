//! Who may get work: what checks, live traffic and operators say about servers, made into weights and limits.
//!
//! In: checks' results, outcomes that lanes told of, an operator's wishes, the time. Out: each server's [`State`](crate::control::State)
//! with the reason for it, and an [`Order`] for each: weight and limit. Pure: no socket, no clock, no chance of its own; `control` does
//! what it says. Never: work for a server that the operator took out, or a server that stays ejected for ever.

mod moves;
mod pool;
mod saved;
mod server;
mod slow_start;
#[cfg(test)]
mod tests;

pub use moves::{Checked, Heard, Rules};
pub use pool::{Change, Order, Pool};
pub use saved::Saved;
pub use server::Health;
