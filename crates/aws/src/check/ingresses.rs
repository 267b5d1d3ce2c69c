//! Rules of Ingresses: AWS-62 to -67, -72, -74.

use plenipo_resources::core::IntOrString;
use serde_json::Value;

use super::finding::{Findings, Operation};
use super::scene::{IngressView, Scene, annotation, ingress_note};
use crate::annotations::list;
use crate::owner::INGRESS_CLASS_ANNOTATION;
use crate::stack::{Action, Condition, Values};

pub(super) fn find(scene: &Scene<'_>, found: &mut Findings) {
    for ingress in &scene.ingresses {
        class(ingress, found);
        paths(ingress, found);
        json(ingress, found);
        zones(scene, ingress, found);
    }
    for service in &scene.services {
        let (Some(annotated), ranges) =
            (service.note("load-balancer-source-ranges"), &service.spec.load_balancer_source_ranges)
        else {
            continue;
        };
        let sorted = |mut ranges: Vec<String>| {
            ranges.sort();
            ranges
        };
        if !ranges.is_empty() && sorted(list(annotated)) != sorted(ranges.clone()) {
            let field = super::scene::service_note("load-balancer-source-ranges");
            found
                .on(
                    63,
                    service.object,
                    field,
                    "spec.loadBalancerSourceRanges says something else, and is the one that counts",
                )
                .fix("keep the field")
                .unset();
        }
    }
    for members in scene.groups().values() {
        shadowed(members, found);
    }
    limits(scene, found);
}

/// AWS-62 and -63.
fn class(ingress: &IngressView<'_>, found: &mut Findings) {
    let Some(annotated) = ingress.object.meta.annotations.get(INGRESS_CLASS_ANNOTATION) else { return };
    let field = annotation(INGRESS_CLASS_ANNOTATION);
    match ingress.spec.ingress_class_name.as_deref() {
        Some(name) if name != annotated => {
            found
                .on(63, ingress.object, field, format!(
                    "the annotation says {annotated}, ingressClassName {name}: the annotation wins, against what the field's \
                     reader thinks"
                ))
                .fix("keep the field")
                .unset();
        }
        name => {
            let finding = found.on(
                62,
                ingress.object,
                field,
                "with the annotation no IngressClassParams apply, whatever the \
                class demands",
            );
            finding.fix("write ingressClassName").unset();
            if name.is_none() {
                finding.add("/spec/ingressClassName", annotated.clone());
            }
        }
    }
}

/// AWS-64 and -65.
fn paths(ingress: &IngressView<'_>, found: &mut Findings) {
    let regex = ingress.note("use-regex-path-match") == Some("true");
    for (rule, written) in ingress.spec.rules.iter().enumerate() {
        for (place, one) in written.http.iter().flat_map(|http| &http.paths).enumerate() {
            let path = one.path.as_deref().unwrap_or_default();
            let pointer = format!("/spec/rules/{rule}/http/paths/{place}");
            match one.path_type.as_deref() {
                Some(kind @ ("Prefix" | "Exact")) if path.contains(['*', '?']) => {
                    found
                        .on(64, ingress.object, format!("{pointer}/path"), format!(
                            "{path}: a path of type {kind} takes no wildcard, and no load balancer is made of the whole group"
                        ))
                        .fix("write pathType: ImplementationSpecific, or leave the wildcard out")
                        .add(format!("{pointer}/pathType"), "ImplementationSpecific");
                }
                Some("ImplementationSpecific") if path == "/" && !regex => {
                    found
                        .on(
                            65,
                            ingress.object,
                            format!("{pointer}/pathType"),
                            "the path matches / and nothing under it",
                        )
                        .fix("write pathType: Prefix")
                        .set("Prefix");
                }
                _ => {}
            }
        }
    }
}

