//! Certificates and the names they are for: AWS-45, -46, -48, -49, -94.

use std::collections::BTreeSet;

use plenipo_model::HostPattern;
use plenipo_resources::{Object, View};

use super::finding::Findings;
use super::scene::{IngressView, Passage, Scene, ingress_note, service_note};
use crate::annotations::list;

/// So many names are told in a sentence.
const LISTED: usize = 10;

pub(super) fn find(scene: &Scene<'_>, found: &mut Findings) {
    for service in scene.services.iter().filter(|service| service.owner.is_some()) {
        let arns = service.note("aws-load-balancer-ssl-cert").map(list).unwrap_or_default();
        strange(scene, service.object, &service_note("aws-load-balancer-ssl-cert"), &arns, found);
        let passages: Vec<_> =
            scene.passages.iter().filter(|one| one.service.id == service.object.id).collect();
        let hosts =
            passages.iter().filter(|one| one.listener.protocol.ends_tls()).flat_map(|one| gateway_hosts(one));
        covered(
            scene,
            service.object,
            &service_note("aws-load-balancer-ssl-cert"),
            &arns,
            hosts.collect(),
            found,
        );
    }
    for members in scene.groups().values() {
        let secured = members
            .iter()
            .any(|one| super::groups::listen_ports(one).iter().any(|(name, _)| name == "HTTPS"));
        let arns: Vec<String> = members.iter().flat_map(|one| certificates(one)).collect();
        for ingress in members {
            let field = ingress_note("certificate-arn");
            let own = ingress.note("certificate-arn").map(list).unwrap_or_default();
            strange(scene, ingress.object, &field, &own, found);
            if secured {
                covered(scene, ingress.object, &field, &arns, rule_hosts(ingress), found);
            }
        }
        undiscovered(members, &arns, found);
    }
    secrets(scene, found);
    layers(scene, found);
}

fn certificates(ingress: &IngressView<'_>) -> Vec<String> {
    match ingress.params.map(|params| &params.certificate_arn) {
        Some(arns) if !arns.is_empty() => arns.clone(),
        _ => ingress.note("certificate-arn").map(list).unwrap_or_default(),
    }
}

fn rule_hosts(ingress: &IngressView<'_>) -> Vec<String> {
    let hosts = ingress.spec.rules.iter().filter_map(|rule| rule.host.clone());
    hosts.filter(|host| !host.is_empty()).collect()
}

fn gateway_hosts(passage: &Passage<'_>) -> Vec<String> {
    let hosts = passage.hosts().filter(|(_, host)| host.host != HostPattern::Any);
    hosts.map(|(_, host)| host.host.without_port().to_string()).collect()
}

/// AWS-45: as clients see it, a wildcard stands for one label (RFC 9525 §6.3).
fn covered(
    scene: &Scene<'_>,
    object: &Object,
    field: &str,
    arns: &[String],
    mut hosts: Vec<String>,
    found: &mut Findings,
) {
    let known: Option<Vec<&Vec<String>>> = arns.iter().map(|arn| scene.known.certificates.get(arn)).collect();
    let Some(known) = known.filter(|known| !known.is_empty()) else { return };
    let names: Vec<&String> = known.into_iter().flatten().collect();
    hosts.retain(|host| !names.iter().any(|name| covers(name, host)));
    hosts.sort();
    hosts.dedup();
    if !hosts.is_empty() {
        let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        found
            .on(
                45,
                object,
                field,
                format!(
                    "{} is not among the names of the certificate ({}); * stands for one label",
                    hosts.join(", "),
                    names.join(", ")
                ),
            )
            .fix("add a certificate that has the names");
    }
}

/// Is `host` (which may begin with `*.` itself) one of those that `name` stands for?
fn covers(name: &str, host: &str) -> bool {
    name.eq_ignore_ascii_case(host)
        || name.strip_prefix("*.").is_some_and(|rest| {
            host.split_once('.').is_some_and(|(_, domain)| domain.eq_ignore_ascii_case(rest))
                && !host.starts_with("*.")
        })
}

