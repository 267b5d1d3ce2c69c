//! Ingresses that share a load balancer: AWS-68, -69, -70, -73.

use std::collections::BTreeSet;

use serde_json::Value;

use super::finding::Findings;
use super::scene::{IngressView, Scene, ingress_note};

/// Rules that the controller makes an error of, which stops the whole group.
const FATAL: [&str; 7] = ["AWS-20", "AWS-48", "AWS-61", "AWS-64", "AWS-70", "AWS-72", "AWS-74"];

/// What an Ingress listens on: protocol and port.
pub(super) fn listen_ports(ingress: &IngressView<'_>) -> Vec<(String, u16)> {
    let of_class = ingress.params.is_some_and(|params| !params.certificate_arn.is_empty());
    let Some(raw) = ingress.note("listen-ports") else {
        let secured = of_class || ingress.note("certificate-arn").is_some();
        let (protocol, port) = if secured { ("HTTPS", 443) } else { ("HTTP", 80) };
        return vec![(protocol.to_owned(), port)];
    };
    let Ok(Value::Array(entries)) = serde_json::from_str::<Value>(raw) else { return Vec::new() };
    let pairs = entries.iter().filter_map(Value::as_object).flatten();
    pairs
        .filter_map(|(protocol, port)| Some((protocol.clone(), u16::try_from(port.as_u64()?).ok()?)))
        .collect()
}

pub(super) fn find(scene: &Scene<'_>, found: &mut Findings) {
    for (name, members) in scene.groups() {
        redirect(&members, found);
        open_paths(&members, found);
        strangers(&name, &members, found);
    }
}

/// AWS-70.
fn redirect(members: &[&IngressView<'_>], found: &mut Findings) {
    let ports: Vec<(String, u16)> = members.iter().flat_map(|one| listen_ports(one)).collect();
    for ingress in members {
        let Some(raw) = ingress.note("ssl-redirect") else { continue };
        let port = raw.trim().parse::<u16>().ok();
        let why = match port.map(|port| ports.iter().find(|(_, known)| *known == port)) {
            None => format!("'{raw}' is no port"),
            Some(None) => format!("the group has no listener on port {raw}"),
            Some(Some((protocol, _))) if protocol != "HTTPS" => format!("port {raw} speaks HTTP"),
            Some(Some(_)) => continue,
        };
        let finding = found.on(
            70,
            ingress.object,
            ingress_note("ssl-redirect"),
            format!("{why}: no load balancer is made of the whole group"),
        );
        finding.fix("list the HTTPS port in listen-ports, and name it here");
        let secured = ports.iter().find(|(protocol, _)| protocol == "HTTPS");
        match (secured, port) {
            (Some((_, secured)), _) => drop(finding.set(secured.to_string())),
            (None, Some(port)) => {
                let mut listed: Vec<Value> = listen_ports(ingress)
                    .into_iter()
                    .filter(|(_, known)| *known != port)
                    .map(|(protocol, port)| serde_json::json!({ protocol: port }))
                    .collect();
                listed.push(serde_json::json!({ "HTTPS": port }));
                finding.add(ingress_note("listen-ports"), Value::Array(listed).to_string());
            }
            (None, None) => {}
        }
    }
}

/// AWS-73.
fn open_paths(members: &[&IngressView<'_>], found: &mut Findings) {
    let redirected = members.iter().any(|one| {
        one.note("ssl-redirect").is_some()
            || one.params.is_some_and(|params| params.ssl_redirect_port.is_some())
    });
    for ingress in members {
        let Some(kind @ ("oidc" | "cognito")) = ingress.note("auth-type") else { continue };
        let ports = listen_ports(ingress);
        let clear = ports.iter().find(|(protocol, _)| protocol == "HTTP");
        let (Some((_, clear)), false) = (clear, redirected) else { continue };
        let finding = found.on(73, ingress.object, ingress_note("auth-type"), format!(
            "{kind} is for HTTPS listeners: on port {clear} requests pass without signing in, without a word"
        ));
        finding.fix("redirect HTTP to HTTPS (ssl-redirect)");
        if let Some((_, secured)) = ports.iter().find(|(protocol, _)| protocol == "HTTPS") {
            finding.add(ingress_note("ssl-redirect"), secured.to_string());
        }
    }
}

/// AWS-69.
fn strangers(name: &str, members: &[&IngressView<'_>], found: &mut Findings) {
    let namespaces: BTreeSet<&str> = members.iter().map(|one| &*one.object.id.namespace).collect();
    let guarded =
        |one: &IngressView<'_>| one.params.is_some_and(|params| params.namespace_selector.is_some());
    if namespaces.len() < 2 || members.iter().all(|one| guarded(one)) {
        return;
    }
    let Some(first) = members.iter().find(|one| !guarded(one)) else { return };
    let namespaces: Vec<&str> = namespaces.into_iter().collect();
    found
        .on(69, first.object, ingress_note("group.name"), format!(
            "Ingresses of {} share the group {name}, and any other namespace can join it by its name: its rules would go before \
             theirs",
            namespaces.join(", ")
        ))
        .fix("give the group to an IngressClassParams with a namespaceSelector");
}

/// AWS-68: the controller builds all of a group or nothing.
pub(super) fn blast_radius(scene: &Scene<'_>, found: &mut Findings) {
    for (name, members) in scene.groups().into_iter().filter(|(_, members)| members.len() > 1) {
        for ingress in members.iter().filter(|ingress| !ingress.object.meta.deleting) {
            let id = &ingress.object.id;
            let wrong = |one: &&super::Finding| one.object == *id && FATAL.contains(&one.rule.id);
            let because = found.so_far().iter().find(wrong).map(|one| one.rule.id);
            let built = scene.stacks.iter().find(|stack| {
                stack.members.iter().any(|member| members.iter().any(|one| one.object.id == *member))
            });
            let missing = built.is_some_and(|stack| !stack.members.contains(id));
            if because.is_none() && !missing {
                continue;
            }
            let others: Vec<String> = members
                .iter()
                .filter(|one| one.object.id != *id)
                .map(|one| one.object.id.to_string())
                .collect();
            found
                .on(68, ingress.object, ingress_note("group.name"), format!(
                    "while it is wrong{}, nothing of the group {name} changes at the load balancer: {} stand still, too",
                    because.map(|rule| format!(" ({rule})")).unwrap_or_default(),
                    others.join(", ")
                ))
                .fix("mend it, or take it out of the group until it is");
        }
    }
}
