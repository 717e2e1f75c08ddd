//! The cache against a map that forgets nothing, and against what is expected of its choices.
//!
//! A cache may always miss, so the map can only say when a hit is wrong. That it hits where it should is what
//! the tests with a hot set are for.

use std::collections::HashMap;

use net::time::Time;
use proptest::collection::vec;
use proptest::prelude::*;
use server::cache::{Cache, Key, Lives, Rendered};

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_hit_is_what_was_inserted_last_and_not_over(
        bytes_max in prop_oneof![Just(0_usize), Just(4095), 4096..10_000_usize, 4096..200_000_usize],
        steps in vec(step(), 1..600),
    ) {
        let mut pair = Pair::new(bytes_max);
        for step in steps {
            pair.take(step);
            pair.check();
        }
    }

    #[test]
    fn keys_that_differ_in_one_place_are_different_keys(keys in vec(("[ab]{0,3}", 0..3_u16), 1..60)) {
        let mut pair = Pair::new(1 << 16);
        for (i, (bytes, route)) in keys.into_iter().enumerate() {
            let key = (route, bytes.into_bytes());
            pair.get(&key);
            pair.insert(&key, vec![i as u8; 20], Lives::Forever);
            pair.check();
        }
    }
}

#[test]
fn whatever_fits_stays() {
    let mut cache = Cache::new(1 << 20);
    for n in 0..4_000 {
        insert(&mut cache, n);
    }
    assert!((0..4_000).all(|n| hit(&mut cache, n)));
    assert_eq!(cache.counters().evictions, 0);
}

#[test]
fn most_of_the_budget_holds_entries() {
    for bytes_max in [100_000, 1 << 17, 1_000_000, 4 << 20] {
        let mut cache = Cache::seeded(bytes_max, 1);
        for n in 0..100_000 {
            insert(&mut cache, n);
        }
        let held = cache.counters().entries * (8 + VALUE_BYTES);
        assert!(held * 10 > bytes_max * 6, "{held} of {bytes_max}");
        assert!(cache.counters().bytes <= bytes_max);
    }
}

#[test]
fn an_entry_ends_at_its_moment() {
    let mut cache = Cache::new(1 << 16);
    let key = Key { route: 1, bytes: b"k" };
    let value = Rendered { bytes: b"v", date_at: 3, body_at: 4 };
    cache.insert(key, value, Lives::Until(Time(100)));
    assert_eq!(cache.get(key, Time(99)), Some(value));
    assert_eq!(cache.get(key, Time(100)), None);
    // It is gone, not hidden.
    assert_eq!(cache.get(key, Time(99)), None);
    let counters = cache.counters();
    assert_eq!((counters.hits, counters.misses, counters.expirations, counters.entries), (1, 2, 1, 0));
    cache.insert(key, value, Lives::Forever);
    assert_eq!(cache.get(key, Time::NEVER), Some(value));
}

#[test]
fn what_is_too_large_is_refused_and_takes_its_old_value_along() {
    let mut cache = Cache::new(1 << 16);
    let key = Key { route: 1, bytes: b"k" };
    let rendered = |bytes| Rendered { bytes, date_at: 0, body_at: 0 };
    cache.insert(key, rendered(b"small"), Lives::Forever);
    cache.insert(key, rendered(&[0; 4096]), Lives::Forever);
    assert_eq!(cache.get(key, Time(0)), None);
    cache.insert(key, rendered(&[0; 4000]), Lives::Forever);
    assert_eq!(cache.get(key, Time(0)), Some(rendered(&[0; 4000])));
    assert_eq!(cache.counters().refused, 1);
}

#[test]
fn no_budget_is_no_cache() {
    let mut cache = Cache::new(0);
    insert(&mut cache, 1);
    assert!(!hit(&mut cache, 1));
    assert_eq!(cache.counters(), server::cache::Counters::default());
}

#[test]
fn a_budget_is_not_taken_before_it_is_needed() {
    let mut cache = Cache::new(1 << 30);
    insert(&mut cache, 1);
    assert!(cache.counters().bytes < 4096, "{:?}", cache.counters());
}

#[test]
fn a_hot_set_survives_a_long_scan() {
    let (mut cache, hot) = with_hot_set();
    for n in 0..hot {
        insert(&mut cache, n);
        hit(&mut cache, n);
    }
    // Between two gets of a hot key come 2.5 times as many other keys as fit: an LRU cache would
    // have lost it each time.
    let ratio = hot_ratio_during_scan(&mut cache, hot, 100_000);
    assert!(ratio > 0.99, "{ratio}");
}

#[test]
fn a_hot_set_that_comes_during_a_scan_gets_in() {
    let (mut cache, hot) = with_hot_set();
    hot_ratio_during_scan(&mut cache, hot, 3 * hot);
    // Slowly: two gets of a key are further apart than most ghosts live.
    let ratio = hot_ratio_during_scan(&mut cache, hot, 100_000);
    assert!(ratio > 0.95, "{ratio}");
}

