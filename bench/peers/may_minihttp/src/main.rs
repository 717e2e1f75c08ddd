//! The plain case of `/add` on may_minihttp: `POST /add` with `{"a":1,"b":2}` → `{"result":3}`.
//!
//! Written after the project's own `post` and `techempower` examples: mimalloc, its default features off (no
//! work stealing, no I/O timeouts), one worker. It does less than corelane's `/add` does: 64-bit
//! integers only, no check of the media type, no limits. That is the point: a fast peer at its fastest.
//!
//! Usage: `peer-may_minihttp ADDRESS CORE`

use std::io::{self, BufRead, Read};

use may_minihttp::{HttpServer, HttpService, Request, Response};
use serde::Deserialize;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The pool and stack sizes of the project's own `techempower` example.
const POOL_CAPACITY: usize = 1000;
const STACK_WORDS: usize = 0x1000;

#[derive(Clone)]
struct Add;

#[derive(Deserialize)]
struct Numbers {
    a: i64,
    b: i64,
}

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
    let sum = read_numbers(request).and_then(|numbers| numbers.a.checked_add(numbers.b));
    let Some(sum) = sum else {
        response.status_code(400, "Bad Request");
        return;
    };
    let body = response.body_mut();
    body.extend_from_slice(b"{\"result\":");
    body.extend_from_slice(itoa::Buffer::new().format(sum).as_bytes());
    body.extend_from_slice(b"}");
}

fn read_numbers(request: Request) -> Option<Numbers> {
    let mut body = request.body();
    match serde_json::from_slice(body.fill_buf().ok()?) {
        Ok(numbers) => Some(numbers),
        // A body cut by the end of a read: rare, but `fill_buf` alone would refuse it.
        Err(error) if error.is_eof() => {
            let mut whole = Vec::new();
            body.read_to_end(&mut whole).ok()?;
            serde_json::from_slice(&whole).ok()
        }
        Err(_) => None,
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(core)) = (arguments.next(), arguments.next().and_then(|core| core.parse().ok()))
    else {
        eprintln!("usage: peer-may_minihttp ADDRESS CORE");
        std::process::exit(2);
    };

    // Threads inherit the affinity of the one that starts them, so this pins may's worker too.
    core_affinity::set_for_current(core_affinity::CoreId { id: core });
    may::config().set_workers(1).set_pool_capacity(POOL_CAPACITY).set_stack_size(STACK_WORDS);

    let server = HttpServer(Add).start(&address).unwrap_or_else(|error| {
        eprintln!("cannot listen on {address}: {error}");
        std::process::exit(2);
    });
    println!("listening on {address}");
    server.wait();
}
