//! Who the gateway is in a service mesh, as typed.

use std::path::PathBuf;

use clap::Args;

/// Istio: who the gateway is in the mesh.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct MeshArguments {
    /// Where the certificate comes from that mesh workloads know the gateway by: istiod, files:DIR or secret:NAMESPACE/NAME
    /// [default: none, so that workloads that demand one cannot be reached]
    #[arg(long, value_name = "WHERE", value_parser = origin, help_heading = "Istio")]
    pub(crate) mesh_identity: Option<IdentityOrigin>,
    /// istiod's certificate authority [default: $CA_ADDR, else istiod.istio-system.svc:15012]
    #[arg(long, value_name = "URL", help_heading = "Istio")]
    pub(crate) mesh_ca: Option<String>,
    /// PEM file of the roots that istiod's certificate is checked against
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/var/run/secrets/istio/root-cert.pem",
        help_heading = "Istio"
    )]
    pub(crate) mesh_ca_roots: PathBuf,
    /// File of the service-account token (audience istio-ca) that istiod knows the gateway by
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/var/run/secrets/tokens/istio-token",
        help_heading = "Istio"
    )]
    pub(crate) mesh_token: PathBuf,
    /// Service account of the gateway [default: $SERVICE_ACCOUNT, else "default"]
    #[arg(long, value_name = "NAME", help_heading = "Istio")]
    pub(crate) service_account: Option<String>,
    /// Trust domain of the mesh [default: $TRUST_DOMAIN, else what the mesh's settings say, else cluster.local]
    #[arg(long, value_name = "DOMAIN", help_heading = "Istio")]
    pub(crate) trust_domain: Option<String>,
    /// Namespace of the gateway's pods, in which credentialName names Secrets [default: $POD_NAMESPACE, else istio-system]
    #[arg(long, value_name = "NAMESPACE", help_heading = "Istio")]
    pub(crate) istio_namespace: Option<String>,
    /// A label of the gateway's pods, by which Gateways select it; repeatable [default: every Gateway selects it]
    #[arg(long, value_name = "KEY=VALUE", value_parser = label, help_heading = "Istio")]
    pub(crate) istio_label: Vec<(String, String)>,
    /// Fetch key sets for tokens (jwksUri) from private addresses too that are no service of the cluster [default: no]
    #[arg(long, help_heading = "Istio")]
    pub(crate) istio_private_key_servers: bool,
    /// Where the gateway runs, for balancing by locality: REGION/ZONE or REGION/ZONE/SUBZONE
    #[arg(long, value_name = "REGION/ZONE", help_heading = "Istio")]
    pub(crate) locality: Option<String>,
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) =
        text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("should be KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Where an identity comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum IdentityOrigin {
    /// istiod's certificate authority.
    Istiod,
    /// Files in this directory.
    Files(PathBuf),
    /// A Kubernetes Secret.
    Secret {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

fn origin(text: &str) -> Result<IdentityOrigin, String> {
    let secret = |text: &str| {
        let (namespace, name) = text.split_once('/').filter(|(a, b)| !a.is_empty() && !b.is_empty())?;
        Some(IdentityOrigin::Secret { namespace: namespace.to_owned(), name: name.to_owned() })
    };
    let read = match text.split_once(':') {
        None if text == "istiod" => Some(IdentityOrigin::Istiod),
        Some(("files", directory)) if !directory.is_empty() => Some(IdentityOrigin::Files(directory.into())),
        Some(("secret", rest)) => secret(rest),
        _ => None,
    };
    read.ok_or_else(|| "should be istiod, files:DIR or secret:NAMESPACE/NAME".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        assert_eq!(origin("istiod"), Ok(IdentityOrigin::Istiod));
        assert_eq!(origin("files:/etc/certs"), Ok(IdentityOrigin::Files("/etc/certs".into())));
        let secret =
            IdentityOrigin::Secret { namespace: "istio-system".to_owned(), name: "gateway".to_owned() };
        assert_eq!(origin("secret:istio-system/gateway"), Ok(secret));
        for wrong in ["", "istio", "files:", "secret:gateway", "secret:/x", "istiod:x"] {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
    }
}