#[test]
fn skewed_keys_hit_nearly_as_often_as_the_best_choice_would() {
    let mut cache = Cache::seeded(1 << 18, 1);
    let mut dice = Dice(1);
    let (mut hits, mut likely) = (0, 0);
    let gets = 200_000;
    for _ in 0..gets {
        // The density falls with the key's number: half of all gets go to 1/8 of the keys.
        let n = (dice.unit().powi(3) * 8_000.0) as u64;
        hits += u64::from(hit(&mut cache, n));
        insert_if_missed(&mut cache, n);
        likely += u64::from(n < cache.counters().entries as u64);
    }
    let part = hits as f64 / likely as f64;
    assert!(
        part > 0.85,
        "{hits} of {gets}; {likely} are for the keys that a cache which knows them would keep"
    );
}

const VALUE_BYTES: usize = 140;

/// A cache, and half the number of entries that fit into it.
fn with_hot_set() -> (Cache, u64) {
    let mut cache = Cache::seeded(1 << 18, 1);
    for n in 0..10_000 {
        insert(&mut cache, n);
    }
    let fit = cache.counters().entries as u64;
    (Cache::seeded(1 << 18, 1), fit / 2)
}

/// Gets of hot keys in turn, four keys that never come again after each.
fn hot_ratio_during_scan(cache: &mut Cache, hot: u64, gets: u64) -> f64 {
    let mut hits = 0;
    let scanned = 1_000_000 + cache.counters().inserts;
    for i in 0..gets {
        hits += u64::from(hit(cache, i % hot));
        insert_if_missed(cache, i % hot);
        for n in 0..4 {
            insert_if_missed(cache, scanned + i * 4 + n);
        }
    }
    hits as f64 / gets as f64
}

fn hit(cache: &mut Cache, n: u64) -> bool {
    cache.get(Key { route: 1, bytes: &n.to_le_bytes() }, Time(0)).is_some()
}

fn insert(cache: &mut Cache, n: u64) {
    let value = Rendered { bytes: &[n as u8; VALUE_BYTES], date_at: 0, body_at: 0 };
    cache.insert(Key { route: 1, bytes: &n.to_le_bytes() }, value, Lives::Forever);
}

fn insert_if_missed(cache: &mut Cache, n: u64) {
    if !hit(cache, n) {
        insert(cache, n);
    }
}

struct Dice(u64);

impl Dice {
    /// From 0 to 1 (xorshift64, Marsaglia 2003).
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[derive(Clone, Debug)]
enum Step {
    Get(Name),
    Insert(Name, Vec<u8>, Option<u64>),
    Pass(u64),
}

type Name = (u16, Vec<u8>);

fn step() -> impl Strategy<Value = Step> {
    // Lengths from nothing to more than the smaller budgets take.
    let value = (any::<u8>(), prop_oneof![8 => 0..200_usize, 1 => 0..2_000_usize])
        .prop_map(|(byte, len)| vec![byte; len]);
    prop_oneof![
        4 => name().prop_map(Step::Get),
        4 => (name(), value, prop::option::of(0..50_u64)).prop_map(|(n, v, life)| Step::Insert(n, v, life)),
        1 => (0..20_u64).prop_map(Step::Pass),
    ]
}

fn name() -> impl Strategy<Value = Name> {
    (0..2_u16, prop_oneof![(0..10_u8).prop_map(|n| vec![n]), (0..80_u8).prop_map(|n| vec![n; n as usize])])
}

/// The cache and the map, side by side.
struct Pair {
    cache: Cache,
    bytes_max: usize,
    map: HashMap<Name, (Vec<u8>, u16, Lives)>,
    now: Time,
    gets: u64,
}

impl Pair {
    fn new(bytes_max: usize) -> Pair {
        Pair { cache: Cache::new(bytes_max), bytes_max, map: HashMap::new(), now: Time(0), gets: 0 }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Get(name) => self.get(&name),
            Step::Insert(name, value, None) => self.insert(&name, value, Lives::Forever),
            Step::Insert(name, value, Some(life)) => {
                self.insert(&name, value, Lives::Until(Time(self.now.0 + life)));
            }
            Step::Pass(nanos) => self.now.0 += nanos,
        }
    }

    fn get(&mut self, name: &Name) {
        self.gets += 1;
        let Some(hit) = self.cache.get(Key { route: name.0, bytes: &name.1 }, self.now) else { return };
        let (value, mark, lives) = self.map.get(name).expect("a hit was inserted once");
        assert_eq!(hit, Rendered { bytes: value, date_at: *mark, body_at: mark.wrapping_add(1) });
        assert!(!matches!(lives, Lives::Until(end) if *end <= self.now));
    }

    fn insert(&mut self, name: &Name, value: Vec<u8>, lives: Lives) {
        let mark = self.gets as u16;
        let rendered = Rendered { bytes: &value, date_at: mark, body_at: mark.wrapping_add(1) };
        self.cache.insert(Key { route: name.0, bytes: &name.1 }, rendered, lives);
        self.map.insert(name.clone(), (value, mark, lives));
    }

    fn check(&self) {
        let c = self.cache.counters();
        assert!(c.bytes <= self.bytes_max, "{c:?}");
        let left = c.replaced + c.evictions + c.expirations;
        assert_eq!(c.entries as u64, c.inserts - left, "{c:?}");
        assert!(c.entries <= self.map.len(), "{c:?}");
        let gets = if self.bytes_max < 4096 { 0 } else { self.gets };
        assert_eq!(c.hits + c.misses, gets, "{c:?}");
    }
}
