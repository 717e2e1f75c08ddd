//! What answers: one file for each kind of endpoint.

pub mod add;
pub mod health;
pub mod metrics;

use crate::metrics::Shared;

/// What a handler may use besides the request.
pub struct Context<'a> {
    /// Where the body of an immediate answer goes; empty when the handler is called.
    pub body: &'a mut Vec<u8>,
    /// What all lanes publish.
    pub shared: &'a Shared,
}

/// `{"error": …}` with `why` as a JSON string.
pub fn error_body(body: &mut Vec<u8>, why: &str) {
    body.extend_from_slice(b"{\"error\":");
    // Writing a string to memory can't fail.
    let _ = serde_json::to_writer(&mut *body, why);
    body.push(b'}');
}
