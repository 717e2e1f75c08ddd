//! May this be sent? Asked of the reader that knows best: the strict one of our own server.
//!
//! In: the parts of a head. Out: nothing, or why a server would refuse it or read something else.

use net::http1::write::{self, BodySpec, RequestSpec};
use net::http1::{FIELDS_CAP, Heads, Limits, ServerConn, Step};

/// A tester may want what a server refuses for its size alone; this is to catch mistakes.
const HEAD_BYTES_MAX: usize = 1 << 20;

/// Checks that the head arrives as it was meant: one request with this method, this target and these fields.
///
/// # Errors
/// Part of a sentence that says what is wrong.
pub(crate) fn check(method: &str, target: &str, host: &str, fields: &[(&str, &str)]) -> Result<(), String> {
    let limits = Limits {
        head_bytes_max: HEAD_BYTES_MAX,
        target_bytes_max: HEAD_BYTES_MAX,
        method_bytes_max: HEAD_BYTES_MAX,
        fields_max: FIELDS_CAP,
        ..Limits::default()
    };
    let mut bytes = Vec::new();
    write::request(&mut bytes, &RequestSpec { method, target, host, fields, body: BodySpec::None });
    let (mut conn, mut heads) = (ServerConn::new(), Heads::new(limits));
    let head = match conn.next(&bytes, &mut heads) {
        Ok(Step::Request { request, used }) if used == bytes.len() => request.head,
        Ok(_) => return Err("it would not arrive as one request: is there a line end in it?".to_owned()),
        Err(refusal) => return Err(refusal.why.to_owned()),
    };
    let trim = |value: &str| value.trim_matches([' ', '\t']).as_bytes().to_vec();
    let host = ("host", host);
    let meant =
        [&[host], fields].concat().into_iter().map(|(name, value)| (name.as_bytes().to_vec(), trim(value)));
    let read = head.fields().map(|(name, value)| (name.to_vec(), value.to_vec()));
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let is_same = head.method.as_str() == method
        && (head.target.path(), head.target.query()) == (path, query)
        && read.eq(meant);
    if is_same { Ok(()) } else { Err("a name or value has a character that may not stand there".to_owned()) }
}
