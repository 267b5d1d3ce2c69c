//! What routes are made of besides themselves.

use std::sync::Arc;

use plenipo_model::{AccessLog, Authorization, Cluster, Endpoints};
use plenipo_resources::istio::Destination;
use plenipo_resources::{Object, Set};

use super::destinations::{Carries, Destinations, Missing, Reached, Wanted};
use super::mesh::Mesh;
use crate::findings::{Findings, Flaw, source_of};
use crate::options::Options;
use crate::secrets::Secrets;

/// What routes are made of besides themselves.
pub(super) struct World<'w, 'a> {
    pub(super) set: &'a Set,
    pub(super) mesh: &'a Mesh,
    pub(super) options: &'a Options,
    pub(super) destinations: &'w mut Destinations<'a>,
    pub(super) secrets: &'w mut Secrets<'a>,
    pub(super) findings: &'w mut Findings,
    /// Who may connect to what is relayed.
    pub(super) relays: Option<Arc<Authorization>>,
    /// Where connections are reported.
    pub(super) access_log: Option<Arc<AccessLog>>,
    /// Stand-ins for destinations that there are not.
    pub(super) nowhere: Vec<Arc<Cluster>>,
}

/// A destination that a route names.
pub(super) struct Asked<'r> {
    pub(super) object: &'r Object,
    pub(super) field: &'r str,
    pub(super) destination: &'r Destination,
    pub(super) listener_port: u16,
    pub(super) carries: Carries,
}

impl World<'_, '_> {
    /// The cluster of a destination. One that does not exist has no endpoints: requests are answered 503, connections
    /// closed.
    ///
    /// # Errors
    /// When the port is none.
    pub(super) fn cluster(&mut self, asked: &Asked<'_>) -> Result<(Arc<str>, Option<Reached>), Flaw> {
        let Destination { host, subset, port } = asked.destination;
        let number = port.as_ref().and_then(|port| port.number).filter(|number| *number != 0);
        let port = number.map(|number| {
            u16::try_from(number).map_err(|_| {
                let message = format!("{number} is not a port");
                let field = format!("{}.port.number", asked.field);
                Flaw::new("bad-port", field, message, "write a number from 1 to 65535")
            })
        });
        let wanted = Wanted {
            object: asked.object,
            field: asked.field,
            host,
            namespace: &asked.object.id.namespace,
            subset: subset.as_deref().filter(|name| !name.is_empty()),
            port: port.transpose()?,
            listener_port: asked.listener_port,
            carries: asked.carries,
        };
        match self.destinations.reach(&wanted, self.secrets, self.findings) {
            Ok(reached) => Ok((Arc::clone(&reached.cluster), Some(reached))),
            Err(Missing) => {
                let port = wanted.port.unwrap_or(wanted.listener_port);
                let host = self.mesh.full_name(host, wanted.namespace);
                let name = format!("missing|{port}|{}|{host}", wanted.subset.unwrap_or_default());
                let cluster = Cluster::new(&name, source_of(asked.object), Endpoints::addresses([]));
                let name = Arc::clone(&cluster.name);
                self.nowhere.push(Arc::new(cluster));
                Ok((name, None))
            }
        }
    }
}
