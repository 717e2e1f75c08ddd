//! What shows a run, from outside: pages are well formed, small and harmless; text fits a screen; JSON comes back.
//!
//! In: documents of every kind, from `samples`. Never: compares with a page that was once written down: how it looks
//! may change.

mod markup;
mod samples;

use loadgen::model::{Comparison, Content, Document, FORMAT, Search};
use loadgen::report::html::{BYTES_MAX, html};
use loadgen::report::json;
use loadgen::report::text::{COLUMNS_MAX, LINES_MAX, text};
use samples::document;
use std::fs;

#[test]
fn every_page_is_well_formed_and_small() {
    for (name, documents) in pages() {
        let page = html(&documents);
        markup::check(&page).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert!(page.len() <= BYTES_MAX, "{name}: {} bytes", page.len());
    }
}

#[test]
fn no_page_shows_what_is_no_number() {
    for (name, documents) in pages() {
        let seen = markup::text(&html(&documents));
        for word in ["NaN", "inf", "null", "18,446,744"] {
            assert!(!words(&seen).any(|seen| seen == word), "{name}: {word}");
        }
        let page = html(&documents);
        for number in ["\"NaN", "NaN\"", "inf\"", "inf%", " NaN", "L-", "M-"] {
            assert!(!page.contains(number), "{name}: {number}");
        }
        for document in &documents {
            assert!(!words(&text(document, false)).any(|seen| ["NaN", "inf"].contains(&seen)), "{name}");
        }
    }
}

#[test]
fn a_page_loads_nothing_and_runs_nothing() {
    for (name, documents) in pages() {
        let page = html(&documents);
        for tag in markup::tags(&page) {
            assert!(
                !["img", "link", "iframe", "object", "embed", "base", "image", "use"].contains(&tag.name),
                "{name}"
            );
            if tag.name == "script" {
                assert_eq!(tag.attribute("type"), Some("application/json"), "{name}");
            }
            for (key, value) in &tag.attributes {
                assert!(!key.starts_with("on"), "{name}: {key}");
                let loads = ["src", "href", "srcset", "action", "data"].contains(key);
                assert!(!loads || value.starts_with('#'), "{name}: {key}={value}");
                assert!(!(*key == "style" && value.contains("url(")), "{name}: {value}");
            }
        }
        let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        assert!(!style.contains("url(") && !style.contains("@import"));
    }
}

