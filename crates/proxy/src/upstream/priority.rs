//! Which priority's endpoints a request goes to.
//!
//! A priority can carry 1.4 times the part of its endpoints that is healthy, up to all of its traffic; what it cannot goes
//! to the next (Envoy's priority levels with their overprovisioning factor).

use crate::snapshot::clusters::{EndpointSet, Panic};

/// Percent of its size that a priority is taken to be worth (Envoy's default).
const OVERPROVISIONING: u64 = 140;

/// What a priority takes part in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Share {
    /// Percent of the requests.
    pub(crate) load: u64,
    /// All its endpoints are used, whatever their health.
    pub(crate) panics: bool,
}

/// The priority for a draw, and whether it panics. Those `left` behind take no part while others can take theirs.
pub(crate) fn choose<'a>(set: &'a EndpointSet, draw: u64, left: &[u32]) -> Option<(&'a EndpointSet, bool)> {
    let mut draw = draw % 100;
    for (tier, share) in set.tiers.iter().zip(shares(&set.tiers, left)) {
        if draw < share.load {
            return Some((tier, share.panics));
        }
        draw -= share.load;
    }
    None
}

/// May health not be believed, when there is only one priority?
pub(crate) fn panics(set: &EndpointSet) -> bool {
    let (healthy, all) = healthy(set);
    capacity(healthy, all) < 100 && below(set.selection.panic, healthy, all)
}

fn healthy(set: &EndpointSet) -> (u64, u64) {
    let healthy = set.endpoints.iter().filter(|endpoint| endpoint.healthy()).count();
    (healthy as u64, set.endpoints.len() as u64)
}

/// Percent of all requests that so many can carry.
fn capacity(healthy: u64, all: u64) -> u64 {
    (OVERPROVISIONING * healthy).checked_div(all).unwrap_or(0).min(100)
}

fn below(panic: Panic, healthy: u64, all: u64) -> bool {
    match panic {
        Panic::Below(percent) => healthy * 100 < u64::from(percent.min(100)) * all,
        Panic::WhenNone => healthy == 0,
    }
}

/// Envoy's `recalculatePerPriorityState` and `recalculatePerPriorityPanic`.
fn shares(tiers: &[EndpointSet], left: &[u32]) -> Vec<Share> {
    let counts: Vec<_> = tiers.iter().map(healthy).collect();
    let capacities: Vec<_> = counts.iter().map(|(healthy, all)| capacity(*healthy, *all)).collect();
    let together = capacities.iter().sum::<u64>().min(100);
    let mut shares: Vec<Share> = tiers
        .iter()
        .zip(&counts)
        .map(|(tier, (healthy, all))| Share {
            load: 0,
            panics: together < 100 && below(tier.selection.panic, *healthy, *all),
        })
        .collect();
    // In total panic all count by their size; without panic and anybody healthy, the first priority refuses.
    let sizes: Vec<_> = counts.iter().map(|(_, all)| *all).collect();
    let staying: Vec<_> = tiers
        .iter()
        .zip(&capacities)
        .map(|(tier, part)| if is_left(tier, left) { 0 } else { *part })
        .collect();
    let stays = staying.iter().sum::<u64>().min(100);
    match (shares.iter().all(|share| share.panics), together) {
        _ if stays > 0 && !left.is_empty() => distribute(&mut shares, &staying, stays),
        (true, _) => distribute(&mut shares, &sizes, sizes.iter().sum()),
        (false, 0) => shares[0].load = 100,
        (false, together) => distribute(&mut shares, &capacities, together),
    }
    shares
}

/// Gives each its part of 100 percent, in order; what rounding leaves goes to the first that has any.
fn distribute(shares: &mut [Share], parts: &[u64], whole: u64) {
    let mut rest = 100;
    for (share, part) in shares.iter_mut().zip(parts) {
        share.load = (part * 100).checked_div(whole).unwrap_or(0).min(rest);
        rest -= share.load;
    }
    if let Some(at) = parts.iter().position(|part| *part > 0).or(Some(0)).filter(|at| *at < shares.len()) {
        shares[at].load += rest;
    }
}

fn is_left(tier: &EndpointSet, left: &[u32]) -> bool {
    tier.endpoints.first().is_some_and(|first| left.contains(&first.priority))
}

#[cfg(test)]
mod tests;
