//! A configuration is taken whole or refused whole, by one line that says where, what is wrong and what would be right.

mod any;
mod bounds;
mod refusals;

use balancer::config::{self, Balance, Check, Config, HostRule, LogTo};
use std::path::Path;
use std::time::Duration;

const POOL: &str = "[pools.web]\nservers = [\"127.0.0.1:5000\"]\n";

#[test]
fn a_pool_has_what_it_says_and_else_what_the_defaults_say_and_else_the_default() {
    let config = taken(
        "[pools.web]\nservers = [\"127.0.0.1:1\"]\n[pools.web.timeouts]\nconnect = \"2s\"\n\
         [pools.api]\nservers = [\"127.0.0.1:2,weight=3,maxconn=7,name=a\"]\nbalance = \"random\"\n\
         [defaults]\nbalance = \"adaptive\"\nreport-header = \"X-Load\"\n\
         [defaults.timeouts]\nconnect = \"3s\"\ntotal = \"1min\"\n[[listeners]]\npool = \"web\"",
    );
    let [web, api] = &config.pools[..] else { panic!("{:?}", config.pools) };
    assert_eq!((web.name.as_str(), api.name.as_str()), ("web", "api"), "in the order of the file");
    assert_eq!((web.balance, api.balance), (Balance::Adaptive, Balance::Random));
    assert_eq!((web.timeouts.connect, api.timeouts.connect), (seconds(2), seconds(3)));
    assert_eq!(web.timeouts.total, Some(seconds(60)), "one key of a section doesn't hide the others");
    assert_eq!(web.timeouts.response_head, seconds(30));
    assert_eq!(web.report_header.as_deref(), Some("x-load"));
    let server = &api.servers[0];
    assert_eq!((server.name.as_str(), server.weight, server.maxconn), ("a", 3, Some(7)));
    assert_eq!(web.servers[0].name, "127.0.0.1:1");
    assert_eq!(config.listeners[0].default_pool, Some(0));
}

#[test]
fn a_check_is_there_when_it_has_a_path_and_is_fast_when_its_interval_is_short() {
    assert_eq!(taken(POOL).pools[0].check, None);
    let check =
        |text: &str| taken(&format!("{POOL}[pools.web.check]\n{text}")).pools[0].check.clone().unwrap();
    assert_eq!(check("path = \"connect\""), Check::default());
    let get = check("path = \"/healthz?a=b\"\ninterval = \"100ms\"\nexpect = \"200,300-399\"");
    assert_eq!(get.path.as_deref(), Some("/healthz?a=b"));
    assert_eq!(get.fast_interval, Duration::from_millis(100), "by itself it is no longer than the interval");
    assert_eq!(get.expect, [(200, 200), (300, 399)]);
    let off = taken(&format!("[defaults.check]\npath = \"/\"\n{POOL}[pools.web.check]\npath = \"off\""));
    assert_eq!(off.pools[0].check, None, "a pool can take back what it inherits");
}

#[test]
fn one_pool_alone_needs_no_listener_and_no_route() {
    let config = taken(&POOL.replace("web", "default"));
    assert_eq!(config, Config::for_one_pool(&["127.0.0.1:5000".parse().unwrap()]));
    let with_route = taken(&format!("{POOL}[[routes]]\nhost = \"a\"\npool = \"web\""));
    assert_eq!(with_route.listeners[0].default_pool, None, "with a route, what it doesn't take gets 404");
}

#[test]
fn routes_are_tried_from_the_narrowest_to_the_widest() {
    let route = |fields: &str| format!("[[routes]]\npool = \"web\"\n{fields}\n");
    let wanted = [
        "host = \"a.com\"\npath = \"/b/c\"",
        "host = \"B.com\"\npath = \"/b\"\nlistener = \"127.0.0.1:8080\"",
        "host = \"b.com\"\npath = \"/b\"",
        "host = \"[::1]\"",
        "host = \"*.a.com\"",
        "host = \"*.com\"\npath = \"/b/c\"",
        "host = \"*.com\"",
        "path = \"/b/c\"",
        "path = \"/b\"",
    ];
    let listeners = "[[listeners]]\n[[listeners]]\naddress = \"unix:/s\"\n";
    let all = |order: Vec<&str>| {
        taken(&format!("{POOL}{listeners}{}", order.into_iter().map(route).collect::<String>())).routes
    };
    let routes = all(wanted.to_vec());
    let mut backwards = wanted.to_vec();
    backwards.reverse();
    assert_eq!(routes, all(backwards), "whatever their order in the file");
    let shown: Vec<_> =
        routes.iter().map(|route| (&route.host, route.path_prefix.as_str(), route.listener)).collect();
    let exact = |name: &str| HostRule::Exact(name.to_owned());
    let suffix = |name: &str| HostRule::Suffix(name.to_owned());
    assert_eq!(
        shown,
        [
            (&exact("a.com"), "/b/c", None),
            (&exact("b.com"), "/b", Some(0)),
            (&exact("b.com"), "/b", None),
            (&exact("[::1]"), "/", None),
            (&suffix(".a.com"), "/", None),
            (&suffix(".com"), "/b/c", None),
            (&suffix(".com"), "/", None),
            (&HostRule::Any, "/b/c", None),
            (&HostRule::Any, "/b", None),
        ]
    );
}

