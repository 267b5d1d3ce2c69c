//! TLS of load balancers: AWS-50, -82, -86, -87.

use plenipo_model::{Accepts, Action, ChainTls, HostPattern, UpstreamProtocol};
use plenipo_resources::View;
use serde_json::json;

use super::finding::Findings;
use super::scene::{Passage, Scene, ingress_note, service_note};
use super::unknown::nearest;
use crate::stack::{AlpnPolicy, Kind, ListenerProtocol};

/// Security policies of network and application load balancers, without their prefix.
const POLICIES: [&str; 31] = [
    "TLS13-1-3-2021-06",
    "TLS13-1-2-2021-06",
    "TLS13-1-2-Res-2021-06",
    "TLS13-1-2-Ext1-2021-06",
    "TLS13-1-2-Ext2-2021-06",
    "TLS13-1-1-2021-06",
    "TLS13-1-0-2021-06",
    "TLS13-1-3-FIPS-2023-04",
    "TLS13-1-2-FIPS-2023-04",
    "TLS13-1-2-Res-FIPS-2023-04",
    "TLS13-1-2-Ext0-FIPS-2023-04",
    "TLS13-1-2-Ext1-FIPS-2023-04",
    "TLS13-1-2-Ext2-FIPS-2023-04",
    "TLS13-1-1-FIPS-2023-04",
    "TLS13-1-0-FIPS-2023-04",
    "TLS13-1-3-PQ-2025-09",
    "TLS13-1-2-PQ-2025-09",
    "TLS13-1-2-Res-PQ-2025-09",
    "TLS13-1-2-Ext1-PQ-2025-09",
    "TLS13-1-2-Ext2-PQ-2025-09",
    "TLS13-1-0-PQ-2025-09",
    "2016-08",
    "2015-05",
    "TLS-1-0-2015-04",
    "TLS-1-1-2017-01",
    "TLS-1-2-2017-01",
    "TLS-1-2-Ext-2018-06",
    "FS-1-2-Res-2020-10",
    "FS-1-2-Res-2019-08",
    "FS-1-2-2019-08",
    "FS-1-1-2019-08",
];
/// Further ones, and those that classic load balancers have.
const OLD_POLICY: &str = "FS-2018-06";
const CLASSIC_POLICIES: [&str; 6] =
    ["2016-08", "2015-05", "2015-03", "2015-02", "TLS-1-1-2017-01", "TLS-1-2-2017-01"];
const PREFIX: &str = "ELBSecurityPolicy-";
const USUAL: &str = "ELBSecurityPolicy-TLS13-1-2-2021-06";
const USUAL_CLASSIC: &str = "ELBSecurityPolicy-TLS-1-2-2017-01";

pub(super) fn find(scene: &Scene<'_>, found: &mut Findings) {
    policies(scene, found);
    for passage in &scene.passages {
        nameless(scene, passage, found);
        application_protocols(scene, passage, found);
    }
}

/// AWS-86 and -87.
fn policies(scene: &Scene<'_>, found: &mut Findings) {
    for service in &scene.services {
        let Some(kind) = service
            .kind()
            .filter(|_| service.note("aws-load-balancer-ssl-cert").is_some_and(|arn| !arn.is_empty()))
        else {
            continue;
        };
        let suffix = "aws-load-balancer-ssl-negotiation-policy";
        policy(service.object, service_note(suffix), service.note(suffix), kind, found);
    }
    for members in scene.groups().values() {
        let of_class = members.iter().find_map(|one| one.params?.ssl_policy.as_deref());
        let said = members.iter().find(|one| one.note("ssl-policy").is_some());
        let secured = members.iter().find(|one| {
            one.note("certificate-arn").is_some()
                || super::groups::listen_ports(one).iter().any(|(protocol, _)| protocol == "HTTPS")
        });
        let Some(ingress) = said.or(secured) else { continue };
        let value = of_class.or_else(|| ingress.note("ssl-policy"));
        if secured.is_some() || value.is_some() {
            policy(ingress.object, ingress_note("ssl-policy"), value, Kind::Application, found);
        }
    }
}

