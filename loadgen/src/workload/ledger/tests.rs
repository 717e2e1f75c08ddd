//! The ledger's scenarios: what is counted, and what is not.

use super::*;
use crate::workload::sums::EXACT_MAX;
use proptest::prelude::*;

fn ledger() -> Ledger {
    Ledger::new(1, 0)
}

fn issue<const N: usize>(ledger: &mut Ledger) -> [Id; N] {
    std::array::from_fn(|_| ledger.issue())
}

fn found(swapped: u64, duplicated: u64, misrouted: u64, corrupted: u64, lost: u64) -> model::Ledger {
    model::Ledger { swapped, duplicated, misrouted, corrupted, lost }
}

#[test]
fn two_that_get_each_others_answers_are_two_swapped_ones() {
    let mut ledger = ledger();
    let [x, y] = issue(&mut ledger);
    assert_eq!(ledger.settle_wrong(x, y.sum()), Wrong::Swapped);
    assert_eq!(ledger.settle_wrong(y, x.sum()), Wrong::Swapped);
    assert_eq!(ledger.found(), found(2, 0, 0, 0, 0));
    assert!(ledger.states.is_empty());
    // Both sums have come. If one comes once more, it is a duplicate.
    let [z] = issue(&mut ledger);
    assert_eq!(ledger.settle_wrong(z, x.sum()), Wrong::Duplicated);
}

#[test]
fn answers_that_go_round_in_a_circle_are_all_swapped() {
    let mut ledger = ledger();
    let [x, y, z] = issue(&mut ledger);
    for (id, sum) in [(x, y), (y, z), (z, x)] {
        assert_eq!(ledger.settle_wrong(id, sum.sum()), Wrong::Swapped);
    }
    assert!(ledger.states.is_empty());
}

#[test]
fn an_answer_that_comes_to_another_first_and_then_to_its_own_is_one_swapped_one() {
    let mut ledger = ledger();
    let [x, y] = issue(&mut ledger);
    assert_eq!(ledger.settle_wrong(x, y.sum()), Wrong::Swapped);
    ledger.settle(y);
    assert_eq!(ledger.found(), found(1, 0, 0, 0, 0));
}

#[test]
fn an_answer_that_came_before_is_a_duplicate() {
    let mut ledger = ledger();
    let [x, y, z] = issue(&mut ledger);
    ledger.settle(x);
    assert_eq!(ledger.settle_wrong(y, x.sum()), Wrong::Duplicated);
    // To two others while it is in flight itself.
    let [p, q] = issue(&mut ledger);
    assert_eq!(ledger.settle_wrong(p, z.sum()), Wrong::Swapped);
    assert_eq!(ledger.settle_wrong(q, z.sum()), Wrong::Duplicated);
    assert_eq!(ledger.found(), found(1, 2, 0, 0, 0));
}

#[test]
fn a_server_that_is_one_answer_behind_makes_one_duplicate_and_swaps_from_then_on() {
    let mut ledger = ledger();
    let mut before = ledger.issue();
    ledger.settle(before);
    for n in 0..10_000 {
        let id = ledger.issue();
        let expected = if n == 0 { Wrong::Duplicated } else { Wrong::Swapped };
        assert_eq!(ledger.settle_wrong(id, before.sum()), expected, "{n}");
        before = id;
    }
    assert_eq!(ledger.found(), found(9_999, 1, 0, 0, 0));
}

#[test]
fn the_answer_to_another_lane_or_another_run_is_misrouted() {
    for mut other in [Ledger::new(1, 1), Ledger::new(2, 0), Ledger::new(2, 1)] {
        let mut ledger = ledger();
        let [x, _, theirs] = [ledger.issue(), ledger.issue(), other.issue()];
        assert_ne!(ledger.sender, other.sender);
        assert_eq!(ledger.settle_wrong(x, theirs.sum()), Wrong::Misrouted);
        assert_eq!(ledger.found(), found(0, 0, 1, 0, 0));
    }
}

#[test]
fn a_number_that_nobody_asked_for_is_corrupted() {
    let mut ledger = ledger();
    let ahead = ledger.clone().issue();
    let mut ids: [Id; 10] = issue(&mut ledger);
    let mut further = ledger.clone();
    let [.., not_yet]: [Id; 3] = issue(&mut further);
    assert_eq!(ahead, ids[0]);
    for number in [0, -1, 1, i64::MIN, i64::MAX, EXACT_MAX, -ids[9].sum(), not_yet.sum()] {
        assert_eq!(ledger.settle_wrong(ids[0], number), Wrong::Corrupted, "{number}");
        ids.rotate_left(1);
    }
    ledger.settle_corrupted(ids[0]);
    assert_eq!(ledger.found(), found(0, 0, 0, 9, 0));
}

