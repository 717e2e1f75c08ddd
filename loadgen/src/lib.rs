//! The load generator: from a URL and a wish to a report that can be believed.
//!
//! `options` say what to do; `schedule` says when a request is due, `workload` what it holds and what its answer
//! must be; `program` sends and records on a lane; `run` holds the lanes together and makes a [`model::Run`] of
//! what they recorded; `verdict` judges it; `report` shows it. `search`, `compare` and `selftest` make several runs.

#![forbid(unsafe_code)]

pub mod model;
