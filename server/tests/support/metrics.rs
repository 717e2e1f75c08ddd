//! A small reader of OpenMetrics text, strict about what Prometheus is strict about.

use super::client::{Client, get};
use super::server::Server;
use std::collections::{BTreeMap, BTreeSet};

/// One scrape: every sample by its name and labels, as written.
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Scrapes by a new connection.
    pub fn of(server: &Server) -> Metrics {
        Metrics::by(&mut Client::connect(server.admin()).expect("the admin port accepts"))
    }

    /// Scrapes by a connection that is open already.
    pub fn by(admin: &mut Client) -> Metrics {
        let answer = admin.ask(get("/metrics"));
        assert_eq!(answer.status, 200);
        let content_type = answer.field("content-type").expect("a content type");
        assert!(content_type.starts_with("application/openmetrics-text; version=1.0.0"), "{content_type}");
        Metrics::read(answer.text())
    }

    /// Reads what was scraped.
    pub fn read(text: &str) -> Metrics {
        let mut samples = BTreeMap::new();
        let mut types = BTreeMap::new();
        let mut families_past = BTreeSet::new();
        let mut family = String::new();
        let body = text.strip_suffix("# EOF\n").expect("the last line is `# EOF`");
        for line in body.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                let (kind, name) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
                let rest = words.next().unwrap_or("");
                assert!(
                    ["HELP", "TYPE", "UNIT"].contains(&kind) && is_name(name) && !rest.is_empty(),
                    "{line}"
                );
                if family != name {
                    assert!(families_past.insert(name.to_owned()), "`{name}` stands in two places");
                    name.clone_into(&mut family);
                }
                if kind == "TYPE" {
                    assert!(["counter", "gauge", "histogram"].contains(&rest), "{line}");
                    types.insert(name.to_owned(), rest.to_owned());
                }
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
            let value = value.parse::<f64>().unwrap_or_else(|_| panic!("no number: {line}"));
            let name = series.split('{').next().unwrap_or("");
            let suffix =
                name.strip_prefix(family.as_str()).unwrap_or_else(|| panic!("outside of its family: {line}"));
            let may_have: &[&str] = match types.get(&family).map(String::as_str) {
                Some("counter") => &["_total"],
                Some("gauge") => &[""],
                Some("histogram") => &["_bucket", "_sum", "_count"],
                _ => &[],
            };
            assert!(is_name(name) && may_have.contains(&suffix), "{line}");
            assert!(are_labels(&series[name.len()..]), "{line}");
            assert!(samples.insert(series.to_owned(), value).is_none(), "twice: {series}");
        }
        Metrics(samples)
    }

    /// The sum over all series of `name` that have all of these labels, each as in `status="200"`.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let has = |series: &str| {
            let (this, rest) = series.split_once('{').unwrap_or((series, ""));
            this == name && labels.iter().all(|label| rest.contains(label))
        };
        self.0.iter().filter(|(series, _)| has(series)).map(|(_, value)| value).sum()
    }

    /// The values of a family's samples in their order: a histogram's buckets are read with it.
    pub fn series(&self, name: &str) -> impl Iterator<Item = (&str, f64)> {
        self.0
            .iter()
            .filter(move |(series, _)| series.split('{').next() == Some(name))
            .map(|(s, v)| (s.as_str(), *v))
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Nothing, or `{}`, or `{name="value",…}` without anything in a value that needs an escape.
fn are_labels(text: &str) -> bool {
    if text.is_empty() || text == "{}" {
        return true;
    }
    let Some(inner) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else { return false };
    inner.split(',').all(|label| {
        let Some((name, value)) = label.split_once('=') else { return false };
        let value = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        is_name(name) && value.is_some_and(|value| !value.contains(['"', '\\']))
    })
}
