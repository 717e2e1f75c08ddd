//! A balancer made up: servers with counts and states, a clock to turn, and requests as bytes.

use balancer::admin::Admin;
use balancer::config::{Config, Pool, Server};
use balancer::control::{
    Admin as Wanted, Answer, CheckView, Command, Desk, SAMPLE_EVERY, ServerView, State, View,
};
use balancer::fleet::{Fault, Fleet};
use net::address::Address;
use net::http1::{Heads, Limits, ServerConn, Status, Step};
use net::time::{Time, UnixSeconds};
use std::cell::RefCell;
use std::time::Duration;

/// When the made-up process began, on the wall clock.
pub(crate) const BEGAN: u64 = 1_790_000_000;
/// By the monotonic clock.
const STARTED: Time = Time(7_000_000_000);
pub(crate) const LANES: usize = 2;

/// What a server said when it was checked: words from outside, of the worst kind.
pub(crate) const NASTY: &str = "status 503 <script>alert(1)</script>\u{1b}[2J\u{202e}\"'&amp;";

/// Everything that a view is made of, and who answers.
pub(crate) struct World {
    pub(crate) fleet: Fleet,
    pub(crate) servers: Vec<Vec<ServerView>>,
    pub(crate) is_failing_open: Vec<bool>,
    pub(crate) is_draining: bool,
    pub(crate) reload_error: Option<String>,
    pub(crate) uptime: Duration,
    /// Seconds by which the wall clock was set forward.
    pub(crate) wall_set: u64,
    admin: RefCell<Admin>,
    /// What was handed on.
    pub(crate) obeyed: Vec<Command>,
    /// What whoever obeys says.
    pub(crate) says: Result<String, String>,
}

/// Two pools: `web` with `a` to `d`, one in each state; and `api/v1` with a socket whose name has slashes.
pub(crate) fn config() -> Config {
    let mut config = Config::for_one_pool(&["127.0.0.1:5000".parse().unwrap()]);
    let named = |name: &str, address: &str| {
        let address: Address = address.parse().unwrap();
        Server { name: name.to_owned(), ..Server::at(address) }
    };
    let mut web: Vec<Server> =
        (0..5).map(|n| named(&"abcde"[n..=n], &format!("127.0.0.1:{}", 5000 + n))).collect();
    web[0].weight = 100;
    web[0].maxconn = Some(64);
    web[1].weight = 50;
    config.pools = vec![
        Pool::of("web", web),
        Pool::of("api", vec![named("unix:/run/api.sock", "unix:/run/api.sock"), named("a", "[::1]:6000")]),
    ];
    config
}

/// One that was never in doubt.
pub(crate) fn calm(weight: u32) -> ServerView {
    ServerView {
        state: State::Up,
        admin: Wanted::Ready,
        why: String::new(),
        since: STARTED,
        since_wall: UnixSeconds(BEGAN),
        until: None,
        weight,
        effective_weight: f64::from(weight),
        check: None,
        failures: 0,
    }
}

impl World {
    /// Just started: no counts, everything up.
    pub(crate) fn new(config: Config) -> World {
        let fleet = Fleet::new(config, LANES);
        let servers = fleet.config.pools.iter();
        let servers: Vec<Vec<ServerView>> =
            servers.map(|pool| pool.servers.iter().map(|server| calm(server.weight)).collect()).collect();
        World {
            is_failing_open: vec![false; servers.len()],
            fleet,
            servers,
            is_draining: false,
            reload_error: None,
            uptime: Duration::ZERO,
            wall_set: 0,
            admin: RefCell::new(Admin::new("epoll", (0..LANES).map(|lane| lane + 2).collect())),
            obeyed: Vec::new(),
            says: Ok("done".to_owned()),
        }
    }

    /// Ten minutes of life: `a` fast, `b` slower and coming back, `c` down, `d` ejected and drained, `e` on probation.
    pub(crate) fn lived() -> World {
        let mut world = World::new(config());
        world.sample();
        for step in 0..130 {
            world.live(step);
        }
        world.trouble();
        world
    }

