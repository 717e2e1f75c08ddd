//! Which server gets the next request. Pure: no socket, no clock, no lock; the same code serves, is simulated and is measured.
//!
//! In: the live loads of a pool's servers. Out: the index of one of them, with a place taken there. Each lane has a [`Picker`]
//! of its own, with a seed of its own, so that lanes that start together don't choose together. Never: more than a
//! bounded number of attempts, or a server that may not take work.

mod load;

pub use load::{Load, WEIGHT_ONE};
