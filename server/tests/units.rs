//! The unit files, against the options, the sample configuration, and systemd's own judgement.

#[macro_use]
#[allow(unused_macros, reason = "units are the same for every engine")]
mod support;
#[path = "support/units.rs"]
#[allow(unreachable_pub, reason = "it is compiled into each file of tests")]
mod units;

use server::options::{self, Options};
use std::ffi::OsString;
use std::path::Path;
use support::server::BINARY;
use units::{Unit, must_be_a_sandboxed_notifier, seconds, verify};

const PROGRAM: &str = "corelane-server";

#[test]
fn the_service_runs_with_options_that_exist_and_the_sample_as_its_file() {
    let unit = Unit::of_package("corelane-server.service");
    let commands = unit.commands(PROGRAM);
    assert_eq!(commands.len(), 2, "start, and the check of a reload: {commands:?}");
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/corelane.toml");
    for words in commands {
        assert!(words.windows(2).any(|pair| pair == ["--config", "/etc/corelane/server.toml"]), "{words:?}");
        let args = [PROGRAM.to_owned()].into_iter().chain(words).map(|word| {
            let is_file = word == "/etc/corelane/server.toml";
            if is_file { sample.clone().into_os_string() } else { OsString::from(word) }
        });
        Options::read(args.collect::<Vec<_>>()).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn the_service_is_sandboxed_watched_and_given_time_to_drain() {
    let unit = Unit::of_package("corelane-server.service");
    must_be_a_sandboxed_notifier(&unit);
    let command = options::command_line();
    let default = |name: &str| {
        let option = command.get_arguments().find(|option| option.get_long() == Some(name)).expect(name);
        seconds(&option.get_default_values()[0].to_string_lossy())
    };
    assert!(seconds(unit.value("TimeoutStopSec")) > default("drain-delay") + default("drain-timeout"));
}

#[test]
fn the_socket_is_the_one_that_the_server_listens_on_by_default() {
    let socket = Unit::of_package("corelane-server.socket");
    let command = options::command_line();
    let listen = command.get_arguments().find(|option| option.get_long() == Some("listen")).expect("listen");
    let default: Vec<_> = listen.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    assert_eq!(socket.values("ListenStream"), default);
}

#[test]
fn systemd_understands_the_units() {
    let (service, socket) =
        (Unit::of_package("corelane-server.service"), Unit::of_package("corelane-server.socket"));
    let Some(output) = verify(&[&service, &socket], PROGRAM, BINARY) else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("corelane")).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
}
