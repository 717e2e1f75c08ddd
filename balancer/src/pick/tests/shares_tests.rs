//! Who gets how much: each rule's distribution, and what changes it.

use super::*;

#[test]
fn equal_servers_get_equal_shares_from_every_rule() {
    for (balance, servers) in ALL.into_iter().flat_map(|balance| [(balance, 10), (balance, 100)]) {
        let loads = pool(servers, |_| 3, u32::MAX);
        loads.iter().for_each(|load| load.took(Duration::from_millis(5)));
        for held in [0, 25] {
            let counts = counts_busy(&mut Picker::new(balance, 3), &loads, held, 1_000 * servers);
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(*least > 850 && *most < 1_150, "{balance:?}, {held} held: {least} to {most}");
        }
    }
}

#[test]
fn round_robin_is_exact_and_a_server_without_weight_leaves_its_turns_to_all() {
    let loads = pool(5, |n| [9, 0, 1, 1, 3][n], u32::MAX);
    assert_eq!(
        counts(&mut Picker::new(Balance::RoundRobin, 1), &loads, 4_000),
        [1_000, 0, 1_000, 1_000, 1_000]
    );
}

#[test]
fn random_follows_weights() {
    let loads = pool(50, |n| n as u32, u32::MAX);
    let counts = counts(&mut Picker::new(Balance::Random, 1), &loads, 49 * 25 * 100);
    for (n, &count) in counts.iter().enumerate() {
        // Five standard deviations.
        let expected = 100.0 * n as f64;
        assert!((count as f64 - expected).abs() <= 5.0 * expected.sqrt(), "{n}: {count}");
    }
}

#[test]
fn random_follows_the_smallest_weights() {
    let loads = [0, 1, 1, 2, 0].map(|weight| Arc::new(Load::new(weight, u32::MAX)));
    let counts = counts(&mut Picker::new(Balance::Random, 1), &loads, 8_000);
    for (count, expected) in counts.iter().zip([0, 2_000, 2_000, 4_000, 0_usize]) {
        assert!(count.abs_diff(expected) <= expected / 10, "{counts:?}");
    }
}

#[test]
fn a_weight_that_falls_counts_with_the_next_pick() {
    for balance in [Balance::Random, Balance::TwoChoices] {
        let mut picks = 0;
        for seed in 0..200 {
            let loads = pool(200, |n| if n == 100 { 250 } else { 1 }, u32::MAX);
            let mut picker = Picker::new(balance, seed);
            counts(&mut picker, &loads, 1);
            loads[100].set_weight(1);
            picks += counts(&mut picker, &loads, 1)[100];
        }
        // By the weight that it had, it would be every second one.
        assert!(picks <= 20, "{balance:?}: {picks}");
    }
}

#[test]
fn a_weight_that_falls_counts_from_the_next_turn_on() {
    let loads = pool(200, |n| if n == 100 { 250 } else { 1 }, u32::MAX);
    let mut picker = Picker::new(Balance::Adaptive, 1);
    counts(&mut picker, &loads, 1);
    loads[100].set_weight(WEIGHT_ONE);
    assert!(counts(&mut picker, &loads, 40)[100] <= 2);
}

#[test]
fn a_retry_elsewhere_follows_weights_and_forgets_nobody() {
    let loads = pool(200, |n| [1_000, 1, 3].get(n).copied().unwrap_or(2), u32::MAX);
    let mut picker = Picker::new(Balance::Random, 5);
    let (mut first, mut again) = (vec![0; 200], vec![0; 200]);
    for _ in 0..60_000 {
        for (avoid, counts) in [(&[][..], &mut first), (&[0][..], &mut again)] {
            let server = picker.pick(&loads, avoid).unwrap();
            loads[server].leave();
            counts[server] += 1;
        }
    }
    // 1,000 of 1,398 parts, and 3 of 398.
    assert!((42_000..44_000).contains(&first[0]), "{}", first[0]);
    assert!((360..550).contains(&again[2]) && (100..210).contains(&again[1]), "{:?}", &again[..3]);
}

#[test]
fn turns_follow_weights_at_every_moment() {
    proptest!(|(weights in prop::collection::vec(0..40u32, 1..60), seed: u64)| {
        let total: u32 = weights.iter().sum();
        prop_assume!(total > 0);
        let loads = pool(weights.len(), |n| weights[n], u32::MAX);
        let mut picker = Picker::new(Balance::WeightedRoundRobin, seed);
        let mut counts = vec![0; weights.len()];
        for picks in 1..=3 * total {
            let server = picker.pick(&loads, &[]).unwrap();
            counts[server] += 1;
            for (&weight, &count) in weights.iter().zip(&counts) {
                let share = f64::from(weight) / f64::from(total);
                // Each is within a turn of the clock, and the clock within a turn of each of them.
                let apart = (f64::from(count) - share * f64::from(picks)).abs();
                let most = 1.01 + share * weights.len() as f64;
                prop_assert!(apart <= most, "{} of {}: {}", weight, total, count);
            }
        }
    });
}

#[test]
fn a_weight_that_grows_brings_the_next_turn_forward() {
    for seed in 0..20 {
        let loads = pool(3, |_| 1, u32::MAX);
        loads[0].set_weight(1);
        let mut picker = Picker::new(Balance::Adaptive, seed);
        counts(&mut picker, &loads, 10);
        loads[0].set_weight(WEIGHT_ONE);
        let counts = counts(&mut picker, &loads, 30);
        assert!(counts[0] >= 9, "{counts:?}");
    }
}

