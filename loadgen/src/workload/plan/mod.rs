//! From what the user asked for to what the lanes copy from.
//!
//! In: a [`Spec`]. Out: each URL's request, cut where it varies, and what decides the rest; or what is wrong.
//! Never: lets through what a server would read otherwise than it was meant.

use super::front_door;
use super::sums::KEYS_MAX;
use super::template::{Template, Variable, number};
use super::{Kind, Source, Spec, Statuses};
use crate::url::{Place, Url, common_place};
use net::http1::Asked;
use net::http1::write::{self, BodySpec, RequestSpec};
use rand::distr::{Distribution, Uniform};
use rand::rngs::Xoshiro256PlusPlus;
use rand_distr::Zipf;
use rand_distr::weighted::WeightedAliasIndex;
use serde_json::Value;

/// A [`Spec`] that was found good.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) place: Place,
    pub(super) kind: Kind,
    pub(super) asked: Asked,
    /// One for each URL.
    pub(super) requests: Vec<Request>,
    /// Which of them; `None` if there is one.
    pub(super) choice: Option<WeightedAliasIndex<f64>>,
    pub(super) keys: Keys,
    /// What `{{line}}` stands for; empty if it stands nowhere.
    pub(super) lines: Vec<String>,
    pub(super) statuses: Statuses,
    pub(super) expect_body: Option<String>,
    pub(super) expect_json: Option<Value>,
}

/// One URL's request.
#[derive(Debug)]
pub(super) struct Request {
    /// All of it, or up to the value of `content-length`: by `body`.
    pub(super) head: Template,
    pub(super) body: Body,
}

/// What comes behind [`Request::head`].
#[derive(Debug)]
pub(super) enum Body {
    /// Nothing: the body is part of it, or there is none.
    Inside,
    /// A length, and a body that varies.
    Varying(Template),
    /// A length, and two operands.
    Operands,
}

/// How keys are drawn.
#[derive(Debug)]
pub(super) enum Keys {
    /// There are none.
    None,
    Uniform(Uniform<u64>),
    Zipf(Zipf<f64>),
}

impl Keys {
    /// A key from 1 on; 0 if there are none.
    pub(super) fn draw(&self, rng: &mut Xoshiro256PlusPlus) -> u64 {
        match self {
            Keys::None => 0,
            Keys::Uniform(uniform) => uniform.sample(rng),
            Keys::Zipf(zipf) => zipf.sample(rng) as u64,
        }
    }
}

impl Plan {
    pub(super) fn draws_keys(&self) -> bool {
        !matches!(self.keys, Keys::None)
    }

    pub(super) fn new(spec: Spec) -> Result<Plan, String> {
        let place = common_place(&spec.urls)?.clone();
        check_headers(&spec.headers)?;
        let draft = Draft::new(&spec)?;
        let requests: Vec<Request> =
            spec.urls.iter().map(|url| draft.request(url)).collect::<Result<_, _>>()?;
        let asked = if draft.method == "HEAD" { Asked::Head } else { Asked::Other };
        if asked == Asked::Head && (spec.expect_body.is_some() || spec.expect_json.is_some()) {
            return Err("an answer to HEAD has no body to be expected (RFC 9110, 9.3.2)".to_owned());
        }
        let statuses = if spec.kind == Kind::Requests { Statuses::success() } else { Statuses::ok() };
        Ok(Plan {
            place,
            kind: spec.kind,
            asked,
            choice: choice(&spec.urls)?,
            keys: keys(&spec, requests.iter().any(|request| request.has(Variable::Key)))?,
            requests,
            lines: match spec.body {
                Source::Lines(lines) | Source::TextWithLines { lines, .. } => lines,
                Source::None | Source::Text(_) => Vec::new(),
            },
            statuses: spec.expect_status.unwrap_or(statuses),
            expect_body: spec.expect_body,
            expect_json: spec.expect_json,
        })
    }
}

impl Request {
    fn has(&self, variable: Variable) -> bool {
        self.head.has(variable) || matches!(&self.body, Body::Varying(body) if body.has(variable))
    }
}

/// What all requests of a run have in common.
struct Draft<'s> {
    method: &'s str,
    /// `None`: takes the URL's.
    host: Option<&'s str>,
    /// Besides `host` and those of the framing.
    fields: Vec<(&'s str, &'s str)>,
    body: DraftBody,
    lines: &'s [String],
}

enum DraftBody {
    None,
    Given(Template),
    Operands,
}

