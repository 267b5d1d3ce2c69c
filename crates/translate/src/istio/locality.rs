//! Which endpoints go before others by where they are: `localityLbSetting`.

use std::collections::{BTreeMap, BTreeSet};

use plenipo_resources::istio::{Distribute, LocalityLbSetting};

use super::endpoints::Spot;
use super::options::{IstioOptions, Locality};

/// What shares are parts of while they are worked out, so that few endpoints of small weights can be told apart.
const WHOLE: u64 = 100_000;

/// Puts the endpoints in order. Failover needs outlier detection: without it nobody could tell that those who come first
/// are not healthy.
pub(super) fn arrange(
    spots: &mut Vec<Spot>,
    setting: Option<&LocalityLbSetting>,
    options: &IstioOptions,
    has_outlier: bool,
) {
    let Some(setting) = setting.filter(|setting| setting.enabled != Some(false)) else { return };
    let own = &options.locality;
    if !setting.distribute.is_empty() {
        if let Some(rule) = setting.distribute.iter().find(|rule| matches(&rule.from, own)) {
            distribute(spots, rule);
        }
        return;
    }
    if !has_outlier || own.is_empty() && setting.failover_priority.is_empty() {
        return;
    }
    for spot in spots.iter_mut() {
        spot.priority = 0;
        if !setting.failover_priority.is_empty() {
            spot.priority = unlike(spot, &setting.failover_priority, options);
        }
        if setting.failover_priority.is_empty() || !setting.failover.is_empty() {
            // By labels first, and among equals by where they are.
            spot.priority = spot.priority * 5 + distance(own, &spot.workload.locality, setting);
        }
    }
    let used: BTreeSet<u32> = spots.iter().map(|spot| spot.priority).collect();
    let ranks: BTreeMap<u32, u32> = used.into_iter().zip(0..).collect();
    for spot in spots {
        spot.priority = ranks.get(&spot.priority).copied().unwrap_or(spot.priority);
    }
}

/// 0 in our own subzone, 1 in our zone, 2 in our region, 3 elsewhere; 4 where another region is named for failover.
fn distance(own: &Locality, other: &Locality, setting: &LocalityLbSetting) -> u32 {
    if own.region != other.region {
        let named = setting.failover.iter().find(|failover| failover.from == own.region);
        return if named.is_some_and(|failover| failover.to != other.region) { 4 } else { 3 };
    }
    match (own.zone == other.zone, own.subzone == other.subzone) {
        (true, true) => 0,
        (true, false) => 1,
        (false, _) => 2,
    }
}

/// How many of the labels, counted from the first that differs, an endpoint does not share with us.
fn unlike(spot: &Spot, labels: &[String], options: &IstioOptions) -> u32 {
    let place = |locality: &Locality, key: &str| match key {
        "topology.kubernetes.io/region" => Some(locality.region.clone()),
        "topology.kubernetes.io/zone" => Some(locality.zone.clone()),
        "topology.istio.io/subzone" => Some(locality.subzone.clone()),
        _ => None,
    };
    let same = |label: &&String| {
        let (key, wanted) =
            label.split_once('=').map_or((label.as_str(), None), |(key, value)| (key, Some(value)));
        let theirs = spot.workload.labels.get(key).cloned().or_else(|| place(&spot.workload.locality, key));
        let ours = options.labels.get(key).cloned().or_else(|| place(&options.locality, key));
        match wanted {
            Some(wanted) => theirs.as_deref() == Some(wanted),
            None => theirs == ours,
        }
    };
    let shared = labels.iter().take_while(same).count();
    u32::try_from(labels.len() - shared).unwrap_or(u32::MAX / 8)
}

