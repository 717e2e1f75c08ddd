//! The end of a server, as a service manager and its clients see it: nothing that was accepted is lost, and
//! nothing takes for ever.

#[macro_use]
mod support;

use support::client::{Client, Expected, add, get, post, sum};
use support::server::Server;
use support::{eventually, note};

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

each_engine! {
    a_drain_under_load_loses_no_request
    clients_that_come_back_are_served_or_refused_and_never_dropped
    readiness_ends_with_the_drain_and_so_does_accepting
    a_request_in_flight_is_finished
    an_idle_connection_is_closed_after_its_last_chance
    a_background_job_in_flight_is_answered
    what_arrived_before_the_end_is_answered_however_much_it_is
    the_drain_timeout_cuts_off
    a_second_signal_ends_at_once
    a_hangup_ends_nothing
}

/// Clients that ask as fast as they are answered.
const CLIENTS: usize = 8;
/// Answers that all of them have seen before the drain begins.
const ANSWERS_BEFORE: u64 = 2_000;
/// Longer than a test: idle connections may bring a request until everybody has closed.
const LONG: &str = "60s";

/// Closed loops that honour `Connection: close`: not one of them may see a failure.
fn a_drain_under_load_loses_no_request(engine: &str) {
    let mut server = Server::start(engine, &["--drain-idle", LONG, "--drain-timeout", LONG]);
    let answered = AtomicU64::new(0);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS as u64)
            .map(|number| {
                let (server, answered) = (&server, &answered);
                scope.spawn(move || {
                    let mut client = server.connect();
                    while !ask_once(&mut client, number * 1_000_000 + answered.fetch_add(1, Relaxed))? {}
                    client.must_end();
                    Ok::<_, io::Error>(())
                })
            })
            .collect();
        eventually("there is load", || answered.load(Relaxed) > ANSWERS_BEFORE);
        server.signal("TERM");
        for client in clients {
            client.join().expect("no answer is wrong").expect("no request is lost");
        }
    });
    assert_eq!(server.exit_code(), Some(0), "{}", server.log());
    note(&format!("{} requests, none lost", answered.load(Relaxed)));
}

/// Clients that open a connection for every few requests. A connection that was accepted is served; after that,
/// connecting is refused. A connection that the kernel had not handed over when the listener closed is reset before
/// it carried anything: that one is counted apart, as no server can tell it from a refused one.
fn clients_that_come_back_are_served_or_refused_and_never_dropped(engine: &str) {
    let mut server = Server::start(engine, &["--drain-idle", LONG, "--drain-timeout", LONG]);
    let (answered, reset_unused, ended) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS as u64)
            .map(|number| {
                let (address, answered) = (server.address().clone(), &answered);
                let (reset_unused, ended) = (&reset_unused, &ended);
                scope.spawn(move || {
                    loop {
                        let mut client = match Client::connect(&address) {
                            Ok(client) => client,
                            Err(error) if ended.load(Relaxed) => return Ok(error),
                            Err(error) => return Err(error),
                        };
                        for turn in 0..7 {
                            match ask_once(&mut client, number * 1_000_000 + answered.fetch_add(1, Relaxed)) {
                                Ok(false) => {}
                                Ok(true) => break,
                                Err(error) if turn == 0 && ended.load(Relaxed) && is_reset(&error) => {
                                    reset_unused.fetch_add(1, Relaxed);
                                    break;
                                }
                                Err(error) => {
                                    let text = format!("request {turn} of its connection: {error:?}");
                                    return Err(io::Error::new(error.kind(), text));
                                }
                            }
                        }
                    }
                })
            })
            .collect();
        eventually("there is load", || answered.load(Relaxed) > ANSWERS_BEFORE);
        ended.store(true, Relaxed);
        server.signal("TERM");
        for client in clients {
            let refused = client.join().expect("no answer is wrong").expect("no request is lost");
            assert!(refused.kind() == ErrorKind::ConnectionRefused || is_reset(&refused), "{refused}");
        }
    });
    assert_eq!(server.exit_code(), Some(0), "{}", server.log());
    let (answered, reset) = (answered.load(Relaxed), reset_unused.load(Relaxed));
    note(&format!("{answered} requests, {reset} connections reset before they were accepted"));
    assert!(reset <= CLIENTS as u64, "each client can meet that moment once");
}

