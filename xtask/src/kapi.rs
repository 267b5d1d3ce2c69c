//! The control plane of the tests: etcd, Kubernetes' servers, kubectl and helm, built from `tools/kapi`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::step::{root, run};
use crate::tools;

/// Each program, its package, and what the linker gives it.
const PROGRAMS: &[(&str, &str)] = &[
    ("etcd", "go.etcd.io/etcd/server/v3"),
    ("helm", "helm.sh/helm/v3/cmd/helm"),
    ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
];

/// What is not in `go.mod` and still decides what is built; change it with the code below.
const RECIPE: &str = "static, stripped, versions stamped";

/// Builds what is not there yet, or was built from something else.
///
/// # Errors
/// When there is no `go`, or it cannot build.
pub(crate) fn ensure() -> Result<()> {
    let (source, target) = (root().join("tools/kapi"), root().join("target/kapi"));
    let stamp = target.join("stamp");
    let wanted = [RECIPE, &read(&source.join("go.mod"))?, &read(&source.join("go.sum"))?].join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    let Some(go) = tools::find("go") else {
        bail!("missing programs: go (1.26 or later; it builds the control plane that tests use, tools/kapi)");
    };
    println!("building the control plane of the tests (tools/kapi); this takes minutes, once");
    fs::create_dir_all(&target)?;
    let versions = versions(&read(&source.join("go.mod"))?)?;
    let mut build = Command::new(go);
    build.current_dir(&source).env("CGO_ENABLED", "0");
    build.args(["build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags"]);
    build.arg(format!("-s -w {versions}")).arg("-o").arg(&target);
    run(build.args(PROGRAMS.iter().map(|(_, package)| package)))?;
    for (program, package) in PROGRAMS {
        let built = target.join(built_name(package));
        fs::rename(&built, target.join(program)).with_context(|| format!("{program} was not built"))?;
    }
    Ok(fs::write(&stamp, wanted)?)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// The last part of the package's path that is no version.
fn built_name(package: &str) -> &str {
    let is_version = |part: &str| part.strip_prefix('v').is_some_and(|digits| digits.parse::<u16>().is_ok());
    package.rsplit('/').find(|part| !is_version(part)).unwrap_or(package)
}

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
    use super::{PROGRAMS, built_name, versions};

    #[test]
    fn programs_are_named_by_their_packages_but_for_versions() {
        let names: Vec<_> = PROGRAMS.iter().map(|(_, package)| built_name(package)).collect();
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