#[test]
fn a_heavy_servers_turns_are_spread() {
    let loads = pool(3, |n| [5, 1, 1][n], u32::MAX);
    let mut picker = Picker::new(Balance::WeightedRoundRobin, 8);
    let order: Vec<usize> = (0..700).map(|_| picker.pick(&loads, &[]).unwrap()).collect();
    for window in order.windows(7) {
        let heavy = window.iter().filter(|&&server| server == 0).count();
        assert!((4..=6).contains(&heavy), "{window:?}");
    }
}

#[test]
fn requests_in_flight_settle_by_weight() {
    for balance in [Balance::LeastRequests, Balance::TwoChoices] {
        let loads = pool(4, |n| [1, 2, 2, 5][n], u32::MAX);
        let mut picker = Picker::new(balance, 2);
        (0..1_000).for_each(|_| assert!(picker.pick(&loads, &[]).is_ok()));
        let seen: Vec<u32> = loads.iter().map(|load| load.in_flight()).collect();
        for (in_flight, expected) in seen.iter().zip([100, 200, 200, 500]) {
            assert!(in_flight.abs_diff(expected) <= 12, "{balance:?}: {seen:?}");
        }
    }
}

#[test]
fn the_least_loaded_server_is_found_and_equals_take_turns() {
    let loads = pool(16, |_| 1, u32::MAX);
    let mut picker = Picker::new(Balance::LeastRequests, 4);
    let first: Vec<usize> = (0..16).map(|_| picker.pick(&loads, &[]).unwrap()).collect();
    assert!(loads.iter().all(|load| load.in_flight() == 1));
    loads[3].leave();
    loads[11].leave();
    let two = [picker.pick(&loads, &[]).unwrap(), picker.pick(&loads, &[]).unwrap()];
    assert!(two == [3, 11] || two == [11, 3]);
    let rotated = |n: usize| (first[0] + n) % 16;
    assert!((0..16).map(rotated).eq(first.iter().copied()));
}

#[test]
fn the_heavier_of_idle_servers_comes_first_and_full_ones_never() {
    for seed in 0..50 {
        let loads = pool(4, |n| [1, 2, 2, 9][n], u32::MAX);
        loads[3].set_limit(0);
        (0..3).for_each(|_| assert!(loads[1].enter()));
        let mut picker = Picker::new(Balance::LeastRequests, seed);
        // 1/2 of the third, 1/1 of the first and 2/2 of the third, then 3/2 of the third.
        let picked: Vec<usize> = (0..4).map(|_| picker.pick(&loads, &[]).unwrap()).collect();
        assert!(picked == [2, 0, 2, 2] || picked == [2, 2, 0, 2], "{picked:?}");
    }
}

#[test]
fn two_choices_looks_at_two_and_takes_the_better() {
    let loads = pool(40, |_| 1, u32::MAX);
    (0..20).for_each(|n| (0..50).for_each(|_| assert!(loads[n].enter())));
    for balance in [Balance::TwoChoices, Balance::LeastRequests] {
        let counts = counts(&mut Picker::new(balance, 6), &loads, 40_000);
        let busy: usize = counts[..20].iter().sum();
        // Both are busy: 20/40 · 19/39 = 0.2436; with the same one twice it would be 0.25 + 0.5/40.
        assert!((9_450..=10_050).contains(&busy), "{balance:?}: {busy}");
    }
}

#[test]
fn a_weight_that_changes_is_followed_without_a_break() {
    for balance in [Balance::Random, Balance::WeightedRoundRobin, Balance::Adaptive, Balance::RoundRobin] {
        let loads = pool(200, |_| 1, u32::MAX);
        let mut picker = Picker::new(balance, 3);
        counts(&mut picker, &loads, 1_000);
        loads[7].set_weight(0);
        assert_eq!(counts(&mut picker, &loads, 10_000)[7], 0, "{balance:?}");
        loads[7].set_weight(WEIGHT_ONE * 4);
        let after = counts(&mut picker, &loads, 20_000)[7];
        let due = if balance == Balance::RoundRobin { 100 } else { 400 };
        assert!((due - 75..due + 75).contains(&after), "{balance:?}: {after}");
    }
}

#[test]
fn a_server_that_comes_back_gets_no_flood() {
    for balance in ALL {
        let loads = pool(8, |n| if n == 0 { 0 } else { 1 }, u32::MAX);
        let mut picker = Picker::new(balance, 3);
        loads[1..].iter().for_each(|load| load.took(Duration::from_millis(5)));
        let mut held: std::collections::VecDeque<usize> =
            (0..400).map(|_| picker.pick(&loads, &[]).unwrap()).collect();
        // As in slow start: a tenth, and nothing known of it.
        loads[0].set_weight(WEIGHT_ONE / 10);
        for round in 0..400 {
            held.push_back(picker.pick(&loads, &[]).unwrap());
            loads[held.pop_front().unwrap()].leave();
            let most = match balance {
                // Its turns have the same weight as the others'.
                Balance::RoundRobin => round / 8 + 1,
                // A tenth of what the others have; chance allows for more at times.
                _ => 12,
            };
            assert!(loads[0].in_flight() <= most, "{balance:?}: {}", loads[0].in_flight());
        }
        assert!(loads[0].in_flight() > 0, "{balance:?}");
    }
}

#[test]
fn a_retry_elsewhere_takes_no_turn_away() {
    let loads = pool(3, |n| [6, 3, 1][n], u32::MAX);
    let mut picker = Picker::new(Balance::WeightedRoundRobin, 5);
    let mut counts = [0; 3];
    for n in 0..10_000 {
        counts[picker.pick(&loads, &[]).unwrap()] += 1;
        if n % 4 == 0 {
            picker.pick(&loads, &[0]).unwrap();
        }
    }
    // The heavy one keeps its place in line, and the others, who had more turns, wait for it.
    assert!(counts[0] > 6_000, "{counts:?}");
}
