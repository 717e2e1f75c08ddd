//! Reads the case files: their format is in `README.md` beside this.

use balancer::config::Config;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::str::Chars;

/// What `\d` stands for, and what the lane's calendar says.
pub(crate) const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// What comes of the client's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Answered by the server; the connection goes on.
    Keep,
    /// Answered by the server; the connection ends behind that.
    Close,
    /// The client gets a part, and sees that it is one.
    Cut,
    /// Our own answer with this status; the connection ends behind it, and the server gets nothing whole.
    Refuse(u16),
    /// Our own answer with this status; the connection goes on.
    Own(u16),
    /// More is to come.
    Wait,
    /// The protocol was switched.
    Tunnel,
    /// The end of the connection, without a word.
    Silent,
}

/// How a peer ends behind its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Stays,
    Ends,
    Resets,
}

/// One case.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// `file:line name`, for messages.
    pub(crate) title: String,
    pub(crate) name: String,
    pub(crate) settings: Vec<String>,
    pub(crate) peer: SocketAddr,
    /// `|`
    pub(crate) client: Vec<u8>,
    /// `>`
    pub(crate) onward: Vec<u8>,
    /// `early`
    pub(crate) early: Vec<u8>,
    /// `<`
    pub(crate) server: Vec<u8>,
    /// `late`
    pub(crate) late: Vec<u8>,
    /// `=`
    pub(crate) back: Vec<u8>,
    pub(crate) verdict: Option<Verdict>,
    /// May the connection to the server be used again?
    pub(crate) is_reused: Option<bool>,
    pub(crate) then_client: Then,
    pub(crate) then_server: Then,
}

/// All cases of all files, in the order of the names.
pub(crate) fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let entries = fs::read_dir(&folder).expect("the cases lie beside the tests");
    let mut files: Vec<String> =
        entries.flatten().map(|entry| entry.file_name()).flat_map(|name| name.into_string()).collect();
    files.retain(|file| file.ends_with(".http"));
    files.sort();
    let text = |file| fs::read_to_string(folder.join(file)).expect("a case file is text");
    files.iter().flat_map(|file| read(file, &text(file))).collect()
}

/// The configuration of a case: one server, nothing added, one try.
pub(crate) fn configure(case: &Case, config: &mut Config) {
    let forward = &mut config.forward;
    (forward.x_forwarded, forward.forwarded, forward.request_id) = (false, false, false);
    forward.via.clear();
    config.pools[0].retry.attempts = 1;
    for setting in &case.settings {
        let (name, value) = setting.split_once('=').expect("a setting is name=value");
        let number = || -> usize { value.parse().expect("a number") };
        match name {
            "head_bytes_max" => config.front.head_bytes_max = number(),
            "fields_max" => config.front.fields_max = number(),
            "body_bytes_max" => config.front.body_bytes_max = number() as u64,
            "attempts" => config.pools[0].retry.attempts = number() as u32,
            "x_forwarded" => config.forward.x_forwarded = value == "yes",
            "forwarded" => config.forward.forwarded = value == "yes",
            "via" => value.clone_into(&mut config.forward.via),
            "trusted" => config.forward.trusted_proxies.push(value.parse().expect("a network")),
            "proxy" => config.listeners[0].accept_proxy = value == "yes",
            _ => panic!("{}: no such setting: {name}", case.title),
        }
    }
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
            ("|", Some(case)) => unescape(rest, &mut case.client),
            (">", Some(case)) if rest == "same" => case.onward.clone_from(&case.client),
            (">", Some(case)) => unescape(rest, &mut case.onward),
            ("early", Some(case)) => unescape(rest, &mut case.early),
            ("<", Some(case)) => unescape(rest, &mut case.server),
            ("late", Some(case)) => unescape(rest, &mut case.late),
            ("=", Some(case)) if rest == "same" => case.back.clone_from(&case.server),
            ("=", Some(case)) => unescape(rest, &mut case.back),
            ("with", Some(case)) => case.settings.push(rest.to_owned()),
            ("from", Some(case)) => case.peer.set_ip(rest.parse().expect("an address")),
            ("so", Some(case)) => case.verdict = Some(verdict(rest, &at)),
            ("reuse", Some(case)) => case.is_reused = Some(rest == "yes"),
            ("then", Some(case)) => match rest {
                "client ends" => case.then_client = Then::Ends,
                "client resets" => case.then_client = Then::Resets,
                "server ends" => case.then_server = Then::Ends,
                "server resets" => case.then_server = Then::Resets,
                _ => panic!("{at}: not understood: {line}"),
            },
            _ => panic!("{at}: not understood: {line}"),
        }
    }
    cases.iter_mut().filter(|case| case.client.is_empty()).for_each(|case| {
        case.client = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
        case.onward.clone_from(&case.client);
    });
    cases
}

fn verdict(text: &str, at: &str) -> Verdict {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let status = || rest.parse().expect("a status");
    match word {
        "keep" => Verdict::Keep,
        "close" => Verdict::Close,
        "cut" => Verdict::Cut,
        "refuse" => Verdict::Refuse(status()),
        "own" => Verdict::Own(status()),
        "wait" => Verdict::Wait,
        "tunnel" => Verdict::Tunnel,
        "silent" => Verdict::Silent,
        _ => panic!("{at}: no such verdict: {text}"),
    }
}

fn empty(title: String, name: &str) -> Case {
    Case {
        title,
        name: name.to_owned(),
        settings: Vec::new(),
        peer: "192.0.2.1:40000".parse().expect("an address"),
        client: Vec::new(),
        onward: Vec::new(),
        early: Vec::new(),
        server: Vec::new(),
        late: Vec::new(),
        back: Vec::new(),
        verdict: None,
        is_reused: None,
        then_client: Then::Stays,
        then_server: Then::Stays,
    }
}

fn unescape(text: &str, bytes: &mut Vec<u8>) {
    append(&mut text.chars(), bytes);
}

/// Appends the bytes that `text` writes, up to its end or the `)` of the group that it began in.
fn append(text: &mut Chars<'_>, bytes: &mut Vec<u8>) {
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
            Some('d') => bytes.extend_from_slice(DATE.as_bytes()),
            Some('x') => {
                let digits: String = text.by_ref().take(2).collect();
                bytes.push(u8::from_str_radix(&digits, 16).expect("\\x has two digits"));
            }
            Some('(') => repeat(text, bytes),
            other => panic!("no such escape: \\{other:?}"),
        }
    }
}

/// `N text)`: N times the text, which has no `)` in it.
fn repeat(text: &mut Chars<'_>, bytes: &mut Vec<u8>) {
    let count: String = text.by_ref().take_while(|c| *c != ' ').collect();
    let group: String = text.by_ref().take_while(|c| *c != ')').collect();
    let mut once = Vec::new();
    append(&mut group.chars(), &mut once);
    bytes.extend_from_slice(&once.repeat(count.parse().expect("a group begins with a number")));
}
