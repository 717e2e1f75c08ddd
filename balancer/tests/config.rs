//! A configuration is taken whole or refused whole, by one line that says where, what is wrong and what would be right.

use balancer::config::keys::{KEYS, Key, Takes};
use balancer::config::{self, Balance, Check, Config, HostRule, LogTo, ProcessKeys, shown};
use proptest::prelude::*;
use std::path::Path;
use std::time::Duration;

const POOL: &str = "[pools.web]\nservers = [\"127.0.0.1:5000\"]\n";

/// What stands in the file, and the whole refusal.
const WRONG: &[(&str, &str)] = &[
    // TOML itself.
    ("x = [", "b.toml:1:6: unclosed array, expected `]`"),
    ("[front]\n[front]", "b.toml:2:2: duplicate key"),
    // Keys and sections that aren't there.
    ("x = 1", "b.toml:1:1: x: there is no such key"),
    (
        "[front]\n\thead-timout = 1",
        "b.toml:2:2: front.head-timout: there is no such key; did you mean `head-timeout`?",
    ),
    ("[pool.web]\n", "b.toml:1:2: pool: there is no such key; did you mean `pools`?"),
    (
        "[pools.api]\nserver = [\"127.0.0.1:1\"]",
        "b.toml:2:1: pools.api.server: there is no such key; did you mean `servers`?",
    ),
    (
        "[defaults.time-outs]\nconnect = \"1s\"",
        "b.toml:1:11: defaults.time-outs: there is no such key; did you mean `timeouts`?",
    ),
    ("[defaults]\nservers = []", "b.toml:2:1: defaults.servers: there is no such key"),
    (
        "[defaults.check.path]\n",
        "b.toml:1:1: defaults.check.path: takes text, off, connect, or a path that begins with /, not a section",
    ),
    ("[[front]]", "b.toml:1:3: front: is a section: write [front]"),
    ("[listeners]", "b.toml:1:2: listeners: is a list of sections: write each as [[listeners]]"),
    ("routes = [1]", "b.toml:1:1: routes: is a list of sections: write each as [[routes]]"),
    ("[pools]\napi = 1", "b.toml:2:1: pools.api: is a section: write [pools.api]"),
    // The first in the file is told, not the first by name.
    ("[front]\nx = 1\n[defaults]\ny = 1", "b.toml:2:1: front.x: there is no such key"),
    // Values.
    (
        "[front]\nhead-timeout = 10",
        "b.toml:2:16: front.head-timeout: takes a time as in \"30s\", 1ms to 1h, not a whole number",
    ),
    (
        "[front]\nhead-timeout = \"10\"",
        "b.toml:2:16: front.head-timeout: time unit needed, for example 10sec or 10ms; write a number and a unit, as in 500ms, 30s or 2min",
    ),
    (
        "[front]\nhead-timeout = \"0s\"",
        "b.toml:2:16: front.head-timeout: must lie between 1ms and 1h, not 0s",
    ),
    (
        "[front]\nhead-max = \"16\u{e9}\"",
        "b.toml:2:12: front.head-max: `16\u{e9}` is no size: write a number and a unit, as in 512KiB or 4MiB",
    ),
    ("[front]\nfields-max = 257", "b.toml:2:14: front.fields-max: must lie between 1 and 256, not 257"),
    ("[front]\nfields-max = -1", "b.toml:2:14: front.fields-max: must lie between 1 and 256, not -1"),
    (
        "[defaults.retry]\nattempts = 99999999999999999999999999999999999999999",
        "b.toml:2:12: defaults.retry.attempts: must lie between 1 and 10, not 99999999999999999999999999999999999999999",
    ),
    (
        "[defaults.retry]\nbudget = \"20\"",
        "b.toml:2:10: defaults.retry.budget: `20` is no share: write a number and a %, as in 20%",
    ),
    (
        "[defaults.retry]\nbudget = \"12.5%\"",
        "b.toml:2:10: defaults.retry.budget: `12.5%` is no share in whole percents: write it as in 20%",
    ),
    (
        "[defaults.check]\njitter = \"51%\"",
        "b.toml:2:10: defaults.check.jitter: must lie between 0% and 50%, not 51%",
    ),
    (
        "[access-log]\nsample = \"0%\"",
        "b.toml:2:10: access-log.sample: must lie between 0.001% and 100%, not 0%",
    ),
    (
        "[defaults]\nbalance = \"least-request\"",
        "b.toml:2:11: defaults.balance: `least-request` is none of random, round-robin, weighted-round-robin, adaptive, \
         least-requests, two-choices, hot-cold; did you mean `least-requests`?",
    ),
    (
        "[process]\nadmin = \"localhost:9090\"",
        "b.toml:2:9: process.admin: `localhost:9090` is no address: use IP:PORT (127.0.0.1:5000, [::1]:5000) or unix:/PATH",
    ),
    (
        "[process]\nadmin = \"unix:/a\\nb\"",
        "b.toml:2:9: process.admin: \"unix:/a\\nb\" has a control character",
    ),
    ("[process]\ncores = \"2-1\"", "b.toml:2:9: process.cores: `2-1` counts down: write 1-2"),
    (
        "[process]\nlog = \"loud\"",
        "b.toml:2:7: process.log: `loud` is none of error, warn, info, debug, trace",
    ),
    (
        "[process]\nbusy-poll = \"11ms\"",
        "b.toml:2:13: process.busy-poll: must lie between 0s and 10ms, not 11ms",
    ),
    (
        "[forward]\ntrusted-proxies = [\"10.0.0.0/8\", \"10.0.0.1/8\"]",
        "b.toml:2:34: forward.trusted-proxies[1]: `10.0.0.1/8` is ambiguous: write 10.0.0.0/8 for the network, or 10.0.0.1 for the one address",
    ),
    (
        "[forward]\ntrusted-proxies = [\"10\"]",
        "b.toml:2:20: forward.trusted-proxies[0]: `10` is no network: write it as in 10.0.0.0/8, 192.0.2.7 or fd00::/8",
    ),
    (
        "[forward]\nvia = \"a b\"",
        "b.toml:2:7: forward.via: `a b` is no pseudonym: write a word of letters, digits, `-`, `_` or `.`, or none",
    ),
    (
        "[access-log]\nto = \"\"",
        "b.toml:2:6: access-log.to: \"\" is no place for a log: write none, stdout or a file's path",
    ),
    (
        "[defaults]\nreport-header = \"Content-Length\"",
        "b.toml:2:17: defaults.report-header: `Content-Length` has a meaning in HTTP itself: choose a name of your own, such as x-corelane-load",
    ),
    (
        "[defaults]\nreport-header = \"x load\"",
        "b.toml:2:17: defaults.report-header: `x load` is no field name: write it as in x-corelane-load, or none",
    ),
    // Checks.
    (
        "[defaults.check]\npath = \"healthz\"",
        "b.toml:2:8: defaults.check.path: `healthz` is no check: write off, connect, or a path as in /healthz",
    ),
    (
        "[defaults.check]\npath = \"/a b\"",
        "b.toml:2:8: defaults.check.path: `/a b` is no check: write off, connect, or a path as in /healthz",
    ),
    (
        "[defaults.check]\nhost = \"a\\r\\nb: c\"",
        "b.toml:2:8: defaults.check.host: `a\u{fffd}\u{fffd}b: c` is no host: write it as in www.example.com or 127.0.0.1:5000",
    ),
    (
        "[defaults.check]\nexpect = \"2xx\"",
        "b.toml:2:10: defaults.check.expect: `2xx` are no status codes: write codes and ranges, as in 200-399 or 200,204,401",
    ),
    (
        "[defaults.check]\nexpect = \"299-200\"",
        "b.toml:2:10: defaults.check.expect: `299-200` counts down: write 200-299",
    ),
];

