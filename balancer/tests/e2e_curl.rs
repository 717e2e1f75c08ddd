//! What people try first: curl through the balancer, as they would call it, and giving up as they do.

#[macro_use]
mod support;

use std::io::{Read, Write};
use std::time::Duration;
use support::Scratch;
use support::child::{Backend, Balancer};
use support::metrics::{Metrics, nothing_is_left};
use support::noise::Noise;
use support::tools::{curl, curl_as_it_ends};
use support::wire::{read_head, serve, serve_mirrors};

each_engine! {
    curl_reuses_its_connection
    curl_uploads_in_chunks_and_after_a_100
    curl_does_not_wait_for_a_100_that_never_comes
    curl_speaks_http_1_0_and_asks_for_heads
    curl_is_told_that_there_is_no_http_2
    curl_may_send_much_and_not_too_much
    curl_uses_us_as_a_proxy_and_gets_no_further
    curl_gets_through_unix_sockets_on_both_sides
    an_upload_that_is_given_up_leaves_nothing_behind
    an_answer_that_is_not_awaited_leaves_nothing_behind
    a_download_that_is_given_up_leaves_nothing_behind
}

const JSON: [&str; 2] = ["-H", "content-type: application/json"];

/// In front of one `/add` server, and the start of its URLs.
fn balancer(engine: &str) -> (Balancer, Backend, String) {
    let server = Backend::start();
    let balancer = Balancer::of(engine, &[&server], &["--cores", "0"]);
    let url = format!("http://{}", balancer.address());
    (balancer, server, url)
}

fn before(engine: &str, server: &str) -> (Balancer, String) {
    let args = ["--engine", engine, "--listen", "127.0.0.1:0", "--server", server, "--cores", "0"];
    let balancer = Balancer::start(&args);
    let url = format!("http://{}", balancer.address());
    (balancer, url)
}

