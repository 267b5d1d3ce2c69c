//! Whose word about the client's address counts: AWS-04 to -09.
//!
//! A load balancer of layer 7 appends the address it sees to `X-Forwarded-For`. Behind `n` proxies that do, the client is
//! the `n`-th address from the right end. The gateway's model, as Envoy, finds it with `use_remote_address: true` by `n`
//! trusted hops (the peer counts as the first), with `false` by `n - 1` (the list's last address needs none). People write
//! the number of proxies, whichever it is. (Istio's gateways have `use_remote_address: true` and no field for it.)

use std::collections::BTreeSet;

use plenipo_model::HttpServer;
use plenipo_resources::View;
use serde_json::{Value, json};

use super::finding::{Finding, Findings, Operation};
use super::scene::{Passage, Scene, entry, ingress_note, with_entry};
use crate::proxies;

const MODE: &str = "routing.http.xff_header_processing.mode";
const CLIENT_PORT: &str = "routing.http.xff_client_port.enabled";
const OUR_INGRESSES: &str = "plenipo.io/ingress-controller";
const FIELDS: [&str; 2] = ["xff_num_trusted_hops", "use_remote_address"];

pub(super) fn find(scene: &Scene<'_>, found: &mut Findings) {
    for passage in &scene.passages {
        for server in passage.servers() {
            if proxies(scene, passage) > 0 {
                counted(scene, passage, server, found);
            } else {
                believed(scene, passage, server, found);
            }
        }
    }
    attributes(scene, found);
    misplaced(scene, found);
}

/// Proxies on the way that append to `X-Forwarded-For`.
fn proxies(scene: &Scene<'_>, passage: &Passage<'_>) -> u32 {
    proxies::before(scene.set, passage.stack, passage.listener)
}

fn counted(scene: &Scene<'_>, passage: &Passage<'_>, server: &HttpServer, found: &mut Findings) {
    let (proxies, believed) = (proxies(scene, passage), server.forwarding.place_of_client());
    let (object, field) = place(scene, passage);
    if believed != proxies {
        let finding = found.on(
            4,
            object,
            field,
            format!(
                "{proxies} {} before port {} of the gateway ({}), which counts on {believed}: the client's address is taken \
                 from the wrong place of X-Forwarded-For",
                if proxies == 1 { "proxy stands" } else { "proxies stand" },
                passage.gateway.declared_port,
                passage.name(),
            ),
        );
        finding.fix(match writer(scene, passage) {
            Writer::Istio => {
                format!("write gatewayTopology.numTrustedProxies: {proxies} into meshConfig.defaultConfig")
            }
            Writer::Ingress => {
                format!("annotate the IngressClass with plenipo.io/trusted-proxies: \"{proxies}\"")
            }
            Writer::Emissary => {
                format!("write xff_num_trusted_hops: {proxies} and use_remote_address: false")
            }
        });
        mend(scene, passage, finding);
    } else if server.forwarding.use_remote_address && writer(scene, passage) == Writer::Emissary {
        let finding = found.on(
            6,
            object,
            field,
            format!(
                "behind {} the gateway counts as the edge: it appends the load balancer's address to X-Forwarded-For, \
                 where the services behind look for the client's",
                passage.name()
            ),
        );
        finding.fix("write use_remote_address: false");
        mend(scene, passage, finding);
    }
}

/// Nobody on layer 4 writes the header: who sends it is the client.
fn believed(scene: &Scene<'_>, passage: &Passage<'_>, server: &HttpServer, found: &mut Findings) {
    if !server.forwarding.believes() {
        return;
    }
    let (object, field) = place(scene, passage);
    let also = scene
        .passages
        .iter()
        .any(|other| other.gateway.name == passage.gateway.name && other.listener.protocol.is_http());
    let message = format!(
        "X-Forwarded-For is believed on port {} of the gateway, {}",
        passage.gateway.declared_port,
        if also {
            format!(
                "which {} leads to as well, past the one that writes the header: clients can forge their address",
                passage.name()
            )
        } else {
            format!("but {} writes no headers: clients can forge their address", passage.name())
        }
    );
    let finding = found.on(5, object, field, message);
    finding.fix(match writer(scene, passage) {
        Writer::Istio => {
            "trust nobody (gatewayTopology.numTrustedProxies: 0) and use the PROXY protocol; or close this way"
        }
        Writer::Ingress => {
            "trust nobody (no plenipo.io/trusted-proxies, no use-forwarded-headers) and use the PROXY protocol; or close this way"
        }
        Writer::Emissary => {
            "trust nobody (xff_num_trusted_hops: 0, use_remote_address: true) and use the PROXY protocol; or close this way"
        }
    });
    if !also {
        set(scene, passage, finding, true, 0);
    }
}

/// Where the number of hops is written.
fn place<'a>(
    scene: &Scene<'a>,
    passage: &Passage<'a>,
) -> (&'a std::sync::Arc<plenipo_resources::Object>, &'static str) {
    let listener = scene.object_of(&passage.gateway.source);
    match writer(scene, passage) {
        Writer::Istio => return mesh_settings(scene).unwrap_or((listener.unwrap_or(passage.service), "")),
        Writer::Ingress => {
            let class = scene.set.of_kind("IngressClass").iter().find(|object| {
                matches!(&object.view, View::IngressClass(class) if class.controller == OUR_INGRESSES)
            });
            return class.map_or((passage.service, ""), |class| (class, "/metadata/annotations"));
        }
        Writer::Emissary => {}
    }
    if let Some(object) = listener
        && matches!(&object.view, View::Listener(spec) if spec.l7_depth.is_some_and(|depth| depth > 0))
    {
        return (object, "/spec/l7Depth");
    }
    match scene.module() {
        Some((object, _)) => (object, "/spec/config/xff_num_trusted_hops"),
        None => (listener.unwrap_or(passage.service), ""),
    }
}

