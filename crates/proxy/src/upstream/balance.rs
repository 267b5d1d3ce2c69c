//! Which endpoint a request goes to.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;

use plenipo_model::Balance;

use super::priority;
use crate::snapshot::clusters::{EndpointSet, EndpointState, Panic, WARM};

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
    choose_beyond(set, &[], balance, turn, key, load, tried)
}

/// As [`choose`], leaving priorities behind where others have healthy endpoints.
pub(crate) fn choose_beyond<'a>(
    set: &'a EndpointSet,
    left: &[u32],
    balance: Balance,
    turn: &Cell<u32>,
    key: Option<u64>,
    load: impl Fn(SocketAddr) -> u32,
    tried: &[SocketAddr],
) -> Option<&'a Arc<EndpointState>> {
    let (tier, open) = match set.endpoints.as_slice() {
        [only] => return (set.selection.panic != Panic::Below(0) || only.healthy()).then_some(only),
        _ if set.tiers.is_empty() => (set, priority::panics(set)),
        _ => {
            let hashed = key.filter(|_| matches!(balance, Balance::RingHash | Balance::Maglev));
            // Not the draw that chooses among the endpoints of the priority.
            let draw = hashed.unwrap_or_else(|| u64::from(mix(!turn.get())));
            priority::choose(set, draw, left)?
        }
    };
    within(tier, open, balance, turn, key, load, tried)
}

/// Chooses among endpoints of one priority; those that are not healthy only when it is `open`.
fn within<'a>(
    set: &'a EndpointSet,
    open: bool,
    balance: Balance,
    turn: &Cell<u32>,
    key: Option<u64>,
    load: impl Fn(SocketAddr) -> u32,
    tried: &[SocketAddr],
) -> Option<&'a Arc<EndpointState>> {
    let endpoints = &set.endpoints;
    let usable =
        |endpoint: &EndpointState| (open || endpoint.healthy()) && !tried.contains(&endpoint.address);
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
        (Balance::LeastOutstanding, _) => {
            let start = draw() as usize;
            let places = (0..endpoints.len()).map(|offset| start.wrapping_add(offset) % endpoints.len());
            places.filter(|at| usable(&endpoints[*at])).min_by_key(|at| load(endpoints[*at].address))
        }
        // A request without a key (no such header) goes to any endpoint.
        (Balance::RingHash | Balance::Maglev, None) => weighted(set, scatter(draw()), &usable),
        (Balance::Random, _) => weighted(set, mix(draw()), &usable),
        (Balance::RoundRobin, _) => in_turn(set, draw(), &usable),
    };
    match chosen {
        Some(position) => endpoints.get(position),
        // All usable ones were tried already: try one again rather than none.
        None if !tried.is_empty() => within(set, open, balance, turn, key, load, &[]),
        None => None,
    }
}

/// The endpoint that a client was sent to before, if it may stay there.
pub(crate) fn kept<'a>(
    set: &'a EndpointSet,
    address: Option<SocketAddr>,
    tried: &[SocketAddr],
) -> Option<&'a Arc<EndpointState>> {
    let address = address?;
    let found = set.endpoints.iter().find(|endpoint| endpoint.address == address)?;
    ((found.healthy() || (set.tiers.is_empty() && priority::panics(set))) && !tried.contains(&address))
        .then_some(found)
}

/// Spreads consecutive numbers evenly over the whole range (Fibonacci hashing).
fn scatter(turn: u32) -> u32 {
    turn.wrapping_mul(0x9E37_79B9)
}

/// Makes consecutive numbers independent of each other (the last step of MurmurHash3), as an even spread is not: what
/// comes next must not be foreseen from what came before.
fn mix(turn: u32) -> u32 {
    let mixed = (turn ^ (turn >> 16)).wrapping_mul(0x85EB_CA6B);
    let mixed = (mixed ^ (mixed >> 13)).wrapping_mul(0xC2B2_AE35);
    mixed ^ (mixed >> 16)
}

fn in_turn(set: &EndpointSet, turn: u32, usable: &impl Fn(&EndpointState) -> bool) -> Option<usize> {
    let endpoints = &set.endpoints;
    let warming =
        |endpoint: &EndpointState| set.selection.slow_start.is_some_and(|time| endpoint.warmth(time) < WARM);
    if endpoints.iter().any(|endpoint| endpoint.weight != endpoints[0].weight || warming(endpoint)) {
        return weighted(set, scatter(turn), usable);
    }
    let start = turn as usize % endpoints.len().max(1);
    (0..endpoints.len()).map(|offset| (start + offset) % endpoints.len()).find(|at| usable(&endpoints[*at]))
}