/// The same, for what stands behind a pool `web` with the server 127.0.0.1:5000.
const WRONG_TOGETHER: &[(&str, &str)] = &[
    (
        "[defaults.check]\ninterval = \"1s\"\nfast-interval = \"2s\"",
        "b.toml:5:17: defaults.check.fast-interval: fast-interval is longer than interval: in doubt checks come more often, not less",
    ),
    (
        "[defaults.check]\npath = \"/\"\nfast-interval = \"1s\"\n[pools.web.check]\ninterval = \"500ms\"",
        "b.toml:7:12: pools.web.check.interval: fast-interval is longer than interval: in doubt checks come more often, not less",
    ),
    (
        "[pools.web.passive]\nejection = \"10min\"",
        "b.toml:4:12: pools.web.passive.ejection: ejection is longer than ejection-max, its own upper bound",
    ),
    (
        "[pools.web.check]\nrise = 1",
        "b.toml:3:1: pools.web.check: there is no check to set this for: add path = \"/healthz\", or path = \"connect\"",
    ),
    (
        "[pools.none]\nservers = [\"127.0.0.1:1\"]",
        "b.toml:3:8: pools.none: `none` is no name: it stands for nothing",
    ),
    (
        "[pools.\"a/b\"]\nservers = [\"127.0.0.1:1\"]",
        "b.toml:3:8: pools.a/b: `a/b` is no name: up to 64 letters, digits, `-`, `_` and `.` make one",
    ),
    ("[pools.api]", "b.toml:3:1: pools.api: a pool needs servers: write servers = [\"IP:PORT\", ...]"),
    (
        "[pools.api]\nservers = []",
        "b.toml:4:11: pools.api.servers: a pool needs servers: write servers = [\"IP:PORT\", ...]",
    ),
    (
        "[pools.api]\nbalance = \"random\"",
        "b.toml:3:1: pools.api: a pool needs servers: write servers = [\"IP:PORT\", ...]",
    ),
    (
        "[pools.api]\nservers = [\n  \"127.0.0.1:1\",\n  \"127.0.0.1:1,name=b\",\n]",
        "b.toml:6:3: pools.api.servers[1]: 127.0.0.1:1 is in this pool already: give it a weight instead",
    ),
    (
        "[pools.api]\nservers = [\"127.0.0.1:1,name=a\", \"127.0.0.1:2,name=a\"]",
        "b.toml:4:34: pools.api.servers[1]: another server of this pool is called a already",
    ),
    (
        "[pools.api]\nservers = [\"127.0.0.1:0\"]",
        "b.toml:4:12: pools.api.servers[0]: `127.0.0.1:0` has no port to connect to: 0 is for listening",
    ),
    (
        "[pools.api]\nservers = [\"127.0.0.1:1,weight=257\"]",
        "b.toml:4:12: pools.api.servers[0]: `weight` must lie between 1 and 256, not `257`",
    ),
    (
        "[pools.api]\nservers = [\"127.0.0.1:1,weight=0\"]",
        "b.toml:4:12: pools.api.servers[0]: `weight` must lie between 1 and 256, not `0`",
    ),
    (
        "[pools.api]\nservers = [\"127.0.0.1:1,maxconn=0\"]",
        "b.toml:4:12: pools.api.servers[0]: `maxconn` must lie between 1 and 1000000, not `0`",
    ),
    (
        "[pools.api]\nservers = [\"127.0.0.1:1,weight=1,weight=2\"]",
        "b.toml:4:12: pools.api.servers[0]: `weight` is said twice",
    ),
    (
        "[pools.api]\nservers = [\"127.0.0.1:1,wait=2\"]",
        "b.toml:4:12: pools.api.servers[0]: `wait=2` is no option of a server: behind the address may stand weight=N, maxconn=N and name=NAME",
    ),
    (
        "[pools.api]\nservers = [{ address = \"127.0.0.1:1\" }]",
        "b.toml:4:11: pools.api.servers: takes text, a server as in 127.0.0.1:5000,weight=2, not a section",
    ),
    ("[[listeners]]\n[[listeners]]", "b.toml:4:1: listeners[1]: 127.0.0.1:8080 is listened on already"),
    (
        "[[listeners]]\naddress = \"0.0.0.0:5000\"",
        "b.toml:2:12: pools.web.servers[0]: 127.0.0.1:5000 is where this balancer itself listens (0.0.0.0:5000)",
    ),
    (
        "[[listeners]]\npool = \"wep\"",
        "b.toml:4:8: listeners[0].pool: there is no pool `wep`; did you mean `web`?",
    ),
    (
        "[[listeners]]\npool = \"none\"",
        "b.toml:4:8: listeners[0].pool: no request at 127.0.0.1:8080 has a pool to go to: add pool = \"NAME\", or a route",
    ),
    (
        "[pools.b]\nservers = [\"127.0.0.1:1\"]\n[[listeners]]",
        "b.toml:5:1: listeners[0]: no request at 127.0.0.1:8080 has a pool to go to: add pool = \"NAME\", or a route",
    ),
    ("[[routes]]\nhost = \"a\"", "b.toml:3:1: routes[0]: a route needs a pool: write pool = \"NAME\""),
    ("[[routes]]\npool = \"api\"", "b.toml:4:8: routes[0].pool: there is no pool `api`"),
    (
        "[[routes]]\npool = \"web\"\nhost = \"a:80\"",
        "b.toml:5:8: routes[0].host: `a:80` is no host: hosts are compared without their port: leave it out",
    ),
    (
        "[[routes]]\npool = \"web\"\nhost = \"a.*.com\"",
        "b.toml:5:8: routes[0].host: `a.*.com` is no host: a * may stand alone, or before the first dot as in *.example.com",
    ),
    (
        "[[routes]]\npool = \"web\"\nhost = \"a..com\"",
        "b.toml:5:8: routes[0].host: `a..com` is no host: write it as in www.example.com, *.example.com or *",
    ),
    (
        "[[routes]]\npool = \"web\"\npath = \"api\"",
        "b.toml:5:8: routes[0].path: `api` is no path of a route: it begins with /",
    ),
    (
        "[[routes]]\npool = \"web\"\npath = \"/api/\"",
        "b.toml:5:8: routes[0].path: `/api/` is no path of a route: write /api, which takes /api and all below it",
    ),
    (
        "[[routes]]\npool = \"web\"\npath = \"/a/../b\"",
        "b.toml:5:8: routes[0].path: `/a/../b` is no path of a route: it has an empty segment, or one of dots",
    ),
    (
        "[[routes]]\npool = \"web\"\npath = \"/a?b\"",
        "b.toml:5:8: routes[0].path: `/a?b` is no path of a route: '?' can't stand in one",
    ),
    (
        "[[routes]]\npool = \"web\"\nlistener = \"127.0.0.1:80\"",
        "b.toml:5:12: routes[0].listener: nobody listens on 127.0.0.1:80; did you mean `127.0.0.1:8080`?",
    ),
    (
        "[[routes]]\npool = \"web\"\nhost = \"A.com\"\n[[routes]]\npool = \"web\"\nhost = \"a.com\"",
        "b.toml:6:1: routes[1]: takes the same requests as the route at line 3",
    ),
    (
        "[[routes]]\npool = \"web\"\n[[routes]]\npool = \"web\"\nlistener = \"127.0.0.1:8080\"",
        "b.toml:3:1: routes[0]: can never match: every listener has a route of its own for this host and path",
    ),
    (
        "[[listeners]]\npool = \"web\"\n[[routes]]\npool = \"web\"",
        "b.toml:4:8: listeners[0].pool: a route takes every request here: this pool never gets one",
    ),
];

