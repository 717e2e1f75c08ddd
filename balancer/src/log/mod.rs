//! The access log: one line for each request, written off the lanes.
//!
//! In: entries from lanes, through a bounded queue. Out: lines. Never: a lane that waits; what doesn't fit is dropped and counted.

mod lines;

use crate::config::{AccessLog, LogFormat, LogTo};
use crate::fleet::{Fault, Server};
use net::time::UnixSeconds;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// Entries that wait for the writer: a hundredth of a second of a busy machine. A disk that is slower for longer loses some.
const ENTRIES_MAX: usize = 16 * 1024;

/// One request, at its end.
#[derive(Debug)]
pub struct Entry {
    /// When it ended.
    pub at: UnixSeconds,
    /// What was known at its beginning.
    pub asked: Asked,
    /// The status that the client got; 0: none.
    pub status: u16,
    /// Why it did not end with a whole response of a server.
    pub fault: Option<Fault>,
    /// Bytes of the request's content.
    pub request_bytes: u64,
    /// Bytes sent to the client, heads too.
    pub response_bytes: u64,
    /// The server that was tried last.
    pub server: Option<Arc<Server>>,
    /// Tries begun.
    pub tries: u32,
    /// From the request's head to the last try: waiting in a queue, connecting, failed tries.
    pub waited: Duration,
    /// From the last try to the head of its response.
    pub latency: Option<Duration>,
    /// From the request's head to the end of the response.
    pub total: Duration,
}

/// What a request says of itself.
#[derive(Debug)]
pub struct Asked {
    /// Who asks; `None` over a Unix socket.
    pub client: Option<IpAddr>,
    /// `GET`. Empty, as all the others, of a request whose head is none, or did not come whole.
    pub method: String,
    /// As it was sent.
    pub target: String,
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: &'static str,
    /// The host that is meant.
    pub host: String,
    /// The `User-Agent` field.
    pub user_agent: String,
    /// The `Referer` field.
    pub referer: String,
    /// The `X-Request-Id` that was passed on; empty if there is none.
    pub request_id: String,
}

/// A lane's end of the log.
#[derive(Clone)]
pub struct Log {
    /// Where entries go. Bounded; the writer has the other end.
    pub to: SyncSender<Box<Entry>>,
    /// The share of requests that are logged.
    pub sample: f64,
}

/// Has the log's file opened anew, after it was moved away.
#[derive(Clone, Debug, Default)]
pub struct Reopen(Arc<AtomicBool>);

impl Reopen {
    /// Before the next line.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_asked(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

/// Starts the writer, if there is to be a log.
///
/// # Errors
/// Its file can't be opened, or there is no thread to be had; for the operator.
pub fn start(config: &AccessLog, reopen: Reopen) -> Result<Option<Log>, String> {
    let Some(to) = config.to.clone() else { return Ok(None) };
    let mut sink = Sink::open(to)?;
    let (entries_in, entries) = sync_channel(ENTRIES_MAX);
    let format = config.format;
    let run = move || write_all(&entries, &mut sink, format, &reopen);
    let spawned = thread::Builder::new().name("access-log".to_owned()).spawn(run);
    spawned.map_err(|e| format!("start the access log's thread: {e}"))?;
    Ok(Some(Log { to: entries_in, sample: config.sample }))
}

/// Where lines go.
struct Sink {
    to: LogTo,
    out: BufWriter<Box<dyn Write + Send>>,
    /// The last line could not be written: said once, until one can.
    has_failed: bool,
}

impl Sink {
    fn open(to: LogTo) -> Result<Sink, String> {
        let out: Box<dyn Write + Send> = match &to {
            LogTo::Stdout => Box::new(io::stdout()),
            LogTo::File(path) => Box::new(append_to(path)?),
        };
        Ok(Sink { to, out: BufWriter::new(out), has_failed: false })
    }

    /// Opens the file again by its name; goes on with the old one if that fails.
    fn reopen(&mut self) {
        let _ = self.out.flush();
        match Sink::open(self.to.clone()) {
            Ok(new) => *self = new,
            Err(error) => tracing::error!("{error}; the access log goes on in the old file"),
        }
    }

    fn said(&mut self, written: io::Result<()>) {
        match written {
            Err(error) if !self.has_failed => {
                tracing::error!(%error, "the access log can't be written; lines are lost");
                self.has_failed = true;
            }
            Ok(()) => self.has_failed = false,
            Err(_) => {}
        }
    }
}

fn append_to(path: &Path) -> Result<File, String> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|e| format!("open the access log {}: {e}", path.display()))
}

/// Until every lane is gone. What came together is written together.
fn write_all(entries: &Receiver<Box<Entry>>, sink: &mut Sink, format: LogFormat, reopen: &Reopen) {
    let mut line = Vec::new();
    while let Ok(first) = entries.recv() {
        if reopen.is_asked() {
            sink.reopen();
        }
        for entry in std::iter::once(first).chain(entries.try_iter()) {
            line.clear();
            lines::write(&mut line, &entry, format);
            let written = sink.out.write_all(&line);
            sink.said(written);
        }
        let flushed = sink.out.flush();
        sink.said(flushed);
    }
}

#[cfg(test)]
mod tests;
