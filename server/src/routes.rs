//! Who answers what: one line for each endpoint.
//!
//! In: a request's head. Out: the route that answers it, or the answer itself where HTTP decides alone
//! (404, 405, 411, 415, OPTIONS).

use crate::handlers::{self, Context};
use net::http1::{Framing, Head, Method, Request, Status};
use std::borrow::Cow;
use std::time::Duration;

/// The endpoints on the data port.
pub const ROUTES: &[Route] = &[
    Route::post("/add", handlers::add::respond).cached(Caching::Forever),
    Route::get("/healthz", handlers::health::healthz),
    Route::get("/readyz", handlers::health::readyz),
];

/// The endpoints on the admin port.
pub const ADMIN_ROUTES: &[Route] = &[
    Route::get("/metrics", handlers::metrics::respond)
        .typed("application/openmetrics-text; version=1.0.0; charset=utf-8"),
    Route::get("/healthz", handlers::health::healthz),
];

/// What a handler is: a function from a request to an answer. It may not wait.
pub type Handler = fn(&Request<'_>, &mut Context<'_>) -> Answer;

/// A job that takes long: it runs on the background pool.
pub type Job = Box<dyn FnOnce() -> Reply + Send>;

/// What a handler says.
pub enum Answer {
    /// This status, with the body that the handler appended to `Context::body`.
    Done(Status),
    /// The job's reply, when it is done; the lane serves everybody else meanwhile.
    Later(Job),
}

/// The outcome of a background job.
#[derive(Debug)]
pub struct Reply {
    /// The status of the answer.
    pub status: Status,
    /// Its body, of the route's content type.
    pub body: Vec<u8>,
}

/// Whether answers with status 200 are kept, by the request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caching {
    /// Every request is computed.
    No,
    /// The answer depends on the body alone, for ever.
    Forever,
    /// The answer may be given again for this long.
    For(Duration),
}

/// One endpoint.
#[derive(Clone, Copy)]
pub struct Route {
    /// The whole path; compared after percent-decoding.
    pub path: &'static str,
    /// The one method, besides OPTIONS (and HEAD where this is GET).
    pub method: Method<'static>,
    /// What answers.
    pub handler: Handler,
    /// Whether its answers are kept.
    pub caching: Caching,
    /// The media type of its bodies.
    pub content_type: &'static str,
}

impl Route {
    /// An endpoint that reads nothing.
    pub const fn get(path: &'static str, handler: Handler) -> Route {
        Route { path, method: Method::Get, handler, caching: Caching::No, content_type: "application/json" }
    }

    /// An endpoint that takes JSON.
    pub const fn post(path: &'static str, handler: Handler) -> Route {
        Route { path, method: Method::Post, handler, caching: Caching::No, content_type: "application/json" }
    }

    /// The same endpoint with its answers kept.
    pub const fn cached(self, caching: Caching) -> Route {
        Route { caching, ..self }
    }

    /// The same endpoint with another content type than JSON.
    pub const fn typed(self, content_type: &'static str) -> Route {
        Route { content_type, ..self }
    }

    const fn allow(&self) -> &'static str {
        match self.method {
            Method::Post => "POST, OPTIONS",
            _ => "GET, HEAD, OPTIONS",
        }
    }

    fn permits(&self, method: Method<'_>) -> bool {
        method == self.method || (method == Method::Head && self.method == Method::Get)
    }
}

/// What becomes of a request.
pub enum Verdict {
    /// This route answers (an index into the table).
    Run(usize),
    /// The answer is known from the head alone.
    Fixed(Fixed),
}

/// An answer that depends on nothing but the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// Which route it is counted under; `None` where no route was found.
    pub route: Option<usize>,
    /// The status.
    pub status: Status,
    /// The field that the status needs: `Allow` (RFC 9110, 10.2.1) or `Accept-Encoding` (RFC 9110, 15.5.16).
    pub field: Option<(&'static str, &'static str)>,
    /// JSON; empty for 204.
    pub body: &'static str,
}

