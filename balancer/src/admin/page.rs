//! The status page: one file, put together once.
//!
//! In: nothing. Out: the same page for everybody; what it shows, its script fetches. Never: anything from elsewhere, which its
//! policy forbids too: only the style and the script that carry this answer's nonce count, and only this address is asked.

use crate::control::Answer;
use net::http1::Status;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

/// Stands in the page where the nonce goes.
const NONCE: &str = "{{nonce}}";

/// In the order in which they use each other.
const SCRIPT: &str = concat!(
    include_str!("page/words.js"),
    include_str!("page/heat.js"),
    include_str!("page/rows.js"),
    include_str!("page/change.js"),
    include_str!("page/page.js"),
);

static PAGE: LazyLock<String> = LazyLock::new(|| {
    include_str!("page/page.html")
        .replace("{{style}}", include_str!("page/page.css"))
        .replace("{{script}}", SCRIPT)
});

pub(super) fn answer() -> Answer {
    let nonce = nonce();
    let policy = format!(
        "default-src 'none'; img-src data:; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    Answer {
        status: Status::OK,
        content_type: "text/html; charset=utf-8",
        fields: vec![
            ("content-security-policy", policy),
            ("referrer-policy", "no-referrer".to_owned()),
            // For browsers that don't know `frame-ancestors`: a click on a hidden frame is a click of ours.
            ("x-frame-options", "DENY".to_owned()),
        ],
        body: PAGE.replace(NONCE, &nonce).into_bytes(),
    }
}

/// 128 bits that no page from elsewhere can guess: keyed hashes, with keys that the standard library takes from the system.
fn nonce() -> String {
    let word = || RandomState::new().hash_one(NONCE);
    format!("{:016x}{:016x}", word(), word())
}
