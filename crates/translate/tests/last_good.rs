//! A bad change keeps what was good before, object by object.

#![allow(clippy::unwrap_used, reason = "a test ends where its fixture does not fit")]

mod fixture;

use plenipo_model::{ChainTls, Edge, Listener, Serve};
use plenipo_resources::{Report, Set, State};
use plenipo_translate::{LastGood, Options};

const FRONT: &str = r#"
apiVersion: getambassador.io/v3alpha1
kind: Listener
metadata: {name: https}
spec: {port: 8443, protocol: HTTPS, securityModel: XFP, hostBinding: {namespace: {from: ALL}}}
---
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {name: www}
spec: {hostname: www.example.com, tlsSecret: {name: www}}
---
"#;

const GOOD_SECRET: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: www}
stringData:
  tls.crt: ${cert:www.example.com}
  tls.key: ${key:www.example.com}
---
"#;

fn mapping(spec: &str) -> String {
    format!("apiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata: {{name: app}}\nspec: {spec}\n")
}

fn set(parts: &[&str]) -> Set {
    fixture::set(&parts.concat())
}

fn tls(edge: &Edge) -> Option<&ChainTls> {
    let listener: &Listener = edge.listeners.first()?;
    listener.chains.iter().map(|chain| &chain.tls).find(|tls| **tls != ChainTls::Untouched)
}

/// The prefixes of the clear-text chain's one host.
fn prefixes(edge: &Edge) -> Vec<String> {
    let Serve::Http(server) = &edge.listeners[0].chains.last().unwrap().serve else { panic!("no HTTP") };
    let routes = server.hosts[0].routes.iter().filter(|route| route.source.as_str() != "gateway");
    routes.map(|route| route.pattern.to_string()).collect()
}

#[track_caller]
fn check(report: &Report, kind: &str, name: &str, state: State, words: &str) {
    let (_, verdict) =
        report.verdicts.iter().find(|(id, _)| &*id.kind == kind && &*id.name == name).expect("a verdict");
    assert_eq!(verdict.state, state, "{verdict:?}");
    assert!(verdict.problems.iter().any(|problem| problem.message.contains(words)), "{verdict:?}");
}

#[test]
fn a_broken_mapping_keeps_its_version() {
    let good = mapping("{hostname: '*', prefix: /good/, service: app}");
    let bad = mapping("{hostname: '*', prefix: '/bad(', prefix_regex: true, service: app}");
    let unreadable = mapping("{hostname: '*', prefix: {not: text}, service: app}");
    let mut last_good = LastGood::default();
    let options = Options::default();
    assert_eq!(prefixes(&last_good.apply(&set(&[FRONT, GOOD_SECRET, &good]), &options).0), ["/good/"]);

    let (edge, report) = last_good.apply(&set(&[FRONT, GOOD_SECRET, &bad]), &options);
    assert_eq!(prefixes(&edge), ["/good/"]);
    check(&report, "Mapping", "app", State::Refused, "the version accepted before keeps serving");

    let (edge, report) = last_good.apply(&set(&[FRONT, GOOD_SECRET, &unreadable]), &options);
    assert_eq!(prefixes(&edge), ["/good/"]);
    check(&report, "Mapping", "app", State::Refused, "the version accepted before keeps serving");

    let (edge, _) = last_good.apply(&set(&[FRONT, GOOD_SECRET]), &options);
    assert_eq!(prefixes(&edge), [""; 0], "what is deleted is forgotten");
    let (edge, report) = last_good.apply(&set(&[FRONT, GOOD_SECRET, &bad]), &options);
    assert_eq!(prefixes(&edge), [""; 0]);
    assert!(report.problems().iter().all(|problem| !problem.message.contains("keeps serving")));
}

