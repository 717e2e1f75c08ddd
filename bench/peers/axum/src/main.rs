//! The plain case of `/add` on axum, after its documentation: `axum::serve`, extractors, one thread.
//!
//! Usage: `peer-axum IP:PORT`

use add::{Numbers, Sum};
use axum::http::StatusCode;
use axum::routing::post;
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use tokio::net::TcpListener;

async fn sum(Json(numbers): Json<Numbers>) -> Result<Json<Sum>, StatusCode> {
    numbers.sum().map(Json).ok_or(StatusCode::BAD_REQUEST)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind(add::address()).await?.tap_io(|stream| {
        // A connection that is gone already has no use for it.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, Router::new().route("/add", post(sum))).await
}
