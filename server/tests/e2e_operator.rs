//! What an operator meets: mistakes that are said in one line, the environment, the file, the help.

#[macro_use]
mod support;

use net::address::Address;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use support::client::{Client, add, sum};
use support::server::{Scratch, Server, command, run_to_the_end};
use support::{eventually, one_core};

each_engine! {
    an_address_that_is_taken_is_one_line_and_exit_2
}

fn an_address_that_is_taken_is_one_line_and_exit_2(engine: &str) {
    let server = Server::start(engine, &[]);
    let (data, admin) = (server.address().to_string(), server.admin().to_string());
    for (options, names) in [
        (
            ["--listen", data.as_str(), "--admin", "off"],
            format!("listen on {data}: another process listens there"),
        ),
        (
            ["--listen", "127.0.0.1:0", "--admin", admin.as_str()],
            format!("--admin: listen on {admin}: another process"),
        ),
    ] {
        let ended = run_to_the_end(command().args(["--engine", engine]).args(options));
        assert_eq!(ended.code, Some(2));
        assert_eq!(ended.stdout, "", "it did not start");
        assert!(ended.stderr.contains(&names), "{}", ended.stderr);
        assert!(ended.stderr.contains("stop it, or choose another address"), "{}", ended.stderr);
        assert_eq!(ended.complaint().len(), 1, "{}", ended.stderr);
    }
    server.connect().must_serve();
}

#[test]
fn what_the_operator_got_wrong_is_said_in_one_line_and_ends_with_2() {
    let wrong_key = Scratch::with("wrong-key.toml", "no-such = 1\n");
    let wrong_value = Scratch::with("wrong-value.toml", "idle-timeout = \"30\"\n");
    let no_toml = Scratch::with("no.toml", "workers = [");
    for (options, says) in [
        (["--cores", "60000"], "core 60000 isn't there: this process may use "),
        (["--cores", "1-"], "`1-` is no list of cores"),
        (["--listen", "localhost:80"], "`localhost:80` is no address: use IP:PORT"),
        (["--listen", "192.0.2.1:80"], "no interface of this host has that address"),
        (["--listen", "unix:/nowhere/at/all"], "the directory of the socket doesn't exist"),
        (["--admin", "on"], "`on` is no address"),
        (["--engine", "warp"], "'warp' for '--engine <NAME>'; [possible values: auto"),
        (["--listne", "x"], "a similar argument exists: '--listen'"),
        (["--idle-timeout", "30"], "write a number and a unit, as in 500ms, 30s or 2min"),
        (["--body-max", "lots"], "`lots` is no size: write a number and a unit"),
        (["--workers", "0"], "'0' for '--workers <N>'"),
        (["--busy-poll", "1s"], "--busy-poll over 10ms only burns CPU"),
        (["--target-max", "20KiB"], "--target-max is larger than --head-max"),
        (["--config", "/nowhere/x.toml"], "/nowhere/x.toml: can't read it"),
        (["--config", wrong_key.as_str()], "there is no option `no-such`"),
        (["--config", wrong_value.as_str()], "idle-timeout"),
        (["--config", no_toml.as_str()], "line 1, column 12: unclosed array"),
        (["--no-such", "x"], "unexpected argument '--no-such'"),
    ] {
        let defaults = [["--listen", "127.0.0.1:0"], ["--admin", "127.0.0.1:0"]];
        let defaults = defaults.iter().filter(|[name, _]| *name != options[0]).flatten();
        let ended = run_to_the_end(command().args(defaults).args(options));
        let complaint = ended.complaint();
        assert_eq!(ended.code, Some(2), "{options:?}: {}", ended.stderr);
        assert_eq!(complaint.len(), 1, "{options:?}: {}", ended.stderr);
        assert!(complaint[0].contains(says), "{options:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{options:?}");
    }
}

#[test]
fn the_environment_and_the_file_are_read_like_the_command_line() {
    let file = Scratch::with(
        "options.toml",
        "listen = \"127.0.0.1:0\"\nadmin = \"off\"\nbody-max = \"1KiB\"\nhead-max = \"1KiB\"\n",
    );
    let mut command = command();
    command
        .env("CORELANE_CONFIG", file.as_str())
        .env("CORELANE_HEAD_MAX", "2KiB")
        .env("CORELANE_TARGET_MAX", "512B");
    let ended = run_to_the_end(command.args(["--check", "--body-max", "2KiB"]));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let shown =
        |key: &str| ended.stdout.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
    for (line, from) in [
        ("body-max = \"2KiB\"", "command line"),
        ("head-max = \"2KiB\"", "environment"),
        ("target-max = \"512B\"", "environment"),
        ("admin = \"off\"", "file"),
        ("idle-timeout = \"75s\"", "default"),
    ] {
        assert!(shown(line).ends_with(from), "{line}: {}", ended.stdout);
    }
}

#[test]
fn help_fits_a_screen_and_names_every_unit() {
    let ended = run_to_the_end(command().arg("--help"));
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(
        ended.stdout.contains("--drain-timeout") && ended.stdout.contains("CORELANE_"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.lines().count() <= 60, "{}", ended.stdout);
}

/// As behind `| head`: what it would log is lost, and nothing else.
#[test]
fn a_server_whose_readers_are_gone_serves_and_drains() {
    let mut server = command();
    server.args(["--listen", "127.0.0.1:0", "--admin", "off", "--cores", &one_core()]);
    let mut server = server.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut block = BufReader::new(server.stdout.take().expect("stdout is a pipe"));
    let mut line = String::new();
    while !line.contains("  listening ") {
        line.clear();
        assert_ne!(block.read_line(&mut line).expect("it says where it listens"), 0);
    }
    let address: Address = line.split_whitespace().last().expect("an address").parse().expect("an address");
    drop((block, server.stderr.take()));
    let client = Client::connect(&address);
    assert_eq!(client.expect("it accepts").ask(add(1, 2)).text(), sum(1, 2));
    let term = Command::new("sh").args(["-c", "kill -s TERM \"$0\"", &server.id().to_string()]).status();
    assert!(term.expect("sh").success());
    let mut ended = None;
    eventually("it ends", || {
        ended = server.try_wait().expect("a child can be waited for");
        ended.is_some()
    });
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
}

#[test]
fn the_engine_is_chosen_and_said() {
    let server = Server::start("auto", &["--cores", &one_core()]);
    let engine = server.block.lines().find(|line| line.contains("engine")).unwrap_or_default();
    assert!(engine.contains("uring (") || engine.contains("epoll ("), "{}", server.block);
    assert_eq!(server.connect().ask(add(1, 2)).text(), sum(1, 2));
}
