//! The watch on process trees made of files, where every number is known, and on the processes of this machine.

use super::*;
use net::percore::{self, Cores};
use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Barrier};

const MS: u64 = 1_000_000;

#[test]
fn which_process_is_said_in_one_word() {
    let which = |text: &str| text.parse::<Which>();
    assert_eq!(which("auto"), Ok(Which::Auto));
    assert_eq!(which("off"), Ok(Which::Off));
    assert_eq!(which("1234"), Ok(Which::Pids(vec![1234])));
    assert_eq!(which("9,3,9"), Ok(Which::Pids(vec![3, 9])));
    assert_eq!(which("corelane-server.service"), Ok(Which::Cgroup("corelane-server.service".into())));
    assert_eq!(which("/sys/fs/cgroup/a/b"), Ok(Which::Cgroup("/sys/fs/cgroup/a/b".into())));
    for text in ["auto", "off", "3,9", "x.service", "/sys/fs/cgroup/a"] {
        assert_eq!(which(text).unwrap().to_string(), text);
    }
    for wrong in
        ["", "0", "-1", "1,", "nginx", "/etc/passwd", "/sys/fs/cgroupx/a", "a/b.service", "99999999999"]
    {
        let error = which(wrong).unwrap_err();
        assert!(error.contains("nginx.service"), "{error}");
    }
}

#[test]
fn what_the_threads_used_between_begin_and_end_is_added_up() {
    let tree = Tree::new("added");
    tree.process(42, "server", 7);
    tree.thread(42, 42, 500 * MS, 0);
    tree.thread(42, 43, 100 * MS, 1);
    let mut watch = tree.watch(&[42]);
    watch.begin();
    tree.thread(42, 42, 510 * MS, 0);
    tree.thread(42, 43, 130 * MS, 1);
    // One that was made meanwhile counts from its start.
    tree.thread(42, 44, 5 * MS, 1);
    let end = watch.end();
    assert_eq!(end.cpu_ns, 45 * MS);
    assert_eq!((end.name.as_str(), end.pids.as_slice()), ("server (as named)", &[42][..]));
    // And again from here.
    watch.begin();
    tree.thread(42, 43, 131 * MS, 1);
    assert_eq!(watch.end().cpu_ns, MS);
}

#[test]
fn a_thread_that_ended_counts_up_to_the_last_look_or_as_its_process_says() {
    let tree = Tree::new("thread-ended");
    tree.process(42, "server", 7);
    tree.ticks(42, 7, 30);
    tree.thread(42, 42, 0, 0);
    tree.thread(42, 43, 100 * MS, 1);
    let mut watch = tree.watch(&[42]);
    watch.begin();
    tree.thread(42, 43, 300 * MS, 1);
    watch.look(&[]);
    tree.no_thread(42, 43);
    assert_eq!(watch.end().cpu_ns, 200 * MS);
    // The process says 900 ms; up to two hundredths of a second of that may have been before the begin.
    tree.ticks(42, 7, 120);
    assert_eq!(watch.end().cpu_ns, 880 * MS);
}

#[test]
fn an_id_that_is_used_again_is_another_thread() {
    let tree = Tree::new("thread-again");
    tree.process(42, "server", 7);
    tree.thread(42, 43, 100 * MS, 1);
    let mut watch = tree.watch(&[42]);
    watch.begin();
    tree.thread(42, 43, 110 * MS, 1);
    watch.look(&[]);
    tree.thread(42, 43, 4 * MS, 1);
    assert_eq!(watch.end().cpu_ns, 14 * MS);
    // And one that comes when the other has been gone for a while, with more than that one had.
    tree.no_thread(42, 43);
    watch.look(&[]);
    tree.thread(42, 43, 200 * MS, 1);
    assert_eq!(watch.end().cpu_ns, 214 * MS);
}

