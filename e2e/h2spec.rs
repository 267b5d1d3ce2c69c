//! All of h2spec (`tools/h2spec`) against the real binary, over TLS and in clear text with prior knowledge.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use plenipo_testkit::{Authority, Raw, Upstream};
use tokio::process::Command;

use crate::gateway::{CLEAR_TEXT, Gateway, mapping, root};

/// As many as the version in `tools/h2spec` has, strict ones included.
const CASES: usize = 146;

/// Cases that are not passed in clear text, as they stand in h2spec's report, and why.
///
/// `http2/3.5`, "invalid connection preface": h2spec sends `INVALID CONNECTION PREFACE` and wants the connection closed without
/// a byte in between that is not of HTTP/2. Where HTTP/1 is served on the same port (RFC 9113 §3.3: prior knowledge is the
/// client's, and told by the preface), what does not begin with the preface is not HTTP/2 with an error in it, but HTTP/1, and a
/// malformed request line is answered with 400 (RFC 9112 §3) before the connection is closed. RFC 9113 §3.4 allows for it: "an
/// invalid preface indicates that the peer is not using HTTP/2". What is asked for, that the connection is terminated, is
/// tested below in its stead; over TLS, where ALPN said HTTP/2, the case is passed.
const NOT_IN_CLEAR_TEXT: [(&str, &str); 1] = [("http2/3.5", "Sends invalid connection preface")];

/// Package and title of each case.
type Cases = BTreeSet<(String, String)>;

/// Runs all of it; how many cases ran, and which of them failed.
async fn judge(gateway: &Gateway, declared: u16, more: &[&str]) -> Result<(usize, Cases)> {
    let program: PathBuf = root().join("target/h2spec/h2spec");
    ensure!(program.is_file(), "target/h2spec/h2spec is missing: `cargo xtask h2spec` builds it");
    let folder = tempfile::tempdir()?;
    let report = folder.path().join("report.xml");
    let mut command = Command::new(program);
    command.args(["--strict", "--timeout", "10", "--port", &gateway.port(declared).to_string()]);
    command.arg("--junit-report").arg(&report).args(more);
    let output = command.kill_on_drop(true).output().await?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let report = std::fs::read_to_string(&report).with_context(|| format!("no report: {printed}"))?;
    let (mut cases, mut failed) = (0, Cases::new());
    for case in report.split("<testcase ").skip(1) {
        let case = case.split("</testcase>").next().unwrap_or_default();
        let named = |name: &str| {
            let value = case.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
            value.map(|value| value.replace("&#34;", "\"")).with_context(|| format!("no {name}: {case}"))
        };
        cases += 1;
        // Only what failed, was in error or was skipped has anything inside.
        if case.contains('<') {
            failed.insert((named("package")?, named("classname")?));
        }
    }
    let detail = printed.split_once("Failures:").map_or("", |(_, detail)| detail);
    eprintln!("{}{detail}", printed.lines().last().unwrap_or_default());
    Ok((cases, failed))
}

#[tokio::test]
async fn every_case_over_tls() -> Result<()> {
    let upstream = Upstream::http("echo").start().await;
    let authority = Authority::new("e2e");
    let yaml = format!(
        "apiVersion: getambassador.io/v3alpha1
kind: Listener
metadata: {{name: https, namespace: default}}
spec:
  port: 8443
  protocol: HTTPS
  securityModel: XFP
  hostBinding: {{namespace: {{from: ALL}}}}
---
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {{name: all, namespace: default}}
spec: {{hostname: '*', tlsSecret: {{name: server}}, tls: {{alpn_protocols: 'h2,http/1.1'}}}}
---
{}{}",
        authority.server(&["gateway.example"]).secret_yaml("server", "default"),
        mapping("echo", "/", "echo")
    );
    let known = format!("echo.default:80={}", upstream.address());
    let gateway = Gateway::start(&yaml, &[8443], &["--resolve", &known]).await?;
    let (cases, failed) = judge(&gateway, 8443, &["--tls", "--insecure"]).await?;
    assert_eq!((cases, failed), (CASES, Cases::new()));
    Ok(())
}

#[tokio::test]
async fn every_case_in_clear_text_with_prior_knowledge() -> Result<()> {
    let upstream = Upstream::http("echo").start().await;
    let yaml = format!("{CLEAR_TEXT}{}", mapping("echo", "/", "echo"));
    let known = format!("echo.default:80={}", upstream.address());
    let gateway = Gateway::start(&yaml, &[8080], &["--resolve", &known]).await?;
    let (cases, failed) = judge(&gateway, 8080, &[]).await?;
    let expected = NOT_IN_CLEAR_TEXT.map(|(package, title)| (package.to_owned(), title.to_owned()));
    assert_eq!((cases, failed), (CASES, Cases::from(expected)));
    // The one above, as HTTP/1 has it.
    let mut raw = Raw::connect(gateway.address(8080)).await?;
    raw.send("INVALID CONNECTION PREFACE\r\n\r\n").await?;
    let answer = String::from_utf8(raw.to_end().await?)?;
    ensure!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    Ok(())
}
