//! What every rule owes: open servers only, exact places, an end to looking, and no two lanes in step.

mod adaptive_tests;
mod shares_tests;
mod speeds_tests;

use super::*;
use proptest::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

const ALL: [Balance; 7] = [
    Balance::Random,
    Balance::RoundRobin,
    Balance::WeightedRoundRobin,
    Balance::Adaptive,
    Balance::LeastRequests,
    Balance::TwoChoices,
    Balance::HotCold,
];

#[test]
fn a_pick_finds_an_open_server_or_says_why_there_is_none() {
    let server = (0..4u32, 0..4u32, 0..4u32, 0..3u32, any::<bool>());
    let pools = prop::collection::vec(server, 0..50);
    proptest!(|(servers in pools, seed: u64)| {
        for balance in ALL {
            let loads: Vec<Arc<Load>> = servers.iter().map(|&(weight, limit, in_flight, latency, _)| {
                let load = Load::new(weight * WEIGHT_ONE, in_flight);
                (0..in_flight).for_each(|_| assert!(load.enter()));
                load.set_limit(limit);
                load.took(Duration::from_millis(u64::from(latency)));
                Arc::new(load)
            }).collect();
            let avoid = (0..).zip(&servers).filter(|(_, server)| server.4).map(|(n, _)| n);
            let avoid: Vec<u16> = avoid.collect();
            let has_weight: Vec<_> = loads.iter().filter(|load| load.weight() > 0).collect();
            let has_room = has_weight.iter().any(|load| load.in_flight() < load.limit());
            let open = |n: &usize| {
                loads[*n].weight() > 0 && loads[*n].in_flight() < loads[*n].limit() && !servers[*n].4
            };
            let open: Vec<usize> = (0..loads.len()).filter(open).collect();
            let before: Vec<u32> = loads.iter().map(|load| load.in_flight()).collect();
            let picked = Picker::new(balance, seed).pick(&loads, &avoid);
            match picked {
                Ok(server) => {
                    prop_assert!(open.contains(&server), "{:?}", balance);
                    prop_assert_eq!(loads[server].in_flight(), before[server] + 1);
                    loads[server].leave();
                }
                Err(Refused::NoServer) => prop_assert!(has_weight.is_empty()),
                Err(Refused::AllFull) => prop_assert!(!has_weight.is_empty() && !has_room),
                Err(Refused::OnlyTried) => prop_assert!(has_room && open.is_empty()),
            }
            let after: Vec<u32> = loads.iter().map(|load| load.in_flight()).collect();
            prop_assert_eq!(before, after);
        }
    });
}

#[test]
fn a_place_that_came_free_too_late_is_no_lack_of_servers() {
    let loads = pool(3, |_| 1, u32::MAX);
    let servers = Servers { loads: &loads, avoid: &[0] };
    assert_eq!(servers.refusal(), Refused::AllFull);
}

#[test]
fn the_last_free_place_is_found_however_many_are_full() {
    for (balance, servers) in ALL.into_iter().flat_map(|balance| [(balance, 16), (balance, 300)]) {
        let loads = pool(servers, |_| 256, 1);
        let mut picker = Picker::new(balance, 1);
        let mut taken: Vec<usize> = (0..servers).map(|_| picker.pick(&loads, &[]).unwrap()).collect();
        assert_eq!(picker.pick(&loads, &[]), Err(Refused::AllFull));
        taken.sort_unstable();
        assert!(taken.into_iter().eq(0..servers), "{balance:?}");
    }
}

#[test]
fn lanes_that_start_together_do_not_choose_together() {
    for balance in ALL {
        let loads = pool(16, |_| 1, u32::MAX);
        let mut firsts = [0; 16];
        for lane in 0..64 {
            let server = Picker::new(balance, lane).pick(&loads, &[]).unwrap();
            loads[server].leave();
            firsts[server] += 1;
        }
        let (most, chosen) = (firsts.iter().max().unwrap(), firsts.iter().filter(|&&n| n > 0).count());
        assert!(*most <= 12 && chosen >= 12, "{balance:?}: {firsts:?}");
    }
}

