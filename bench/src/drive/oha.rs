//! oha as the generator: one run of it, and what its JSON says.
//!
//! In: a server's address. Out: 200s per second. It checks no answer's body.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::Counted;
use crate::child::{Child, TempDir, find_in_path};
use crate::failure::Failure;
use crate::request::BODY;

/// Added to the asked duration before one that does not end is killed.
const GRACE: Duration = Duration::from_secs(10);

/// What was under way when the time was up, which is nobody's fault.
const AT_THE_END: &str = "aborted due to deadline";

/// oha, found, and with a place for its files.
#[derive(Debug)]
pub(crate) struct Oha {
    program: PathBuf,
    directory: TempDir,
    core: usize,
}

/// Where it is, or what brings it.
pub(crate) fn program() -> Result<PathBuf, Failure> {
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo/bin/oha"));
    find_in_path("oha")
        .or(home.filter(|program| program.is_file()))
        .ok_or_else(|| Failure::setup("oha is not there; install it: cargo install oha"))
}

impl Oha {
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
        let arguments = [
            "--no-tui".into(),
            "--output-format=json".into(),
            format!("-z{}ms", window.as_millis()),
            format!("-c{connections}"),
            "-mPOST".into(),
            "-Tapplication/json".into(),
            format!("-d{BODY}"),
            format!("http://{server}/add"),
        ];
        let output = self.directory.path().join("output");
        Child::start(&self.program, &arguments, &self.core.to_string(), &output)
    }

    /// Waits for its end, and reads what it counted.
    pub(crate) fn finish(&self, mut oha: Child, window: Duration) -> Result<Counted, Failure> {
        let text = oha.finish(window + GRACE).map_err(|failure| failure.of("oha"))?;
        parse(&text).ok_or_else(|| Failure::run(format!("oha printed no result, but: {}", text.trim())))
    }
}

fn parse(text: &str) -> Option<Counted> {
    let run: Value = serde_json::from_str(text.get(text.find('{')?..)?).ok()?;
    let seconds = run["summary"]["total"].as_f64().filter(|&seconds| seconds > 0.0)?;
    let count = |distribution: &str, fine: &str| {
        let all = run[distribution].as_object().into_iter().flatten();
        all.filter(|(name, _)| *name != fine).filter_map(|(_, count)| count.as_u64()).sum::<u64>()
    };
    let answers = run["statusCodeDistribution"]["200"].as_u64()?;
    let errors = count("statusCodeDistribution", "200") + count("errorDistribution", AT_THE_END);
    Some(Counted { per_second: answers as f64 / seconds, errors })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = r#"{
        "summary": { "successRate": 1.0, "total": 2.0, "slowest": 0.005, "requestsPerSec": 60064.0 },
        "statusCodeDistribution": { "200": 120000, "500": 3 },
        "errorDistribution": { "aborted due to deadline": 64, "connection closed": 1 }
    }"#;

    #[test]
    fn only_right_answers_count_and_the_end_is_no_error() {
        assert_eq!(parse(PRINTED), Some(Counted { per_second: 60_000.0, errors: 4 }));
    }

    #[test]
    fn output_without_a_whole_result_is_no_result() {
        for text in ["", "error: no such host", "{}", r#"{"summary":{"total":0.0}}"#] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
