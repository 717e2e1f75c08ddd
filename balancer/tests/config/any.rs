//! Any configuration is shown as a file that means the same, and no text makes the reader panic.

use super::is_built;
use balancer::config::keys::{KEYS, Key, Takes};
use balancer::config::{self, ProcessKeys, shown};
use proptest::prelude::*;
use std::path::Path;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_shown_is_read_as_the_same(values in any_values()) {
        let text = file_of(&values);
        let (config, keys) = match config::read(&text, Path::new("b.toml")) {
            Ok(read) => read,
            // Values that are fine alone may contradict each other.
            Err(refusal) => { prop_assert!(refusal.to_string().contains("longer than"), "{}", refusal); return Ok(()); }
        };
        let process = keys.over(ProcessKeys::default());
        let shown = shown(&config, &process, |_| None);
        let (again, keys) = config::read(&shown, Path::new("shown.toml")).map_err(|e| TestCaseError::fail(format!("{e}\n{shown}")))?;
        prop_assert_eq!(again, config, "{}", shown);
        prop_assert_eq!(keys.over(ProcessKeys::default()), process);
    }

    #[test]
    fn no_text_makes_it_panic_and_every_refusal_is_one_line(
        at in 0usize..4000, len in 0usize..40, with in "\\PC{0,12}|[\\[\\]{}=\",.\n#a-z0-9%-]{0,12}"
    ) {
        let sample = include_str!("../../deploy/balancer.toml").replace("\n#", "\n");
        let mut bytes = sample.into_bytes();
        let at = at.min(bytes.len());
        let end = (at + len).min(bytes.len());
        bytes.splice(at..end, with.into_bytes());
        if let Err(refusal) = config::read(&String::from_utf8_lossy(&bytes), Path::new("b.toml")) {
            let line = refusal.to_string();
            prop_assert!(line.starts_with("b.toml:") && !line.contains(char::is_control), "{:?}", line);
        }
    }
}

/// For each key, nothing or one of the values that it takes.
fn any_values() -> impl Strategy<Value = Vec<Option<String>>> {
    KEYS.iter().map(|key| proptest::option::of(any_value(key))).collect::<Vec<_>>()
}

fn any_value(key: &Key) -> BoxedStrategy<String> {
    let texts: &[&str] = match (key.section, key.name) {
        ("process", "cores") => &["all", "0", "1-3,7"],
        ("process", "admin") => &["none", "[::1]:1", "unix:/a \\\"b\\\""],
        ("listeners", "address") => &["127.0.0.1:1", "unix:/l#1"],
        ("listeners", "pool") | ("routes", "pool") => &["web"],
        ("routes", "listener") => &["*", "[::1]:99"],
        ("routes", "host") => &["a", "*.b.c", "[::1]"],
        ("routes", "path") => &["/a", "/a/%20b"],
        ("forward", "trusted-proxies") => &["10.0.0.0/8", "fd00::1"],
        ("forward", "via") => &["none", "x"],
        ("access-log", "to") => &["none", "stdout", "a b", "/é'\\\""],
        ("pools", "servers") => &["127.0.0.1:2", "unix:/a,name=x,weight=2,maxconn=3"],
        ("defaults", "report-header") => &["none", "x-load"],
        ("defaults.check", "path") => &["off", "connect", "/healthz"],
        ("defaults.check", "host") => &["www.example.com:80", "[::1]"],
        ("defaults.check", "expect") => &["200", "200-299,401-403"],
        _ => &[],
    };
    let texts: Vec<String> = texts.iter().map(|text| format!("\"{text}\"")).collect();
    any_of(&key.takes, texts)
}

fn any_of(takes: &Takes, texts: Vec<String>) -> BoxedStrategy<String> {
    match *takes {
        Takes::Text(_) => proptest::sample::select(texts).boxed(),
        Takes::Texts(_) => proptest::sample::subsequence(texts.clone(), 1..=texts.len())
            .prop_map(|some| format!("[{}]", some.join(", ")))
            .boxed(),
        Takes::Words(words) => {
            let words: Vec<_> = words.iter().copied().filter(|word| is_built(word)).collect();
            proptest::sample::select(words).prop_map(|word| format!("\"{word}\"")).boxed()
        }
        Takes::Switch => any::<bool>().prop_map(|switch| switch.to_string()).boxed(),
        Takes::Count(min, max) => (min..=max).prop_map(|count| count.to_string()).boxed(),
        Takes::Time(min, max) => {
            let units = proptest::sample::select(vec![1u64, 1_000, 1_000_000, 60_000_000]);
            let micros = (min.as_micros() as u64..=max.as_micros() as u64, units);
            micros
                .prop_map(move |(us, unit)| {
                    format!("\"{}us\"", (us / unit * unit).max(min.as_micros() as u64))
                })
                .boxed()
        }
        Takes::Size(min, max) => (min..=max, 0..20u32)
            .prop_map(move |(bytes, zeros)| format!("\"{}B\"", (bytes >> zeros << zeros).max(min)))
            .boxed(),
        Takes::Share(min, max) => {
            // Some of these keys take whole percents alone.
            let whole = (min * 100.0).ceil() as u32..=(max * 100.0) as u32;
            whole.prop_map(|percent| format!("\"{percent}%\"")).boxed()
        }
        Takes::OrNone(inner) if texts.is_empty() => {
            prop_oneof![Just("\"none\"".to_owned()), any_of(inner, texts)].boxed()
        }
        Takes::OrNone(inner) => any_of(inner, texts),
    }
}

/// A file with these values, with what else it takes to be whole, and with a second pool so that names are looked up.
fn file_of(values: &[Option<String>]) -> String {
    let mut sections: Vec<&str> = KEYS.iter().map(|key| key.section).collect();
    sections.dedup();
    let mut text = "[pools.other]\nservers = [\"127.0.0.1:9\"]\n".to_owned();
    for section in sections {
        let (header, needed): (_, &[(&str, &str)]) = match section {
            "pools" => ("[pools.web]".to_owned(), &[("servers", "[\"127.0.0.1:5000\"]")]),
            // A second one that always has the same address, for the route to name.
            "listeners" => {
                let second = "[[listeners]]\naddress = \"[::1]:99\"\npool = \"other\"\n[[listeners]]";
                (second.to_owned(), &[("pool", "\"web\"")])
            }
            "routes" => ("[[routes]]".to_owned(), &[("pool", "\"web\""), ("path", "\"/a\"")]),
            _ => (format!("[{section}]"), &[]),
        };
        text.push_str(&format!("{header}\n"));
        for (key, value) in KEYS.iter().zip(values).filter(|(key, _)| key.section == section) {
            let needed =
                needed.iter().find(|(name, _)| *name == key.name).map(|(_, value)| (*value).to_owned());
            if let Some(value) = value.clone().or(needed) {
                text.push_str(&format!("{} = {value}\n", key.name));
            }
        }
    }
    text
}
