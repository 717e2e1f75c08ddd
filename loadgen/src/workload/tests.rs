//! What the tests of workloads share: a lane, a server that reads what it writes, and answers made by hand.

use super::{Expected, Kind, LaneWorkload, Spec, Workload, Wrong};
use net::http1::{
    Asked, ClientConn, Heads, Limits, Request, ResponseHead, ResponseHeads, ResponseStep, ServerConn, Step,
};
use serde_json::Value;

/// For one URL.
pub(crate) fn spec(kind: Kind, url: &str) -> Spec {
    Spec { urls: vec![url.parse().unwrap()], kind, ..Spec::default() }
}

/// The only lane of a workload.
pub(crate) fn lane(spec: Spec) -> LaneWorkload {
    Workload::new(spec).unwrap().lane(1, 0, 1, 1)
}

/// What a strict server reads of `bytes`, which must be one request.
pub(crate) fn read<T>(bytes: &[u8], look: impl FnOnce(&Request<'_>) -> T) -> T {
    let (mut conn, mut heads) = (ServerConn::new(), Heads::new(Limits::default()));
    match conn.next(bytes, &mut heads) {
        Ok(Step::Request { request, used }) if used == bytes.len() => look(&request),
        other => panic!("{other:?}: {}", String::from_utf8_lossy(bytes)),
    }
}

/// The next request as text, and what its answer must be.
pub(crate) fn next(lane: &mut LaneWorkload) -> (String, Expected) {
    let mut bytes = Vec::new();
    let expected = lane.write(&mut bytes);
    read(&bytes, |_| ());
    (String::from_utf8(bytes).unwrap(), expected)
}

/// The sum that a request asks for.
pub(crate) fn sum(request: &str) -> i64 {
    read(request.as_bytes(), |request| {
        let json: Value = serde_json::from_slice(request.body).unwrap();
        json["a"].as_i64().unwrap() + json["b"].as_i64().unwrap()
    })
}

/// What a well-meaning server says.
pub(crate) fn result(sum: i64) -> String {
    format!("{{\"result\":{sum}}}")
}

/// Shows an answer to `look` as it comes out of the reader.
pub(crate) fn answered<T>(status: u16, body: &str, look: impl FnOnce(&ResponseHead<'_>, &[u8]) -> T) -> T {
    let bytes = format!("HTTP/1.1 {status} Any\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let (mut conn, mut heads) = (ClientConn::new(), ResponseHeads::new(Limits::default()));
    match conn.next(bytes.as_bytes(), Asked::Other, &mut heads) {
        Ok(ResponseStep::Response { response, .. }) => look(&response.head, response.body),
        other => panic!("{other:?}"),
    }
}

/// Gives an answer to a request.
pub(crate) fn check(
    lane: &mut LaneWorkload,
    expected: Expected,
    status: u16,
    body: &str,
) -> Result<(), Wrong> {
    answered(status, body, |head, body| lane.check(&expected, head, body))
}
