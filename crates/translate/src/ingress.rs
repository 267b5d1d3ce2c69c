//! Kubernetes' own dialect: Ingress.

use plenipo_model::Edge;
use plenipo_resources::Object;

use crate::memory::{Dialect, Reader};

pub(crate) const DIALECT: Dialect = Dialect { concerns, translate };

fn concerns(_: &Object) -> bool {
    false
}

fn translate(_: Reader<'_>) -> Edge {
    Edge::default()
}
