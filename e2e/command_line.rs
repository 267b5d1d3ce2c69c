//! What the commands print, and how they end.

use std::fs;
use std::io::Read;
use std::process::Stdio;

use anyhow::Result;
use plenipo_testkit::{Authority, Issued};
use serde_json::Value;

use crate::gateway::{CLEAR_TEXT, directory, mapping, output, plenipo};

fn code(arguments: &[&str]) -> Option<i32> {
    output(arguments).status.code()
}

fn stderr(arguments: &[&str]) -> String {
    String::from_utf8_lossy(&output(arguments).stderr).into_owned()
}

fn good() -> String {
    format!("{CLEAR_TEXT}{}", mapping("quote", "/quote/", "quote"))
}

fn bad() -> String {
    format!("{}{}", good(), "---\nkind: [\n")
}

#[test]
fn version_help_and_completions() {
    let version = output(&["version"]);
    assert_eq!(String::from_utf8_lossy(&version.stdout), format!("plenipo {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(code(&["--help"]), Some(0));
    assert_eq!(code(&["--version"]), Some(0));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = output(&["completions", shell]);
        assert!(script.status.success() && script.stdout.len() > 1000, "{shell}");
    }
}

#[test]
fn definitions_and_schemas() -> Result<()> {
    let list: Value = serde_json::from_slice(&output(&["crds", "-o", "json"]).stdout)?;
    let items = list["items"].as_array().map_or(0, Vec::len);
    let yaml = output(&["crds", "--group", "getambassador.io"]).stdout;
    let documents = plenipo_resources::documents(std::str::from_utf8(&yaml)?).len();
    assert_eq!((items, documents), (14, 14));
    assert_eq!(code(&["crds", "--group", "example.com"]), Some(2));
    let schema: Value = serde_json::from_slice(&output(&["schema", "mapping"]).stdout)?;
    assert_eq!(schema["properties"]["spec"]["properties"]["weight"]["maximum"], 100);
    assert_eq!(code(&["schema", "Gizmo"]), Some(2));
    assert!(stderr(&["schema", "Gizmo"]).contains("TLSContext"), "the kinds that there are");
    Ok(())
}

#[test]
fn wrong_usage_is_code_2() {
    assert_eq!(code(&[]), Some(2));
    assert_eq!(code(&["fly"]), Some(2));
    assert_eq!(code(&["run"]), Some(2), "no directory");
    assert_eq!(code(&["run", "--config", ".", "--workers", "0"]), Some(2));
    assert_eq!(code(&["run", "--config", ".", "--log", "loud"]), Some(2));
    assert_eq!(code(&["run", "--config", ".", "--port-map", "443"]), Some(2));
    assert_eq!(code(&["run", "--config", ".", "--max-drain", "5d"]), Some(2));
    assert_eq!(code(&["check", ".", "--fail-on", "bad"]), Some(2));
    assert_eq!(code(&["explain", ".", "nowhere"]), Some(2));
    assert_eq!(code(&["demo", "--example", "nothing"]), Some(2));
    let bad_variable = plenipo().args(["run", "--config", "."]).env("AMBASSADOR_DRAIN_TIME", "soon").output();
    let bad_variable = bad_variable.expect("the binary was built for this test");
    assert_eq!(bad_variable.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&bad_variable.stderr).contains("AMBASSADOR_DRAIN_TIME=\"soon\""));
}

