//! Client certificates, with TLS that ends before the gateway: AWS-51 to -57.

use plenipo_model::{Chain, ChainTls, ClientAuth, ClientCertificateFields, ForwardedIdentity, VirtualHost};
use plenipo_resources::ambassador::{Authentication, TlsConfig};
use plenipo_resources::{Object, View};
use serde_json::{Map, Value, json};

use super::CLIENT_CERTIFICATE;
use super::finding::{Finding, Findings, Operation};
use super::scene::{Passage, Scene, annotation, ingress_note, service_note};
use crate::stack::{Kind, MutualMode};

/// By which a Listener says that a load balancer tells of client certificates, and which are its networks.
const CERTIFICATE_FROM: &str = "plenipo.io/client-certificate-from";
const TRUSTED_PEERS: &str = "plenipo.io/trusted-peers";
const RENAMED: &str = "routing.http.request.x_amzn_mtls_clientcert";

pub(super) fn find(scene: &Scene<'_>, found: &mut Findings) {
    for passage in &scene.passages {
        unreachable(scene, passage, found);
        forged(scene, passage, found);
    }
    for ingress in &scene.ingresses {
        unused(ingress, found);
        renamed(scene, ingress, found);
    }
    for object in scene.set.objects() {
        written(object, found);
        expected(scene, object, found);
    }
}

fn mutual(passage: &Passage<'_>) -> MutualMode {
    passage.listener.mutual_authentication.as_ref().map_or(MutualMode::Off, |mutual| mutual.mode)
}

/// What a chain demands of its clients: none = no certificate, else whether one is required.
fn demanded(scene: &Scene<'_>, passage: &Passage<'_>, chain: &Chain) -> Option<bool> {
    match &chain.tls {
        ChainTls::Terminate(server) => match &server.client_auth {
            ClientAuth::Required(_) => Some(true),
            ClientAuth::Optional(_) => Some(false),
            ClientAuth::None | ClientAuth::Unverified => None,
        },
        // Its Secrets are not here, as is usual in a directory: what it is meant to demand is written all the same.
        ChainTls::Broken(_) => {
            let listener = scene.object_of(&passage.gateway.source)?;
            let told = listener.meta.annotations.contains_key(CERTIFICATE_FROM);
            written_demand(scene, scene.object_of(&chain.source)?).filter(|_| !told)
        }
        ChainTls::Untouched => None,
    }
}

fn written_demand(scene: &Scene<'_>, object: &Object) -> Option<bool> {
    let View::Host(host) = &object.view else { return None };
    let of = |tls: &TlsConfig| tls.ca_secret.as_ref().map(|_| tls.cert_required == Some(true));
    let own = host.tls.as_ref().and_then(of);
    let edge_stack = host.authentication.as_ref().and_then(|one| one.mtls.as_ref());
    let named = host.tls_context.as_ref().and_then(|context| context.name.as_deref());
    let mut contexts = scene.set.of_kind("TLSContext").iter().filter_map(|one| match &one.view {
        View::TlsContext(context) => Some((one, context)),
        _ => None,
    });
    let mine = |hosts: &[String]| host.hostname.as_ref().is_some_and(|name| hosts.contains(name));
    own.or_else(|| edge_stack.map(|mtls| mtls.cert_required == Some(true))).or_else(|| {
        contexts
            .find(|(one, context)| named == Some(&*one.id.name) || mine(&context.hosts))
            .and_then(|(_, context)| of(&context.tls))
    })
}

/// AWS-51 and -52: the handshake is between the load balancer and the gateway.
fn unreachable(scene: &Scene<'_>, passage: &Passage<'_>, found: &mut Findings) {
    if !passage.listener.protocol.ends_tls() {
        return;
    }
    for chain in &passage.gateway.chains {
        let Some(required) = demanded(scene, passage, chain) else { continue };
        let (rule, asked) = if required {
            (51, "demands client certificates: every handshake fails")
        } else {
            (52, "asks for client certificates, and nobody ever shows one")
        };
        let finding = found.on(
            rule,
            scene.object_or(&chain.source, passage),
            "",
            format!(
                "{} ends the clients' TLS and shows the gateway no certificate; port {} {asked}",
                passage.name(),
                passage.gateway.declared_port
            ),
        );
        if passage.stack.load_balancer.kind == Kind::Application {
            tell(scene, passage, finding);
        } else {
            finding.fix(
                "take the certificate off the load balancer: it passes TLS on, and it ends at the gateway",
            );
            let off = ["ssl-cert", "ssl-ports", "ssl-negotiation-policy", "backend-protocol", "alpn-policy"];
            for suffix in off {
                let path = service_note(&format!("aws-load-balancer-{suffix}"));
                finding.edit(passage.service.id.clone(), Operation::Remove { path });
            }
        }
    }
}

