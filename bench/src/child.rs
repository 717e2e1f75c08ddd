//! Other programs: started on a core, bounded in time, ended on every way out.
//!
//! Three nets: dropping a `Child` kills its process group; Ctrl-C and SIGTERM only set a flag, so that the drops
//! happen; and should we be killed outright, the kernel ends the child (`setpriv --pdeathsig`).

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process_group, set_child_subreaper, waitpgid};

use crate::failure::Failure;

/// How often a waiting loop looks: short beside a run of seconds, long beside the CPU time of a look.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A server that has not accepted by then will not.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// A running program, in a process group of its own, that does not outlive this value.
#[derive(Debug)]
pub(crate) struct Child {
    process: process::Child,
    group: Pid,
    /// Where its standard output and error go: a file, because nobody reads along and a pipe would fill up.
    output: PathBuf,
}

impl Child {
    /// Starts a program that may use these cores and no others (a list as taskset takes it).
    pub(crate) fn start(
        program: &Path,
        arguments: &[String],
        cores: &str,
        output: &Path,
    ) -> Result<Self, Failure> {
        become_reaper();
        let file = File::create(output)?;
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "taskset", "-c", cores])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .map_err(|error| {
                Failure::setup(format!("cannot run setpriv and taskset (Debian package util-linux): {error}"))
            })?;
        let group = Pid::from_child(&process);
        Ok(Self { process, group, output: output.into() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Everything it has printed so far.
    pub(crate) fn printed(&self) -> String {
        fs::read(&self.output).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Waits until it accepts connections.
    pub(crate) fn wait_ready(&mut self, address: SocketAddr) -> Result<(), Failure> {
        let deadline = Instant::now() + READY_WITHIN;
        while TcpStream::connect_timeout(&address, READY_WITHIN).is_err() {
            if let Some(status) = self.process.try_wait()? {
                return Err(Failure::run(format!("ended at once ({status}): {}", self.printed().trim())));
            }
            if Instant::now() > deadline {
                return Err(Failure::run(format!(
                    "does not accept on {address} after {} s: {}",
                    READY_WITHIN.as_secs(),
                    self.printed().trim()
                )));
            }
            pause(LOOK_EVERY)?;
        }
        Ok(())
    }

    /// Waits for its end, and returns what it printed; an end that is no success, or too late, is a failure.
    pub(crate) fn finish(&mut self, within: Duration) -> Result<String, Failure> {
        self.finish_with(within, &[0])
    }

    /// As `finish`, where these exit codes are as good as success.
    pub(crate) fn finish_with(&mut self, within: Duration, fine: &[i32]) -> Result<String, Failure> {
        let deadline = Instant::now() + within;
        loop {
            match self.process.try_wait()? {
                Some(status) if status.code().is_some_and(|code| fine.contains(&code)) => {
                    return Ok(self.printed());
                }
                Some(status) => return Err(Failure::run(format!("{status}: {}", self.printed().trim()))),
                None if Instant::now() > deadline => {
                    return Err(Failure::run(format!("still running after {} s", within.as_secs())));
                }
                None => pause(LOOK_EVERY)?,
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Killed, not asked: a drain is not what is measured here. Errors mean that it is gone already.
        let _ = kill_process_group(self.group, Signal::KILL);
        let _ = self.process.wait();
        // Its own children (nginx has one) have become ours, see `become_reaper`.
        while waitpgid(self.group, WaitOptions::empty()).is_ok_and(|ended| ended.is_some()) {}
    }
}

/// Orphans below this process come to it, not to init, so that no process and no zombie is left behind even where
/// init does not reap (containers).
fn become_reaper() {
    // An error leaves things as they are everywhere else.
    let _ = set_child_subreaper(Some(getpid()));
}

/// A directory that goes away with this value.
#[derive(Debug)]
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> io::Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("corelane-bench-{}-{number}", process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A loopback address that the kernel says is free. Somebody could take it before its server does; that start
/// then fails with a message instead of measuring the wrong server.
pub(crate) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// A program in `PATH`, or in the directories where Debian keeps servers.
pub(crate) fn find_in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

/// Sleeps, unless the user wants to stop.
pub(crate) fn pause(time: Duration) -> Result<(), Failure> {
    check_stopped()?;
    thread::sleep(time);
    check_stopped()
}

/// A failure as soon as SIGINT or SIGTERM has arrived.
pub(crate) fn check_stopped() -> Result<(), Failure> {
    if stop_flag().load(Ordering::Relaxed) { Err(Failure::Stopped) } else { Ok(()) }
}

/// From the first call on, SIGINT and SIGTERM set the flag and do nothing else.
pub(crate) fn stop_flag() -> &'static AtomicBool {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    FLAG.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // Without the handler the signal kills us, and `pdeathsig` still ends the children.
            let _ = signal_hook::flag::register(signal, flag.clone());
        }
        flag
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_does_not_outlive_its_value() {
        let directory = TempDir::new().unwrap();
        let sleep = find_in_path("sleep").unwrap();
        let child = Child::start(&sleep, &["60".into()], "0", &directory.path().join("sleep")).unwrap();
        let pid = child.pid();
        assert!(Path::new(&format!("/proc/{pid}")).exists());
        drop(child);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn a_child_that_fails_hands_over_what_it_printed() {
        let directory = TempDir::new().unwrap();
        let sh = find_in_path("sh").unwrap();
        let script = ["-c".into(), "echo no luck; exit 3".into()];
        let mut child = Child::start(&sh, &script, "0", &directory.path().join("sh")).unwrap();
        let failure = child.finish(Duration::from_secs(5)).unwrap_err();
        assert!(failure.to_string().contains("no luck"));
    }
}
