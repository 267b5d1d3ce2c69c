//! One edge of those that the dialects ask for.

use plenipo_model::Edge;
use plenipo_resources::Set;

use crate::findings::Findings;

/// Adds to `first` what the others ask for, in their order. Where two ask for the same, the earlier has it.
pub(crate) fn join<'e>(
    first: Edge,
    others: impl IntoIterator<Item = &'e Edge>,
    _set: &Set,
    _findings: &mut Findings,
) -> Edge {
    let mut edge = first;
    for other in others {
        edge.listeners.extend(other.listeners.iter().cloned());
        edge.clusters.extend(other.clusters.iter().map(|(name, cluster)| (name.clone(), cluster.clone())));
    }
    edge
}