/// AWS-72.
fn json(ingress: &IngressView<'_>, found: &mut Findings) {
    let prefix = format!("{}/", crate::annotations::INGRESS);
    for (key, raw) in &ingress.object.meta.annotations {
        let Some(suffix) = key.strip_prefix(&prefix) else { continue };
        if !["actions.", "conditions.", "transforms."].iter().any(|start| suffix.starts_with(start)) {
            continue;
        }
        let wrong = match serde_json::from_str::<Value>(raw) {
            Err(error) => Some(error.to_string()),
            Ok(value) if suffix.starts_with("actions.") => action(&value),
            Ok(value) if !value.is_array() => Some("it is no list".to_owned()),
            Ok(_) => None,
        };
        if let Some(why) = wrong {
            found
                .on(72, ingress.object, annotation(key), format!("it cannot be used: {why}"))
                .fix("correct the JSON");
        }
    }
    for (pointer, backend) in ingress.backends() {
        let action = matches!(backend.port(), Some(IntOrString::String(name)) if name == "use-annotation");
        let name = backend.name().unwrap_or_default();
        if action && ingress.note(&format!("actions.{name}")).is_none() {
            found
                .on(
                    72,
                    ingress.object,
                    pointer,
                    format!("there is no annotation actions.{name}: requests are answered 503"),
                )
                .fix(format!("write {}", ingress_note(&format!("actions.{name}")).replace("~1", "/")));
        }
    }
}

/// What is wrong with an action; keys are read in any case.
fn action(value: &Value) -> Option<String> {
    let Value::Object(map) = value else { return Some("it is no map".to_owned()) };
    let field =
        |name: &str| map.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    let part = match field("type").and_then(Value::as_str) {
        Some("forward") => {
            let short = ["targetGroupARN", "targetGroupName"].iter().any(|name| field(name).is_some());
            return match (short, field("forwardConfig")) {
                (true, Some(_)) => Some("forwardConfig and a target group are both there".to_owned()),
                (false, None) => Some("it forwards to nothing".to_owned()),
                _ => None,
            };
        }
        Some("redirect") => "redirectConfig",
        Some("fixed-response") => "fixedResponseConfig",
        Some(other) => return Some(format!("{other} is no type of action")),
        None => return Some("it has no type".to_owned()),
    };
    let Some(Value::Object(inner)) = field(part) else { return Some(format!("it has no {part}")) };
    let status = inner.keys().any(|key| key.eq_ignore_ascii_case("statusCode"));
    (!status).then(|| format!("{part} has no statusCode"))
}

/// AWS-74.
fn zones(scene: &Scene<'_>, ingress: &IngressView<'_>, found: &mut Findings) {
    let Some(subnets) = ingress.note("subnets").map(list) else { return };
    let zones: Vec<&String> = subnets.iter().filter_map(|subnet| scene.known.subnets.get(subnet)).collect();
    let twice = zones.iter().enumerate().find(|(place, zone)| zones[..*place].contains(zone));
    let message = match (subnets.len(), twice) {
        (1, _) => {
            "an application load balancer stands in two zones at least, and one subnet is named".to_owned()
        }
        (_, Some((_, zone))) => {
            format!("two of the subnets are in {zone}: a load balancer has one for each zone")
        }
        _ => return,
    };
    found
        .on(74, ingress.object, ingress_note("subnets"), message)
        .fix("name one subnet in each of two or more zones");
}

/// A rule of an Ingress as the load balancer tries it.
struct Tried<'a> {
    ingress: &'a IngressView<'a>,
    rule: usize,
    host: &'a str,
    path: &'a str,
    kind: &'a str,
    backend: &'a str,
}

