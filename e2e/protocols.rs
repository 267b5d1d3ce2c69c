//! Protocols through the gateway, spoken by the programs people use.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use plenipo_testkit::client::Target;
use plenipo_testkit::{Authority, Http, Process, Upstream, eventually, free_port};
use tempfile::TempDir;

use crate::gateway::{CLEAR_TEXT, Gateway, mapping};

fn tcp_mapping(name: &str, port: u16, service: &str, more: &str) -> String {
    format!(
        "---\napiVersion: getambassador.io/v3alpha1\nkind: TCPMapping\nmetadata: {{name: {name}, namespace: default}}\n\
         spec:\n  port: {port}\n  service: {service}\n{more}"
    )
}

fn resolve(service: &str, address: &impl ToString) -> [String; 2] {
    ["--resolve".to_owned(), format!("{service}={}", address.to_string())]
}

fn borrowed(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

fn ran(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let Output { status, stdout, stderr } =
        command.output().with_context(|| format!("cannot start `{name}`: is it installed?"))?;
    let text = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
    ensure!(status.success(), "{name} failed:\n{text}");
    Ok(text.into_owned())
}

#[tokio::test]
async fn grpc_with_messages_in_both_directions() -> Result<()> {
    let upstream = Upstream::http("echo").start().await;
    let grpc = "  rewrite: /demo.Echo/\n  grpc: true\n";
    let yaml = format!("{CLEAR_TEXT}{}{grpc}", mapping("echo", "/demo.Echo/", "echo"));
    let gateway =
        Gateway::start(&yaml, &[8080], &borrowed(&resolve("echo.default:80", &upstream.address()))).await?;
    let address = gateway.address(8080);
    let mut connection = Http::two(address).connect().await?;
    let request = http::Request::builder().method("POST").uri(format!("http://{address}/demo.Echo/Talk"));
    let mut call = connection.open_call(request).await?;
    for message in ["one", "two"] {
        call.send(message.as_bytes()).await?;
        let back = call.receive().await?.context("no message came back")?;
        ensure!(back.ends_with(message.as_bytes()), "{back:?}");
    }
    call.finish();
    while call.receive().await?.is_some() {}
    assert_eq!(call.status().code, 0);
    Ok(())
}

#[tokio::test]
async fn websocket_messages_come_back() -> Result<()> {
    let upstream = Upstream::http("chat").start().await;
    let yaml = format!("{CLEAR_TEXT}{}  allow_upgrade: [websocket]\n", mapping("chat", "/chat/", "chat"));
    let gateway =
        Gateway::start(&yaml, &[8080], &borrowed(&resolve("chat.default:80", &upstream.address()))).await?;
    let address = gateway.address(8080);
    let request = http::Request::builder().uri(format!("ws://{address}/chat/room"));
    let mut socket = Http::one(address).websocket(request).await?;
    for message in ["hello", "again"] {
        socket.send(message).await?;
        assert_eq!(socket.receive().await?, message);
    }
    socket.close().await
}

#[tokio::test]
async fn openssl_sees_the_certificate_of_the_name_it_asks_for() -> Result<()> {
    let authority = Authority::new("e2e");
    let names = ["a.example.com", "b.example.com"];
    let mut yaml = String::from(
        "apiVersion: getambassador.io/v3alpha1\nkind: Listener\nmetadata: {name: https, namespace: default}\nspec:\n  \
         port: 8443\n  protocol: HTTPS\n  securityModel: XFP\n  hostBinding: {namespace: {from: ALL}}\n",
    );
    for (index, name) in names.iter().enumerate() {
        yaml += &format!(
            "---\napiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {{name: h{index}, namespace: default}}\n\
             spec: {{hostname: {name}, tlsSecret: {{name: s{index}}}}}\n---\n{}",
            authority.server(&[name]).secret_yaml(&format!("s{index}"), "default")
        );
    }
    let gateway = Gateway::start(&yaml, &[8443], &[]).await?;
    let address = gateway.address(8443).to_string();
    let shown = |name: &str, version: &str| {
        let script = format!(
            "openssl s_client -connect {address} -servername {name} {version} </dev/null 2>&1 \
             | openssl x509 -noout -ext subjectAltName"
        );
        ran(Command::new("bash").args(["-o", "pipefail", "-c", &script]))
    };
    for name in names {
        for version in ["-tls1_2", "-tls1_3"] {
            let text = shown(name, version)?;
            ensure!(text.contains(&format!("DNS:{name}")), "{name} {version}: {text}");
        }
    }
    ensure!(shown("c.example.com", "-tls1_3").is_err(), "a name that no Host has gets no certificate");
    ensure!(shown(names[0], "-tls1_1").is_err(), "TLS 1.1 is not spoken");
    Ok(())
}

#[tokio::test]
async fn ssh_through_a_relay() -> Result<()> {
    let (directory, port) = (tempfile::tempdir()?, free_port());
    let at = |name: &str| directory.path().join(name).display().to_string();
    for key in ["host", "user"] {
        ran(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &at(key)]))?;
    }
    fs::copy(at("user.pub"), at("authorized"))?;
    let user = ran(Command::new("id").arg("-un"))?.trim().to_owned();
    // sshd wants the directory it drops privileges in, whoever runs it.
    fs::create_dir_all("/run/sshd")
        .or_else(|error| if Path::new("/run/sshd").exists() { Ok(()) } else { Err(error) })?;
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
         UsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n",
        at("host"),
        at("authorized")
    );
    fs::write(at("sshd_config"), config)?;
    let sshd = Process::start(Command::new("/usr/sbin/sshd").args(["-D", "-e", "-f", &at("sshd_config")]))?;
    sshd.line_with("Server listening").await;

    let yaml = tcp_mapping("ssh", 2222, "ssh:22", "");
    let gateway =
        Gateway::start(&yaml, &[2222], &borrowed(&resolve("ssh.default:22", &format!("127.0.0.1:{port}"))))
            .await?;
    let said = ran(Command::new("ssh").args([
        "-p",
        &gateway.port(2222).to_string(),
        "-i",
        &at("user"),
        "-o",
        "BatchMode=yes",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "LogLevel=ERROR",
        &format!("{user}@127.0.0.1"),
        "echo through the gateway",
    ]))
    .with_context(|| format!("sshd says:\n{}", sshd.output()))?;
    assert_eq!(said, "through the gateway\n");
    Ok(())
}

