//! Where a run ran: what a reader must know before comparing its numbers with others.
//!
//! In: what the kernel says of itself in `/proc` and `/sys`. Out: a [`Machine`]. Never: fails; what isn't said is
//! `unknown`.

use crate::model::Machine;
use net::percore::Cores;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const UNKNOWN: &str = "unknown";

/// The machine that this runs on.
pub fn read() -> Machine {
    read_at(Path::new("/"))
}

/// The machine whose `proc` and `sys` are in `root`.
pub fn read_at(root: &Path) -> Machine {
    let kernel = |name: &str| text(&root.join("proc/sys/kernel").join(name));
    let clocksource = "sys/devices/system/clocksource/clocksource0/current_clocksource";
    Machine {
        host: known(kernel("hostname")),
        kernel: known(
            kernel("ostype").zip(kernel("osrelease")).map(|(name, version)| format!("{name} {version}")),
        ),
        cpu: known(text(&root.join("proc/cpuinfo")).and_then(|info| cpu_name(&info))),
        cpus: text(&root.join("proc/self/status")).and_then(|status| cpus_allowed(&status)).unwrap_or(0),
        governor: governor(&root.join("sys/devices/system/cpu")),
        clocksource: known(text(&root.join(clocksource))),
    }
}

fn known(text: Option<String>) -> String {
    text.unwrap_or_else(|| UNKNOWN.to_owned())
}

/// What the file says; `None` if it isn't there or says nothing.
fn text(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// x86 and s390 have a `model name`. Arm boards have a `Model`, or nothing but numbers.
fn cpu_name(info: &str) -> Option<String> {
    let value = |wanted: &str| {
        info.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == wanted).then(|| value.trim().to_owned())
        })
    };
    ["model name", "Model", "cpu model"].into_iter().find_map(value)
}

/// The affinity mask, which `taskset` and cpusets narrow; the kernel writes it as we write cores.
fn cpus_allowed(status: &str) -> Option<usize> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    match list.trim().parse().ok()? {
        Cores::List(cores) => Some(cores.len()),
        Cores::All => None,
    }
}

/// The governor of all CPUs; all of them where they differ; `none` where nothing governs the frequency.
fn governor(cpus: &Path) -> String {
    let entries = fs::read_dir(cpus).into_iter().flatten().flatten();
    let governors: BTreeSet<String> =
        entries.filter_map(|cpu| text(&cpu.path().join("cpufreq/scaling_governor"))).collect();
    if governors.is_empty() {
        return "none".to_owned();
    }
    governors.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn a_machine_is_described_by_what_its_kernel_says() {
        let root = Root::new("described");
        root.put("proc/sys/kernel/hostname", "box\n");
        root.put("proc/sys/kernel/ostype", "Linux\n");
        root.put("proc/sys/kernel/osrelease", "6.18.1\n");
        root.put("proc/cpuinfo", "processor\t: 0\nmodel name\t: Some CPU @ 2.1GHz\n\nprocessor\t: 1\n");
        root.put("proc/self/status", "Name:\tx\nCpus_allowed:\tf\nCpus_allowed_list:\t0,2-4\n");
        root.put("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
        root.put("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
        root.put("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "powersave\n");
        let machine = Machine {
            host: "box".to_owned(),
            kernel: "Linux 6.18.1".to_owned(),
            cpu: "Some CPU @ 2.1GHz".to_owned(),
            cpus: 4,
            governor: "powersave".to_owned(),
            clocksource: "tsc".to_owned(),
        };
        assert_eq!(read_at(&root.0), machine);
        root.put("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance\n");
        assert_eq!(read_at(&root.0).governor, "performance, powersave");
    }

    #[test]
    fn what_the_kernel_does_not_say_is_unknown() {
        let machine = read_at(Path::new("/nowhere/at/all"));
        let Machine { host, kernel, cpu, cpus, governor, clocksource } = machine;
        assert_eq!([&host, &kernel, &cpu, &clocksource], [UNKNOWN; 4]);
        assert_eq!((cpus, governor.as_str()), (0, "none"));
    }

    #[test]
    fn an_arm_board_is_known_by_its_model() {
        let board = "processor\t: 0\nCPU implementer\t: 0x41\n\nModel\t\t: Raspberry Pi 5 Model B\n";
        assert_eq!(cpu_name(board).as_deref(), Some("Raspberry Pi 5 Model B"));
        assert_eq!(cpu_name("processor\t: 0\nCPU implementer\t: 0x41\n"), None);
    }

    #[test]
    fn this_machine_has_a_kernel_and_as_many_cpus_as_lanes_could_run_on() {
        let machine = read();
        assert!(machine.kernel.starts_with("Linux "), "{machine:?}");
        assert_eq!(machine.cpus, Cores::All.resolve().unwrap().len());
    }

    struct Root(PathBuf);

    impl Root {
        fn new(name: &str) -> Root {
            Root(std::env::temp_dir().join(format!("corelane-machine-{}-{name}", std::process::id())))
        }

        fn put(&self, path: &str, text: &str) {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