#[test]
fn what_is_wrong_is_said_in_one_line_with_its_place() {
    // A pool stands behind or before what is wrong: else the lack of one may be.
    let behind = |text: &str| if text.ends_with('[') { text.to_owned() } else { format!("{text}\n{POOL}") };
    let told = WRONG.iter().map(|(text, refusal)| (refused(&behind(text)), *refusal));
    let told = told
        .chain(WRONG_TOGETHER.iter().map(|(text, refusal)| (refused(&format!("{POOL}{text}")), *refusal)));
    let differing: Vec<_> = told.filter(|(told, wanted)| told != wanted).collect();
    assert!(differing.is_empty(), "{differing:#?}");
    assert_eq!(
        refused(""),
        "b.toml:1:1: pools: there is none: write [pools.NAME] with servers = [\"IP:PORT\", ...]"
    );
}

#[test]
fn bounds_are_taken_and_nothing_beyond_them_is() {
    let mut tried = 0;
    for key in KEYS {
        let (inside, outside) = around(&key.takes);
        for value in inside {
            config::read(&with(key, &value), Path::new("b.toml"))
                .unwrap_or_else(|refusal| panic!("{value}: {refusal}"));
            tried += 1;
        }
        for value in outside {
            let refusal = refused(&with(key, &value));
            assert!(
                refusal.contains(": must lie between ") && refusal.contains(key.name),
                "{value}: {refusal}"
            );
            tried += 1;
        }
    }
    assert!(tried > 150, "{tried}");
}

