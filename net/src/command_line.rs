//! Values that the command lines of our programs share, so that a flag means the same in each.
//!
//! In: what stands on a command line. Out: a value with its unit, or one line that says what would be right.

use crate::engine;
use clap::ValueEnum;
use std::str::FromStr;
use std::time::Duration;

/// `--engine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineChoice {
    /// The best one that works here.
    Auto,
    /// io_uring, or an error.
    #[cfg(feature = "uring")]
    Uring,
    /// epoll.
    #[cfg(feature = "epoll")]
    Epoll,
    /// monoio on io_uring.
    #[cfg(feature = "monoio")]
    Monoio,
    /// monoio on epoll.
    #[cfg(feature = "monoio")]
    MonoioEpoll,
    /// glommio, on io_uring.
    #[cfg(feature = "glommio")]
    Glommio,
}

impl EngineChoice {
    /// The engine to run, and why.
    pub fn resolve(self) -> Result<engine::Probe, engine::Failure> {
        match self {
            EngineChoice::Auto => engine::Probe::auto(),
            #[cfg(feature = "uring")]
            EngineChoice::Uring => engine::Probe::named(engine::Engine::Uring),
            #[cfg(feature = "epoll")]
            EngineChoice::Epoll => engine::Probe::named(engine::Engine::Epoll),
            #[cfg(feature = "monoio")]
            EngineChoice::Monoio => engine::Probe::named(engine::Engine::Monoio),
            #[cfg(feature = "monoio")]
            EngineChoice::MonoioEpoll => engine::Probe::named(engine::Engine::MonoioEpoll),
            #[cfg(feature = "glommio")]
            EngineChoice::Glommio => engine::Probe::named(engine::Engine::Glommio),
        }
    }
}

/// A length of time with its unit, as in `30s` or `50us`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Duration);

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Time, String> {
        let wrong = |e| format!("{e}; write a number and a unit, as in 500ms, 30s or 2min");
        humantime::parse_duration(text).map(Time).map_err(wrong)
    }
}

/// A number of bytes, as in `4MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub usize);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let wrong = || format!("`{text}` is no size: write a number and a unit, as in 512KiB or 4MiB");
        let bytes = text.parse::<bytesize::ByteSize>().map_err(|_| wrong())?.as_u64();
        usize::try_from(bytes).ok().filter(|&bytes| bytes <= isize::MAX as usize).map(Size).ok_or_else(wrong)
    }
}

/// A mistake in one line: what is wrong, and what would be right.
pub fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let told = text.lines().map(str::trim).filter_map(|line| {
        let told = line.strip_prefix("error: ").or_else(|| line.strip_prefix("tip: "));
        told.or(Some(line).filter(|line| line.starts_with("[possible"))).map(str::to_owned)
    });
    let line = told.collect::<Vec<_>>().join("; ");
    if line.is_empty() { text } else { line }
}