/// The usable endpoint at a point (out of 2³²) of the line on which each has the length of its weight.
fn weighted(set: &EndpointSet, point: u32, usable: &impl Fn(&EndpointState) -> bool) -> Option<usize> {
    let share = |endpoint: &EndpointState| u64::from(endpoint.weight) * set.selection.warmth(endpoint);
    let endpoints = || set.endpoints.iter().enumerate().filter(|(_, endpoint)| usable(endpoint));
    let total: u64 = endpoints().map(|(_, endpoint)| share(endpoint)).sum();
    let mut left = ((u128::from(point) * u128::from(total)) >> 32) as u64;
    for (position, endpoint) in endpoints() {
        let weight = share(endpoint);
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
    use crate::snapshot::clusters::Selection;
    use crate::upstream::hashing::key;

    fn set(weights: &[u32]) -> EndpointSet {
        let endpoints =
            (1u8..).zip(weights).map(|(n, weight)| EndpointState::new(([10, 0, 0, n], 80).into(), *weight));
        EndpointSet::new(endpoints.collect(), selection(Panic::Below(50)))
    }

    fn selection(panic: Panic) -> Selection {
        Selection { panic, slow_start: None, curve: Default::default(), hash_size: None }
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
    fn chance_is_by_weight_and_without_order() {
        let counted = counts(&set(&[1, 1, 2]), Balance::Random, &[]);
        for (count, expected) in counted.iter().zip([250, 250, 500]) {
            assert!(count.abs_diff(expected) <= 60, "{counted:?}");
        }
        // Of independent draws out of four a quarter is the one before again, of turns none.
        let (set, turn) = (set(&[1, 1, 1, 1]), Cell::new(7));
        let drawn: Vec<_> = (0..1000)
            .map(|_| choose(&set, Balance::Random, &turn, None, |_| 0, &[]).expect("one").address)
            .collect();
        let again = drawn.windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert!((190..=310).contains(&again), "{again}");
        set.endpoints[0].set_healthy(false);
        let tried = [set.endpoints[1].address];
        assert_eq!(counts(&set, Balance::Random, &tried)[..2], [0, 0]);
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
    fn health_is_believed_as_far_as_the_cluster_says() {
        let used = |panic, healthy: &[bool]| {
            let set = EndpointSet::new(set(&vec![1; healthy.len()]).endpoints, selection(panic));
            set.endpoints.iter().zip(healthy).for_each(|(endpoint, healthy)| endpoint.set_healthy(*healthy));
            let turn = Cell::new(0);
            let choices = (0..60).filter_map(|_| choose(&set, Balance::RoundRobin, &turn, None, |_| 0, &[]));
            choices.map(|chosen| chosen.address).collect::<std::collections::BTreeSet<_>>().len()
        };
        for (healthy, below_half, when_none, never) in [
            (&[true, true, false] as &[_], 2, 2, 2),
            (&[true, false, false], 3, 1, 1),
            (&[false, false, false], 3, 3, 0),
            (&[false], 1, 1, 0),
            (&[true], 1, 1, 1),
        ] {
            assert_eq!(used(Panic::Below(50), healthy), below_half, "{healthy:?}");
            assert_eq!(used(Panic::WhenNone, healthy), when_none, "{healthy:?}");
            assert_eq!(used(Panic::Below(0), healthy), never, "{healthy:?}");
        }
    }

    #[test]
    fn a_client_stays_where_it_may() {
        let set = set(&[1, 1, 1]);
        let [first, second] = [0, 1].map(|at: usize| set.endpoints[at].address);
        assert_eq!(kept(&set, Some(first), &[]).map(|kept| kept.address), Some(first));
        assert!(kept(&set, Some(first), &[first]).is_none(), "it failed just now");
        assert!(kept(&set, Some(([10, 9, 9, 9], 80).into()), &[]).is_none(), "it is gone");
        assert!(kept(&set, None, &[]).is_none());
        set.endpoints[1].set_healthy(false);
        assert!(kept(&set, Some(second), &[]).is_none(), "it is not healthy");
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
    fn least_outstanding_never_takes_a_busier_one() {
        let set = set(&[1, 1, 1]);
        let turn = Cell::new(u32::MAX - 10);
        let busy = set.endpoints[1].address;
        let load = |address| u32::from(address == busy);
        let mut counts = HashMap::new();
        for _ in 0..60 {
            let chosen = choose(&set, Balance::LeastOutstanding, &turn, None, load, &[]).expect("one");
            *counts.entry(chosen.address).or_insert(0) += 1;
        }
        assert_eq!(counts.get(&busy), None);
        assert!(counts.values().all(|count| *count >= 15), "among equals in turn: {counts:?}");
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
    fn weights_may_be_as_large_as_they_like() {
        let set = set(&[u32::MAX, u32::MAX, 1]);
        for balance in [Balance::RoundRobin, Balance::Random, Balance::RingHash, Balance::Maglev] {
            let turn = Cell::new(u32::MAX - 500);
            let mut chosen: Vec<_> = (0..1000u32)
                .filter_map(|n| choose(&set, balance, &turn, Some(key(&n.to_be_bytes())), |_| 0, &[]))
                .map(|chosen| chosen.address)
                .collect();
            assert_eq!(chosen.len(), 1000);
            chosen.sort_unstable();
            chosen.dedup();
            assert!(chosen.len() >= 2, "{balance:?}");
        }
    }

    #[test]
    fn no_endpoint_is_no_choice() {
        assert!(choose(&set(&[]), Balance::RoundRobin, &Cell::new(0), None, |_| 0, &[]).is_none());
        assert!(choose(&set(&[]), Balance::RingHash, &Cell::new(0), Some(1), |_| 0, &[]).is_none());
        assert!(choose(&set(&[]), Balance::Maglev, &Cell::new(0), Some(1), |_| 0, &[]).is_none());
    }
}
