//! What all peers share: the plain case of `/add`, the allocator, and the command line.
//!
//! In: a body `{"a":1,"b":2}`. Out: `{"result":3}`, or nothing, which a peer answers with 400. Less than corelane's
//! `/add` does: 64-bit integers only, no check of the media type, no limits. Peers at their fastest, that is the point.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// For everybody, as the fastest of the frameworks' own benchmarks have it.
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The media type of question and answer.
pub const JSON: &str = "application/json";

/// What is asked.
#[derive(Deserialize)]
pub struct Numbers {
    a: i64,
    b: i64,
}

/// What is answered.
#[derive(Serialize)]
pub struct Sum {
    result: i64,
}

impl Numbers {
    /// `None` if it is too large.
    pub fn sum(&self) -> Option<Sum> {
        let result = self.a.checked_add(self.b)?;
        Some(Sum { result })
    }
}

/// From body to body, for whom has no extractor of its own.
pub fn answer(body: &[u8]) -> Option<Vec<u8>> {
    let numbers: Numbers = serde_json::from_slice(body).ok()?;
    serde_json::to_vec(&numbers.sum()?).ok()
}

/// The one argument of every peer: where to listen. `taskset` says on which core.
pub fn address() -> SocketAddr {
    match std::env::args().nth(1).and_then(|argument| argument.parse().ok()) {
        Some(address) => address,
        None => {
            eprintln!("usage: taskset -c CORE peer-NAME IP:PORT");
            std::process::exit(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_becomes_its_sum() {
        assert_eq!(answer(br#"{"a":1, "b":-3}"#).unwrap(), br#"{"result":-2}"#);
    }

    #[test]
    fn what_is_no_sum_is_nothing() {
        for body in ["", "{}", r#"{"a":1}"#, r#"{"a":1,"b":"2"}"#, r#"{"a":9223372036854775807,"b":1}"#] {
            assert!(answer(body.as_bytes()).is_none(), "{body}");
        }
    }
}
