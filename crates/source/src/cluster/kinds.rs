//! The kinds that are read.

/// A kind, and how it is found in the API.
#[derive(Debug)]
pub(super) struct Kind {
    /// Empty for the core group.
    pub(super) group: &'static str,
    pub(super) plural: &'static str,
    pub(super) name: &'static str,
    /// Those that can be read, best first.
    pub(super) versions: &'static [&'static str],
    pub(super) namespaced: bool,
    pub(super) need: Need,
}

/// When a kind is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Need {
    /// Always.
    Always,
    /// There may be very many of them, and few are needed: of all only names and labels are asked for, and then for those
    /// that something refers to.
    Referenced,
    /// When there are objects of Istio's: who the pods are, which labels they have, and where they run.
    Mesh,
}

/// A field selector that leaves out what is never needed, and of which there is much.
pub(super) const SECRETS: &str = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token";

const AMBASSADOR: (&str, &[&str]) = ("getambassador.io", &["v3alpha1", "v2", "v1"]);
const NETWORKING: (&str, &[&str]) = ("networking.istio.io", &["v1", "v1beta1", "v1alpha3"]);
const SECURITY: (&str, &[&str]) = ("security.istio.io", &["v1", "v1beta1"]);
const V1: &[&str] = &["v1"];

const fn namespaced(
    (group, versions): (&'static str, &'static [&'static str]),
    plural: &'static str,
    name: &'static str,
) -> Kind {
    Kind { group, plural, name, versions, namespaced: true, need: Need::Always }
}

const fn cluster_wide(
    of: (&'static str, &'static [&'static str]),
    plural: &'static str,
    name: &'static str,
) -> Kind {
    Kind { namespaced: false, ..namespaced(of, plural, name) }
}

impl Kind {
    const fn when(self, need: Need) -> Self {
        Self { need, ..self }
    }
}

/// Everything that is read, each kind under the name that [`plenipo_resources::ObjectId`] has for it.
pub(super) static KINDS: [Kind; 41] = [
    namespaced(AMBASSADOR, "authservices", "AuthService"),
    namespaced(AMBASSADOR, "consulresolvers", "ConsulResolver"),
    namespaced(AMBASSADOR, "devportals", "DevPortal"),
    namespaced(AMBASSADOR, "hosts", "Host"),
    namespaced(AMBASSADOR, "kubernetesendpointresolvers", "KubernetesEndpointResolver"),
    namespaced(AMBASSADOR, "kubernetesserviceresolvers", "KubernetesServiceResolver"),
    namespaced(AMBASSADOR, "listeners", "Listener"),
    namespaced(AMBASSADOR, "logservices", "LogService"),
    namespaced(AMBASSADOR, "mappings", "Mapping"),
    namespaced(AMBASSADOR, "modules", "Module"),
    namespaced(AMBASSADOR, "ratelimitservices", "RateLimitService"),
    namespaced(AMBASSADOR, "tcpmappings", "TCPMapping"),
    namespaced(AMBASSADOR, "tlscontexts", "TLSContext"),
    namespaced(AMBASSADOR, "tracingservices", "TracingService"),
    namespaced(("", V1), "services", "Service"),
    cluster_wide(("", V1), "namespaces", "Namespace"),
    namespaced(("", V1), "secrets", "Secret").when(Need::Referenced),
    namespaced(("", V1), "configmaps", "ConfigMap").when(Need::Referenced),
    namespaced(("", V1), "pods", "Pod").when(Need::Mesh),
    cluster_wide(("", V1), "nodes", "Node").when(Need::Mesh),
    namespaced(("apps", V1), "deployments", "Deployment").when(Need::Mesh),
    namespaced(("discovery.k8s.io", V1), "endpointslices", "EndpointSlice"),
    namespaced(("networking.k8s.io", V1), "ingresses", "Ingress"),
    cluster_wide(("networking.k8s.io", V1), "ingressclasses", "IngressClass"),
    cluster_wide(("elbv2.k8s.aws", &["v1beta1"]), "ingressclassparams", "IngressClassParams"),
    namespaced(("elbv2.k8s.aws", &["v1beta1"]), "targetgroupbindings", "TargetGroupBinding"),
    namespaced(NETWORKING, "destinationrules", "DestinationRule"),
    namespaced(NETWORKING, "envoyfilters", "EnvoyFilter"),
    namespaced(NETWORKING, "gateways", "Gateway"),
    namespaced(NETWORKING, "proxyconfigs", "ProxyConfig"),
    namespaced(NETWORKING, "serviceentries", "ServiceEntry"),
    namespaced(NETWORKING, "sidecars", "Sidecar"),
    namespaced(NETWORKING, "virtualservices", "VirtualService"),
    namespaced(NETWORKING, "workloadentries", "WorkloadEntry"),
    namespaced(NETWORKING, "workloadgroups", "WorkloadGroup"),
    namespaced(SECURITY, "authorizationpolicies", "AuthorizationPolicy"),
    namespaced(SECURITY, "peerauthentications", "PeerAuthentication"),
    namespaced(SECURITY, "requestauthentications", "RequestAuthentication"),
    namespaced(("telemetry.istio.io", &["v1", "v1alpha1"]), "telemetries", "Telemetry"),
    namespaced(("extensions.istio.io", &["v1alpha1"]), "wasmplugins", "WasmPlugin"),
    namespaced(("install.istio.io", &["v1alpha1"]), "istiooperators", "IstioOperator"),
];

impl Kind {
    /// `v1`, `getambassador.io/v2`.
    pub(super) fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }

    /// Is it there in every cluster, without anybody having installed it?
    pub(super) fn is_built_in(&self) -> bool {
        ["", "apps", "discovery.k8s.io", "networking.k8s.io"].contains(&self.group)
    }

    /// Does its presence ask for what is [`Need::Mesh`]?
    pub(super) fn is_of_mesh(&self) -> bool {
        ["networking.istio.io", "security.istio.io"].contains(&self.group)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_once() {
        let names: BTreeSet<_> = KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), KINDS.len());
    }
}