/// Whose objects say who is believed on an address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writer {
    Emissary,
    /// Its gateways always append the peer's address, and have one number: that of the proxies in front.
    Istio,
    /// The same, by the class.
    Ingress,
}

fn writer(scene: &Scene<'_>, passage: &Passage<'_>) -> Writer {
    match scene.object_of(&passage.gateway.source) {
        Some(object) if matches!(object.view, View::Gateway(_)) => Writer::Istio,
        None if passage.gateway.source.as_str() == "Ingress" => Writer::Ingress,
        _ => Writer::Emissary,
    }
}

/// Where the settings of the whole mesh are written.
fn mesh_settings<'a>(
    scene: &Scene<'a>,
) -> Option<(&'a std::sync::Arc<plenipo_resources::Object>, &'static str)> {
    let is_mesh = |object: &&std::sync::Arc<plenipo_resources::Object>| {
        &*object.id.name == "istio"
            && matches!(&object.view, View::ConfigMap(map) if map.data.contains_key("mesh"))
    };
    let map = scene.set.of_kind("ConfigMap").iter().find(is_mesh).map(|object| (object, "/data/mesh"));
    let operator = || scene.set.of_kind("IstioOperator").first().map(|object| (object, "/spec/meshConfig"));
    map.or_else(operator)
}

/// The patch that makes the gateway believe exactly the load balancers in front.
pub(super) fn mend(scene: &Scene<'_>, passage: &Passage<'_>, finding: &mut Finding) {
    set(scene, passage, finding, false, proxies(scene, passage));
}

fn set(scene: &Scene<'_>, passage: &Passage<'_>, finding: &mut Finding, remote: bool, proxies: u32) {
    let Some(listener) = scene.object_of(&passage.gateway.source) else { return };
    let View::Listener(spec) = &listener.view else { return };
    if spec.l7_depth.is_some() {
        finding.edit(listener.id.clone(), Operation::Remove { path: "/spec/l7Depth".to_owned() });
    }
    let config =
        [("xff_num_trusted_hops", Value::from(proxies)), ("use_remote_address", Value::from(remote))];
    match scene.module() {
        Some((module, _)) => {
            for (key, value) in config {
                finding
                    .edit(module.id.clone(), Operation::Add { path: format!("/spec/config/{key}"), value });
            }
        }
        None => {
            finding.create(json!({
                "apiVersion": "getambassador.io/v3alpha1",
                "kind": "Module",
                "metadata": { "name": "ambassador", "namespace": &*listener.id.namespace },
                "spec": { "config": Value::Object(config.map(|(key, value)| (key.to_owned(), value)).into_iter().collect()) },
            }));
        }
    }
}

/// AWS-07 and -08: attributes that change what the load balancer writes.
fn attributes(scene: &Scene<'_>, found: &mut Findings) {
    let fronts: BTreeSet<_> = scene
        .passages
        .iter()
        .filter(|one| one.listener.protocol.is_http())
        .map(|one| &one.stack.id)
        .collect();
    for ingress in &scene.ingresses {
        let Some(stack) = scene.stack(&ingress.object.id).filter(|stack| fronts.contains(&stack.id)) else {
            continue;
        };
        let raw = ingress.note("load-balancer-attributes");
        let field = ingress_note("load-balancer-attributes");
        if let Some(mode @ ("preserve" | "remove")) = entry(raw, MODE)
            && scene.passages.iter().any(|one| {
                one.stack.id == stack.id && one.servers().any(|server| server.forwarding.believes())
            })
        {
            let what =
                if mode == "remove" { "takes the header away" } else { "leaves what the client wrote" };
            found
                .on(
                    7,
                    ingress.object,
                    field.clone(),
                    format!("the load balancer {what}, and the gateway takes the client's address from it"),
                )
                .fix("leave the mode at append")
                .set(with_entry(raw, MODE, Some("append")));
        }
        if entry(raw, CLIENT_PORT) == Some("true") {
            found
                .on(
                    8,
                    ingress.object,
                    field,
                    "X-Forwarded-For has addresses with ports, which the gateway and most \
                    applications do not take for addresses: they see the load balancer's own",
                )
                .fix("turn it off")
                .set(with_entry(raw, CLIENT_PORT, Some("false")));
        }
    }
}

/// AWS-09: where nobody reads them.
fn misplaced(scene: &Scene<'_>, found: &mut Findings) {
    let named = scene.module().is_some();
    for object in scene.set.of_kind("Module") {
        let View::Module(module) = &object.view else { continue };
        for key in FIELDS {
            if let Some(value) = module.rest.get(key) {
                found
                    .on(9, object, format!("/spec/{key}"), format!("{key} is read in spec.config only"))
                    .fix("move it into spec.config")
                    .unset()
                    .add(format!("/spec/config/{key}"), value.clone());
            }
        }
        let inside = FIELDS.iter().any(|key| module.config.get(key).is_some());
        if inside && !matches!(&*object.id.name, "ambassador") {
            let finding = found.on(
                9,
                object,
                "/metadata/name",
                format!("only the Module named ambassador is read, not {}", object.id.name),
            );
            finding.fix("name it ambassador");
            if !named {
                finding.set("ambassador");
            }
        }
    }
}
