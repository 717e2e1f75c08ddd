//! A pick allocates nothing, by any rule, also while weights change, servers are full and requests are tried again.

use balancer::config::Balance;
use balancer::pick::{Load, Picker, WEIGHT_ONE};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn a_pick_costs_no_allocation() {
    let all = [
        Balance::Random,
        Balance::RoundRobin,
        Balance::WeightedRoundRobin,
        Balance::Adaptive,
        Balance::LeastRequests,
        Balance::TwoChoices,
        Balance::HotCold,
    ];
    for (balance, servers) in all.into_iter().flat_map(|balance| [(balance, 16), (balance, 200)]) {
        let loads: Vec<_> = (0..servers).map(|_| Arc::new(Load::new(WEIGHT_ONE, 3))).collect();
        let mut picker = Picker::new(balance, 1);
        let first = picker.pick(&loads, &[]).unwrap();
        loads[first].leave();
        let mut picked = 0;
        let seen = allocation_counter::measure(|| {
            for round in 0..5_000_u32 {
                let server = round as usize % servers;
                loads[server].set_weight(round % 5 * WEIGHT_ONE);
                loads[server].set_limit(round % 4);
                loads[server].took(Duration::from_micros(u64::from(round)));
                if let Ok(server) = picker.pick(&loads, &[3, 1]) {
                    picked += 1;
                    loads[server].leave();
                }
            }
        });
        assert!(picked > 4_000, "{balance:?}: {picked}");
        assert_eq!(seen.count_total, 0, "{balance:?}");
    }
}
