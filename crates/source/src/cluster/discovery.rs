//! Which of the kinds a cluster serves, and in which versions.

use std::collections::BTreeMap;

use kube::Client;

use super::kinds::{KINDS, Kind};

/// The kinds that are served, by name, each with those of its versions that are, best first.
pub(super) type Served = BTreeMap<&'static str, (&'static Kind, Vec<&'static str>)>;

/// Asks the cluster.
///
/// # Errors
/// When it does not answer.
pub(super) async fn served(client: &Client) -> kube::Result<Served> {
    let groups = client.list_api_groups().await?.groups;
    let versions_of = |kind: &Kind| -> Vec<String> {
        // The core group has its own place, and one version.
        let found = groups.iter().find(|group| group.name == kind.group);
        let found = found.into_iter().flat_map(|group| &group.versions);
        if kind.group.is_empty() {
            vec!["v1".to_owned()]
        } else {
            found.map(|it| it.version.clone()).collect()
        }
    };
    // What stands in each version of each group that is not built in.
    let mut resources: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut served = Served::new();
    for kind in &KINDS {
        let there = versions_of(kind);
        let mut versions = Vec::new();
        for version in kind.versions.iter().filter(|version| there.iter().any(|there| there == *version)) {
            let place = kind.api_version(version);
            if !kind.is_built_in() && !resources.contains_key(&place) {
                let list = client.list_api_group_resources(&place).await?.resources;
                resources.insert(place.clone(), list.into_iter().map(|resource| resource.name).collect());
            }
            let stands = |list: &Vec<String>| list.iter().any(|plural| plural == kind.plural);
            if kind.is_built_in() || resources.get(&place).is_some_and(stands) {
                versions.push(*version);
            }
        }
        if !versions.is_empty() {
            served.insert(kind.name, (kind, versions));
        }
    }
    Ok(served)
}
