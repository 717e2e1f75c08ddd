//! URLs of every kind, right and wrong.

use super::*;
use proptest::prelude::*;

fn url(text: &str) -> Url {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn error(text: &str) -> String {
    text.parse::<Url>().map_or_else(|error| error, |url| panic!("{text}: {url:?}"))
}

fn named(host: &str, port: u16) -> Place {
    Place::Name { host: host.to_owned(), port }
}

#[test]
fn host_port_and_target_are_taken_as_they_were_typed() {
    for (text, place, host_field, target) in [
        ("http://127.0.0.1:5000/add", named("127.0.0.1", 5000), "127.0.0.1:5000", "/add"),
        ("HTTP://Example.COM", named("Example.COM", 80), "Example.COM", "/"),
        ("http://a:/x", named("a", 80), "a", "/x"),
        ("http://a?x=1&y=%41", named("a", 80), "a", "/?x=1&y=%41"),
        ("http://a//b/../c?http://u@h", named("a", 80), "a", "//b/../c?http://u@h"),
        ("http://[::1]:5000/", named("::1", 5000), "[::1]:5000", "/"),
        ("http://[2001:db8::1]", named("2001:db8::1", 80), "[2001:db8::1]", "/"),
        ("http://unix:5000/add", named("unix", 5000), "unix:5000", "/add"),
        ("http://a/{{key}}?{{random:1..9}}", named("a", 80), "a", "/{{key}}?{{random:1..9}}"),
        ("http://unix:/run/x.sock:/add?a", Place::Unix("/run/x.sock".into()), "localhost", "/add?a"),
        ("http://unix:./x.sock", Place::Unix("./x.sock".into()), "localhost", "/"),
        ("http://unix:/run/x:?y", Place::Unix("/run/x".into()), "localhost", "/?y"),
    ] {
        let expected =
            Url { weight: 1.0, place, host_field: host_field.to_owned(), target: target.to_owned() };
        assert_eq!(url(text), expected, "{text}");
        assert_eq!(url(&expected.to_string()), expected, "{text}");
        let weighted = Url { weight: 2.5, ..expected };
        assert_eq!(url(&format!("2.5@{text}")), weighted, "{text}");
        assert_eq!(url(&weighted.to_string()), weighted, "{text}");
    }
}

#[test]
fn what_can_not_be_asked_for_says_what_to_write_instead() {
    for (text, hint) in [
        ("", "http://"),
        ("127.0.0.1:5000/add", "write `http://127.0.0.1:5000/add`"),
        ("//a/b", "write `http://a/b`"),
        ("localhost/?u=http://b", "write `http://localhost/?u=http://b`"),
        ("https://a/", "TLS is not spoken yet"),
        ("ws://a/", "only http"),
        ("http://", "no host"),
        ("http:///add", "no host"),
        ("http://:80/", "no host"),
        ("http://u:p@a/", "Authorization"),
        ("http://a:0/", "port from 1 to 65535"),
        ("http://a:65536/", "port from 1 to 65535"),
        ("http://a:http/", "port from 1 to 65535"),
        ("http://a/b#c", "fragment"),
        ("http://a#c", "fragment"),
        ("http://a/b c", "`http://a/b c`: "),
        ("http://a/b\r\nX: y", "`http://a/b\r\nX: y`: "),
        ("http://a/b HTTP/1.1\r\nHost: x\r\n\r\nGET /", "HTTP/1.1"),
        ("http://a/\u{e9}", "percent-encoded"),
        ("http://a/%4", "percent-encoded"),
        ("http://a/{x}", "percent-encoded"),
        ("http://a/{{x}}", "is no variable"),
        ("http://a b/", "Host"),
        ("http://a,b/", "Host"),
        ("http://[::1/", "Host"),
        ("http://[x]/", "Host"),
        ("http://::1/", "Host"),
        ("http://[fe80::1%25eth0]/", "Host"),
        ("http://unix::/add", "port from 1 to 65535"),
        ("0@http://a/", "weight"),
        ("-1@http://a/", "weight"),
        ("inf@http://a/", "weight"),
        ("nan@http://a/", "weight"),
        ("u@http://a/", "weight"),
    ] {
        let error = error(text);
        assert!(error.contains(hint), "{text}: {error}");
    }
    let long = format!("http://unix:/{}:/", "x".repeat(107));
    assert!(error(&long).contains("108 bytes, 107 at most"));
}

#[test]
fn the_urls_of_a_run_share_one_place() {
    let urls = [url("http://a/x"), url("2@http://a:80/y"), url("http://a/")];
    assert_eq!(common_place(&urls), Ok(&named("a", 80)));
    let urls = [url("http://a/x"), url("http://a:81/x")];
    assert!(common_place(&urls).unwrap_err().contains("`a:80` and `a:81`"));
    assert!(common_place(&[]).unwrap_err().contains("a URL is needed"));
}

#[test]
fn addresses_need_no_name_service_and_unknown_names_are_named() {
    let resolved = |text: &str| url(text).place.resolve().unwrap();
    assert_eq!(resolved("http://127.0.0.1:5000/"), ["127.0.0.1:5000".parse().unwrap()]);
    assert_eq!(resolved("http://[::1]:5000/"), ["[::1]:5000".parse().unwrap()]);
    assert_eq!(resolved("http://unix:/run/x.sock:/"), ["unix:/run/x.sock".parse().unwrap()]);
    // RFC 6761 §6.4: never to be resolved.
    let error = url("http://no.such.invalid/").place.resolve().unwrap_err();
    assert!(error.starts_with("can't resolve `no.such.invalid`: ") && error.ends_with("; check the name"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_shown_is_read_back(
        front in "([0-9.]{1,4}@)?http://(unix:/)?[a-z0-9.:@%\\[\\]-]{0,12}",
        target in "[/?:a-z%0-9{} #]{0,12}",
    ) {
        let text = front + &target;
        if let Ok(read) = text.parse::<Url>() {
            prop_assert_eq!(read.to_string().parse::<Url>(), Ok(read));
        }
    }
}
