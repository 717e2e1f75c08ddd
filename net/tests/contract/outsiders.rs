//! Peers outside the seam that come, go, or never answer: where they are, and what a connect to them costs.

use crate::checked::{At, Case, Side};
use crate::drive::{On, Places, Tune, kernel, run, run_with};
use net::address::Address;
use net::engine::{Accepting, Close, End, Engine, Io, Token};
use net::mailbox::Mailer;
use net::stats::EngineStats;
use net::time::Time;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

const EAGAIN: i32 = 11;

#[test]
fn a_peers_address_is_the_one_that_the_peer_has() {
    each(|on| {
        let (told, hears) = std::sync::mpsc::channel();
        let guest = Guest { waits: false, told: Some(told), end: None };
        let tune = Tune { peer_addresses: true, ..Tune::default() };
        run_with(on, &tune, guest, move |_: &Mailer<u64>, _: &EngineStats, places: &Places| {
            let peer = connect(places);
            assert_eq!(hears.recv().unwrap(), Some(peer.local_addr().unwrap()));
            None
        });
    });
}

#[test]
fn a_peer_that_is_gone_when_it_is_accepted_has_no_address_and_is_not_lost() {
    each(|on| {
        let (told, hears) = std::sync::mpsc::channel();
        let guest = Guest { waits: true, told: Some(told), end: None };
        let tune = Tune { peer_addresses: true, ..Tune::default() };
        let ran =
            run_with(on, &tune, guest, move |mailer: &Mailer<u64>, _: &EngineStats, places: &Places| {
                let peer = connect(places);
                SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
                drop(peer);
                mailer.send(0).unwrap();
                assert_eq!(hears.recv().unwrap(), None);
                None
            });
        assert_eq!(ran.case.end, Some(End::Reset));
    });
}

fn connect(places: &Places) -> TcpStream {
    let Address::Tcp(address) = &places.here else { panic!("{places:?}") };
    TcpStream::connect(address).unwrap()
}

fn each(test: impl Fn(&On)) {
    Engine::ALL.iter().filter_map(|engine| kernel(*engine)).for_each(|on| test(&on));
}

/// Tells who came, and how it ended.
#[derive(Debug)]
struct Guest {
    /// Takes nobody before a mail comes.
    waits: bool,
    told: Option<std::sync::mpsc::Sender<Option<SocketAddr>>>,
    end: Option<End>,
}

impl Case for Guest {
    fn start(&mut self, _to: &Places, io: &mut Io) {
        if self.waits {
            io.accepting(Accepting::Paused);
        }
    }

    fn mail(&mut self, _mail: u64, io: &mut Io) {
        io.accepting(Accepting::On);
    }

    fn peer(&mut self, peer: Option<SocketAddr>) {
        self.told.take().expect("one guest").send(peer).unwrap();
    }

    fn end(&mut self, _at: At, end: End, _io: &mut Io) {
        self.end = Some(end);
    }

    fn is_done(&self) -> bool {
        self.end.is_some()
    }
}

#[test]
fn a_unix_listener_with_a_full_backlog_fails_the_connect_at_once() {
    each(|on| {
        let path = std::env::temp_dir().join(format!("corelane-full-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let full = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        full.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        full.listen(0).unwrap();
        let _waits = UnixStream::connect(&path).unwrap();
        let unanswered = Unanswered::new(Address::Unix(path.clone()), None);
        let ran = run(on, &Tune::default(), unanswered);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(ran.case.ends, [End::ConnectFailed(EAGAIN); CONNECTS * ROUNDS]);
        assert_eq!((ran.stats["connect_failures"], ran.stats["ends"]), ((CONNECTS * ROUNDS) as u64, 0));
    });
}

#[test]
fn a_connect_that_nobody_answers_is_given_up_and_costs_nothing_later() {
    each(|on| {
        // A full backlog drops what comes: connects are sent again and again, and not refused.
        let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        full.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        full.listen(0).unwrap();
        let address = full.local_addr().unwrap();
        let _wait: Vec<Socket> = (0..3)
            .map(|_| {
                let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                socket.set_nonblocking(true).unwrap();
                let _ = socket.connect(&address);
                socket
            })
            .collect();
        std::thread::sleep(Duration::from_millis(20));
        let to = Address::Tcp(address.as_socket().unwrap());
        let ran = run(on, &Tune::default(), Unanswered::new(to, Some(Duration::from_millis(3))));
        assert_eq!(ran.case.ends, [End::Aborted; CONNECTS * ROUNDS]);
        // None of them keeps its index, whatever the kernel still had to do.
        assert!(ran.case.index_max < 2 * CONNECTS, "{}", ran.case.index_max);
        assert_eq!((ran.stats["connects"], ran.stats["ends"]), (0, 0));
    });
}

const CONNECTS: usize = 6;
const ROUNDS: usize = 10;

/// Connects, some at a time, and gives up after a while.
#[derive(Debug)]
struct Unanswered {
    to: Address,
    patience: Option<Duration>,
    asked: Vec<Token>,
    give_up_at: Option<Time>,
    began: Option<Time>,
    index_max: usize,
    ends: Vec<End>,
}

impl Unanswered {
    fn new(to: Address, patience: Option<Duration>) -> Unanswered {
        let (asked, ends) = (vec![], vec![]);
        Unanswered { to, patience, asked, give_up_at: None, began: None, index_max: 0, ends }
    }

    fn next(&mut self, io: &mut Io) {
        self.asked = (0..CONNECTS).map(|_| io.connect(self.to.clone())).collect();
        self.index_max = self.asked.iter().map(|token| token.index()).max().unwrap_or(0).max(self.index_max);
        self.began = Some(io.now());
        self.give_up_at = self.patience.map(|patience| io.now() + patience);
    }
}

impl Case for Unanswered {
    fn start(&mut self, _to: &Places, io: &mut Io) {
        self.next(io);
    }

    fn open(&mut self, at: At, _io: &mut Io) {
        panic!("{at:?} opened");
    }

    fn next_deadline(&self) -> Option<Time> {
        self.give_up_at
    }

    fn deadline(&mut self, io: &mut Io) {
        self.give_up_at = None;
        for (token, how) in
            self.asked.iter().zip([Close::AfterFlush, Close::Now, Close::Reset].iter().cycle())
        {
            io.close(*token, *how);
        }
    }

    fn end(&mut self, at: At, end: End, io: &mut Io) {
        assert_eq!(at.side, Side::Caller);
        let took = io.now().since(self.began.expect("started"));
        assert!(took < Duration::from_secs(1), "{took:?}");
        self.ends.push(end);
        if self.ends.len().is_multiple_of(CONNECTS) && self.ends.len() < CONNECTS * ROUNDS {
            self.next(io);
        }
    }

    fn is_done(&self) -> bool {
        self.ends.len() == CONNECTS * ROUNDS
    }
}
