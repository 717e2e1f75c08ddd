//! Each key takes what its bounds and words say, and nothing else.

use super::{POOL, is_built, refused, taken};
use balancer::config::keys::{KEYS, Key, Takes};
use balancer::config::{self, Balance};
use std::path::Path;
use std::time::Duration;

#[test]
fn bounds_are_taken_and_nothing_beyond_them_is() {
    let mut tried = 0;
    for key in KEYS {
        let (inside, outside) = around(&key.takes);
        for value in inside {
            config::read(&with(key, &value), Path::new("b.toml"))
                .unwrap_or_else(|refusal| panic!("{value}: {refusal}"));
            tried += 1;
        }
        for value in outside {
            let refusal = refused(&with(key, &value));
            assert!(
                refusal.contains(": must lie between ") && refusal.contains(key.name),
                "{value}: {refusal}"
            );
            tried += 1;
        }
    }
    assert!(tried > 150, "{tried}");
}

#[test]
fn a_value_of_another_type_is_refused_for_every_key() {
    for key in KEYS {
        for value in ["1.5", "1979-05-27", "[[]]", "{ a = 1 }"] {
            let refusal = refused(&with(key, value));
            assert!(refusal.contains(&format!("{}: takes ", key.name)), "{value}: {refusal}");
        }
    }
}

#[test]
fn every_word_is_one_that_is_read() {
    for key in KEYS {
        if let Takes::Words(words) = key.takes {
            for word in words.iter().filter(|word| is_built(word)) {
                let read = config::read(&with(key, &format!("{word:?}")), Path::new("b.toml"));
                assert!(read.is_ok(), "{word}: {}", read.unwrap_err());
            }
        }
    }
    assert_eq!(taken(&format!("{POOL}balance = \"hot-cold\"")).pools[0].balance, Balance::HotCold);
}

/// A file in which this key has this value, and all else is well.
fn with(key: &Key, value: &str) -> String {
    let line = format!("{} = {value}", key.name);
    let mut text = match key.section {
        "pools" => format!("[pools.web]\n{line}\n"),
        "routes" | "listeners" => format!("{POOL}[[{}]]\n{line}\n", key.section),
        section => format!("{POOL}[{section}]\n{line}\n"),
    };
    // What it may not be longer than.
    match (key.section, key.name) {
        ("defaults.passive", "ejection") => text.push_str("ejection-max = \"1d\"\n"),
        ("defaults.passive", "ejection-max") => text.push_str("ejection = \"10ms\"\n"),
        ("defaults.check", "fast-interval") => text.push_str("interval = \"1d\"\n"),
        _ => {}
    }
    text
}

/// Values at both bounds, and just beyond them.
fn around(takes: &Takes) -> (Vec<String>, Vec<String>) {
    let quoted = |text: String| format!("\"{text}\"");
    match takes {
        Takes::Count(min, max) => (
            vec![min.to_string(), max.to_string()],
            vec![(*min as i64 - 1).to_string(), (max + 1).to_string()],
        ),
        Takes::Time(min, max) => {
            let us = |time: Duration| quoted(format!("{}us", time.as_micros()));
            let step = Duration::from_micros(1);
            let below = min.checked_sub(step).map(us);
            (vec![us(*min), us(*max)], below.into_iter().chain([us(*max + step)]).collect())
        }
        Takes::Size(min, max) => {
            let bytes = |size: usize| quoted(format!("{size}B"));
            let below = min.checked_sub(1).map(bytes);
            (vec![bytes(*min), bytes(*max)], below.into_iter().chain([bytes(*max + 1)]).collect())
        }
        Takes::Share(min, max) => {
            let percent = |share: f64| quoted(format!("{}%", share * 100.0));
            let below = Some(min / 2.0).filter(|below| below < min).map(percent);
            (vec![percent(*min), percent(*max)], below.into_iter().chain([percent(max + 0.01)]).collect())
        }
        Takes::OrNone(inner) => {
            let (mut inside, outside) = around(inner);
            // What a word of another meaning would need is tried elsewhere.
            if !inside.is_empty() {
                inside.push(quoted("none".to_owned()));
            }
            (inside, outside)
        }
        Takes::Text(_) | Takes::Texts(_) | Takes::Words(_) | Takes::Switch => (Vec::new(), Vec::new()),
    }
}
