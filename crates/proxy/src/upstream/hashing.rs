//! Consistent hashing: the same key finds the same endpoint, on every replica of the gateway, and few keys move when
//! an endpoint comes or goes.

use std::sync::OnceLock;

use xxhash_rust::xxh64::xxh64;

use crate::snapshot::clusters::EndpointSet;

/// Points on the ring, as Envoy's default `minimum_ring_size`.
const RING_POINTS: usize = 1024;
/// Envoy's greatest ring.
const MOST_POINTS: u32 = 8_388_608;
/// Prime, as in the Maglev paper (Eisenbud et al., NSDI 2016, §3.4) and Envoy's default.
const MAGLEV_SLOTS: u32 = 65_537;
/// Envoy's bound on a Maglev table.
const MOST_SLOTS: u32 = 5_000_011;

/// Tables over a set of endpoints, made when first asked for.
#[derive(Default)]
pub(crate) struct HashTables {
    ring: OnceLock<Vec<(u64, u32)>>,
    maglev: OnceLock<Vec<u32>>,
}

/// The hash of a request's key. xxHash64 without seed, as Envoy's.
pub(crate) fn key(bytes: &[u8]) -> u64 {
    xxh64(bytes, 0)
}

impl EndpointSet {
    /// Positions of endpoints in the order in which a key prefers them: the first is its own, the others take over when
    /// it cannot be used.
    pub(crate) fn on_ring(&self, key: u64) -> impl Iterator<Item = usize> + '_ {
        let ring = self.tables.ring.get_or_init(|| ring(self));
        let start = ring.partition_point(|(point, _)| *point < key);
        (0..ring.len()).map(move |offset| ring[(start + offset) % ring.len()].1 as usize)
    }

    /// As [`Self::on_ring`], by the Maglev table.
    pub(crate) fn in_maglev(&self, key: u64) -> impl Iterator<Item = usize> + '_ {
        let table = self.tables.maglev.get_or_init(|| maglev(self));
        let slots = table.len().max(1);
        let start = (key % slots as u64) as usize;
        (0..table.len()).map(move |offset| table[(start + offset) % slots] as usize)
    }
}

fn ring(set: &EndpointSet) -> Vec<(u64, u32)> {
    let least = set.selection.hash_size.map_or(RING_POINTS, |size| size.clamp(1, MOST_POINTS) as usize);
    let total: u64 = set.endpoints.iter().map(|endpoint| u64::from(endpoint.weight)).sum();
    let mut points = Vec::with_capacity(least + set.endpoints.len());
    for (position, endpoint) in (0u32..).zip(&set.endpoints) {
        let share = (least as u64 * u64::from(endpoint.weight)).div_ceil(total.max(1));
        for replica in 0..share {
            points.push((key(format!("{}_{replica}", endpoint.address).as_bytes()), position));
        }
    }
    points.sort_unstable();
    points
}

fn maglev(set: &EndpointSet) -> Vec<u32> {
    const FREE: u32 = u32::MAX;
    if set.endpoints.is_empty() {
        return Vec::new();
    }
    let slots = prime(set.selection.hash_size.unwrap_or(MAGLEV_SLOTS).min(MOST_SLOTS)) as usize;
    struct Turn {
        offset: usize,
        skip: usize,
        next: usize,
        weight: u64,
        credit: u64,
    }
    let heaviest = set.endpoints.iter().map(|endpoint| u64::from(endpoint.weight)).max().unwrap_or(1);
    let mut turns: Vec<_> = set
        .endpoints
        .iter()
        .map(|endpoint| {
            let name = endpoint.address.to_string();
            Turn {
                offset: (xxh64(name.as_bytes(), 0) % slots as u64) as usize,
                skip: (xxh64(name.as_bytes(), 1) % (slots as u64 - 1)) as usize + 1,
                next: 0,
                weight: u64::from(endpoint.weight),
                credit: 0,
            }
        })
        .collect();
    let mut table = vec![FREE; slots];
    let mut filled = 0;
    loop {
        for (position, turn) in (0u32..).zip(&mut turns) {
            // A lighter endpoint sits out turns in proportion to its weight.
            turn.credit += turn.weight;
            if turn.credit < heaviest {
                continue;
            }
            turn.credit -= heaviest;
            let slot = loop {
                let slot = (turn.offset + turn.next * turn.skip) % slots;
                turn.next += 1;
                if table[slot] == FREE {
                    break slot;
                }
            };
            table[slot] = position;
            filled += 1;
            if filled == slots {
                return table;
            }
        }
    }
}

/// The least prime that is not less, and at least 3: of another number of slots an endpoint's turns would miss some.
fn prime(number: u32) -> u32 {
    let is_prime =
        |number: &u32| (2..).take_while(|by| by * by <= *number).all(|by| !number.is_multiple_of(by));
    (number.max(3)..).find(is_prime).unwrap_or(MAGLEV_SLOTS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::clusters::{EndpointState, Panic, Selection};

    fn set(size: Option<u32>) -> EndpointSet {
        let endpoints = (1..=3u8).map(|n| EndpointState::new(([10, 0, 0, n], 80).into(), 1));
        let selection = Selection {
            panic: Panic::WhenNone,
            slow_start: None,
            curve: Default::default(),
            hash_size: size,
        };
        EndpointSet::new(endpoints.collect(), selection)
    }

    #[test]
    fn tables_are_as_large_as_asked_for() {
        for (size, points, slots) in
            [(None, 1026, 65_537), (Some(9), 9, 11), (Some(1), 3, 3), (Some(100), 102, 101), (Some(0), 3, 3)]
        {
            let set = set(size);
            assert_eq!(ring(&set).len(), points, "{size:?}");
            let table = maglev(&set);
            assert_eq!(table.len(), slots, "{size:?}");
            let counts = [0, 1, 2].map(|at| table.iter().filter(|slot| **slot == at).count());
            assert!(counts.iter().all(|count| count.abs_diff(slots / 3) <= 1), "{counts:?}");
        }
    }

    #[test]
    fn primes_are_found() {
        for (number, expected) in
            [(0, 3), (3, 3), (4, 5), (65_537, 65_537), (65_538, 65_539), (MOST_SLOTS, MOST_SLOTS)]
        {
            assert_eq!(prime(number), expected);
        }
    }
}
