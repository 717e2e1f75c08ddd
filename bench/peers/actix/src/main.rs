//! The plain case of `/add` on actix-web, after its documentation: extractors, one worker.
//!
//! Usage: `peer-actix IP:PORT`

use std::time::Duration;

use actix_web::{App, HttpServer, Result, error, post, web};
use add::{Numbers, Sum};

/// Idle connections stay, as everybody's do here, also before their first request.
const PATIENCE: Duration = Duration::from_secs(3600);

#[post("/add")]
async fn sum(numbers: web::Json<Numbers>) -> Result<web::Json<Sum>> {
    numbers.sum().map(web::Json).ok_or_else(|| error::ErrorBadRequest("too large"))
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    HttpServer::new(|| App::new().service(sum))
        .workers(1)
        .keep_alive(PATIENCE)
        .client_request_timeout(PATIENCE)
        .bind(add::address())?
        .run()
        .await
}
