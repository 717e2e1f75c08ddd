//! Proof that the generator tells the truth on this machine: runs against targets whose answer is known beforehand.

pub mod target;
