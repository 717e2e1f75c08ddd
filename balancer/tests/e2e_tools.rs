//! Load generators that others wrote: they find no error, and count what the balancer counts.

#[macro_use]
mod support;

use support::Scratch;
use support::child::{Backend, Balancer};
use support::metrics::{Metrics, nothing_is_left};
use support::tools::{is_installed, run};

each_engine! {
    wrk_finds_no_error
    ab_finds_no_error_with_a_connection_for_each_request
    ab_finds_no_error_with_connections_that_are_kept
    h2load_finds_no_error
    h2load_finds_no_error_when_it_pipelines
    wrk_finds_no_error_when_requests_wait_in_the_queue
}

const CONNECTIONS: u64 = 8;
const REQUESTS: u64 = 2000;

/// What one of them may do besides what it reports: it ends while each of its connections has a request under way.
const UNREPORTED_MAX: u64 = CONNECTIONS;

/// In front of two servers, on every core.
fn balancer(engine: &str) -> (Balancer, [Backend; 2]) {
    let servers = [Backend::start(), Backend::start()];
    (Balancer::of(engine, &[&servers[0], &servers[1]], &[]), servers)
}

/// Runs a tool, which must end well; what it said.
fn report(tool: &str, args: &[&str]) -> String {
    let ended = run(tool, args, b"");
    assert_eq!(ended.code, Some(0), "{tool} {args:?}: {ended:?}");
    ended.stdout
}

/// The first number of the line that begins so.
fn number(report: &str, start: &str) -> Option<u64> {
    let line = report.lines().find_map(|line| line.trim_start().strip_prefix(start))?;
    line.split_whitespace().next()?.trim_end_matches(',').parse().ok()
}

/// What the balancer counted is what was reported, and both servers had their part in it.
fn counts_agree(balancer: &Balancer, servers: &[Backend; 2], reported: u64, unreported_max: u64) {
    nothing_is_left(balancer);
    let metrics = Metrics::of(balancer);
    let faults = metrics.faults();
    let agrees = |count: u64| (reported..=reported + unreported_max).contains(&count);
    let requests = metrics.sum("lane_requests_total", &[]);
    assert!(agrees(requests), "{requests} requests, {reported} reported; {faults:?}");
    let answered = metrics.sum("server_responses_total", &["class=\"2xx\""]);
    assert!(agrees(answered), "{answered} answered, {reported} reported; {faults:?}");
    let all = metrics.sum("lane_faults_total", &[]);
    let gone = metrics.sum("lane_faults_total", &["fault=\"client-gone\""]);
    assert_eq!(requests, answered + gone, "{faults:?}");
    assert_eq!(all, gone, "{faults:?}");
    assert_eq!(metrics.sum("lane_retries_total", &[]), 0);
    assert_eq!(metrics.sum("server_tries_total", &[]), requests);
    for server in servers {
        let name = balancer.named(&server.address);
        let tries = metrics.sum("server_tries_total", &[&format!("server=\"{name}\"")]);
        assert!(tries > reported / 5, "{tries} of {reported} went to {}", server.address);
    }
}

fn wrk_finds_no_error(engine: &str) {
    if !is_installed("wrk") {
        return;
    }
    let (balancer, servers) = balancer(engine);
    wrk(&balancer, &servers);
}

/// Each server works on one request at a time; the others wait.
fn wrk_finds_no_error_when_requests_wait_in_the_queue(engine: &str) {
    if !is_installed("wrk") {
        return;
    }
    let servers = [Backend::start(), Backend::start()];
    let [a, b] = [0, 1].map(|n: usize| format!("{},name=s{n},maxconn=1", servers[n].address));
    let own = ["--engine", engine, "--listen", "127.0.0.1:0", "--server", &a, "--server", &b];
    let balancer = Balancer::start(&own);
    wrk(&balancer, &servers);
}

fn wrk(balancer: &Balancer, servers: &[Backend; 2]) {
    let url = format!("http://{}/healthz", balancer.address());
    let said = report("wrk", &["-t1", "-c", &CONNECTIONS.to_string(), "-d1s", &url]);
    assert!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
    let line = said.lines().find(|line| line.contains(" requests in ")).unwrap_or_else(|| panic!("{said}"));
    counts_agree(balancer, servers, number(line, "").expect("a number"), UNREPORTED_MAX);
}

/// A sum, as a file.
fn sum() -> Scratch {
    Scratch::with("sum.json", r#"{"a":20,"b":22}"#)
}

fn ab(engine: &str, more: &[&str], unreported_max: u64) -> Option<String> {
    if !is_installed("ab") {
        return None;
    }
    let (balancer, servers) = balancer(engine);
    let (url, body) = (format!("http://{}/add", balancer.address()), sum());
    let (count, connections) = (REQUESTS.to_string(), CONNECTIONS.to_string());
    let args = ["-q", "-n", &count, "-c", &connections, "-p", body.as_str(), "-T", "application/json"];
    let said = report("ab", &[&args[..], more, &[&url]].concat());
    let failed = number(&said, "Failed requests:");
    assert!(failed == Some(0) && !said.contains("Non-2xx"), "{said}");
    let complete = number(&said, "Complete requests:").expect("a number");
    assert_eq!(complete, REQUESTS, "{said}");
    counts_agree(&balancer, &servers, complete, unreported_max);
    Some(said)
}

fn ab_finds_no_error_with_a_connection_for_each_request(engine: &str) {
    ab(engine, &[], 0);
}

/// It asks by HTTP/1.0 and `Connection: keep-alive`.
fn ab_finds_no_error_with_connections_that_are_kept(engine: &str) {
    let Some(said) = ab(engine, &["-k"], UNREPORTED_MAX) else { return };
    assert_eq!(number(&said, "Keep-Alive requests:"), Some(REQUESTS), "{said}");
}

fn h2load_finds_no_error(engine: &str) {
    h2load(engine, "1");
}

/// Eight requests of each connection are on their way at a time; their answers come in order.
fn h2load_finds_no_error_when_it_pipelines(engine: &str) {
    h2load(engine, "8");
}

fn h2load(engine: &str, pipelined: &str) {
    if !is_installed("h2load") {
        return;
    }
    let (balancer, servers) = balancer(engine);
    let (url, body) = (format!("http://{}/add", balancer.address()), sum());
    let (count, connections) = (REQUESTS.to_string(), CONNECTIONS.to_string());
    let args = ["--h1", "-t", "1", "-m", pipelined, "-n", &count, "-c", &connections, "-d", body.as_str()];
    let said = report("h2load", &[&args[..], &["-H", "content-type: application/json", &url]].concat());
    let expected =
        format!("{REQUESTS} total, {REQUESTS} started, {REQUESTS} done, {REQUESTS} succeeded, 0 failed");
    assert!(said.contains(&expected) && said.contains(&format!("status codes: {REQUESTS} 2xx")), "{said}");
    counts_agree(&balancer, &servers, REQUESTS, 0);
}
