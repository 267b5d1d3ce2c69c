//! Which Ingresses are ours, as typed.

use clap::Args;

/// Kubernetes Ingress.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct IngressArguments {
    /// Class of Ingresses that are ours besides those of our own controllers, by name or by controller; "none" for Ingresses
    /// without a class; may be given several times [default: nginx, unless another program is seen to serve it]
    #[arg(long, value_name = "CLASS", help_heading = "Ingress")]
    pub(crate) ingress_class: Vec<String>,
    /// Secret with the certificate for names that have none [default: fallback-self-signed-cert in our own namespace, if it is
    /// there]
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = secret, help_heading = "Ingress")]
    pub(crate) default_certificate: Option<(String, String)>,
}

fn secret(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('/').filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty());
    let parts = parts.filter(|(_, name)| !name.contains('/'));
    parts
        .map(|(namespace, name)| (namespace.to_owned(), name.to_owned()))
        .ok_or_else(|| "should be NAMESPACE/NAME".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets() {
        assert_eq!(secret("edge/default"), Ok(("edge".to_owned(), "default".to_owned())));
        for wrong in ["", "default", "/default", "edge/", "a/b/c"] {
            assert!(secret(wrong).is_err(), "{wrong}");
        }
    }
}
