//! Lines, and the writer behind its queue.

use super::*;
use crate::config::Config;
use crate::fleet::Fleet;

fn entry() -> Entry {
    let config = Config::for_one_pool(&["127.0.0.1:5000".parse().unwrap()]);
    let fleet = Fleet::new(config, 1);
    Entry {
        at: UnixSeconds(971_186_136),
        asked: Asked {
            client: Some("192.0.2.1".parse().unwrap()),
            method: "GET".to_owned(),
            target: "/a?b=\u{e9}".to_owned(),
            version: "HTTP/1.1",
            host: "example.com".to_owned(),
            user_agent: "curl \"8\"\r\nx".to_owned(),
            referer: String::new(),
            request_id: "0123".to_owned(),
        },
        status: 200,
        fault: None,
        request_bytes: 0,
        response_bytes: 2326,
        server: Some(fleet.pools[0].servers[0].clone()),
        tries: 1,
        waited: Duration::from_micros(15),
        latency: Some(Duration::from_micros(1500)),
        total: Duration::from_millis(2),
    }
}

fn line(entry: &Entry, format: LogFormat) -> String {
    let mut line = Vec::new();
    lines::write(&mut line, entry, format);
    String::from_utf8(line).unwrap()
}

#[test]
fn a_common_line_begins_as_everywhere_and_escapes_what_could_end_it() {
    let line = line(&entry(), LogFormat::Common);
    let server = entry().server.unwrap();
    let expected = format!(
        "192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] \"GET /a?b=\\xC3\\xA9 HTTP/1.1\" 200 2326 \"-\" \
         \"curl \\x228\\x22\\x0D\\x0Ax\" {}/{} 1 0.000015 0.001500 0.002000 - 0123\n",
        server.pool, server.name
    );
    assert_eq!(line, expected);
}

#[test]
fn a_json_line_is_one_object_with_everything_in_it() {
    let faulty = Entry { fault: Some(Fault::ConnectFailed), latency: None, status: 502, ..entry() };
    let line = line(&faulty, LogFormat::Json);
    assert_eq!(line.matches('\n').count(), 1);
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["time"], "2000-10-10T13:55:36Z");
    assert_eq!(value["user_agent"], "curl \"8\"\r\nx");
    assert_eq!(value["fault"], "connect-failed");
    assert_eq!(value["latency_us"], serde_json::Value::Null);
    assert_eq!(value["total_us"], 2000);
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew_when_asked() {
    let directory = std::env::temp_dir().join(format!("corelane-log-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (path, moved) = (directory.join("access.log"), directory.join("access.log.1"));
    let config = AccessLog { to: Some(LogTo::File(path.clone())), format: LogFormat::Json, sample: 1.0 };
    let reopen = Reopen::default();
    let log = start(&config, reopen.clone()).unwrap().unwrap();
    let lines = |path: &Path| std::fs::read_to_string(path).map_or(0, |text| text.lines().count());
    let wait_for = |path: &Path, count| {
        while lines(path) < count {
            thread::sleep(Duration::from_millis(1));
        }
    };
    log.to.send(Box::new(entry())).unwrap();
    wait_for(&path, 1);
    std::fs::rename(&path, &moved).unwrap();
    log.to.send(Box::new(entry())).unwrap();
    wait_for(&moved, 2);
    reopen.ask();
    log.to.send(Box::new(entry())).unwrap();
    wait_for(&path, 1);
    assert_eq!(lines(&moved), 2);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_log_that_can_t_be_opened_says_which() {
    let to = Some(LogTo::File("/nowhere/access.log".into()));
    let error = start(&AccessLog { to, format: LogFormat::Json, sample: 1.0 }, Reopen::default());
    let error = error.map(drop).unwrap_err();
    assert!(error.starts_with("open the access log /nowhere/access.log: "), "{error}");
}
