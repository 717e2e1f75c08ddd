//! The plain case of `/add` on hyper, after its `hello` and `echo` examples: one thread, HTTP/1 alone, and answers to
//! pipelined requests sent together.
//!
//! Usage: `peer-hyper IP:PORT`

use add::JSON;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

async fn serve(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let mut response = Response::new(Full::default());
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/add") => match add::answer(&request.into_body().collect().await?.to_bytes()) {
            Some(body) => {
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
                *response.body_mut() = body.into();
            }
            None => *response.status_mut() = StatusCode::BAD_REQUEST,
        },
        (_, "/add") => *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED,
        _ => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    Ok(response)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind(add::address()).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(
            http1::Builder::new()
                .pipeline_flush(true)
                .serve_connection(TokioIo::new(stream), service_fn(serve)),
        );
    }
}