#[test]
fn a_value_of_another_type_is_refused_for_every_key() {
    for key in KEYS {
        for value in ["1.5", "1979-05-27", "[[]]", "{ a = 1 }"] {
            let refusal = refused(&with(key, value));
            assert!(refusal.contains(&format!("{}: takes ", key.name)), "{value}: {refusal}");
        }
    }
}

#[test]
fn every_word_is_one_that_is_read() {
    for key in KEYS {
        if let Takes::Words(words) = key.takes {
            for word in words.iter().filter(|word| is_built(word)) {
                let read = config::read(&with(key, &format!("{word:?}")), Path::new("b.toml"));
                assert!(read.is_ok(), "{word}: {}", read.unwrap_err());
            }
        }
    }
    assert_eq!(taken(&format!("{POOL}balance = \"hot-cold\"")).pools[0].balance, Balance::HotCold);
}

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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_shown_is_read_as_the_same(values in any_values()) {
        let text = file_of(&values);
        let (config, keys) = match config::read(&text, Path::new("b.toml")) {
            Ok(read) => read,
            // Values that are fine alone may contradict each other.
            Err(refusal) => { prop_assert!(refusal.to_string().contains("longer than"), "{}", refusal); return Ok(()); }
        };
        let process = keys.over(ProcessKeys::default());
        let shown = shown(&config, &process, |_| None);
        let (again, keys) = config::read(&shown, Path::new("shown.toml")).map_err(|e| TestCaseError::fail(format!("{e}\n{shown}")))?;
        prop_assert_eq!(again, config, "{}", shown);
        prop_assert_eq!(keys.over(ProcessKeys::default()), process);
    }

    #[test]
    fn no_text_makes_it_panic_and_every_refusal_is_one_line(
        at in 0usize..4000, len in 0usize..40, with in "\\PC{0,12}|[\\[\\]{}=\",.\n#a-z0-9%-]{0,12}"
    ) {
        let sample = include_str!("../deploy/balancer.toml").replace("\n#", "\n");
        let mut bytes = sample.into_bytes();
        let at = at.min(bytes.len());
        let end = (at + len).min(bytes.len());
        bytes.splice(at..end, with.into_bytes());
        if let Err(refusal) = config::read(&String::from_utf8_lossy(&bytes), Path::new("b.toml")) {
            let line = refusal.to_string();
            prop_assert!(line.starts_with("b.toml:") && !line.contains(char::is_control), "{:?}", line);
        }
    }
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