#[test]
fn a_broken_secret_keeps_its_certificate() {
    let bad = "apiVersion: v1\nkind: Secret\nmetadata: {name: www}\nstringData: {tls.crt: hello, tls.key: world}\n---\n";
    let app = mapping("{hostname: '*', prefix: /new/, service: app}");
    let old = mapping("{hostname: '*', prefix: /old/, service: app}");
    let mut last_good = LastGood::default();
    let options = Options::default();
    let (before, _) = last_good.apply(&set(&[FRONT, GOOD_SECRET, &old]), &options);
    let Some(ChainTls::Terminate(certificate)) = tls(&before) else { panic!("no TLS") };

    let (edge, report) = last_good.apply(&set(&[FRONT, bad, &app]), &options);
    assert_eq!(tls(&edge), Some(&ChainTls::Terminate(certificate.clone())));
    assert_eq!(prefixes(&edge), ["/new/"], "everything else is as new as it is written");
    check(&report, "Secret", "www", State::Refused, "the version accepted before keeps serving");
    check(
        &report,
        "Host",
        "www",
        State::Refused,
        "it serves with the version accepted before of what it refers to",
    );

    let (edge, report) = last_good.apply(&set(&[FRONT, &app]), &options);
    assert_eq!(tls(&edge), Some(&ChainTls::Terminate(certificate.clone())), "gone altogether, as well");
    check(&report, "Secret", "www", State::Accepted, "what it held serves on");
}

#[test]
fn a_secret_that_is_gone_serves_for_as_long_as_it_is_named() {
    let app = mapping("{hostname: '*', prefix: /app/, service: app}");
    let renamed = mapping("{hostname: '*', prefix: /renamed/, service: app}");
    let mut last_good = LastGood::default();
    let options = Options::default();
    let (before, _) = last_good.apply(&set(&[FRONT, GOOD_SECRET, &app]), &options);
    for _ in 0..2 {
        let (edge, report) = last_good.apply(&set(&[FRONT, &app]), &options);
        assert_eq!(edge, before);
        check(&report, "Secret", "www", State::Accepted, "what it held serves on");
    }
    let (edge, _) = last_good.apply(&set(&[FRONT, &renamed]), &options);
    assert_eq!(tls(&edge), tls(&before), "changes elsewhere are no reason to forget it");

    let nobody = last_good.apply(&set(&[&app]), &options);
    assert_eq!(nobody, LastGood::default().apply(&set(&[&app]), &options), "nobody names it");
    let (edge, _) = last_good.apply(&set(&[FRONT, &app]), &options);
    assert!(matches!(tls(&edge), Some(ChainTls::Broken(_))), "it is forgotten by then");
}

#[test]
fn without_a_good_version_nothing_weaker_serves() {
    let (edge, report) = LastGood::default().apply(&set(&[FRONT]), &Options::default());
    assert!(matches!(tls(&edge), Some(ChainTls::Broken(_))));
    let Serve::Http(server) = &edge.listeners[0].chains.last().unwrap().serve else { panic!("no HTTP") };
    assert_eq!(server.hosts[0].refuse.as_ref().map(|refusal| refusal.status), Some(503));
    check(&report, "Host", "www", State::Refused, "there is no Secret default/www");
}

#[test]
fn a_mistake_in_a_virtual_service_leaves_the_version_before() {
    let gateway = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: web}\n\
        spec: {servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}\n---\n";
    let service = |prefix: &str, rest: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: app}}\nspec: {{hosts: \
            [a.example.com], gateways: [web], http: [{{match: [{{uri: {{{prefix}}}}}], {rest}}}]}}\n"
        )
    };
    let answer = "directResponse: {status: 200}";
    let options = Options::default();
    let mut last_good = LastGood::default();
    let good = service("prefix: /good", answer);
    let (edge, _) = last_good.apply(&set(&[gateway, &good]), &options);
    assert_eq!(prefixes(&edge), ["/good"]);
    for bad in [service("regex: '('", answer), service("prefix: /new", "directResponse: {status: 99}")] {
        let (edge, report) = last_good.apply(&set(&[gateway, &bad]), &options);
        assert_eq!(prefixes(&edge), ["/good"]);
        check(&report, "VirtualService", "app", State::Refused, "the version accepted before keeps serving");
    }
    let (edge, _) = last_good.apply(&set(&[gateway, &service("prefix: /new", answer)]), &options);
    assert_eq!(prefixes(&edge), ["/new"]);
}
