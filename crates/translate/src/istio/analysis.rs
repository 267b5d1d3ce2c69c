//! What works, but not as its author probably thinks, and what is not seen by looking at one object: the meaning of
//! `istioctl analyze`, and what it lacks.
//!
//! Each finding is one function that looks at everything as it was read. What reading an object shows is told there.

mod certificates;
mod destinations;
mod gateways;
mod hosts;
mod matches;
mod routes;

use plenipo_model::Edge;
use plenipo_resources::{Object, Set};

use super::gateway::Server;
use super::mesh::Mesh;
use super::virtual_service::Service;
use crate::findings::Findings;
use crate::options::Options;

/// Everything, as it was read and as it will be served.
pub(super) struct Scene<'s, 'a> {
    pub(super) set: &'a Set,
    pub(super) options: &'a Options,
    pub(super) mesh: &'s Mesh,
    pub(super) servers: &'s [Server<'a>],
    pub(super) services: &'s [Service<'a>],
    pub(super) edge: &'s Edge,
}

const FINDINGS: [fn(&Scene<'_, '_>, &mut Findings); 12] = [
    routes::unreachable,
    routes::impossible,
    routes::badly_joined,
    routes::repeated_writes,
    routes::claims_of_nobody,
    hosts::shadowed,
    gateways::redirect_to_nowhere,
    gateways::port_without_service,
    gateways::secret_elsewhere,
    certificates::other_names,
    destinations::ambiguous_port,
    destinations::rule_for_nobody,
];

/// Says what is found.
pub(super) fn analyse(scene: &Scene<'_, '_>, findings: &mut Findings) {
    for find in FINDINGS {
        find(scene, findings);
    }
}

impl<'a> Scene<'_, 'a> {
    /// The Service of Kubernetes that a host is the name of.
    fn service(&self, host: &str, namespace: &str) -> Option<&'a Object> {
        let full = self.mesh.full_name(host, namespace);
        let place = full.strip_suffix(self.mesh.cluster_domain.as_str())?.strip_suffix(".svc.")?;
        let (name, namespace) = place.split_once('.')?;
        self.set.get("Service", namespace, name).map(|object| &**object)
    }
}