impl<'s> Draft<'s> {
    fn new(spec: &'s Spec) -> Result<Draft<'s>, String> {
        let (hosts, mut fields): (Vec<_>, Vec<_>) = spec
            .headers
            .iter()
            .map(|(name, value)| (&name[..], value.trim_matches([' ', '\t'])))
            .partition(|(name, _)| name.eq_ignore_ascii_case("host"));
        let values = spec
            .urls
            .iter()
            .map(|url| &url.target[..])
            .chain(spec.headers.iter().map(|(_, value)| &value[..]));
        let templates: Vec<Template> = values.map(Template::parse).collect::<Result<_, _>>()?;
        let (body, lines) = body(spec, templates.iter().any(|template| template.has(Variable::Line)))?;
        let method = method(spec, &body)?;
        let has_type = fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if matches!(body, DraftBody::Operands) && !has_type {
            fields.push(("content-type", "application/json"));
        }
        match hosts[..] {
            [] => Ok(Draft { method, host: None, fields, body, lines }),
            [(_, host)] => Ok(Draft { method, host: Some(host), fields, body, lines }),
            _ => Err("there is more than one Host: a request has one (RFC 9112, 3.2)".to_owned()),
        }
    }

    fn request(&self, url: &Url) -> Result<Request, String> {
        let host = self.host.unwrap_or(&url.host_field);
        self.check(&url.target, host)?;
        let mut head = Vec::new();
        let Draft { method, fields, .. } = self;
        let spec = RequestSpec { method, target: &url.target, host, fields, body: BodySpec::None };
        write::request(&mut head, &spec);
        // The framing comes last, in front of the empty line.
        head.truncate(head.len() - 2);
        let mut head = Template::parse(&String::from_utf8_lossy(&head))?;
        let body = match &self.body {
            // Methods that anticipate content say that there is none (RFC 9110 §8.6).
            DraftBody::None if matches!(self.method, "POST" | "PUT" | "PATCH") => end(&mut head, Some(b"")),
            DraftBody::None => end(&mut head, None),
            DraftBody::Given(body) => match body.fixed() {
                Some(text) => end(&mut head, Some(text)),
                None => {
                    head.push_text(b"content-length: ");
                    Body::Varying(body.clone())
                }
            },
            DraftBody::Operands => {
                head.push_text(b"content-length: ");
                Body::Operands
            }
        };
        Ok(Request { head, body })
    }

    /// Would a server read it as it is meant, with whatever stands for its variables?
    fn check(&self, target: &str, host: &str) -> Result<(), String> {
        let target = Template::parse(target)?;
        let host = Template::parse(host)?;
        let values = self.fields.iter().map(|(_, value)| Template::parse(value));
        let values: Vec<Template> = values.collect::<Result<_, _>>()?;
        let has_line = [&target, &host].into_iter().chain(&values).any(|part| part.has(Variable::Line));
        let lines = if has_line { self.lines } else { &[] };
        let check = |line: &str| {
            let values: Vec<String> = values.iter().map(|value| value.example(line)).collect();
            let names = self.fields.iter().map(|(name, _)| *name);
            let fields: Vec<(&str, &str)> = names.zip(values.iter().map(String::as_str)).collect();
            front_door::check(self.method, &target.example(line), &host.example(line), &fields)
        };
        for (at, line) in lines.iter().enumerate() {
            check(line).map_err(|why| format!("line {} can't stand for {{{{line}}}}: {why}", at + 1))?;
        }
        check("0").map_err(|why| format!("this request can't be sent: {why}"))
    }
}

/// Ends a head with the body that never changes, so that all is one text.
fn end(head: &mut Template, body: Option<&[u8]>) -> Body {
    if let Some(body) = body {
        let mut length = Vec::new();
        number(&mut length, body.len());
        head.push_text(b"content-length: ");
        head.push_text(&length);
        head.push_text(b"\r\n");
    }
    head.push_text(b"\r\n");
    head.push_text(body.unwrap_or_default());
    Body::Inside
}

/// The body, and what stands for `{{line}}`. `is_in_head`: the target or a field has a `{{line}}`.
fn body(spec: &Spec, is_in_head: bool) -> Result<(DraftBody, &[String]), String> {
    let none: &[String] = &[];
    let (body, lines) = match &spec.body {
        Source::None => (DraftBody::None, none),
        Source::Text(text) => (DraftBody::Given(Template::parse(text)?), none),
        Source::Lines(lines) if is_in_head => (DraftBody::None, &lines[..]),
        Source::Lines(lines) => (DraftBody::Given(Template::parse("{{line}}")?), &lines[..]),
        Source::TextWithLines { text, lines } => (DraftBody::Given(Template::parse(text)?), &lines[..]),
    };
    let is_in_body = matches!(&body, DraftBody::Given(body) if body.has(Variable::Line));
    let has_source = matches!(spec.body, Source::Lines(_) | Source::TextWithLines { .. });
    match (has_source, is_in_head || is_in_body) {
        (false, true) => return Err("{{line}} needs a file of lines".to_owned()),
        (true, false) => return Err("there are lines, but no {{line}} where they would go".to_owned()),
        (true, true) if lines.is_empty() => return Err("the file of lines is empty".to_owned()),
        _ => {}
    }
    match (spec.kind, body) {
        (Kind::Requests, body) => Ok((body, lines)),
        (Kind::Add | Kind::Ledger, DraftBody::None) => Ok((DraftBody::Operands, lines)),
        (kind, _) => Err(format!(
            "the workload `{}` makes its own bodies: leave the body out, or choose the workload `requests`",
            kind.name()
        )),
    }
}

fn method<'s>(spec: &'s Spec, body: &DraftBody) -> Result<&'s str, String> {
    let Some(method) = spec.method.as_deref() else {
        return Ok(if matches!(body, DraftBody::None) { "GET" } else { "POST" });
    };
    if method == "CONNECT" {
        return Err("CONNECT makes a tunnel, which can't be measured".to_owned());
    }
    front_door::check(method, "/", "localhost", &[])
        .map_err(|why| format!("`{method}` is no method: {why}"))?;
    // Content has no meaning in these (RFC 9110 §9.3), so that nobody would add it up.
    let is_without_content = matches!(method, "GET" | "HEAD" | "DELETE" | "OPTIONS" | "TRACE");
    if is_without_content && spec.kind != Kind::Requests {
        return Err(format!(
            "the workload `{}` sends operands in a body, and {method} has none: leave the method out, or \
             choose the workload `requests`",
            spec.kind.name()
        ));
    }
    Ok(method)
}

