//! Consistent hashing: the same key finds the same endpoint, on every replica of the gateway, and few keys move when
//! an endpoint comes or goes.

use std::sync::OnceLock;

use xxhash_rust::xxh64::xxh64;

use crate::snapshot::clusters::EndpointSet;

/// Points on the ring, as Envoy's default `minimum_ring_size`.
const RING_POINTS: usize = 1024;
/// Prime, as in the Maglev paper (Eisenbud et al., NSDI 2016, §3.4) and Envoy's default.
const MAGLEV_SLOTS: usize = 65_537;

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
    let total: u64 = set.endpoints.iter().map(|endpoint| u64::from(endpoint.weight)).sum();
    let mut points = Vec::with_capacity(RING_POINTS + set.endpoints.len());
    for (position, endpoint) in (0u32..).zip(&set.endpoints) {
        let share = (RING_POINTS as u64 * u64::from(endpoint.weight)).div_ceil(total.max(1));
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
    struct Turn {
        offset: usize,
        skip: usize,
        next: usize,
        weight: u32,
        credit: u32,
    }
    let heaviest = set.endpoints.iter().map(|endpoint| endpoint.weight).max().unwrap_or(1);
    let mut turns: Vec<_> = set
        .endpoints
        .iter()
        .map(|endpoint| {
            let name = endpoint.address.to_string();
            Turn {
                offset: (xxh64(name.as_bytes(), 0) % MAGLEV_SLOTS as u64) as usize,
                skip: (xxh64(name.as_bytes(), 1) % (MAGLEV_SLOTS as u64 - 1)) as usize + 1,
                next: 0,
                weight: endpoint.weight,
                credit: 0,
            }
        })
        .collect();
    let mut table = vec![FREE; MAGLEV_SLOTS];
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
                let slot = (turn.offset + turn.next * turn.skip) % MAGLEV_SLOTS;
                turn.next += 1;
                if table[slot] == FREE {
                    break slot;
                }
            };
            table[slot] = position;
            filled += 1;
            if filled == MAGLEV_SLOTS {
                return table;
            }
        }
    }
}
