//! Istio's dialect, as an ingress gateway speaks it: Gateways, VirtualServices and what belongs to them.

mod destinations;
mod mesh;
mod options;

use plenipo_model::Edge;
use plenipo_resources::Object;

use crate::memory::{Dialect, Reader};

pub use options::{IstioOptions, Locality};

pub(crate) const DIALECT: Dialect = Dialect { concerns, translate };

fn concerns(_: &Object) -> bool {
    false
}

fn translate(_: Reader<'_>) -> Edge {
    Edge::default()
}
