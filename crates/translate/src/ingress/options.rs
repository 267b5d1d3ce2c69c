//! What must be known before any Ingress is read.

use std::collections::BTreeSet;

/// Settings of the Ingress dialect that are no object's.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct IngressOptions {
    /// Classes, by name or by controller, that are ours besides those of the controllers `plenipo.io/ingress-controller`,
    /// `istio.io/ingress-controller` and `getambassador.io/ingress-controller`; `none` stands for Ingresses without a class.
    /// By default `nginx` is, as long as no other program is seen to serve it.
    pub classes: Option<BTreeSet<String>>,
    /// Namespace and name of the Secret with the certificate for names that have none. By default
    /// `fallback-self-signed-cert` in [`crate::Options::namespace`], if it is there.
    pub default_certificate: Option<(String, String)>,
}
