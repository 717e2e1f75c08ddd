//! The plain case of `/add` on xitca-web, after its documentation: extractors, one worker.
//!
//! Usage: `peer-xitca IP:PORT`

use add::{Numbers, Sum};
use xitca_web::App;
use xitca_web::error::ErrorStatus;
use xitca_web::handler::handler_service;
use xitca_web::handler::json::Json;
use xitca_web::route::post;

async fn sum(Json(numbers): Json<Numbers>) -> Result<Json<Sum>, ErrorStatus> {
    numbers.sum().map(Json).ok_or_else(ErrorStatus::bad_request)
}

fn main() -> std::io::Result<()> {
    App::new()
        .at("/add", post(handler_service(sum)))
        .serve()
        .worker_threads(1)
        .bind(add::address())?
        .run()
        .wait()
}
