//! Every command of every example's README, run against the demo, prints what the README says.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use plenipo_testkit::Process;

use crate::gateway::{plenipo, root};

/// A command of a README, and the lines that its output must hold.
struct Shown {
    command: String,
    expected: Vec<String>,
}

/// Examples that show something which is worth a warning.
const EXPECTED: &[(&str, &[&str])] = &[
    ("backend-tls", &["upstream-not-verified"]),
    ("backend-mtls", &["upstream-not-verified"]),
    ("tcpmapping", &["upstream-not-verified"]),
];

/// Codes of what `check` finds in a directory, notes left out.
fn problems(directory: &str) -> Result<Vec<String>> {
    // The demo's gateways have an identity in the mesh, where there is one.
    let identity = ["--mesh-identity", "secret:istio-system/gateway-identity"];
    let checked = plenipo().args(["check", directory, "-o", "json"]).args(identity).output()?;
    let report: serde_json::Value = serde_json::from_slice(&checked.stdout)?;
    let problems = report["problems"].as_array().context("no problems")?.iter();
    let serious = problems.filter(|problem| problem["severity"] != "note");
    Ok(serious.map(|problem| problem["code"].as_str().unwrap_or_default().to_owned()).collect())
}

/// Blocks of one language, in order, with the language: ```` ```sh ````, ```` ```text ````.
fn blocks(readme: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut open = false;
    for line in readme.lines() {
        match (open, line.strip_prefix("```")) {
            (false, Some(language)) => found.push((language.to_owned(), String::new())),
            (true, None) => {
                if let Some((_, text)) = found.last_mut() {
                    text.push_str(line);
                    text.push('\n');
                }
                continue;
            }
            (false, None) => continue,
            (true, Some(_)) => {}
        }
        open = !open;
    }
    found
}

/// The commands, each with the `text` block that must follow it.
fn shown(readme: &str) -> Result<Vec<Shown>> {
    let blocks = blocks(readme);
    // The first block starts the demo.
    let (start, rest) = blocks.split_first().context("a README without a command")?;
    ensure!(start.1.starts_with("cargo run --release -- demo --example "), "the first block starts the demo");
    let mut all = Vec::new();
    for pair in rest.chunks(2) {
        let [(sh, command), (text, expected)] = pair else { anyhow::bail!("a command without its output") };
        ensure!(sh == "sh" && text == "text", "a block that is neither command nor output after: {command}");
        all.push(Shown { command: command.clone(), expected: expected.lines().map(str::to_owned).collect() });
    }
    Ok(all)
}

/// The commands as the demo prints them for this run.
fn printed(output: &str) -> Vec<String> {
    let all = output.split_once("Try, in another terminal:\n").map_or("", |(_, all)| all);
    let all = all.split_once("Ctrl-C stops it").map_or("", |(all, _)| all);
    all.split("\n\n").map(str::trim).filter(|command| !command.is_empty()).map(str::to_owned).collect()
}

async fn run(name: &str) -> Result<()> {
    let readme = fs::read_to_string(root().join("examples").join(name).join("README.md"))?;
    let shown = shown(&readme)?;
    ensure!(!shown.is_empty(), "{name} shows nothing");
    let mut demo = Process::start(plenipo().args(["demo", "--free-ports", "--example", name]))?;
    demo.line_with("Ctrl-C stops it").await;
    let output = demo.output();
    let printed = printed(&output);
    ensure!(printed.len() == shown.len(), "{name}: the demo prints {} commands\n{output}", printed.len());
    for (command, shown) in printed.iter().zip(&shown) {
        let ran = Command::new("bash").args(["-c", command]).output().context("bash")?;
        let text = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
        for line in &shown.expected {
            let written = &shown.command;
            ensure!(
                text.contains(line.as_str()),
                "{name}: {written}as: {command}\nhas no {line:?} in\n{text}\n{}",
                demo.output()
            );
        }
    }
    let directory =
        output.lines().find_map(|line| line.strip_prefix("configuration")).context("no directory")?;
    let directory = directory.trim().split(' ').next().unwrap_or_default().to_owned();
    let expected = EXPECTED.iter().find(|(own, _)| *own == name).map_or(&[][..], |(_, codes)| codes);
    assert_eq!(problems(&directory)?, expected, "{name}");
    demo.signal("INT")?;
    ensure!(demo.wait().await?.success(), "{name} ends badly:\n{}", demo.output());
    ensure!(!std::path::Path::new(&directory).exists(), "{name} leaves {directory}");
    Ok(())
}

macro_rules! examples {
    ($($test:ident = $name:literal,)*) => {
        const TESTED: &[&str] = &[$($name),*];
        $(
            #[tokio::test]
            async fn $test() -> Result<()> {
                run($name).await
            }
        )*
    };
}

examples! {
    nlb_proxy_protocol = "nlb-proxy-protocol",
    l4_lb_tls = "l4-lb-tls",
    l7_lb_tls = "l7-lb-tls",
    aws_classic_proxy_protocol = "aws-classic-proxy-protocol",
    aws_alb_nodeport = "aws-alb-nodeport",
    aws_nlb_tls_ip = "aws-nlb-tls-ip",
    aws_alb_mtls = "aws-alb-mtls",
    aws_alb_istio = "aws-alb-istio",
    mtls_optional = "mtls-optional",
    mtls_required = "mtls-required",
    backend_tls = "backend-tls",
    backend_mtls = "backend-mtls",
    tcpmapping = "tcpmapping",
    canary = "canary",
    grpc = "grpc",
    websocket = "websocket",
    ingress_nginx = "ingress-nginx",
}

#[test]
fn every_example_is_tested_listed_and_documented() -> Result<()> {
    let docs = fs::read_to_string(root().join("docs/examples.md"))?;
    let listed = String::from_utf8(crate::gateway::output(&["demo", "--list"]).stdout)?;
    let listed: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(listed, TESTED);
    let mut folders: Vec<String> = fs::read_dir(root().join("examples"))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    folders.sort();
    let mut tested = TESTED.to_vec();
    tested.sort_unstable();
    assert_eq!(folders, tested);
    for name in TESTED {
        assert!(
            docs.contains(&format!("(../examples/{name}/README.md)")),
            "{name} is not in docs/examples.md"
        );
    }
    Ok(())
}
