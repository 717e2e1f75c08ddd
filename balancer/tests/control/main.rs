//! The control on the simulator, with scripted servers, lanes that keep their mail, and operators.

mod checks;
mod commands;
mod door;
mod hosts;
mod reload;
mod scene;
mod storm;
mod traffic;