/// A file in which this key has this value, and all else is well.
fn with(key: &Key, value: &str) -> String {
    let line = format!("{} = {value}", key.name);
    let mut text = match key.section {
        "pools" => format!("[pools.web]\n{line}\n"),
        "routes" | "listeners" => format!("{POOL}[[{}]]\n{line}\n", key.section),
        section => format!("{POOL}[{section}]\n{line}\n"),
    };
    // What it may not be longer than.
    match (key.section, key.name) {
        ("defaults.passive", "ejection") => text.push_str("ejection-max = \"1d\"\n"),
        ("defaults.passive", "ejection-max") => text.push_str("ejection = \"10ms\"\n"),
        ("defaults.check", "fast-interval") => text.push_str("interval = \"1d\"\n"),
        _ => {}
    }
    text
}

/// Values at both bounds, and just beyond them.
fn around(takes: &Takes) -> (Vec<String>, Vec<String>) {
    let quoted = |text: String| format!("\"{text}\"");
    match takes {
        Takes::Count(min, max) => (
            vec![min.to_string(), max.to_string()],
            vec![(*min as i64 - 1).to_string(), (max + 1).to_string()],
        ),
        Takes::Time(min, max) => {
            let us = |time: Duration| quoted(format!("{}us", time.as_micros()));
            let step = Duration::from_micros(1);
            let below = min.checked_sub(step).map(us);
            (vec![us(*min), us(*max)], below.into_iter().chain([us(*max + step)]).collect())
        }
        Takes::Size(min, max) => {
            let bytes = |size: usize| quoted(format!("{size}B"));
            let below = min.checked_sub(1).map(bytes);
            (vec![bytes(*min), bytes(*max)], below.into_iter().chain([bytes(*max + 1)]).collect())
        }
        Takes::Share(min, max) => {
            let percent = |share: f64| quoted(format!("{}%", share * 100.0));
            let below = Some(min / 2.0).filter(|below| below < min).map(percent);
            (vec![percent(*min), percent(*max)], below.into_iter().chain([percent(max + 0.01)]).collect())
        }
        Takes::OrNone(inner) => {
            let (mut inside, outside) = around(inner);
            // What a word of another meaning would need is tried elsewhere.
            if !inside.is_empty() {
                inside.push(quoted("none".to_owned()));
            }
            (inside, outside)
        }
        Takes::Text(_) | Takes::Texts(_) | Takes::Words(_) | Takes::Switch => (Vec::new(), Vec::new()),
    }
}