/// AWS-66: paths are sorted within one host rule, and nowhere else.
fn shadowed(members: &[&IngressView<'_>], found: &mut Findings) {
    let mut tried: Vec<Tried<'_>> = Vec::new();
    for ingress in members {
        for (rule, written) in ingress.spec.rules.iter().enumerate() {
            for one in written.http.iter().flat_map(|http| &http.paths) {
                tried.push(Tried {
                    ingress,
                    rule,
                    host: written.host.as_deref().unwrap_or_default(),
                    path: one.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/*"),
                    kind: one.path_type.as_deref().unwrap_or("ImplementationSpecific"),
                    backend: one.backend.name().unwrap_or_default(),
                });
            }
        }
    }
    for (place, later) in tried.iter().enumerate() {
        let earlier = tried[..place].iter().find(|first| {
            let same_rule = first.ingress.object.id == later.ingress.object.id && first.rule == later.rule;
            !same_rule && is_plain(first) && takes(first, later)
        });
        let Some(first) = earlier else { continue };
        let finding = found.on(
            66,
            later.ingress.object,
            format!("/spec/rules/{}", later.rule),
            format!(
                "{}{} is tried after {} of {}, which takes every request for it",
                later.host,
                later.path,
                if first.path.is_empty() { "/" } else { first.path },
                first.ingress.object.id
            ),
        );
        finding.fix("put the rule for everything last (within one group: by group.order)");
        if first.ingress.object.id == later.ingress.object.id {
            let (from, path) = (format!("/spec/rules/{}", later.rule), format!("/spec/rules/{}", first.rule));
            finding.edit(later.ingress.object.id.clone(), Operation::Move { from, path });
        } else {
            let path = ingress_note("group.order");
            finding.edit(first.ingress.object.id.clone(), Operation::Add { path, value: "1000".into() });
        }
    }
}

/// Does nothing but host and path decide, and is what takes it no redirect?
fn is_plain(rule: &Tried<'_>) -> bool {
    let note = |kind: &str| rule.ingress.note(&format!("{kind}.{}", rule.backend));
    note("conditions").is_none()
        && note("actions").is_none_or(|raw| !raw.to_ascii_lowercase().contains("\"redirect\""))
}

/// Are all requests for `later` requests for `first`, too?
fn takes(first: &Tried<'_>, later: &Tried<'_>) -> bool {
    let host = first.host.is_empty()
        || first.host.eq_ignore_ascii_case(later.host)
        || first
            .host
            .strip_prefix('*')
            .is_some_and(|rest| !later.host.is_empty() && later.host.ends_with(rest));
    let everything =
        matches!((first.kind, first.path), ("Prefix", "/" | "") | ("ImplementationSpecific", "/*" | "*"));
    let under = first.kind == "Prefix" && {
        let base = first.path.trim_end_matches('/');
        later.path == base || later.path.starts_with(&format!("{base}/"))
    };
    host && (everything || under)
}

/// AWS-67.
fn limits(scene: &Scene<'_>, found: &mut Findings) {
    for stack in scene.stacks {
        for listener in &stack.listeners {
            for rule in &listener.rules {
                let Some(ingress) = scene.ingress(&rule.source) else { continue };
                let values: Vec<&String> = rule.conditions.iter().flat_map(values).collect();
                let wildcards: usize = values.iter().map(|value| value.matches(['*', '?']).count()).sum();
                let targets = rule.actions.iter().map(|action| match action {
                    Action::Forward(forward) => forward.targets.len(),
                    _ => 0,
                });
                let what = [
                    (values.len(), "values in the conditions"),
                    (wildcards, "wildcards in the conditions"),
                    (targets.max().unwrap_or(0), "target groups"),
                ];
                for (count, what) in what.into_iter().filter(|(count, _)| *count > 5) {
                    found
                        .on(67, ingress.object, "/spec/rules", format!(
                            "rule {} of port {} has {count} {what}, and five are the most that a rule can have",
                            rule.priority, listener.port
                        ))
                        .fix("split the rule");
                }
            }
            if let (true, Some(ingress)) =
                (listener.rules.len() > 100, stack.members.first().and_then(|id| scene.ingress(id)))
            {
                found
                    .on(67, ingress.object, "/spec/rules", format!(
                        "port {} has {} rules, and 100 are the most unless AWS allows more", listener.port, listener.rules.len()
                    ))
                    .fix("send everything to the gateway by one rule, and choose there; or use several load balancers");
            }
        }
    }
}

fn values(condition: &Condition) -> Vec<&String> {
    match condition {
        Condition::Host(values) | Condition::Path(values) | Condition::Header { values, .. } => {
            match values {
                Values::Wildcards(values) | Values::Regexes(values) => values.iter().collect(),
            }
        }
        Condition::Method(values) | Condition::SourceIp(values) => values.iter().collect(),
        Condition::Query(values) => values.iter().map(|(_, value)| value).collect(),
    }
}
