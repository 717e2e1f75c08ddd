//! The generator on the simulator, with a virtual clock: known queues with known answers, and faults by seed.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

#[path = "sim/faults.rs"]
mod faults;
#[path = "sim/play.rs"]
mod play;
#[path = "sim/queues.rs"]
mod queues;
