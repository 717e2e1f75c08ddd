//! The documentation names everything that is there, and nothing else.

use super::fixture::{World, config, text};
use super::metrics::Scrape;
use balancer::fleet::Fault;
use serde_json::Value;

const DOCS: &str = include_str!("../../../docs/balancer-admin.md");

#[test]
fn every_metric_is_explained_under_its_name_with_its_type() {
    let answer = World::new(config()).get("/metrics");
    let kinds = Scrape::of(text(&answer)).kinds;
    let rows: Vec<&str> = DOCS.lines().filter(|line| line.starts_with("| `corelane_balancer_")).collect();
    for (name, kind) in &kinds {
        let name = match &kind[..] {
            "counter" => format!("{name}_total"),
            _ => name.clone(),
        };
        let row = rows.iter().find(|row| row.starts_with(&format!("| `{name}` | ")));
        assert!(row.is_some_and(|row| row.contains(&format!("| {kind} |"))), "{name} {kind}");
    }
    assert_eq!(rows.len(), kinds.len(), "a metric that is not there is explained");
}

#[test]
fn every_fault_is_explained() {
    let rows = DOCS.lines().skip_while(|line| !line.starts_with("| `fault` |")).skip(2);
    let rows: Vec<&str> = rows.take_while(|line| !line.is_empty()).collect();
    assert_eq!(rows.len(), Fault::ALL.len());
    for (row, fault) in rows.iter().zip(Fault::ALL) {
        assert!(row.starts_with(&format!("| `{}` | ", fault.name())), "{row}");
    }
}

#[test]
fn every_field_is_explained() {
    fn check(value: &Value) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| {
                assert!(DOCS.contains(&format!("`{name}`")), "{name}");
                // Those are named by the faults, which have a list of their own.
                if name != "faults" {
                    check(value);
                }
            }),
            Value::Array(items) => items.iter().for_each(check),
            _ => {}
        }
    }
    check(&World::lived().json("/status.json"));
}

#[test]
fn every_path_is_explained_and_answers() {
    let mut world = World::lived();
    let paths = DOCS.lines().filter_map(|line| line.strip_prefix("| `GET ")?.split('`').next());
    let paths: Vec<&str> = paths.collect();
    assert_eq!(paths.len(), 7, "{paths:?}");
    for path in paths {
        let path = path.replace("POOL", "web").replace("SERVER", "a");
        assert_eq!(world.get(&path).status.code(), 200, "{path}");
    }
    for line in DOCS.lines().filter(|line| line.starts_with("| `POST ") || line.starts_with("| `PUT ")) {
        let (method, path) = line[3..].split('`').next().and_then(|it| it.split_once(' ')).unwrap();
        let path = path.replace("POOL", "web").replace("SERVER", "a");
        let body = if path.ends_with("/weight") { r#"{"weight":3}"# } else { "" };
        assert_eq!(world.send(method, &path, body).status.code(), 200, "{method} {path}");
    }
    assert_eq!(world.obeyed.len(), 5, "all that there are");
}
