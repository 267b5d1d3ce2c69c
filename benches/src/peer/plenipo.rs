//! Plenipo, told by the Emissary resources its users have.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::material::SERVER_NAME;
use crate::setup::{Back, Front, Setup};

const API: &str = "apiVersion: getambassador.io/v3alpha1";

pub(super) fn configure(setup: &Setup) -> Result<Vec<String>> {
    let objects = setup.folder.join("objects");
    fs::create_dir_all(&objects)?;
    fs::write(objects.join("gateway.yaml"), gateway(setup, setup.port)?)?;
    for (host, prefixes) in setup.hosts() {
        fs::write(objects.join(format!("{host}.yaml")), routed_host(setup, &host, &prefixes)?)?;
    }
    Ok(arguments(setup, "--config", &objects))
}

/// The gateway on another port, and an Application Load Balancer where the clients come.
pub(super) fn configure_edge(setup: &Setup) -> Result<Vec<String>> {
    let objects = setup.folder.join("objects");
    fs::create_dir_all(&objects)?;
    fs::write(objects.join("gateway.yaml"), gateway(setup, setup.behind)?)?;
    let balancer = format!(
        "apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {{name: alb}}
spec: {{controller: ingress.k8s.aws/alb}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: gateway
  namespace: default
  annotations: {{alb.ingress.kubernetes.io/target-type: ip}}
spec:
  ingressClassName: alb
  rules: [{{http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: gateway, port: {{number: 80}}}}}}}}]}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: gateway, namespace: default}}
spec: {{selector: {{app: gateway}}, ports: [{{port: 80, targetPort: {}}}]}}
",
        setup.behind
    );
    fs::write(objects.join("balancer.yaml"), balancer)?;
    let mut arguments = arguments(setup, "--edge", &objects);
    arguments.extend(["--port-map".to_owned(), format!("80={}", setup.port)]);
    Ok(arguments)
}

fn arguments(setup: &Setup, flag: &str, objects: &Path) -> Vec<String> {
    let admin = format!("127.0.0.1:{}", setup.admin);
    let objects = objects.display().to_string();
    let workers = setup.workers.to_string();
    let usual = ["--workers", &workers, "--admin", &admin, "--bind", "127.0.0.1", "--log", "error"];
    // What ends is not in service: nobody has to be waited for.
    let at_once = ["--min-drain", "0s"];
    ["run", flag, &objects].into_iter().chain(usual).chain(at_once).map(String::from).collect()
}

/// Emissary offers nothing by ALPN unless told.
const WITH_ALPN: &str = "  tlsSecret: {name: server}\n  tls: {alpn_protocols: 'h2,http/1.1'}\n";

/// A file that is not there yet.
pub(super) fn prepare_route(setup: &Setup, host: &str, prefix: &str) -> Result<()> {
    let found = setup.hosts().find(|(name, _)| name == host);
    let mut prefixes = found.map(|(_, prefixes)| prefixes).unwrap_or_default();
    prefixes.push(prefix.to_owned());
    Ok(fs::write(setup.folder.join("changed.new"), routed_host(setup, host, &prefixes)?)?)
}

/// Moves it into place, as an editor or `kubectl cp` would.
pub(super) fn change(setup: &Setup, host: &str) -> Result<()> {
    let place = setup.folder.join("objects").join(format!("{host}.yaml"));
    Ok(fs::rename(setup.folder.join("changed.new"), place)?)
}

/// Everything but the routes of the routes scenario. The peers write no access log either.
fn gateway(setup: &Setup, port: u16) -> Result<String> {
    let mut yaml = format!(
        "{API}
kind: Module
metadata: {{name: ambassador, namespace: default}}
spec: {{config: {{envoy_log_path: /dev/null, diagnostics: {{enabled: false}}}}}}
---
{API}
kind: Listener
metadata: {{name: clients, namespace: default}}
spec:
  port: {}
  protocol: {}
  securityModel: {}
  hostBinding: {{namespace: {{from: ALL}}}}
",
        port,
        match setup.front {
            Front::Http => "HTTP",
            Front::Https(_) => "HTTPS",
            Front::Tcp => "TCP",
            Front::TlsToTcp(_) => "TLS",
        },
        if setup.front == Front::Http { "INSECURE" } else { "SECURE" },
    );
    if let Some(kind) = setup.key() {
        write!(yaml, "---\n{}", setup.material.server(kind).secret_yaml("server", "default"))?;
    }
    if setup.back == Back::MutualTls {
        write!(yaml, "---\n{}", setup.material.client.secret_yaml("client", "default"))?;
        write!(
            yaml,
            "---\n{API}\nkind: TLSContext\nmetadata: {{name: client, namespace: default}}\nspec: {{secret: client}}\n"
        )?;
    }
    match setup.front {
        Front::Http if setup.routes > 0 => {}
        Front::Http => write!(yaml, "{}{}", host("*", "all", ""), mapping(setup, "all", "*", "/"))?,
        Front::Https(_) => {
            write!(yaml, "{}{}", host("*", "all", WITH_ALPN), mapping(setup, "all", "*", "/"))?;
        }
        Front::Tcp => write!(yaml, "{}", tcp_mapping(setup, ""))?,
        Front::TlsToTcp(_) => {
            let by_name = format!("  host: {SERVER_NAME}\n");
            let tls = host(SERVER_NAME, "all", "  tlsSecret: {name: server}\n");
            write!(yaml, "{tls}{}", tcp_mapping(setup, &by_name))?;
        }
    }
    Ok(yaml)
}

fn routed_host(setup: &Setup, name: &str, prefixes: &[String]) -> Result<String> {
    let short = name.split('.').next().unwrap_or_default();
    let mut yaml = host(name, short, "");
    for (index, prefix) in prefixes.iter().enumerate() {
        write!(yaml, "{}", mapping(setup, &format!("{short}-{index}"), name, prefix))?;
    }
    Ok(yaml)
}

fn host(hostname: &str, name: &str, tls: &str) -> String {
    format!(
        "---
{API}
kind: Host
metadata: {{name: {name}, namespace: default}}
spec:
  hostname: '{hostname}'
  requestPolicy: {{insecure: {{action: Route}}}}
{tls}"
    )
}

fn mapping(setup: &Setup, name: &str, hostname: &str, prefix: &str) -> String {
    let (scheme, tls) = match setup.back {
        Back::MutualTls => ("https://", "\n  tls: client"),
        Back::Clear | Back::Relay => ("", ""),
    };
    format!(
        "---
{API}
kind: Mapping
metadata: {{name: {name}, namespace: default}}
spec:
  hostname: '{hostname}'
  prefix: {prefix}
  service: {scheme}{}{tls}
  circuit_breakers: [{{max_connections: 20000, max_pending_requests: 20000, max_requests: 20000}}]
",
        setup.upstream
    )
}

fn tcp_mapping(setup: &Setup, by_name: &str) -> String {
    format!(
        "---
{API}
kind: TCPMapping
metadata: {{name: all, namespace: default}}
spec:
  port: {}
  service: {}
{by_name}",
        setup.port, setup.upstream
    )
}
