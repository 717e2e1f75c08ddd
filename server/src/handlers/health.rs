//! `/healthz`: this lane turns. `/readyz`: send traffic here.

use super::Context;
use crate::routes::Answer;
use net::http1::{Request, Status};

/// 200 as long as the lane that holds the connection answers anything.
pub fn healthz(_: &Request<'_>, cx: &mut Context<'_>) -> Answer {
    cx.body.extend_from_slice(br#"{"status":"ok"}"#);
    Answer::Done(Status::OK)
}

/// 200 while the server takes new work, 503 once it drains.
pub fn readyz(_: &Request<'_>, cx: &mut Context<'_>) -> Answer {
    if cx.shared.is_draining() {
        cx.body.extend_from_slice(br#"{"status":"draining"}"#);
        return Answer::Done(Status::SERVICE_UNAVAILABLE);
    }
    cx.body.extend_from_slice(br#"{"status":"ready"}"#);
    Answer::Done(Status::OK)
}
