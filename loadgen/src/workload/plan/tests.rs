//! What is sent, to the byte; and what is refused before anything is sent.

use crate::workload::tests::{lane, next, read, spec};
use crate::workload::{Kind, Source, Spec, Workload};
use net::http1::Asked;
use proptest::prelude::*;

fn headers(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| line.to_string()).collect()
}

fn requests(url: &str) -> Spec {
    spec(Kind::Requests, url)
}

fn error(spec: Spec) -> String {
    Workload::new(spec).map_or_else(|error| error, |workload| panic!("{workload:?}"))
}

/// Of the first so many requests.
fn targets(spec: Spec, count: usize) -> Vec<String> {
    let mut lane = lane(spec);
    (0..count).map(|_| next(&mut lane).0.split(' ').nth(1).unwrap().to_owned()).collect()
}

#[test]
fn a_request_is_sent_as_it_was_typed() {
    let spec =
        Spec { headers: headers(&[("X-A", " b "), ("x-a", "c")]), ..requests("http://h:81//x/../y?q=%41") };
    let mut lane = lane(spec);
    let (text, expected) = next(&mut lane);
    assert_eq!(text, "GET //x/../y?q=%41 HTTP/1.1\r\nhost: h:81\r\nX-A: b\r\nx-a: c\r\n\r\n");
    assert_eq!(lane.asked(&expected), Asked::Other);
    assert_eq!(next(&mut lane).0, text);
}

#[test]
fn a_host_that_is_given_replaces_ours() {
    let spec = Spec {
        headers: headers(&[("HOST", "{{random:5..5}}.example")]),
        ..requests("http://127.0.0.1:5000/")
    };
    assert_eq!(next(&mut lane(spec)).0, "GET / HTTP/1.1\r\nhost: 5.example\r\n\r\n");
}

#[test]
fn a_body_makes_it_a_post_with_its_length() {
    for (body, sent) in [
        (Source::Text("hello".to_owned()), "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello"),
        (Source::Text(String::new()), "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n"),
        (
            Source::Text("{{open}}{{seq}}".to_owned()),
            "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\n{{1",
        ),
        (Source::None, "GET / HTTP/1.1\r\nhost: h\r\n\r\n"),
    ] {
        assert_eq!(next(&mut lane(Spec { body, ..requests("http://h/") })).0, sent);
    }
}

#[test]
fn a_method_that_is_given_is_taken() {
    for (method, asked, has_length) in [
        ("GET", Asked::Other, false),
        ("HEAD", Asked::Head, false),
        ("DELETE", Asked::Other, false),
        ("PUT", Asked::Other, true),
        ("post", Asked::Other, false),
        ("X-ODD", Asked::Other, false),
    ] {
        let mut lane = lane(Spec { method: Some(method.to_owned()), ..requests("http://h/") });
        let (text, expected) = next(&mut lane);
        assert!(text.starts_with(&format!("{method} / HTTP/1.1\r\n")), "{text}");
        // Methods that anticipate content say that there is none.
        assert_eq!(text.contains("content-length: 0\r\n"), has_length, "{text}");
        assert_eq!(lane.asked(&expected), asked);
    }
    let body = Source::Text("x".to_owned());
    let spec = Spec { method: Some("GET".to_owned()), body, ..requests("http://h/") };
    assert!(next(&mut lane(spec)).0.ends_with("content-length: 1\r\n\r\nx"));
}

#[test]
fn operands_are_sent_as_json_unless_the_user_says_otherwise() {
    for kind in [Kind::Add, Kind::Ledger] {
        let text = next(&mut lane(spec(kind, "http://h/add"))).0;
        assert!(
            text.starts_with("POST /add HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n"),
            "{text}"
        );
        let own = headers(&[("Content-Type", "text/json"), ("x", "{{seq}}")]);
        let put = Some("PUT".to_owned());
        let text =
            next(&mut lane(Spec { headers: own, method: put, ..spec(kind, "http://h/add?{{seq}}") })).0;
        let head = "PUT /add?1 HTTP/1.1\r\nhost: h\r\nContent-Type: text/json\r\nx: 1\r\ncontent-length: ";
        assert!(text.starts_with(head), "{text}");
    }
}

