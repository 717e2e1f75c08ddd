//! What is asked for: paths, names in them, and the bodies of changes.
//!
//! In: a path, a query, a body. Out: a [`Route`] with decoded names, the place of a server, a weight; or a refusal that says what
//! exists. Never: a name guessed from a part of it, or a body with something in it that would be ignored.

use super::{Refused, text};
use crate::config::values::WEIGHT_MAX;
use crate::control::{Admin, View};
use net::http1::Status;
use serde::{Deserialize, Deserializer};

/// Names in a refusal: enough for a usual pool, and no more than a screen for a large one.
const NAMED_MAX: usize = 20;

/// A path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Page,
    StatusJson,
    Metrics,
    Healthz,
    Readyz,
    Servers,
    Server { pool: String, server: String },
    Change(Change),
}

/// A path that changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Set { pool: String, server: String, admin: Admin },
    Weigh { pool: String, server: String },
    Reload,
}

impl Route {
    /// Segments are decoded after they are split: a `/` in a server's name is `%2F` in the path.
    pub(super) fn find(path: &str) -> Option<Route> {
        let path = path.strip_prefix('/')?;
        let segments: Vec<&str> = path.splitn(5, '/').collect();
        Some(match segments[..] {
            [""] => Route::Page,
            ["status.json"] => Route::StatusJson,
            ["metrics"] => Route::Metrics,
            ["healthz"] => Route::Healthz,
            ["readyz"] => Route::Readyz,
            ["servers"] => Route::Servers,
            ["reload"] => Route::Change(Change::Reload),
            ["servers", pool, server] => {
                Route::Server { pool: text::decode(pool)?, server: text::decode(server)? }
            }
            ["servers", pool, server, what] => {
                let (pool, server) = (text::decode(pool)?, text::decode(server)?);
                Route::Change(match what {
                    "weight" => Change::Weigh { pool, server },
                    "drain" => Change::Set { pool, server, admin: Admin::Drain },
                    "disable" => Change::Set { pool, server, admin: Admin::Maint },
                    "enable" => Change::Set { pool, server, admin: Admin::Ready },
                    _ => return None,
                })
            }
            _ => return None,
        })
    }

    /// Where GET stands, HEAD is meant too.
    pub(super) fn methods(&self) -> &'static [&'static str] {
        match self {
            Route::Change(Change::Weigh { .. }) => &["PUT", "POST"],
            Route::Change(_) => &["POST"],
            _ => &["GET"],
        }
    }

    /// Machines ask for these, by whatever name they know us; a page that reads them by rebinding learns the load.
    pub(super) fn is_for_any_host(&self) -> bool {
        matches!(self, Route::Metrics | Route::Healthz | Route::Readyz)
    }
}

/// `since=N` in the query of `/status.json`: the number of the first column that is wanted; 0 without.
pub(super) fn since(query: Option<&str>) -> Result<u64, Refused> {
    match query.map(|query| query.strip_prefix("since=").map(str::parse)) {
        None => Ok(0),
        Some(Some(Ok(since))) => Ok(since),
        Some(_) => Err(Refused::new(
            Status::UNPROCESSABLE_CONTENT,
            "the query is `since=N`: only columns of the history from number N on are wanted",
        )),
    }
}

/// The indices of a server.
pub(super) fn find_server(view: &View<'_>, pool: &str, server: &str) -> Result<(usize, usize), Refused> {
    let missing = |what: String| Refused::new(Status::NOT_FOUND, what);
    let pools = &view.fleet.pools;
    let at = pools.iter().position(|it| it.name == pool).ok_or_else(|| {
        let names = list(pools.iter().map(|pool| &pool.name[..]));
        missing(format!("there is no pool `{pool}`: there is {names}"))
    })?;
    let servers = &pools[at].servers;
    let server = servers.iter().position(|it| it.name == server).ok_or_else(|| {
        let names = list(servers.iter().map(|server| &server.name[..]));
        missing(format!("there is no server `{server}` in the pool `{pool}`: there is {names}"))
    })?;
    Ok((at, server))
}

/// `a, b and 3 more`.
pub(super) fn list<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    let more = names.len().saturating_sub(NAMED_MAX);
    let named = names.take(NAMED_MAX).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}

/// The body of `weight`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Weighing {
    /// `null`: as configured. It must be there: `{}` is an oversight, not a wish.
    #[serde(deserialize_with = "null_or_number")]
    pub(super) weight: Option<u32>,
}

fn null_or_number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    Option::deserialize(from)
}

pub(super) fn read_weight(body: &[u8]) -> Result<Weighing, Refused> {
    let wanted = format!(
        "the body must be {{\"weight\": N}} with N from 0 to {WEIGHT_MAX}, or null for the configured weight"
    );
    match read_object::<Weighing>(body) {
        Ok(weighing) if weighing.weight.is_none_or(|weight| weight <= WEIGHT_MAX) => Ok(weighing),
        Ok(_) => Err(Refused::new(Status::UNPROCESSABLE_CONTENT, wanted)),
        Err(error) => Err(Refused::new(Status::UNPROCESSABLE_CONTENT, format!("{wanted}; {error}"))),
    }
}

/// A body that has nothing to say: none, or `{}`.
pub(super) fn read_nothing(body: &[u8]) -> Result<(), Refused> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    if body.is_empty() || read_object::<Nothing>(body).is_ok() {
        return Ok(());
    }
    Err(Refused::new(
        Status::UNPROCESSABLE_CONTENT,
        "the body must be empty or {}: there is nothing to say beside the path",
    ))
}

/// By names: serde takes an array for a struct too.
fn read_object<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, String> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err("it is no object".to_owned());
    }
    serde_json::from_slice(body).map_err(|error| error.to_string())
}
