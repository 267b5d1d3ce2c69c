//! The control plane of the tests: etcd, Kubernetes' servers, kubectl and helm, built from `tools/kapi`.

use anyhow::{Context, Result};

use crate::go::Module;

/// What is built of it.
pub(crate) const KAPI: Module = Module {
    name: "kapi",
    what: "the control plane of the tests (this takes minutes)",
    programs: &[
        ("etcd", "go.etcd.io/etcd/server/v3"),
        ("helm", "helm.sh/helm/v3/cmd/helm"),
        ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
        ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
        ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
    ],
    recipe: "static, stripped, versions stamped",
    flags: versions,
};

/// Flags for the linker: the versions that programs say they have, which otherwise the authors' own build says.
fn versions(module: &str) -> Result<String> {
    let version = |name: &str| {
        let mut lines = module.lines().filter_map(|line| line.trim().strip_prefix(name)?.strip_prefix(" v"));
        lines.next().and_then(|rest| rest.split(' ').next()).with_context(|| format!("no {name} in go.mod"))
    };
    let kubernetes = version("k8s.io/kubernetes")?;
    let mut numbers = kubernetes.split('.');
    let major = numbers.next().unwrap_or_default();
    let minor = numbers.next().unwrap_or_default();
    let variables = [
        ("k8s.io/component-base/version.gitVersion", format!("v{kubernetes}")),
        ("k8s.io/component-base/version.gitMajor", major.into()),
        ("k8s.io/component-base/version.gitMinor", minor.into()),
        ("helm.sh/helm/v3/internal/version.version", format!("v{}", version("helm.sh/helm/v3")?)),
        // What `helm template` takes the cluster for.
        ("helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor", major.into()),
        ("helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor", minor.into()),
        ("helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor", major.into()),
        ("helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor", minor.into()),
    ];
    Ok(variables.map(|(name, value)| format!("-X {name}={value}")).join(" "))
}

#[cfg(test)]
mod tests {
    use super::{KAPI, versions};
    use crate::go::built_name;

    #[test]
    fn programs_are_named_by_their_packages_but_for_versions() {
        let names: Vec<_> = KAPI.programs.iter().map(|(_, package)| built_name(package)).collect();
        assert_eq!(names, ["server", "helm", "kube-apiserver", "kube-controller-manager", "kubectl"]);
    }

    #[test]
    fn versions_are_those_of_the_module() {
        let module = "require (\n\thelm.sh/helm/v3 v3.2.1 // indirect\n\tk8s.io/kubernetes v1.36.3\n)\n";
        let flags = versions(module).expect("both are there");
        assert!(
            flags.contains("version.gitVersion=v1.36.3") && flags.contains("k8sVersionMinor=36"),
            "{flags}"
        );
        assert!(flags.contains("internal/version.version=v3.2.1"), "{flags}");
        assert!(versions("module kapi").is_err());
    }
}
