//! The plain case of `/add` on ntex, after its examples: extractors, one worker, its tokio runtime.
//!
//! Usage: `peer-ntex IP:PORT`

use add::Numbers;
use ntex::SharedCfg;
use ntex::http::HttpServiceConfig;
use ntex::time::Seconds;
use ntex::web::{self, App, HttpResponse, HttpServer};

/// Idle connections stay, as everybody's do here, also before their first request.
const PATIENCE: Seconds = Seconds(3600);

#[web::post("/add")]
async fn sum(numbers: web::types::Json<Numbers>) -> HttpResponse {
    match numbers.sum() {
        Some(sum) => HttpResponse::Ok().json(&sum),
        None => HttpResponse::BadRequest().finish(),
    }
}

#[ntex::main]
async fn main() -> std::io::Result<()> {
    let patient = HttpServiceConfig::new().set_keepalive(PATIENCE).set_client_timeout(PATIENCE);
    HttpServer::new(async || App::new().service(sum))
        .workers(1)
        .config(SharedCfg::new("add").add(patient))
        .bind(add::address())?
        .run()
        .await
}
