//! Servers of a pool together; and random histories, of which only what must always hold is asked.

use super::*;
use proptest::prelude::*;

#[test]
fn the_only_server_that_works_is_never_ejected() {
    let mut one = pool_of(1);
    assert_eq!(one.on_outcome(0, heard(Broke, 0), &rules(), Time(0)), None);
    for takes_out in [take_down as fn(&mut Pool, usize), drain, ejected, weightless] {
        let mut pool = pool_of(2);
        takes_out(&mut pool, 1);
        assert_eq!(pool.on_outcome(0, heard(Broke, 0), &rules(), Time(0)), None);
        assert_eq!(state(&pool, 0), Up);
    }
}

#[test]
fn the_ejected_share_is_bounded_and_servers_on_probation_count() {
    let mut pool = pool_of(10);
    for server in 0..10 {
        pool.on_outcome(server, heard(Broke, 0), &rules(), Time(0));
    }
    assert_eq!(states(&pool, Ejected), 3);
    pool.on_time(|_| 0, &rules(), at(10));
    assert_eq!(states(&pool, Probation), 3);
    assert_eq!(pool.on_outcome(9, heard(Broke, 0), &rules(), at(10)), None);
    pool.on_outcome(0, heard(Broke, 0), &rules(), at(10))
        .expect("one that is out already may be put out again");
    (0..2).for_each(|_| {
        pool.on_outcome(1, heard(Answered(200), 0), &rules(), at(10));
    });
    pool.on_outcome(9, heard(Broke, 0), &rules(), at(10)).expect("there is room again");
}

#[test]
fn with_too_few_servers_all_that_the_operator_wants_are_used_until_enough_work_again() {
    let mut pool = pool_of(5);
    pool.set_admin(4, Drain, &rules(), Time(0));
    [0, 1].into_iter().for_each(|server| take_down(&mut pool, server));
    // Two of four work, as many as is asked for.
    assert_eq!(weights(&pool), [0, 0, 256, 256, 0]);
    take_down(&mut pool, 2);
    assert!(pool.is_failing_open());
    assert_eq!(weights(&pool), [256, 256, 256, 256, 0]);
    pool.on_check(0, good(), &rules(), Time(0));
    let change = pool.on_check(0, good(), &rules(), Time(0)).expect("it is back");
    // It had all of its work before: a slow start would only take it away.
    assert_eq!((change.from, state(&pool, 0)), (Down, Up));
    assert!(!pool.is_failing_open());
    assert_eq!(weights(&pool), [256, 0, 0, 256, 0]);
}

#[test]
fn when_all_are_down_nobody_gets_work() {
    let mut pool = pool_of(2);
    [0, 1].into_iter().for_each(|server| take_down(&mut pool, server));
    assert!(!pool.is_failing_open());
    assert_eq!(weights(&pool), [0, 0]);
}

#[test]
fn without_a_share_to_fail_open_at_the_last_one_that_works_has_it_all() {
    let recovery = Recovery { fail_open_percent: 0, ..recovery() };
    let rules = Rules { recovery: &recovery, ..rules() };
    let mut pool = pool_of(4);
    for server in [0, 1, 2].repeat(3) {
        pool.on_check(server, bad(), &rules, Time(0));
    }
    assert_eq!(weights(&pool), [0, 0, 0, 256]);
}

#[test]
fn a_weight_is_multiplied_and_never_rounded_away() {
    let mut pool = pool_of(3);
    pool.set_weight(1, 4, &rules());
    pool.set_weight(2, 0, &rules());
    let weights: Vec<u32> = pool.orders(&[0.0001, 0.5, 1.0], Time(0)).map(|order| order.weight).collect();
    assert_eq!(weights, [1, 512, 0]);
}

#[test]
fn a_slow_start_grows_in_twenty_steps_from_a_tenth_of_weight_and_limit() {
    let mut pool = pool_of(2);
    take_down(&mut pool, 0);
    (0..2).for_each(|_| {
        pool.on_check(0, good(), &rules(), Time(0));
    });
    let mut seen = Vec::new();
    let mut now = Time(0);
    while let Some(next) = pool.next_deadline(now) {
        assert!(next > now, "a deadline that is past would be met for ever");
        seen.push(pool.orders(&[], now).next().expect("two servers"));
        now = next;
        pool.on_time(|_| 0, &rules(), now);
    }
    assert_eq!(now, at(10));
    let (weights, limits): (Vec<u32>, Vec<u32>) =
        seen.iter().map(|order| (order.weight, order.limit)).unzip();
    assert_eq!(seen.len(), 20);
    assert_eq!((weights[0], limits[0]), (WEIGHT_ONE.div_ceil(10), 10));
    assert_eq!((weights[10], limits[10]), (141, 55));
    assert!(weights.is_sorted() && limits.is_sorted());
    assert_eq!(orders(&pool, 10)[0], Order { weight: WEIGHT_ONE, limit: 100, is_watched: false });
}

