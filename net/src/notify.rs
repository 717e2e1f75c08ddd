//! What the service manager is told (sd_notify(3)), and what it asks for.
//!
//! In: a state of the service. Out: a datagram to the socket in `NOTIFY_SOCKET`; nothing, where there is none. Never: a failure of the
//! service because nobody listens.

use sd_notify::NotifyState;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// Whether there is a service manager that wants to be told.
pub fn is_wanted() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Whether what is written to stderr goes to the journal, which has the time of each line itself (systemd.exec(5), `$JOURNAL_STREAM`).
pub fn logs_to_journal() -> bool {
    let (journal, stderr) = (std::env::var("JOURNAL_STREAM"), std::fs::metadata("/proc/self/fd/2"));
    matches!((journal, stderr), (Ok(journal), Ok(stderr)) if journal == format!("{}:{}", stderr.dev(), stderr.ino()))
}

/// How often it wants to hear that all is well, at the latest (`WatchdogSec=`).
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|period| !period.is_zero() && is_wanted())
}

/// Everything serves; or: the reload is done.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is being read again. To be followed by [`ready`].
pub fn reloading() {
    // `Type=notify-reload` wants to know when it began, so that it can tell an old message from a new one.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => complain(&error),
    }
}

/// It is ending, and needs another `patience` for that.
pub fn stopping(patience: Duration) {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining"), extend(patience)]);
}

/// It is still ending, and needs another `patience`.
pub fn still_stopping(patience: Duration, status: &str) {
    tell(&[extend(patience), NotifyState::Status(status)]);
}

/// How it is, in a line.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// All is well.
pub fn feed_watchdog() {
    tell(&[NotifyState::Watchdog]);
}

/// Another process is the service from now on, and serves.
pub fn main_is(process: u32) {
    tell(&[NotifyState::MainPid(process), NotifyState::Ready]);
}

fn extend(patience: Duration) -> NotifyState<'static> {
    NotifyState::ExtendTimeoutUsec(u32::try_from(patience.as_micros()).unwrap_or(u32::MAX))
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        complain(&error);
    }
}

/// The service is fine; it is the manager that hears nothing.
fn complain(error: &io::Error) {
    tracing::debug!(%error, "the service manager can't be told");
}
