//! A cgroup: its processes, and the CPU time of all that ever were in it.
//!
//! In: a directory under `/sys/fs/cgroup`, or the name of a unit. Out: process ids, nanoseconds. Never: writes.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How deep the cgroups of one service are read: systemd nests delegated ones by one or two.
const DEPTH_MAX: usize = 4;

#[derive(Clone, Debug)]
pub(super) struct Cgroup {
    dir: PathBuf,
    name: String,
    begin_us: Option<u64>,
}

impl Cgroup {
    /// A directory, or a unit that is looked for under `root`: where systemd keeps services, then at the top, then one
    /// level down. Machines that still have version 1 keep version 2 in `unified`.
    pub(super) fn find(root: &Path, wanted: &Path) -> Result<Cgroup, String> {
        let name = wanted.display().to_string();
        let found = |dir: PathBuf| Cgroup { dir, name: name.clone(), begin_us: None };
        if wanted.is_absolute() {
            return match wanted.join(PROCS).exists() {
                true => Ok(found(wanted.to_owned())),
                false => Err(format!("{name} is no cgroup: it has no {PROCS}")),
            };
        }
        let roots = [root.to_owned(), root.join("unified")];
        let places = roots.iter().flat_map(|root| {
            let top = [root.join("system.slice"), root.clone()];
            top.into_iter().chain(subdirectories(root))
        });
        let dir = places.map(|place| place.join(wanted)).find(|dir| dir.join(PROCS).exists());
        dir.map(found).ok_or_else(|| {
            format!("there is no cgroup {name} under {}: see `systemctl status {name}`", root.display())
        })
    }

    /// As it was asked for.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its processes and those of the cgroups in it, ascending.
    ///
    /// # Errors
    /// There are none, or they can't be read.
    pub(super) fn pids(&self) -> Result<Vec<u32>, String> {
        let mut pids = BTreeSet::new();
        gather(&self.dir, DEPTH_MAX, &mut pids).map_err(|e| format!("read the cgroup {}: {e}", self.name))?;
        match pids.is_empty() {
            true => Err(format!("the cgroup {} has no process: is the service running?", self.name)),
            false => Ok(pids.into_iter().collect()),
        }
    }

    pub(super) fn begin(&mut self) {
        self.begin_us = self.usage_us();
    }

    /// Used since the begin; `None` where it isn't counted.
    pub(super) fn used_ns(&self) -> Option<u64> {
        // A service that was restarted counts from zero again.
        let (now, begin) = (self.usage_us()?, self.begin_us?);
        Some(now.checked_sub(begin).unwrap_or(now).saturating_mul(1000))
    }

    fn usage_us(&self) -> Option<u64> {
        let stat = fs::read_to_string(self.dir.join("cpu.stat")).ok()?;
        stat.lines().find_map(|line| line.strip_prefix("usage_usec "))?.trim().parse().ok()
    }
}

const PROCS: &str = "cgroup.procs";

fn gather(dir: &Path, depth: usize, pids: &mut BTreeSet<u32>) -> io::Result<()> {
    let text = fs::read_to_string(dir.join(PROCS))?;
    pids.extend(text.lines().filter_map(|line| line.trim().parse::<u32>().ok()));
    if depth > 0 {
        for child in subdirectories(dir) {
            // One that is gone by now has no process.
            let _ = gather(&child, depth - 1, pids);
        }
    }
    Ok(())
}

fn subdirectories(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut dirs: Vec<PathBuf> =
        entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()).collect();
    dirs.sort();
    dirs
}
