//! The CPU time of one process, by its threads.
//!
//! In: `/proc/PID/stat`, and of each thread its `schedstat` and `stat`. Out: nanoseconds used since a begin, and the
//! CPUs of the threads that were busy. Never: mistakes another process for this one when its id is used again.
//!
//! `schedstat` has nanoseconds; those of a thread that is running now are as old as the last tick of its CPU. It
//! goes with its thread. `stat` has hundredths of a second, but keeps those of threads that have ended.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// One tick of `stat`: USER_HZ is 100 on every architecture that our engines run on (time(7)).
const TICK_NS: u64 = 10_000_000;
/// User and system time are each cut to whole ticks.
const TICKS_CUT: u64 = 2;

#[derive(Clone, Debug)]
pub(super) struct Process {
    pid: u32,
    name: String,
    /// When it started, in ticks since the boot: tells it from another one with its id.
    started: u64,
    life: Life,
    /// What each living thread had used at the last look.
    threads: HashMap<u32, u64>,
    /// Used by all threads since the begin.
    used_ns: u64,
    /// What the whole process had used, at the begin and at the last look.
    begin_ticks: u64,
    ticks: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Alive,
    Ended,
}

/// What is wanted of a `stat` file (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    life: Life,
    ticks: u64,
    started: u64,
    processor: usize,
}

impl Process {
    /// CPUs that one of its threads is alone with: its list of allowed ones has no other.
    pub(super) fn pinned_cpus(&self, proc: &Path) -> Vec<usize> {
        let tasks = fs::read_dir(proc.join(format!("{}/task", self.pid)));
        let pinned = |task: fs::DirEntry| {
            let status = fs::read_to_string(task.path().join("status")).ok()?;
            let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
            // One number, and neither a range nor a list.
            allowed.trim().parse::<usize>().ok()
        };
        tasks.into_iter().flatten().flatten().filter_map(pinned).collect()
    }

    /// A process that lives now. It counts from its own start, unless it is told to begin later.
    pub(super) fn find(proc: &Path, pid: u32) -> Option<Process> {
        let stat = read_stat(&proc.join(pid.to_string()))?;
        let name = fs::read_to_string(proc.join(format!("{pid}/comm"))).unwrap_or_default();
        Some(Process {
            pid,
            name: name.trim_end().to_owned(),
            started: stat.started,
            life: stat.life,
            threads: HashMap::new(),
            used_ns: 0,
            begin_ticks: 0,
            ticks: 0,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn has_ended(&self) -> bool {
        self.life == Life::Ended
    }

    /// Used since the begin.
    pub(super) fn used_ns(&self) -> u64 {
        let ticks = (self.ticks - self.begin_ticks).saturating_sub(TICKS_CUT);
        self.used_ns.max(ticks * TICK_NS)
    }

    /// Counts from now on.
    pub(super) fn begin(&mut self, proc: &Path) {
        self.look(proc, u64::MAX);
        self.used_ns = 0;
        self.begin_ticks = self.ticks;
    }

    /// Adds what was used since the last look. Gives the CPUs of the threads that used more than `busy_ns` of it.
    pub(super) fn look(&mut self, proc: &Path, busy_ns: u64) -> Vec<usize> {
        let dir = proc.join(self.pid.to_string());
        let Some(stat) = read_stat(&dir).filter(|stat| stat.started == self.started) else {
            self.life = Life::Ended;
            return Vec::new();
        };
        self.life = stat.life;
        // Two numbers that are scaled and cut: less than before would be rounding.
        self.ticks = self.ticks.max(stat.ticks);
        let mut threads = HashMap::with_capacity(self.threads.len());
        let mut busy = Vec::new();
        for (thread, dir) in threads_of(&dir) {
            // It ended since the listing.
            let Some(now) = thread_ns(&dir) else { continue };
            let before = self.threads.get(&thread).copied().unwrap_or(0);
            // Less than before: it is another thread with the same id.
            let used = if now >= before { now - before } else { now };
            self.used_ns += used;
            if used > busy_ns {
                busy.extend(read_stat(&dir).map(|stat| stat.processor));
            }
            threads.insert(thread, now);
        }
        self.threads = threads;
        busy
    }
}

fn threads_of(process: &Path) -> impl Iterator<Item = (u32, PathBuf)> {
    let entries = fs::read_dir(process.join("task")).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
}

/// Time on a CPU. Without `schedstat` (a kernel without CONFIG_SCHED_INFO), in ticks.
fn thread_ns(thread: &Path) -> Option<u64> {
    match fs::read_to_string(thread.join("schedstat")) {
        Ok(text) => text.split_whitespace().next()?.parse().ok(),
        Err(_) => read_stat(thread).map(|stat| stat.ticks * TICK_NS),
    }
}

fn read_stat(dir: &Path) -> Option<Stat> {
    parse_stat(&fs::read_to_string(dir.join("stat")).ok()?)
}

/// Field 2 is the name in parentheses, and may have spaces and parentheses of its own: behind the last one is field 3.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let life = match *fields.first()? {
        // Dead, and only kept until its parent has asked for its end.
        "Z" | "X" => Life::Ended,
        _ => Life::Alive,
    };
    Some(Stat {
        life,
        ticks: number(14)? + number(15)?,
        started: number(22)?,
        processor: usize::try_from(number(39)?).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_fields() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 120 30 13 14 15 16 17 18 4711 20 21 22 23 24 25 26 27 28 29 30 31 \
                    32 33 34 35 3 37 38";
        let stat = Stat { life: Life::Alive, ticks: 150, started: 4711, processor: 3 };
        assert_eq!(parse_stat(&format!("42 (a) b (c)) {rest}")), Some(stat));
        let zombie = Stat { life: Life::Ended, ..stat };
        assert_eq!(parse_stat(&format!("42 (x) {}", rest.replacen('S', "Z", 1))), Some(zombie));
    }

    #[test]
    fn what_is_cut_short_is_nothing() {
        for text in ["", "42 (x", "42 (x) S 1 2", "42 (x) S 1 2 3 4 5 6 7 8 9 10 a b 13 14 15 16 17 18 19"] {
            assert_eq!(parse_stat(text), None, "{text}");
        }
    }
}
