//! The unit files, against the options, the sample configuration, and systemd's own judgement.

#[macro_use]
#[allow(unused_macros, reason = "units are the same for every engine")]
mod support;
#[path = "../../server/tests/support/units.rs"]
#[allow(unreachable_pub, reason = "it is compiled into each file of tests")]
mod units;

use balancer::command_line::{self, Run};
use balancer::config::Config;
use std::ffi::OsString;
use std::path::Path;
use support::child::BINARY;
use units::{Unit, must_be_a_sandboxed_notifier, seconds, verify};

const PROGRAM: &str = "corelane-balancer";

#[test]
fn the_service_runs_with_options_that_exist_and_the_sample_as_its_file() {
    let unit = Unit::of_package("corelane-balancer.service");
    let commands = unit.commands(PROGRAM);
    assert_eq!(commands.len(), 2, "start, and the check of a reload: {commands:?}");
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/balancer.toml");
    for (n, words) in commands.into_iter().enumerate() {
        assert!(
            words.windows(2).any(|pair| pair == ["--config", "/etc/corelane/balancer.toml"]),
            "{words:?}"
        );
        let args = [PROGRAM.to_owned()].into_iter().chain(words).map(|word| {
            let is_file = word == "/etc/corelane/balancer.toml";
            if is_file { sample.clone().into_os_string() } else { OsString::from(word) }
        });
        let run = command_line::read(args).unwrap_or_else(|error| panic!("{error}"));
        assert!(matches!((n, &run), (0, Run::Serve(_)) | (1, Run::Check(_))), "{run:?}");
    }
}

#[test]
fn the_service_is_sandboxed_watched_and_given_time_to_drain() {
    let unit = Unit::of_package("corelane-balancer.service");
    must_be_a_sandboxed_notifier(&unit);
    let config = Config::for_one_pool(&["127.0.0.1:5000".parse().unwrap()]);
    assert!(seconds(unit.value("TimeoutStopSec")) > config.front.drain_timeout.as_secs());
}

#[test]
fn the_socket_is_the_one_that_the_balancer_listens_on_by_default() {
    let socket = Unit::of_package("corelane-balancer.socket");
    let config = Config::for_one_pool(&["127.0.0.1:5000".parse().unwrap()]);
    assert_eq!(socket.value("ListenStream"), config.listeners[0].address.to_string());
}

#[test]
fn systemd_understands_the_units() {
    let (service, socket) =
        (Unit::of_package("corelane-balancer.service"), Unit::of_package("corelane-balancer.socket"));
    let Some(output) = verify(&[&service, &socket], PROGRAM, BINARY) else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("corelane")).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
}
