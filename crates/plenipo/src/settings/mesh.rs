//! Who the gateway is in a service mesh.

use std::time::Duration;

use plenipo_mesh::{AuthorityAddress, Origin};
use plenipo_translate::{IstioOptions, Locality};

use crate::arguments::{IdentityOrigin, MeshArguments};
use crate::environment::Environment;

/// What Istio's agent asks for; istiod gives no more than it is told to (24 h by default).
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// What Istio's dialect is told, and where the identity is to be had. The variables are those that Istio sets in its
/// gateways' pods.
pub(super) fn read(arguments: &MeshArguments, environment: &Environment) -> (IstioOptions, Option<Origin>) {
    let text = |argument: &Option<String>, variable: &str, otherwise: &str| {
        let value = argument.as_deref().or_else(|| environment.value(variable));
        value.unwrap_or(otherwise).to_owned()
    };
    let usual = IstioOptions::default();
    let mut options = IstioOptions {
        namespace: text(&arguments.istio_namespace, "POD_NAMESPACE", &usual.namespace),
        labels: arguments.istio_label.iter().cloned().collect(),
        locality: arguments.locality.as_deref().map(Locality::parse).unwrap_or_default(),
        private_key_servers: arguments.istio_private_key_servers,
        trust_domain: text(&arguments.trust_domain, "TRUST_DOMAIN", &usual.trust_domain),
        ..usual
    };
    let account = text(&arguments.service_account, "SERVICE_ACCOUNT", "default");
    let origin = match &arguments.mesh_identity {
        None => None,
        Some(IdentityOrigin::Files(directory)) => Some(Origin::Files(directory.clone())),
        Some(IdentityOrigin::Secret { namespace, name }) => {
            options.identity_secret = Some((namespace.clone(), name.clone()));
            None
        }
        Some(IdentityOrigin::Istiod) => Some(Origin::Authority(AuthorityAddress {
            url: address(&text(&arguments.mesh_ca, "CA_ADDR", "istiod.istio-system.svc:15012")),
            roots: arguments.mesh_ca_roots.clone(),
            token: arguments.mesh_token.clone(),
            cluster: text(&None, "ISTIO_META_CLUSTER_ID", "Kubernetes"),
            id: format!("spiffe://{}/ns/{}/sa/{account}", options.trust_domain, options.namespace),
            lifetime: LIFETIME,
        })),
    };
    (options, origin)
}

/// `CA_ADDR` has no scheme.
fn address(text: &str) -> String {
    if text.contains("://") { text.to_owned() } else { format!("https://{text}") }
}