/// A PostgreSQL server of our own. It refuses to run as root: then it runs as `nobody`.
struct Postgres {
    _process: Process,
    directory: TempDir,
    port: u16,
}

impl Postgres {
    async fn start(certificate: &plenipo_testkit::Issued) -> Result<Self> {
        let binaries = fs::canonicalize(ran(Command::new("which").arg("postgres"))?.trim())?;
        let binaries = binaries.parent().context("postgres is in no directory")?.to_owned();
        let (directory, port) = (tempfile::tempdir()?, free_port());
        let data = directory.path().join("data");
        let is_root = ran(Command::new("id").arg("-u"))?.trim() == "0";
        let server = |program: &str| {
            let mut command = Command::new(if is_root { "setpriv".into() } else { binaries.join(program) });
            if is_root {
                command
                    .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
                    .arg(binaries.join(program));
            }
            command.current_dir(directory.path());
            command
        };
        if is_root {
            fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
            ran(Command::new("chown").arg("nobody:nogroup").arg(directory.path()))?;
        }
        ran(server("initdb").args(["-A", "trust", "-U", "demo", "--no-sync", "-D"]).arg(&data))?;
        fs::write(data.join("server.crt"), certificate.cert_pem())?;
        fs::write(data.join("server.key"), certificate.key_pem())?;
        for file in ["server.crt", "server.key"] {
            fs::set_permissions(data.join(file), fs::Permissions::from_mode(0o600))?;
            if is_root {
                ran(Command::new("chown").arg("nobody:nogroup").arg(data.join(file)))?;
            }
        }
        let options = [
            "-c",
            "ssl=on",
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
            "-c",
            "fsync=off",
        ];
        let process = Process::start(
            server("postgres").arg("-D").arg(&data).args(["-p", &port.to_string()]).args(options),
        )?;
        process.line_with("ready to accept connections").await;
        Ok(Self { _process: process, directory, port })
    }
}

#[tokio::test]
async fn psql_through_a_relay_with_tls_inside() -> Result<()> {
    let authority = Authority::new("e2e");
    let postgres = Postgres::start(&authority.server(&["localhost"])).await?;
    let roots = postgres.directory.path().join("roots.crt");
    fs::write(&roots, authority.pem())?;
    let yaml = tcp_mapping("postgres", 5432, "postgres:5432", "");
    let upstream = resolve("postgres.default:5432", &format!("127.0.0.1:{}", postgres.port));
    let gateway = Gateway::start(&yaml, &[5432], &borrowed(&upstream)).await?;
    for mode in ["disable".to_owned(), format!("verify-full sslrootcert={}", roots.display())] {
        let url = format!(
            "host=localhost hostaddr=127.0.0.1 port={} user=demo dbname=postgres sslmode={mode}",
            gateway.port(5432)
        );
        let said = ran(Command::new("psql").args(["-X", "-A", "-t", "-c", "select 6 * 7", &url]))?;
        assert_eq!(said, "42\n", "{mode}");
    }
    Ok(())
}

#[tokio::test]
async fn tls_ends_by_server_name_for_any_protocol() -> Result<()> {
    let authority = Authority::new("e2e");
    let upstream = Upstream::tcp("bytes").start().await;
    let yaml = format!(
        "{}{}---\napiVersion: getambassador.io/v3alpha1\nkind: TLSContext\nmetadata: {{name: tcp, namespace: default}}\n\
         spec: {{hosts: [bytes.example.com], secret: tcp}}\n",
        authority.server(&["bytes.example.com"]).secret_yaml("tcp", "default"),
        tcp_mapping("bytes", 6443, "bytes:9000", "  host: bytes.example.com\n")
    );
    let gateway =
        Gateway::start(&yaml, &[6443], &borrowed(&resolve("bytes.default:9000", &upstream.address())))
            .await?;
    let client = plenipo_testkit::tls::client(&authority, None, &[]);
    let target = |name: &str| Target::tls(gateway.address(6443), name, client.clone());
    let mut raw = plenipo_testkit::Raw::connect(target("bytes.example.com")).await?;
    raw.send("hello").await?;
    assert_eq!(raw.exactly(5).await?, b"hello");
    eventually("a connection upstream", || async { upstream.accepted() == 1 }).await;
    assert!(plenipo_testkit::Raw::connect(target("other.example.com")).await.is_err());
    Ok(())
}
