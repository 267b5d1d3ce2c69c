//! What the cluster serves, asked again and again.

use std::collections::BTreeSet;

use tokio::time::timeout;
use tracing::info;

use super::{DISCOVERY, Done, Follower};
use crate::cluster::api::Failure;
use crate::cluster::discovery::{self, Served};
use crate::cluster::kinds::KINDS;

impl Follower {
    pub(super) fn discover(&mut self) {
        if std::mem::replace(&mut self.asking, true) {
            return;
        }
        let client = self.client.clone();
        self.errands.spawn(async move {
            let served = timeout(DISCOVERY, discovery::served(&client)).await;
            Done::Served(match served {
                Ok(served) => served.map_err(|error| Failure::of(&error).to_string()),
                Err(_) => Err(format!("no answer within {} s", DISCOVERY.as_secs())),
            })
        });
    }

    /// Takes over what the cluster serves. What it no longer serves goes when it has said so twice: an apiserver that is
    /// just starting may not know yet.
    pub(super) fn learn(&mut self, mut served: Served) {
        let known = self.served.take().unwrap_or_default();
        self.vanished.retain(|kind, _| !served.contains_key(kind));
        for (name, entry) in known.iter().filter(|(name, _)| !served.contains_key(*name)).collect::<Vec<_>>()
        {
            let times = self.vanished.entry(name).or_insert(0);
            *times += 1;
            if *times < 2 {
                served.insert(name, entry.clone());
            } else {
                info!(kind = name, "the cluster no longer serves a kind");
            }
        }
        self.vanished.retain(|kind, _| served.contains_key(kind));
        let new: Vec<_> = served.keys().filter(|kind| !known.contains_key(*kind)).copied().collect();
        let missing: Vec<_> = missing_groups(&served).into_iter().collect();
        if known.is_empty() && !missing.is_empty() {
            let groups = missing.join(", ");
            info!(groups, "kinds that the cluster does not serve are read as soon as it does");
        } else if !known.is_empty() && !new.is_empty() {
            info!(kinds = new.join(", "), "the cluster serves kinds that it did not");
        }
        self.replan |= known.len() != served.len()
            || known
                .iter()
                .any(|(name, (_, versions))| served.get(name).is_none_or(|(_, now)| now != versions));
        self.served = Some(served);
    }
}

/// Groups that have to be installed and of which nothing is served.
fn missing_groups(served: &Served) -> BTreeSet<&'static str> {
    let groups = KINDS.iter().filter(|kind| !kind.is_built_in()).map(|kind| kind.group);
    let there: BTreeSet<_> = served.values().map(|(kind, _)| kind.group).collect();
    groups.filter(|group| !there.contains(group)).collect()
}
