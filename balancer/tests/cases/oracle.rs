//! A reader of requests that owes nothing to `net::http1`: strict, or with one liberty that some server is known to take.
//!
//! In: all that a server received on one connection. Out: the messages that a server with that liberty would see there. Never: an
//! error; what is not understood is not complete, and ends the list.

/// What this reader lets pass, each named after what servers did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Liberty {
    /// None.
    Strict,
    /// A line ends with LF alone, too.
    BareLf,
    /// A line ends with CR alone, too.
    BareCr,
    /// A line that begins with a blank goes on with the one before.
    Folds,
    /// Blanks before a colon, and `_` for `-`, make the same name.
    LooseNames,
    /// Where both are there, `Content-Length` counts.
    LengthFirst,
    /// Whatever has `chunked` in it is chunked.
    LooseCoding,
    /// A number is its longest valid prefix, behind a sign or `0x`.
    LooseNumbers,
    /// NUL ends a line's text.
    NulEnds,
    /// A field without a name ends the head (CVE-2023-25725).
    NoNameEnds,
    /// All at once.
    All,
}

impl Liberty {
    pub(crate) const EVERY: [Liberty; 11] = [
        Liberty::Strict,
        Liberty::BareLf,
        Liberty::BareCr,
        Liberty::Folds,
        Liberty::LooseNames,
        Liberty::LengthFirst,
        Liberty::LooseCoding,
        Liberty::LooseNumbers,
        Liberty::NulEnds,
        Liberty::NoNameEnds,
        Liberty::All,
    ];

    fn takes(self, other: Liberty) -> bool {
        self == other || self == Liberty::All
    }
}

/// One request as somebody sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) line: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

/// The complete messages in `bytes`, and how many bytes they take.
pub(crate) fn messages(bytes: &[u8], liberty: Liberty) -> (Vec<Message>, usize) {
    let mut all = Vec::new();
    let mut used = 0;
    while let Some((message, taken)) = message(&bytes[used..], liberty) {
        all.push(message);
        used += taken;
    }
    (all, used)
}

/// Is a head complete at the end of the complete messages?
pub(crate) fn has_open_head(bytes: &[u8]) -> bool {
    let (_, used) = messages(bytes, Liberty::Strict);
    head(&bytes[used..], Liberty::Strict).is_some()
}

/// The same bytes with the chunks of each body put together: how a stream was cut is not part of what it says.
pub(crate) fn joined(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(head) = head(rest, Liberty::Strict) {
        out.extend_from_slice(&rest[..head.used]);
        rest = &rest[head.used..];
        let taken = match head.framing {
            Framing::Length(length) => {
                let taken = length.min(rest.len());
                out.extend_from_slice(&rest[..taken]);
                taken
            }
            Framing::Chunked => {
                let (content, taken, _) = chunks(rest, Liberty::Strict);
                if !content.is_empty() {
                    out.extend_from_slice(format!("{:x}\r\n", content.len()).as_bytes());
                    out.extend_from_slice(&content);
                    out.extend_from_slice(b"\r\n");
                }
                taken
            }
        };
        rest = &rest[taken..];
    }
    out.extend_from_slice(rest);
    out
}

enum Framing {
    Length(usize),
    Chunked,
}

struct Head {
    line: Vec<u8>,
    framing: Framing,
    used: usize,
}

fn message(bytes: &[u8], liberty: Liberty) -> Option<(Message, usize)> {
    let head = head(bytes, liberty)?;
    let rest = &bytes[head.used..];
    let (body, taken) = match head.framing {
        Framing::Length(length) => (rest.get(..length)?.to_vec(), length),
        Framing::Chunked => {
            let (content, mut taken, is_last) = chunks(rest, liberty);
            if !is_last {
                return None;
            }
            // The last chunk's line, then trailers up to an empty line.
            loop {
                let (line, used) = line(&rest[taken..], liberty)?;
                taken += used;
                if line.is_empty() {
                    break (content, taken);
                }
            }
        }
    };
    Some((Message { line: head.line, body }, head.used + taken))
}

