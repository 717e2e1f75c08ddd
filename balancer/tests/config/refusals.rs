//! Each refusal, word for word: where, what is wrong, and what would be right.

use super::{POOL, refused};

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
    // A column counts characters.
    (
        "[pools.api]\nservers = [\"unix:/\u{e9}\", \"x\"]",
        "b.toml:4:23: pools.api.servers[1]: `x` is no address: use IP:PORT (127.0.0.1:5000, [::1]:5000) or unix:/PATH",
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
