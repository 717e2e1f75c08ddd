//! The load generator: from a URL and a wish to a report that can be believed.
//!
//! `options` say what to do; `schedule` says when a request is due, `workload` what it holds and what its answer
//! must be; `program` sends and records on a lane; `run` holds the lanes together and makes a [`model::Run`] of
//! what they recorded; `verdict` judges it; `report` shows it. `search`, `compare` and `selftest` make several runs.

#![forbid(unsafe_code)]

pub mod command_line;
pub mod commands;
pub mod compare;
pub mod job;
pub mod live;
pub mod machine;
pub mod model;
pub mod options;
pub mod process;
pub mod program;
pub mod quantile;
pub mod record;
pub mod report;
pub mod run;
pub mod schedule;
pub mod search;
pub mod selftest;
pub mod slo;
pub mod stats;
pub mod timeline;
pub mod units;
pub mod url;
pub mod verdict;
pub mod workload;
