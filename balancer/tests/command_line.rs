//! Flags for one pool, a file for many, or a question to a balancer that runs; never two ways at once.

use balancer::command_line::{self, Ask, Run, Serve};
use balancer::config::{Balance, Config, Process};
use balancer::control::Admin;
use net::address::Address;
use net::command_line::one_line;
use net::percore::Cores;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn flags_make_one_pool_with_all_else_by_default() {
    let serve = serve(&["--server", "127.0.0.1:5000", "--server", "unix:/run/a.sock"]);
    assert_eq!(serve.config, Config::for_one_pool(&[address("127.0.0.1:5000"), address("unix:/run/a.sock")]));
    assert_eq!(serve.process, Process::default());
    assert_eq!(serve.source.load(), Ok(serve.config), "flags say the same at a reload");
    assert_eq!(serve.source.path(), None);
}

#[test]
fn each_flag_sets_what_it_says() {
    let serve = serve(&[
        "--listen=127.0.0.1:1,unix:/l",
        "--server=127.0.0.1:5000,weight=2,maxconn=100,name=a 127.0.0.1:5001",
        "--balance=two-choices",
        "--health-check=/healthz",
        "--check-interval=300ms",
        "--accept-proxy",
        "--trusted-proxy=10.0.0.0/8,192.0.2.1",
        "--admin=none",
        "--cores=0,2",
        "--engine=auto",
        "--busy-poll=50us",
        "--log=debug",
    ]);
    let Config { listeners, pools, forward, .. } = &serve.config;
    let listeners: Vec<_> = listeners
        .iter()
        .map(|each| (each.address.to_string(), each.accept_proxy, each.default_pool))
        .collect();
    assert_eq!(listeners, [("127.0.0.1:1".to_owned(), true, Some(0)), ("unix:/l".to_owned(), true, Some(0))]);
    let [a, b] = &pools[0].servers[..] else { panic!("{pools:?}") };
    assert_eq!((a.name.as_str(), a.weight, a.maxconn), ("a", 2, Some(100)));
    assert_eq!((b.name.as_str(), b.weight, b.maxconn), ("127.0.0.1:5001", 1, None));
    assert_eq!(pools[0].balance, Balance::TwoChoices);
    let check = pools[0].check.as_ref().unwrap();
    assert_eq!((check.path.as_deref(), check.interval), (Some("/healthz"), Duration::from_millis(300)));
    assert_eq!(check.fast_interval, Duration::from_millis(300));
    assert_eq!(forward.trusted_proxies.len(), 2);
    let Process { admin, cores, busy_poll, log, .. } = serve.process;
    assert_eq!((admin, busy_poll, log), (None, Some(Duration::from_micros(50)), tracing::Level::DEBUG));
    assert_eq!(cores, Cores::List(vec![0, 2]));
}

#[test]
fn what_is_wrong_is_one_line() {
    let one = "--server=127.0.0.1:1";
    let both = "--config=/nowhere";
    for (args, line) in [
        (&[][..], "no servers: name some by --server ADDR, or a file by --config FILE"),
        (&[both], "/nowhere: can't read it: No such file or directory (os error 2)"),
        (
            &[both, one],
            "--server and --config exclude each other: the file says it by servers in [pools.NAME]",
        ),
        (
            &[both, "--trusted-proxy=::1"],
            "--trusted-proxy and --config exclude each other: the file says it by trusted-proxies in [forward]",
        ),
        (&[one, "--check-interval=1s"], "--check-interval needs --health-check PATH: there is no check"),
        (
            &[one, "--health-check=/", "--check-interval=1ms"],
            "invalid value '1ms' for '--check-interval <TIME>': must lie between 10ms and 1d, not 1ms",
        ),
        (&[one, one], "--server: 127.0.0.1:1 is in this pool already: give it a weight instead"),
        (&[one, "--listen=[::1]:1,[::1]:1"], "--listen: [::1]:1 is listened on already"),
        (
            &[one, "--listen=127.0.0.1:1"],
            "--server: 127.0.0.1:1 is where this balancer itself listens (127.0.0.1:1)",
        ),
        (&[one, "--listen=127.0.0.1:9090"], "127.0.0.1:9090 is the admin address: clients need another"),
        (
            &["--server=127.0.0.1:1,weight=x"],
            "invalid value '127.0.0.1:1,weight=x' for '--server <ADDR>': `weight` must lie between 1 and 256, not `x`",
        ),
        (
            &[one, "--log=loud"],
            "invalid value 'loud' for '--log <LEVEL>': `loud` is none of error, warn, info, debug, trace",
        ),
        (
            &[one, "--busy-poll=1s"],
            "invalid value '1s' for '--busy-poll <TIME>': must lie between 0s and 10ms, not 1s",
        ),
        (&[one, "servers"], "the subcommand 'servers' cannot be used with '--server <ADDR>'"),
        (
            &["weigh", "a", "257"],
            "invalid value '257' for '<WEIGHT>': write a number from 0 to 256, or configured",
        ),
        (
            &["drain", ""],
            "invalid value '' for '<SERVER>': write POOL/NAME, or the NAME of a server that only one pool has",
        ),
        (&["reload", "--admin=none"], "--admin none: a balancer without an admin address can't be asked"),
    ] {
        let error = read(args).unwrap_err();
        assert_eq!((one_line(&error).as_str(), error.exit_code()), (line, 2), "{args:?}");
    }
}

