//! Why a configuration is refused: one line that says where, which key, what is wrong and what would be right.

use std::fmt;
use std::path::PathBuf;

/// The first thing that is wrong in a configuration. It refuses the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Where it is.
    pub at: At,
    /// What is wrong, and what would be right.
    pub why: String,
}

/// Where something is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// In a file.
    File {
        /// Its name, as it was given.
        name: PathBuf,
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// The key, from the root: `pools.web.check.rise`; empty where TOML itself is broken.
        key: String,
    },
    /// On the command line, by this flag.
    Flag(&'static str),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            At::File { name, line, column, key } if key.is_empty() => {
                write!(f, "{}:{line}:{column}: {}", name.display(), on_one_line(&self.why))
            }
            At::File { name, line, column, key } => {
                let (key, why) = (on_one_line(key), on_one_line(&self.why));
                write!(f, "{}:{line}:{column}: {key}: {why}", name.display())
            }
            At::Flag(flag) => write!(f, "{flag}: {}", on_one_line(&self.why)),
        }
    }
}

/// What is quoted may hold anything; a refusal is one line in any log and on any terminal.
fn on_one_line(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

impl std::error::Error for Refusal {}