#[test]
fn there_is_a_most_of_everything() {
    let numbered = |n: usize, item: &dyn Fn(usize) -> String| (0..n).map(item).collect::<String>();
    let server = |n| format!("\"10.0.{}.{}:1\",", n / 256, n % 256);
    let servers = |n| format!("[pools.a]\nservers = [{}]", numbered(n, &server));
    let pools = |n| {
        format!("[[listeners]]\npool = \"p0\"\n{}", numbered(n, &|n| POOL.replace("web", &format!("p{n}"))))
    };
    let listeners =
        |n| POOL.to_owned() + &numbered(n, &|n| format!("[[listeners]]\naddress = \"[::1]:{}\"\n", n + 1));
    let routes =
        |n| POOL.to_owned() + &numbered(n, &|n| format!("[[routes]]\npool = \"web\"\npath = \"/{n}\"\n"));
    for (max, what, file) in [
        (4096, "servers", &servers as &dyn Fn(usize) -> String),
        (1024, "pools", &pools),
        (64, "listeners", &listeners),
        (1024, "routes", &routes),
    ] {
        taken(&file(max));
        let refusal = refused(&file(max + 1));
        let is_told = refusal.contains(what) && refusal.contains(&(max + 1).to_string());
        assert!(is_told && refusal.ends_with(&format!(", {max} at most")), "{refusal}");
    }
}

#[test]
fn names_and_codes_that_mean_something_else_are_refused() {
    let field = |name: &str| format!("{POOL}report-header = \"{name}\"");
    for name in [
        "Connection",
        "content-length",
        "Host",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
    ] {
        assert!(refused(&field(name)).contains("a meaning in HTTP itself"), "{name}");
    }
    for codes in ["199", "600", "0200", "200-", "-200", "200 ", ""] {
        assert!(
            refused(&format!("{POOL}[defaults.check]\nexpect = \"{codes}\"")).contains("no status codes"),
            "{codes}"
        );
    }
    taken(&format!("{POOL}[defaults.check]\nexpect = \"200-599\""));
    let host = |host: &str| format!("{POOL}[[routes]]\npool = \"web\"\nhost = \"{host}\"");
    let label = "a".repeat(63);
    taken(&host(&label));
    for wrong in
        [format!("{label}a"), [&*label; 4].join("."), "*.".to_owned(), "*.[::1]".to_owned(), "a.".to_owned()]
    {
        assert!(refused(&host(&wrong)).contains("is no host"), "{wrong}");
    }
}

#[test]
fn a_network_may_be_one_address_and_a_log_a_file() {
    let config = taken(&format!(
        "{POOL}[forward]\ntrusted-proxies = [\"192.0.2.7\", \"fd00::/8\"]\nvia = \"none\"\n[access-log]\nto = \"/var/log/a\"\nsample = \"2.5%\""
    ));
    let networks: Vec<String> = config.forward.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["192.0.2.7/32", "fd00::/8"]);
    assert_eq!(config.forward.via, "");
    assert_eq!(config.log.to, Some(LogTo::File("/var/log/a".into())));
    assert_eq!(config.log.sample, 0.025);
}

fn refused(text: &str) -> String {
    match config::read(text, Path::new("b.toml")) {
        Ok(_) => panic!("taken: {text}"),
        Err(refusal) => refusal.to_string(),
    }
}

fn taken(text: &str) -> Config {
    config::read(text, Path::new("b.toml")).unwrap_or_else(|refusal| panic!("{refusal}\n{text}")).0
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Engines may be left out of a build.
fn is_built(word: &str) -> bool {
    match word {
        "uring" => cfg!(feature = "uring"),
        "epoll" => cfg!(feature = "epoll"),
        "monoio" | "monoio-epoll" => cfg!(feature = "monoio"),
        "glommio" => cfg!(feature = "glommio"),
        _ => true,
    }
}
