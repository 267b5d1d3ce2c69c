//! Settings of the whole mesh: MeshConfig, from wherever it is written.

use std::time::Duration;

use plenipo_resources::Set;

use crate::findings::Findings;
use crate::options::Options;

/// What MeshConfig says, as far as a gateway cares.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Mesh {
    /// Where objects hold for the whole mesh.
    pub(crate) root_namespace: String,
    pub(crate) trust_domain: String,
    pub(crate) trust_domain_aliases: Vec<String>,
    /// Suffix of the names of Services.
    pub(crate) cluster_domain: String,
    /// The namespace of our pods.
    pub(crate) namespace: String,
    /// Mutual TLS is spoken to whoever can, unless a DestinationRule says otherwise.
    pub(crate) auto_mtls: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) topology: Topology,
}

/// `defaultConfig.gatewayTopology`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Topology {
    pub(crate) trusted_proxies: u32,
    pub(crate) client_cert: ForwardClientCert,
    /// Listeners demand a PROXY header.
    pub(crate) proxy_protocol: bool,
}

/// `forwardClientCertDetails`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum ForwardClientCert {
    Sanitize,
    ForwardOnly,
    AppendForward,
    #[default]
    SanitizeSet,
    AlwaysForwardOnly,
}

impl Mesh {
    pub(crate) fn read(_set: &Set, options: &Options, _findings: &mut Findings) -> Self {
        let istio = &options.istio;
        Self {
            root_namespace: istio.root_namespace.clone(),
            trust_domain: istio.trust_domain.clone(),
            trust_domain_aliases: Vec::new(),
            cluster_domain: istio.cluster_domain.clone(),
            namespace: istio.namespace.clone(),
            auto_mtls: true,
            connect_timeout: Duration::from_secs(10),
            topology: Topology::default(),
        }
    }
}
