//! How many objects there are, by kind and version.

use std::collections::BTreeMap;

use plenipo_resources::{Set, View};
use serde::Serialize;

/// So many objects of a kind.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Count {
    /// `Mapping`.
    pub kind: String,
    /// `getambassador.io/v2`, as written.
    pub version: String,
    /// How many.
    pub count: usize,
}

/// The objects by kind and version. What is nobody's business here is left out.
pub(crate) fn count(set: &Set) -> Vec<Count> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for object in set.objects().iter().filter(|object| !matches!(object.view, View::Foreign)) {
        *counts.entry((&object.id.kind, &object.meta.api_version)).or_default() += 1;
    }
    let row = |((kind, version), count): ((&str, &str), usize)| Count {
        kind: kind.to_owned(),
        version: version.to_owned(),
        count,
    };
    counts.into_iter().map(row).collect()
}