#[test]
fn foreign_text_is_shown_and_does_nothing() {
    let plain = html(&[document(samples::with_errors())]);
    let plain = markup::tags(&plain);
    let count = |tags: &[markup::Tag<'_>], name| tags.iter().filter(|tag| tag.name == name).count();
    let page = html(&[document(samples::hostile())]);
    let tags = markup::tags(&page);
    assert_eq!(count(&tags, "b"), count(&plain, "b"), "only our own, in meters and keys");
    assert_eq!(count(&tags, "script"), 1, "only the data");
    assert!(
        markup::text(&page)
            .contains("</script><script>alert(1)</script>\"'&<b>]]>--><!--\u{fffd}\u{fffd}[31m")
    );
    assert!(page.chars().all(|c| c == '\n' || !c.is_control()));
}

#[test]
fn the_data_in_a_page_are_the_data() {
    for content in [samples::good(), samples::hostile()] {
        // What JSON has no word for is not what this is about.
        let mut run = content;
        run.in_flight_mean = 1.5;
        run.setup.urls.truncate(1);
        let one = document(run);
        let path = std::env::temp_dir().join(format!("corelane-report-{}.html", std::process::id()));
        fs::write(&path, html(std::slice::from_ref(&one))).unwrap();
        let read = json::read(&path);
        fs::remove_file(&path).unwrap();
        assert_eq!(json::write(&read.unwrap()), json::write(&one));
    }
}

#[test]
fn a_page_that_would_be_too_large_leaves_out_and_says_what() {
    let whole = html(&[document(samples::good())]);
    assert!(whole.contains("corelane-loadgen report reads it again"));
    let many: Vec<Document> = (0..40).map(|_| document(samples::good())).collect();
    let page = html(&many);
    assert!(page.len() <= BYTES_MAX, "{}", page.len());
    assert!(page.contains("it shows no run by itself"));
    assert!(!page.contains("application/json"));
    assert!(!page.contains("href=\"#run-"), "a link to what was left out");
    let few = html(&[document(samples::good()), document(samples::stepped())]);
    for number in 1..=2 {
        assert!(
            few.contains(&format!("href=\"#run-{number}\"")) && few.contains(&format!("id=\"run-{number}\""))
        );
    }
}

#[test]
fn an_invalid_run_has_its_banner_above_its_numbers() {
    let page = html(&[document(samples::invalid())]);
    let at = |part: &str| page.find(part).unwrap_or_else(|| panic!("no {part}"));
    assert!(at("must not be quoted") < at("class=\"tiles\""));
    assert!(page.contains("INVALID: rate reached, own lag") && page.contains("SLO not judged"));
    assert!(!page.contains("SLO PASS"));
    let text = text(&document(samples::invalid()), false);
    assert!(text.ends_with("\nINVALID: rate reached, own lag\n"), "{text}");
    assert!(!text.contains("Target      met"), "{text}");

    let mut unjudged = samples::good();
    unjudged.checks.clear();
    assert!(html(&[document(unjudged)]).contains("must not be quoted"));
}

#[test]
fn a_page_says_in_this_order_whether_what_and_how() {
    let page = markup::text(&html(&[document(samples::with_errors())]));
    let parts = [
        "VALID",
        "SLO FAIL",
        "p99 response",
        "Targets",
        "May this be believed?",
        "Response time by percentile",
        "Response times over time",
        "Requests over time",
        "Own lag over time",
        "Percentiles",
        "Errors and answers",
        "Lanes of the generator",
        "Set-up",
        "How to read this",
    ];
    let mut from = 0;
    for part in parts {
        let at = page[from..].find(part).unwrap_or_else(|| panic!("{part} is missing, or comes too early"));
        from += at + part.len();
    }
}

#[test]
fn text_fits_a_screen_and_ends_with_the_verdict() {
    for (name, documents) in pages() {
        for one in &documents {
            let text = text(one, false);
            assert!(text.lines().count() <= LINES_MAX, "{name}: {} lines\n{text}", text.lines().count());
            for line in text.lines() {
                assert!(line.chars().count() <= COLUMNS_MAX, "{name}: {line}");
                assert!(!line.chars().any(char::is_control), "{name}: {line:?}");
            }
        }
    }
    let good = text(&document(samples::good()), true);
    assert!(good.ends_with("\u{1b}[1;32mVALID\u{1b}[0m\n"), "{good:?}");
    assert_eq!(good.matches('\u{1b}').count(), 2, "no other colour");
    let bad = text(&document(samples::invalid()), true);
    assert!(bad.ends_with("\u{1b}[1;31mINVALID: rate reached, own lag\u{1b}[0m\n"), "{bad:?}");
}

#[test]
fn text_says_how_many_samples_a_percentile_would_need() {
    let mut run = samples::good();
    run.response = Default::default();
    run.intervals.clear();
    (0..5_000).for_each(|n| run.response.record(100_000 + n));
    let text = text(&document(run), false);
    assert!(text.contains("p99.9    too few samples (needs 10,000)"), "{text}");
    assert!(text.contains("p99           105 µs"), "{text}");
}

#[test]
fn text_names_every_kind_of_error_that_has_room() {
    let text = text(&document(samples::with_errors()), false);
    for part in [
        "4,247 (0.14 %): 4,210 failed, of these 190 timed out; 37 wrong",
        "4,011 connection reset: 127.0.0.1:5000",
        "9 status 503: HTTP/1.1 503",
        "Ledger      3 swapped, 190 lost",
        "Target      MISSED: errors<0.1% (found 0.142 %)",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn a_search_begins_with_its_answer() {
    let found = text(&search(samples::search()), false);
    assert!(found.starts_with("184k ± 3k req/s at p99 < 1 ms\n"), "{found}");
    assert!(found.contains("missed: p99 over 1 ms") && found.contains("invalid: own lag"), "{found}");
    let page = html(&[search(samples::search())]);
    assert!(page.contains("<h1>184k ± 3k req/s at p99 &lt; 1 ms</h1>"));
    let dots = markup::tags(&page).iter().filter(|tag| tag.name == "circle").count();
    assert_eq!(dots, samples::search().trials.len());

    let mut none = samples::search();
    none.answer.rate = None;
    assert!(text(&search(none), true).ends_with("\u{1b}[1;31mNOT FOUND: no rate met the target\u{1b}[0m\n"));
}

#[test]
fn a_comparison_says_what_may_be_said() {
    let said = text(&comparison(samples::comparison()), false);
    assert!(said.ends_with("\nB is better in server CPU per request, worse in p50, p99\n"), "{said}");
    let same = said.lines().find(|line| line.starts_with("p99.9 ")).unwrap();
    assert!(same.ends_with("3.10 %  no detectable difference"), "{same}");
    let page = html(&[comparison(samples::comparison())]);
    assert!(markup::text(&page).contains("no detectable difference (would have seen 3.10 %)"));

    let mut invalid = samples::comparison();
    invalid.invalid = vec!["B, round 3: own lag".into()];
    let page = html(&[comparison(invalid.clone())]);
    assert!(page.contains("must not be quoted") && page.contains("B, round 3: own lag"));
    let said = text(&comparison(invalid), false);
    assert!(said.lines().last().unwrap().starts_with("INVALID: "), "{said}");
    assert!(!said.contains("B is better in"), "{said}");
}

#[test]
fn a_run_in_steps_has_a_dot_per_held_rate() {
    let page = html(&[document(samples::stepped())]);
    let dots = markup::tags(&page).iter().filter(|tag| tag.name == "circle").count();
    assert_eq!(dots, 4);
    let one_rate = html(&[document(samples::good())]);
    assert!(!one_rate.contains("<circle"));
}

#[test]
fn json_comes_back_as_it_went() {
    for one in [document(samples::with_errors()), search(samples::search())] {
        let path = std::env::temp_dir().join(format!("corelane-report-{}.json", std::process::id()));
        fs::write(&path, json::write(&one)).unwrap();
        let read = json::read(&path);
        fs::remove_file(&path).unwrap();
        assert_eq!(json::write(&read.unwrap()), json::write(&one));
    }
}

/// Documents of every kind, alone and together.
fn pages() -> Vec<(&'static str, Vec<Document>)> {
    let mut empty_search = samples::search();
    empty_search.trials.clear();
    empty_search.ramp.clear();
    let mut empty_comparison = samples::comparison();
    empty_comparison.rows.clear();
    vec![
        ("nothing", Vec::new()),
        ("good", vec![document(samples::good())]),
        ("invalid", vec![document(samples::invalid())]),
        ("errors", vec![document(samples::with_errors())]),
        ("stepped", vec![document(samples::stepped())]),
        ("empty", vec![document(samples::empty())]),
        ("idle", vec![document(samples::idle())]),
        ("hostile", vec![document(samples::hostile())]),
        ("crowded", vec![document(samples::crowded())]),
        ("search", vec![search(samples::search())]),
        ("empty search", vec![search(empty_search)]),
        ("comparison", vec![comparison(samples::comparison())]),
        ("empty comparison", vec![comparison(empty_comparison)]),
        ("several", vec![document(samples::good()), search(samples::search()), document(samples::empty())]),
    ]
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != ',')
}

fn search(search: Search) -> Document {
    Document { corelane_loadgen: FORMAT, content: Content::Search(Box::new(search)) }
}

fn comparison(comparison: Comparison) -> Document {
    Document { corelane_loadgen: FORMAT, content: Content::Comparison(Box::new(comparison)) }
}