#[test]
fn a_variable_has_one_value_in_all_of_a_request() {
    let body =
        Source::TextWithLines { text: "{{seq}} {{key}} {{line}}".to_owned(), lines: lines(&["x", "y", ""]) };
    let headers = headers(&[("x", "{{seq}} {{key}} {{line}}")]);
    let mut lane = lane(Spec { body, headers, keys: 9, ..requests("http://h/{{line}}?{{key}}") });
    for (seq, line) in [(1, "x"), (2, "y"), (3, ""), (4, "x")] {
        let (text, _) = next(&mut lane);
        let key = text.split(['?', ' ']).nth(2).unwrap();
        let value = format!("{seq} {key} {line}");
        assert!(text.starts_with(&format!("POST /{line}?{key} HTTP/1.1\r\n")), "{text}");
        assert!(text.contains(&format!("x: {}\r\n", value.trim_end())) || line.is_empty(), "{text}");
        assert!(text.ends_with(&format!("\r\ncontent-length: {}\r\n\r\n{value}", value.len())), "{text}");
    }
}

#[test]
fn each_line_of_a_file_is_a_body_unless_it_goes_elsewhere() {
    let body = Source::Lines(lines(&["{{seq}}", "b"]));
    let mut feeder = lane(Spec { body: body.clone(), ..requests("http://h/") });
    let sent =
        |body: &str| format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    for line in ["{{seq}}", "b", "{{seq}}"] {
        assert_eq!(next(&mut feeder).0, sent(line));
    }
    let body = Source::Lines(lines(&["a", "b%20c"]));
    assert_eq!(targets(Spec { body, ..requests("http://h/{{line}}") }, 3), ["/a", "/b%20c", "/a"]);
}

#[test]
fn lanes_share_the_lines_and_the_numbers() {
    let all = ["0", "1", "2", "3", "4", "5"];
    let spec = Spec { body: Source::Lines(lines(&all)), ..requests("http://h/{{line}}?{{seq}}") };
    let workload = Workload::new(spec).unwrap();
    let of_lane = |lane: usize, lanes| {
        let mut lane = workload.lane(7, lane, lanes, 0);
        let mut target = || next(&mut lane).0.split(' ').nth(1).unwrap().to_owned();
        [target(), target(), target()]
    };
    assert_eq!(of_lane(0, 2), ["/0?1", "/2?3", "/4?5"]);
    assert_eq!(of_lane(1, 2), ["/1?2", "/3?4", "/5?6"]);
    // More lanes than lines.
    assert_eq!(of_lane(7, 8), ["/1?8", "/3?16", "/5?24"]);
}