#[test]
fn no_server_ever_has_more_than_its_limit_however_many_lanes_send() {
    const LANES: u64 = 4;
    for balance in ALL {
        let limits = [1, 2, 3, 0, 5];
        let loads = pool(5, |_| 1, 0);
        loads.iter().zip(limits).for_each(|(load, limit)| load.set_limit(limit));
        let working: [AtomicU32; 5] = Default::default();
        let lane = |seed| {
            let mut picker = Picker::new(balance, seed);
            let mut held = Vec::new();
            for round in 0..20_000 {
                match picker.pick(&loads, &[]) {
                    Ok(server) => {
                        let before = working[server].fetch_add(1, Ordering::SeqCst);
                        assert!(before < limits[server], "{balance:?}");
                        held.push(server);
                    }
                    Err(refused) => assert_eq!(refused, Refused::AllFull),
                }
                if held.len() > round % 4 {
                    give_back(&loads, &working, held.swap_remove(0));
                }
            }
            held.into_iter().for_each(|server| give_back(&loads, &working, server));
        };
        thread::scope(|scope| (0..LANES).for_each(|seed| drop(scope.spawn(move || lane(seed)))));
        assert!(loads.iter().all(|load| load.in_flight() == 0));
    }
}

fn give_back(loads: &[Arc<Load>], working: &[AtomicU32; 5], server: usize) {
    working[server].fetch_sub(1, Ordering::SeqCst);
    loads[server].leave();
}

#[test]
fn a_pool_that_grows_or_shrinks_is_followed() {
    for balance in ALL {
        let mut picker = Picker::new(balance, 5);
        assert_eq!(picker.pick(&[], &[0]), Err(Refused::NoServer));
        for servers in [40, 3, 1, 2, 64, 33] {
            let loads = pool(servers, |_| 1, u32::MAX);
            let counts = counts(&mut picker, &loads, 100 * servers);
            assert!(counts.iter().all(|&count| count > 0), "{balance:?}: {counts:?}");
        }
    }
}

#[test]
fn what_was_tried_is_not_picked_again() {
    for (balance, servers) in ALL.into_iter().flat_map(|balance| [(balance, 4), (balance, 50)]) {
        let loads = pool(servers, |n| if n == 1 { 200 } else { 1 }, u32::MAX);
        let mut picker = Picker::new(balance, 9);
        for _ in 0..1_000 {
            let server = picker.pick(&loads, &[1, 3, 60_000]).unwrap();
            assert!(server != 1 && server != 3, "{balance:?}");
            loads[server].leave();
        }
        let all: Vec<u16> = (0..servers as u16).collect();
        assert_eq!(picker.pick(&loads, &all), Err(Refused::OnlyTried), "{balance:?}");
    }
}

/// Servers with weights in whole units, and a limit.
fn pool(servers: usize, weight: impl Fn(usize) -> u32, limit: u32) -> Vec<Arc<Load>> {
    (0..servers).map(|n| Arc::new(Load::new(weight(n) * WEIGHT_ONE, limit))).collect()
}

/// How often each server is chosen when one request follows another.
fn counts(picker: &mut Picker, loads: &[Arc<Load>], picks: usize) -> Vec<usize> {
    let mut counts = vec![0; loads.len()];
    for _ in 0..picks {
        let server = picker.pick(loads, &[]).unwrap();
        loads[server].leave();
        counts[server] += 1;
    }
    counts
}

/// How often each server is chosen while `held` requests are always under way, the oldest of which ends next.
fn counts_busy(picker: &mut Picker, loads: &[Arc<Load>], held: usize, picks: usize) -> Vec<usize> {
    let mut under_way = std::collections::VecDeque::new();
    let mut counts = vec![0; loads.len()];
    for _ in 0..picks {
        let server = picker.pick(loads, &[]).unwrap();
        counts[server] += 1;
        under_way.push_back(server);
        if under_way.len() > held {
            loads[under_way.pop_front().unwrap()].leave();
        }
    }
    under_way.into_iter().for_each(|server| loads[server].leave());
    counts
}