/// An application load balancer asks for certificates, and tells the gateway.
fn tell(scene: &Scene<'_>, passage: &Passage<'_>, finding: &mut Finding) {
    finding.fix(
        "let the load balancer ask for them (mutual-authentication) and the gateway take them from its headers \
         (plenipo.io/client-certificate-from); or pass TLS on through a network load balancer",
    );
    let way = if mutual(passage) == MutualMode::Verify { "alb-verify" } else { "alb-passthrough" };
    if let (MutualMode::Off, Some(member)) = (mutual(passage), passage.stack.members.first()) {
        let mode = json!([{ "port": passage.listener.port, "mode": "passthrough" }]).to_string();
        let path = ingress_note("mutual-authentication");
        finding.edit(member.clone(), Operation::Add { path, value: mode.into() });
    }
    let listener = scene.object_of(&passage.gateway.source).filter(|one| &*one.id.kind == "Listener");
    if let Some(listener) = listener {
        let peers = scene.networks().join(", ");
        for (key, value) in [(CERTIFICATE_FROM, way), (TRUSTED_PEERS, &peers)] {
            finding.edit(listener.id.clone(), Operation::Add { path: annotation(key), value: value.into() });
        }
    }
}

/// Who tells a host which certificate a client showed, where it asks.
fn told(host: &VirtualHost) -> Option<&ForwardedIdentity> {
    host.client_identity.as_deref().filter(|identity| identity.fields != ClientCertificateFields::None)
}

/// AWS-55: another way to the same listener, where the fields are the client's own.
fn forged(scene: &Scene<'_>, passage: &Passage<'_>, found: &mut Findings) {
    let reads = |name: &http::HeaderName| name.as_str().starts_with("x-amzn-mtls-");
    let trusted = passage.hosts().find_map(|(_, host)| {
        let identity = told(host).map(|_| &host.source);
        let matched =
            host.routes.iter().find(|route| route.matches.headers.iter().any(|header| reads(&header.name)));
        matched.map(|route| &route.source).or(identity)
    });
    let Some(source) = trusted else { return };
    if passage.stack.load_balancer.kind == Kind::Application && mutual(passage) != MutualMode::Off {
        return;
    }
    let object = scene.object_or(source, passage);
    found
        .on(55, object, "", format!(
            "X-Amzn-Mtls-* is believed, and {} leads to the same port of the gateway without writing it: any client can",
            passage.name()
        ))
        .fix("give the load balancer that checks client certificates a gateway port of its own, and lead nothing else there");
}

/// AWS-55 again: fields under another name.
fn renamed(scene: &Scene<'_>, ingress: &super::scene::IngressView<'_>, found: &mut Findings) {
    let fields = scene.passages.iter().flat_map(Passage::hosts).find_map(|(_, host)| told(host));
    for (key, raw) in &ingress.object.meta.annotations {
        if !key.starts_with("alb.ingress.kubernetes.io/listener-attributes.") {
            continue;
        }
        for entry in raw.split(',').map(str::trim).filter(|entry| entry.starts_with(RENAMED)) {
            let Some((attribute, name)) = entry.split_once('=') else { continue };
            let read = fields.is_some_and(|identity| match &identity.fields {
                ClientCertificateFields::Passthrough { name: known } => {
                    known.as_str().eq_ignore_ascii_case(name)
                }
                other => format!("{other:?}").to_ascii_lowercase().contains(&name.to_ascii_lowercase()),
            });
            if !read {
                let rest = super::scene::with_entry(Some(raw), attribute, None);
                let finding = found.on(55, ingress.object, annotation(key), format!(
                    "the load balancer writes the client's certificate into {name}, which nobody behind it reads or takes from \
                     clients"
                ));
                finding.fix("leave the field its name");
                if rest.is_empty() {
                    finding.unset()
                } else {
                    finding.set(rest)
                };
            }
        }
    }
}

/// AWS-56: settings for a port that is none.
fn unused(ingress: &super::scene::IngressView<'_>, found: &mut Findings) {
    let Some(raw) = ingress.note("mutual-authentication") else { return };
    let Ok(Value::Array(entries)) = serde_json::from_str::<Value>(raw) else { return };
    let secured: Vec<u16> = super::groups::listen_ports(ingress)
        .into_iter()
        .filter(|(protocol, _)| protocol == "HTTPS")
        .map(|(_, port)| port)
        .collect();
    for (place, entry) in entries.iter().enumerate() {
        let Some(port) = entry.get("port").and_then(Value::as_u64) else { continue };
        if secured.iter().any(|known| u64::from(*known) == port) {
            continue;
        }
        let finding = found.on(56, ingress.object, ingress_note("mutual-authentication"), format!(
            "the Ingress has no HTTPS listener on port {port}: the setting is left aside without a word, and no certificate is asked for"
        ));
        finding.fix("name the port of an HTTPS listener");
        if let [only] = secured[..] {
            let mut mended = entries.clone();
            mended[place]["port"] = json!(only);
            finding.set(Value::Array(mended).to_string());
        }
    }
}

