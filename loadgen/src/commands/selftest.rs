//! `selftest`: proof that the tool tells the truth on this machine.

use super::{Exit, output};
use crate::job::Failure;
use crate::options::SelftestOptions;
use crate::selftest::{Finding, Place, Result, prove};
use std::sync::atomic::AtomicBool;

pub(super) fn act(options: &SelftestOptions, stop: &AtomicBool) -> std::result::Result<Exit, Failure> {
    let probe = options.engine.resolve().map_err(|e| Failure::CannotRun(e.to_string()))?;
    let place = Place::new(&options.cores, probe.engine)?;
    output::print(&format!(
        "corelane-loadgen {} proves itself: engine {}, lane on core {}, target on core {}\n",
        env!("CARGO_PKG_VERSION"),
        place.engine,
        place.core,
        place.target_core
    ))?;
    let mut printed = Ok(());
    let tell = |finding: &Finding| {
        if printed.is_ok() {
            printed = output::print(&line(finding));
        }
    };
    let findings = prove(&place, options.quick, stop, tell)?;
    printed?;
    let failed = findings.iter().filter(|finding| finding.result == Result::Fail).count();
    let proved = findings.iter().filter(|finding| finding.result == Result::Pass).count();
    if failed > 0 {
        output::print(&format!("{failed} failed: don't believe measurements that are made here\n"))?;
        return Ok(Exit::Invalid);
    }
    output::print(&format!("all {proved} as known beforehand\n"))?;
    Ok(Exit::Fine)
}

fn line(finding: &Finding) -> String {
    let word = match finding.result {
        Result::Pass => "pass",
        Result::Fail => "FAIL",
        Result::Measured => "  is",
    };
    format!("  {word}  {:<20} {}\n", finding.name, finding.found)
}