#[test]
fn no_flag_of_one_pool_goes_with_a_file() {
    let file = Scratch::new("goes", "[pools.a]\nservers = [\"127.0.0.1:1\"]");
    for flag in [
        "--listen=127.0.0.1:1",
        "--server=127.0.0.1:1",
        "--balance=random",
        "--health-check=/",
        "--check-interval=1s",
        "--accept-proxy",
        "--trusted-proxy=::1",
    ] {
        let error = one_line(&read(&[&file.flag(), flag]).unwrap_err());
        let name = flag.split('=').next().unwrap();
        assert!(error.starts_with(&format!("{name} and --config exclude each other")), "{error}");
    }
    for flag in ["--admin=none", "--cores=0", "--engine=auto", "--busy-poll=1ms", "--log=debug"] {
        serve(&[&file.flag(), flag]);
    }
}

#[test]
fn help_and_version_are_no_mistakes() {
    for args in [&["--help"][..], &["-h"], &["drain", "--help"], &["--version"]] {
        assert_eq!(read(args).unwrap_err().exit_code(), 0, "{args:?}");
    }
}

#[test]
fn commands_say_whom_to_ask_for_what() {
    let set = |server: &str, admin| Ask::Set { server: server.into(), admin };
    let weigh = |weight| Ask::Weigh { server: "web/a".into(), weight };
    for (args, wanted) in [
        (&["servers"][..], Ask::List { json: false }),
        (&["servers", "--json"], Ask::List { json: true }),
        (&["reload"], Ask::Reload),
        (&["drain", "web/a"], set("web/a", Admin::Drain)),
        (&["ready", "a"], set("a", Admin::Ready)),
        (&["enable", "web/unix:/a/b"], set("web/unix:/a/b", Admin::Ready)),
        (&["disable", "unix:/a/b"], set("unix:/a/b", Admin::Maint)),
        (&["weigh", "web/a", "256"], weigh(Some(256))),
        (&["weigh", "web/a", "0"], weigh(Some(0))),
        (&["weigh", "web/a", "configured"], weigh(None)),
    ] {
        for admin in ["127.0.0.1:9090", "unix:/run/admin"] {
            match read(&[args, &["--admin", admin]].concat()) {
                Ok(Run::Ask { admin: at, ask }) => assert_eq!((at, &ask), (address(admin), &wanted)),
                other => panic!("{args:?}: {other:?}"),
            }
        }
    }
}

