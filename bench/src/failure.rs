//! Why a command ends without its result, and with which exit code.

use std::fmt;

/// What went wrong, in one line that says what to do about it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something is missing or was asked for wrongly: exit code 2.
    Setup(String),
    /// It started, and broke on the way: exit code 1.
    Run(String),
    /// The user stopped it: exit code 130, as a shell would say.
    Stopped,
}

impl Failure {
    pub(crate) fn setup(message: impl Into<String>) -> Self {
        Self::Setup(message.into())
    }

    pub(crate) fn run(message: impl Into<String>) -> Self {
        Self::Run(message.into())
    }

    /// The same, with whom it happened to in front.
    pub(crate) fn of(self, who: &str) -> Self {
        match self {
            Self::Run(message) => Self::Run(format!("{who}: {message}")),
            other => other,
        }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Setup(_) => 2,
            Self::Run(_) => 1,
            Self::Stopped => 130,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setup(message) | Self::Run(message) => f.write_str(message),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Run(error.to_string())
    }
}
