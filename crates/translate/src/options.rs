//! What must be known before any object is read.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub use crate::ingress::IngressOptions;
pub use crate::istio::{IstioOptions, Locality};

/// Settings of a translation that are no object's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Which objects are ours (`AMBASSADOR_ID`). Default `default`.
    pub ambassador_id: String,
    /// Our own namespace (`AMBASSADOR_NAMESPACE`): where unqualified service names and the fallback certificate are
    /// looked up. Default `default`.
    pub namespace: String,
    /// Only objects of our own namespace are ours (`AMBASSADOR_SINGLE_NAMESPACE`).
    pub single_namespace: bool,
    /// Where listeners bind that do not say (`AMBASSADOR_ENVOY_BIND_ADDRESS`). Default `0.0.0.0`.
    pub bind_address: IpAddr,
    /// Addresses to use for services, by `name.namespace` (or any host name) and port, instead of asking DNS.
    pub resolve: BTreeMap<(String, u16), SocketAddr>,
    /// There is no cluster: a service is where its EndpointSlices say, else where [`Options::resolve`] says, else where
    /// DNS says, whatever resolver its Mapping names.
    pub force_directory_endpoints: bool,
    /// A Host takes a Mapping when one label of its selector *or* the host name fits, and a Listener a Host when one label
    /// does (`DISABLE_STRICT_LABEL_SELECTORS`: how it was before Emissary 3.2), instead of all that are given.
    pub disable_strict_label_selectors: bool,
    /// Contents of the files that objects name; see [`crate::referenced_files`]. One that is not here counts as missing.
    pub files: BTreeMap<String, Vec<u8>>,
    /// For Istio's objects.
    pub istio: IstioOptions,
    /// For Ingresses.
    pub ingress: IngressOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ambassador_id: "default".to_owned(),
            namespace: "default".to_owned(),
            single_namespace: false,
            bind_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            resolve: BTreeMap::new(),
            force_directory_endpoints: false,
            disable_strict_label_selectors: false,
            files: BTreeMap::new(),
            istio: IstioOptions::default(),
            ingress: IngressOptions::default(),
        }
    }
}

impl Options {
    /// What [`Options::resolve`] says of a host: under its own name, or under the name and namespace of the Service it is.
    pub(crate) fn resolved(
        &self,
        host: &str,
        service: Option<(&str, &str)>,
        port: u16,
    ) -> Option<SocketAddr> {
        if self.resolve.is_empty() {
            return None;
        }
        let exact = self.resolve.get(&(host.to_owned(), port));
        let short = || service.map(|(name, namespace)| format!("{name}.{namespace}"));
        exact.or_else(|| self.resolve.get(&(short()?, port))).copied()
    }
}