/// Engines may be left out of a build.
fn is_built(word: &str) -> bool {
    match word {
        "uring" => cfg!(feature = "uring"),
        "epoll" => cfg!(feature = "epoll"),
        _ => true,
    }
}

/// For each key, nothing or one of the values that it takes.
fn any_values() -> impl Strategy<Value = Vec<Option<String>>> {
    KEYS.iter().map(|key| proptest::option::of(any_value(key))).collect::<Vec<_>>()
}

fn any_value(key: &Key) -> BoxedStrategy<String> {
    let texts: &[&str] = match (key.section, key.name) {
        ("process", "cores") => &["all", "0", "1-3,7"],
        ("process", "admin") => &["none", "[::1]:1", "unix:/a \\\"b\\\""],
        ("listeners", "address") => &["127.0.0.1:1", "unix:/l#1"],
        ("listeners", "pool") | ("routes", "pool") => &["web"],
        ("routes", "listener") => &["*"],
        ("routes", "host") => &["a", "*.b.c", "[::1]"],
        ("routes", "path") => &["/a", "/a/%20b"],
        ("forward", "trusted-proxies") => &["10.0.0.0/8", "fd00::1"],
        ("forward", "via") => &["none", "x"],
        ("access-log", "to") => &["none", "stdout", "a b", "/é'\\\""],
        ("pools", "servers") => &["127.0.0.1:2", "unix:/a,name=x,weight=2,maxconn=3"],
        ("defaults", "report-header") => &["none", "x-load"],
        ("defaults.check", "path") => &["off", "connect", "/healthz"],
        ("defaults.check", "host") => &["www.example.com:80", "[::1]"],
        ("defaults.check", "expect") => &["200", "200-299,401-403"],
        _ => &[],
    };
    let texts: Vec<String> = texts.iter().map(|text| format!("\"{text}\"")).collect();
    any_of(&key.takes, texts)
}

