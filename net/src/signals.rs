//! SIGTERM, SIGINT, SIGHUP and SIGUSR2, brought to a thread of their own.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR2};
use signal_hook::iterator::Signals;
use std::io;

/// What the operator asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: end. The first means "finish what you have", the second "now".
    Stop,
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR2: start the program anew, and leave the listeners to it.
    HandOver,
}

/// Calls `act` for each signal, in a thread that lives as long as the process.
pub fn on_signal(mut act: impl FnMut(Signal) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR2])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            act(match signal {
                SIGHUP => Signal::Reload,
                SIGUSR2 => Signal::HandOver,
                _ => Signal::Stop,
            });
        }
    })?;
    Ok(())
}
