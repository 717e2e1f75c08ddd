//! A command line as text that can be pasted into a shell.

use std::ffi::OsString;

/// Quoted where a shell would see something else in it.
pub fn shown(args: &[OsString]) -> String {
    let name = "corelane-loadgen".to_owned();
    let rest = args.iter().skip(1).map(|arg| quoted(&arg.to_string_lossy()));
    std::iter::once(name).chain(rest).collect::<Vec<_>>().join(" ")
}

fn quoted(arg: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=+:,./@%".contains(c);
    if !arg.is_empty() && arg.chars().all(is_plain) {
        return arg.to_owned();
    }
    format!("'{}'", arg.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_what_was_typed() {
        let args = ["x", "--slo", "p99<1ms", "http://h/a?b=1", "it's", ""].map(OsString::from);
        assert_eq!(shown(&args), r"corelane-loadgen --slo 'p99<1ms' 'http://h/a?b=1' 'it'\''s' ''");
    }
}
