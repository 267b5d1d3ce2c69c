//! HAProxy.

use std::fmt::Write;
use std::fs;

use anyhow::Result;

use crate::setup::{Back, Front, Setup};

pub(super) fn configure(setup: &Setup) -> Result<Vec<String>> {
    let mode = if setup.is_relay() { "tcp" } else { "http" };
    let tls = match setup.key() {
        None => String::new(),
        Some(kind) => {
            let alpn = if matches!(setup.front, Front::Https(_)) { " alpn h2,http/1.1" } else { "" };
            format!(" ssl crt {}.pem{alpn}", setup.material.server_file(kind))
        }
    };
    let routing = if setup.routes == 0 {
        String::new()
    } else {
        write_map(setup, None)?;
        let map = setup.folder.join("routes.map");
        format!(
            "  http-request set-var(txn.backend) base,map_beg({})
  http-request return status 404 unless {{ var(txn.backend) -m found }}\n",
            map.display()
        )
    };
    let forwarded = if setup.is_relay() { "" } else { "  option forwardfor\n  http-reuse always\n" };
    let server_tls = match setup.back {
        Back::MutualTls => format!(" ssl verify none crt {}", setup.material.file("client.pem")),
        Back::Clear | Back::Relay => String::new(),
    };
    let config = format!(
        "global
  nbthread {workers}
  maxconn 8000
defaults
  mode {mode}
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend clients
  bind {address}{tls}
{routing}  default_backend upstream
backend upstream
{forwarded}  server one {upstream}{server_tls}
",
        address = setup.address(),
        upstream = setup.upstream,
        workers = setup.workers,
    );
    let path = setup.folder.join("haproxy.cfg");
    fs::write(&path, config)?;
    // In the foreground, one process.
    Ok(vec!["-db".into(), "-q".into(), "-f".into(), path.display().to_string()])
}

/// The process to come reads it.
pub(super) fn prepare_route(setup: &Setup, host: &str, prefix: &str) -> Result<()> {
    write_map(setup, Some((host, prefix)))
}

fn write_map(setup: &Setup, added: Option<(&str, &str)>) -> Result<()> {
    let mut map = String::new();
    for (host, prefixes) in setup.hosts() {
        for prefix in prefixes {
            writeln!(map, "{host}{prefix} upstream")?;
        }
    }
    if let Some((host, prefix)) = added {
        writeln!(map, "{host}{prefix} upstream")?;
    }
    Ok(fs::write(setup.folder.join("routes.map"), map)?)
}
