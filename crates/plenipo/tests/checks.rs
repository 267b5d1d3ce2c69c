//! The pages of the checks are their tests: what a page shows as wrong is found by its rule, what it shows as right by
//! none, and the patch makes the one as good as the other.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use plenipo_aws::Account;
use plenipo_aws::check::{Finding, Known, Patch, RULES, Rule, apply, check, to_yaml, with_usual_class};
use plenipo_resources::{Origin, Set, SetBuilder, Severity, View, decode, documents};
use plenipo_testkit::certs::Authority;
use plenipo_translate::{Options, translate};
use serde_json::Value;

struct Page {
    rule: &'static Rule,
    also: Vec<String>,
    wrong: Example,
    right: Example,
}

struct Example {
    yaml: String,
    known: Known,
}

fn page(rule: &'static Rule) -> Page {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(rule.page);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let front = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key}: ")));
        line.unwrap_or_else(|| panic!("{}: no {key}", rule.id)).to_owned()
    };
    assert_eq!(front("rule"), rule.id);
    assert_eq!(front("severity"), rule.severity.to_string(), "{}", rule.id);
    assert!(text.contains(&format!("# {}: {}\n", rule.id, rule.title)), "{}: another title", rule.id);
    for word in ["When", "Why", "Evidence", "Fix", "Decides from"] {
        assert!(text.contains(&format!("**{word}.** ")), "{}: no {word}", rule.id);
    }
    let (before, right) = text.split_once("\n## Right\n").expect("an example of what is right");
    let (_, wrong) = before.split_once("\n## Wrong\n").expect("an example of what is wrong");
    let also = front("also").split(", ").filter(|id| *id != "none").map(str::to_owned).collect();
    Page { rule, also, wrong: example(wrong), right: example(right) }
}

fn example(section: &str) -> Example {
    let mut blocks =
        section.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned());
    let yaml = blocks.next().expect("a block of YAML");
    let known = blocks.next().map(|facts| {
        let value = documents(&facts)[0].value().unwrap();
        serde_json::from_value(value).unwrap()
    });
    Example { yaml, known: known.unwrap_or_default() }
}

fn values(yaml: &str) -> Vec<Value> {
    documents(yaml)
        .iter()
        .map(|document| document.value().unwrap_or_else(|error| panic!("{error}\n{yaml}")))
        .collect()
}

fn set(yaml: &str) -> Set {
    let mut builder = SetBuilder::default();
    let mut names = BTreeSet::new();
    for value in values(yaml) {
        let decoded = decode(value, Origin::Cluster);
        assert_eq!(decoded.problems, [], "{yaml}");
        for object in decoded.objects {
            if let View::Host(host) = &object.view {
                names.extend(host.hostname.clone().filter(|name| name != "*"));
            }
            builder.add(Arc::new(object));
        }
    }
    names.insert("localhost".to_owned());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let authority = Authority::new("test");
    let secrets = [
        authority.server(&names).secret_yaml("edge", "default"),
        authority.secret_yaml("clients", "default", None),
    ];
    for value in secrets.iter().flat_map(|secret| values(secret)) {
        decode(value, Origin::Cluster).objects.into_iter().for_each(|object| builder.add(Arc::new(object)));
    }
    builder.build()
}

fn findings(yaml: &str, known: &Known) -> Vec<Finding> {
    let set = with_usual_class(&set(yaml));
    let (edge, _) = translate(&set, &Options::default());
    let stacks = plenipo_aws::stacks(&set, &Account::default()).stacks;
    check(&set, &stacks, &edge, known)
}

fn shown(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| finding.problem().to_string()).collect()
}

fn failures(page: &Page) -> Vec<String> {
    let mut failures = Vec::new();
    let id = page.rule.id;
    let wrong = findings(&page.wrong.yaml, &page.wrong.known);
    if !wrong.iter().any(|finding| finding.rule.id == id) {
        let refused =
            plenipo_aws::stacks(&with_usual_class(&set(&page.wrong.yaml)), &Account::default()).problems;
        failures.push(format!("{id}: its own example is not found; {refused:?}"));
    }
    let strangers = wrong
        .iter()
        .filter(|finding| finding.rule.id != id && !page.also.iter().any(|also| also == finding.rule.id));
    failures.extend(strangers.map(|finding| format!("{id}, wrong: {}", finding.problem())));
    let right = findings(&page.right.yaml, &page.right.known);
    failures.extend(shown(&right).iter().map(|finding| format!("{id}, right: {finding}")));
    for also in &page.also {
        if !wrong.iter().any(|finding| finding.rule.id == also) {
            failures.push(format!("{id}: {also} is listed and not found"));
        }
    }
    let patches: Vec<&Patch> = wrong
        .iter()
        .filter(|finding| finding.rule.id == id)
        .filter_map(|finding| finding.patch.as_ref())
        .collect();
    if !patches.is_empty() {
        let patched = apply(values(&page.wrong.yaml), &patches);
        failures.extend(patched.left.iter().map(|edit| format!("{id}: no place for {edit:?}")));
        let yaml = to_yaml(&patched.documents).unwrap();
        let after = findings(&yaml, &page.wrong.known);
        let before: BTreeSet<&str> =
            wrong.iter().map(|finding| finding.rule.id).filter(|other| *other != id).collect();
        let still = after.iter().filter(|finding| !before.contains(finding.rule.id));
        failures.extend(still.map(|finding| format!("{id}, patched: {}\n{yaml}", finding.problem())));
    }
    failures
}

#[test]
fn every_rule_finds_its_example_and_nothing_else() {
    let pages: Vec<Page> = RULES.iter().map(page).collect();
    let failures: Vec<String> = pages.iter().flat_map(failures).collect();
    assert!(failures.is_empty(), "{}\n{} failures", failures.join("\n"), failures.len());
}