/// Finds who answers a request.
pub fn judge(routes: &[Route], head: &Head<'_>) -> Verdict {
    let fixed = |route, status, field, body| Verdict::Fixed(Fixed { route, status, field, body });
    let allow = |methods| Some(("allow", methods));
    if head.method == Method::Connect {
        let body = r#"{"error":"CONNECT is for proxies, and this is none"}"#;
        return fixed(None, Status::NOT_IMPLEMENTED, None, body);
    }
    let path = decoded(head.target.path());
    if path.is_empty() {
        return fixed(None, Status::NO_CONTENT, allow("GET, HEAD, POST, OPTIONS"), "");
    }
    let Some(index) = routes.iter().position(|route| route.path == path) else {
        let body = r#"{"error":"no such path; see the list of endpoints in the documentation"}"#;
        return fixed(None, Status::NOT_FOUND, None, body);
    };
    let route = &routes[index];
    if head.method == Method::Options {
        return fixed(Some(index), Status::NO_CONTENT, allow(route.allow()), "");
    }
    if !route.permits(head.method) {
        let body = r#"{"error":"Invalid request method"}"#;
        return fixed(Some(index), Status::METHOD_NOT_ALLOWED, allow(route.allow()), body);
    }
    if route.method == Method::Post {
        if head.framing == Framing::None {
            let body = r#"{"error":"a body with Content-Length or Transfer-Encoding: chunked is needed"}"#;
            return fixed(Some(index), Status::LENGTH_REQUIRED, None, body);
        }
        if head.is_coded {
            let body = r#"{"error":"the body must not be coded: send it without Content-Encoding"}"#;
            let plain = Some(("accept-encoding", "identity"));
            return fixed(Some(index), Status::UNSUPPORTED_MEDIA_TYPE, plain, body);
        }
        let is_empty = head.framing == Framing::Length(0);
        if !head.content_type.map_or(is_empty, is_json) {
            let body = r#"{"error":"the body must be JSON: send Content-Type: application/json"}"#;
            return fixed(Some(index), Status::UNSUPPORTED_MEDIA_TYPE, None, body);
        }
    }
    Verdict::Run(index)
}

/// `application/json` or `application/*+json`, with or without parameters (RFC 9110, 8.3.1; RFC 6839).
fn is_json(content_type: &[u8]) -> bool {
    if content_type == b"application/json" {
        return true;
    }
    let end = content_type.iter().position(|&b| b == b';').unwrap_or(content_type.len());
    let essence = content_type[..end].trim_ascii();
    let Some((kind, name)) = essence.split_at_checked("application/".len()) else { return false };
    let is_suffixed = || name.len() > 5 && name[name.len() - 5..].eq_ignore_ascii_case(b"+json");
    kind.eq_ignore_ascii_case(b"application/") && (name.eq_ignore_ascii_case(b"json") || is_suffixed())
}

/// A path with its percent-encoding undone where that is another spelling of the same path (RFC 3986, 6.2.2.2).
fn decoded(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let mut text = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        let code = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                text.push(char::from(byte));
                rest = &after[2..];
            }
            _ => {
                text.push('%');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_json_with_parameters_and_suffixes_in_any_case() {
        for yes in ["application/json", "Application/JSON ; charset=utf-8", "application/vnd.api+json;v=1"] {
            assert!(is_json(yes.as_bytes()), "{yes}");
        }
        for no in
            ["", "text/json", "application/jsonx", "application/+json", "application/x-www-form-urlencoded"]
        {
            assert!(!is_json(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn another_spelling_of_a_path_is_the_same_path() {
        assert_eq!(decoded("/%61dd"), "/add");
        assert_eq!(decoded("/a%2Fb%"), "/a%2Fb%");
        assert_eq!(decoded("/add"), "/add");
    }
}
