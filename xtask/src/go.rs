//! Programs that tests run, built from the Go modules in `tools/`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::step::{root, run};
use crate::tools;

/// A Go module in `tools/`, whose programs go to the folder of the same name in `target/`.
pub(crate) struct Module {
    /// Its folder.
    pub(crate) name: &'static str,
    /// What it is to those who wait for it.
    pub(crate) what: &'static str,
    /// Each program and its package.
    pub(crate) programs: &'static [(&'static str, &'static str)],
    /// What is not in `go.mod` and still decides what is built; change it with the flags and with the code here.
    pub(crate) recipe: &'static str,
    /// Flags for the linker besides those that make the programs small, from the text of `go.mod`.
    pub(crate) flags: fn(&str) -> Result<String>,
}

/// The judge of HTTP/2.
pub(crate) const H2SPEC: Module = Module {
    name: "h2spec",
    what: "h2spec, which judges HTTP/2 in tests",
    programs: &[("h2spec", "github.com/summerwind/h2spec/cmd/h2spec")],
    recipe: "static, stripped",
    flags: |_| Ok(String::new()),
};

/// The other side of gRPC: the client and the server by which implementations are held against each other.
pub(crate) const INTEROP: Module = Module {
    name: "interop",
    what: "gRPC's interoperability client and server",
    programs: &[
        ("client", "google.golang.org/grpc/interop/client"),
        ("server", "google.golang.org/grpc/interop/server"),
    ],
    recipe: "static, stripped",
    flags: |_| Ok(String::new()),
};

impl Module {
    /// Builds what is not there yet, or was built from something else.
    ///
    /// # Errors
    /// When there is no `go`, or it cannot build.
    pub(crate) fn ensure(&self) -> Result<()> {
        let (source, target) = (root().join("tools").join(self.name), root().join("target").join(self.name));
        let (stamp, module) = (target.join("stamp"), read(&source.join("go.mod"))?);
        let wanted = [self.recipe, &module, &read(&source.join("go.sum"))?].join("\n");
        if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
            return Ok(());
        }
        let Some(go) = tools::find("go") else {
            bail!("missing programs: go (1.26 or later; it builds {}, tools/{})", self.what, self.name);
        };
        println!("building {} (tools/{}), once", self.what, self.name);
        fs::create_dir_all(&target)?;
        let mut build = Command::new(go);
        build.current_dir(&source).env("CGO_ENABLED", "0");
        build.args(["build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags"]);
        build.arg(format!("-s -w {}", (self.flags)(&module)?)).arg("-o").arg(target.join("."));
        run(build.args(self.programs.iter().map(|(_, package)| package)))?;
        for (program, package) in self.programs {
            let built = target.join(built_name(package));
            fs::rename(&built, target.join(program)).with_context(|| format!("{program} was not built"))?;
        }
        Ok(fs::write(&stamp, wanted)?)
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// The last part of the package's path that is no version.
pub(crate) fn built_name(package: &str) -> &str {
    let is_version = |part: &str| part.strip_prefix('v').is_some_and(|digits| digits.parse::<u16>().is_ok());
    package.rsplit('/').find(|part| !is_version(part)).unwrap_or(package)
}
