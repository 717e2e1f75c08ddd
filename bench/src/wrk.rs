//! wrk as the generator: a script for it, one run of it, and what it reported.
//!
//! The script hands wrk the whole request (or 16 of them) before the clock starts, so that no Lua runs while it
//! measures; the result comes from a line that the script prints, not from wrk's text for people.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::child::{Child, TempDir, find_in_path};
use crate::failure::Failure;
use crate::request::REQUEST;

/// Added to the asked duration before a wrk that does not end is killed.
const GRACE: Duration = Duration::from_secs(10);

const RESULT: &str = "corelane-bench";

/// How hard, and how deep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) connections: u32,
    /// Requests sent at once on a connection, before their answers.
    pub(crate) depth: u32,
}

impl std::fmt::Display for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.depth {
            1 => write!(f, "{}", self.connections),
            depth => write!(f, "{} × {depth}", self.connections),
        }
    }
}

/// What wrk counted. `answers` counts each of a pipelined batch.
///
/// With pipelining the percentiles mean nothing: wrk fills in the waits that a slow answer hid from it, and takes
/// the pace for that from the answers, where its clock ran once per batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) answers: u64,
    pub(crate) duration_us: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    /// Connections that failed, and answers that were no 2xx or 3xx or came after 2 s.
    pub(crate) errors: u64,
}

impl Outcome {
    pub(crate) fn per_second(&self) -> f64 {
        self.answers as f64 / (self.duration_us as f64 / 1e6)
    }
}

/// wrk, found and with a place for its files.
#[derive(Debug)]
pub(crate) struct Wrk {
    program: PathBuf,
    directory: TempDir,
    core: usize,
}

impl Wrk {
    pub(crate) fn find(core: usize) -> Result<Self, Failure> {
        let program = find_in_path("wrk")
            .ok_or_else(|| Failure::setup("wrk is not there; install it: apt-get install wrk"))?;
        Ok(Self { program, directory: TempDir::new()?, core })
    }

    /// Drives a server for some seconds.
    pub(crate) fn drive(&self, server: SocketAddr, load: Load, seconds: u64) -> Result<Outcome, Failure> {
        let wrk = self.start(server, load, seconds)?;
        self.finish(wrk, seconds)
    }

    /// Begins to drive a server.
    pub(crate) fn start(&self, server: SocketAddr, load: Load, seconds: u64) -> Result<Child, Failure> {
        let script = self.directory.path().join("script.lua");
        fs::write(&script, lua(load.depth))?;
        let arguments = self.arguments(server, load, seconds, &script);
        let output = self.directory.path().join("output");
        Child::start(&self.program, &arguments, &self.core.to_string(), &output)
    }

    /// Waits for its end, and reads what it counted.
    pub(crate) fn finish(&self, mut wrk: Child, seconds: u64) -> Result<Outcome, Failure> {
        let text = wrk.finish(Duration::from_secs(seconds) + GRACE).map_err(|failure| failure.of("wrk"))?;
        parse(&text).ok_or_else(|| Failure::run(format!("wrk printed no result, but: {}", text.trim())))
    }

    fn arguments(&self, server: SocketAddr, load: Load, seconds: u64, script: &Path) -> Vec<String> {
        vec![
            "-t1".into(),
            format!("-c{}", load.connections),
            format!("-d{seconds}s"),
            "-s".into(),
            script.display().to_string(),
            format!("http://{server}/add"),
        ]
    }
}

/// A script that sends `depth` requests at a time.
///
/// wrk calls `init` first, and then `wrk.format` once for the request that it repeats from then on.
fn lua(depth: u32) -> String {
    // Rust's escapes for CR, LF and the quote are Lua's too.
    format!(
        "local batch = string.rep({REQUEST:?}, {depth})

function init(args)
    wrk.format = function() return batch end
end

function done(summary, latency)
    local e = summary.errors
    io.write(string.format(\"{RESULT} answers=%d duration_us=%d p50_us=%d p99_us=%d errors=%d\\n\",
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        e.connect + e.read + e.write + e.status + e.timeout))
end
"
    )
}

/// The line that the script prints, from anywhere in the output.
fn parse(text: &str) -> Option<Outcome> {
    let line = text.lines().find_map(|line| line.strip_prefix(RESULT))?;
    let number = |name: &str| {
        let field = line.split_whitespace().find_map(|field| field.strip_prefix(name)?.strip_prefix('='))?;
        field.parse().ok()
    };
    Some(Outcome {
        answers: number("answers")?,
        duration_us: number("duration_us").filter(|&us| us > 0)?,
        p50_us: number("p50_us")?,
        p99_us: number("p99_us")?,
        errors: number("errors")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "Running 1s test @ http://127.0.0.1:35781/add
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   324.27us   89.58us   5.13ms   96.06%
    Req/Sec   190.00k     1.20k  191.10k    90.00%
  209000 requests in 1.10s, 23.52MB read
Requests/sec: 190000.00
Transfer/sec:     21.38MB
corelane-bench answers=209000 duration_us=1100000 p50_us=315 p99_us=561 errors=2
";

    #[test]
    fn the_result_is_one_line_among_others() {
        let outcome = parse(PRINTED).unwrap();
        let expected =
            Outcome { answers: 209_000, duration_us: 1_100_000, p50_us: 315, p99_us: 561, errors: 2 };
        assert_eq!(outcome, expected);
        assert!((outcome.per_second() - 190_000.0).abs() < 1e-6);
    }

    #[test]
    fn output_without_a_whole_result_is_no_result() {
        assert_eq!(parse("unable to connect to 127.0.0.1:1 Connection refused\n"), None);
        assert_eq!(parse("corelane-bench answers=1 duration_us=0 p50_us=1 p99_us=1 errors=0"), None);
        assert_eq!(parse(PRINTED.trim_end_matches("errors=2\n")), None);
    }

    #[test]
    fn the_script_carries_the_request_as_lua_reads_it() {
        let script = lua(16);
        assert!(
            script.starts_with("local batch = string.rep(\"POST /add HTTP/1.1\\r\\nHost: localhost\\r\\n")
        );
        assert!(script.contains("{\\\"a\\\":1,\\\"b\\\":2}\", 16)"));
    }
}
