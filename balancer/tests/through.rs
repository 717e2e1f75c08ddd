//! Exact bytes through the balancer, as data: what hostile clients and servers send, and what the other side may see of it. The
//! format and the verdicts are told in `cases/README.md`.

#[path = "cases/oracle.rs"]
mod oracle;
#[path = "cases/read.rs"]
mod read;
#[path = "cases/scene.rs"]
mod scene;

use net::engine::Close;
use net::engine::sim::Rng;
use oracle::{Liberty, joined, messages};
use read::{Case, Then, Verdict};
use scene::{ANSWER, Cut, NEXT, Outcome, Scene};

/// Longer bytes than this are cut at so many places, drawn by the length.
const CUTS_MAX: usize = 200;

#[test]
fn every_case_ends_as_it_says_however_both_sides_are_cut() {
    let cases = read::cases();
    assert!(cases.len() > 150, "only {} cases were found", cases.len());
    let only = std::env::var("CASE").unwrap_or_default();
    for case in cases.iter().filter(|case| only.is_empty() || case.name == only) {
        let mut scene = Scene::new(case);
        // The first run writes heads, the second one remembers them.
        for _ in 0..2 {
            judge(case, Cut::Whole, &scene.run(Cut::Whole, Cut::Whole), true);
        }
        for at in cuts(case.client.len()) {
            judge(case, Cut::At(at), &scene.run(Cut::At(at), Cut::Whole), false);
        }
        for at in cuts(case.server.len().max(case.early.len()).max(case.late.len())) {
            judge(case, Cut::At(at), &scene.run(Cut::Whole, Cut::At(at)), false);
        }
        judge(case, Cut::Everywhere, &scene.run(Cut::Everywhere, Cut::Everywhere), false);
    }
}

#[test]
fn names_are_unique_and_every_case_says_what_comes_of_it() {
    let mut names: Vec<String> = read::cases().into_iter().map(|case| case.name).collect();
    names.sort();
    names.windows(2).for_each(|pair| assert_ne!(pair[0], pair[1]));
    for case in read::cases() {
        assert!(case.verdict.is_some(), "{}: no verdict", case.title);
        assert!(case.server.is_empty() || case.is_reused.is_some(), "{}: is it reused?", case.title);
    }
}

#[test]
fn the_oracle_sees_what_a_lenient_server_would_see() {
    let smuggled =
        |head: &str, body: &str| format!("{head}{body}GET /smuggled HTTP/1.1\r\n\r\n").into_bytes();
    let both = "POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (liberty, head, body) in [
        (Liberty::LengthFirst, both, "0\r\n\r\n"),
        (Liberty::BareLf, "POST / HTTP/1.1\r\nX: a\nContent-Length: 26\r\n\r\n", ""),
        (Liberty::BareCr, "POST / HTTP/1.1\r\nX: a\rContent-Length: 26\r\n\r\n", ""),
        (Liberty::LooseNames, "POST / HTTP/1.1\r\nContent_Length: 26\r\n\r\n", ""),
        (Liberty::LooseCoding, "POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n", "0\r\n\r\n"),
        (Liberty::LooseNumbers, "POST / HTTP/1.1\r\nContent-Length: 0x1a\r\n\r\n", ""),
        (Liberty::Folds, "POST / HTTP/1.1\r\nTransfer-Encoding:\r\n chunked\r\n\r\n", "0\r\n\r\n"),
        (Liberty::NoNameEnds, "POST / HTTP/1.1\r\n: x\r\nContent-Length: 26\r\n\r\n", ""),
        (Liberty::NulEnds, "POST / HTTP/1.1\r\nContent-Length: 26\x00\r\n\r\n", ""),
    ] {
        let bytes = smuggled(head, body);
        let (strict, loose) = (messages(&bytes, Liberty::Strict), messages(&bytes, liberty));
        assert_ne!(strict, loose, "{liberty:?} sees nothing else");
    }
}

/// Where to cut so many bytes.
fn cuts(len: usize) -> Vec<usize> {
    if len <= CUTS_MAX {
        return (1..len).collect();
    }
    let mut rng = Rng::new(len as u64);
    (0..CUTS_MAX / 4).map(|_| 1 + rng.below(len - 1)).chain(1..CUTS_MAX / 4).collect()
}

fn judge(case: &Case, cut: Cut, got: &Outcome, is_whole: bool) {
    let at = format!("{} ({cut:?})", case.title);
    let verdict = case.verdict.unwrap_or_else(|| panic!("{at}: no verdict"));
    judge_server(case, verdict, got, is_whole, &at);
    judge_client(case, verdict, got, &at);
    if let Some(is_reused) = case.is_reused {
        assert_eq!(got.is_kept, is_reused, "{at}: is the server's connection kept?");
    }
}