#[test]
fn the_command_line_beats_the_file_and_the_file_beats_the_default() {
    let file = Scratch::new(
        "beats",
        "[process]\nbusy-poll = \"20us\"\nlog = \"warn\"\n[pools.a]\nservers = [\"127.0.0.1:1\"]",
    );
    let serve = serve(&[&file.flag(), "--busy-poll=30us"]);
    let Process { admin, busy_poll, log, .. } = serve.process;
    assert_eq!((busy_poll, log), (Some(Duration::from_micros(30)), tracing::Level::WARN));
    assert_eq!(admin, Process::default().admin);
    let shown = check(&[&file.flag(), "--busy-poll=30us"]);
    for line in [
        "busy-poll = \"30us\"                       # command line",
        "log = \"warn\"                             # file",
        "cores = \"all\"                            # default",
        "servers = [\"127.0.0.1:1\"]",
        "connect = \"1s\"                           # default",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
}

#[test]
fn what_check_shows_is_a_file_that_means_the_same() {
    let args = ["--server=127.0.0.1:1,weight=2", "--health-check=connect", "--admin=none", "--busy-poll=1ms"];
    let file = Scratch::new("same", &check(&args));
    let (flags, file) = (serve(&args), serve(&[&file.flag()]));
    assert_eq!(flags.config, file.config);
    assert_eq!(flags.process, file.process);
}

#[test]
fn a_file_is_read_again_whole_or_not_at_all() {
    let file = Scratch::new("again", "[pools.a]\nservers = [\"127.0.0.1:1\"]");
    let serve = serve(&[&file.flag()]);
    assert_eq!(serve.source.path(), Some(file.0.as_path()));
    assert_eq!(serve.source.load(), Ok(serve.config));
    file.write("[pools.a]\nservers = [\"127.0.0.1:1\", \"127.0.0.1:2\"]");
    assert_eq!(serve.source.load().unwrap().pools[0].servers.len(), 2);
    file.write("[pools.a]\nservers = [\"127.0.0.1:1\", 2]");
    let refusal = serve.source.load().unwrap_err();
    assert!(
        refusal.starts_with(&format!("{}:2:11: pools.a.servers: takes text", file.0.display())),
        "{refusal}"
    );
    file.write("[pools.a]\nservers = [\"127.0.0.1:1\"]\n[[listeners]]\naddress = \"127.0.0.1:9090\"");
    assert_eq!(serve.source.load().unwrap_err(), "127.0.0.1:9090 is the admin address: clients need another");
    std::fs::write(&file.0, [0xff]).unwrap();
    assert!(serve.source.load().unwrap_err().contains("UTF-8"));
    std::fs::remove_file(&file.0).unwrap();
    assert!(serve.source.load().unwrap_err().contains("can't read it"));
}

#[test]
fn a_reload_that_only_a_restart_could_take_says_so() {
    let pool = "[pools.a]\nservers = [\"127.0.0.1:1\"]\n";
    let file = Scratch::new("restart", pool);
    let source = serve(&[&file.flag()]).source;
    assert_eq!(warnings(|| source.load().unwrap()), "");
    file.write(&format!(
        "{pool}[process]\nlog = \"debug\"\n[front]\nunsent-max = \"1MiB\"\nbody-max = \"1MiB\""
    ));
    let said = warnings(|| source.load().unwrap());
    assert_eq!(said.matches("only a restart").count(), 2, "{said}");
    assert!(said.contains("process.log") && said.contains("front.unsent-max"), "{said}");
}

#[test]
fn a_file_without_an_end_is_refused() {
    let error = read(&["--config=/dev/zero"]).unwrap_err();
    assert_eq!(one_line(&error), "/dev/zero: is no configuration: it has more than 16 MiB");
}

/// Variables belong to a process: each case is one.
#[test]
fn a_variable_is_a_flag_and_says_who_it_is() {
    for (variables, expected) in [
        (
            &[("SERVER", "127.0.0.1:1 127.0.0.1:2,weight=3"), ("LOG", "warn"), ("ACCEPT_PROXY", "true")][..],
            "# environment",
        ),
        (
            &[("LISTEN", "127.0.0.1:1"), ("CONFIG", "/nowhere")],
            "CORELANE_BALANCER_LISTEN and --config exclude each other",
        ),
        (&[("SERVER", "x")], "`x` is no address"),
    ] {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "in_a_process_of_its_own", "--ignored", "--nocapture"]);
        child.envs(variables.iter().map(|(name, value)| (format!("CORELANE_BALANCER_{name}"), value)));
        let output = String::from_utf8(child.output().unwrap().stdout).unwrap();
        assert!(output.contains(expected), "{variables:?}: {output}");
        if expected.starts_with('#') {
            for line in ["log = \"warn\"                             # environment", "accept-proxy = true"] {
                assert!(output.lines().any(|shown| shown == line), "{line}: {output}");
            }
            assert!(output.contains("servers = [\"127.0.0.1:1\", \"127.0.0.1:2,weight=3\"]"), "{output}");
        }
    }
}

#[test]
#[ignore = "what the test of variables starts"]
fn in_a_process_of_its_own() {
    match read(&["--check"]) {
        Ok(Run::Check(text)) => println!("{text}"),
        Ok(other) => println!("{other:?}"),
        Err(error) => println!("{}", one_line(&error)),
    }
}

fn read(args: &[&str]) -> Result<Run, clap::Error> {
    command_line::read(std::iter::once(&"corelane-balancer").chain(args).map(OsString::from))
}

fn serve(args: &[&str]) -> Serve {
    match read(args) {
        Ok(Run::Serve(serve)) => *serve,
        Ok(other) => panic!("{other:?}"),
        Err(error) => panic!("{error}"),
    }
}

fn check(args: &[&str]) -> String {
    match read(&[args, &["--check"]].concat()) {
        Ok(Run::Check(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

/// What is said in the log meanwhile.
fn warnings<T>(act: impl FnOnce() -> T) -> String {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, act);
    let bytes = log.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

/// A file that is gone with its test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, text: &str) -> Scratch {
        let scratch =
            Scratch(std::env::temp_dir().join(format!("corelane-balancer-{}-{name}", std::process::id())));
        scratch.write(text);
        scratch
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.0, text).unwrap();
    }

    fn flag(&self) -> String {
        format!("--config={}", self.0.display())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