fn check_headers(headers: &[(String, String)]) -> Result<(), String> {
    for (name, value) in headers {
        if ["content-length", "transfer-encoding"].iter().any(|own| name.eq_ignore_ascii_case(own)) {
            return Err(format!("`{name}` follows from the body: leave it out"));
        }
        let value = Template::parse(value)?.example("0");
        let is_host = name.eq_ignore_ascii_case("host");
        let field = [(&name[..], &value[..])];
        let (host, fields) = if is_host { (&value[..], &[][..]) } else { ("localhost", &field[..]) };
        front_door::check("GET", "/", host, fields).map_err(|why| {
            format!("`{}: {}` can't be sent: {why}", name.escape_debug(), value.escape_debug())
        })?;
    }
    Ok(())
}

fn choice(urls: &[Url]) -> Result<Option<WeightedAliasIndex<f64>>, String> {
    if let [_] = urls {
        return Ok(None);
    }
    let weights = urls.iter().map(|url| url.weight).collect();
    WeightedAliasIndex::new(weights)
        .map(Some)
        .map_err(|error| format!("the URLs' weights can't be used: {error}"))
}

/// `is_used`: a `{{key}}` stands somewhere.
fn keys(spec: &Spec, is_used: bool) -> Result<Keys, String> {
    let Spec { keys, zipf, kind, .. } = *spec;
    match keys {
        0 if is_used => return Err("{{key}} needs a number of keys: --keys N".to_owned()),
        0 if zipf != 0.0 => return Err("--zipf is about keys: add --keys N".to_owned()),
        0 => return Ok(Keys::None),
        _ if keys > KEYS_MAX => return Err(format!("--keys {keys} is too many: {KEYS_MAX} at most")),
        _ if !is_used && kind != Kind::Add => {
            return Err("there are keys, but no {{key}} where they would go".to_owned());
        }
        _ => {}
    }
    if zipf == 0.0 {
        return Uniform::new_inclusive(1, keys)
            .map(Keys::Uniform)
            .map_err(|error| format!("--keys {keys}: {error}"));
    }
    match Zipf::new(keys as f64, zipf) {
        Ok(distribution) if zipf.is_finite() => Ok(Keys::Zipf(distribution)),
        _ => Err(format!("--zipf {zipf} must be a number from 0 up")),
    }
}

#[cfg(test)]
mod tests;
