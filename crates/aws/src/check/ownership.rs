//! Who makes the load balancer, and for whom: AWS-34 to -40, -42 to -44, -93.

use super::finding::Findings;
use super::scene::{
    Scene, ServiceView, annotation, deployments, entry, ingress_note, note, service_note, with_entry,
};
use super::unknown::nearest;
use crate::annotations::{INGRESS, SERVICE, boolean};
use crate::owner::SERVICE_CLASS;
use crate::stack::{Kind, Scheme};

const TYPE: &str = "aws-load-balancer-type";
const TARGET: &str = "aws-load-balancer-nlb-target-type";
const CROSS_ZONE: &str = "aws-load-balancer-cross-zone-load-balancing-enabled";
const ATTRIBUTES: &str = "aws-load-balancer-attributes";
const CROSS_ZONE_ATTRIBUTE: &str = "load_balancing.cross_zone.enabled";

pub(super) fn find(scene: &Scene<'_>, found: &mut Findings) {
    for service in &scene.services {
        if service.type_() == "LoadBalancer" {
            types(service, found);
            existing(scene, service, found);
        }
        if service.owner.is_some() {
            scheme(service, found);
            cross_zone(scene, service, found);
        }
    }
    misunderstood(scene, found);
    ingress_schemes(scene, found);
}

/// AWS-34, -36 and -93.
fn types(service: &ServiceView<'_>, found: &mut Findings) {
    let (type_, class) = (service.note(TYPE), service.spec.load_balancer_class.as_deref());
    match (type_, class) {
        (Some("external"), None) if !matches!(service.note(TARGET), Some("ip" | "instance")) => {
            found
                .on(
                    34,
                    service.object,
                    service_note(TYPE),
                    "external without aws-load-balancer-nlb-target-type: the cloud provider \
                    leaves it to the AWS Load Balancer Controller, which leaves it alone; nobody says so",
                )
                .fix("say which targets: ip or instance")
                .add(service_note(TARGET), "instance");
        }
        (Some("nlb"), Some(SERVICE_CLASS)) => {
            found
                .on(
                    93,
                    service.object,
                    service_note(TYPE),
                    "the class is the AWS Load Balancer Controller's, the annotation names \
                    the cloud provider's: what the other annotations mean depends on which one is read",
                )
                .fix("keep the class")
                .unset();
        }
        (Some(other), None) if !matches!(other, "nlb" | "nlb-ip" | "external" | "") => {
            let finding = found.on(
                36,
                service.object,
                service_note(TYPE),
                format!("nobody knows '{other}': a classic load balancer is made"),
            );
            finding.fix("write external (with a target type), nlb, or leave it out");
            if let Some(near) = nearest(other, &["nlb", "nlb-ip", "external"]) {
                finding.set(near);
            }
        }
        _ => {}
    }
}

/// AWS-37 and -40: what exists is not what is asked for.
fn existing(scene: &Scene<'_>, service: &ServiceView<'_>, found: &mut Findings) {
    let id = format!("{}/{}", service.object.id.namespace, service.object.id.name);
    let known = scene.known.load_balancers.get(&id);
    let hosts = &service.spec.status_addresses;
    let was =
        known.and_then(|known| known.kind.as_deref()).or_else(|| hosts.iter().find_map(|host| kind_of(host)));
    let wanted = service.kind().map(|kind| if kind == Kind::Classic { "classic" } else { "network" });
    if let (Some(was), Some(wanted)) = (was, wanted)
        && was != wanted
    {
        found
            .on(37, service.object, service_note(TYPE), format!(
                "the load balancer that exists is a {was} one, and a {wanted} one is asked for: the type cannot change, and the \
                 old one is left behind or the new one never made"
            ))
            .fix("make a second Service with the new type, move the DNS names, then delete this one");
        return;
    }
    let Some(stack) = scene.stack(&service.object.id) else { return };
    let was = known
        .and_then(|known| known.scheme.as_deref())
        .or_else(|| hosts.iter().find_map(|host| scheme_of(host)));
    let field = if service.is_lbc() { "aws-load-balancer-scheme" } else { "aws-load-balancer-internal" };
    let value = |was: &str| match (service.is_lbc(), was) {
        (true, was) => was.to_owned(),
        (false, was) => (was == "internal").to_string(),
    };
    differs(service.object, service_note(field), was, stack.load_balancer.scheme, value, found);
}