#[test]
fn what_can_not_be_sent_is_refused_with_a_hint() {
    let with = |fields: &[(&str, &str)]| Spec { headers: headers(fields), ..requests("http://h/") };
    let method = |kind, method: &str| Spec { method: Some(method.to_owned()), ..spec(kind, "http://h/") };
    let body = |body| Spec { body, ..requests("http://h/") };
    for (spec, hint) in [
        (Spec::default(), "a URL is needed"),
        (
            Spec {
                urls: vec!["http://a/".parse().unwrap(), "http://b/".parse().unwrap()],
                ..Spec::default()
            },
            "ab",
        ),
        (with(&[("Content-Length", "5")]), "follows from the body"),
        (with(&[("transfer-encoding", "chunked")]), "follows from the body"),
        (with(&[("a b", "c")]), "`a b: c` can't be sent"),
        (with(&[("", "c")]), "`: c` can't be sent"),
        (with(&[("a", "b\r\nc: d")]), r"`a: b\r\nc: d` can't be sent"),
        (with(&[("a", "b\0")]), r"`a: b\0` can't be sent"),
        (with(&[("Host", "a"), ("host", "a")]), "more than one Host"),
        (with(&[("Host", "a b")]), "`Host: a b` can't be sent"),
        (with(&[("Content-Type", "a"), ("content-type", "b")]), "more than one Content-Type"),
        (with(&[("Expect", "tea")]), "expectation"),
        (with(&[("a", "{{x}}")]), "`{{x}}` is no variable"),
        (with(&[("a", "{{key}}")]), "--keys"),
        (with(&[("a", "{{line}}")]), "a file of lines"),
        (method(Kind::Requests, "G T"), "`G T` is no method"),
        (method(Kind::Requests, ""), "`` is no method"),
        (method(Kind::Requests, "CONNECT"), "tunnel"),
        (method(Kind::Add, "GET"), "leave the method out"),
        (method(Kind::Ledger, "HEAD"), "leave the method out"),
        (Spec { body: Source::Text("x".to_owned()), ..spec(Kind::Add, "http://h/") }, "makes its own bodies"),
        (
            Spec { body: Source::Lines(lines(&["x"])), ..spec(Kind::Ledger, "http://h/") },
            "makes its own bodies",
        ),
        (body(Source::Text("{{line}}".to_owned())), "a file of lines"),
        (body(Source::Text("{{x".to_owned())), "has no end"),
        (body(Source::Lines(Vec::new())), "the file of lines is empty"),
        (body(Source::TextWithLines { text: "x".to_owned(), lines: lines(&["x"]) }), "no {{line}}"),
        (
            Spec { body: Source::Lines(lines(&["a", "b c"])), ..requests("http://h/{{line}}") },
            "line 2 can't stand",
        ),
        (Spec { keys: 5, ..requests("http://h/") }, "no {{key}}"),
        (Spec { keys: 5, ..spec(Kind::Ledger, "http://h/") }, "no {{key}}"),
        (Spec { keys: u64::MAX, ..spec(Kind::Add, "http://h/") }, "too many"),
        (Spec { zipf: 1.0, ..spec(Kind::Add, "http://h/") }, "add --keys"),
        (Spec { keys: 5, zipf: -1.0, ..spec(Kind::Add, "http://h/") }, "from 0 up"),
        (Spec { keys: 5, zipf: f64::NAN, ..spec(Kind::Add, "http://h/") }, "from 0 up"),
        (Spec { keys: 5, zipf: f64::INFINITY, ..spec(Kind::Add, "http://h/") }, "from 0 up"),
        (Spec { expect_body: Some("x".to_owned()), ..method(Kind::Requests, "HEAD") }, "an answer to HEAD"),
    ] {
        let shown = format!("{spec:?}");
        let error = error(spec);
        assert!(error.contains(hint), "{shown}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 999, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is let through is read by a strict server as one request, with the parts that were given.
    #[test]
    fn what_is_let_through_arrives_as_it_was_meant(
        method in "[A-Za-z \r\n:]{0,5}",
        target in "[a-z/?%0-9\r\n# {}:]{0,12}|/\\{\\{key\\}\\}[a-z ]?",
        name in "[a-zA-Z: \r\n-]{1,8}",
        value in "[ -~\r\n\0é]{0,12}|\\{\\{seq\\}\\}",
        body in "[ -~\r\n]{0,12}|\\{\\{random:1..9\\}\\}",
    ) {
        let url = crate::url::Url { target: format!("/{target}"), .."http://h/".parse().unwrap() };
        let spec = Spec {
            urls: vec![url],
            method: Some(method.clone()),
            headers: vec![(name.clone(), value.clone())],
            body: Source::Text(body),
            keys: if target.contains("{{key}}") { 3 } else { 0 },
            ..Spec::default()
        };
        if let Ok(workload) = Workload::new(spec) {
            let mut bytes = Vec::new();
            workload.lane(1, 0, 1, 0).write(&mut bytes);
            let (read_method, fields) = read(&bytes, |request| {
                (request.head.method.as_str().to_owned(), request.head.fields().count())
            });
            prop_assert_eq!(read_method, method);
            // Host, the one that was given unless it is the host, and the length.
            prop_assert_eq!(fields, if name.eq_ignore_ascii_case("host") { 2 } else { 3 });
        }
    }
}