fn any_of(takes: &Takes, texts: Vec<String>) -> BoxedStrategy<String> {
    match *takes {
        Takes::Text(_) => proptest::sample::select(texts).boxed(),
        Takes::Texts(_) => proptest::sample::subsequence(texts.clone(), 1..=texts.len())
            .prop_map(|some| format!("[{}]", some.join(", ")))
            .boxed(),
        Takes::Words(words) => {
            let words: Vec<_> = words.iter().copied().filter(|word| is_built(word)).collect();
            proptest::sample::select(words).prop_map(|word| format!("\"{word}\"")).boxed()
        }
        Takes::Switch => any::<bool>().prop_map(|switch| switch.to_string()).boxed(),
        Takes::Count(min, max) => (min..=max).prop_map(|count| count.to_string()).boxed(),
        Takes::Time(min, max) => {
            let units = proptest::sample::select(vec![1u64, 1_000, 1_000_000, 60_000_000]);
            let micros = (min.as_micros() as u64..=max.as_micros() as u64, units);
            micros
                .prop_map(move |(us, unit)| {
                    format!("\"{}us\"", (us / unit * unit).max(min.as_micros() as u64))
                })
                .boxed()
        }
        Takes::Size(min, max) => (min..=max, 0..20u32)
            .prop_map(move |(bytes, zeros)| format!("\"{}B\"", (bytes >> zeros << zeros).max(min)))
            .boxed(),
        Takes::Share(min, max) => {
            // Some of these keys take whole percents alone.
            let whole = (min * 100.0).ceil() as u32..=(max * 100.0) as u32;
            whole.prop_map(|percent| format!("\"{percent}%\"")).boxed()
        }
        Takes::OrNone(inner) if texts.is_empty() => {
            prop_oneof![Just("\"none\"".to_owned()), any_of(inner, texts)].boxed()
        }
        Takes::OrNone(inner) => any_of(inner, texts),
    }
}

/// A file with these values, with what else it takes to be whole, and with a second pool so that names are looked up.
fn file_of(values: &[Option<String>]) -> String {
    let mut sections: Vec<&str> = KEYS.iter().map(|key| key.section).collect();
    sections.dedup();
    let mut text = "[pools.other]\nservers = [\"127.0.0.1:9\"]\n".to_owned();
    for section in sections {
        let (header, needed): (_, &[(&str, &str)]) = match section {
            "pools" => ("[pools.web]".to_owned(), &[("servers", "[\"127.0.0.1:5000\"]")]),
            "listeners" => ("[[listeners]]".to_owned(), &[("pool", "\"web\"")]),
            "routes" => ("[[routes]]".to_owned(), &[("pool", "\"web\""), ("path", "\"/a\"")]),
            _ => (format!("[{section}]"), &[]),
        };
        text.push_str(&format!("{header}\n"));
        for (key, value) in KEYS.iter().zip(values).filter(|(key, _)| key.section == section) {
            let needed =
                needed.iter().find(|(name, _)| *name == key.name).map(|(_, value)| (*value).to_owned());
            if let Some(value) = value.clone().or(needed) {
                text.push_str(&format!("{} = {value}\n", key.name));
            }
        }
    }
    text
}
