//! Where a configuration comes from, to read it again for a reload.
//!
//! In: a file's path, or what the flags said. Out: a whole configuration, or why there is none. What only a restart can change
//! is compared and told in the log, as else nobody would know that it was not taken. Never: a part of a file.

use super::{Config, Process, ProcessKeys, read};
use net::address::Address;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest file that is read: some 50 times what all servers of a large configuration need.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Where a configuration comes from.
#[derive(Clone, Debug)]
pub struct Source {
    origin: Origin,
    process: Process,
}

#[derive(Clone, Debug)]
enum Origin {
    File { path: PathBuf, started: Box<Started> },
    Flags(Box<Config>),
}

/// What a restart alone can change, as it was at the start.
#[derive(Clone, Debug, PartialEq)]
struct Started {
    keys: ProcessKeys,
    connections_max: u32,
    unsent_bytes_max: usize,
}

impl Source {
    /// A file that was read at the start as this.
    pub(crate) fn file(path: &Path, config: &Config, keys: ProcessKeys, process: Process) -> Source {
        let started = Box::new(Started::new(config, keys));
        Source { origin: Origin::File { path: path.to_owned(), started }, process }
    }

    /// Flags, which say the same every time.
    pub(crate) fn flags(config: Config, process: Process) -> Source {
        Source { origin: Origin::Flags(Box::new(config)), process }
    }

    /// The file; `None`: there are flags.
    pub fn path(&self) -> Option<&Path> {
        match &self.origin {
            Origin::File { path, .. } => Some(path),
            Origin::Flags(_) => None,
        }
    }

    /// The configuration as it is said now.
    ///
    /// # Errors
    /// One line that says where, what is wrong, and what would be right. Nothing has changed then.
    pub fn load(&self) -> Result<Config, String> {
        let (path, started) = match &self.origin {
            Origin::Flags(config) => return Ok((**config).clone()),
            Origin::File { path, started } => (path, started),
        };
        let (config, keys) = read_file(path)?;
        check_admin(&config, &self.process)?;
        for key in started.changed(&Started::new(&config, keys)) {
            tracing::warn!(key, file = %path.display(), "only a restart changes this: it stays as it was");
        }
        Ok(config)
    }
}

impl Started {
    fn new(config: &Config, keys: ProcessKeys) -> Started {
        let super::Front { connections_max, unsent_bytes_max, .. } = config.front;
        Started { keys, connections_max, unsent_bytes_max }
    }

    /// The keys in which the other one differs.
    fn changed(&self, other: &Started) -> impl Iterator<Item = &'static str> {
        let (one, two) = (&self.keys, &other.keys);
        let compared = [
            ("process.cores", one.cores == two.cores),
            ("process.engine", one.engine == two.engine),
            ("process.accept", one.accept == two.accept),
            ("process.admin", one.admin == two.admin),
            ("process.busy-poll", one.busy_poll == two.busy_poll),
            ("process.log", one.log == two.log),
            ("front.connections-max", self.connections_max == other.connections_max),
            ("front.unsent-max", self.unsent_bytes_max == other.unsent_bytes_max),
        ];
        compared.into_iter().filter(|(_, is_same)| !is_same).map(|(key, _)| key)
    }
}

/// Reads a file, which may be a pipe.
///
/// # Errors
/// One line that names the file.
pub(crate) fn read_file(path: &Path) -> Result<(Config, ProcessKeys), String> {
    let wrong = |why: &str| format!("{}: {why}", path.display());
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| wrong(&format!("can't read it: {error}")))?;
    let mut file = file.take(FILE_BYTES_MAX + 1);
    file.read_to_string(&mut text).map_err(|error| wrong(&format!("can't read it: {error}")))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong("is no configuration: it has more than 16 MiB"));
    }
    read(&text, path).map_err(|refusal| refusal.to_string())
}

/// Operators and clients can't share an address. With port 0 the kernel gives each its own.
pub(crate) fn check_admin(config: &Config, process: &Process) -> Result<(), String> {
    let admin = process.admin.as_ref().filter(|admin| !matches!(admin, Address::Tcp(at) if at.port() == 0));
    match config.listeners.iter().find(|listener| Some(&listener.address) == admin) {
        Some(listener) => Err(format!("{} is the admin address: clients need another", listener.address)),
        None => Ok(()),
    }
}
