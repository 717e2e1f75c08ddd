//! A head that the lane has seen before costs no allocation on its way, in either direction; nor does one that takes another's place.

mod forward_support;

use balancer::forward::{Asker, Forwarder};
use forward_support::{DATE, SEED, client, full, wire, with_request, with_response};
use net::http1::{Asked, Version};

#[test]
fn a_head_that_is_remembered_costs_no_allocation() {
    let config = full();
    let client = client("192.0.2.1", &config);
    let mut forwarder = Forwarder::new(&config, SEED);
    let mut out = Vec::with_capacity(64 * 1024);
    let request = wire(
        "POST /add HTTP/1.1\nHost: a.example\nUser-Agent: x/1\nX-Forwarded-For: 6.6.6.6\nContent-Length: 5",
    );
    let response = wire("HTTP/1.1 200 OK\nContent-Type: a/b\nContent-Length: 5\nConnection: keep-alive");
    let to = Asker { version: Version::Http11, asked: Asked::Other, keep_alive: true };
    with_request(&request, |head, raw| {
        with_response(&response, &to, |response, response_raw| {
            let mut pass = || {
                out.clear();
                forwarder.request(head, raw, &client, &mut out).unwrap();
                forwarder.response(response, response_raw, &to, DATE, &mut out);
            };
            pass();
            let seen = allocation_counter::measure(|| (0..1_000).for_each(|_| pass()));
            assert_eq!(seen.count_total, 0);
        });
    });
    assert!(out.ends_with(b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"));
}

#[test]
fn new_heads_cost_no_allocation_once_all_places_were_taken() {
    let config = full();
    let client = client("192.0.2.1", &config);
    let mut forwarder = Forwarder::new(&config, SEED);
    let mut out = Vec::with_capacity(64 * 1024);
    let mut pass = |n: u32| {
        let request = wire(&format!(
            "GET /items/{n:09} HTTP/1.1\nHost: a.example\nUser-Agent: x/1\nConnection: keep-alive"
        ));
        with_request(&request, |head, raw| {
            out.clear();
            allocation_counter::measure(|| {
                forwarder.request(head, raw, &client, &mut out).unwrap();
            })
        })
        .count_total
    };
    assert!((0..1_000).map(&mut pass).sum::<u64>() > 0, "it remembers");
    assert_eq!((1_000..3_000).map(&mut pass).sum::<u64>(), 0);
}
