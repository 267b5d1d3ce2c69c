//! Which subnets a load balancer stands in: those that are named, selected by tags, or found.

use std::collections::{BTreeMap, BTreeSet};

use plenipo_resources::elbv2::SubnetSelector;

use crate::account::{Account, Subnet};
use crate::stack::{AddressType, Kind, Scheme};

/// Fewer free addresses than these, and a subnet is left aside (a rule of AWS).
const MINIMAL_FREE_ADDRESSES: u32 = 8;

/// What a load balancer needs subnets for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    pub(crate) kind: Kind,
    pub(crate) scheme: Scheme,
    pub(crate) addresses: AddressType,
}

/// Subnets by id (`subnet-…`) or `Name` tag, in the order they are named in.
pub(crate) fn named(account: &Account, names: &[String], need: Need) -> Result<Vec<Subnet>, String> {
    let found = by_name_or_id(account, names)
        .map_err(|reason| format!("failed to list subnets by names or IDs: {reason}"))?;
    specified(account, found, need)
}

/// Subnets as an IngressClassParams selects them: by ids, or one for each zone by tags.
pub(crate) fn selected(
    account: &Account,
    selector: &SubnetSelector,
    need: Need,
) -> Result<Vec<Subnet>, String> {
    if !selector.ids.is_empty() {
        let found = by_id(account, &selector.ids)
            .map_err(|reason| format!("failed to list subnets by IDs: {reason}"))?;
        return specified(account, found, need);
    }
    let matching = |subnet: &&Subnet| {
        selector.tags.iter().all(|(key, values)| tag(subnet, key).is_some_and(|value| values.contains(value)))
    };
    one_per_zone(account, account.subnets.iter().filter(matching).collect(), need)
}

/// Subnets by their role tag; where no subnet has it, by whether they reach an internet gateway. Where neither is
/// known, all of them.
pub(crate) fn discovered(account: &Account, need: Need) -> Result<Vec<Subnet>, String> {
    let role = match need.scheme {
        Scheme::Internal => "kubernetes.io/role/internal-elb",
        Scheme::InternetFacing => "kubernetes.io/role/elb",
    };
    let has_role =
        |subnet: &&Subnet| tag(subnet, role).is_some_and(|value| matches!(value.as_str(), "" | "1"));
    let mut found: Vec<&Subnet> = account.subnets.iter().filter(has_role).collect();
    if found.is_empty() && account.gates.subnet_reachability {
        let wanted = need.scheme == Scheme::InternetFacing;
        found = account
            .subnets
            .iter()
            .filter(|subnet| subnet.public.is_none_or(|public| public == wanted))
            .collect();
    }
    one_per_zone(account, found, need)
}

fn by_name_or_id(account: &Account, names: &[String]) -> Result<Vec<Subnet>, String> {
    let ids: Vec<String> = names.iter().filter(|name| is_id(name)).cloned().collect();
    let known: BTreeMap<String, Subnet> =
        by_id(account, &ids)?.into_iter().map(|subnet| (subnet.id.clone(), subnet)).collect();
    let mut used: BTreeMap<&str, usize> = BTreeMap::new();
    let mut subnets = Vec::with_capacity(names.len());
    for name in names {
        if is_id(name) {
            let subnet = known.get(name).ok_or_else(|| format!("subnet ID not found: {name}"))?;
            subnets.push(subnet.clone());
            continue;
        }
        let times = used.entry(name).or_default();
        *times += 1;
        subnets.push(called(account, name, *times)?);
    }
    Ok(subnets)
}

/// The subnet of a `Name` tag; where it is named several times, one after the other.
fn called(account: &Account, name: &String, times: usize) -> Result<Subnet, String> {
    let mut called: Vec<&Subnet> =
        account.subnets.iter().filter(|subnet| name_of(subnet) == Some(name)).collect();
    called.sort_by(|a, b| a.id.cmp(&b.id));
    match called.get(times - 1) {
        Some(subnet) => Ok((*subnet).clone()),
        // Nothing is known of it: its name stands for its id.
        None if called.is_empty() && !account.complete => {
            Ok(Subnet { id: name.clone(), ..Subnet::default() })
        }
        None if called.is_empty() => Err(format!("couldn't find all subnets, missing names: [{name}]")),
        None => Err(format!(
            "subnet with Name tag {name:?} requested {times} times but only {} subnet(s) found with that name",
            called.len()
        )),
    }
}

fn by_id(account: &Account, ids: &[String]) -> Result<Vec<Subnet>, String> {
    let known = |id: &String| account.subnets.iter().find(|subnet| subnet.id == *id).cloned();
    if !account.complete {
        let bare = |id: &String| Subnet { id: id.clone(), ..Subnet::default() };
        return Ok(ids.iter().map(|id| known(id).unwrap_or_else(|| bare(id))).collect());
    }
    let found: Vec<Subnet> = ids.iter().filter_map(known).collect();
    if found.len() == ids.len() {
        return Ok(found);
    }
    let names: Vec<&str> = found.iter().map(|subnet| subnet.id.as_str()).collect();
    Err(format!("couldn't find all subnets, want: [{}], found: [{}]", ids.join(" "), names.join(" ")))
}