#[test]
fn a_process_that_ended_keeps_its_time_and_another_one_with_its_id_adds_none() {
    let tree = Tree::new("process-ended");
    tree.process(42, "server", 7);
    tree.thread(42, 42, 100 * MS, 0);
    tree.process(50, "worker", 8);
    tree.thread(50, 50, 100 * MS, 0);
    let mut watch = tree.watch(&[42, 50]);
    watch.begin();
    tree.thread(42, 42, 150 * MS, 0);
    watch.look(&[]);
    tree.process(42, "stranger", 99);
    tree.thread(42, 42, 1000 * MS, 0);
    watch.look(&[]);
    let end = watch.end();
    assert_eq!((end.cpu_ns, end.pids), (50 * MS, vec![42, 50]));
    assert_eq!(end.name, "server, worker (as named); process 42 ended meanwhile");
}

#[test]
fn a_look_counts_busy_threads_and_those_on_our_cores() {
    let tree = Tree::new("looks");
    tree.process(42, "server", 7);
    for thread in [42, 43, 44] {
        tree.thread(42, thread, 0, 0);
    }
    let mut watch = tree.watch(&[42]);
    watch.begin();
    watch.look(&[1]);
    // Whole hours of CPU in no time at all: busy. The third did nothing.
    tree.thread(42, 42, 3_600_000 * MS, 5);
    tree.thread(42, 43, 3_600_000 * MS, 1);
    watch.look(&[1]);
    tree.thread(42, 43, 7_200_000 * MS, 1);
    watch.look(&[1, 5]);
    let end = watch.end();
    assert_eq!((end.looks, end.looks_on_our_cores, end.cpus), (3, 2, vec![1, 5]));
    watch.begin();
    let begun = watch.end();
    assert_eq!((begun.looks, begun.looks_on_our_cores, begun.cpus.len()), (0, 0, 0));
}

#[test]
fn without_schedstat_hundredths_of_a_second_have_to_do() {
    let tree = Tree::new("ticks");
    tree.process(42, "server", 7);
    tree.put("proc/42/task/42/stat", &stat(42, 7, 10, 0));
    let mut watch = tree.watch(&[42]);
    watch.begin();
    tree.put("proc/42/task/42/stat", &stat(42, 7, 13, 0));
    assert_eq!(watch.end().cpu_ns, 30 * MS);
}

#[test]
fn a_unit_is_found_where_systemd_keeps_it_and_counts_for_itself() {
    let tree = Tree::new("unit");
    tree.process(42, "server", 7);
    tree.put("cgroup/system.slice/x.service/cgroup.procs", "42\n");
    tree.put("cgroup/system.slice/x.service/cpu.stat", "usage_usec 1000\nuser_usec 800\n");
    // One that it delegates to itself, with a process of its own.
    tree.process(50, "worker", 8);
    tree.put("cgroup/system.slice/x.service/inner/cgroup.procs", "50\n");
    let mut watch = tree.find(&Which::Cgroup("x.service".into())).unwrap().unwrap();
    watch.begin();
    tree.put("cgroup/system.slice/x.service/cpu.stat", "usage_usec 3500\nuser_usec 800\n");
    // A worker that was started meanwhile.
    tree.process(51, "worker", 9);
    tree.put("cgroup/system.slice/x.service/inner/cgroup.procs", "50\n51\n");
    watch.look(&[]);
    let end = watch.end();
    assert_eq!((end.cpu_ns, end.pids), (2_500_000, vec![42, 50, 51]));
    assert_eq!(end.name, "server, worker (cgroup x.service)");
    // Started again: it counts from zero, and its main process has the old id and another start.
    tree.put("cgroup/system.slice/x.service/cpu.stat", "usage_usec 700\n");
    tree.process(42, "server", 10);
    watch.look(&[]);
    watch.look(&[]);
    let end = watch.end();
    assert_eq!((end.cpu_ns, end.pids), (700_000, vec![42, 50, 51]));
    assert_eq!((watch.processes.len(), end.name.ends_with("process 42 ended meanwhile")), (4, true));
}

