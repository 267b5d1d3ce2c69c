//! Where routes send what they take: clusters named as Envoy's are in a mesh.

use std::collections::BTreeMap;
use std::sync::Arc;

use plenipo_model::{Cluster, Endpoints, HashKey, Source};
use plenipo_resources::{Object, Set};

use super::mesh::Mesh;
use crate::directory::Directory;
use crate::findings::Findings;
use crate::options::Options;
use crate::secrets::Secrets;

/// All destinations that routes name.
#[derive(Debug)]
pub(crate) struct Destinations<'a> {
    mesh: &'a Mesh,
    set: &'a Set,
    options: &'a Options,
    directory: Directory<'a>,
    clusters: BTreeMap<Arc<str>, Arc<Cluster>>,
}

/// What a route says about its destination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'w> {
    /// Who wants it, and in which field.
    pub(crate) object: &'w Object,
    pub(crate) field: &'w str,
    /// As written: a short name is one of `namespace`.
    pub(crate) host: &'w str,
    /// The namespace of the VirtualService (or Ingress) that says so.
    pub(crate) namespace: &'w str,
    pub(crate) subset: Option<&'w str>,
    /// None: the only port of the service, else that of the listener.
    pub(crate) port: Option<u16>,
    /// The port of the server (as its Gateway says, before any translation).
    pub(crate) listener_port: u16,
    /// What the route relays.
    pub(crate) carries: Carries,
}

/// What a route relays.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Carries {
    Http,
    /// Bytes, of a connection that came in clear text or whose TLS ended here.
    Tcp,
    /// TLS that somebody behind ends.
    Tls,
}

/// A destination that there is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Reached {
    /// Name of the cluster.
    pub(crate) cluster: Arc<str>,
    /// What requests are hashed by, if the DestinationRule says so.
    pub(crate) hash: Option<HashKey>,
    /// Retries go elsewhere than the try before: not where endpoints are chosen by hash.
    pub(crate) retries_avoid_previous: bool,
}

/// There is no such destination: requests are answered 503 (`NC`), connections closed. It was told already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Missing;

impl<'a> Destinations<'a> {
    pub(crate) fn new(
        mesh: &'a Mesh,
        set: &'a Set,
        options: &'a Options,
        directory: Directory<'a>,
        _findings: &mut Findings,
    ) -> Self {
        Self { mesh, set, options, directory, clusters: BTreeMap::new() }
    }

    /// The cluster for a destination; the same one for everybody who wants the same.
    ///
    /// # Errors
    /// When there is no such destination, which the findings tell.
    pub(crate) fn reach(
        &mut self,
        wanted: &Wanted<'_>,
        _secrets: &mut Secrets<'a>,
        _findings: &mut Findings,
    ) -> Result<Reached, Missing> {
        let port = wanted.port.unwrap_or(wanted.listener_port);
        let subset = wanted.subset.unwrap_or_default();
        let name: Arc<str> = format!("outbound|{port}|{subset}|{}", wanted.host).into();
        let cluster = Cluster::new(&name, Source::new(wanted.host), Endpoints::addresses([]));
        self.clusters.insert(Arc::clone(&name), Arc::new(cluster));
        Ok(Reached { cluster: name, hash: None, retries_avoid_previous: true })
    }

    /// All that were asked for.
    pub(crate) fn into_clusters(self) -> BTreeMap<Arc<str>, Arc<Cluster>> {
        self.clusters
    }
}
