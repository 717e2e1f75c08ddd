//! Who takes part in a run, and how they are started: the same for servers and for proxies.
//!
//! In: a table of contenders, and the names that were asked for. Out: those that can be run here, and a line for each
//! that can't. Never: leaves somebody out silently.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;

use crate::child::{Child, TempDir, find_in_path, free_address};
use crate::failure::Failure;

/// A program that is measured beside others.
pub(crate) trait Candidate {
    fn name(&self) -> &str;
    /// Where its program is, or what would bring it there.
    fn program(&self) -> Result<PathBuf, Failure>;
}

/// Whom to measure.
#[derive(Args, Clone, Debug, Default)]
#[group(id = "who")]
pub(crate) struct Who {
    /// Only these contenders
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    pub(crate) only: Vec<String>,
}

impl Who {
    pub(crate) fn is_partial(&self) -> bool {
        !self.only.is_empty()
    }
}

/// Those that take part in a run.
#[derive(Debug)]
pub(crate) struct Field<C: 'static> {
    pub(crate) present: Vec<&'static C>,
    /// A line for each that can't be run here; said on the terminal already.
    pub(crate) skipped: Vec<String>,
}

/// Those who were invited and asked for, and can be run here. Says loudly whom it leaves out, and why.
pub(crate) fn select<C: Candidate>(invited: &[&'static C], only: &[String]) -> Result<Field<C>, Failure> {
    let names: Vec<_> = invited.iter().map(|contender| contender.name()).collect();
    if let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) {
        let names = names.join(", ");
        return Err(Failure::setup(format!("no contender {unknown:?} here; there are: {names}")));
    }
    let wanted = |name| only.is_empty() || only.iter().any(|asked| asked == name);
    let mut field = Field { present: Vec::new(), skipped: Vec::new() };
    for contender in invited.iter().filter(|contender| wanted(contender.name())) {
        match contender.program() {
            Ok(_) => field.present.push(*contender),
            Err(failure) => field.skipped.push(format!("SKIPPED {}: {failure}", contender.name())),
        }
    }
    for line in &field.skipped {
        eprintln!("{line}");
    }
    if field.present.is_empty() {
        return Err(Failure::setup("nobody is left to measure"));
    }
    Ok(field)
}

/// A contender that is running and accepts connections; it ends with this value.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    /// Outlives the child: it may have files there.
    pub(crate) directory: TempDir,
}

/// Starts a program, alone, on these cores. Its arguments are made from the address that it is to listen on, and
/// from a directory of its own.
pub(crate) fn start(
    program: &Path,
    cores: &str,
    arguments: impl FnOnce(SocketAddr, &Path) -> Result<Vec<String>, Failure>,
) -> Result<Server, Failure> {
    let directory = TempDir::new()?;
    let address = free_address()?;
    let arguments = arguments(address, directory.path())?;
    let output = directory.path().join("output");
    let mut child = Child::start(program, &arguments, cores, &output)?;
    child.wait_ready(address)?;
    Ok(Server { child, address, directory })
}

/// A program that cargo built, or how to build it.
pub(crate) fn built(name: &str, build: &str) -> Result<PathBuf, Failure> {
    find_built(name).ok_or_else(|| Failure::setup(format!("{name} is not there; build it: {build}")))
}

/// One of `bench/peers`, or how to build them.
pub(crate) fn built_peer(name: &str) -> Result<PathBuf, Failure> {
    built(name, "cargo build --release --manifest-path bench/peers/Cargo.toml")
}

/// A program that the system has, or how to install it.
pub(crate) fn installed(name: &str, package: &str) -> Result<PathBuf, Failure> {
    find_in_path(name)
        .ok_or_else(|| Failure::setup(format!("{name} is not there; install it: apt-get install {package}")))
}

/// A line for each of our programs that is older than what it is made of: nothing is built here, so whoever forgets it
/// measures what was there before.
pub(crate) fn outdated() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let changed = |folder: &str| newest(&root.join(folder).join("src"));
    let of_package = |package: &str| {
        let program = find_built(&format!("corelane-{package}"))?;
        let built = program.metadata().and_then(|facts| facts.modified()).ok()?;
        let is_outdated =
            [package, "net"].iter().filter_map(|folder| changed(folder)).any(|time| time > built);
        is_outdated.then(|| {
            format!(
                "OUTDATED {}: its sources are newer; build it: cargo build --release -p {package}",
                program.display()
            )
        })
    };
    ["server", "balancer", "loadgen"].into_iter().filter_map(of_package).collect()
}

/// When the last file below a folder was changed.
fn newest(folder: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    let time = |entry: fs::DirEntry| match entry.file_type().ok()?.is_dir() {
        true => newest(&entry.path()),
        false => entry.metadata().and_then(|facts| facts.modified()).ok(),
    };
    entries.filter_map(time).max()
}

/// Beside this program, or in the target directory that its workspace has by default.
fn find_built(name: &str) -> Option<PathBuf> {
    let beside = std::env::current_exe().ok()?.parent()?.to_path_buf();
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    [beside, bench.join("../target/release"), bench.join("peers/target/release")]
        .into_iter()
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Named(&'static str, Option<&'static str>);

    impl Candidate for Named {
        fn name(&self) -> &str {
            self.0
        }

        fn program(&self) -> Result<PathBuf, Failure> {
            self.1.map(PathBuf::from).ok_or_else(|| Failure::setup("build it"))
        }
    }

    const HERE: &Named = &Named("here", Some("/bin/here"));
    const GONE: &Named = &Named("gone", None);

    #[test]
    fn an_unknown_name_is_refused_with_those_that_exist() {
        let failure = select(&[HERE, GONE], &["apache".into()]).unwrap_err();
        assert!(failure.to_string().contains("\"apache\" here; there are: here, gone"));
    }

    #[test]
    fn who_is_not_installed_is_left_out_with_a_line_that_says_what_helps() {
        let field = select(&[HERE, GONE], &[]).unwrap();
        assert_eq!(field.present.len(), 1);
        assert_eq!(field.skipped, ["SKIPPED gone: build it"]);
        assert!(select(&[HERE, GONE], &["gone".into()]).is_err(), "nobody is left");
    }

    #[test]
    fn the_newest_file_is_found_in_every_depth() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let deepest = here.join("src/floor/forward/tests.rs").metadata().unwrap().modified().unwrap();
        assert!(newest(&here.join("src")).unwrap() >= deepest);
        assert_eq!(newest(Path::new("/nowhere")), None);
    }

    #[test]
    fn only_those_who_were_asked_for_take_part() {
        assert_eq!(select(&[HERE, HERE, GONE], &["here".into()]).unwrap().skipped.len(), 0);
    }
}