#[test]
fn a_unit_may_be_elsewhere_and_a_cgroup_may_count_nothing() {
    let tree = Tree::new("elsewhere");
    tree.process(42, "server", 7);
    tree.thread(42, 42, 0, 0);
    for place in ["cgroup/x.service", "cgroup/user.slice/y.service", "cgroup/unified/system.slice/z.service"]
    {
        tree.put(&format!("{place}/cgroup.procs"), "42\n");
    }
    for unit in ["x.service", "y.service", "z.service"] {
        assert!(tree.find(&Which::Cgroup(unit.into())).unwrap().is_some(), "{unit}");
    }
    let mut watch = tree.find(&Which::Cgroup(tree.0.join("cgroup/x.service"))).unwrap().unwrap();
    watch.begin();
    tree.thread(42, 42, 3 * MS, 0);
    assert_eq!(watch.end().cpu_ns, 3 * MS);
}

#[test]
fn what_was_named_and_is_not_there_is_an_error() {
    let tree = Tree::new("missing");
    tree.put("cgroup/system.slice/empty.service/cgroup.procs", "");
    let error = |which: Which| tree.find(&which).unwrap_err();
    assert!(error(Which::Pids(vec![42])).contains("no process 42"));
    assert!(error(Which::Cgroup("x.service".into())).contains("no cgroup x.service"));
    assert!(error(Which::Cgroup("empty.service".into())).contains("has no process"));
    assert!(error(Which::Cgroup(tree.0.join("cgroup"))).contains("is no cgroup"));
    assert!(tree.find(&Which::Off).unwrap().is_none());
    assert!(tree.find(&Which::Auto).unwrap().is_none());
}

#[test]
fn init_is_not_the_server_unless_nobody_else_is() {
    let tree = Tree::new("init");
    tree.put("proc/net/unix", "Num\n0: 2 0 00010000 1 01 777 /run/s\n");
    for pid in [1, 42] {
        tree.process(pid, "any", 7);
        fs::create_dir_all(tree.0.join(format!("proc/{pid}/fd"))).unwrap();
        std::os::unix::fs::symlink("socket:[777]", tree.0.join(format!("proc/{pid}/fd/3"))).unwrap();
    }
    let address = "unix:/run/s".parse().unwrap();
    assert_eq!(find::who_listens(&tree.0.join("proc"), &address, None), [42]);
    assert_eq!(find::who_listens(&tree.0.join("proc"), &address, Some(42)), [1]);
}

#[test]
fn our_own_listener_is_found_by_its_address_and_auto_passes_over_it() {
    let mut found = 0;
    for bind in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
        // A machine may have no IPv6.
        let Ok(listener) = TcpListener::bind(bind) else { continue };
        let port = listener.local_addr().unwrap().port();
        let host = if bind == "[::1]:0" { "[::1]" } else { "127.0.0.1" };
        let address: Address = format!("{host}:{port}").parse().unwrap();
        assert_eq!(find::who_listens(Path::new(PROC), &address, None), [std::process::id()], "{bind}");
        assert!(Watch::find(&Which::Auto, &address).unwrap().is_none(), "{bind}");
        drop(listener);
        assert!(find::who_listens(Path::new(PROC), &address, None).is_empty(), "{bind}");
        found += 1;
    }
    assert!(found >= 2);
}

