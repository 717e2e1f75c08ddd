//! The CPU that the served process uses while it is measured, and whether it runs where we do.
//!
//! In: process ids, a cgroup, or nothing but the address that is measured: then whoever listens there on this machine.
//! Out: a [`TargetUse`]. Never: fails because a process has ended meanwhile; then it says so. Never on a lane: a look
//! reads one file for each thread of the target, which is cheap beside an interval and dear beside a request.

mod cgroup;
mod find;
mod usage;

use crate::model::TargetUse;
use cgroup::Cgroup;
use net::address::Address;
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};
use usage::Process;

/// Which process is served from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// Whoever listens on the address, if it is on this machine and we may see it.
    #[default]
    Auto,
    /// These.
    Pids(Vec<u32>),
    /// All in a cgroup: an absolute path, or the name of a systemd unit.
    Cgroup(PathBuf),
    /// None: its CPU is not looked at.
    Off,
}

impl FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Which, String> {
        let is_unit = |text: &str| {
            [".service", ".scope", ".slice"].iter().any(|kind| text.ends_with(kind)) && !text.contains('/')
        };
        match text {
            "auto" => Ok(Which::Auto),
            "off" => Ok(Which::Off),
            path if Path::new(path).starts_with(CGROUPS) => Ok(Which::Cgroup(PathBuf::from(path))),
            unit if is_unit(unit) => Ok(Which::Cgroup(PathBuf::from(unit))),
            pids => {
                let pid = |pid: &str| pid.parse::<u32>().ok().filter(|pid| *pid > 0);
                let pids: Option<BTreeSet<u32>> = pids.split(',').map(pid).collect();
                pids.map(|pids| Which::Pids(pids.into_iter().collect())).ok_or_else(|| {
                    format!(
                        "`{text}` names no process: use auto, off, ids as in 1234 or 1234,1235, a unit as in \
                         nginx.service, or a path under {CGROUPS}"
                    )
                })
            }
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Which::Auto => f.write_str("auto"),
            Which::Off => f.write_str("off"),
            Which::Cgroup(path) => path.display().fmt(f),
            Which::Pids(pids) => {
                let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
                f.write_str(&pids.join(","))
            }
        }
    }
}

const PROC: &str = "/proc";
const CGROUPS: &str = "/sys/fs/cgroup";

/// A thread that used more of the time since the last look than this is busy: less is housekeeping, and where that
/// ran says nothing about where requests are served.
const BUSY_SHARE: f64 = 0.05;

/// A process that is watched while it is measured.
#[derive(Clone, Debug)]
pub struct Watch {
    proc: PathBuf,
    how: String,
    processes: Vec<Process>,
    cgroup: Option<Cgroup>,
    looked: Instant,
    cpus: BTreeSet<usize>,
    looks: u64,
    looks_on_our_cores: u64,
}

impl Watch {
    /// Finds the process. `None` if none is wanted, or [`Which::Auto`] can't see one: it is on another machine or in
    /// another container, belongs to another user, or is this very process.
    ///
    /// # Errors
    /// What was named isn't there.
    pub fn find(which: &Which, address: &Address) -> Result<Option<Watch>, String> {
        let own = Some(std::process::id());
        Watch::find_in(Path::new(PROC), Path::new(CGROUPS), which, address, own)
    }

    /// As [`Watch::find`]; `Auto` passes over the process `except`.
    fn find_in(
        proc: &Path,
        cgroups: &Path,
        which: &Which,
        address: &Address,
        except: Option<u32>,
    ) -> Result<Option<Watch>, String> {
        match which {
            Which::Off => Ok(None),
            Which::Auto => {
                let pids = find::who_listens(proc, address, except);
                let processes: Vec<Process> =
                    pids.iter().filter_map(|pid| Process::find(proc, *pid)).collect();
                let how = format!("listens on {address}");
                Ok(Some(Watch::new(proc, how, processes)).filter(|watch| !watch.processes.is_empty()))
            }
            Which::Pids(pids) => {
                let process = |pid: &u32| {
                    Process::find(proc, *pid)
                        .ok_or_else(|| format!("there is no process {pid} to watch: see `pgrep -a`"))
                };
                let processes = pids.iter().map(process).collect::<Result<_, _>>()?;
                Ok(Some(Watch::new(proc, "as named".to_owned(), processes)))
            }
            Which::Cgroup(path) => {
                let cgroup = Cgroup::find(cgroups, path)?;
                let pids = cgroup.pids()?;
                let processes = pids.iter().filter_map(|pid| Process::find(proc, *pid)).collect();
                let watch = Watch::new(proc, format!("cgroup {}", cgroup.name()), processes);
                Ok(Some(Watch { cgroup: Some(cgroup), ..watch }))
            }
        }
    }