proptest! {
    #[test]
    fn whatever_happens_nobody_gets_work_who_must_not_and_nobody_stays_ejected(
        servers in 1_usize..8,
        percent in prop::sample::select(vec![0, 10, 50, 100]),
        fail_open in prop::sample::select(vec![0, 30, 100]),
        events in prop::collection::vec((0_usize..8, any_event(), 0_u32..4), 1..200),
    ) {
        let passive = Passive { ejected_percent_max: percent, ..passive() };
        let recovery = Recovery { fail_open_percent: fail_open, ..recovery() };
        let rules = Rules { passive: &passive, recovery: &recovery, ..rules() };
        let mut pool = pool_of(servers);
        let mut now = Time(0);
        for (server, event, in_flight) in events {
            let server = server % servers;
            match event {
                Good => {
pool.on_check(server, good(), &rules, now);
}
                Bad => {
pool.on_check(server, bad(), &rules, now);
}
                Told(outcome) => {
pool.on_outcome(server, heard(outcome, in_flight), &rules, now);
}
                At(seconds) => now = now + Duration::from_secs(seconds % 40),
                Set(admin) => {
pool.set_admin(server, admin, &rules, now);
}
            }
            pool.on_time(|_| in_flight, &rules, now);
            check_invariants(&pool, percent as usize, now)?;
        }
        // Left alone for as long as the longest ejection takes, twice: nobody is ejected any more.
        for _ in 0..200 {
            let Some(next) = pool.next_deadline(now) else { break };
            prop_assert!(next >= now);
            now = next;
            pool.on_time(|_| 1, &rules, now);
        }
        prop_assert_eq!(pool.next_deadline(now), None);
        prop_assert_eq!(states(&pool, Ejected), 0);
    }
}

fn check_invariants(pool: &Pool, percent: usize, now: Time) -> Result<(), TestCaseError> {
    let count = pool.servers().len();
    let out = pool.servers().filter(|health| health.is_out()).count();
    prop_assert!(out <= (count * percent / 100).max(1) && (count > 1 || out == 0));
    for (health, order) in pool.servers().zip(pool.orders(&[], now)) {
        let is_open = pool.is_failing_open();
        match (health.admin(), health.state()) {
            (Ready, Up) => prop_assert_eq!((order.weight, order.limit), (WEIGHT_ONE, 100)),
            (Ready, Rising | Probation) => prop_assert!(order.weight > 0 && order.limit > 0),
            (Ready, Down | Ejected) => prop_assert_eq!(order.weight > 0, is_open),
            (Drain | Maint, _) => prop_assert_eq!(order.weight, 0),
        }
        prop_assert_eq!(order.is_watched, health.state() == Probation);
    }
    Ok(())
}

fn any_event() -> impl Strategy<Value = Event> {
    let outcome = prop::sample::select(vec![Answered(200), Answered(500), Broke, TimedOut, ConnectFailed]);
    prop_oneof![
        Just(Good),
        Just(Bad),
        outcome.prop_map(Told),
        any::<u64>().prop_map(At),
        prop::sample::select(vec![Ready, Ready, Drain, Maint]).prop_map(Set),
    ]
}

fn drain(pool: &mut Pool, server: usize) {
    pool.set_admin(server, Drain, &rules(), Time(0));
}

fn ejected(pool: &mut Pool, server: usize) {
    pool.on_outcome(server, heard(Broke, 0), &rules(), Time(0));
}

fn weightless(pool: &mut Pool, server: usize) {
    pool.set_weight(server, 0, &rules());
}

fn states(pool: &Pool, state: State) -> usize {
    pool.servers().filter(|health| health.state() == state).count()
}

fn weights(pool: &Pool) -> Vec<u32> {
    pool.orders(&[], Time(0)).map(|order| order.weight).collect()
}
