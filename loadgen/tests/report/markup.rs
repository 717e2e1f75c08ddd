//! A small reader of pages, stricter than a browser, which would forgive what a page got wrong.
//!
//! In: a page of ours: quoted attributes, every element closed, the five escapes. Out: its tags, its text, or what is
//! wrong with it.

/// Elements whose text is no markup.
const RAW: [&str; 2] = ["style", "script"];

/// An opening tag.
pub(crate) struct Tag<'a> {
    pub(crate) name: &'a str,
    pub(crate) attributes: Vec<(&'a str, &'a str)>,
}

impl Tag<'_> {
    pub(crate) fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }
}

/// What is wrong, if anything is.
pub(crate) fn check(page: &str) -> Result<(), String> {
    read(page).map(|_| ())
}

/// All opening tags, in order.
pub(crate) fn tags(page: &str) -> Vec<Tag<'_>> {
    read(page).expect("the page is well formed").0
}

/// All text that a reader sees, unescaped.
pub(crate) fn text(page: &str) -> String {
    read(page).expect("the page is well formed").1
}

fn read(page: &str) -> Result<(Vec<Tag<'_>>, String), String> {
    let mut rest = page.strip_prefix("<!doctype html>").ok_or("no doctype")?;
    let (mut tags, mut text, mut open) = (Vec::new(), String::new(), Vec::new());
    while let Some(at) = rest.find('<') {
        text += &unescaped(&rest[..at])?;
        rest = &rest[at + 1..];
        let end = rest.find('>').ok_or("a tag without an end")?;
        let inner = &rest[..end];
        rest = &rest[end + 1..];
        if let Some(name) = inner.strip_prefix('/') {
            let expected = open.pop().ok_or_else(|| format!("</{name}> closes nothing"))?;
            if expected != name {
                return Err(format!("</{name}> closes <{expected}>"));
            }
            continue;
        }
        let (inner, is_closed) = inner.strip_suffix('/').map_or((inner, false), |inner| (inner, true));
        let tag = tag(inner)?;
        if RAW.contains(&tag.name) {
            let close = format!("</{}>", tag.name);
            rest = rest.split_once(close.as_str()).ok_or_else(|| format!("no {close}"))?.1;
        } else if !is_closed {
            open.push(tag.name);
        }
        tags.push(tag);
    }
    match (open.as_slice(), rest.trim()) {
        ([], "") => Ok((tags, text)),
        ([], rest) => Err(format!("behind the end: {rest}")),
        (open, _) => Err(format!("never closed: {open:?}")),
    }
}

fn tag(inner: &str) -> Result<Tag<'_>, String> {
    let (name, mut rest) = inner.split_once(' ').unwrap_or((inner, ""));
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(format!("no name of an element: <{inner}>"));
    }
    let mut attributes: Vec<(&str, &str)> = Vec::new();
    while !rest.trim().is_empty() {
        let wrong = || format!("no attribute: {rest} in <{inner}>");
        let (key, behind) = rest.trim_start().split_once("=\"").ok_or_else(wrong)?;
        let (value, behind) = behind.split_once('"').ok_or_else(wrong)?;
        if key.contains(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            || !matches!(behind.as_bytes(), [] | [b' ', ..])
        {
            return Err(wrong());
        }
        if attributes.iter().any(|(known, _)| *known == key) {
            return Err(format!("{key} twice in <{inner}>"));
        }
        unescaped(value)?;
        attributes.push((key, value));
        rest = behind;
    }
    Ok(Tag { name, attributes })
}

fn unescaped(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut parts = text.split('&');
    out += parts.next().unwrap_or_default();
    for part in parts {
        let (name, behind) = part.split_once(';').ok_or_else(|| format!("a bare & before {part}"))?;
        out.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "#39" => '\'',
            _ => return Err(format!("&{name}; is not one of ours")),
        });
        out += behind;
    }
    if text.contains('>') { Err(format!("a bare > in {text}")) } else { Ok(out) }
}

#[test]
fn the_reader_finds_what_a_browser_forgives() {
    let page = |body: &str| format!("<!doctype html>{body}");
    for (body, why) in [
        ("<p>", "never closed"),
        ("<p><b></p></b>", "closes"),
        ("</p>", "closes nothing"),
        ("<p a=1></p>", "no attribute"),
        ("<p a=\"1\"b=\"2\"></p>", "no attribute"),
        ("<p a=\"1\" a=\"2\"></p>", "twice"),
        ("<p>a & b</p>", "bare &"),
        ("<p>&nbsp;</p>", "not one of ours"),
        ("<script>", "no </script>"),
        ("<p></p>text", "behind the end"),
    ] {
        let error = check(&page(body)).unwrap_err();
        assert!(error.contains(why), "{body}: {error}");
    }
    let whole = page("<p a=\"&lt;\">1 &lt; 2<br/></p><style>a > b {}</style>");
    assert_eq!(text(&whole), "1 < 2");
    assert_eq!(tags(&whole).iter().map(|tag| tag.name).collect::<Vec<_>>(), ["p", "br", "style"]);
}