fn policy(
    object: &plenipo_resources::Object,
    field: String,
    value: Option<&str>,
    kind: Kind,
    found: &mut Findings,
) {
    let usual = if kind == Kind::Classic { USUAL_CLASSIC } else { USUAL };
    let name = value.map(|value| value.strip_prefix(PREFIX).unwrap_or(value));
    match name {
        None | Some("2016-08" | "2015-05") => {
            let what = value.unwrap_or("ELBSecurityPolicy-2016-08, the default,");
            found
                .on(86, object, field, format!("{what} still takes TLS 1.0 and 1.1"))
                .fix(format!("write {usual}"))
                .set(usual);
        }
        Some(name) => {
            let has = match kind {
                Kind::Classic => CLASSIC_POLICIES.contains(&name),
                _ => POLICIES.contains(&name) || name == OLD_POLICY,
            };
            let prefixed = value.is_some_and(|value| value.starts_with(PREFIX));
            if has && prefixed {
                return;
            }
            let why = if kind == Kind::Classic && POLICIES.contains(&name) && prefixed {
                "classic load balancers do not have it"
            } else {
                "there is no such policy"
            };
            let near = nearest(name, &POLICIES).filter(|_| kind != Kind::Classic);
            let best = near.map_or_else(|| usual.to_owned(), |near| format!("{PREFIX}{near}"));
            found
                .on(87, object, field, format!("{}: {why}", value.unwrap_or_default()))
                .fix(format!("write {best}"))
                .set(best);
        }
    }
}

/// AWS-50: load balancers send no server name.
fn nameless(scene: &Scene<'_>, passage: &Passage<'_>, found: &mut Findings) {
    if !passage.group.protocol.is_tls() || !passage.gateway_ends_tls() {
        return;
    }
    let chains = || passage.gateway.chains.iter().filter(|chain| !matches!(chain.tls, ChainTls::Untouched));
    let names = || {
        chains().flat_map(|chain| match &chain.accepts {
            Accepts::Tls(names) => &names[..],
            Accepts::ClearText | Accepts::Anything => &[],
        })
    };
    if names().any(|name| *name == HostPattern::Any) {
        return;
    }
    let object = scene.object_or(&passage.gateway.source, passage);
    let listed: Vec<String> = names().map(ToString::to_string).collect();
    let finding = found.on(50, object, "", format!(
        "{} begins TLS to port {} without a server name, and the gateway has certificates for {} only: every handshake fails",
        passage.name(), passage.gateway.declared_port, listed.join(", ")
    ));
    finding.fix("write a Host for \"*\" with a certificate: nobody checks the names in it");
    let secret = chains().find_map(|chain| {
        let object = scene.object_of(&chain.source)?;
        match &object.view {
            View::Host(host) => Some((object, host.tls_secret.as_ref()?.name.clone()?)),
            _ => None,
        }
    });
    if let Some((host, secret)) = secret {
        finding.create(json!({
            "apiVersion": "getambassador.io/v3alpha1",
            "kind": "Host",
            "metadata": { "name": format!("{}-any", host.id.name), "namespace": &*host.id.namespace },
            "spec": { "hostname": "*", "tlsSecret": { "name": secret } },
        }));
    }
}

/// AWS-82: without ALPN there is no HTTP/2.
fn application_protocols(scene: &Scene<'_>, passage: &Passage<'_>, found: &mut Findings) {
    let offered = !matches!(passage.listener.alpn, None | Some(AlpnPolicy::None | AlpnPolicy::Http1Only));
    if passage.listener.protocol != ListenerProtocol::Tls || offered || !speaks_http2(scene, passage) {
        return;
    }
    let suffix = "aws-load-balancer-alpn-policy";
    let finding = found.on(
        82,
        passage.service,
        service_note(suffix),
        format!(
            "port {} offers no HTTP/2 to clients, and gRPC services are behind it",
            passage.listener.port
        ),
    );
    finding.fix("write HTTP2Preferred; an alpn-policy is read by the AWS Load Balancer Controller only");
    if scene.service(&passage.service.id).is_some_and(super::scene::ServiceView::is_lbc) {
        finding.set("HTTP2Preferred");
    }
}

/// Do routes behind it lead to services that speak nothing but HTTP/2?
pub(super) fn speaks_http2(scene: &Scene<'_>, passage: &Passage<'_>) -> bool {
    passage.hosts().flat_map(|(_, host)| host.routes.iter()).any(|route| match &route.action {
        Action::Forward(forward) => forward.targets.iter().any(|target| {
            scene
                .edge
                .clusters
                .get(&target.cluster)
                .is_some_and(|cluster| cluster.protocol == UpstreamProtocol::Http2)
        }),
        Action::Redirect(_) | Action::Respond(_) => false,
    })
}
