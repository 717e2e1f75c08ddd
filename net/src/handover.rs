//! A process starts its program anew and leaves the listeners to it: an upgrade during which nobody is refused.
//!
//! ```text
//!   predecessor                                   launcher, successor
//!   SIGUSR2: starts the same command line  ─────▶ starts it once more, and ends
//!            what should be known          ─────▶ adopts the sockets
//!            both accept from the same sockets    each lane has turned once
//!            tells the service manager     ◀───── "ready"
//!            closes the channel            ─────▶ is the service
//!            drains, and ends
//! ```
//!
//! The launcher is there so that the successor is an orphan, whom the service manager adopts: systemd doesn't wait for a main process that is
//! another's child, and would kill it instead of letting it drain.
//!
//! In: listeners, and bytes that the successor should know. Out: a process that serves, or why there is none; then everything is as before.
//! The channel is the successor's stdin, so that no path or port is needed, and nobody else can ask for the listeners.

use crate::listen::Handle;
use crate::service::Failure;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Tells the successor of its sockets: for each descriptor, whose it is.
const VARIABLE: &str = "CORELANE_HANDOVER";
/// Its first word for the launcher.
const LAUNCH: &str = "launch ";
/// What the successor says first, before its process number.
const HELLO: &[u8] = b"corelane";
/// What it says when it serves.
const READY: &[u8] = b"ready";
/// A successor that says nothing for so long is given up. It only has to start its threads.
const PATIENCE: Duration = Duration::from_secs(60);
/// Variables that are about the predecessor's process.
const NOT_PASSED: [&str; 4] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_PID"];

/// Starts the program anew, with `handles`' sockets and `knowledge`. Once it serves, `replaced_by` gets its process number; it is the service
/// when that returns.
///
/// From the call on, the sockets are lent: whatever happens to this process, they are not ended. If there is no successor they are as before.
///
/// # Errors
/// Why there is no successor: this process goes on.
pub fn hand_over(handles: &[Handle], knowledge: &[u8], replaced_by: impl FnOnce(u32)) -> Result<(), String> {
    let lent: Vec<bool> = handles.iter().map(Handle::is_lent).collect();
    let sockets = handles.iter().zip(&lent).filter_map(|(handle, lent)| Some((handle.inheritable()?, *lent)));
    let sockets: io::Result<Vec<(OwnedFd, bool)>> =
        sockets.map(|(socket, is_lent)| Ok((socket?, is_lent))).collect();
    let sockets = sockets.map_err(|error| format!("duplicate a listening socket: {error}"))?;
    handles.iter().for_each(|handle| handle.lend(true));
    let started =
        start(&sockets).and_then(|(child, channel)| Ok((succeed(child, &channel, knowledge)?, channel)));
    match started {
        Ok((process, channel)) => {
            replaced_by(process);
            drop(channel);
            Ok(())
        }
        Err(why) => {
            handles.iter().zip(lent).for_each(|(handle, is_lent)| handle.lend(is_lent));
            Err(why)
        }
    }
}

/// Starts a launcher.
fn start(sockets: &[(OwnedFd, bool)]) -> Result<(Child, UnixStream), String> {
    let (own, other) = UnixStream::pair().map_err(|error| format!("make a channel: {error}"))?;
    let variable = LAUNCH.to_owned() + &variable(sockets);
    let mut command = again()?;
    command.stdin(Stdio::from(OwnedFd::from(other))).env(VARIABLE, variable);
    for name in NOT_PASSED {
        command.env_remove(name);
    }
    let launcher = command.spawn();
    Ok((launcher.map_err(|error| format!("start {}: {error}", command.get_program().display()))?, own))
}

/// This process' command line, from the same path: what lies there now may be another version.
fn again() -> Result<Command, String> {
    let mut args = std::env::args_os();
    let mut command = Command::new(args.next().ok_or("this process doesn't know how it was started")?);
    command.args(args);
    Ok(command)
}