    /// CPUs that a thread of it is pinned to: nobody else should want them.
    pub fn pinned_cpus(&self) -> BTreeSet<usize> {
        self.processes.iter().flat_map(|process| process.pinned_cpus(&self.proc)).collect()
    }

    fn new(proc: &Path, how: String, processes: Vec<Process>) -> Watch {
        Watch {
            proc: proc.to_owned(),
            how,
            processes,
            cgroup: None,
            looked: Instant::now(),
            cpus: BTreeSet::new(),
            looks: 0,
            looks_on_our_cores: 0,
        }
    }

    /// The window begins: from here on it counts. What was counted before is forgotten.
    pub fn begin(&mut self) {
        self.looked = Instant::now();
        self.cpus.clear();
        (self.looks, self.looks_on_our_cores) = (0, 0);
        for process in &mut self.processes {
            process.begin(&self.proc);
        }
        if let Some(cgroup) = &mut self.cgroup {
            cgroup.begin();
        }
    }

    /// Looks at which CPUs the busy threads are. Call it once per interval; threads that live for less than one are
    /// seen only where `end` can count them.
    pub fn look(&mut self, our_cores: &[usize]) {
        let since = self.looked.elapsed();
        self.looked = Instant::now();
        self.find_new_processes();
        for cpu in self.busy_cpus(since) {
            self.cpus.insert(cpu);
            self.looks += 1;
            self.looks_on_our_cores += u64::from(our_cores.contains(&cpu));
        }
    }

    /// The window ends.
    ///
    /// CPU time is that of the cgroup, where there is one that counts it. Else it is, for each process, the
    /// nanoseconds of its threads; a thread that ended counts up to the last look. Where that is less than what the
    /// process says in hundredths of a second, which has all threads that ever were, that counts.
    pub fn end(&mut self) -> TargetUse {
        self.busy_cpus(Duration::MAX);
        let cpu_ns = self.cgroup.as_ref().and_then(Cgroup::used_ns);
        let cpu_ns = cpu_ns.unwrap_or_else(|| self.processes.iter().map(Process::used_ns).sum());
        // An id that was used again is one id.
        let pids: BTreeSet<u32> = self.processes.iter().map(Process::pid).collect();
        TargetUse {
            name: self.name(),
            pids: pids.into_iter().collect(),
            cpu_ns,
            cpus: self.cpus.iter().copied().collect(),
            looks_on_our_cores: self.looks_on_our_cores,
            looks: self.looks,
        }
    }

    /// Reads what every thread has used, and gives the CPUs of those that were busy for so long.
    fn busy_cpus(&mut self, since: Duration) -> Vec<usize> {
        let busy_ns = (since.as_nanos() as f64 * BUSY_SHARE) as u64;
        self.processes.iter_mut().flat_map(|process| process.look(&self.proc, busy_ns)).collect()
    }

    /// A service may have restarted a worker. What a new process used, it used in the window.
    fn find_new_processes(&mut self) {
        let Some(pids) = self.cgroup.as_ref().and_then(|cgroup| cgroup.pids().ok()) else { return };
        let is_new = |pid: &u32| self.processes.iter().all(|known| known.pid() != *pid || known.has_ended());
        let new: Vec<Process> =
            pids.into_iter().filter(is_new).filter_map(|pid| Process::find(&self.proc, pid)).collect();
        // One that is dead and only kept for its parent is not new.
        self.processes.extend(new.into_iter().filter(|process| !process.has_ended()));
    }

    /// `nginx (listens on 127.0.0.1:80)`, and who of them has ended.
    fn name(&self) -> String {
        let names: BTreeSet<&str> = self.processes.iter().map(Process::name).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let ended: Vec<String> =
            self.processes.iter().filter(|p| p.has_ended()).map(|p| p.pid().to_string()).collect();
        let ended = match ended.as_slice() {
            [] => String::new(),
            [pid] => format!("; process {pid} ended meanwhile"),
            pids => format!("; processes {} ended meanwhile", pids.join(", ")),
        };
        format!("{} ({}){ended}", names.join(", "), self.how)
    }
}

/// CPU time of the calling thread so far, in nanoseconds.
pub fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests;
