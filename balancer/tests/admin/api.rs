//! Each path with each method: what is told, what is handed on, what is refused and how.

use super::fixture::{World, config, field, text};
use balancer::control::{Admin, Command};
use net::http1::Status;

fn set(pool: &str, server: &str, admin: Admin) -> Command {
    Command::Set { pool: pool.to_owned(), server: server.to_owned(), admin }
}

fn weigh(pool: &str, server: &str, weight: Option<u32>) -> Command {
    Command::Weigh { pool: pool.to_owned(), server: server.to_owned(), weight }
}

#[test]
fn every_answer_forbids_to_keep_it_or_to_guess_its_type() {
    let mut world = World::lived();
    for target in
        ["/", "/status.json", "/metrics", "/healthz", "/readyz", "/servers", "/servers/web/a", "/nothing"]
    {
        let answer = world.get(target);
        assert_eq!(field(&answer, "cache-control"), Some("no-store"), "{target}");
        assert_eq!(field(&answer, "x-content-type-options"), Some("nosniff"), "{target}");
        assert!(!answer.body.is_empty() && !answer.content_type.is_empty(), "{target}");
    }
}

#[test]
fn healthy_is_always_and_ready_is_until_the_drain() {
    let mut world = World::new(config());
    assert_eq!(text(&world.get("/healthz")), r#"{"status":"ok"}"#);
    assert_eq!(
        (world.get("/readyz").status, text(&world.get("/readyz"))),
        (Status::OK, r#"{"status":"ready"}"#)
    );
    // No server works: the balancer still answers, with 503 for each request, and another would not do better.
    world.servers.iter_mut().flatten().for_each(|server| server.state = balancer::control::State::Down);
    assert_eq!(world.get("/readyz").status, Status::OK);
    world.is_draining = true;
    assert_eq!(world.get("/healthz").status, Status::OK);
    let answer = world.get("/readyz");
    assert_eq!((answer.status, text(&answer)), (Status::SERVICE_UNAVAILABLE, r#"{"status":"draining"}"#));
}

#[test]
fn a_change_is_handed_on_and_its_answer_is_what_was_said() {
    let mut world = World::new(config());
    world.says = Ok("web/a is told to drain\u{1b}".to_owned());
    for (method, path, body, command) in [
        ("POST", "/servers/web/a/drain", "", set("web", "a", Admin::Drain)),
        ("POST", "/servers/web/b/disable", "{}", set("web", "b", Admin::Maint)),
        ("POST", "/servers/web/c/enable", " { } ", set("web", "c", Admin::Ready)),
        ("PUT", "/servers/web/a/weight", r#"{"weight": 50}"#, weigh("web", "a", Some(50))),
        ("POST", "/servers/web/a/weight", r#"{"weight":0}"#, weigh("web", "a", Some(0))),
        ("PUT", "/servers/web/a/weight", r#"{"weight":256}"#, weigh("web", "a", Some(256))),
        ("PUT", "/servers/web/a/weight", r#"{"weight":null}"#, weigh("web", "a", None)),
        ("POST", "/reload", "", Command::Reload),
        // The same name in another pool is another server; a `/` in a name is `%2F`.
        ("POST", "/servers/api/a/drain", "", set("api", "a", Admin::Drain)),
        ("POST", "/servers/%77eb/%61/drain", "", set("web", "a", Admin::Drain)),
        (
            "POST",
            "/servers/api/unix%3a%2Frun%2fapi.sock/drain",
            "",
            set("api", "unix:/run/api.sock", Admin::Drain),
        ),
    ] {
        let answer = world.send(method, path, body);
        assert_eq!(answer.status, Status::OK, "{path}: {}", text(&answer));
        assert_eq!(text(&answer), "{\"done\":\"web/a is told to drain\u{fffd}\"}");
        assert_eq!(world.obeyed.pop(), Some(command), "{path}");
        assert!(world.obeyed.is_empty());
    }
}

#[test]
fn what_is_not_obeyed_says_why() {
    let mut world = World::new(config());
    world.says = Err("balancer.toml:3: no such key".to_owned());
    let answer = world.send("POST", "/reload", "");
    assert_eq!(
        (answer.status, text(&answer)),
        (Status::CONFLICT, r#"{"error":"balancer.toml:3: no such key"}"#)
    );
    assert_eq!(world.obeyed.len(), 1);
}

#[test]
fn a_body_that_says_something_else_changes_nothing() {
    let mut world = World::new(config());
    for (path, body) in [
        ("/servers/web/a/weight", ""),
        ("/servers/web/a/weight", "{}"),
        ("/servers/web/a/weight", "50"),
        ("/servers/web/a/weight", "[50]"),
        ("/servers/web/a/weight", r#"{"weight":257}"#),
        ("/servers/web/a/weight", r#"{"weight":-1}"#),
        ("/servers/web/a/weight", r#"{"weight":1.5}"#),
        ("/servers/web/a/weight", r#"{"weight":"50"}"#),
        ("/servers/web/a/weight", r#"{"weight":1,"weight":2}"#),
        ("/servers/web/a/weight", r#"{"weight":1,"admin":"drain"}"#),
        ("/servers/web/a/weight", r#"{"weight":1}x"#),
        ("/servers/web/a/drain", r#"{"weight":1}"#),
        ("/servers/web/a/drain", "[]"),
        ("/reload", "now"),
    ] {
        let answer = world.send("POST", path, body);
        assert_eq!(answer.status, Status::UNPROCESSABLE_CONTENT, "{path} {body}");
        let error: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(error["error"].as_str().unwrap().contains("must be"), "{error}");
        assert!(world.obeyed.is_empty(), "{path} {body}");
    }
}

#[test]
fn a_name_that_is_not_there_is_answered_with_those_that_are() {
    let mut world = World::new(config());
    for (target, said) in [
        ("/servers/wib/a", "there is no pool `wib`: there is web, api"),
        ("/servers/web/z", "there is no server `z` in the pool `web`: there is a, b, c, d, e"),
        ("/servers/web/<b>", "there is no server `<b>` in the pool `web`: there is a, b, c, d, e"),
        ("/servers/web/%0a", "there is no server `\u{fffd}` in the pool `web`: there is a, b, c, d, e"),
    ] {
        let target = target.replace('<', "%3C").replace('>', "%3E");
        for change in ["", "/drain", "/weight"] {
            let target = format!("{target}{change}");
            let answer = if change.is_empty() {
                world.get(&target)
            } else {
                world.send("POST", &target, r#"{"weight":1}"#)
            };
            let error: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!((answer.status, error["error"].as_str()), (Status::NOT_FOUND, Some(said)), "{target}");
        }
    }
    assert!(world.obeyed.is_empty());
}

#[test]
fn a_list_of_names_in_a_refusal_has_an_end() {
    let mut config = config();
    let one = config.pools[0].servers[0].clone();
    let many = (0..1_000).map(|n| balancer::config::Server {
        name: format!("s{n}"),
        address: format!("127.0.0.1:{}", 10_000 + n).parse().unwrap(),
        ..one.clone()
    });
    config.pools[0].servers = many.collect();
    let answer = World::new(config).get("/servers/web/z");
    assert!(text(&answer).ends_with("s18, s19 and 980 more\"}"), "{}", text(&answer));
}

#[test]
fn no_other_path_is_there() {
    let mut world = World::new(config());
    for target in [
        "//",
        "/index.html",
        "/servers/",
        "/servers/web",
        "/servers/web/",
        "/servers//a",
        "/servers/web/a/",
        "/servers/web/a/kill",
        "/servers/web/a/drain/",
        "/servers/web/a/drain/x",
        "/healthz/",
        "/Metrics",
        "/servers/web/%ff",
        "/reload/",
    ] {
        let answer = world.get(target);
        assert_eq!(answer.status, Status::NOT_FOUND, "{target}");
    }
    assert!(text(&world.get("/x")).contains("/servers/POOL/SERVER/drain"));
}

#[test]
fn a_method_that_is_not_for_a_path_is_told_which_are() {
    let mut world = World::new(config());
    for (path, allow) in [
        ("/", "GET, HEAD"),
        ("/status.json", "GET, HEAD"),
        ("/metrics", "GET, HEAD"),
        ("/healthz", "GET, HEAD"),
        ("/servers", "GET, HEAD"),
        ("/servers/web/a", "GET, HEAD"),
        ("/servers/web/a/drain", "POST"),
        ("/servers/web/a/weight", "PUT, POST"),
        ("/reload", "POST"),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
            let is_allowed = allow.split(", ").any(|allowed| allowed == method);
            let answer = world.send(method, path, r#"{"weight":1}"#);
            if is_allowed {
                assert_ne!(answer.status, Status::METHOD_NOT_ALLOWED, "{method} {path}");
            } else {
                assert_eq!(answer.status, Status::METHOD_NOT_ALLOWED, "{method} {path}");
                assert_eq!(field(&answer, "allow"), Some(allow), "{method} {path}");
                assert!(text(&answer).contains(allow), "{}", text(&answer));
            }
        }
    }
    // None of the allowed changes of this table but the weights had a body that fits.
    assert!(world.obeyed.iter().all(|command| *command == weigh("web", "a", Some(1))), "{:?}", world.obeyed);
    assert_eq!(world.obeyed.len(), 2);
}

#[test]
fn head_is_answered_as_get() {
    let mut world = World::new(config());
    for target in ["/servers", "/healthz", "/metrics"] {
        let head = world.ask(&format!("HEAD {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"));
        assert_eq!(head, world.get(target), "the writer leaves the content out");
    }
}
