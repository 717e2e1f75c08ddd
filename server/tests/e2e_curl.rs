//! What people have at hand: curl, where it is installed.

#[macro_use]
mod support;

use support::server::{Scratch, Server};
use support::{PATIENCE, skipped};

use std::process::{Command, Stdio};

each_engine! {
    curl_reuses_its_connection
    curl_uploads_in_chunks_and_after_a_100
    curl_speaks_http_1_0_and_asks_for_heads
    curl_gets_through_a_unix_socket
}

fn curl_reuses_its_connection(engine: &str) {
    let server = Server::start(engine, &[]);
    let url = format!("http://{}/add", server.address());
    let one = ["-o", "-", "-w", " %{http_code} %{num_connects}\n", "--json", r#"{"a":1,"b":2}"#, &url];
    let Some(shown) = curl(&[&one[..], &["--next"], &one[..], &["--next"], &one[..]].concat(), "") else {
        return;
    };
    assert_eq!(shown, "{\"result\":3} 200 1\n{\"result\":3} 200 0\n{\"result\":3} 200 0\n");
}

fn curl_uploads_in_chunks_and_after_a_100(engine: &str) {
    let server = Server::start(engine, &[]);
    let url = format!("http://{}/add", server.address());
    let json = ["-H", "content-type: application/json"];
    let body = r#"{"a":20,"b":22}"#;
    let chunked = ["-v", "-H", "transfer-encoding: chunked", "-d", "@-", &url];
    let Some(shown) = curl(&[&json[..], &chunked[..]].concat(), body) else { return };
    assert!(shown.contains(r#"{"result":42}"#), "{shown}");
    assert!(
        shown.to_lowercase().contains("> transfer-encoding: chunked") && !shown.contains("> Content-Length"),
        "{shown}"
    );

    let expecting = ["-v", "--expect100-timeout", "20", "-H", "Expect: 100-continue", "-d", "@-", &url];
    let Some(shown) = curl(&[&json[..], &expecting[..]].concat(), body) else { return };
    assert!(shown.contains("< HTTP/1.1 100 Continue") && shown.contains(r#"{"result":42}"#), "{shown}");

    let refused = ["-v", "--expect100-timeout", "20", "-H", "Expect: 100-continue", "-d", "@-", &url];
    let Some(shown) = curl(&[&["-H", "content-type: text/plain"], &refused[..]].concat(), body) else {
        return;
    };
    assert!(shown.contains("< HTTP/1.1 415 ") && !shown.contains("100 Continue"), "{shown}");
}

fn curl_speaks_http_1_0_and_asks_for_heads(engine: &str) {
    let server = Server::start(engine, &[]);
    let url = format!("http://{}/healthz", server.address());
    let Some(shown) = curl(&["-0", "-i", &url], "") else { return };
    assert!(shown.starts_with("HTTP/1.1 200 OK\r\n") && shown.ends_with(r#"{"status":"ok"}"#), "{shown}");
    let Some(shown) = curl(&["-I", &url], "") else { return };
    assert!(shown.contains("content-length: 15\r\n") && shown.ends_with("\r\n\r\n"), "{shown}");
    let Some(shown) = curl(&["-i", "-X", "OPTIONS", "--request-target", "*", &url], "") else { return };
    assert!(
        shown.starts_with("HTTP/1.1 204 ") && shown.contains("allow: GET, HEAD, POST, OPTIONS"),
        "{shown}"
    );
}

fn curl_gets_through_a_unix_socket(engine: &str) {
    let socket = Scratch::new(&format!("{engine}-curl.sock"));
    let _server = Server::start(engine, &["--listen", &format!("unix:{}", socket.as_str())]);
    let args = ["--unix-socket", socket.as_str(), "--json", r#"{"a":1,"b":2}"#, "http://localhost/add"];
    let Some(shown) = curl(&args, "") else { return };
    assert_eq!(shown, r#"{"result":3}"#);
}

/// Runs curl; what it showed, with `-v` too. Nothing if it isn't installed.
fn curl(args: &[&str], stdin: &str) -> Option<String> {
    use std::io::Write;
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", &PATIENCE.as_secs().to_string(), "--noproxy", "*"]).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        skipped("curl is not installed");
        return None;
    };
    child.stdin.take().expect("stdin is a pipe").write_all(stdin.as_bytes()).expect("curl reads");
    let output = child.wait_with_output().expect("curl ends: it has a time limit");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "curl {args:?}: {stderr}{stdout}");
    Some(format!("{stdout}{stderr}"))
}
