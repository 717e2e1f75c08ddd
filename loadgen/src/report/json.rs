//! Recorded files: a document as JSON, and back.
//!
//! In and out: [`Document`]. A page of `html` holds its document too, so it can be read again as well. Never: shows
//! a reader's error that a user can't act on.

use super::html::{EMBEDDED_BEGIN, EMBEDDED_END};
use crate::model::{Document, FORMAT};
use serde_json::error::Category;
use serde_json::{Map, Value};
use std::fs;
use std::path::Path;

/// Everything, indented.
pub fn write(document: &Document) -> String {
    let mut text =
        serde_json::to_string_pretty(document).expect("plain data under names of ours is always JSON");
    text.push('\n');
    text
}

/// Reads a recorded file, or a page that holds one. The error is one line and names the file.
pub fn read(path: impl AsRef<Path>) -> Result<Document, String> {
    let path = path.as_ref();
    let text = fs::read(path).map_err(|error| format!("can't read {}: {error}", path.display()))?;
    let text =
        String::from_utf8(text).map_err(|_| format!("{} is not JSON: not even text", path.display()))?;
    parse(&text).map_err(|why| format!("{} {why}", path.display()))
}

fn parse(text: &str) -> Result<Document, String> {
    let text = embedded(text)?;
    if text.trim().is_empty() {
        return Err("is empty".into());
    }
    let object: Map<String, Value> = serde_json::from_str(text).map_err(why)?;
    // It tells our files from others, and new ones from those that this program knows.
    match object.get("corelane_loadgen").and_then(Value::as_u64) {
        None => Err(NOT_OURS.into()),
        Some(format) if format > u64::from(FORMAT) => Err(format!(
            "has format {format}, and this program knows up to {FORMAT}: read it with a newer version"
        )),
        Some(_) => serde_json::from_str(text).map_err(|error| format!("is damaged: {error}")),
    }
}

const NOT_OURS: &str = "is not a recorded run: corelane-loadgen --json FILE writes one";

fn why(error: serde_json::Error) -> String {
    match error.classify() {
        Category::Eof => format!("is cut off: it ends in the middle, at line {}", error.line()),
        Category::Data => NOT_OURS.into(),
        Category::Syntax | Category::Io => format!("is not JSON: {error}"),
    }
}

/// The one document in a page; what is no page is returned as it is.
fn embedded(text: &str) -> Result<&str, String> {
    if !text.starts_with("<!doctype html>") {
        return Ok(text);
    }
    let mut found = text.split(EMBEDDED_BEGIN).skip(1);
    match (found.next(), found.next()) {
        (None, _) => Err("is a page without recorded data: read the JSON that it was made from".into()),
        (Some(_), Some(_)) => {
            Err("is a page about several runs: read the JSON files that it was made from".into())
        }
        (Some(rest), None) => match rest.split_once(EMBEDDED_END) {
            Some((document, _)) => Ok(document),
            None => Err("is cut off: it ends in the middle of the recorded data".into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Content, example};

    #[test]
    fn what_is_written_is_read_again() {
        let document = Document { corelane_loadgen: FORMAT, content: Content::Run(Box::new(example::run())) };
        let text = write(&document);
        let again = parse(&text).unwrap();
        assert_eq!(write(&again), text);
        let Content::Run(run) = again.content else { panic!("another kind") };
        assert_eq!(run.intervals, example::run().intervals);
        assert_eq!(run.response, example::run().response);
    }

    #[test]
    fn an_error_says_what_is_wrong_with_the_file() {
        let whole =
            write(&Document { corelane_loadgen: FORMAT, content: Content::Run(Box::new(example::run())) });
        let newer = whole.replacen("\"corelane_loadgen\": 1", "\"corelane_loadgen\": 7", 1);
        for (text, part) in [
            ("", "is empty"),
            ("hello", "is not JSON: expected value at line 1 column 1"),
            ("{\"a\":1}", NOT_OURS),
            ("[1]", NOT_OURS),
            ("{\"corelane_loadgen\":1,\"kind\":\"run\"}", "is damaged: missing field"),
            ("{\"corelane_loadgen\":1,\"kind\":\"walk\"}", "is damaged: unknown variant `walk`"),
            (&newer, "has format 7, and this program knows up to 1"),
            (&whole[..whole.len() / 2], "is cut off"),
            (&whole[..whole.len() - 3], "is cut off"),
            ("<!doctype html><html></html>", "is a page without recorded data"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(part), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        let error = read("/nonexistent/run.json").unwrap_err();
        assert!(error.starts_with("can't read /nonexistent/run.json: No such file"), "{error}");
    }
}
