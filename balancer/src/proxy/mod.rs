//! The balancer's lane as a program: requests in, passed on; responses back.
//!
//! In: what an engine tells of one lane's connections, to clients (*front*) and to servers (*back*). Out: every request gets exactly one
//! answer, its own, or sees its connection cut. Never: waits, reads a clock, touches a socket.
//!
//! The life of a request: `requests` reads it → `tries` picks a server and sends it → `responses` reads the answer and passes it on →
//! `ending` lets go of what it held. What goes wrong with a try comes back to `tries`; what can't be mended, `answers` says to the client.
//! `timeouts`, `queueing` and `drain` are what their names say.

mod answers;
mod back;
mod drain;
mod ending;
mod front;
mod limits;
mod logging;
mod pools;
mod queueing;
mod requests;
mod responses;
mod timeouts;
mod tries;
mod tunnel;

use self::back::{Back, Serving};
use self::drain::Drain;
use self::front::{Front, Passing};
use self::limits::{FrontLimits, PoolLimits};
use self::logging::Logging;
use self::pools::Pools;
use crate::config::Config;
use crate::control;
use crate::fleet::{Fleet, LaneStats, Server};
use crate::forward::Forwarder;
use crate::log::Log;
use net::deadlines::Deadlines;
use net::engine::{End, Io, Opened, Program, Token};
use net::http1::{DateCache, Heads, Limits, ResponseHeads};
use net::mailbox::Mailer;
use net::stats::Cell;
use net::time::Time;
use std::sync::Arc;
use std::time::Duration;

/// What other threads tell a lane.
#[derive(Clone, Debug)]
pub enum Mail {
    /// Work by this from now on; what is under way ends as it began.
    Fleet(Arc<Fleet>),
    /// A place was given back at a server: look after those who wait.
    Room,
    /// A server is down or ejected: idle connections to it are of no use.
    CloseIdle(Arc<Server>),
    /// Finish what you have, and end.
    Drain,
}

/// What a lane is given besides its fleet.
pub struct Links {
    /// Which lane it is, from 0; names its cells in the fleet's statistics.
    pub number: usize,
    /// The doors of all lanes, its own too.
    pub lanes: Vec<Mailer<Mail>>,
    /// The door of the control.
    pub control: Mailer<control::Mail>,
    /// The access log.
    pub log: Option<Log>,
    /// Differs from lane to lane and from start to start, so that they don't choose alike.
    pub seed: u64,
}

/// One lane of the balancer.
pub struct Proxy {
    /// By token index.
    fronts: Table<Front>,
    /// By token index.
    backs: Table<Back>,
    heads: Heads,
    response_heads: ResponseHeads,
    lane: Lane,
}

/// What all connections of a lane share.
struct Lane {
    number: usize,
    seed: u64,
    generation: u64,
    config: Arc<Config>,
    all_stats: Arc<[LaneStats]>,
    pools: Pools,
    forwarder: Forwarder,
    deadlines: Deadlines,
    /// For whole requests, where a pool limits them; by the client's token.
    totals: Deadlines,
    limits: FrontLimits,
    date: DateCache,
    lanes: Vec<Mailer<Mail>>,
    control: Mailer<control::Mail>,
    logging: Option<Logging>,
    drain: Drain,
    /// Clients' connections.
    open: usize,
    /// This turn brought bytes.
    heard: bool,
    /// Pools at which a place may be free for those who wait.
    freed: Vec<u32>,
    /// Buffers of requests, for the next ones.
    spare: Vec<Vec<u8>>,
    /// For the bodies of our own answers.
    body: Vec<u8>,
    queue_checked: Time,
    /// Clients of which a next request is held that may be read now.
    unheld: Vec<Token>,
}

/// Buffers kept for the next requests; more than a turn of a busy lane uses would never be taken.
const SPARE_MAX: usize = 256;
/// A buffer that grew past this goes back to the allocator.
const SPARE_BYTES_MAX: usize = 16 * 1024;

