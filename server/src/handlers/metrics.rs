//! `/metrics` on the admin port: what all lanes publish, as OpenMetrics text.

use super::{Context, error_body};
use crate::metrics;
use crate::routes::Answer;
use net::http1::{Request, Status};

/// Renders every number once.
pub fn respond(_: &Request<'_>, cx: &mut Context<'_>) -> Answer {
    match metrics::render(cx.shared) {
        Ok(text) => {
            cx.body.extend_from_slice(text.as_bytes());
            Answer::Done(Status::OK)
        }
        Err(_) => {
            error_body(cx.body, "the metrics could not be rendered");
            Answer::Done(Status::INTERNAL_SERVER_ERROR)
        }
    }
}
