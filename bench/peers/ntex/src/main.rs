//! The plain case of `/add` on ntex, after its examples: extractors, one worker, its tokio runtime.
//!
//! Usage: `peer-ntex IP:PORT`

use add::Numbers;
use ntex::web::{self, App, HttpResponse, HttpServer};

#[web::post("/add")]
async fn sum(numbers: web::types::Json<Numbers>) -> HttpResponse {
    match numbers.sum() {
        Some(sum) => HttpResponse::Ok().json(&sum),
        None => HttpResponse::BadRequest().finish(),
    }
}

#[ntex::main]
async fn main() -> std::io::Result<()> {
    HttpServer::new(async || App::new().service(sum)).workers(1).bind(add::address())?.run().await
}
