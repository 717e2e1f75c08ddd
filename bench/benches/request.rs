//! What a request costs above the kernel: its parts, and the whole of it through the server program.
//!
//! `cargo bench -p bench --bench request`

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use net::engine::Token;
use net::engine::hand::Hand;
use net::http1::{Heads, Limits, ServerConn, Step};
use net::mailbox::{MAILS_MAX, mailbox};
use server::handlers::add;
use server::metrics::Shared;
use server::options::Options;
use server::pool::Pool;
use server::program::Server;
use server::routes::ROUTES;
use std::ffi::OsString;
use std::hint::black_box;

criterion_group!(benches, parts, whole);
criterion_main!(benches);

fn parts(c: &mut Criterion) {
    let request = request(1);
    c.bench_function("part/head_and_body_known", |b| {
        let (mut conn, mut heads) = (ServerConn::new(), Heads::new(Limits::default()));
        b.iter(|| read(&mut conn, &mut heads, black_box(&request)));
    });
    c.bench_function("part/head_and_body_new", |b| {
        let (mut conn, mut heads) = (ServerConn::new(), Heads::new(Limits::default()));
        let mut other = request.clone();
        let at = other.windows(4).position(|w| w == b"curl").expect("curl is named");
        b.iter(|| {
            // Another head each time, at the same place of the lane's memory.
            other[at] = other[at].wrapping_add(1) & 0x7 | b'a';
            read(&mut conn, &mut heads, black_box(&other))
        });
    });
    c.bench_function("part/add", |b| {
        let mut out = Vec::new();
        b.iter(|| {
            out.clear();
            add::answer(black_box(br#"{"a":1,"b":2}"#), &mut out)
        });
    });
}

/// One turn of the program: bytes in, answer out.
fn whole(c: &mut Criterion) {
    let mut group = c.benchmark_group("whole");
    group.throughput(Throughput::Elements(1));
    group.bench_function("hit", |b| {
        let (mut server, token, mut out) = server("4MiB");
        let request = request(1);
        b.iter(|| feed(&mut server, token, &request, &mut out));
    });
    group.bench_function("miss_cache_off", |b| {
        let (mut server, token, mut out) = server("0");
        let request = request(1);
        b.iter(|| feed(&mut server, token, &request, &mut out));
    });
    group.bench_function("miss_insert_and_evict", |b| {
        let (mut server, token, mut out) = server("64KiB");
        let mut n = 0;
        let next = || {
            n += 1;
            request(n)
        };
        b.iter_batched_ref(
            next,
            |request| feed(&mut server, token, request, &mut out),
            BatchSize::SmallInput,
        );
    });
    group.throughput(Throughput::Elements(16));
    for (name, cache) in [("hit_16_pipelined", "4MiB"), ("miss_16_pipelined", "0")] {
        group.bench_function(name, |b| {
            let (mut server, token, mut out) = server(cache);
            let batch = request(1).repeat(16);
            b.iter(|| feed(&mut server, token, &batch, &mut out));
        });
    }
}

fn read(conn: &mut ServerConn, heads: &mut Heads, bytes: &[u8]) -> (usize, usize) {
    match conn.next(bytes, heads) {
        Ok(Step::Request { request, used }) => (request.body.len(), used),
        other => panic!("{other:?}"),
    }
}

fn feed(server: &mut Hand<Server>, token: Token, bytes: &[u8], out: &mut Vec<u8>) -> usize {
    out.clear();
    server.feed(token, black_box(bytes), out);
    out.len()
}

/// What a usual client sends; curl's fields.
fn request(n: u32) -> Vec<u8> {
    let body = format!("{{\"a\":{n},\"b\":2}}");
    format!(
        "POST /add HTTP/1.1\r\nHost: 127.0.0.1:5000\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn server(cache: &str) -> (Hand<Server>, Token, Vec<u8>) {
    let args = ["corelane-server", "--cache-bytes", cache].map(OsString::from);
    let settings = Options::read(args).expect("these are options").0.program();
    let shared = Shared::new(1, ROUTES, "hand");
    let (mailer, _) = mailbox(MAILS_MAX).expect("there is a descriptor to be had");
    let pool = Pool::start(1, 1).expect("there is a thread to be had");
    let program = Server::new(ROUTES, &settings, shared.lanes[0].clone(), shared, pool, mailer);
    let mut server = Hand::hold(program);
    let token = server.open();
    (server, token, Vec::with_capacity(1 << 16))
}