fn readiness_ends_with_the_drain_and_so_does_accepting(engine: &str) {
    let mut server = Server::start(engine, &["--drain-idle", LONG, "--drain-timeout", LONG]);
    let (mut watcher, mut other) = (server.connect(), server.connect());
    assert_eq!(watcher.ask(get("/readyz")).status, 200);
    other.must_serve();
    let mut admin = Client::connect(server.admin()).expect("the admin port accepts");
    server.drain();
    eventually("connecting is refused", || {
        Client::connect(server.address()).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    });
    let answer = watcher.ask(get("/readyz"));
    assert_eq!((answer.status, answer.text()), (503, r#"{"status":"draining"}"#));
    assert!(answer.closes());
    watcher.must_end();
    let metrics = support::metrics::Metrics::by(&mut admin);
    assert_eq!(metrics.sum("corelane_draining", &[]), 1.0, "a drain can be watched from outside");
    // Whoever has a connection is served once more.
    let answer = other.ask(add(1, 2));
    assert_eq!((answer.status, answer.text()), (200, &*sum(1, 2)));
    assert!(answer.closes());
    drop((watcher, other));
    assert_eq!(server.exit_code(), Some(0), "{}", server.log());
}

fn a_request_in_flight_is_finished(engine: &str) {
    let mut server = Server::start(engine, &["--drain-idle", "1ms", "--drain-timeout", LONG]);
    let request = post(&format!("{}{{\"a\":1,\"b\":2}}", " ".repeat(900_000)));
    let (mut in_body, mut in_head) = (server.connect(), server.connect());
    let mut idle = server.connect();
    in_body.send(&request[..request.len() / 2]);
    in_head.send(&request[..20]);
    idle.must_serve();
    server.must_have_read(request.len() / 2 + 20 + get("/healthz").len());
    server.drain();
    // By then, nothing but what is in flight is waited for.
    idle.must_end();
    in_body.send(&request[request.len() / 2..]);
    in_head.send(&request[20..]);
    for mut client in [in_body, in_head] {
        let answer = client.answer();
        assert_eq!((answer.status, answer.text()), (200, &*sum(1, 2)));
        assert!(answer.closes());
        client.must_end();
    }
    drop(idle);
    assert_eq!(server.exit_code(), Some(0), "{}", server.log());
}

fn an_idle_connection_is_closed_after_its_last_chance(engine: &str) {
    let mut server = Server::start(engine, &["--drain-idle", "300ms", "--drain-timeout", LONG]);
    let mut clients = [server.connect(), server.connect(), server.connect()];
    clients[0].must_serve();
    server.signal("INT");
    for client in &mut clients {
        client.must_end();
    }
    drop(clients);
    assert_eq!(server.exit_code(), Some(0), "{}", server.log());
}

fn a_background_job_in_flight_is_answered(engine: &str) {
    let mut server = Server::start(engine, &["--drain-idle", LONG, "--drain-timeout", LONG]);
    let request = post(&format!("{}{{\"a\":1,\"b\":2}}", " ".repeat(900_000)));
    let mut clients: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(&request);
    }
    server.signal("TERM");
    for client in &mut clients {
        let answer = client.answer();
        assert_eq!((answer.status, answer.text()), (200, &*sum(1, 2)));
    }
    drop(clients);
    assert_eq!(server.exit_code(), Some(0), "{}", server.log());
}

/// More than the lane can have read when idle connections lose their chance: those are not idle, they wait for it.
fn what_arrived_before_the_end_is_answered_however_much_it_is(engine: &str) {
    let mut server = Server::with_one_lane(engine, &["--drain-idle", "1ms", "--drain-timeout", LONG]);
    let request = post(&format!("{}{{\"a\":1,\"b\":2}}", " ".repeat(400_000)));
    let mut clients: Vec<Client> = (0..60).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(Client::must_serve);
    for client in &mut clients {
        client.send(&request);
    }
    server.signal("TERM");
    let unanswered = clients.iter_mut().filter_map(|client| client.try_answer(Expected::Body).err()).count();
    assert_eq!(unanswered, 0);
    drop(clients);
    assert_eq!(server.exit_code(), Some(0), "{}", server.log());
}

fn the_drain_timeout_cuts_off(engine: &str) {
    let mut server = Server::start(engine, &["--drain-idle", "1ms", "--drain-timeout", "300ms"]);
    let mut client = server.connect();
    client.send(&post("{}")[..50]);
    server.must_have_read(50);
    server.drain();
    assert_eq!(server.exit_code(), Some(0), "{}", server.log());
    client.drain_to_the_end();
    assert!(server.log().contains("the drain timeout has passed"), "{}", server.log());
}

fn a_second_signal_ends_at_once(engine: &str) {
    let mut server = Server::start(engine, &["--drain-timeout", "600s"]);
    let mut client = server.connect();
    client.send(&post("{}")[..50]);
    server.must_have_read(50);
    server.drain();
    assert!(server.is_alive());
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0), "{}", server.log());
    assert!(server.log().contains("second signal"), "{}", server.log());
    client.drain_to_the_end();
}

fn a_hangup_ends_nothing(engine: &str) {
    let mut server = Server::start(engine, &[]);
    let mut client = server.connect();
    client.must_serve();
    server.signal("HUP");
    eventually("it is logged", || server.log().contains("SIGHUP"));
    client.must_serve();
    assert!(server.is_alive());
}

/// One request of its own and its whole answer; true if it was the connection's last.
fn ask_once(client: &mut Client, number: u64) -> io::Result<bool> {
    client.try_send(add(number, 1).as_bytes())?;
    let answer = client.try_answer(Expected::Body)?;
    assert_eq!((answer.status, answer.text()), (200, &*sum(number, 1)));
    Ok(answer.closes())
}

fn is_reset(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}