/// What holds for subnets that somebody named.
fn specified(account: &Account, subnets: Vec<Subnet>, need: Need) -> Result<Vec<Subnet>, String> {
    if subnets.is_empty() {
        return Err("unable to resolve at least one subnet".to_owned());
    }
    for (zone, there) in zones(&subnets.iter().collect::<Vec<_>>()) {
        if there.len() > 1 {
            return Err(format!("multiple subnets in same Availability Zone {zone}: [{}]", ids(&there)));
        }
    }
    enough(account, &subnets, need)?;
    let lacking: Vec<&Subnet> = subnets.iter().filter(|subnet| lacks_ipv6(account, subnet, need)).collect();
    if !lacking.is_empty() {
        return Err(format!(
            "subnets [{}] do not have an associated IPv6 CIDR block, which is required for dualstack load balancers",
            ids(&lacking)
        ));
    }
    Ok(subnets)
}

/// The best subnet of each zone: tagged for this cluster, then the lowest id.
fn one_per_zone(account: &Account, found: Vec<&Subnet>, need: Need) -> Result<Vec<Subnet>, String> {
    let evaluated = found.len();
    let (mut foreign, mut full, mut lacking) = (0, 0, 0);
    let mut eligible = Vec::new();
    for subnet in found {
        if account.gates.subnet_cluster_tag && is_foreign(account, subnet) {
            foreign += 1;
        } else if subnet.free_addresses.is_some_and(|free| free < MINIMAL_FREE_ADDRESSES) {
            full += 1;
        } else if lacks_ipv6(account, subnet, need) {
            lacking += 1;
        } else {
            eligible.push(subnet);
        }
    }
    let own = cluster_tag(account);
    let mut chosen: Vec<Subnet> = zones(&eligible)
        .into_values()
        .filter_map(|there| {
            there.into_iter().min_by_key(|subnet| (!subnet.tags.contains_key(&own), subnet.id.clone()))
        })
        .cloned()
        .collect();
    if chosen.is_empty() {
        let start = format!(
            "unable to resolve at least one subnet. Evaluated {evaluated} subnets: {foreign} are tagged for other \
             clusters,"
        );
        return Err(match needs_ipv6(need) {
            false => format!("{start} and {full} have insufficient available IP addresses"),
            true => format!(
                "{start} {full} have insufficient available IP addresses, and {lacking} don't have an associated \
                 IPv6 CIDR block, which is required for dualstack load balancers"
            ),
        });
    }
    chosen.sort_by(|a, b| a.id.cmp(&b.id));
    enough(account, &chosen, need)?;
    Ok(chosen)
}

/// One kind of place, and enough of them: an ALB needs two, but in availability zones only.
fn enough(account: &Account, subnets: &[Subnet], need: Need) -> Result<(), String> {
    let locales: BTreeSet<&str> = subnets.iter().map(locale).collect();
    if locales.len() > 1 {
        return Err(format!(
            "subnets in multiple locales: [{}]",
            locales.into_iter().collect::<Vec<_>>().join(" ")
        ));
    }
    let one_will_do = need.kind != Kind::Application
        || account.gates.single_subnet
        || !locales.contains("availability-zone");
    let minimum = if one_will_do { 1 } else { 2 };
    match subnets.len() {
        count if count < minimum => {
            Err(format!("subnets count less than minimal required count: {count} < {minimum}"))
        }
        _ => Ok(()),
    }
}

fn locale(subnet: &Subnet) -> &str {
    if subnet.locale.is_empty() { "availability-zone" } else { &subnet.locale }
}

/// A zone that is not known is another one for every subnet.
fn zones<'a>(subnets: &[&'a Subnet]) -> BTreeMap<&'a str, Vec<&'a Subnet>> {
    let mut zones: BTreeMap<&str, Vec<&Subnet>> = BTreeMap::new();
    for subnet in subnets {
        let zone = if subnet.zone.is_empty() { &subnet.id } else { &subnet.zone };
        zones.entry(zone).or_default().push(subnet);
    }
    zones
}

fn is_id(name: &str) -> bool {
    name.starts_with("subnet-")
}

fn name_of(subnet: &Subnet) -> Option<&String> {
    subnet.name.as_ref().or_else(|| subnet.tags.get("Name"))
}

fn tag<'a>(subnet: &'a Subnet, key: &str) -> Option<&'a String> {
    if key == "Name" { name_of(subnet) } else { subnet.tags.get(key) }
}

fn cluster_tag(account: &Account) -> String {
    format!("kubernetes.io/cluster/{}", account.cluster)
}

/// Is it tagged for clusters, and not for this one?
fn is_foreign(account: &Account, subnet: &Subnet) -> bool {
    let tagged = subnet.tags.keys().any(|key| key.starts_with("kubernetes.io/cluster"));
    tagged && !subnet.tags.contains_key(&cluster_tag(account))
}

fn needs_ipv6(need: Need) -> bool {
    need.addresses != AddressType::Ipv4
}

fn lacks_ipv6(account: &Account, subnet: &Subnet, need: Need) -> bool {
    account.subnets_known && needs_ipv6(need) && subnet.cidrs_v6.is_empty()
}

fn ids(subnets: &[&Subnet]) -> String {
    subnets.iter().map(|subnet| subnet.id.as_str()).collect::<Vec<_>>().join(" ")
}