/// Waits until the successor serves, and returns its process number; one that doesn't is ended.
fn succeed(mut launcher: Child, channel: &UnixStream, knowledge: &[u8]) -> Result<u32, String> {
    let mut successor = None;
    let why = match talk(channel, knowledge, &mut successor) {
        Ok(process) => {
            // It has ended by now; when it has been waited for, the successor has another parent.
            let _ = launcher.wait();
            return Ok(process);
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            // Whoever has said what a successor says is one, and lives.
            if let Some(process) = successor.and_then(|process| Pid::from_raw(i32::try_from(process).ok()?)) {
                // It may just have ended.
                let _ = kill_process(process, Signal::KILL);
            }
            format!("it did not serve within {PATIENCE:?}")
        }
        Err(error) => format!("it ended before it served ({error})"),
    };
    // It may have ended by itself, which says more.
    let ended = launcher.try_wait().ok().flatten();
    let _ = launcher.kill();
    let ended = ended.or_else(|| launcher.wait().ok()).filter(|status| !status.success());
    Err(ended.map_or(why.clone(), |status| format!("{why}: {status}")))
}

/// The predecessor's side of the channel. `successor` is set as soon as it says who it is.
fn talk(mut channel: &UnixStream, knowledge: &[u8], successor: &mut Option<u32>) -> io::Result<u32> {
    channel.set_write_timeout(Some(PATIENCE))?;
    channel.set_read_timeout(Some(PATIENCE))?;
    channel.write_all(&(knowledge.len() as u64).to_le_bytes())?;
    channel.write_all(knowledge)?;
    expect(channel, HELLO)?;
    let mut process = [0; 4];
    channel.read_exact(&mut process)?;
    let process = u32::from_le_bytes(process);
    *successor = Some(process);
    expect(channel, READY)?;
    Ok(process)
}

fn expect(mut channel: &UnixStream, words: &[u8]) -> io::Result<()> {
    let mut said = vec![0; words.len()];
    channel.read_exact(&mut said)?;
    if said == words { Ok(()) } else { Err(io::Error::other("what was started there is another program")) }
}

/// `7=own 8=lent`.
fn variable(sockets: &[(OwnedFd, bool)]) -> String {
    let one = |(socket, is_lent): &(OwnedFd, bool)| {
        format!("{}={}", socket.as_raw_fd(), if *is_lent { "lent" } else { "own" })
    };
    sockets.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// A launcher's part: starts the successor and ends the process. In any other process, nothing.
///
/// # Errors
/// There is no successor.
pub fn launch() -> Result<(), Failure> {
    let text = std::env::var(VARIABLE).unwrap_or_default();
    let Some(variable) = text.strip_prefix(LAUNCH) else { return Ok(()) };
    let mut command = again().map_err(Failure::CannotStart)?;
    let started = command.env(VARIABLE, variable).spawn();
    started.map_err(Failure::to(format_args!("start {}", command.get_program().display())))?;
    std::process::exit(0)
}

/// The descriptors that the predecessor has left, each with a name and whether somebody beside us goes on with it. `None`: there is no
/// predecessor.
pub(crate) fn passed() -> io::Result<Option<Vec<(RawFd, String, bool)>>> {
    let Some(text) = std::env::var_os(VARIABLE) else { return Ok(None) };
    let text = text.to_string_lossy();
    let one = |word: &str| {
        let (number, whose) = word.split_once('=')?;
        Some((number.parse().ok()?, format!("descriptor {number}"), whose == "lent"))
    };
    let wrong =
        || io::Error::other(format!("{VARIABLE} is for processes that replace others, and not `{text}`"));
    text.split(' ').map(one).collect::<Option<Vec<_>>>().map(Some).ok_or_else(wrong)
}

/// The process that this one replaces.
pub struct Predecessor {
    channel: UnixStream,
}

impl Predecessor {
    /// It, if there is one, and what it wants known.
    ///
    /// # Errors
    /// It has gone silent.
    pub fn find() -> io::Result<Option<(Predecessor, Vec<u8>)>> {
        if passed()?.is_none() {
            return Ok(None);
        }
        let mut channel = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        channel.set_read_timeout(Some(PATIENCE))?;
        channel.write_all(HELLO)?;
        channel.write_all(&std::process::id().to_le_bytes())?;
        let mut len = [0; 8];
        channel.read_exact(&mut len)?;
        let len = u64::from_le_bytes(len);
        let mut knowledge = Vec::new();
        Read::take(&channel, len).read_to_end(&mut knowledge)?;
        if knowledge.len() as u64 != len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some((Predecessor { channel }, knowledge)))
    }

    /// Tells it that this process serves, and waits until it has stepped back.
    pub(crate) fn follow(mut self) {
        // If it is gone, this process is all there is.
        let told = self.channel.write_all(READY);
        let waited = told.and_then(|()| self.channel.read(&mut [0]));
        if let Err(error) = waited {
            tracing::warn!(%error, "the process that was replaced is gone");
        }
    }
}
