//! Histories of servers, told event by event.

mod pool;

use super::{Checked, Health, Heard, Order, Pool, Rules};
use crate::config::{Check, Passive, Recovery};
use crate::control::{Admin, State};
use crate::fleet::Outcome;
use crate::pick::WEIGHT_ONE;
use net::time::Time;
use std::time::Duration;

use Admin::{Drain, Maint, Ready};
use Event::{At, Bad, Good, Set, Told};
use Outcome::{Answered, Broke, ConnectFailed, TimedOut};
use State::{Down, Ejected, Probation, Rising, Up};

/// What happens to one server.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A good check.
    Good,
    /// A bad one.
    Bad,
    /// A lane told of an outcome.
    Told(Outcome),
    /// It is so many seconds since the start.
    At(u64),
    /// The operator wants something.
    Set(Admin),
}

#[test]
fn checks_take_a_server_down_after_fall_and_bring_it_back_after_rise_and_a_slow_start() {
    tell(&[
        (Bad, Up),
        (Bad, Up),
        // One good check, and it is as if nothing had been.
        (Good, Up),
        (Bad, Up),
        (Bad, Up),
        (Bad, Down),
        (Good, Down),
        (Bad, Down),
        (Good, Down),
        (At(100), Down),
        (Good, Rising),
        (At(109), Rising),
        (At(110), Up),
    ]);
    tell(&[
        (Bad, Up),
        (Bad, Up),
        (Bad, Down),
        (Good, Down),
        (Good, Rising),
        (Bad, Rising),
        (Bad, Rising),
        (Bad, Down),
    ]);
}

#[test]
fn a_run_of_failures_ejects_and_single_requests_prove_it_after_the_ejection() {
    tell(&[
        (Told(Broke), Ejected),
        // What was under way ends as it ends.
        (Told(Broke), Ejected),
        (Told(Answered(200)), Ejected),
        (At(9), Ejected),
        (At(10), Probation),
        (Told(Answered(200)), Probation),
        (Told(Answered(404)), Rising),
        (At(20), Up),
    ]);
}

#[test]
fn an_error_on_probation_ejects_for_longer_each_time_up_to_the_longest() {
    tell(&[
        (Told(TimedOut), Ejected),
        (At(10), Probation),
        (Told(Answered(200)), Probation),
        (Told(Answered(500)), Ejected),
        (At(29), Ejected),
        (At(30), Probation),
        (Told(Broke), Ejected),
        (At(59), Ejected),
        (At(60), Probation),
        (Told(Broke), Ejected),
        (At(94), Ejected),
        (At(95), Probation),
    ]);
}

#[test]
fn time_in_up_makes_the_next_ejection_shorter_again() {
    let twice = [(Told(Broke), Ejected), (At(10), Probation), (Told(Broke), Ejected), (At(30), Probation)];
    let recovered = [(Good, Probation), (Good, Rising), (At(40), Up)];
    // Two ejections stand against it. Ten seconds of work pay for one, twenty for both.
    for (worked, lasts) in [(9, 30), (10, 20), (20, 10), (1000, 10)] {
        let again = [(At(40 + worked), Up), (Told(Broke), Ejected)];
        let end = [(At(40 + worked + lasts - 1), Ejected), (At(40 + worked + lasts), Probation)];
        tell(&[&twice[..], &recovered, &again, &end].concat());
    }
}

#[test]
fn a_check_that_passes_ends_an_ejection_only_where_connects_had_failed() {
    tell(&[
        (Told(ConnectFailed), Ejected),
        (Good, Ejected),
        (Good, Probation),
        (Good, Probation),
        (Good, Rising),
    ]);
    tell(&[
        (Told(Answered(503)), Ejected),
        (Good, Ejected),
        (Good, Ejected),
        (Good, Ejected),
        (At(10), Probation),
    ]);
}

#[test]
fn a_check_that_fails_takes_a_server_in_doubt_down_at_once() {
    tell(&[(Told(ConnectFailed), Ejected), (Bad, Down), (At(1000), Down), (Good, Down), (Good, Rising)]);
    tell(&[(Told(Broke), Ejected), (At(10), Probation), (Bad, Down)]);
}

#[test]
fn on_probation_checks_prove_something_only_where_no_request_comes() {
    let out = [(Told(Broke), Ejected), (At(10), Probation)];
    tell(&[&out[..], &[(Good, Probation), (Good, Rising)]].concat());
    let between = [(Good, Probation), (Told(Answered(200)), Probation), (Good, Probation)];
    tell(&[&out[..], &between, &[(Good, Rising)]].concat());
    tell(&[&out[..], &between, &[(Told(Answered(200)), Rising)]].concat());
}

