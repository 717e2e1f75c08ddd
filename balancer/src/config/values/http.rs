//! How the values are written that have to do with HTTP and its log.
//!
//! In: text. Out: a name, codes, a place for the log; or one line that says what would be right. Never: a name that means
//! something in HTTP itself.

use super::{Form, NAME_BYTES_MAX, NONE};
use crate::config::LogTo;

/// Longest path that a check asks or a route names: far longer than any in use, and short beside a head.
pub(crate) const TARGET_BYTES_MAX: usize = 1024;

/// Longest name in the domain name system (RFC 1035 §2.3.4), in text.
pub(crate) const HOST_BYTES_MAX: usize = 253;

/// The value of a `Host` field, which a check sends: a name or an address, with or without a port.
pub(crate) struct HostText;

impl Form for HostText {
    type Value = String;

    fn read(text: &str) -> Result<String, String> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:[]".contains(&byte);
        match !text.is_empty() && text.len() <= HOST_BYTES_MAX + ":65535".len() && text.bytes().all(is_part) {
            true => Ok(text.to_owned()),
            false => Err(format!("`{text}` is no host: write it as in www.example.com or 127.0.0.1:5000")),
        }
    }

    fn show(value: &String) -> String {
        value.clone()
    }
}

/// Where the access log goes.
pub(crate) struct LogPlace;

impl Form for LogPlace {
    type Value = Option<LogTo>;

    fn read(text: &str) -> Result<Option<LogTo>, String> {
        match text {
            NONE => Ok(None),
            "stdout" => Ok(Some(LogTo::Stdout)),
            _ if text.is_empty() || text.chars().any(char::is_control) => {
                Err(format!("{text:?} is no place for a log: write none, stdout or a file's path"))
            }
            path => Ok(Some(LogTo::File(path.into()))),
        }
    }

    fn show(value: &Option<LogTo>) -> String {
        match value {
            None => NONE.to_owned(),
            Some(LogTo::Stdout) => "stdout".to_owned(),
            Some(LogTo::File(path)) => path.display().to_string(),
        }
    }
}

/// The pseudonym in `Via`; none is empty.
pub(crate) struct Via;

impl Form for Via {
    type Value = String;

    fn read(text: &str) -> Result<String, String> {
        match text {
            NONE => Ok(String::new()),
            _ if is_token(text) && text.len() <= NAME_BYTES_MAX => Ok(text.to_owned()),
            _ => Err(format!(
                "`{text}` is no pseudonym: write a word of letters, digits, `-`, `_` or `.`, or none"
            )),
        }
    }

    fn show(value: &String) -> String {
        if value.is_empty() { NONE.to_owned() } else { value.clone() }
    }
}

/// The name of a response header that is ours to read and remove, in lower case.
pub(crate) struct OwnHeader;

/// Fields that frame a message or belong to one connection (RFC 9110 §7.6.1, RFC 9112 §6): what they say is taken already.
const TAKEN: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Form for OwnHeader {
    type Value = String;

    fn read(text: &str) -> Result<String, String> {
        let name = text.to_ascii_lowercase();
        if !is_token(&name) || name.len() > NAME_BYTES_MAX {
            return Err(format!("`{text}` is no field name: write it as in x-corelane-load, or none"));
        }
        if TAKEN.contains(&&*name) {
            return Err(format!(
                "`{text}` has a meaning in HTTP itself: choose a name of your own, such as x-corelane-load"
            ));
        }
        Ok(name)
    }

    fn show(value: &String) -> String {
        value.clone()
    }
}

/// Status codes: `200-399,401`.
pub(crate) struct Statuses;

impl Form for Statuses {
    type Value = Vec<(u16, u16)>;

    fn read(text: &str) -> Result<Vec<(u16, u16)>, String> {
        let wrong =
            || format!("`{text}` are no status codes: write codes and ranges, as in 200-399 or 200,204,401");
        let code = |text: &str| {
            let code = text.parse().ok().filter(|_| text.len() == 3);
            code.filter(|code| (200..=599).contains(code)).ok_or_else(wrong)
        };
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (code(first)?, code(last)?);
            if first > last {
                Err(format!("`{part}` counts down: write {last}-{first}"))
            } else {
                Ok((first, last))
            }
        };
        text.split(',').map(range).collect()
    }

    fn show(value: &Vec<(u16, u16)>) -> String {
        let part = |&(first, last): &(u16, u16)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        value.iter().map(part).collect::<Vec<_>>().join(",")
    }
}

/// A token (RFC 9110 §5.6.2).
fn is_token(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_part)
}
