//! wrk as the generator: a script for it, one run of it, and what it reported.
//!
//! The script hands wrk the whole request (or 16 of them) before the clock starts, so that no Lua runs while it
//! measures; the result comes from a line that the script prints, not from wrk's text for people.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Counted, Shape};
use crate::child::{Child, TempDir};
use crate::failure::Failure;
use crate::field;
use crate::request::REQUEST;

/// Added to the asked duration before a wrk that does not end is killed.
const GRACE: Duration = Duration::from_secs(10);

const RESULT: &str = "corelane-bench";

/// Where it is, or what brings it.
pub(crate) fn program() -> Result<PathBuf, Failure> {
    field::installed("wrk", "wrk")
}

/// wrk takes whole seconds.
pub(crate) fn window(asked: Duration) -> Duration {
    Duration::from_secs(asked.as_secs_f64().ceil() as u64)
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
        Ok(Self { program: program()?, directory: TempDir::new()?, core })
    }

    /// Begins to drive a server, for whole seconds.
    pub(crate) fn start(&self, server: SocketAddr, shape: Shape, window: Duration) -> Result<Child, Failure> {
        let script = self.directory.path().join("script.lua");
        fs::write(&script, lua(shape.depth))?;
        let arguments = arguments(server, shape, window, &script);
        let output = self.directory.path().join("output");
        Child::start(&self.program, &arguments, &self.core.to_string(), &output)
    }

    /// Waits for its end, and reads what it counted.
    pub(crate) fn finish(&self, mut wrk: Child, window: Duration) -> Result<Counted, Failure> {
        let text = wrk.finish(window + GRACE).map_err(|failure| failure.of("wrk"))?;
        parse(&text).ok_or_else(|| Failure::run(format!("wrk printed no result, but: {}", text.trim())))
    }
}

fn arguments(server: SocketAddr, shape: Shape, window: Duration, script: &Path) -> Vec<String> {
    vec![
        "-t1".into(),
        format!("-c{}", shape.connections),
        format!("-d{}s", window.as_secs()),
        "-s".into(),
        script.display().to_string(),
        format!("http://{server}/add"),
    ]
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
    io.write(string.format(\"{RESULT} answers=%d duration_us=%d errors=%d\\n\",
        summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout))
end
"
    )
}

/// The line that the script prints, from anywhere in the output.
fn parse(text: &str) -> Option<Counted> {
    let line = text.lines().find_map(|line| line.strip_prefix(RESULT))?;
    let number = |name: &str| {
        let field = line.split_whitespace().find_map(|field| field.strip_prefix(name)?.strip_prefix('='))?;
        field.parse::<u64>().ok()
    };
    let seconds = number("duration_us").filter(|&us| us > 0)? as f64 / 1e6;
    Some(Counted { per_second: number("answers")? as f64 / seconds, errors: number("errors")? })
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
corelane-bench answers=209000 duration_us=1100000 errors=2
";

    #[test]
    fn the_result_is_one_line_among_others() {
        let counted = parse(PRINTED).unwrap();
        assert!((counted.per_second - 190_000.0).abs() < 1e-6);
        assert_eq!(counted.errors, 2);
    }

    #[test]
    fn output_without_a_whole_result_is_no_result() {
        assert_eq!(parse("unable to connect to 127.0.0.1:1 Connection refused\n"), None);
        assert_eq!(parse("corelane-bench answers=1 duration_us=0 errors=0"), None);
        assert_eq!(parse(PRINTED.trim_end_matches("errors=2\n")), None);
    }

    #[test]
    fn a_part_of_a_second_is_rounded_up() {
        assert_eq!(window(Duration::from_millis(300)), Duration::from_secs(1));
        assert_eq!(window(Duration::from_secs(3)), Duration::from_secs(3));
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
