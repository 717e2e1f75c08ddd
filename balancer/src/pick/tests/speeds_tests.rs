//! The hot-cold rule: in flight first, then latency, and no server for ever.

use super::*;

#[test]
fn of_the_cold_ones_the_fastest_is_chosen() {
    for servers in [4, 60] {
        let loads = pool(servers, |_| 1, u32::MAX);
        for (n, load) in loads.iter().enumerate() {
            load.took(Duration::from_millis(if n == 2 { 1 } else { 10 }));
        }
        let mut picker = Picker::new(Balance::HotCold, 1);
        let counts = counts(&mut picker, &loads, 10_000);
        // Of a large pool eight candidates are looked at, of which it is one with 1 - (59/60)^8 = 0.126.
        let expected = if servers == 4 { 9_766 } else { 1_220 };
        assert!(counts[2].abs_diff(expected) < 120, "{}", counts[2]);
    }
}

#[test]
fn a_fast_server_with_much_to_do_is_passed_over() {
    let loads = pool(8, |_| 1, u32::MAX);
    loads.iter().for_each(|load| load.took(Duration::from_millis(10)));
    (0..20).for_each(|_| loads[5].took(Duration::from_millis(1)));
    let mut picker = Picker::new(Balance::HotCold, 1);
    let counts = counts_busy(&mut picker, &loads, 40, 10_000);
    let most = loads[5].latency_us();
    assert!(most < 5_000);
    // It gets more than its share, an eighth; but a queue at one server and idle ones beside it are no gain.
    assert!((1_250..4_000).contains(&counts[5]), "{counts:?}");
    assert!(counts.iter().all(|&count| count > 200), "{counts:?}");
}

#[test]
fn a_server_that_reports_a_load_from_elsewhere_is_hot() {
    let loads = pool(8, |_| 1, u32::MAX);
    loads.iter().for_each(|load| load.took(Duration::from_millis(10)));
    (0..50).for_each(|_| loads[1].took(Duration::from_millis(1)));
    loads[1].report(30);
    let counts = counts(&mut Picker::new(Balance::HotCold, 1), &loads, 10_000);
    assert_eq!(counts[1], 0);
}

#[test]
fn a_report_that_is_older_than_what_we_sent_does_not_count() {
    let loads = pool(8, |_| 1, u32::MAX);
    loads.iter().for_each(|load| load.took(Duration::from_millis(10)));
    (0..50).for_each(|_| loads[1].took(Duration::from_millis(1)));
    loads.iter().for_each(|load| load.report(0));
    let mut picker = Picker::new(Balance::HotCold, 1);
    (0..800).for_each(|_| assert!(picker.pick(&loads, &[]).is_ok()));
    assert!(loads[1].in_flight() < 200, "{}", loads[1].in_flight());
}

#[test]
fn when_all_are_hot_the_one_with_the_fewest_in_flight_is_chosen() {
    let loads = pool(4, |_| 1, u32::MAX);
    for (n, load) in loads.iter().enumerate() {
        load.took(Duration::from_millis(1 + n as u64));
        (0..9 - 2 * n).for_each(|_| assert!(load.enter()));
    }
    // A fresh picker takes whatever has anything in flight to be hot.
    assert_eq!(Picker::new(Balance::HotCold, 1).pick(&loads, &[]), Ok(3));
}

#[test]
fn an_unknown_server_is_tried_now_and_then_and_never_looks_best() {
    let loads = pool(16, |_| 1, u32::MAX);
    loads[..15].iter().for_each(|load| load.took(Duration::from_millis(10)));
    let counts = counts(&mut Picker::new(Balance::HotCold, 1), &loads, 32_000);
    assert!((900..1_100).contains(&counts[15]), "{counts:?}");
}

#[test]
fn a_server_that_was_slow_once_gets_to_show_that_it_is_fast_again() {
    let loads = pool(16, |_| 1, u32::MAX);
    loads.iter().for_each(|load| load.took(Duration::from_millis(10)));
    loads[4].took(Duration::from_secs(10));
    let mut picker = Picker::new(Balance::HotCold, 1);
    let mut counts = vec![0; 16];
    for _ in 0..200_000 {
        let server = picker.pick(&loads, &[]).unwrap();
        loads[server].took(Duration::from_millis(10));
        loads[server].leave();
        counts[server] += 1;
    }
    assert!(loads[4].latency_us() < 12_000, "{}", loads[4].latency_us());
    assert!(counts[4] > 200, "{counts:?}");
}

#[test]
fn lanes_do_not_rush_to_the_server_that_was_fast_a_moment_ago() {
    // Each server finishes a request a millisecond, and three quarters as many come.
    let loads = pool(8, |_| 1, u32::MAX);
    let mut lanes: Vec<Picker> = (0..6).map(|lane| Picker::new(Balance::HotCold, lane)).collect();
    let mut queues = vec![std::collections::VecDeque::new(); 8];
    for now in 0..5_000 {
        for lane in &mut lanes {
            queues[lane.pick(&loads, &[]).unwrap()].push_back(now);
        }
        for (queue, load) in queues.iter_mut().zip(&loads) {
            if let Some(came) = queue.pop_front() {
                load.took(Duration::from_millis(now - came + 1));
                load.leave();
            }
        }
        let longest = queues.iter().map(|queue| queue.len()).max().unwrap();
        assert!(longest <= 4, "{longest} wait at one server after {now} ms");
    }
}

#[test]
fn the_busiest_of_few_servers_is_hot_and_servers_that_drain_say_nothing_about_it() {
    for (servers, draining) in [(2, 0), (3, 0), (5, 0), (10, 4)] {
        let loads = pool(servers, |_| 1, u32::MAX);
        for (n, load) in loads.iter().enumerate() {
            load.took(if n == 0 { Duration::from_micros(10) } else { Duration::from_millis(10) });
            let in_flight = if n == 0 || n >= servers - draining { 50 } else { 1 };
            (0..in_flight).for_each(|_| assert!(load.enter()));
            load.set_weight(if n >= servers - draining { 0 } else { WEIGHT_ONE });
        }
        let mut picker = Picker::new(Balance::HotCold, 1);
        counts(&mut picker, &loads, 500);
        assert_eq!(counts(&mut picker, &loads, 1_000)[0], 0, "{servers} servers, {draining} of them drain");
    }
}

#[test]
fn when_all_are_hot_their_own_reports_count_too() {
    let loads = pool(4, |_| 1, u32::MAX);
    for (load, reported) in loads.iter().zip([7, 3, 9, 5]) {
        assert!(load.enter());
        load.report(reported);
    }
    assert_eq!(Picker::new(Balance::HotCold, 1).pick(&loads, &[]), Ok(1));
}