fn curl_reuses_its_connection(engine: &str) {
    let (balancer, _server, url) = balancer(engine);
    let url = format!("{url}/add");
    let one = ["-o", "-", "-w", " %{http_code} %{num_connects}\n", "--json", r#"{"a":1,"b":2}"#, &url];
    let Some(shown) = curl(&[&one[..], &["--next"], &one[..], &["--next"], &one[..]].concat(), b"") else {
        return;
    };
    assert_eq!(shown, "{\"result\":3} 200 1\n{\"result\":3} 200 0\n{\"result\":3} 200 0\n");
    assert_eq!(Metrics::of(&balancer).sum("server_connects_total", &[]), 1);
    nothing_is_left(&balancer);
}

fn curl_uploads_in_chunks_and_after_a_100(engine: &str) {
    let (balancer, _server, url) = balancer(engine);
    let url = format!("{url}/add");
    let body = br#"{"a":20,"b":22}"#;
    let chunked = ["-X", "POST", "-T", "-", &url];
    let Some(shown) = curl(&[&JSON[..], &chunked[..]].concat(), body) else { return };
    assert_eq!(shown, r#"{"result":42}"#);

    let expecting = ["-v", "-H", "Expect: 100-continue", "-d", "@-", &url];
    let Some(ended) = curl_as_it_ends(&[&JSON[..], &expecting[..]].concat(), body) else { return };
    assert!(ended.stderr.contains("< HTTP/1.1 100 Continue"), "{ended:?}");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), r#"{"result":42}"#));

    let Some(ended) = curl_as_it_ends(&[&["-H", "content-type: text/plain"], &expecting[..]].concat(), body)
    else {
        return;
    };
    let said = &ended.stderr;
    assert!(said.contains("< HTTP/1.1 415 ") && !said.contains("100 Continue"), "{ended:?}");
    nothing_is_left(&balancer);
    let metrics = Metrics::of(&balancer);
    assert_eq!(metrics.faults(), Vec::<&str>::new());
}

/// Many servers know nothing of `Expect`. curl gives up waiting, and its upload must still be wanted then.
fn curl_does_not_wait_for_a_100_that_never_comes(engine: &str) {
    let server = serve(|mut socket| {
        let mut body = [0; 5];
        while read_head(&mut socket).is_some() && socket.read_exact(&mut body).is_ok() {
            let answer = [&b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"[..], &body].concat();
            socket.write_all(&answer).expect("it is sent");
        }
    });
    let (balancer, url) = before(engine, &server);
    let args = ["--expect100-timeout", "0.2", "-H", "Expect: 100-continue", "-d", "hello", &url];
    let Some(shown) = curl(&args, b"") else { return };
    assert_eq!(shown, "hello");
    nothing_is_left(&balancer);
    assert_eq!(Metrics::of(&balancer).faults(), Vec::<&str>::new());
}

fn curl_speaks_http_1_0_and_asks_for_heads(engine: &str) {
    let (balancer, _server, url) = balancer(engine);
    let url = format!("{url}/healthz");
    let Some(shown) = curl(&["-0", "-i", &url], b"") else { return };
    assert!(shown.starts_with("HTTP/1.1 200 OK\r\n") && shown.ends_with(r#"{"status":"ok"}"#), "{shown}");
    let Some(shown) = curl(&["-I", &url], b"") else { return };
    let shown = shown.to_ascii_lowercase();
    assert!(shown.contains("content-length: 15\r\n") && shown.ends_with("\r\n\r\n"), "{shown}");
    let Some(shown) = curl(&["-i", "-X", "OPTIONS", "--request-target", "*", &url], b"") else { return };
    assert!(
        shown.starts_with("HTTP/1.1 204 ") && shown.to_ascii_lowercase().contains("\r\nallow: "),
        "{shown}"
    );
    let Some(shown) = curl(&["-i", "-X", "TRACE", &url], b"") else { return };
    assert!(shown.starts_with("HTTP/1.1 405 "), "{shown}");
    nothing_is_left(&balancer);
}

fn curl_is_told_that_there_is_no_http_2(engine: &str) {
    let (balancer, _server, url) = balancer(engine);
    let url = format!("{url}/healthz");
    let Some(ended) = curl_as_it_ends(&["--http2-prior-knowledge", "--max-time", "30", &url], b"") else {
        return;
    };
    let code = ended.code.expect("it ends by itself");
    // 1 and 2: this curl was built without HTTP/2. 28: it waited in vain.
    assert!(code != 0 && code != 28, "{ended:?}");
    if code > 2 {
        assert_eq!(Metrics::of(&balancer).sum("lane_faults_total", &["fault=\"bad-request\""]), 1);
    }
    // What asks for it and takes less gets less.
    let Some(shown) = curl(&["--http2", "-w", " %{http_version}", &url], b"") else { return };
    assert_eq!(shown, r#"{"status":"ok"} 1.1"#);
    nothing_is_left(&balancer);
}

fn curl_may_send_much_and_not_too_much(engine: &str) {
    let (balancer, _server, url) = balancer(engine);
    let status = |more: &[&str], target: &str| {
        let url = format!("{url}{target}");
        let args = [&["-o", "/dev/null", "-w", "%{http_code}"][..], more, &[&url]].concat();
        curl(&args, b"")
    };
    let Some(plain) = status(&[], "/healthz") else { return };
    assert_eq!(plain, "200");
    let fields: Vec<String> = (0..80).map(|n| format!("x-field-{n}: {n}")).collect();
    let many =
        |count: usize| fields.iter().cycle().take(count).flat_map(|field| ["-H", field]).collect::<Vec<_>>();
    assert_eq!(status(&many(80), "/healthz").as_deref(), Some("200"));
    assert_eq!(status(&many(101), "/healthz").as_deref(), Some("431"));
    let value = |len: usize| format!("x-large: {}", "v".repeat(len));
    assert_eq!(status(&["-H", &value(12_000)], "/healthz").as_deref(), Some("200"));
    assert_eq!(status(&["-H", &value(20_000)], "/healthz").as_deref(), Some("431"));
    let query = |len: usize| format!("/healthz?{}", "q".repeat(len));
    assert_eq!(status(&[], &query(7_000)).as_deref(), Some("200"));
    assert_eq!(status(&[], &query(20_000)).as_deref(), Some("414"));
    nothing_is_left(&balancer);
    let metrics = Metrics::of(&balancer);
    assert_eq!(metrics.sum("lane_faults_total", &["fault=\"bad-request\""]), 3, "{:?}", metrics.faults());
    assert_eq!(metrics.sum("server_tries_total", &[]), 4, "what was refused didn't reach the server");
}

/// Who takes us for a forward proxy sends an absolute target: its authority is the host. Tunnels are not made.
fn curl_uses_us_as_a_proxy_and_gets_no_further(engine: &str) {
    let (balancer, url) = before(engine, &serve_mirrors());
    // `--noproxy` of ours would win over it.
    let proxied = ["--noproxy", "", "-x", &url];
    let Some(shown) = curl(&[&proxied[..], &["http://www.example.com/path?query"]].concat(), b"") else {
        return;
    };
    let shown = shown.to_ascii_lowercase();
    assert!(shown.starts_with("get /path?query http/1.1\r\n"), "{shown}");
    assert!(
        shown.contains("\r\nhost: www.example.com\r\n") && !shown.contains("proxy-connection"),
        "{shown}"
    );
    let Some(ended) =
        curl_as_it_ends(&[&proxied[..], &["-v", "-p", "http://www.example.com/"]].concat(), b"")
    else {
        return;
    };
    assert!(ended.code != Some(0) && ended.stderr.contains("< HTTP/1.1 405 "), "{ended:?}");
    nothing_is_left(&balancer);
    let metrics = Metrics::of(&balancer);
    assert_eq!(metrics.sum("lane_faults_total", &["fault=\"not-proxied\""]), 1, "{:?}", metrics.faults());
}

fn curl_gets_through_unix_sockets_on_both_sides(engine: &str) {
    let (inner, outer) = (Scratch::new("server.sock"), Scratch::new("front.sock"));
    let server = Backend::at(&format!("unix:{}", inner.as_str()));
    let listen = format!("unix:{}", outer.as_str());
    let balancer = Balancer::start(&[
        "--engine",
        engine,
        "--listen",
        &listen,
        "--server",
        &server.address,
        "--cores",
        "0",
    ]);
    let args = ["--unix-socket", outer.as_str(), "--json", r#"{"a":1,"b":2}"#, "http://localhost/add"];
    let Some(shown) = curl(&args, b"") else { return };
    assert_eq!(shown, r#"{"result":3}"#);
    nothing_is_left(&balancer);
}

/// Longer than `--max-time` by far.
const SLOW: [&str; 4] = ["--limit-rate", "1k", "--max-time", "0.5"];
/// curl's word for that time being over.
const TIMED_OUT: Option<i32> = Some(28);

fn an_upload_that_is_given_up_leaves_nothing_behind(engine: &str) {
    let (balancer, _server, url) = balancer(engine);
    let url = format!("{url}/add");
    let body = Noise::new(8).take(500_000);
    let file = Scratch::with("upload", &body);
    for upload in [file.as_str(), "-"] {
        let args = [&SLOW[..], &JSON[..], &["-X", "POST", "-T", upload, &url]].concat();
        let Some(ended) = curl_as_it_ends(&args, &body) else { return };
        assert_eq!(ended.code, TIMED_OUT, "{ended:?}");
    }
    nothing_is_left(&balancer);
    let metrics = Metrics::of(&balancer);
    assert_eq!(metrics.sum("lane_faults_total", &["fault=\"client-gone\""]), 2, "{:?}", metrics.faults());
    assert_eq!(metrics.sum("lane_front_connections", &[]), 0);
    let Some(shown) = curl(&["--json", r#"{"a":1,"b":2}"#, &url], b"") else { return };
    assert_eq!(shown, r#"{"result":3}"#);
}

/// A client that has ended its side may still wait for its answer: nothing tells it from one that has gone. So this request lasts until
/// there is an answer to send, or none in time.
fn an_answer_that_is_not_awaited_leaves_nothing_behind(engine: &str) {
    // It takes the request and says nothing, until the connection ends.
    let server = serve(|mut socket| {
        read_head(&mut socket);
        let _ = socket.read(&mut [0]);
    });
    let file = Scratch::with(
        "answer.toml",
        format!(
            "[[listeners]]\naddress = \"127.0.0.1:0\"\n[pools.web]\nservers = [\"{server}\"]\n\
             [pools.web.timeouts]\nresponse-head = \"1s\"\n"
        ),
    );
    let balancer = Balancer::start(&["--config", file.as_str(), "--engine", engine]);
    let url = format!("http://{}", balancer.address());
    let Some(ended) = curl_as_it_ends(&["--max-time", "0.3", &url], b"") else { return };
    assert_eq!(ended.code, TIMED_OUT, "{ended:?}");
    nothing_is_left(&balancer);
    let metrics = Metrics::of(&balancer);
    assert_eq!(metrics.sum("server_connections", &[]), 0, "the server learns that nobody waits");
    assert_eq!(metrics.sum("lane_faults_total", &[]), 1, "{:?}", metrics.faults());
}

fn a_download_that_is_given_up_leaves_nothing_behind(engine: &str) {
    let (balancer, url) = before(
        engine,
        &serve(|mut socket| {
            if read_head(&mut socket).is_none() {
                return;
            }
            // Until nobody takes it any more.
            let mut sent = socket.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            while sent.is_ok() {
                std::thread::sleep(Duration::from_millis(1));
                sent = socket.write_all(b"5\r\nhello\r\n");
            }
        }),
    );
    let Some(ended) = curl_as_it_ends(&["-o", "/dev/null", "--max-time", "0.3", &url], b"") else { return };
    assert_eq!(ended.code, TIMED_OUT, "{ended:?}");
    nothing_is_left(&balancer);
    let metrics = Metrics::of(&balancer);
    assert_eq!(metrics.sum("server_connections", &[]), 0, "the server learns that nobody reads");
    assert_eq!(metrics.sum("lane_faults_total", &["fault=\"client-gone\""]), 1, "{:?}", metrics.faults());
}