impl Proxy {
    /// A lane that serves by `fleet`.
    pub fn new(fleet: &Fleet, links: Links) -> Proxy {
        let Links { number, lanes, control, log, seed } = links;
        let (heads, response_heads) = heads(&fleet.config);
        let mut lane = Lane {
            number,
            seed,
            generation: fleet.generation,
            config: fleet.config.clone(),
            all_stats: fleet.lanes.clone(),
            pools: Pools::new(fleet, number, seed),
            forwarder: Forwarder::new(&fleet.config, seed),
            deadlines: Deadlines::new(&[]),
            totals: Deadlines::new(&[]),
            limits: FrontLimits::default(),
            date: DateCache::new(),
            lanes,
            control,
            logging: log.map(|log| Logging::new(log, seed)),
            drain: Drain::Off,
            open: 0,
            heard: false,
            freed: Vec::new(),
            spare: Vec::new(),
            body: Vec::new(),
            queue_checked: Time(0),
            unheld: Vec::new(),
        };
        lane.learn_limits();
        Proxy { fronts: Vec::new(), backs: Vec::new(), heads, response_heads, lane }
    }

    /// Clients' connections open now.
    pub fn open(&self) -> usize {
        self.lane.open
    }

    /// Connections to servers open now, or being opened.
    pub fn open_backs(&self) -> usize {
        self.backs.iter().flatten().count()
    }

    /// Takes over a new fleet. Requests under way end as they began, except that a further try looks at the new servers.
    fn take_over(&mut self, fleet: &Fleet, io: &mut Io) {
        let lane = &mut self.lane;
        if *lane.config != *fleet.config {
            (self.heads, self.response_heads) = heads(&fleet.config);
        }
        if lane.config.forward != fleet.config.forward {
            let fronts = self.fronts.iter_mut().flatten();
            fronts.for_each(|(_, front)| front.client = front.client.by(&fleet.config));
        }
        lane.config = fleet.config.clone();
        lane.generation = fleet.generation;
        lane.forwarder = Forwarder::new(&fleet.config, lane.seed ^ fleet.generation);
        lane.pools.update(fleet);
        lane.learn_limits();
        lane.freed.extend(lane.pools.numbers());
        let gone = lane.pools.servers_mut().filter(|server| !server.is_configured());
        let idle: Vec<Token> = gone.flat_map(|server| server.idle.clone()).collect();
        idle.into_iter().for_each(|token| self.close_back(token, io));
    }

    fn close_idle(&mut self, server: &Arc<Server>, io: &mut Io) {
        let of_it = self.lane.pools.servers_mut().filter(|entry| Arc::ptr_eq(&entry.shared, server));
        let idle: Vec<Token> = of_it.flat_map(|server| server.idle.clone()).collect();
        idle.into_iter().for_each(|token| self.close_back(token, io));
    }
}

impl Lane {
    fn stats(&self) -> &LaneStats {
        &self.all_stats[self.number]
    }

    fn learn_limits(&mut self) {
        let deadlines = &mut self.deadlines;
        self.limits = FrontLimits::new(&self.config.front, deadlines);
        self.pools.all_mut().for_each(|pool| pool.limits = PoolLimits::new(&pool.config, deadlines));
    }

    fn spare(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    fn recycle(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= SPARE_BYTES_MAX && self.spare.len() < SPARE_MAX {
            buffer.clear();
            self.spare.push(buffer);
        }
    }
}

impl Program for Proxy {
    type Mail = Mail;

    fn on_open(&mut self, token: Token, opened: Opened, io: &mut Io) {
        // Both sides are paused by the other one; by themselves two sides that are full would wait for each other.
        io.read_while_over(token);
        match opened {
            Opened::Accepted { listener, peer } => {
                let front = Front::new(token, listener, peer, &self.lane.config);
                put(&mut self.fronts, token, front);
                self.lane.open += 1;
                up(&self.lane.stats().front_open);
                self.lane.deadlines.set(token, self.lane.limits.head, io.now());
            }
            Opened::Connected => self.on_connected(token, io),
        }
    }

    fn on_bytes(&mut self, token: Token, bytes: &[u8], io: &mut Io) {
        self.lane.heard = true;
        if get(&mut self.backs, token).is_some() {
            self.read_response(token, bytes, io);
        } else {
            self.read_request(token, bytes, io);
        }
    }