/// Every endpoint gets its part of the share of its locality; those of localities without a share get nothing.
fn distribute(spots: &mut Vec<Spot>, rule: &Distribute) {
    // What is written more exactly goes first.
    let mut shares: Vec<(&String, u64)> =
        rule.to.iter().map(|(to, share)| (to, u64::try_from(*share).unwrap_or(0))).collect();
    shares.sort_by_key(|(to, _)| (std::cmp::Reverse(to.trim_end_matches('*').len()), to.as_str()));
    let share_of = |spot: &Spot| shares.iter().position(|(to, _)| matches(to, &spot.workload.locality));
    let mut sums: BTreeMap<usize, u64> = BTreeMap::new();
    for spot in spots.iter() {
        if let Some(share) = share_of(spot) {
            *sums.entry(share).or_default() += u64::from(spot.weight);
        }
    }
    spots.retain_mut(|spot| {
        let Some(at) = share_of(spot).filter(|at| shares[*at].1 > 0) else { return false };
        let part = shares[at].1 * WHOLE * u64::from(spot.weight) / sums[&at].max(1);
        spot.weight = u32::try_from(part.max(1)).unwrap_or(u32::MAX);
        true
    });
    let divisor = spots.iter().map(|spot| spot.weight).fold(0, greatest_common_divisor).max(1);
    for spot in spots {
        spot.weight /= divisor;
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// `region/zone/subzone`, of which the end may be missing or `*`.
fn matches(pattern: &str, locality: &Locality) -> bool {
    let parts = [&locality.region, &locality.zone, &locality.subzone];
    pattern.split('/').zip(parts).all(|(wanted, part)| wanted == "*" || wanted == part)
}

#[cfg(test)]
mod tests {
    use super::super::workloads::Workload;
    use super::*;

    fn spot(last: u8, locality: &str) -> Spot {
        let workload = Workload { locality: Locality::parse(locality), ..Workload::default() };
        Spot { address: ([10, 0, 0, last], 80).into(), weight: 1, priority: 0, clear_text: false, workload }
    }

    fn spots() -> Vec<Spot> {
        let places = ["eu/a/1", "eu/a/2", "eu/b/1", "us/a/1", "asia/a/1"];
        places.iter().zip(1..).map(|(place, last)| spot(last, place)).collect()
    }

    fn options(own: &str) -> IstioOptions {
        IstioOptions { locality: Locality::parse(own), ..IstioOptions::default() }
    }

    fn priorities(setting: &LocalityLbSetting, own: &str, has_outlier: bool) -> Vec<u32> {
        let mut spots = spots();
        arrange(&mut spots, Some(setting), &options(own), has_outlier);
        spots.iter().map(|spot| spot.priority).collect()
    }

    #[test]
    fn nearer_endpoints_go_first() {
        let usual = LocalityLbSetting::default();
        assert_eq!(priorities(&usual, "eu/a/1", true), [0, 1, 2, 3, 3]);
        assert_eq!(priorities(&usual, "us/a/1", true), [1, 1, 1, 0, 1]);
        assert_eq!(
            priorities(&usual, "eu/a/1", false),
            [0; 5],
            "nobody could tell that they are not healthy"
        );
        assert_eq!(priorities(&usual, "", true), [0; 5], "nobody said where we are");
        let off = LocalityLbSetting { enabled: Some(false), ..usual };
        assert_eq!(priorities(&off, "eu/a/1", true), [0; 5]);
    }

    #[test]
    fn a_region_is_named_for_failover() {
        let failover = plenipo_resources::istio::Failover { from: "eu".to_owned(), to: "us".to_owned() };
        let setting = LocalityLbSetting { failover: vec![failover], ..LocalityLbSetting::default() };
        assert_eq!(priorities(&setting, "eu/a/1", true), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn failover_by_labels() {
        let failover_priority = vec!["topology.kubernetes.io/region".to_owned(), "version=v1".to_owned()];
        let setting = LocalityLbSetting { failover_priority, ..LocalityLbSetting::default() };
        let mut spots = spots();
        spots[1].workload.labels.insert("version".to_owned(), "v1".to_owned());
        spots[3].workload.labels.insert("version".to_owned(), "v1".to_owned());
        arrange(&mut spots, Some(&setting), &options("eu/a/1"), true);
        let priorities: Vec<u32> = spots.iter().map(|spot| spot.priority).collect();
        assert_eq!(priorities, [1, 0, 1, 2, 2]);
    }

    #[test]
    fn shares_of_localities() {
        let to = [("eu/a/*", 80), ("us/*", 20)].map(|(to, share)| (to.to_owned(), share)).into();
        let distribute = vec![Distribute { from: "eu/*".to_owned(), to }];
        let setting = LocalityLbSetting { distribute, ..LocalityLbSetting::default() };
        let mut spots = spots();
        arrange(&mut spots, Some(&setting), &options("eu/b/1"), false);
        let shares: Vec<(u32, &str)> =
            spots.iter().map(|spot| (spot.weight, spot.workload.locality.region.as_str())).collect();
        assert_eq!(shares, [(2, "eu"), (2, "eu"), (1, "us")]);
    }
}
