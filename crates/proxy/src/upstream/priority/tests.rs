use std::sync::Arc;

use super::*;
use crate::snapshot::clusters::{EndpointState, Selection};

/// A set with so many healthy endpoints of so many, for each priority.
fn set(panic: Panic, counts: &[(u8, u8)]) -> EndpointSet {
    let selection = Selection { panic, slow_start: None, curve: Default::default(), hash_size: None };
    let mut endpoints = Vec::new();
    for (priority, (healthy, all)) in (0u8..).zip(counts) {
        for last in 0..*all {
            let address = ([10, 0, priority, last], 80).into();
            let endpoint = EndpointState::of_priority(address, 1, priority.into());
            endpoint.set_healthy(last < *healthy);
            endpoints.push(endpoint);
        }
    }
    EndpointSet::new(endpoints, selection)
}

fn loads(panic: Panic, counts: &[(u8, u8)], left: &[u32]) -> (Vec<u64>, Vec<bool>) {
    let shares = shares(&set(panic, counts).tiers, left);
    assert_eq!(shares.iter().map(|share| share.load).sum::<u64>(), 100, "{counts:?}");
    shares.iter().map(|share| (share.load, share.panics)).unzip()
}

/// The examples of Envoy's documentation of priority levels and of the panic threshold, and more.
#[test]
fn loads_follow_health() {
    let below = Panic::Below(50);
    for (counts, expected, panics) in [
        ([(100, 100), (100, 100)], [100, 0], [false, false]),
        ([(72, 100), (72, 100)], [100, 0], [false, false]),
        ([(71, 100), (71, 100)], [99, 1], [false, false]),
        ([(50, 100), (50, 100)], [70, 30], [false, false]),
        ([(25, 100), (100, 100)], [35, 65], [false, false]),
        ([(25, 100), (25, 100)], [50, 50], [true, true]),
        ([(0, 100), (100, 100)], [0, 100], [false, false]),
        ([(0, 100), (100, 101)], [0, 100], [false, false]),
        ([(5, 100), (65, 100)], [8, 92], [true, false]),
        ([(0, 100), (0, 50)], [67, 33], [true, true]),
    ] {
        assert_eq!(loads(below, &counts, &[]), (expected.to_vec(), panics.to_vec()), "{counts:?}");
    }
    let three = [(25, 100), (25, 100), (25, 100)];
    assert_eq!(loads(below, &three, &[]).0, [35, 35, 30]);
    assert_eq!(loads(Panic::Below(0), &[(0, 4), (0, 4)], &[]), (vec![100, 0], vec![false, false]));
    assert_eq!(loads(Panic::Below(0), &[(1, 10), (1, 10)], &[]), (vec![50, 50], vec![false, false]));
    assert_eq!(loads(Panic::WhenNone, &[(0, 4), (0, 4)], &[]), (vec![50, 50], vec![true, true]));
}

#[test]
fn priorities_are_left_for_others_that_can_take_over() {
    let below = Panic::Below(0);
    let all = [(4, 4), (4, 4), (4, 4)];
    for (left, expected) in [
        (&[] as &[_], [100, 0, 0]),
        (&[0], [0, 100, 0]),
        (&[0, 1], [0, 0, 100]),
        (&[1], [100, 0, 0]),
        (&[0, 1, 2], [100, 0, 0]),
    ] {
        assert_eq!(loads(below, &all, left).0, expected, "{left:?}");
    }
    assert_eq!(loads(below, &[(4, 4), (0, 4), (2, 4)], &[0]).0, [0, 0, 100], "1 has nobody");
    assert_eq!(loads(below, &[(4, 4), (0, 4)], &[0]).0, [100, 0], "nobody else can");
}

#[test]
fn of_one_priority_fewer_than_the_threshold_are_believed_to_be_wrong() {
    for (healthy, threshold, expected) in [
        (5, 50, false),
        (4, 50, true),
        (0, 0, false),
        (0, 1, true),
        (7, 90, true),
        (8, 90, false),
        (10, 100, false),
    ] {
        assert_eq!(
            panics(&set(Panic::Below(threshold), &[(healthy, 10)])),
            expected,
            "{healthy} {threshold}"
        );
    }
}

#[test]
fn draws_meet_their_priority() {
    let set = set(Panic::Below(50), &[(25, 50), (50, 50)]);
    let mut counts = [0; 2];
    for draw in 0..1000 {
        let (tier, panics) = choose(&set, draw, &[]).expect("one");
        assert!(!panics);
        counts[tier.endpoints[0].priority as usize] += 1;
    }
    assert_eq!(counts, [700, 300]);
    // All that differs is the priority: the set as a whole is not looked at.
    assert!(Arc::ptr_eq(&set.tiers[1].endpoints[0], &set.endpoints[50]));
}

/// Every way in which up to three of each of three priorities are healthy.
#[test]
fn nobody_is_sent_where_nobody_is_healthy_without_panic() {
    let each = |all: u8| (0..=all).map(move |healthy| (healthy, all));
    for first in each(3) {
        for second in each(1).chain(each(2)) {
            for third in each(3) {
                for panic in [Panic::Below(0), Panic::Below(50), Panic::Below(100), Panic::WhenNone] {
                    let counts = [first, second, third];
                    let (loads, panics) = loads(panic, &counts, &[]);
                    for ((load, panics), (healthy, _)) in loads.iter().zip(&panics).zip(counts) {
                        let nobody = counts.iter().all(|(healthy, _)| *healthy == 0);
                        assert!(
                            *load == 0 || healthy > 0 || *panics || nobody,
                            "{counts:?} {panic:?} {loads:?}"
                        );
                    }
                    if first.0 == first.1 {
                        assert_eq!(loads, [100, 0, 0], "{counts:?}: the first can take all");
                    }
                }
            }
        }
    }
}
