//! What an answer must be, where the user says so: `--expect-status`, `--expect-body`, `--expect-json`.

use serde_json::{Number, Value};
use std::fmt;
use std::str::FromStr;

/// A list of statuses: `200`, `2xx`, `200,204,3xx`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses {
    /// First and last of each, as given.
    ranges: Vec<(u16, u16)>,
}

impl Statuses {
    /// From 200 to 299: the request was received, understood and accepted (RFC 9110 §15.3).
    pub fn success() -> Statuses {
        Statuses { ranges: vec![(200, 299)] }
    }

    /// 200 alone.
    pub fn ok() -> Statuses {
        Statuses { ranges: vec![(200, 200)] }
    }

    /// Is this status in the list?
    pub fn contains(&self, code: u16) -> bool {
        self.ranges.iter().any(|&(first, last)| (first..=last).contains(&code))
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, &(first, last)) in self.ranges.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            if first == last { write!(f, "{comma}{first}")? } else { write!(f, "{comma}{}xx", first / 100)? }
        }
        Ok(())
    }
}

impl FromStr for Statuses {
    type Err = String;

    fn from_str(text: &str) -> Result<Statuses, String> {
        let ranges: Option<Vec<_>> = text.split(',').map(|item| range(item.trim())).collect();
        let ranges = ranges
            .ok_or_else(|| format!("`{text}` is no list of statuses: write `200`, `2xx` or `200,204,3xx`"))?;
        Ok(Statuses { ranges })
    }
}

/// A final response has a status from 200 to 599; servers are known to use those up to 999.
fn range(item: &str) -> Option<(u16, u16)> {
    let (first, last) = match item.strip_suffix("xx").or(item.strip_suffix("XX")) {
        Some(class) if class.len() == 1 => {
            let class: u16 = class.parse().ok()?;
            (class * 100, class * 100 + 99)
        }
        Some(_) => return None,
        None if item.len() == 3 => (item.parse().ok()?, item.parse().ok()?),
        None => return None,
    };
    (first >= 200).then_some((first, last))
}

/// Is `body` JSON and as wanted? Of an object, every member must be equal in the body's, which may have more;
/// anything else must be equal. Numbers are equal by value.
pub(crate) fn is_json(body: &[u8], wanted: &Value) -> bool {
    let Ok(found) = serde_json::from_slice::<Value>(body) else {
        return false;
    };
    match (wanted, &found) {
        (Value::Object(wanted), Value::Object(found)) => {
            wanted.iter().all(|(name, value)| found.get(name).is_some_and(|found| is_equal(found, value)))
        }
        _ => is_equal(&found, wanted),
    }
}

fn is_equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => is_same_number(a, b),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| is_equal(a, b)))
        }
        (a, b) => a == b,
    }
}

/// `5` is `5.0` and `1000` is `1e3`.
pub(crate) fn is_same_number(a: &Number, b: &Number) -> bool {
    a == b || ((a.is_f64() || b.is_f64()) && a.as_f64() == b.as_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn statuses_are_given_one_by_one_or_by_class() {
        for (text, inside, outside) in [
            ("200", &[200][..], &[201, 199, 100][..]),
            ("2xx", &[200, 204, 299], &[199, 300, 500]),
            ("200,204,3xx", &[200, 204, 300, 399], &[201, 299, 400]),
            ("799", &[799], &[200]),
        ] {
            let statuses: Statuses = text.parse().unwrap();
            assert!(inside.iter().all(|&code| statuses.contains(code)), "{text}");
            assert!(!outside.iter().any(|&code| statuses.contains(code)), "{text}");
            assert_eq!(statuses.to_string(), text);
        }
        assert_eq!(" 200 , 4XX ".parse::<Statuses>().unwrap().to_string(), "200,4xx");
        assert_eq!(Statuses::success().to_string(), "2xx");
    }

    #[test]
    fn what_is_no_status_is_refused() {
        for text in
            ["", "2", "20", "2000", "xx", "22xx", "abc", "200,", "200;204", "+20", "100", "1xx", "0xx", "-xx"]
        {
            let error = text.parse::<Statuses>().unwrap_err();
            assert!(error.contains("`200,204,3xx`"), "{text}: {error}");
        }
    }

    #[test]
    fn an_object_may_have_more_members_than_are_wanted_and_all_else_is_equal() {
        for (body, wanted, is_right) in [
            (r#"{"a":1,"b":2}"#, json!({"a": 1}), true),
            (r#"{"b":2,"a":1.0}"#, json!({"a": 1}), true),
            (r#"{"a":2}"#, json!({"a": 1}), false),
            (r#"{"b":1}"#, json!({"a": 1}), false),
            (r#"{"a":null}"#, json!({"a": null}), true),
            (r#"{}"#, json!({"a": null}), false),
            (r#"{"a":{"b":1,"c":2}}"#, json!({"a": {"b": 1}}), false),
            (r#"{"a":{"c":2e0,"b":[1,"x"]}}"#, json!({"a": {"b": [1.0, "x"], "c": 2}}), true),
            ("[1,2]", json!([1, 2]), true),
            ("[1,2,3]", json!([1, 2]), false),
            ("1e3", json!(1000), true),
            ("9007199254740993", json!(9007199254740992u64), false),
            (" \"x\" ", json!("x"), true),
            ("", json!(null), false),
            ("{\"a\":1", json!({"a": 1}), false),
            ("{\"a\":1} x", json!({"a": 1}), false),
            ("[{\"a\":1}]", json!({"a": 1}), false),
        ] {
            assert_eq!(is_json(body.as_bytes(), &wanted), is_right, "{body} {wanted}");
        }
    }
}