#[test]
fn errors_that_the_operator_does_not_count_eject_nobody() {
    let mut pool = pool_of(2);
    let passive = Passive { errors_5xx: 0, ..passive() };
    let rules = Rules { passive: &passive, ..rules() };
    assert_eq!(pool.on_outcome(0, heard(Answered(500), 0), &rules, Time(0)), None);
    pool.on_outcome(0, heard(Broke, 0), &rules, Time(0)).expect("a failure counts");
    pool.on_time(|_| 0, &rules, at(10));
    pool.on_outcome(0, heard(Answered(500), 0), &rules, at(10));
    pool.on_outcome(0, heard(Answered(500), 0), &rules, at(10)).expect("they are answers, on probation too");
    assert_eq!(state(&pool, 0), Rising);
}

#[test]
fn maintenance_stops_checks_and_ends_with_a_fresh_start() {
    tell(&[
        (Set(Maint), Up),
        (Bad, Up),
        (Bad, Up),
        (Bad, Up),
        (Told(Broke), Up),
        (Set(Ready), Rising),
        (At(10), Up),
    ]);
    // Of a server that was down, checks have the word.
    tell(&[
        (Bad, Up),
        (Bad, Up),
        (Bad, Down),
        (Set(Maint), Down),
        (Set(Ready), Down),
        (Good, Down),
        (Good, Rising),
    ]);
    tell(&[
        (Told(Broke), Ejected),
        (Set(Maint), Ejected),
        (Set(Ready), Rising),
        (Told(Broke), Ejected),
        (At(10), Probation),
    ]);
}

#[test]
fn a_drained_server_is_checked_on_and_its_last_requests_say_nothing() {
    tell(&[(Set(Drain), Up), (Told(Broke), Up), (Bad, Up), (Bad, Up), (Bad, Down), (Set(Ready), Down)]);
    tell(&[(Set(Drain), Up), (Set(Ready), Up)]);
}

#[test]
fn an_ejection_waits_for_requests_from_before_it_but_only_as_long_again() {
    let mut pool = pool_of(2);
    pool.on_outcome(0, heard(TimedOut, 7), &rules(), Time(0));
    assert_eq!(due(&mut pool, 3, 10), (Ejected, u32::MAX));
    assert_eq!(due(&mut pool, 0, 12), (Probation, 1));
    let mut pool = pool_of(2);
    pool.on_outcome(0, heard(TimedOut, 7), &rules(), Time(0));
    for seconds in 10..20 {
        assert_eq!(due(&mut pool, 3, seconds).0, Ejected, "{seconds}");
    }
    // Three tunnels stay: one request more is let in beside them, and beside fewer when they are gone.
    assert_eq!(due(&mut pool, 3, 20), (Probation, 4));
    pool.on_outcome(0, heard(Answered(200), 1), &rules(), at(21));
    assert_eq!(orders(&pool, 21)[0].limit, 2);
}

#[test]
fn a_request_from_before_proves_nothing_on_probation() {
    let mut pool = pool_of(2);
    pool.on_outcome(0, heard(TimedOut, 1), &rules(), Time(0));
    assert_eq!(due(&mut pool, 1, 20), (Probation, 2));
    for outcome in [Answered(200), Broke] {
        let took = Duration::from_secs(21);
        assert_eq!(pool.on_outcome(0, Heard { took, ..heard(outcome, 0) }, &rules(), at(21)), None);
    }
    assert_eq!(orders(&pool, 21)[0].limit, 1, "it is gone, and its place with it");
    let took = Duration::from_secs(1);
    pool.on_outcome(0, Heard { took, ..heard(Broke, 0) }, &rules(), at(21)).expect("that one began in it");
}

#[test]
fn without_a_slow_start_a_server_is_up_at_once() {
    let recovery = Recovery { slow_start: Duration::ZERO, ..recovery() };
    let rules = Rules { recovery: &recovery, ..rules() };
    let mut pool = pool_of(2);
    take_down(&mut pool, 0);
    (0..2).for_each(|_| {
        pool.on_check(0, good(), &rules, Time(0));
    });
    assert_eq!(state(&pool, 0), Up);
}

#[test]
fn a_server_that_was_down_is_not_stranded_when_its_checks_are_switched_off() {
    let mut pool = pool_of(2);
    take_down(&mut pool, 0);
    let rules = Rules { check: None, ..rules() };
    pool.on_rules(&rules, Time(0));
    assert_eq!(state(&pool, 0), Probation);
}

#[test]
fn doubt_is_when_check_and_state_differ_or_traffic_failed() {
    let mut health = Health::up(Time(0));
    let mut after = |event| {
        play(&mut health, event, Time(0));
        health.is_in_doubt()
    };
    assert_eq!([Good, Bad, Bad].map(&mut after), [false, true, true]);
    assert_eq!([Bad, Bad, Good, Bad].map(&mut after), [false, false, true, false], "down");
    let mut health = Health::up(Time(0));
    play(&mut health, Told(Broke), Time(0));
    assert!(health.is_in_doubt());
}

