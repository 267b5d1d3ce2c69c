//! Which cluster is read, and what of it.

use std::path::Path;

use plenipo_resources::ObjectId;
use plenipo_source::cluster::{Access, ClusterOptions};

use super::Reading;
use crate::arguments::ClusterArguments;
use crate::environment::Environment;

/// Where a pod finds the namespace it is in.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// The Secret with the certificate for whoever names none, in the gateway's namespace.
const FALLBACK: &str = "fallback-self-signed-cert";

impl Reading {
    /// How a cluster is read and understood, in place of a directory. Our own namespace is that of the pod, where nobody
    /// says otherwise.
    pub(crate) fn of_cluster(
        &mut self,
        arguments: &ClusterArguments,
        has_namespace: bool,
        environment: &Environment,
    ) -> (Access, ClusterOptions) {
        let options = &mut self.options;
        if !has_namespace && let Some(own) = own_namespace(environment, Path::new(OWN_NAMESPACE)) {
            options.namespace = own;
        }
        // Emissary: any non-empty value. Its names lead to the Services' own addresses, without us knowing endpoints.
        options.force_directory_endpoints = environment.value("AMBASSADOR_DISABLE_ENDPOINTS").is_none();
        let text = |argument: &Option<String>, variable: &str| {
            argument.as_deref().or_else(|| environment.value(variable)).map(str::to_owned)
        };
        let namespaces = match arguments.watch_namespace.as_slice() {
            [] if options.single_namespace => vec![options.namespace.clone()],
            several => several.to_vec(),
        };
        let secret = |(namespace, name): &(String, String)| ObjectId::new("Secret", namespace, name);
        let mut needed = vec![ObjectId::new("Secret", &options.namespace, FALLBACK)];
        needed.extend(options.ingress.default_certificate.iter().map(secret));
        needed.extend(options.istio.identity_secret.iter().map(secret));
        let mut gateways = vec![options.namespace.clone(), options.istio.namespace.clone()];
        gateways.dedup();
        let read = ClusterOptions {
            namespaces,
            gateways,
            label_selector: text(&arguments.label_selector, "AMBASSADOR_LABEL_SELECTOR"),
            field_selector: text(&arguments.field_selector, "AMBASSADOR_FIELD_SELECTOR"),
            needed,
            ..ClusterOptions::default()
        };
        let access = Access { kubeconfig: arguments.kubeconfig.clone(), context: arguments.context.clone() };
        (access, read)
    }
}

/// What the downward API says, else what a pod's ServiceAccount does.
fn own_namespace(environment: &Environment, file: &Path) -> Option<String> {
    let written = || std::fs::read_to_string(file).ok().map(|text| text.trim().to_owned());
    let own = environment.value("POD_NAMESPACE").map(str::to_owned).or_else(written);
    own.filter(|own| !own.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        arguments: &ClusterArguments,
        environment: &Environment,
        single: bool,
    ) -> (Reading, ClusterOptions) {
        let mut reading = Reading::default();
        reading.options.single_namespace = single;
        let (_, options) = reading.of_cluster(arguments, false, environment);
        (reading, options)
    }

    #[test]
    fn everything_by_default() {
        let (reading, options) = read(&ClusterArguments::default(), &[].into(), false);
        assert_eq!(options.namespaces, [""; 0]);
        assert_eq!(options.needed, [ObjectId::new("Secret", &reading.options.namespace, FALLBACK)]);
        assert!(reading.options.force_directory_endpoints);
    }

    #[test]
    fn variables_keep_their_meaning() {
        let environment = [
            ("POD_NAMESPACE", "edge"),
            ("AMBASSADOR_LABEL_SELECTOR", "tier=edge"),
            ("AMBASSADOR_FIELD_SELECTOR", "metadata.name!=x"),
            ("AMBASSADOR_DISABLE_ENDPOINTS", "yes"),
        ];
        let (reading, options) = read(&ClusterArguments::default(), &environment.into(), true);
        assert_eq!(reading.options.namespace, "edge");
        assert_eq!(options.namespaces, ["edge"]);
        assert_eq!(options.label_selector.as_deref(), Some("tier=edge"));
        assert_eq!(options.field_selector.as_deref(), Some("metadata.name!=x"));
        assert!(!reading.options.force_directory_endpoints);
        let arguments =
            ClusterArguments { watch_namespace: vec!["a".into(), "b".into()], ..ClusterArguments::default() };
        assert_eq!(read(&arguments, &environment.into(), true).1.namespaces, ["a", "b"]);
    }

    #[test]
    fn a_pod_knows_where_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("namespace");
        assert_eq!(own_namespace(&[].into(), &file), None);
        std::fs::write(&file, "edge\n").unwrap();
        assert_eq!(own_namespace(&[].into(), &file).as_deref(), Some("edge"));
        assert_eq!(own_namespace(&[("POD_NAMESPACE", "other")].into(), &file).as_deref(), Some("other"));
    }
}
