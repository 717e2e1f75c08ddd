//! What a head costs on its way through the balancer: remembered, and new.
//!
//! `cargo bench -p bench --bench forward`

use balancer::config::Config;
use balancer::forward::{Asker, Client, Forwarder};
use criterion::{Criterion, criterion_group, criterion_main};
use net::http1::{
    Asked, Head, Heads, Limits, RequestEvent, RequestStream, ResponseEvent, ResponseHead, ResponseHeads,
    ResponseStream, Version,
};
use std::hint::black_box;

criterion_group!(benches, requests, responses);
criterion_main!(benches);

/// What a usual client sends; curl's fields.
const SMALL: &[u8] =
    b"GET /index.html HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\n\r\n";
/// What a browser sends.
const BROWSER: &[u8] = b"GET /articles/2026/11/a-page?from=home HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive\r\n\
    sec-ch-ua: \"Chromium\";v=\"142\", \"Not_A Brand\";v=\"99\"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\n\
    Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\nSec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\nReferer: https://www.example.com/\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n\r\n";
/// What a server says that leaves nothing to be done.
const PLAIN: &[u8] = b"HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-type: application/json\r\ncontent-length: 12\r\n\r\n";
/// What a server says of its connection, without a date.
const WORDY: &[u8] = b"HTTP/1.1 200 OK\r\nServer: x/1.2\r\nContent-Type: text/html; charset=utf-8\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\
    ETag: \"0123456789abcdef\"\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n";
const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";
const TO: Asker = Asker { version: Version::Http11, asked: Asked::Other, keep_alive: true };

fn requests(c: &mut Criterion) {
    let config = Config::for_one_pool(&["127.0.0.1:5000".parse().expect("this is an address")]);
    let client = Client::new(0, Some(([192, 0, 2, 1], 40_000).into()), &config);
    let mut out = Vec::with_capacity(4096);
    for (name, bytes) in [("small", SMALL), ("browser", BROWSER)] {
        c.bench_function(&format!("forward/request_{name}_known"), |b| {
            let mut forwarder = Forwarder::new(&config, 1);
            with_request(bytes, |head, raw| {
                b.iter(|| {
                    out.clear();
                    forwarder.request(black_box(head), black_box(raw), &client, &mut out)
                });
            });
        });
        c.bench_function(&format!("forward/request_{name}_new"), |b| {
            let mut forwarder = Forwarder::new(&config, 1);
            with_request(bytes, |head, raw| {
                // The memory goes by these bytes, which are others each time; what is written comes from the parsed head.
                let mut other = raw.to_vec();
                b.iter(|| {
                    out.clear();
                    other[5] = other[5].wrapping_add(1);
                    forwarder.request(black_box(head), black_box(&other), &client, &mut out)
                });
            });
        });
    }
}

fn responses(c: &mut Criterion) {
    let config = Config::for_one_pool(&["127.0.0.1:5000".parse().expect("this is an address")]);
    let mut out = Vec::with_capacity(4096);
    for (name, bytes) in [("plain", PLAIN), ("wordy", WORDY)] {
        c.bench_function(&format!("forward/response_{name}_known"), |b| {
            let mut forwarder = Forwarder::new(&config, 1);
            with_response(bytes, |head, raw| {
                b.iter(|| {
                    out.clear();
                    forwarder.response(black_box(head), black_box(raw), &TO, DATE, &mut out)
                });
            });
        });
        c.bench_function(&format!("forward/response_{name}_new"), |b| {
            let mut forwarder = Forwarder::new(&config, 1);
            with_response(bytes, |head, raw| {
                let mut other = raw.to_vec();
                b.iter(|| {
                    out.clear();
                    other[13] = other[13].wrapping_add(1) & 0x3f | 0x40;
                    forwarder.response(black_box(head), black_box(&other), &TO, DATE, &mut out)
                });
            });
        });
    }
}

fn with_request(bytes: &[u8], then: impl FnOnce(&Head<'_>, &[u8])) {
    match RequestStream::new().next(bytes, &mut Heads::new(Limits::default())) {
        Ok(RequestEvent::Head { head, raw, .. }) => then(&head, raw),
        other => panic!("{other:?}"),
    }
}

fn with_response(bytes: &[u8], then: impl FnOnce(&ResponseHead<'_>, &[u8])) {
    match ResponseStream::new().next(bytes, Asked::Other, &mut ResponseHeads::new(Limits::default())) {
        Ok(ResponseEvent::Head { head, raw, .. }) => then(&head, raw),
        other => panic!("{other:?}"),
    }
}