/// AWS-53 and -57: how it is written.
fn written(object: &Object, found: &mut Findings) {
    match &object.view {
        View::Host(host) => {
            if let Some(Authentication { mtls: Some(mtls), .. }) = &host.authentication {
                let name = mtls.ca_secret.as_ref().map(|secret| match secret {
                    Value::Object(map) => map.get("name").cloned().unwrap_or_default(),
                    other => other.clone(),
                });
                let mut tls = Map::new();
                tls.extend(name.map(|name| ("ca_secret".to_owned(), name)));
                tls.extend(
                    mtls.cert_required
                        .filter(|required| *required)
                        .map(|_| ("cert_required".to_owned(), json!(true))),
                );
                found
                    .on(
                        57,
                        object,
                        "/spec/authentication/mTLS",
                        "a Host of v3alpha1 has no such field: elsewhere it is left \
                        aside, and no certificate is asked for",
                    )
                    .fix("write tls: {ca_secret: …, cert_required: …}")
                    .remove("/spec/authentication")
                    .add("/spec/tls", Value::Object(tls));
                absent_only(object, "/spec/authentication/mTLS/certRequired", mtls.cert_required, found);
            }
            if let Some(tls) = &host.tls {
                optional(object, "/spec/tls/cert_required", tls, found);
            }
        }
        View::TlsContext(context) => optional(object, "/spec/cert_required", &context.tls, found),
        View::Module(module) => {
            let tls = module.config.get("tls");
            let [server, client] = ["server", "client"].map(|key| tls.and_then(|tls| tls.get(key)));
            if &*object.id.name == "ambassador" && (server.is_some() || client.is_some()) {
                in_module(object, server, client, found);
            }
        }
        _ => {}
    }
}

fn optional(object: &Object, field: &str, tls: &TlsConfig, found: &mut Findings) {
    if tls.ca_secret.is_some() || tls.cacert_chain_file.is_some() {
        absent_only(object, field, tls.cert_required, found);
    }
}

fn absent_only(object: &Object, field: &str, required: Option<bool>, found: &mut Findings) {
    if required == Some(false) {
        found
            .on(
                53,
                object,
                field,
                "this is no fall-back to TLS for certificates that fail: only a client that shows none \
                gets in without, one that shows a bad one is refused",
            )
            .fix("call it what it is: leave cert_required out, and certificates are optional")
            .unset();
    }
}

fn in_module(object: &Object, server: Option<&Value>, client: Option<&Value>, found: &mut Findings) {
    let text = |value: Option<&Value>, key: &str| value.and_then(|value| value.get(key)).cloned();
    let required = ["cert_required", "certificate_required"].iter().find_map(|key| text(client, key));
    let finding = found.on(
        57,
        object,
        "/spec/config/tls",
        "TLS in the Module is no field of v3alpha1: elsewhere it is left aside, \
        and no certificate is shown or asked for",
    );
    finding.fix("write a TLSContext with secret, ca_secret and cert_required");
    let mut spec = json!({ "hosts": ["*"] });
    if let Some(secret) = text(server, "secret") {
        spec["secret"] = secret;
    }
    if let Some(secret) = text(client, "secret") {
        spec["ca_secret"] = secret;
    }
    if required == Some(json!(true)) {
        spec["cert_required"] = json!(true);
    }
    finding.unset().create(json!({
        "apiVersion": "getambassador.io/v3alpha1",
        "kind": "TLSContext",
        "metadata": { "name": "ambassador", "namespace": &*object.id.namespace },
        "spec": spec,
    }));
}

/// AWS-54: what a Host shall demand, against what it does.
fn expected(scene: &Scene<'_>, object: &Object, found: &mut Findings) {
    let Some(wanted) = object.meta.annotations.get(CLIENT_CERTIFICATE) else { return };
    let View::Host(host) = &object.view else { return };
    let source = object.id.to_string();
    let mut servers = scene.edge.listeners.iter().flat_map(|listener| &listener.chains).filter_map(|chain| {
        match &chain.tls {
            ChainTls::Terminate(server) if chain.source.as_str() == source => Some(server),
            _ => None,
        }
    });
    let Some(server) = servers.next() else { return };
    let found_there = match &server.client_auth {
        ClientAuth::None => "none",
        ClientAuth::Optional(_) | ClientAuth::Unverified => "optional",
        ClientAuth::Required(_) => "required",
    };
    if wanted == found_there {
        return;
    }
    let finding = found.on(54, object, annotation(CLIENT_CERTIFICATE), format!(
        "a client certificate is said to be {wanted}, and is {found_there}: a test that counts on the former fails"
    ));
    finding.fix("change the policy (cert_required), or what is expected of it");
    let own = host.tls.as_ref().is_some_and(|tls| tls.ca_secret.is_some());
    match (wanted.as_str(), own) {
        ("required", true) => finding.add("/spec/tls/cert_required", true),
        ("optional", true) => finding.add("/spec/tls/cert_required", false).remove("/spec/tls/cert_required"),
        _ => finding.set(found_there),
    };
}
