//! What `/proc` says about a server: CPU time, memory, open descriptors, of all its processes.
//!
//! Of all: nginx serves from a child. And by task, because schedstat counts nanoseconds where `stat` counts
//! hundredths of a second.

use std::fs;
use std::io;
use std::time::Duration;

/// Resident memory, added up over processes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Memory {
    /// Everything resident, with the program's own code and libraries.
    pub(crate) rss_bytes: u64,
    /// Of that, what the process made itself: heap, stacks, anonymous mappings.
    pub(crate) anonymous_bytes: u64,
}

/// CPU time of a process and its descendants so far.
pub(crate) fn cpu_time(pid: u32) -> io::Result<Duration> {
    let nanos = over_family(pid, |process| {
        // A thread that ended since the listing takes its time with it; servers here keep theirs.
        let texts = tasks(process)?
            .into_iter()
            .flat_map(move |task| fs::read_to_string(format!("/proc/{process}/task/{task}/schedstat")));
        texts.map(|text| schedstat_nanos(&text).ok_or_else(|| unreadable(process, "schedstat"))).sum()
    })?;
    Ok(Duration::from_nanos(nanos.iter().sum::<u64>()))
}

/// Resident memory of a process and its descendants.
pub(crate) fn memory(pid: u32) -> io::Result<Memory> {
    let each = over_family(pid, |process| {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        status_memory(&status).ok_or_else(|| unreadable(process, "status"))
    })?;
    Ok(each.iter().fold(Memory::default(), |sum, one| Memory {
        rss_bytes: sum.rss_bytes + one.rss_bytes,
        anonymous_bytes: sum.anonymous_bytes + one.anonymous_bytes,
    }))
}

/// Open descriptors of a process and its descendants.
pub(crate) fn descriptors(pid: u32) -> io::Result<usize> {
    let each = over_family(pid, |process| Ok(fs::read_dir(format!("/proc/{process}/fd"))?.count()))?;
    Ok(each.iter().sum())
}

/// Asks the process and its descendants. A descendant may end at any moment, and then has no answer; the process
/// itself must have one.
fn over_family<T>(pid: u32, ask: impl Fn(u32) -> io::Result<T>) -> io::Result<Vec<T>> {
    let mut answers = vec![ask(pid)?];
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for task in tasks(parent).unwrap_or_default() {
            let text = fs::read_to_string(format!("/proc/{parent}/task/{task}/children")).unwrap_or_default();
            let children: Vec<u32> = text.split_whitespace().flat_map(str::parse).collect();
            answers.extend(children.iter().filter_map(|&child| ask(child).ok()));
            parents.extend(children);
        }
    }
    Ok(answers)
}

fn tasks(pid: u32) -> io::Result<Vec<u32>> {
    let entries = fs::read_dir(format!("/proc/{pid}/task"))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// The first of three numbers: time on the CPU, in nanoseconds.
fn schedstat_nanos(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

fn status_memory(status: &str) -> Option<Memory> {
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib * 1024)
    };
    Some(Memory { rss_bytes: bytes("VmRSS")?, anonymous_bytes: bytes("RssAnon")? })
}

fn unreadable(process: u32, file: &str) -> io::Error {
    io::Error::other(format!("/proc/{process}/{file} is not as expected: has the process ended?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_on_the_cpu_is_the_first_number_of_schedstat() {
        assert_eq!(schedstat_nanos("60423 46036 2\n"), Some(60_423));
        assert_eq!(schedstat_nanos(""), None);
        assert_eq!(schedstat_nanos("x 1 2"), None);
    }

    #[test]
    fn memory_is_read_in_kib() {
        let status = "Name:\tx\nVmRSS:\t    3584 kB\nRssAnon:\t     512 kB\nRssFile:\t 3072 kB\n";
        let memory = Memory { rss_bytes: 3584 * 1024, anonymous_bytes: 512 * 1024 };
        assert_eq!(status_memory(status), Some(memory));
        assert_eq!(status_memory("VmRSS:\tmuch\n"), None);
    }

    #[test]
    fn we_are_a_process_that_uses_time_and_memory() {
        let me = std::process::id();
        let mut sum = 0_u64;
        for number in 0..2_000_000_u64 {
            sum = std::hint::black_box(sum.wrapping_add(number));
        }
        assert!(cpu_time(me).unwrap() > Duration::ZERO, "after adding up to {sum}");
        assert!(memory(me).unwrap().rss_bytes > 100_000);
        assert!(descriptors(me).unwrap() >= 3);
    }
}