fn differs(
    object: &plenipo_resources::Object,
    field: String,
    was: Option<&str>,
    wanted: Scheme,
    value: impl Fn(&str) -> String,
    found: &mut Findings,
) {
    let wanted = if wanted == Scheme::Internal { "internal" } else { "internet-facing" };
    if let Some(was) = was.filter(|was| *was != wanted) {
        found
            .on(40, object, field, format!(
                "the load balancer that exists is {was}, and {wanted} is asked for: it is replaced by one with another DNS name"
            ))
            .fix("leave the scheme, or make the new one beside it and move the DNS names")
            .set(value(was));
    }
}

/// `name.region.elb.amazonaws.com` is classic, `name.elb.region.amazonaws.com` a network load balancer's.
fn kind_of(host: &str) -> Option<&'static str> {
    let name = host.strip_suffix(".cn").unwrap_or(host).strip_suffix(".amazonaws.com")?;
    if name.ends_with(".elb") {
        return Some("classic");
    }
    name.contains(".elb.").then_some("network")
}

/// Classic and application load balancers have it in their DNS name.
fn scheme_of(host: &str) -> Option<&'static str> {
    let regional = host.ends_with(".elb.amazonaws.com") || host.ends_with(".elb.amazonaws.com.cn");
    match (host.starts_with("internal-"), regional) {
        (true, _) => Some("internal"),
        (false, true) => Some("internet-facing"),
        (false, false) => None,
    }
}

/// AWS-38 and -39.
fn scheme(service: &ServiceView<'_>, found: &mut Findings) {
    let internal = service.note("aws-load-balancer-internal");
    if service.is_lbc() {
        if service.note("aws-load-balancer-scheme").is_none() && internal.is_none() {
            found
                .on(
                    38,
                    service.object,
                    service_note("aws-load-balancer-scheme"),
                    "it is not said who can reach it: this controller \
                    makes it internal, the cloud provider would make it public",
                )
                .fix("write internal or internet-facing")
                .set("internal");
        }
        return;
    }
    match internal {
        None => {
            found
                .on(
                    38,
                    service.object,
                    service_note("aws-load-balancer-internal"),
                    "it is not said who can reach it: the cloud \
                    provider makes it public, the AWS Load Balancer Controller would make it internal",
                )
                .fix("write \"true\" or \"false\"")
                .set("false");
        }
        Some(said) if !matches!(said, "true" | "false") => {
            let no = boolean(said) == Some(false)
                || ["no", "off", "none", ""].iter().any(|word| said.eq_ignore_ascii_case(word));
            found
                .on(
                    39,
                    service.object,
                    service_note("aws-load-balancer-internal"),
                    format!("every word but false makes it internal, '{said}' too"),
                )
                .fix("write \"true\" or \"false\"")
                .set(if no { "false" } else { "true" });
        }
        Some(_) => {}
    }
}

/// AWS-38 and -40 for Ingresses: one of a group is enough.
fn ingress_schemes(scene: &Scene<'_>, found: &mut Findings) {
    for (name, members) in scene.groups() {
        let said = members.iter().any(|one| {
            one.note("scheme").is_some() || one.params.is_some_and(|params| params.scheme.is_some())
        });
        let Some(first) = members.first() else { continue };
        if !said {
            found
                .on(
                    38,
                    first.object,
                    ingress_note("scheme"),
                    "it is not said who can reach the load balancer: the controller makes it \
                    internal, unless it is started otherwise",
                )
                .fix("write internal or internet-facing")
                .set("internal");
        }
        let Some(stack) = scene.stack(&first.object.id) else { continue };
        let was = scene.known.load_balancers.get(&name).and_then(|known| known.scheme.as_deref());
        differs(first.object, ingress_note("scheme"), was, stack.load_balancer.scheme, str::to_owned, found);
    }
}

