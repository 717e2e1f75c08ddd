//! A request costs no allocation: neither one whose answer is known, nor one that is computed, cached, and
//! pushes another answer out of the cache.

use net::engine::hand::Hand;
use net::mailbox::{MAILS_MAX, mailbox};
use server::metrics::Shared;
use server::options::Options;
use server::pool::Pool;
use server::program::Server;
use server::routes::ROUTES;
use std::ffi::OsString;

#[test]
fn a_request_costs_no_allocation_on_a_hit_or_a_miss() {
    let (mut server, mut out) = (server("64KiB"), Vec::with_capacity(1 << 20));
    let token = server.open();
    // Until the cache is full and has turned over, its memory grows.
    for n in 0..20_000 {
        out.clear();
        server.feed(token, &request(n), &mut out);
    }
    let new: Vec<_> = (20_000..21_000).map(request).collect();
    let misses = allocation_counter::measure(|| {
        for request in &new {
            out.clear();
            server.feed(token, request, &mut out);
        }
    });
    assert!(out.ends_with(b"{\"result\":41998}"), "{}", String::from_utf8_lossy(&out));
    let known = request(20_999);
    let hits = allocation_counter::measure(|| {
        for _ in 0..1_000 {
            out.clear();
            server.feed(token, &known, &mut out);
        }
    });
    assert_eq!((misses.count_total, hits.count_total), (0, 0));
}

#[test]
fn sixteen_pipelined_requests_cost_no_allocation() {
    let (mut server, mut out) = (server("0"), Vec::with_capacity(1 << 20));
    let token = server.open();
    let batch: Vec<u8> = (0..16).flat_map(request).collect();
    server.feed(token, &batch, &mut out);
    let seen = allocation_counter::measure(|| {
        for _ in 0..100 {
            out.clear();
            server.feed(token, &batch, &mut out);
        }
    });
    assert_eq!(out.windows(9).filter(|w| *w == b"{\"result\"").count(), 16);
    assert_eq!(seen.count_total, 0);
}

fn request(n: u32) -> Vec<u8> {
    let body = format!("{{\"a\":{n},\"b\":{n}}}");
    let length = body.len();
    format!(
        "POST /add HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn server(cache: &str) -> Hand<Server> {
    let args = ["corelane-server", "--cache-bytes", cache].map(OsString::from);
    let settings = Options::read(args).unwrap().0.program();
    let shared = Shared::new(1, ROUTES, "hand");
    let (mailer, _) = mailbox(MAILS_MAX).unwrap();
    let pool = Pool::start(1, 1).unwrap();
    Hand::hold(Server::new(ROUTES, &settings, shared.lanes[0].clone(), shared, pool, mailer))
}