#[test]
fn what_is_shown_as_right_is_read_without_an_error() {
    for page in RULES.iter().map(page) {
        let set = with_usual_class(&set(&page.right.yaml));
        let (_, report) = translate(&set, &Options::default());
        let stacks = plenipo_aws::stacks(&set, &Account::default());
        let mut problems: Vec<_> = report.problems().into_iter().cloned().chain(stacks.problems).collect();
        problems.retain(|problem| problem.severity == Severity::Error);
        assert_eq!(problems, [], "{}", page.rule.id);
    }
}

#[test]
fn the_table_lists_every_rule() {
    let table = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/checks/README.md"))
        .unwrap();
    for (number, rule) in RULES.iter().enumerate() {
        assert_eq!(rule.id, format!("AWS-{:02}", number + 1));
        let row = format!("| [{0}]({0}.md) | {1} | {2} |", rule.id, rule.severity, rule.title);
        assert!(table.contains(&row), "{row}");
    }
}

#[test]
fn an_object_can_ask_not_to_be_told() {
    let yaml = "apiVersion: v1\nkind: Service\nmetadata: {name: edge, annotations: {plenipo.io/ignore: 'AWS-38,AWS-41'}}\n\
        spec: {type: LoadBalancer, ports: [{port: 80}], selector: {app: edge}}\n";
    assert_eq!(shown(&findings(yaml, &Known::default())), [""; 0]);
}

/// Further cases: the first line of each names the rules that find something.
#[test]
fn cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/checks");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let expected = text.lines().next().unwrap().strip_prefix("# finds: ").expect("what it finds");
        let found: BTreeSet<&str> =
            findings(&text, &Known::default()).iter().map(|finding| finding.rule.id).collect();
        let found: Vec<&str> = found.into_iter().collect();
        let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
        assert_eq!(found, expected, "{}", path.display());
        count += 1;
    }
    assert!(count >= 25, "{count} cases");
}

const FOR_EVER: &str = "\
# The certificate is the load balancer's. plenipo.io/ignore: AWS-94
apiVersion: v1
kind: Service
metadata:
  name: edge
  annotations:
    service.beta.kubernetes.io/aws-load-balancer-ssl-cert: arn:aws:acm:eu-west-1:123456789012:certificate/mine
    service.beta.kubernetes.io/aws-load-balancer-ssl-ports: \"443\"
spec:
  type: LoadBalancer
  ports:
    - {name: http, port: 80, targetPort: 8080}
    - {name: https, port: 443, targetPort: 8080}
  selector: {app: edge}
---
# plenipo.io/ignore: AWS-94
apiVersion: getambassador.io/v3alpha1
kind: Listener
metadata: {name: http}
spec: {port: 8080, protocol: HTTP, securityModel: XFP, hostBinding: {namespace: {from: ALL}}}
---
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {name: edge}
spec: {hostname: \"*\", requestPolicy: {insecure: {action: Redirect}}}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: quote}
spec: {hostname: \"*\", prefix: /backend/, service: quote}
";

fn plenipo(arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_plenipo")).arg("check").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn codes(arguments: &[&str]) -> Vec<String> {
    let (_, report, errors) = plenipo(&[arguments, &["-o", "json"]].concat());
    let report: Value = serde_json::from_str(&report).unwrap_or_else(|error| panic!("{error}: {errors}"));
    let problems = report["problems"].as_array().unwrap().iter();
    problems.map(|problem| problem["code"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_program_finds_mends_and_is_content() {
    let directory = tempfile::tempdir().unwrap();
    let [file, fixed] = ["a.yaml", "b.yaml"].map(|name| directory.path().join(name).display().to_string());
    fs::write(&file, FOR_EVER).unwrap();
    assert_eq!(codes(&[&file]), ["AWS-01", "AWS-38", "AWS-86"], "the comment takes AWS-94 away");
    assert_eq!(
        codes(&[&file, "--suppress", "AWS-38", "--suppress", "AWS-86=Service default/edge"]),
        ["AWS-01"]
    );
    let (_, sarif, _) = plenipo(&[&file, "-o", "sarif"]);
    assert!(sarif.contains("docs/checks/AWS-01.md"), "{sarif}");

    let (success, mended, left) = plenipo(&[&file, "--fix"]);
    assert!(success && left.is_empty(), "{left}");
    assert_eq!(documents(&mended).len(), 5, "a second Listener is behind the four documents:\n{mended}");
    assert!(mended.contains("securityModel: SECURE"), "{mended}");
    fs::write(&fixed, &mended).unwrap();
    assert_eq!(codes(&[&fixed]), ["AWS-94"], "comments of patched documents are lost");
}

#[test]
fn facts_are_read_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let [file, facts] = ["a.yaml", "b.txt"].map(|name| directory.path().join(name).display().to_string());
    let yaml = FOR_EVER.replace(
        "123456789012:certificate/mine",
        "416201738542:certificate/3f1c5b5e-6d1b-4a2e-9a57-0c8e5f2d7b64",
    );
    fs::write(&file, yaml.replace("plenipo.io/ignore: AWS-94", "")).unwrap();
    fs::write(&facts, "region: eu-central-1\n").unwrap();
    assert!(!codes(&[&file]).contains(&"AWS-94".to_owned()));
    assert!(codes(&[&file, "--known", &facts]).contains(&"AWS-94".to_owned()), "another region");
    fs::write(&facts, "no-such-fact: 1\n").unwrap();
    let (success, _, errors) = plenipo(&[&file, "--known", &facts]);
    assert!(!success && errors.contains("no-such-fact"), "{errors}");
}
