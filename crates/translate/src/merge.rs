//! One edge of those that the dialects ask for.
//!
//! Where two ask for the same, the earlier has it, and the later object is told who (code `conflict`). What both may have
//! they share: an address, a port, a host. Nothing is served with less protection than whoever asked for it wanted: what the
//! later one demands and the place it shares does not give is refused there.

use plenipo_model::{Edge, Listener, Transport};
use plenipo_resources::Set;

use crate::findings::Findings;

mod chains;
mod challenges;
mod clusters;
mod conflict;
mod demands;
mod hosts;
mod names;
mod unite;

use conflict::Conflicts;
use unite::Lists;

/// Adds to `first` what the others ask for, in their order. Where two ask for the same, the earlier has it.
pub(crate) fn join<'e>(
    first: Edge,
    others: impl IntoIterator<Item = &'e Edge>,
    set: &Set,
    findings: &mut Findings,
) -> Edge {
    let mut joint = Joint { edge: first, conflicts: Conflicts::new(set, findings), lists: Lists::default() };
    for other in others {
        let renamed = clusters::add(&mut joint.edge.clusters, other);
        for listener in &renamed.as_ref().unwrap_or(other).listeners {
            joint.add(listener);
        }
    }
    joint.edge
}

/// What has been put together so far.
struct Joint<'f> {
    edge: Edge,
    conflicts: Conflicts<'f>,
    lists: Lists,
}

impl Joint<'_> {
    fn add(&mut self, theirs: &Listener) {
        let listeners = &mut self.edge.listeners;
        let same = |mine: &Listener| mine.bind == theirs.bind && mine.transport == theirs.transport;
        if let Some(mine) = listeners.iter_mut().find(|mine| same(mine)) {
            settle(mine, theirs, &mut self.conflicts);
            if theirs.transport == Transport::Udp {
                let message = format!("UDP at {} is {}'s", theirs.bind, mine.source);
                self.conflicts.lost(&theirs.source, message, "use another port");
                return;
            }
            chains::join(mine, theirs, &mut self.conflicts, &mut self.lists);
            return;
        }
        let mut theirs = theirs.clone();
        if listeners.iter().any(|mine| mine.name == theirs.name) {
            theirs.name = format!("{}@{}", theirs.name, theirs.bind);
        }
        let place = |listener: &Listener| (listener.bind, listener.transport);
        let at = listeners.partition_point(|mine| place(mine) <= place(&theirs));
        listeners.insert(at, theirs);
    }
}

/// The earlier one's settings hold for the address.
fn settle(mine: &Listener, theirs: &Listener, conflicts: &mut Conflicts<'_>) {
    if mine.proxy_protocol != theirs.proxy_protocol || mine.inner_proxy_from != theirs.inner_proxy_from {
        let message = format!(
            "PROXY headers at {} are taken as {} says, which says otherwise",
            theirs.bind, mine.source
        );
        conflicts.lost(&theirs.source, message, "write the same in both, or use another port");
    }
    if theirs.max_connections.is_some_and(|limit| mine.max_connections.is_none_or(|other| other > limit)) {
        let message = format!("{} is {}'s too, whose limit of connections holds", theirs.bind, mine.source);
        conflicts.changed(&theirs.source, message, "write the limit there");
    }
}

#[cfg(test)]
mod tests;
