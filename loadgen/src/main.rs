//! `corelane-loadgen`: options, run, report, exit code.

#![forbid(unsafe_code)]

fn main() {}
