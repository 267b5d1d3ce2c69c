//! Which endpoint a request goes to.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;

use plenipo_model::Balance;

use crate::snapshot::clusters::{EndpointSet, EndpointState};

/// When fewer than half of the endpoints are healthy, health is no longer believed: all are used, so that the few left
/// are not overrun (Envoy's "panic threshold", 50 %).
const PANIC: usize = 2;

/// Chooses an endpoint, avoiding those already tried where there is another.
///
/// `turn` is the data thread's own position; `load` tells how many requests of this thread an endpoint has under way.
pub(crate) fn choose<'a>(
    set: &'a EndpointSet,
    balance: Balance,
    turn: &Cell<u32>,
    key: Option<u64>,
    load: impl Fn(SocketAddr) -> u32,
    tried: &[SocketAddr],
) -> Option<&'a Arc<EndpointState>> {
    let endpoints = &set.endpoints;
    if let [only] = endpoints.as_slice() {
        return Some(only);
    }
    let healthy = endpoints.iter().filter(|endpoint| endpoint.healthy()).count();
    let panic = healthy * PANIC < endpoints.len();
    let usable =
        |endpoint: &EndpointState| (panic || endpoint.healthy()) && !tried.contains(&endpoint.address);
    let draw = || {
        let next = turn.get().wrapping_add(1);
        turn.set(next);
        next
    };
    let chosen = match (balance, key) {
        (Balance::RingHash, Some(key)) => set.on_ring(key).find(|position| usable(&endpoints[*position])),
        (Balance::Maglev, Some(key)) => set.in_maglev(key).find(|position| usable(&endpoints[*position])),
        (Balance::LeastRequest, _) => {
            let pick = || weighted(set, scatter(draw()), &usable);
            let (first, second) = (pick()?, pick()?);
            let busy = |position: usize| load(endpoints[position].address);
            Some(if busy(second) < busy(first) { second } else { first })
        }
        // A request without a key (no such header) goes to any endpoint.
        (Balance::RingHash | Balance::Maglev, None) => weighted(set, scatter(draw()), &usable),
        (Balance::RoundRobin, _) => in_turn(set, draw(), &usable),
    };
    match chosen {
        Some(position) => endpoints.get(position),
        // All usable ones were tried already: try one again rather than none.
        None if !tried.is_empty() => choose(set, balance, turn, key, load, &[]),
        None => None,
    }
}

/// Spreads consecutive numbers evenly over the whole range (Fibonacci hashing).
fn scatter(turn: u32) -> u32 {
    turn.wrapping_mul(0x9E37_79B9)
}

fn in_turn(set: &EndpointSet, turn: u32, usable: &impl Fn(&EndpointState) -> bool) -> Option<usize> {
    let endpoints = &set.endpoints;
    if endpoints.iter().any(|endpoint| endpoint.weight != endpoints[0].weight) {
        return weighted(set, scatter(turn), usable);
    }
    let start = turn as usize % endpoints.len().max(1);
    (0..endpoints.len()).map(|offset| (start + offset) % endpoints.len()).find(|at| usable(&endpoints[*at]))
}

/// The usable endpoint at a point (out of 2³²) of the line on which each has the length of its weight.
fn weighted(set: &EndpointSet, point: u32, usable: &impl Fn(&EndpointState) -> bool) -> Option<usize> {
    let weights = || {
        set.endpoints
            .iter()
            .enumerate()
            .filter(|(_, endpoint)| usable(endpoint))
            .map(|(at, e)| (at, u64::from(e.weight)))
    };
    let total: u64 = weights().map(|(_, weight)| weight).sum();
    let mut left = (u64::from(point) * total) >> 32;
    for (position, weight) in weights() {
        if left < weight {
            return Some(position);
        }
        left -= weight;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::upstream::hashing::key;

    fn set(weights: &[u32]) -> EndpointSet {
        let endpoints =
            (1u8..).zip(weights).map(|(n, weight)| EndpointState::new(([10, 0, 0, n], 80).into(), *weight));
        EndpointSet { endpoints: endpoints.collect(), tables: Default::default() }
    }

    fn counts(set: &EndpointSet, balance: Balance, tried: &[SocketAddr]) -> Vec<u32> {
        let turn = Cell::new(0);
        let mut counts = HashMap::new();
        for _ in 0..1000 {
            let chosen = choose(set, balance, &turn, None, |_| 0, tried).expect("one");
            *counts.entry(chosen.address).or_insert(0) += 1;
        }
        set.endpoints.iter().map(|endpoint| counts.get(&endpoint.address).copied().unwrap_or(0)).collect()
    }

    #[test]
    fn round_robin_is_even_and_weights_count() {
        assert_eq!(counts(&set(&[1, 1, 1, 1]), Balance::RoundRobin, &[]), [250, 250, 250, 250]);
        let weighted = counts(&set(&[1, 3]), Balance::RoundRobin, &[]);
        assert!((245..=255).contains(&weighted[0]), "{weighted:?}");
    }

    #[test]
    fn unhealthy_and_tried_ones_are_avoided_until_too_few_are_left() {
        let set = set(&[1, 1, 1, 1]);
        set.endpoints[0].set_healthy(false);
        assert_eq!(counts(&set, Balance::RoundRobin, &[])[0], 0);
        assert_eq!(counts(&set, Balance::LeastRequest, &[set.endpoints[1].address])[..2], [0, 0]);
        for endpoint in &set.endpoints[..3] {
            endpoint.set_healthy(false);
        }
        assert!(
            counts(&set, Balance::RoundRobin, &[]).iter().all(|count| *count > 0),
            "below half, all are used"
        );
    }

    #[test]
    fn least_request_prefers_the_idle_one() {
        let set = set(&[1, 1]);
        let busy = set.endpoints[0].address;
        let turn = Cell::new(0);
        let load = |address| u32::from(address == busy) * 10;
        let idle = (0..100)
            .filter(|_| {
                choose(&set, Balance::LeastRequest, &turn, None, load, &[]).expect("one").address != busy
            })
            .count();
        assert!(idle >= 60, "{idle}");
    }

    #[test]
    fn a_key_stays_and_few_keys_move() {
        for balance in [Balance::RingHash, Balance::Maglev] {
            let four = set(&[1, 1, 1, 1]);
            let three = set(&[1, 1, 1]);
            let turn = Cell::new(0);
            let place = |set: &EndpointSet, n: u32| {
                choose(set, balance, &turn, Some(key(&n.to_be_bytes())), |_| 0, &[]).expect("one").address
            };
            let moved = (0..1000).filter(|n| place(&four, *n) != place(&three, *n)).count();
            assert!((150..400).contains(&moved), "{balance:?} moved {moved}");
            assert_eq!(place(&four, 7), place(&four, 7));
        }
    }

    #[test]
    fn no_endpoint_is_no_choice() {
        assert!(choose(&set(&[]), Balance::RoundRobin, &Cell::new(0), None, |_| 0, &[]).is_none());
        assert!(choose(&set(&[]), Balance::RingHash, &Cell::new(0), Some(1), |_| 0, &[]).is_none());
        assert!(choose(&set(&[]), Balance::Maglev, &Cell::new(0), Some(1), |_| 0, &[]).is_none());
    }
}