/// The check has 7 bits, so that one damaged number in 128 is taken for somebody's.
#[test]
fn one_wrong_digit_is_nearly_always_seen_as_damage() {
    let (mut seen, mut tried) = (0, 0);
    for n in 0..400 {
        let mut ledger = Ledger::new(n, 0);
        let ids: [Id; 16] = issue(&mut ledger);
        for (place, id) in ids.iter().enumerate() {
            let step = 10i64.pow(place as u32 % 15);
            let wrong = if id.sum() / step % 10 == 9 { id.sum() - step } else { id.sum() + step };
            tried += 1;
            seen += i32::from(ledger.settle_wrong(*id, wrong) == Wrong::Corrupted);
        }
    }
    // Six standard deviations around the expected 6,350 of 6,400.
    assert!(tried - seen <= 50 + 42, "{seen} of {tried}");
}

#[test]
fn a_request_without_an_answer_is_lost_and_its_late_answer_to_another_is_swapped() {
    let mut ledger = ledger();
    let [x, y, z] = issue(&mut ledger);
    ledger.give_up(x);
    assert_eq!(ledger.found(), found(0, 0, 0, 0, 1));
    assert_eq!(ledger.settle_wrong(y, x.sum()), Wrong::Swapped);
    assert_eq!(ledger.settle_wrong(z, x.sum()), Wrong::Duplicated);
}

#[test]
fn what_is_refused_for_its_status_is_over_and_counted_elsewhere() {
    let mut ledger = ledger();
    let [x, y] = issue(&mut ledger);
    ledger.leave(x);
    assert_eq!(ledger.found(), model::Ledger::default());
    assert_eq!(ledger.settle_wrong(y, x.sum()), Wrong::Swapped);
}

#[test]
fn memory_is_bounded_by_what_is_in_flight_whatever_the_answers() {
    let mut ledger = ledger();
    let in_flight: [Id; 64] = issue(&mut ledger);
    for n in 0..100_000i64 {
        let id = ledger.issue();
        match n % 5 {
            0 => ledger.settle(id),
            1 => ledger.give_up(id),
            2 => _ = ledger.settle_wrong(id, n),
            3 => ledger.leave(id),
            _ => _ = ledger.settle_wrong(id, in_flight[n as usize % 64].sum()),
        }
    }
    assert!(ledger.owed.len() <= OWED_MAX && ledger.states.len() <= OWED_MAX + 64);
    for id in in_flight {
        ledger.settle(id);
    }
    assert!(ledger.states.len() <= OWED_MAX);
}

#[test]
fn the_numbers_begin_anew_after_the_last() {
    let mut ledger = ledger();
    ledger.issued = (1 << COUNT_BITS) - 1;
    let [last, first] = issue(&mut ledger);
    assert_eq!((last.count(), first.count()), ((1 << COUNT_BITS) - 1, 0));
    ledger.settle(last);
    assert_eq!(ledger.settle_wrong(first, last.sum()), Wrong::Duplicated);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_id_is_an_exact_sum(sender in 0u64..1 << SENDER_BITS, count in 0u64..1 << COUNT_BITS) {
        let id = Id::new(sender, count);
        prop_assert!((0..=EXACT_MAX).contains(&id.sum()));
        prop_assert_eq!(Id::read(id.sum()), Some(id));
        prop_assert_eq!((id.sender(), id.count()), (sender, count));
    }

    /// A server that answers each of some requests with the answer of one of them, at random: each request is
    /// counted once at most, and those that are right are not counted.
    #[test]
    fn every_request_is_counted_once_at_most(answers in prop::collection::vec(0usize..12, 12)) {
        let mut ledger = ledger();
        let ids: [Id; 12] = issue(&mut ledger);
        let (mut right, mut came) = (0, std::collections::HashSet::new());
        for (id, &of) in ids.iter().zip(&answers) {
            if *id == ids[of] {
                ledger.settle(*id);
                right += 1;
            } else {
                let expected = if came.contains(&of) { Wrong::Duplicated } else { Wrong::Swapped };
                prop_assert_eq!(ledger.settle_wrong(*id, ids[of].sum()), expected);
            }
            came.insert(of);
        }
        let found = ledger.found();
        prop_assert_eq!(found.swapped + found.duplicated + right, 12);
        prop_assert_eq!(found.misrouted + found.corrupted + found.lost, 0);
    }
}