#[test]
fn our_own_unix_listener_is_found_by_its_path() {
    let tree = Tree::new("unix");
    fs::create_dir_all(&tree.0).unwrap();
    let path = tree.0.join("our own.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let address = Address::Unix(path);
    assert_eq!(find::who_listens(Path::new(PROC), &address, None), [std::process::id()]);
}

#[test]
fn a_busy_thread_is_seen_on_its_core_with_at_least_the_time_it_used() {
    let core = Cores::All.resolve().unwrap()[0];
    let work =
        Arc::new(Work { is_done: AtomicBool::new(false), used_ns: AtomicU64::new(0), turn: Barrier::new(2) });
    let mut watch = Watch::find(&Which::Pids(vec![std::process::id()]), &nowhere()).unwrap().unwrap();
    watch.begin();
    let busy = work.clone();
    let (tell, ended) = std::sync::mpsc::channel();
    let run = move |_, ()| {
        while !busy.is_done.load(Relaxed) {
            std::hint::spin_loop();
        }
        busy.used_ns.store(thread_cpu_ns(), Relaxed);
        busy.turn.wait();
        // It must not end before its time has been read.
        busy.turn.wait();
    };
    percore::run(&[core], vec![()], run, move |_, _| tell.send(()).unwrap()).unwrap();
    while watch.looks_on_our_cores == 0 {
        std::thread::sleep(Duration::from_millis(20));
        watch.look(&[core]);
    }
    work.is_done.store(true, Relaxed);
    work.turn.wait();
    let end = watch.end();
    work.turn.wait();
    ended.recv().unwrap();
    assert!(end.cpus.contains(&core) && end.looks >= end.looks_on_our_cores, "{end:?}");
    assert!(end.cpu_ns >= work.used_ns.load(Relaxed), "{end:?} {}", work.used_ns.load(Relaxed));
}

/// What a busy thread and its watcher agree on.
struct Work {
    is_done: AtomicBool,
    used_ns: AtomicU64,
    turn: Barrier,
}

#[test]
fn a_child_that_ends_meanwhile_is_named_with_its_end() {
    let mut child = Sleeper(Command::new("sleep").arg("1000").spawn().unwrap());
    let pid = child.0.id();
    let mut watch = Watch::find(&Which::Pids(vec![pid]), &nowhere()).unwrap().unwrap();
    watch.begin();
    watch.look(&[]);
    assert_eq!(watch.end().name, "sleep (as named)");
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    watch.look(&[]);
    let end = watch.end();
    assert_eq!((end.name, end.pids), (format!("sleep (as named); process {pid} ended meanwhile"), vec![pid]));
    assert!(Watch::find(&Which::Pids(vec![pid]), &nowhere()).is_err());
}

#[test]
fn the_clock_of_a_thread_goes_on_while_it_works() {
    let began = thread_cpu_ns();
    while thread_cpu_ns() < began + 5 * MS {}
    let elsewhere = std::thread::spawn(thread_cpu_ns).join().unwrap();
    assert!(elsewhere < thread_cpu_ns());
}

fn nowhere() -> Address {
    "unix:/nowhere".parse().unwrap()
}

struct Sleeper(Child);

impl Drop for Sleeper {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A `/proc` and a `/sys/fs/cgroup` made of files.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str) -> Tree {
        Tree(std::env::temp_dir().join(format!("corelane-process-{}-{name}", std::process::id())))
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn process(&self, pid: u32, name: &str, started: u64) {
        self.put(&format!("proc/{pid}/comm"), &format!("{name}\n"));
        self.ticks(pid, started, 0);
    }

    fn ticks(&self, pid: u32, started: u64, ticks: u64) {
        self.put(&format!("proc/{pid}/stat"), &stat(pid, started, ticks, 0));
    }

    fn thread(&self, pid: u32, thread: u32, run_ns: u64, cpu: usize) {
        self.put(&format!("proc/{pid}/task/{thread}/schedstat"), &format!("{run_ns} 123 4\n"));
        self.put(&format!("proc/{pid}/task/{thread}/stat"), &stat(thread, 7, 0, cpu));
    }

    fn no_thread(&self, pid: u32, thread: u32) {
        fs::remove_dir_all(self.0.join(format!("proc/{pid}/task/{thread}"))).unwrap();
    }

    fn find(&self, which: &Which) -> Result<Option<Watch>, String> {
        Watch::find_in(&self.0.join("proc"), &self.0.join("cgroup"), which, &nowhere(), None)
    }

    fn watch(&self, pids: &[u32]) -> Watch {
        self.find(&Which::Pids(pids.to_vec())).unwrap().unwrap()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A `stat` file: user time is all the ticks, field 22 the start, field 39 the CPU.
fn stat(pid: u32, started: u64, ticks: u64, cpu: usize) -> String {
    let between = "0 ".repeat(16);
    format!("{pid} (a name) S 1 2 3 4 5 6 7 8 9 10 {ticks} 0 0 0 20 0 1 0 {started} {between}{cpu} 0 0\n")
}