#[test]
fn reasons_are_words_for_an_operator() {
    let mut pool = pool_of(3);
    let why = |pool: &Pool| pool.server(0).map(|health| health.why().to_owned()).unwrap_or_default();
    assert_eq!(why(&pool), "");
    take_down(&mut pool, 0);
    assert_eq!(why(&pool), "3 checks in a row failed: status 503");
    (0..2).for_each(|_| {
        pool.on_check(0, good(), &rules(), Time(0));
    });
    assert_eq!(why(&pool), "2 checks in a row passed: status 200");
    pool.on_outcome(0, heard(Answered(502), 0), &rules(), Time(0));
    assert_eq!(why(&pool), "10 requests in a row failed: status 502");
    pool.on_time(|_| 0, &rules(), at(10));
    assert_eq!(why(&pool), "its ejection is over");
    pool.on_outcome(0, heard(ConnectFailed, 0), &rules(), at(10));
    assert_eq!(why(&pool), "a request on probation failed: could not connect");
    assert_eq!(pool.server(0).map(Health::failures), Some(2));
}

/// Of a request that took no time.
fn heard(outcome: Outcome, in_flight: u32) -> Heard {
    Heard { outcome, took: Duration::ZERO, in_flight }
}

/// Plays a history at the first of four servers, and compares its state after each event.
fn tell(history: &[(Event, State)]) {
    let mut pool = pool_of(4);
    let mut now = Time(0);
    for (n, &(event, expected)) in history.iter().enumerate() {
        match event {
            Good => {
                pool.on_check(0, good(), &rules(), now);
            }
            Bad => {
                pool.on_check(0, bad(), &rules(), now);
            }
            Told(outcome) => {
                pool.on_outcome(0, heard(outcome, 0), &rules(), now);
            }
            Set(admin) => {
                pool.set_admin(0, admin, &rules(), now);
            }
            At(seconds) => {
                now = at(seconds);
                pool.on_time(|_| 0, &rules(), now);
            }
        }
        assert_eq!(state(&pool, 0), expected, "after event {n} of {history:?}");
    }
}

fn play(health: &mut Health, event: Event, now: Time) {
    match event {
        Good => {
            health.on_check(good(), &rules(), now);
        }
        Bad => {
            health.on_check(bad(), &rules(), now);
        }
        Told(outcome) => {
            health.on_outcome(heard(outcome, 0), true, &rules(), now);
        }
        At(seconds) => {
            health.on_time(0, &rules(), at(seconds));
        }
        Set(admin) => {
            health.set_admin(admin, &rules(), now);
        }
    }
}

/// Time passes; the first server's state, and how many requests it may have.
fn due(pool: &mut Pool, in_flight: u32, seconds: u64) -> (State, u32) {
    pool.on_time(|_| in_flight, &rules(), at(seconds));
    let limit = pool.server(0).map_or(0, |health| health.limit(None, at(seconds)));
    (state(pool, 0), limit)
}

fn take_down(pool: &mut Pool, server: usize) {
    (0..3).for_each(|_| {
        pool.on_check(server, bad(), &rules(), Time(0));
    });
}

fn pool_of(servers: usize) -> Pool {
    let mut pool = Pool::new();
    (0..servers).for_each(|_| pool.push(Health::up(Time(0)), 1, Some(100)));
    pool
}

fn state(pool: &Pool, server: usize) -> State {
    pool.server(server).map(Health::state).expect("the test's own index")
}

fn orders(pool: &Pool, seconds: u64) -> Vec<Order> {
    pool.orders(&[], at(seconds)).collect()
}

fn good() -> Checked<'static> {
    Checked { is_good: true, said: "status 200" }
}

fn bad() -> Checked<'static> {
    Checked { is_good: false, said: "status 503" }
}

fn at(seconds: u64) -> Time {
    Time(0) + Duration::from_secs(seconds)
}

fn rules() -> Rules<'static> {
    static CHECK: std::sync::LazyLock<Check> = std::sync::LazyLock::new(|| Check {
        path: None,
        host: String::new(),
        expect: Vec::new(),
        interval: Duration::from_secs(2),
        fast_interval: Duration::from_secs(1),
        jitter: 0.0,
        timeout: Duration::from_secs(1),
        rise: 2,
        fall: 3,
    });
    static PASSIVE: std::sync::LazyLock<Passive> = std::sync::LazyLock::new(passive);
    static RECOVERY: std::sync::LazyLock<Recovery> = std::sync::LazyLock::new(recovery);
    Rules { check: Some(&CHECK), passive: &PASSIVE, recovery: &RECOVERY }
}

fn passive() -> Passive {
    Passive {
        failures: 5,
        errors_5xx: 10,
        ejection: Duration::from_secs(10),
        ejection_max: Duration::from_secs(35),
        ejected_percent_max: 30,
    }
}

fn recovery() -> Recovery {
    Recovery { slow_start: Duration::from_secs(10), probation: 2, fail_open_percent: 50 }
}