    fn on_eof(&mut self, token: Token, io: &mut Io) {
        if get(&mut self.backs, token).is_some() {
            self.on_back_eof(token, io);
        } else {
            self.on_front_eof(token, io);
        }
    }

    fn on_drained(&mut self, token: Token, io: &mut Io) {
        if let Some(front) = get(&mut self.fronts, token) {
            front.exchange.back.into_iter().for_each(|back| io.resume(back));
            if front.exchange.stage == Passing::Idle && !front.held.is_empty() {
                self.lane.unheld.push(token);
            }
        } else if let Some(back) = get(&mut self.backs, token)
            && let Serving::Front(front) = back.serving
        {
            self.on_taken(front, io);
        }
    }

    fn on_end(&mut self, token: Token, end: End, io: &mut Io) {
        self.lane.deadlines.clear(token);
        if let Some(back) = take(&mut self.backs, token) {
            self.on_back_end(token, *back, end, io);
        } else if let Some(front) = take(&mut self.fronts, token) {
            self.on_front_end(*front, io);
        }
    }

    fn on_mail(&mut self, mail: Mail, io: &mut Io) {
        match mail {
            Mail::Fleet(fleet) => self.take_over(&fleet, io),
            Mail::Room => self.lane.freed.extend(self.lane.pools.numbers()),
            Mail::CloseIdle(server) => self.close_idle(&server, io),
            Mail::Drain => self.lane.drain(io),
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        let lane = &self.lane;
        // What was freed while the engine settled is looked at in a turn of its own.
        let freed = (!lane.freed.is_empty() || !lane.unheld.is_empty()).then_some(Time(0));
        let times = [lane.deadlines.next(), lane.totals.next(), lane.drain.next(lane.open), freed];
        times.into_iter().flatten().chain(lane.queue_check()).min()
    }

    fn on_deadline(&mut self, io: &mut Io) {
        self.meet_deadlines(io);
        self.meet_drain(io);
    }

    fn on_turn(&mut self, io: &mut Io) {
        self.serve_queues(io);
        self.read_unheld(io);
        self.lane.heard = false;
        self.lane.drain.turn();
    }
}

fn heads(config: &Config) -> (Heads, ResponseHeads) {
    let front = &config.front;
    let limits = Limits {
        head_bytes_max: front.head_bytes_max,
        target_bytes_max: front.head_bytes_max,
        fields_max: front.fields_max,
        body_bytes_max: front.body_bytes_max,
        // Extensions are read to be dropped; a body without a bound may have some at each of its chunks.
        chunk_extension_bytes_max: usize::MAX,
        ..Limits::default()
    };
    // What a server sends is as long as the server says.
    (Heads::new(limits), ResponseHeads::new(Limits { body_bytes_max: u64::MAX, ..limits }))
}

/// How long those who wait for a place trust that they are told of one: a mail may find its box full.
const QUEUE_CHECK: Duration = Duration::from_millis(100);

/// Connections by the index of their token. What arrives late for one that is gone finds nothing.
type Table<T> = Vec<Option<(Token, Box<T>)>>;

fn put<T>(table: &mut Table<T>, token: Token, entry: T) {
    if token.index() >= table.len() {
        table.resize_with(token.index() + 1, || None);
    }
    table[token.index()] = Some((token, Box::new(entry)));
}

fn get<T>(table: &mut Table<T>, token: Token) -> Option<&mut T> {
    let (known, entry) = table.get_mut(token.index())?.as_mut()?;
    (*known == token).then_some(entry)
}

fn take<T>(table: &mut Table<T>, token: Token) -> Option<Box<T>> {
    get(table, token)?;
    Some(table[token.index()].take()?.1)
}

fn up(gauge: &Cell) {
    gauge.add(1);
}

fn down(gauge: &Cell) {
    gauge.set(gauge.get().saturating_sub(1));
}

/// The stages in which a request has the connection to its server to itself.
fn is_attached(stage: Passing) -> bool {
    matches!(stage, Passing::Asking | Passing::Answering | Passing::Tunnel)
}
