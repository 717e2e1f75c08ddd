//! The plain case of `/add` on may_minihttp, after its `post` and `techempower` examples: its default features off (no
//! work stealing, no I/O timeouts), one worker.
//!
//! Usage: `peer-may_minihttp IP:PORT`

use std::io::{self, BufRead, Read};

use add::{Numbers, Sum};
use bytes::BufMut as _;
use may_minihttp::{HttpServer, HttpService, Request, Response};

/// The pool and stack sizes of the project's own `techempower` example.
const POOL_CAPACITY: usize = 1000;
const STACK_WORDS: usize = 0x1000;

#[derive(Clone)]
struct Add;

impl HttpService for Add {
    fn call(&mut self, request: Request, response: &mut Response) -> io::Result<()> {
        match (request.path(), request.method()) {
            ("/add", "POST") => add(request, response),
            ("/add", _) => {
                response.status_code(405, "Method Not Allowed");
                response.header("Allow: POST");
            }
            _ => {
                response.status_code(404, "Not Found");
            }
        }
        Ok(())
    }
}

fn add(request: Request, response: &mut Response) {
    response.header("Content-Type: application/json");
    match sum(request) {
        // A vector of bytes takes whatever is written.
        Some(sum) => drop(serde_json::to_writer(response.body_mut().writer(), &sum)),
        None => {
            response.status_code(400, "Bad Request");
        }
    }
}

fn sum(request: Request) -> Option<Sum> {
    let mut body = request.body();
    let numbers: Numbers = match serde_json::from_slice(body.fill_buf().ok()?) {
        Ok(numbers) => numbers,
        // A body cut by the end of a read: rare, but `fill_buf` alone would refuse it.
        Err(error) if error.is_eof() => {
            let mut whole = Vec::new();
            body.read_to_end(&mut whole).ok()?;
            serde_json::from_slice(&whole).ok()?
        }
        Err(_) => return None,
    };
    numbers.sum()
}

fn main() {
    let address = add::address();
    may::config().set_workers(1).set_pool_capacity(POOL_CAPACITY).set_stack_size(STACK_WORDS);
    let server = HttpServer(Add).start(address).unwrap_or_else(|error| {
        eprintln!("cannot listen on {address}: {error}");
        std::process::exit(2);
    });
    server.wait();
}
