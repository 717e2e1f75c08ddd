//! What counts where nothing is said, and why.
//!
//! In: nothing. Out: each section as it is without a file, and whole configurations for tests and measurements. Never: a
//! number without a reason; the reference in `docs/balancer-reference.md` is held against these.

use super::*;
use std::net::{Ipv4Addr, SocketAddr};

/// The pool that flags make.
pub const POOL: &str = "default";

/// Where to listen if nothing is said: this machine only, at the port that is usual for a proxy that is not root's.
pub const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// Where admin API, status page and metrics are: this machine only, as nobody is asked for a password there.
pub const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

impl Config {
    /// One pool of these servers (named by their addresses) behind one listener, all else by default.
    ///
    /// A test that listens gives `listeners[0].address` a port of its own.
    pub fn for_one_pool(servers: &[Address]) -> Config {
        let servers = servers.iter().cloned().map(Server::at).collect();
        Config {
            listeners: vec![Listener { default_pool: Some(0), ..Listener::default() }],
            pools: vec![Pool::of(POOL, servers)],
            routes: Vec::new(),
            front: Front::default(),
            forward: Forward::default(),
            log: AccessLog::default(),
        }
    }
}

impl Pool {
    /// A pool of these servers, all else by default.
    pub fn of(name: &str, servers: Vec<Server>) -> Pool {
        Pool {
            name: name.to_owned(),
            balance: Balance::default(),
            servers,
            check: None,
            passive: Passive::default(),
            recovery: Recovery::default(),
            retry: Retry::default(),
            queue: Queue::default(),
            timeouts: Timeouts::default(),
            idle: Idle::default(),
            report_header: None,
        }
    }
}

impl Server {
    /// A server here: named by its address, weight 1, any number of requests at a time.
    pub fn at(address: Address) -> Server {
        Server { name: address.to_string(), address, weight: 1, maxconn: None }
    }
}

impl Default for Listener {
    fn default() -> Listener {
        Listener { address: Address::Tcp(LISTEN), accept_proxy: false, default_pool: None }
    }
}

impl Default for Front {
    fn default() -> Front {
        Front {
            // A head comes in one piece; ten seconds are for the worst mobile network, and bound a slow attack.
            head_timeout: 10 * SECOND,
            // Half of nginx's: a peer that neither sends nor takes for so long has gone, or only holds memory.
            body_timeout: 30 * SECOND,
            // As nginx; over the 60 s for which common cloud balancers keep theirs, so that they close first.
            idle_timeout: 75 * SECOND,
            // Two round trips of the worst kind: without it the kernel's reset may overtake the last answer.
            linger_timeout: 2 * SECOND,
            // The patience of service managers (Kubernetes: 30 s, systemd: 90 s).
            drain_timeout: 30 * SECOND,
            // A request that was on its way when the drain began still comes through.
            drain_idle: Duration::from_millis(500),
            // Bodies are streamed, and cost no memory: how long they may be is the servers' to say.
            body_bytes_max: u64::MAX,
            // The cookies that browsers send fit; also the most that a cut head makes a connection keep.
            head_bytes_max: 16 * 1024,
            // Browsers behind proxies send about 40.
            fields_max: 100,
            // 4 KiB of ours each, 80 MiB in all; and their descriptors fit common limits.
            connections_max: 20_000,
            // A fast server is read ahead of a slow client by so much, and no further.
            unsent_bytes_max: 256 * 1024,
        }
    }
}

impl Default for Forward {
    fn default() -> Forward {
        Forward {
            // Nobody: a client's word about itself is worth nothing until the operator says whose is.
            trusted_proxies: Vec::new(),
            // Applications look for these by habit.
            x_forwarded: true,
            // It says the same once more, and few read it.
            forwarded: false,
            // Without it nobody finds a request again in two logs.
            request_id: true,
            // A proxy must say that it is one (RFC 9110 §7.6.3); it ends forwarding loops.
            via: "corelane".to_owned(),
        }
    }
}

impl Default for AccessLog {
    fn default() -> AccessLog {
        // Off: it costs a line per request, and counters and percentiles are there without it.
        AccessLog { to: None, format: LogFormat::Json, sample: 1.0 }
    }
}