fn head(bytes: &[u8], liberty: Liberty) -> Option<Head> {
    let mut used = 0;
    let mut lines: Vec<Vec<u8>> = Vec::new();
    loop {
        let (text, taken) = line(&bytes[used..], liberty)?;
        used += taken;
        let no_name = !lines.is_empty() && text.starts_with(b":") && liberty.takes(Liberty::NoNameEnds);
        match lines.last_mut() {
            // Empty lines before a request.
            None if text.is_empty() => {}
            Some(_) if text.is_empty() || no_name => break,
            Some(last) if matches!(text[0], b' ' | b'\t') && liberty.takes(Liberty::Folds) => {
                last.extend_from_slice(text);
            }
            _ => lines.push(text.to_vec()),
        }
    }
    let mut length = None;
    let mut is_chunked = false;
    for field in &lines[1..] {
        let Some(colon) = field.iter().position(|&b| b == b':') else { continue };
        let value = field[colon + 1..].trim_ascii().to_ascii_lowercase();
        let mut name = field[..colon].to_ascii_lowercase();
        if liberty.takes(Liberty::LooseNames) {
            name = name.trim_ascii().iter().map(|&b| if b == b'_' { b'-' } else { b }).collect();
        }
        match &name[..] {
            b"content-length" => length = number(&value, 10, liberty).or(length),
            b"transfer-encoding" => {
                let has = value.windows(7).any(|word| word == b"chunked");
                is_chunked |= value == b"chunked" || (has && liberty.takes(Liberty::LooseCoding));
            }
            _ => {}
        }
    }
    let by_length = !is_chunked || (length.is_some() && liberty.takes(Liberty::LengthFirst));
    let framing = if by_length { Framing::Length(length.unwrap_or(0)) } else { Framing::Chunked };
    Some(Head { line: lines.swap_remove(0), framing, used })
}

/// The content of chunks, how many bytes they take, and whether the last one's line follows.
///
/// What of the last is cut counts as content if `bytes` end there.
fn chunks(bytes: &[u8], liberty: Liberty) -> (Vec<u8>, usize, bool) {
    let mut content = Vec::new();
    let mut used = 0;
    loop {
        let rest = &bytes[used..];
        let size = line(rest, liberty).and_then(|(text, taken)| {
            let digits = text.split(|&b| b == b';').next()?;
            Some((number(digits.trim_ascii(), 16, liberty)?, taken))
        });
        let Some((size, taken)) = size else { return (content, used, false) };
        if size == 0 {
            return (content, used, true);
        }
        let Some(data) = rest.get(taken..taken.saturating_add(size)) else { return (content, used, false) };
        let behind = &rest[taken + size..];
        let Some((b"", end)) = line(behind, liberty) else { return (content, used, false) };
        content.extend_from_slice(data);
        used += taken + size + end;
    }
}

/// The first line without its end, and how many bytes it takes.
fn line(bytes: &[u8], liberty: Liberty) -> Option<(&[u8], usize)> {
    let ends = |at: usize| match (bytes[at], bytes.get(at + 1)) {
        (b'\r', Some(b'\n')) => Some(at + 2),
        (b'\r', _) if liberty.takes(Liberty::BareCr) => Some(at + 1),
        (b'\n', _) if liberty.takes(Liberty::BareLf) => Some(at + 1),
        _ => None,
    };
    let (at, used) = (0..bytes.len()).find_map(|at| Some((at, ends(at)?)))?;
    let text = &bytes[..at];
    let nul = text.iter().position(|&b| b == 0).filter(|_| liberty.takes(Liberty::NulEnds));
    Some((&text[..nul.unwrap_or(at)], used))
}

fn number(text: &[u8], radix: u32, liberty: Liberty) -> Option<usize> {
    let mut text = text;
    if liberty.takes(Liberty::LooseNumbers) {
        text = text.strip_prefix(b"+").or(text.strip_prefix(b"-")).unwrap_or(text);
        text = text.strip_prefix(b"0x").unwrap_or(text);
        let valid = text.iter().take_while(|&&b| (b as char).is_digit(radix)).count();
        text = &text[..valid];
    }
    let is_plain = !text.is_empty() && text.iter().all(|&b| (b as char).is_digit(radix));
    usize::from_str_radix(str::from_utf8(text).ok().filter(|_| is_plain)?, radix).ok()
}