/// AWS-48: certificates are found by host.
fn undiscovered(members: &[&IngressView<'_>], arns: &[String], found: &mut Findings) {
    if !arns.is_empty() {
        return;
    }
    for ingress in members {
        let secured = super::groups::listen_ports(ingress).iter().any(|(name, _)| name == "HTTPS");
        let made = ingress.note("create-acm-cert").is_some_and(|value| value == "true");
        let named =
            !rule_hosts(ingress).is_empty() || ingress.spec.tls.iter().any(|tls| !tls.hosts.is_empty());
        if secured && !named && !made {
            found
                .on(
                    48,
                    ingress.object,
                    ingress_note("listen-ports"),
                    "an HTTPS listener needs a certificate: none is named, \
                    and there is no host to find one by",
                )
                .fix("name a certificate in certificate-arn, or write the hosts in rules or tls");
        }
    }
}

/// AWS-49: Secrets are not read.
fn secrets(scene: &Scene<'_>, found: &mut Findings) {
    for ingress in &scene.ingresses {
        for (place, tls) in ingress.spec.tls.iter().enumerate() {
            let Some(secret) = tls.secret_name.as_deref().filter(|name| !name.is_empty()) else { continue };
            found
                .on(49, ingress.object, format!("/spec/tls/{place}/secretName"), format!(
                    "application load balancers take certificates from ACM: nobody reads the Secret {secret}"
                ))
                .fix("take it out, and name a certificate in certificate-arn")
                .unset();
        }
    }
}

/// AWS-94: an ARN that is none, or another account's.
fn strange(scene: &Scene<'_>, object: &Object, field: &str, arns: &[String], found: &mut Findings) {
    for arn in arns {
        let Some(why) = strangeness(scene, arn) else { continue };
        found
            .on(94, object, field, format!("'{arn}': {why}"))
            .fix("name a certificate of the load balancer's account and region (for the local edge: map the ARN to a file)");
    }
}

fn strangeness(scene: &Scene<'_>, arn: &str) -> Option<String> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [scheme, partition, service, region, account, resource] = parts[..] else {
        return Some("it is no ARN".to_owned());
    };
    let digits = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let counted =
        account == "123456789012" || account.bytes().all(|byte| Some(&byte) == account.as_bytes().first());
    if scheme != "arn" || !partition.starts_with("aws") || arn.contains(['{', '<', '$']) || !digits || counted
    {
        return Some("it is a placeholder".to_owned());
    }
    let other = |what: &str, here: &Option<String>, there: &str| {
        let here = here.as_deref().filter(|here| *here != there)?;
        Some(format!("it is of {what} {there}, and the cluster is in {here}"))
    };
    match service {
        "acm" => {
            let id = resource.strip_prefix("certificate/").unwrap_or_default();
            let is_id = id.len() >= 36 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
            if !is_id {
                return Some("it is a placeholder: an id has 36 characters".to_owned());
            }
            other("region", &scene.known.region, region)
                .or_else(|| other("account", &scene.known.account, account))
        }
        "iam" => other("account", &scene.known.account, account),
        _ => Some(format!("{service} has no certificates")),
    }
}

/// AWS-46: a host that the load balancer has no rule for.
fn layers(scene: &Scene<'_>, found: &mut Findings) {
    let all: Vec<Vec<String>> = scene.ingresses.iter().map(rule_hosts).collect();
    let open = scene.ingresses.iter().any(|ingress| {
        ingress.spec.default_backend.is_some()
            || ingress.spec.rules.iter().any(|rule| rule.host.as_deref().is_none_or(str::is_empty))
    });
    let hosts: Vec<HostPattern> =
        all.iter().flatten().filter_map(|host| HostPattern::parse(host).ok()).collect();
    if open || hosts.is_empty() {
        return;
    }
    let listed = listed(all.iter().flatten());
    let mut check = |object: &Object, field: String, host: &str| {
        let Ok(pattern) = HostPattern::parse(host) else { return };
        if matches!(pattern, HostPattern::Any) || hosts.iter().any(|known| known.overlaps(&pattern)) {
            return;
        }
        let finding = found.on(
            46,
            object,
            field,
            format!(
                "no rule of a load balancer is for {host}: requests for it do not get here ({} has {})",
                scene.ingresses[0].object.id, listed
            ),
        );
        finding.fix("write the same domain in both");
        if let Some(better) = under_other_suffix(host, &hosts) {
            finding.set(better);
        }
    };
    for object in scene.set.of_kind("VirtualService") {
        let View::VirtualService(service) = &object.view else { continue };
        for (place, host) in service.hosts.iter().enumerate() {
            // Names without a dot, or of the cluster, are those of the mesh.
            if host.contains('.') && !host.ends_with(".local") {
                check(object, format!("/spec/hosts/{place}"), host);
            }
        }
    }
    let elsewhere = |name: &str| {
        scene.passages.iter().any(|one| {
            one.gateway.name == name && one.stack.load_balancer.kind != crate::stack::Kind::Application
        })
    };
    // A thousand rules may well lead to the same thousand hosts.
    let mut seen = BTreeSet::new();
    let ruled = scene.passages.iter().filter(|one| one.rule.is_some());
    for passage in ruled.filter(|one| seen.insert(one.entrance()) && !elsewhere(&one.gateway.name)) {
        for (_, host) in passage.hosts() {
            if let Some(object) = scene.object_of(&host.source).filter(|object| &*object.id.kind == "Host") {
                check(object, "/spec/hostname".to_owned(), &host.host.without_port().to_string());
            }
        }
    }
}

/// The first of these names, and how many more there are.
fn listed<'a>(mut names: impl Iterator<Item = &'a String>) -> String {
    let first: Vec<&str> = names.by_ref().take(LISTED).map(String::as_str).collect();
    match names.count() {
        0 => first.join(", "),
        more => format!("{}, and {more} more", first.join(", ")),
    }
}

/// The same name, ending as one of these does.
fn under_other_suffix(host: &str, hosts: &[HostPattern]) -> Option<String> {
    let (stem, _) = host.rsplit_once('.')?;
    hosts.iter().find_map(|known| {
        let text = known.to_string();
        let (_, suffix) = text.rsplit_once('.')?;
        let better = format!("{stem}.{suffix}");
        known.matches(&better).then_some(better)
    })
}
