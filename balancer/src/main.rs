//! `corelane-balancer`.
fn main() {}
