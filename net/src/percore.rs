//! One thread per core, pinned: which cores, and what happens when one of the threads ends.
//!
//! In: a list of cores and a closure to run on each. Out: the lanes' results, in the order they end. A lane
//! that panics is a result too, so that its process can end at once: never a half-dead server.

use core_affinity::CoreId;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

/// Cores as given on the command line: `all`, or numbers and ranges as in `0,2-5`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cores {
    /// Every CPU that this process may use (its affinity mask, hence `taskset`, cpusets and `AllowedCPUs=`).
    #[default]
    All,
    /// These, ascending.
    List(Vec<usize>),
}

impl FromStr for Cores {
    type Err = String;

    fn from_str(text: &str) -> Result<Cores, String> {
        if text == "all" {
            return Ok(Cores::All);
        }
        let wrong = || format!("`{text}` is no list of cores: use `all`, or numbers and ranges as in 0,2-5");
        let number = |n: &str| n.parse::<u16>().map(usize::from).map_err(|_| wrong());
        let mut cores = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(format!("`{part}` counts down: write {last}-{first}"));
            }
            cores.extend(first..=last);
        }
        cores.sort_unstable();
        match cores.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("core {} is named twice: one lane per core", pair[0])),
            None => Ok(Cores::List(cores)),
        }
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cores::All => f.write_str("all"),
            Cores::List(cores) => f.write_str(&ranges(cores)),
        }
    }
}

impl Cores {
    /// The CPUs to run lanes on. Naming one that this process may not use is an error that names those it may.
    pub fn resolve(&self) -> Result<Vec<usize>, String> {
        let mut allowed: Vec<usize> = core_affinity::get_core_ids()
            .ok_or("can't read which CPUs this process may use (sched_getaffinity)")?
            .into_iter()
            .map(|core| core.id)
            .collect();
        allowed.sort_unstable();
        match self {
            Cores::All => Ok(allowed),
            Cores::List(cores) => match cores.iter().find(|core| !allowed.contains(core)) {
                Some(core) => {
                    Err(format!("core {core} isn't there: this process may use {}", ranges(&allowed)))
                }
                None => Ok(cores.clone()),
            },
        }
    }
}

/// `[0, 2, 3, 4]` as `0,2-4`.
fn ranges(cores: &[usize]) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for &core in cores {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == core => *last = core,
            _ => parts.push((core, core)),
        }
    }
    let part = |&(first, last): &(usize, usize)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    };
    parts.iter().map(part).collect::<Vec<_>>().join(",")
}

/// How one lane ended.
#[derive(Debug)]
pub enum Ended<T> {
    /// Its closure returned.
    Returned(T),
    /// Its closure panicked, with this message.
    Panicked(String),
}

/// Runs `lane(n, part)` on a thread pinned to `cores[n]`, for each `n` and its part of `parts`. `on_end(n, how it ended)` is
/// called on that thread.
pub fn run<P, T>(
    cores: &[usize],
    parts: Vec<P>,
    lane: impl Fn(usize, P) -> T + Send + Clone + 'static,
    on_end: impl Fn(usize, Ended<T>) + Send + Clone + 'static,
) -> io::Result<()>
where
    P: Send + 'static,
{
    for (number, (&core, part)) in cores.iter().zip(parts).enumerate() {
        let (lane, on_end) = (lane.clone(), on_end.clone());
        std::thread::Builder::new().name(format!("lane-{number}")).spawn(move || {
            if !core_affinity::set_for_current(CoreId { id: core }) {
                tracing::warn!(lane = number, core, "can't pin: the lane runs wherever the kernel puts it");
            }
            on_end(number, caught(|| lane(number, part)));
        })?;
    }
    Ok(())
}

/// Runs `run`, and catches its panic.
pub fn caught<T>(run: impl FnOnce() -> T) -> Ended<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(value) => Ended::Returned(value),
        Err(panic) => Ended::Panicked(message(&*panic)),
    }
}

/// What a panic said.
fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_cores_reads_like_a_cpuset() {
        assert_eq!("0,2-5".parse(), Ok(Cores::List(vec![0, 2, 3, 4, 5])));
        assert_eq!("7,1".parse::<Cores>().unwrap().to_string(), "1,7");
        assert_eq!("all".parse::<Cores>().unwrap(), Cores::All);
        for wrong in ["", "a", "1-", "-1", "3-1", "0,0", "1-3,2", "0;1", "99999"] {
            assert!(wrong.parse::<Cores>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_core_that_is_not_there_is_answered_with_those_that_are() {
        let allowed = Cores::All.resolve().unwrap();
        let error = Cores::List(vec![60_000]).resolve().unwrap_err();
        assert!(error.contains(&ranges(&allowed)), "{error}");
    }

    #[test]
    fn a_panic_on_a_lane_is_reported_like_any_other_end() {
        let cores = Cores::All.resolve().unwrap();
        let (report, reports) = std::sync::mpsc::channel();
        let lane = |n, part: &str| assert!(n > 0, "lane {n} is {part}");
        let on_end = move |lane, ended| report.send((lane, ended)).unwrap();
        run(&cores[..1], vec!["broken"], lane, on_end).unwrap();
        let (lane, ended) = reports.recv().unwrap();
        assert_eq!(lane, 0);
        assert!(matches!(ended, Ended::Panicked(why) if why == "lane 0 is broken"));
    }
}
