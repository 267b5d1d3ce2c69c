//! What Istio's dialect must know that no object says.

use std::collections::BTreeMap;
use std::sync::Arc;

use plenipo_model::MeshIdentity;

/// Settings of Istio's dialect that are no object's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IstioOptions {
    /// Labels of our pods, which Gateways select by. Default: none are known, and every selector selects us.
    pub labels: BTreeMap<String, String>,
    /// The namespace of our pods: where the Secrets that `credentialName` names are looked up. Default `istio-system`.
    pub namespace: String,
    /// Where objects hold for the whole mesh; the mesh settings name another. Default `istio-system`.
    pub root_namespace: String,
    /// The mesh settings name another. Default `cluster.local`.
    pub trust_domain: String,
    /// Suffix of the names of Services. Default `cluster.local`.
    pub cluster_domain: String,
    /// What is shown to workloads that demand mutual TLS, and what they are checked against. Default: nothing.
    pub identity: Option<Arc<MeshIdentity>>,
    /// Namespace and name of a Secret that holds it, if it was not given. Default: none.
    pub identity_secret: Option<(String, String)>,
    /// Somebody (istiod) will give it once traffic is carried: nothing is to be said of its absence. Default: no.
    pub identity_expected: bool,
    /// Where we run, for balancing by locality. Default: not known.
    pub locality: Locality,
    /// Key sets for tokens may be fetched from private addresses that are no service of the cluster. Default: no.
    pub private_key_servers: bool,
}

impl Default for IstioOptions {
    fn default() -> Self {
        Self {
            labels: BTreeMap::new(),
            namespace: "istio-system".to_owned(),
            root_namespace: "istio-system".to_owned(),
            trust_domain: "cluster.local".to_owned(),
            cluster_domain: "cluster.local".to_owned(),
            identity: None,
            identity_secret: None,
            identity_expected: false,
            locality: Locality::default(),
            private_key_servers: false,
        }
    }
}

/// `region/zone/subzone`; parts that are not known are empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Locality {
    /// `eu-central-1`.
    pub region: String,
    /// `eu-central-1a`.
    pub zone: String,
    /// Usually empty.
    pub subzone: String,
}

impl Locality {
    /// From `region/zone/subzone`, of which the end may be missing (Istio also takes dots: labels may not hold slashes).
    pub fn parse(text: &str) -> Self {
        let separator = if text.contains('/') { '/' } else { '.' };
        let mut parts = text.trim().splitn(3, separator).map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        Self { region: part(), zone: part(), subzone: part() }
    }

    /// Is nothing known?
    pub fn is_empty(&self) -> bool {
        self.region.is_empty()
    }
}
