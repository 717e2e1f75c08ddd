//! One entry as a line: JSON, or the common log format with more behind it.
//!
//! Never: a line that ends early. What a client sent is escaped in both formats.

use super::Entry;
use crate::config::LogFormat;
use serde::Serialize;
use std::io::Write as _;
use std::time::{Duration, UNIX_EPOCH};

/// Appends the line with its end.
pub(super) fn write(out: &mut Vec<u8>, entry: &Entry, format: LogFormat) {
    match format {
        LogFormat::Json => json(out, entry),
        LogFormat::Common => common(out, entry),
    }
    out.push(b'\n');
}

/// The members of a JSON line, in their order.
#[derive(Serialize)]
struct Line<'e> {
    time: String,
    client: Option<std::net::IpAddr>,
    method: &'e str,
    target: &'e str,
    version: &'e str,
    host: &'e str,
    status: u16,
    fault: Option<&'e str>,
    request_bytes: u64,
    response_bytes: u64,
    pool: Option<&'e str>,
    server: Option<&'e str>,
    tries: u32,
    waited_us: u128,
    latency_us: Option<u128>,
    total_us: u128,
    request_id: &'e str,
    user_agent: &'e str,
    referer: &'e str,
}

fn json(out: &mut Vec<u8>, entry: &Entry) {
    let Entry { asked, server, .. } = entry;
    let line = Line {
        time: rfc3339(entry.at.0),
        client: asked.client,
        method: &asked.method,
        target: &asked.target,
        version: asked.version,
        host: &asked.host,
        status: entry.status,
        fault: entry.fault.map(|fault| fault.name()),
        request_bytes: entry.request_bytes,
        response_bytes: entry.response_bytes,
        pool: server.as_ref().map(|server| &server.pool[..]),
        server: server.as_ref().map(|server| &server.name[..]),
        tries: entry.tries,
        waited_us: entry.waited.as_micros(),
        latency_us: entry.latency.map(|latency| latency.as_micros()),
        total_us: entry.total.as_micros(),
        request_id: &asked.request_id,
        user_agent: &asked.user_agent,
        referer: &asked.referer,
    };
    // Strings and numbers into memory: nothing of it can fail.
    let _ = serde_json::to_writer(out, &line);
}

/// `client - - [time] "request" status bytes "referer" "agent"`, as other servers write it, then
/// `pool/server tries waited latency total fault id`.
fn common(out: &mut Vec<u8>, entry: &Entry) {
    let Entry { asked, .. } = entry;
    let client = asked.client.map_or_else(|| "-".to_owned(), |client| client.to_string());
    let _ = write!(out, "{client} - - [{}] \"", clf_time(entry.at.0));
    if asked.method.is_empty() {
        out.push(b'-');
    } else {
        escaped(out, &format!("{} {} {}", asked.method, asked.target, asked.version));
    }
    let _ = write!(out, "\" {} {} \"", entry.status, entry.response_bytes);
    escaped(out, or_dash(&asked.referer));
    out.extend_from_slice(b"\" \"");
    escaped(out, or_dash(&asked.user_agent));
    let server = entry.server.as_ref().map_or_else(|| "-".to_owned(), |s| format!("{}/{}", s.pool, s.name));
    let latency = entry.latency.map_or_else(|| "-".to_owned(), seconds);
    let fault = entry.fault.map_or("-", |fault| fault.name());
    let (waited, total) = (seconds(entry.waited), seconds(entry.total));
    let _ = write!(out, "\" {server} {} {waited} {latency} {total} {fault} ", entry.tries);
    escaped(out, or_dash(&asked.request_id));
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

fn seconds(time: Duration) -> String {
    format!("{:.6}", time.as_secs_f64())
}

/// As nginx does: what could end the quotes or the line is written as `\xHH`.
fn escaped(out: &mut Vec<u8>, text: &str) {
    for &byte in text.as_bytes() {
        match byte {
            b'"' | b'\\' | 0..0x20 | 0x7f.. => {
                let _ = write!(out, "\\x{byte:02X}");
            }
            _ => out.push(byte),
        }
    }
}

/// `10/Oct/2000:13:55:36 +0000`, out of `Tue, 10 Oct 2000 13:55:36 GMT`.
fn clf_time(unix_seconds: u64) -> String {
    let date = imf_date(unix_seconds);
    format!("{}/{}/{}:{} +0000", &date[5..7], &date[8..11], &date[12..16], &date[17..25])
}

/// `2000-10-10T13:55:36Z`.
fn rfc3339(unix_seconds: u64) -> String {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let date = imf_date(unix_seconds);
    let month = MONTHS.find(&date[8..11]).map_or(0, |at| at / 3 + 1);
    format!("{}-{month:02}-{}T{}Z", &date[12..16], &date[5..7], &date[17..25])
}

/// An IMF-fixdate has 29 bytes, all ASCII (RFC 9110 §5.6.7).
fn imf_date(unix_seconds: u64) -> String {
    const YEAR_9999: u64 = 253_402_300_799;
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(unix_seconds.min(YEAR_9999)))
}