/// The server got what the case says, and every lenient reader sees the same messages in it.
fn judge_server(case: &Case, verdict: Verdict, got: &Outcome, is_whole: bool, at: &str) {
    let has_next = matches!(verdict, Verdict::Keep | Verdict::Own(_)) && case.then_client == Then::Stays;
    let mut all = got.received.concat();
    for bytes in got.received.iter().filter(|_| verdict != Verdict::Tunnel) {
        let (strict, _) = messages(bytes, Liberty::Strict);
        for liberty in Liberty::EVERY {
            assert_eq!(messages(bytes, liberty).0, strict, "{at}: {liberty:?} in {}", shown(bytes));
        }
    }
    if verdict == Verdict::Tunnel {
        assert_eq!(shown(&all), shown(&[&case.onward[..], NEXT].concat()), "{at}: to the server");
        return;
    }
    if has_next {
        let front = all.strip_suffix(NEXT).unwrap_or_else(|| panic!("{at}: no next: {}", shown(&all)));
        all = front.to_vec();
    }
    let expected = &case.onward;
    let is_cut_short = matches!(verdict, Verdict::Refuse(_) | Verdict::Silent) || !case.early.is_empty();
    if is_cut_short && (!is_whole || !case.early.is_empty()) {
        let is_begun = case.early.is_empty() || all.starts_with(expected);
        assert!(is_begun, "{at}: {}", shown(&all));
        // A part may have gone on before the rest came that is refused, or not wanted; but nothing complete.
        let (seen, _) = messages(&all, Liberty::Strict);
        assert_eq!(seen, messages(expected, Liberty::Strict).0, "{at}: {}", shown(&all));
    } else if is_whole {
        assert_eq!(shown(&all), shown(expected), "{at}: to the server");
    } else {
        assert_eq!(shown(&joined(&all)), shown(&joined(expected)), "{at}: to the server");
    }
}

fn judge_client(case: &Case, verdict: Verdict, got: &Outcome, at: &str) {
    let goes_on = matches!(verdict, Verdict::Keep | Verdict::Own(_) | Verdict::Wait | Verdict::Tunnel);
    if case.then_client == Then::Stays {
        assert_eq!(got.closed.is_none(), goes_on, "{at}: is it closed? {}", shown(&got.client));
    }
    match verdict {
        Verdict::Refuse(status) | Verdict::Own(status) => {
            let behind = got.client.strip_prefix(&case.back[..]);
            let own = behind.unwrap_or_else(|| panic!("{at}: to the client: {}", shown(&got.client)));
            let rest = own_answer(own, status, at);
            assert_eq!(shown(rest), if goes_on { shown(ANSWER) } else { String::new() }, "{at}: behind it");
            let says_close = has_line(own, b"connection: close");
            assert_eq!(says_close, !goes_on, "{at}: {}", shown(own));
            return;
        }
        Verdict::Silent | Verdict::Wait => {
            assert_eq!(shown(&got.client), shown(&case.back), "{at}: to the client");
            return;
        }
        Verdict::Keep | Verdict::Close | Verdict::Cut | Verdict::Tunnel => {}
    }
    let mut expected = case.back.clone();
    if expected.is_empty() && case.server.is_empty() && case.then_client != Then::Resets {
        expected = answers(&case.onward, verdict == Verdict::Close);
    }
    if verdict == Verdict::Keep && case.then_client == Then::Stays {
        expected.extend_from_slice(ANSWER);
    }
    assert_eq!(shown(&joined(&got.client)), shown(&joined(&expected)), "{at}: to the client");
    // An end that looks like that of a body must not stand for one that is missing.
    if verdict == Verdict::Cut && !is_framed(&expected) {
        assert_eq!(got.closed, Some(Close::Reset), "{at}: the client can't see that it is cut");
    }
}

/// The server's own answers to these requests.
fn answers(requests: &[u8], ends: bool) -> Vec<u8> {
    let (asked, _) = messages(requests, Liberty::Strict);
    let mut all = Vec::new();
    for (n, request) in asked.iter().enumerate() {
        let (head, body) = ANSWER.split_at(ANSWER.len() - 4);
        all.extend_from_slice(head);
        if ends && n + 1 == asked.len() {
            all.extend_from_slice(b"Connection: close\r\n");
        }
        all.extend_from_slice(if request.line.starts_with(b"HEAD ") { b"\r\n" } else { body });
    }
    all
}

fn is_framed(response: &[u8]) -> bool {
    has_line(response, b"content-length") || has_line(response, b"transfer-encoding")
}

/// Takes our own answer with this status off the front.
fn own_answer<'b>(bytes: &'b [u8], status: u16, at: &str) -> &'b [u8] {
    let line = format!("HTTP/1.1 {status} ");
    assert!(bytes.starts_with(line.as_bytes()), "{at}: not {status}: {}", shown(bytes));
    let text = String::from_utf8_lossy(bytes);
    let (head, _) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{at}: no head: {text}"));
    let mut lengths = head
        .lines()
        .filter_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let length: usize = lengths.next_back().unwrap_or_else(|| panic!("{at}: no length: {text}"));
    &bytes[head.len() + 4 + length..]
}

fn has_line(bytes: &[u8], start: &[u8]) -> bool {
    bytes.split(|&b| b == b'\n').any(|line| line.to_ascii_lowercase().starts_with(start))
}

/// Bytes as the case files write them, one line for each of theirs.
fn shown(bytes: &[u8]) -> String {
    let text = bytes.escape_ascii().to_string().replace("\\n", "\\n\n");
    if text.len() > 4000 { format!("{}... {} bytes", &text[..4000], bytes.len()) } else { text }
}
