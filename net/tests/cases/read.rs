//! Reads the case files: their format is in `README.md` beside this.

use net::http1::{Asked, Limits};
use std::fs;
use std::path::Path;
use std::str::Chars;

/// One case: bytes, and the verdicts on them.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// `file:line name`, for messages.
    pub(crate) title: String,
    /// Unique in all files.
    pub(crate) name: String,
    /// For the client's role: what was asked.
    pub(crate) asked: Asked,
    /// For the client's role: the server closes behind the bytes.
    pub(crate) then_end: bool,
    /// The default ones, and what the case changes.
    pub(crate) limits: Limits,
    /// What arrives.
    pub(crate) bytes: Vec<u8>,
    /// The verdicts, in order.
    pub(crate) expected: Vec<String>,
}

/// All cases of the files whose name `is_wanted`, in the order of the names.
pub(crate) fn cases(is_wanted: impl Fn(&str) -> bool) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let entries = fs::read_dir(&folder).expect("the cases lie beside the tests");
    let names = entries.flatten().map(|entry| entry.file_name());
    let mut files: Vec<String> = names.flat_map(|name| name.into_string()).collect();
    files.retain(|file| file.ends_with(".http") && is_wanted(file));
    files.sort();
    let text = |file| fs::read_to_string(folder.join(file)).expect("a case file is text");
    files.iter().flat_map(|file| read(file, &text(file))).collect()
}

fn read(file: &str, text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let at = format!("{file}:{}", number + 1);
        assert_eq!(line.trim_end(), line, "{at}: whitespace at the end of a line is not seen: write \\x20");
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word == "case" {
            cases.push(empty(format!("{at} {rest}"), rest));
            continue;
        }
        match (word, cases.last_mut()) {
            ("" | "#", _) => {}
            (_, None) => panic!("{at}: no case has begun"),
            ("|", Some(case)) => unescape(&mut rest.chars(), &mut case.bytes),
            (">", Some(case)) => case.expected.push(rest.to_owned()),
            ("with", Some(case)) => set_limit(&mut case.limits, rest),
            ("asked", Some(case)) if rest == "HEAD" => case.asked = Asked::Head,
            ("asked", Some(case)) if rest == "CONNECT" => case.asked = Asked::Connect,
            ("asked", Some(case)) if rest == "UPGRADE" => case.asked = Asked::Upgrade,
            ("then", Some(case)) if rest == "end" => case.then_end = true,
            _ => panic!("{at}: not understood: {line}"),
        }
    }
    cases
}

fn empty(title: String, name: &str) -> Case {
    Case {
        title,
        name: name.to_owned(),
        asked: Asked::Other,
        then_end: false,
        limits: Limits::default(),
        bytes: Vec::new(),
        expected: Vec::new(),
    }
}

fn set_limit(limits: &mut Limits, text: &str) {
    let (name, value) = text.split_once('=').expect("a limit is name=number");
    let value: usize = value.parse().expect("a limit is name=number");
    match name {
        "head_bytes_max" => limits.head_bytes_max = value,
        "target_bytes_max" => limits.target_bytes_max = value,
        "fields_max" => limits.fields_max = value,
        "body_bytes_max" => limits.body_bytes_max = value as u64,
        "chunk_line_bytes_max" => limits.chunk_line_bytes_max = value,
        "trailer_bytes_max" => limits.trailer_bytes_max = value,
        "trailer_fields_max" => limits.trailer_fields_max = value,
        "empty_lines_max" => limits.empty_lines_max = value as u8,
        _ => panic!("no such limit: {name}"),
    }
}

/// Appends the bytes that `text` writes, up to its end or the `)` of the group that it began in.
fn unescape(text: &mut Chars<'_>, bytes: &mut Vec<u8>) {
    while let Some(char) = text.next() {
        if char != '\\' {
            assert!(char.is_ascii(), "write {char} in \\x");
            bytes.push(char as u8);
            continue;
        }
        match text.next() {
            Some('r') => bytes.push(b'\r'),
            Some('n') => bytes.push(b'\n'),
            Some('t') => bytes.push(b'\t'),
            Some('\\') => bytes.push(b'\\'),
            Some('x') => {
                let digits: String = text.by_ref().take(2).collect();
                bytes.push(u8::from_str_radix(&digits, 16).expect("\\x has two digits"));
            }
            Some('(') => repeat(text, bytes),
            other => panic!("no such escape: \\{other:?}"),
        }
    }
}

/// `N text)`: N times the text.
fn repeat(text: &mut Chars<'_>, bytes: &mut Vec<u8>) {
    let count: String = text.by_ref().take_while(|c| *c != ' ').collect();
    let mut depth = 0;
    let mut group = String::new();
    loop {
        let char = text.next().expect("a group ends with )");
        match char {
            ')' if depth == 0 => break,
            ')' => depth -= 1,
            '(' => depth += 1,
            _ => {}
        }
        group.push(char);
    }
    let mut once = Vec::new();
    unescape(&mut group.chars(), &mut once);
    bytes.extend_from_slice(&once.repeat(count.parse().expect("a group begins with a number")));
}