    /// 5 s of traffic and a sample.
    pub(crate) fn live(&mut self, step: u64) {
        for (n, server) in self.fleet.pools[0].servers.iter().enumerate() {
            let is_out = n > 1 && step > 100;
            for (lane, stats) in server.lanes.iter().enumerate().filter(|_| !is_out) {
                let answers = 40 + 20 * lane as u64 + step % 7;
                for answer in 0..answers {
                    let wave = 1.0 + (step as f64 / 9.0).sin().abs() * (1 + n) as f64;
                    let tail = if answer % 29 == 0 { 18.0 } else { 1.0 + (answer % 5) as f64 * 0.3 };
                    let took = Duration::from_secs_f64(wave * tail * 0.000_4 * (1 + n) as f64);
                    stats.latencies.record(took);
                    stats.latency_sum_ns.add(took.as_nanos() as u64);
                    stats.tries.one();
                    stats.responses[1].one();
                    if answer > 1 { stats.reuses.one() } else { stats.connects.one() }
                }
                stats.sent_bytes.add(answers * 300);
                stats.received_bytes.add(answers * 900);
                stats.open.set(8);
                stats.idle.set(6);
                if n == 1 && step % 40 == 3 {
                    stats.responses[4].add(2);
                    stats.tries.add(2);
                }
                if n > 1 && step == 100 {
                    stats.connect_failures.add(5);
                }
            }
        }
        for (lane, stats) in self.fleet.lanes.iter().enumerate() {
            stats.requests.add(200 + 100 * lane as u64);
            stats.faults[Fault::ClientGone as usize].one();
            stats.faults[Fault::ServerClosed as usize].add(lane as u64);
            stats.retries.add(3);
            stats.retries_refused.one();
            stats.front_open.set(40);
            stats.active.set(12);
            stats.queued.set(lane as u64);
            stats.engine.spin_nanoseconds.add(1_500_000);
            stats.engine.turns.add(100);
        }
        if step == 100 {
            let states = [(2, State::Down), (3, State::Ejected), (4, State::Ejected)];
            for (n, state) in states {
                self.servers[0][n] = ServerView { state, failures: 1, ..self.servers[0][n].clone() };
            }
        }
        self.uptime += SAMPLE_EVERY;
        self.sample();
    }

    fn trouble(&mut self) {
        let (now, wall) = (self.now(), BEGAN + self.uptime.as_secs());
        let since = |seconds: u64| (Time(now.0 - seconds * 1_000_000_000), UnixSeconds(wall - seconds));
        let check = |is_good: bool, said: &str| {
            let (at, _) = since(3);
            Some(CheckView { at, took: Duration::from_micros(1_300), is_good, said: said.to_owned() })
        };
        let [a, b, c, d, e] = &mut self.servers[0][..] else { panic!("five servers") };
        a.check = check(true, "status 200");
        b.check = check(true, "status 200");
        (b.state, b.effective_weight, b.failures) = (State::Rising, 12.5, 2);
        (b.since, b.since_wall) = since(9);
        b.why = "2 checks in a row were good".to_owned();
        (c.why, c.check) = (format!("3 checks in a row failed: {NASTY}"), check(false, NASTY));
        (c.since, c.since_wall) = since(185);
        c.effective_weight = 0.0;
        (d.why, d.admin, d.weight) = ("5 failures in a row: connection refused".to_owned(), Wanted::Drain, 0);
        (d.since, d.since_wall) = since(40);
        d.until = Some(now + Duration::from_secs(20));
        d.effective_weight = 0.0;
        (e.state, e.why) = (State::Probation, "its ejection is over: single requests".to_owned());
        (e.since, e.since_wall) = since(2);
        let load = &self.fleet.pools[0].servers[0].load;
        (0..17).for_each(|_| assert!(load.enter()));
    }

    pub(crate) fn now(&self) -> Time {
        STARTED + self.uptime
    }

    fn view(&self) -> View<'_> {
        View {
            fleet: &self.fleet,
            servers: &self.servers,
            is_failing_open: &self.is_failing_open,
            now: self.now(),
            wall: UnixSeconds(BEGAN + self.uptime.as_secs() + self.wall_set),
            started: STARTED,
            is_draining: self.is_draining,
            reload_error: self.reload_error.as_deref(),
        }
    }

    pub(crate) fn sample(&mut self) {
        self.admin.borrow_mut().sample(&self.view());
    }

    /// What comes back for the bytes of a request.
    pub(crate) fn ask(&mut self, bytes: &str) -> Answer {
        let mut heads = Heads::new(Limits::default());
        let mut conn = ServerConn::new();
        let Ok(Step::Request { request, .. }) = conn.next(bytes.as_bytes(), &mut heads) else {
            panic!("no request: {bytes}")
        };
        let mut obeyed = Vec::new();
        let mut obey = |command: Command| {
            obeyed.push(command);
            self.says.clone()
        };
        let answer = self.admin.borrow_mut().answer(&request, &self.view(), &mut obey);
        self.obeyed.append(&mut obeyed);
        answer
    }

    /// GET, as a tool does.
    pub(crate) fn get(&mut self, target: &str) -> Answer {
        self.ask(&format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1:9090\r\n\r\n"))
    }

    /// A change, as the page and the client send it.
    pub(crate) fn send(&mut self, method: &str, target: &str, body: &str) -> Answer {
        self.ask(&format!(
            "{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:9090\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    /// The JSON of a GET that must be well.
    pub(crate) fn json(&mut self, target: &str) -> serde_json::Value {
        let answer = self.get(target);
        assert_eq!((answer.status, answer.content_type), (Status::OK, "application/json"), "{target}");
        serde_json::from_slice(&answer.body).expect("it is JSON")
    }
}

/// The value of a field; each may be there once.
pub(crate) fn field<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let mut found = answer.fields.iter().filter(|(field, _)| *field == name);
    let value = found.next().map(|(_, value)| &value[..]);
    assert!(found.next().is_none(), "{name} twice");
    value
}

/// The text of a body.
pub(crate) fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).expect("UTF-8")
}
