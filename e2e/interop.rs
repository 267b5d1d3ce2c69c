//! gRPC's own client and server, with the gateway between them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use plenipo_testkit::{Authority, Process, eventually, free_port};
use tokio::net::TcpStream;

use crate::gateway::{Gateway, mapping};

/// Every case of the client that needs no credentials of a cloud. (`pick_first_unary` asks for the server's name, which this
/// server does not tell.)
const CASES: &[&str] = &[
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
    "orca_per_rpc",
    "orca_oob",
    "rpc_soak",
    "channel_soak",
];

/// Reports of load are read by a balancer that a client must be told to use.
const ORCA: &str = r#"{"loadBalancingConfig": [{"test_backend_metrics_load_balancer": {}}]}"#;

/// Where this program is; a missing one fails with how to build it.
fn program(name: &str) -> Result<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/interop").join(name);
    ensure!(path.is_file(), "target/interop/{name} is missing: `cargo xtask interop` builds it");
    Ok(path)
}

/// The server, and a gateway before it: clear text on 8080, TLS on 8443. The server speaks gRPC in clear text.
async fn started(authority: &Authority) -> Result<(Process, Gateway)> {
    let port = free_port();
    let server = Process::start(Command::new(program("server")?).args(["--port", &port.to_string()]))?;
    eventually("the server listens", || TcpStream::connect(("127.0.0.1", port))).await;
    let listener = |name: &str, port: u16, protocol: &str| {
        format!(
            "---\napiVersion: getambassador.io/v3alpha1\nkind: Listener\nmetadata: {{name: {name}, namespace: default}}\n\
             spec:\n  port: {port}\n  protocol: {protocol}\n  securityModel: XFP\n  hostBinding: {{namespace: {{from: ALL}}}}\n"
        )
    };
    let yaml = format!(
        "{}{}---\napiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {{name: grpc, namespace: default}}\n\
         spec:\n  hostname: grpc.example.com\n  tlsSecret: {{name: grpc}}\n  tls: {{alpn_protocols: \"h2,http/1.1\"}}\n  \
         requestPolicy: {{insecure: {{action: Route}}}}\n\
         ---\napiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {{name: any, namespace: default}}\n\
         spec:\n  hostname: \"*\"\n  requestPolicy: {{insecure: {{action: Route}}}}\n---\n{}{}  rewrite: \"\"\n  grpc: true\n  timeout_ms: 0\n",
        listener("http", 8080, "HTTP"),
        listener("https", 8443, "HTTPS"),
        authority.server(&["grpc.example.com"]).secret_yaml("grpc", "default"),
        mapping("interop", "/", "interop"),
    );
    let resolve = format!("interop.default:80=127.0.0.1:{port}");
    let gateway = Gateway::start(&yaml, &[8080, 8443], &["--resolve", &resolve]).await?;
    Ok((server, gateway))
}

/// One case; what the client says comes with the error.
fn case(name: &str, arguments: &[&str]) -> Result<()> {
    let mut client = Command::new(program("client")?);
    client.args(["--server_host", "127.0.0.1", "--test_case", name]).args(arguments);
    if name.starts_with("orca") {
        client.args(["--service_config_json", ORCA]);
    }
    let output =
        client.env("GRPC_GO_LOG_SEVERITY_LEVEL", "error").output().context("the client does not start")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} {arguments:?}: {}\n{said}", output.status);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_passes_in_clear_text_and_by_tls() -> Result<()> {
    let authority = Authority::new("interop");
    let (_server, gateway) = started(&authority).await?;
    let roots = gateway.directory.path().join("roots.pem");
    std::fs::write(&roots, authority.pem())?;
    let (clear, tls) = (gateway.port(8080).to_string(), gateway.port(8443).to_string());
    let roots = roots.display().to_string();
    let by_tls = [
        "--use_tls",
        "--use_test_ca",
        "--ca_file",
        &roots,
        "--server_host_override",
        "grpc.example.com",
        "--server_port",
        &tls,
    ];
    let mut failed = Vec::new();
    for arguments in [&["--server_port", clear.as_str()][..], &by_tls] {
        for name in CASES {
            failed.extend(case(name, arguments).err().map(|error| format!("{error:#}")));
        }
    }
    ensure!(failed.is_empty(), "{} cases fail:\n{}", failed.len(), failed.join("\n"));
    Ok(())
}