#[test]
fn unreadable_input_is_code_3_and_one_line() {
    for arguments in [
        &["check", "/nonexistent"][..],
        &["routes", "/nonexistent"],
        &["explain", "/nonexistent", "http://x/"],
        &["run", "--config", "/nonexistent", "--admin", "127.0.0.1:0"],
        &["run", "--config", ".", "--admin-token-file", "/nonexistent"],
    ] {
        assert_eq!(code(arguments), Some(3), "{arguments:?}");
        let said = stderr(arguments);
        assert!(said.starts_with("plenipo: ") && said.contains("/nonexistent"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn check_ends_by_what_it_finds() -> Result<()> {
    let [good, bad] = [directory(&good())?, directory(&bad())?];
    let [good, bad] = [&good, &bad].map(|directory| directory.path().to_string_lossy().into_owned());
    assert_eq!(code(&["check", &good]), Some(0));
    assert_eq!(code(&["check", &bad]), Some(1));
    let report: Value = serde_json::from_slice(&output(&["check", &bad, "-o", "json"]).stdout)?;
    let problem = &report["problems"][0];
    assert_eq!(problem["severity"], "error");
    let name = problem["code"].as_str().unwrap_or_default().to_owned();
    assert_eq!(code(&["check", &bad, "--suppress", &name]), Some(0), "a suppressed problem does not count");
    assert_eq!(code(&["check", &bad, "--suppress", &format!("{name}=Mapping default/quote")]), Some(1));
    let text = output(&["check", &bad]);
    let text = String::from_utf8_lossy(&text.stdout);
    assert!(text.starts_with(&format!("error[{name}]")) && text.contains("gateway.yaml:"), "{text}");
    assert!(text.lines().last().is_some_and(|line| line.starts_with("1 error, ")), "{text}");
    Ok(())
}

#[test]
fn sarif_has_a_result_for_every_problem() -> Result<()> {
    let bad = directory(&bad())?;
    let path = bad.path().to_string_lossy().into_owned();
    let sarif: Value = serde_json::from_slice(&output(&["check", &path, "-o", "sarif"]).stdout)?;
    let report: Value = serde_json::from_slice(&output(&["check", &path, "-o", "json"]).stdout)?;
    assert_eq!(sarif["version"], "2.1.0");
    let results = sarif["runs"][0]["results"].as_array().expect("results");
    assert_eq!(Some(results.len()), report["problems"].as_array().map(Vec::len));
    assert!(results[0]["locations"][0]["physicalLocation"]["region"]["startLine"].is_u64());
    Ok(())
}

#[test]
fn check_leaves_nothing_behind() -> Result<()> {
    let logs = tempfile::tempdir()?;
    let log = logs.path().join("access.log");
    let module = format!(
        "---\napiVersion: getambassador.io/v3alpha1\nkind: Module\nmetadata: {{name: ambassador, namespace: default}}\n\
         spec: {{config: {{envoy_log_path: {}}}}}\n",
        log.display()
    );
    let directory = directory(&format!("{}{module}", good()))?;
    assert_eq!(code(&["check", &directory.path().to_string_lossy()]), Some(0));
    assert!(!log.exists());
    assert_eq!(fs::read_dir(directory.path())?.count(), 1);
    Ok(())
}

#[test]
fn routes_are_in_match_order() -> Result<()> {
    let yaml =
        format!("{}{}{}", good(), mapping("root", "/", "root"), mapping("longer", "/quote/long/", "quote"));
    let directory = directory(&yaml)?;
    let path = directory.path().to_string_lossy().into_owned();
    let rows: Value = serde_json::from_slice(&output(&["routes", &path, "-o", "json"]).stdout)?;
    let order: Vec<&str> = rows
        .as_array()
        .expect("rows")
        .iter()
        .filter_map(|row| row["path"].as_str())
        .filter(|path| ["prefix /quote/long/", "prefix /quote/", "prefix /"].contains(path))
        .collect();
    assert_eq!(order, ["prefix /quote/long/", "prefix /quote/", "prefix /"]);
    let text = output(&["routes", &path]);
    let text = String::from_utf8_lossy(&text.stdout);
    assert!(text.contains("Mapping default/longer"), "{text}");
    Ok(())
}

#[test]
fn explain_names_the_way() -> Result<()> {
    let yaml = format!("{}{}", good(), mapping("root", "/", "root.elsewhere:81"));
    let directory = directory(&yaml)?;
    let path = directory.path().to_string_lossy().into_owned();
    let explained = output(&["explain", &path, "http://www.example.com:8080/quote/1?a=b", "-H", "x-a: b"]);
    let text = String::from_utf8_lossy(&explained.stdout);
    for part in ["Listener default/http", "Host default/wildcard", "Mapping default/quote", "quote"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let way: Value = serde_json::from_slice(
        &output(&["explain", &path, "http://www.example.com:8080/other", "-o", "json"]).stdout,
    )?;
    let route = way["steps"].as_array().and_then(|steps| steps.iter().find(|step| step["what"] == "route"));
    assert_eq!(route.map(|route| &route["source"]), Some(&Value::from("Mapping default/root")));
    Ok(())
}

#[test]
fn explain_tells_every_branch_and_the_trusted_client() -> Result<()> {
    let canary = mapping("canary", "/quote/", "canary") + "  weight: 30\n";
    let edge = "apiVersion: getambassador.io/v3alpha1\nkind: Module\nmetadata: {name: ambassador}\nspec:\n  config:\n    \
                xff_num_trusted_hops: 1\n";
    let directory = directory(&format!("{}{canary}---\n{edge}", good()))?;
    let path = directory.path().to_string_lossy().into_owned();
    let url = "http://www.example.com:8080/quote/";
    let told = |more: &[&str]| {
        let arguments = [&["explain", &path, url][..], more].concat();
        String::from_utf8_lossy(&output(&arguments).stdout).into_owned()
    };
    let text = told(&["--from", "203.0.113.9", "--peer", "10.0.0.1"]);
    for part in
        ["30 % (weight 30 of 100)", "70 % (weight 70 of 100)", "client       203.0.113.9: as the load"]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let text = told(&["--peer", "10.0.0.1", "--xff", "198.51.100.1, 203.0.113.9"]);
    assert!(text.contains("client       203.0.113.9: place 1 from the right"), "{text}");
    let text = told(&["--peer", "10.0.0.1", "--xff", "nonsense"]);
    assert!(text.contains("client       10.0.0.1"), "{text}");
    Ok(())
}

#[test]
fn a_closed_pipe_is_no_failure() -> Result<()> {
    let directory = directory(&good())?;
    for arguments in [&["completions", "bash"][..], &["routes"], &["check"], &["--help"]] {
        let mut command = plenipo();
        command.args(arguments);
        if matches!(arguments, ["routes" | "check"]) {
            command.arg(directory.path());
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        drop(child.stdout.take());
        assert_eq!(child.wait()?.code(), Some(0), "{arguments:?}");
        let mut said = String::new();
        child.stderr.take().expect("it is piped").read_to_string(&mut said)?;
        assert_eq!(said, "", "{arguments:?}");
    }
    Ok(())
}

/// A Listener behind a load balancer that passes client certificates through, and a Host that wants one.
const BEHIND_BALANCER: &str = "apiVersion: getambassador.io/v3alpha1
kind: Listener
metadata:
  name: http
  namespace: default
  annotations:
    plenipo.io/client-certificate-from: alb-passthrough
    plenipo.io/trusted-peers: 10.0.0.0/8
spec:
  {port: 8080, protocol: HTTPS, securityModel: XFP, l7Depth: 1, hostBinding: {namespace: {from: ALL}}}
---
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {name: known, namespace: default}
spec:
  hostname: known.example.com
  requestPolicy: {insecure: {action: Route}}
  tlsSecret: {name: own}
  tls: {ca_secret: clients, cert_required: true}
";

#[test]
fn explain_tells_who_the_client_is_behind_a_load_balancer() -> Result<()> {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let yaml = [
        BEHIND_BALANCER,
        "---\n",
        &servers.server(&["known.example.com"]).secret_yaml("own", "default"),
        "---\n",
        &clients.secret_yaml("clients", "default", None),
        &mapping("quote", "/", "quote"),
    ];
    let directory = directory(&yaml.concat())?;
    let path = directory.path().to_string_lossy().into_owned();
    let told = |peer: &str, shown: Option<&Issued>| {
        let field = shown.map(|shown| {
            format!("X-Amzn-Mtls-Clientcert: {}", shown.cert_pem().replace(' ', "%20").replace('\n', "%0A"))
        });
        let mut arguments = vec!["explain", &path, "http://known.example.com:8080/", "--peer", peer];
        arguments.extend(field.iter().flat_map(|field| ["-H", field]));
        String::from_utf8_lossy(&output(&arguments).stdout).into_owned()
    };
    let good = clients.client("good");
    for (text, part, routed) in [
        (told("10.0.0.1", Some(&good)), "CN=good, by the certificate that the load balancer tells of", true),
        (
            told("10.0.0.1", None),
            "403: what the load balancer tells is refused (client_certificate_missing)",
            false,
        ),
        (told("10.0.0.1", Some(&servers.client("foreign"))), "(client_certificate_invalid)", false),
        (told("192.0.2.1", Some(&good)), "the peer is not the load balancer", false),
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
        assert_eq!(text.contains("Mapping default/quote"), routed, "{text}");
    }
    Ok(())
}