/// AWS-35: what `external` selects is a controller.
fn misunderstood(scene: &Scene<'_>, found: &mut Findings) {
    for object in scene.set.objects() {
        if note(object, SERVICE, TYPE) != Some("external") {
            continue;
        }
        let message = match &*object.id.kind {
            "Service" => {
                let meant = ["scheme", "listen-ports", "certificate-arn", "load-balancer-name", "group.name", "subnets"];
                let Some(one) = meant.iter().find(|suffix| note(object, INGRESS, suffix).is_some()) else { continue };
                format!("external selects the AWS Load Balancer Controller, which makes a network load balancer of a Service: {INGRESS}/{one} \
                    is for an Ingress")
            }
            "Ingress" => "external is a word for Services, and selects the controller: an Ingress gets an application load balancer by \
                its class"
                .to_owned(),
            _ => continue,
        };
        let finding = found.on(35, object, annotation(&format!("{SERVICE}/{TYPE}")), message);
        finding.fix("keep the annotations of one kind of load balancer");
        if &*object.id.kind == "Ingress" {
            finding.unset();
        } else {
            let keys = object.meta.annotations.keys().filter(|key| key.starts_with(INGRESS));
            for key in keys {
                finding.remove(annotation(key));
            }
        }
    }
}

/// AWS-42, -43 and -44.
fn cross_zone(scene: &Scene<'_>, service: &ServiceView<'_>, found: &mut Findings) {
    let attribute = entry(service.note(ATTRIBUTES), CROSS_ZONE_ATTRIBUTE).filter(|_| service.is_lbc());
    let annotated = service.note(CROSS_ZONE);
    if let (Some(attribute), Some(annotated)) = (attribute, annotated) {
        let rest = with_entry(service.note(ATTRIBUTES), CROSS_ZONE_ATTRIBUTE, None);
        let finding = found.on(
            42,
            service.object,
            service_note(ATTRIBUTES),
            format!("{CROSS_ZONE} says {annotated} and wins, {CROSS_ZONE_ATTRIBUTE} says {attribute}"),
        );
        finding.fix("keep one of the two");
        if rest.is_empty() {
            finding.unset()
        } else {
            finding.set(rest)
        };
    }
    let network = service.kind() == Some(Kind::Network);
    if service.is_cloud() && network && annotated.is_some() && service.spec.status_addresses.is_empty() {
        found
            .on(
                43,
                service.object,
                service_note(CROSS_ZONE),
                "cloud providers before Kubernetes 1.17 leave cross-zone balancing out when \
                they make a network load balancer, and do it with the next change",
            )
            .fix("nothing is to be done on today's clusters; on old ones apply it in a second step");
    }
    if !network || annotated.or(attribute).and_then(boolean) == Some(true) {
        return;
    }
    let Some(stack) = scene.stack(&service.object.id) else { return };
    let (zones, pods) = (stack.load_balancer.subnets.len(), pods(scene, service));
    if (service.has_ip_targets() || service.is_local()) && pods.is_some_and(|pods| pods < zones) {
        let finding = found.on(44, service.object, service_note(CROSS_ZONE), format!(
            "{} for {zones} zones, and the load balancer does not balance across them: clients that are sent to the other zone find \
             nobody",
            match pods {
                Some(1) => "there is one pod".to_owned(),
                Some(pods) => format!("there are {pods} pods"),
                None => String::new(),
            }
        ));
        finding.fix("balance across zones, or have a pod in every zone");
        if service.is_lbc() {
            finding.add(
                service_note(ATTRIBUTES),
                with_entry(service.note(ATTRIBUTES), CROSS_ZONE_ATTRIBUTE, Some("true")),
            );
        } else {
            finding.set("true");
        }
    }
}

/// Pods behind a Service, as far as Deployments tell.
fn pods(scene: &Scene<'_>, service: &ServiceView<'_>) -> Option<usize> {
    let deployments = deployments(scene.set, service);
    let replicas = deployments.iter().map(|(_, written)| {
        written.pointer("/spec/replicas").and_then(serde_json::Value::as_u64).unwrap_or(1)
    });
    (!deployments.is_empty())
        .then(|| replicas.map(|replicas| usize::try_from(replicas).unwrap_or(usize::MAX)).sum())
}
