//! Requests that name themselves, and the answers that fit them.

use super::client::Got;
use net::engine::sim::Rng;
use net::http1::Asked;
use net::http1::write::{self, BodySpec, RequestSpec};

/// What requests of a scene look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) body_max: usize,
    /// Only methods that may be repeated.
    pub(crate) is_idempotent: bool,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) name: String,
    method: &'static str,
    body: Vec<u8>,
    /// Pieces of the body, if it goes in chunks.
    chunk: Option<usize>,
}

impl Ask {
    pub(crate) fn any(name: &str, shape: Shape, rng: &mut Rng) -> Ask {
        let methods: &[&str] = if shape.is_idempotent {
            &["GET", "HEAD", "PUT"]
        } else {
            &["GET", "HEAD", "PUT", "POST", "POST"]
        };
        let method = methods[rng.below(methods.len())];
        let length = match method {
            "GET" | "HEAD" => 0,
            _ => rng.spread(&(0..=shape.body_max as u64)) as usize,
        };
        let body = name.bytes().cycle().take(length).collect();
        let chunk = (length > 0 && rng.chance(0.5)).then(|| rng.within(1..=length));
        Ask { name: name.to_owned(), method, body, chunk }
    }

    pub(crate) fn asked(&self) -> Asked {
        if self.method == "HEAD" { Asked::Head } else { Asked::Other }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let pieces: Vec<&[u8]> = self.body.chunks(self.chunk.unwrap_or(1).max(1)).collect();
        let body = match (self.chunk, self.body.is_empty()) {
            (Some(_), _) => BodySpec::Chunked(&pieces),
            (None, true) => BodySpec::None,
            (None, false) => BodySpec::Length(&self.body),
        };
        let target = format!("/{}", self.name);
        let spec = RequestSpec { method: self.method, target: &target, host: "test", fields: &[], body };
        let mut out = Vec::new();
        write::request(&mut out, &spec);
        out
    }

    /// Is this an answer to it?
    pub(crate) fn judge(&self, status: u16, body: &[u8]) -> Result<Got, String> {
        if matches!(status, 502..=504 | 408) {
            return Ok(Got::Own(status));
        }
        if !matches!(status, 200 | 413) {
            return Err("no server here says that".to_owned());
        }
        let is_empty = self.asked() == Asked::Head || status == 413;
        let expected = if is_empty { Vec::new() } else { answer(self.method, &self.name, &self.body) };
        let is_right = body.starts_with(&expected) && body[expected.len()..].iter().all(|&b| b == b'.');
        if is_right { Ok(Got::Right(status)) } else { Err("another answer was right".to_owned()) }
    }
}

/// What a server says to a request, before its padding.
pub(crate) fn answer(method: &str, name: &str, body: &[u8]) -> Vec<u8> {
    let sum = body.iter().fold(0u64, |sum, &byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    format!("{method} {name} {} {sum}|", body.len()).into_bytes()
}
