//! h2load as the generator, in its HTTP/1.1 mode: one run of it, and what it printed.
//!
//! In: a server's address. Out: 2xx answers per second. It checks no answer's body.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::Counted;
use crate::child::{Child, TempDir};
use crate::failure::Failure;
use crate::field;
use crate::request::BODY;

/// Added to the asked duration before one that does not end is killed.
const GRACE: Duration = Duration::from_secs(10);

/// h2load, found, and with a place for its files.
#[derive(Debug)]
pub(crate) struct H2load {
    program: PathBuf,
    directory: TempDir,
    core: usize,
}

/// Where it is, or what brings it.
pub(crate) fn program() -> Result<PathBuf, Failure> {
    field::installed("h2load", "nghttp2-client")
}

impl H2load {
    pub(crate) fn find(core: usize) -> Result<Self, Failure> {
        Ok(Self { program: program()?, directory: TempDir::new()?, core })
    }

    /// Begins to drive a server.
    pub(crate) fn start(
        &self,
        server: SocketAddr,
        connections: u32,
        window: Duration,
    ) -> Result<Child, Failure> {
        let body = self.directory.path().join("body");
        fs::write(&body, BODY)?;
        let arguments = [
            "--h1".into(),
            "-t1".into(),
            format!("-c{connections}"),
            format!("-D{}ms", window.as_millis()),
            format!("-d{}", body.display()),
            "-Hcontent-type: application/json".into(),
            format!("http://{server}/add"),
        ];
        let output = self.directory.path().join("output");
        Child::start(&self.program, &arguments, &self.core.to_string(), &output)
    }

    /// Waits for its end, and reads what it printed.
    pub(crate) fn finish(&self, mut h2load: Child, window: Duration) -> Result<Counted, Failure> {
        let text = h2load.finish(window + GRACE).map_err(|failure| failure.of("h2load"))?;
        parse(&text, window)
            .ok_or_else(|| Failure::run(format!("h2load printed no result, but: {}", text.trim())))
    }
}

/// Its own requests per second count what failed, too; so the answers are counted by their status.
fn parse(text: &str, window: Duration) -> Option<Counted> {
    let numbers = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split(',').filter_map(|part| {
            let (number, name) = part.trim().split_once(' ')?;
            Some((name.to_owned(), number.parse::<u64>().ok()?))
        }))
    };
    let of =
        |line: &str, name: &str| numbers(line)?.find_map(|(found, number)| (found == name).then_some(number));
    let answers = of("status codes:", "2xx")?;
    let others = ["3xx", "4xx", "5xx"].map(|class| of("status codes:", class).unwrap_or(0));
    let errors = of("requests:", "failed")? + others.iter().sum::<u64>();
    Some(Counted { per_second: answers as f64 / window.as_secs_f64(), errors })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "starting benchmark...
spawning thread #0: 64 total client(s). Timing-based test with 0s of warm-up time and 2s of main duration for measurements.
Application protocol: http/1.1

finished in 2.00s, 190210.50 req/s, 21.77MB/s
requests: 380421 total, 380485 started, 380421 done, 380420 succeeded, 1 failed, 1 errored, 0 timeout
status codes: 380420 2xx, 0 3xx, 0 4xx, 2 5xx
traffic: 43.54MB (45650400) total, 26.12MB (27390240) headers (space savings 0.00%), 4.35MB (4565040) data
                     min         max         mean         sd        +/- sd
time for request:       71us      5.27ms       335us        90us    93.03%
";

    #[test]
    fn answers_are_counted_by_their_status() {
        let counted = parse(PRINTED, Duration::from_secs(2)).unwrap();
        assert_eq!(counted, Counted { per_second: 190_210.0, errors: 3 });
    }

    #[test]
    fn output_without_a_whole_result_is_no_result() {
        let window = Duration::from_secs(1);
        assert_eq!(parse("", window), None);
        assert_eq!(parse("status codes: 5 2xx, 0 3xx, 0 4xx, 0 5xx\n", window), None);
    }
}