impl Default for Check {
    fn default() -> Check {
        Check {
            path: None,
            // Servers that look at names mostly answer to this one.
            host: "localhost".to_owned(),
            // As HAProxy: a redirect to a log-in page is a sign of life.
            expect: vec![(200, 399)],
            // As HAProxy: with `fall` 3 a silent death is seen in 6 s, and sooner as doubts are checked fast.
            interval: 2 * SECOND,
            // In doubt, a quarter: `rise` and `fall` are then decided within two seconds.
            fast_interval: SECOND / 2,
            // Checks of many balancers and servers must not fall into step.
            jitter: 0.1,
            // Half the interval: a server that needs longer to say that it is well, is not.
            timeout: SECOND,
            // As HAProxy: one good answer may be luck, one bad one a lost packet.
            rise: 2,
            fall: 3,
        }
    }
}

impl Default for Passive {
    fn default() -> Passive {
        Passive {
            // In a row, with no success between them, on all lanes: a server that works doesn't do this. nginx takes 1 and
            // so ejects for a lost packet; Envoy 5 and HAProxy 10, which at low rates is many lost requests.
            failures: 3,
            // As HAProxy: an answer is a sign of life, and a run of 500s may be one client's broken request. Envoy takes 5.
            errors_5xx: 10,
            // About a restart. Short, as probation by single requests makes another try cheap; nginx takes 10 s, Envoy 30.
            ejection: 5 * SECOND,
            // As Envoy: a server that is mended is found within five minutes, and a dead one asked that rarely.
            ejection_max: 5 * MINUTE,
            // Half can carry twice its load for a while; when most fail, the fault lies elsewhere, and ejecting more mends
            // nothing. Envoy's 10 % never ejects one of three.
            ejected_percent_max: 50,
        }
    }
}

impl Default for Recovery {
    fn default() -> Recovery {
        Recovery {
            // Caches and pools of a server that starts are cold; after ten seconds of some load they are warm.
            slow_start: 10 * SECOND,
            // As many as ejected it.
            probation: 3,
            // It helps where checks are wrong about servers that work, which is likely only if many fall at once. Where servers
            // are dead it hurts. At 20 % pools of up to five go on with their last server alone; HAProxy has 0, Envoy 50.
            fail_open_percent: 20,
        }
    }
}

impl Default for Retry {
    fn default() -> Retry {
        Retry {
            // Two other servers; one that fails by then too has more than bad luck.
            attempts: 3,
            // As Envoy and Finagle: when everything fails, retries add a fifth to the load and no more.
            budget_percent: 20,
            // As Envoy: else a quiet service never retries at all.
            budget_floor: 3,
            // What a POST does twice only the operator knows.
            all_idempotent: false,
            // Forms and API calls fit; uploads don't, and memory stays bounded.
            keep_bytes_max: 64 * 1024,
        }
    }
}

impl Default for Queue {
    fn default() -> Queue {
        Queue {
            // As Envoy's pending requests: who waits behind so many waits in vain.
            length_max: 1024,
            // A user has gone by then; a 503 with `Retry-After` is the better answer.
            timeout: 5 * SECOND,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            // Within a data centre a connect takes a millisecond, and a lost SYN is sent again after one second: rather than
            // wait for that, another server is tried.
            connect: SECOND,
            // Half of nginx's; also what users wait at most. Long polls need more.
            response_head: 30 * SECOND,
            // As on the front side.
            body: 30 * SECOND,
            // A download may take hours as long as bytes flow.
            total: None,
            // As HAProxy's manual advises for WebSockets.
            tunnel: HOUR,
        }
    }
}

impl Default for Idle {
    fn default() -> Idle {
        Idle {
            // As two of nginx's workers: per server and lane it covers bursts, and servers × lanes × 64 fits servers' limits.
            connections_max: 64,
            // Below the shortest limit among common servers (Node.js, Apache and uvicorn close after 5 s), so that it is
            // rarely the server who closes, which would race with our next request. nginx and `corelane-server` keep 75 s.
            timeout: 4 * SECOND,
            // As nginx: a server that moved, or came back, gets its share of connections within the hour.
            age_max: HOUR,
        }
    }
}

impl Default for Process {
    fn default() -> Process {
        Process {
            admin: Some(Address::Tcp(ADMIN)),
            cores: net::percore::Cores::All,
            engine: net::command_line::EngineChoice::Auto,
            accept: net::listen::Accept::Hash,
            busy_poll: None,
            log: tracing::Level::INFO,
        }
    }
}
