//! The programs that tests and benches run, and how to come by them on Debian and Ubuntu.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::step::{cargo, run};

/// A program and where it comes from.
pub(crate) struct Tool {
    program: &'static str,
    origin: Origin,
}

enum Origin {
    /// A Debian package.
    Apt(&'static str),
    /// A crate with a program, in this version.
    Cargo(&'static str),
}

/// What `cargo xtask test` runs.
pub(crate) const TESTS: &[Tool] = &[
    Tool { program: "curl", origin: Origin::Apt("curl") },
    Tool { program: "openssl", origin: Origin::Apt("openssl") },
    Tool { program: "psql", origin: Origin::Apt("postgresql-client") },
    Tool { program: "initdb", origin: Origin::Apt("postgresql") },
    Tool { program: "postgres", origin: Origin::Apt("postgresql") },
    Tool { program: "ssh", origin: Origin::Apt("openssh-client") },
    Tool { program: "sshd", origin: Origin::Apt("openssh-server") },
    Tool { program: "h2load", origin: Origin::Apt("nghttp2-client") },
    Tool { program: "cargo-deny", origin: Origin::Cargo("0.20.2") },
];

/// What `cargo xtask bench` runs besides.
pub(crate) const BENCHES: &[Tool] = &[
    Tool { program: "wrk", origin: Origin::Apt("wrk") },
    Tool { program: "h2load", origin: Origin::Apt("nghttp2-client") },
    Tool { program: "haproxy", origin: Origin::Apt("haproxy") },
    Tool { program: "nginx", origin: Origin::Apt("nginx-light") },
    Tool { program: "ngx_stream_module.so", origin: Origin::Apt("libnginx-mod-stream") },
    Tool { program: "taskset", origin: Origin::Apt("util-linux") },
    Tool { program: "valgrind", origin: Origin::Apt("valgrind") },
    Tool { program: "python3", origin: Origin::Apt("python3") },
    Tool { program: "pip3", origin: Origin::Apt("python3-pip") },
];

/// What `cargo xtask fuzz` runs.
pub(crate) const FUZZ: &[Tool] = &[Tool { program: "cargo-fuzz", origin: Origin::Cargo("0.13.2") }];

/// Installs what is missing, where that is possible, and fails with the names of what is missing still.
pub(crate) fn ensure(tools: &[Tool]) -> Result<()> {
    let absent = missing(tools);
    let mut packages = Vec::new();
    for tool in &absent {
        match tool.origin {
            Origin::Apt(package) if !packages.contains(&package) => packages.push(package),
            Origin::Apt(_) => {}
            Origin::Cargo(version) => {
                run(&mut cargo(&["install", "--locked", "--version", version, tool.program]))?;
            }
        }
    }
    if !packages.is_empty() && is_root() && find("apt-get").is_some() {
        run(&mut apt(&["update"]))?;
        run(apt(&["install", "--yes", "--no-install-recommends"]).args(&packages))?;
    }
    let absent = missing(tools);
    if absent.is_empty() {
        return Ok(());
    }
    let names = absent.iter().map(|tool| match tool.origin {
        Origin::Apt(package) => format!("{} (Debian package {package})", tool.program),
        Origin::Cargo(version) => format!("{0} (cargo install {0}@{version})", tool.program),
    });
    bail!("missing programs: {}", names.collect::<Vec<_>>().join(", "));
}

fn missing(tools: &[Tool]) -> Vec<&Tool> {
    tools.iter().filter(|tool| find(tool.program).is_none()).collect()
}

fn apt(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").arg("--quiet").args(arguments);
    command
}

/// Where programs are looked for: what PATH says, then where Debian puts servers and their modules, and Go itself.
pub(crate) fn search_path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).collect::<Vec<_>>();
    folders.extend(
        ["/usr/sbin", "/usr/local/sbin", "/usr/local/go/bin", "/usr/lib/nginx/modules"].map(PathBuf::from),
    );
    folders.extend(versions("/usr/lib/postgresql").map(|version| version.join("bin")));
    std::env::join_paths(folders).unwrap_or(path)
}

/// Where this program is, if it is installed.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&search_path()).map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn versions(folder: impl AsRef<Path>) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
