//! `/status.json` and `/servers`: which fields there are, of which type, and that no word of a server is more than a word.

use super::fixture::{BEGAN, NASTY, World, config, text};
use serde_json::{Value, json};

/// Fields and their types: `n` number, `s` text, `b` boolean, `l` list, `o` object; `?` may be null.
const SHAPES: [(&str, &str); 8] = [
    ("", "balancer:o history:o totals:o lanes:l pools:l"),
    (
        "/balancer",
        "version:s engine:s started:n now:n uptime_seconds:n generation:n is_draining:b reload_error:s?",
    ),
    ("/history", "column_seconds:n columns_max:n next:n"),
    (
        "/totals",
        "requests_per_second:n? active:n queued:n tunnels:n front_connections:n faults:o retries:n retries_refused:n log_dropped:n",
    ),
    ("/lanes/*", "lane:n core:n? requests_per_second:n? share:n? active:n queued:n front_connections:n"),
    (
        "/pools/*",
        "name:s balance:s servers_up:n is_failing_open:b in_flight:n requests_per_second:n? errors_per_second:n? error_share:n? \
         p50_seconds:n? p99_seconds:n? servers:l",
    ),
    (
        "/pools/*/servers/*",
        "pool:s name:s address:s state:s admin:s why:s since:n state_seconds:n until_seconds:n? failures:n weight:n \
         configured_weight:n effective_weight:n in_flight:n limit:n? requests_per_second:n? errors_per_second:n? error_share:n? \
         p50_seconds:n? p99_seconds:n? connections_open:n connections_idle:n reuse_share:n? check:o? heat:o",
    ),
    ("/pools/*/servers/*/heat", "first:n columns:l"),
];

/// Everything at a path in which `*` is each item.
fn at<'j>(value: &'j Value, path: &str) -> Vec<&'j Value> {
    path.split('/').filter(|part| !part.is_empty()).fold(vec![value], |found, part| {
        let step = |value: &'j Value| match part {
            "*" => value.as_array().expect("a list").iter().collect(),
            name => vec![&value[name]],
        };
        found.into_iter().flat_map(step).collect()
    })
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind.strip_suffix('?') {
        Some(kind) => value.is_null() || is_of(value, kind),
        None => match kind {
            "n" => value.as_f64().is_some_and(f64::is_finite),
            "s" => value.is_string(),
            "b" => value.is_boolean(),
            "l" => value.is_array(),
            _ => value.is_object(),
        },
    }
}

#[test]
fn the_status_has_these_fields_of_these_types_and_no_other() {
    for mut world in [World::new(config()), World::lived()] {
        let whole = world.json("/status.json");
        for (path, shape) in SHAPES {
            let shape: Vec<(&str, &str)> =
                shape.split_whitespace().map(|field| field.split_once(':').unwrap()).collect();
            for value in at(&whole, path) {
                let object = value.as_object().unwrap_or_else(|| panic!("{path} is no object"));
                for (name, kind) in &shape {
                    let value = object.get(*name).unwrap_or_else(|| panic!("{path} has no {name}"));
                    assert!(is_of(value, kind), "{path}/{name}: {value} is not {kind}");
                }
                let extra = object.keys().find(|key| shape.iter().all(|(name, _)| name != key));
                assert_eq!(extra, None, "{path}");
            }
        }
    }
}

#[test]
fn a_server_is_shown_as_it_is() {
    let mut world = World::lived();
    let list = world.json("/servers");
    let list = list["servers"].as_array().unwrap();
    assert_eq!(list.len(), 7);
    let d = json!({
        "pool": "web", "name": "d", "address": "127.0.0.1:5003", "state": "ejected", "admin": "drain",
        "why": "5 failures in a row: connection refused", "since": BEGAN + 650 - 40, "state_seconds": 40, "until_seconds": 20,
        "failures": 1, "weight": 0, "configured_weight": 1, "effective_weight": 0.0, "in_flight": 0, "limit": null,
        "requests_per_second": 0.0, "errors_per_second": 0.0, "error_share": null, "p50_seconds": null, "p99_seconds": null,
        "connections_open": 16, "connections_idle": 12, "reuse_share": null, "check": null,
    });
    assert_eq!(list[3], d);
    assert_eq!(world.json("/servers/web/d"), d);
    let a = world.json("/servers/web/a");
    assert_eq!((&a["in_flight"], &a["limit"]), (&json!(17), &json!(64)));
    assert_eq!(
        a["check"],
        json!({"is_good": true, "said": "status 200", "took_seconds": 0.0013, "age_seconds": 3.0})
    );
    let api = world.json("/servers/api/unix%3A%2Frun%2Fapi.sock");
    assert_eq!((&api["pool"], &api["address"]), (&json!("api"), &json!("unix:/run/api.sock")));
}

#[test]
fn a_pool_counts_who_works_and_may() {
    let mut world = World::lived();
    world.is_failing_open = vec![true, false];
    world.reload_error = Some("line 3\nof it".to_owned());
    world.is_draining = true;
    let whole = world.json("/status.json");
    assert_eq!(whole["pools"][0]["servers_up"], json!(2), "up and rising; not on probation");
    world.servers[0][0].admin = balancer::control::Admin::Drain;
    assert_eq!(world.json("/status.json")["pools"][0]["servers_up"], json!(1), "one is drained");
    assert_eq!(whole["pools"][0]["is_failing_open"], json!(true));
    assert_eq!(whole["pools"][1]["is_failing_open"], json!(false));
    assert_eq!(whole["pools"][0]["in_flight"], json!(17));
    assert_eq!(whole["balancer"]["reload_error"], json!("line 3\u{fffd}of it"));
    assert_eq!(whole["balancer"]["is_draining"], json!(true));
    assert_eq!(whole["balancer"]["started"], json!(BEGAN));
}

#[test]
fn what_a_server_said_commands_no_terminal() {
    let mut world = World::lived();
    for target in ["/status.json", "/servers", "/servers/web/c"] {
        let answer = world.get(target);
        assert!(text(&answer).chars().all(|c| !c.is_control() && c != '\u{202e}'), "{target}");
    }
    let c = world.json("/servers/web/c");
    let said = c["check"]["said"].as_str().unwrap();
    assert_eq!(said, NASTY.replace(['\u{1b}', '\u{202e}'], "\u{fffd}"));
    world.servers[0][2].why = "x".repeat(100_000);
    assert!(world.json("/servers/web/c")["why"].as_str().unwrap().len() < 1_000);
}

#[test]
fn the_start_does_not_waver_with_the_clocks() {
    let mut world = World::new(config());
    let first = world.json("/status.json")["balancer"]["started"].clone();
    world.uptime += std::time::Duration::from_millis(1_999);
    world.wall_set = 3_600;
    assert_eq!(world.json("/status.json")["balancer"]["started"], first, "somebody set the clock");
}
