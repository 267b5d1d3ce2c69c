//! Objects of other gateways behind the same load balancers: AWS-47, -97.

use plenipo_resources::View;

use super::finding::{Findings, Operation};
use super::scene::Scene;

pub(super) fn find(scene: &Scene<'_>, found: &mut Findings) {
    for object in scene.set.of_kind("VirtualService") {
        let View::VirtualService(service) = &object.view else { continue };
        for (place, name) in service.gateways.iter().enumerate() {
            let Some((gateway, rest)) = name.split_once('.').filter(|_| !name.contains('/')) else {
                continue;
            };
            let namespace = rest.split('.').next().unwrap_or_default();
            let pointer = format!("/spec/gateways/{place}");
            found
                .on(
                    47,
                    object,
                    pointer.clone(),
                    format!("{name} is the form of a DNS name, and a Gateway has none"),
                )
                .fix(format!("write {namespace}/{gateway}"))
                .replace(pointer, format!("{namespace}/{gateway}"));
        }
    }
    for object in scene.set.of_kind("IstioOperator") {
        let View::Written(written) = &object.view else { continue };
        if written.pointer("/spec/meshConfig/gateways").is_none() {
            continue;
        }
        let (from, path) = ("/spec/meshConfig/gateways".to_owned(), "/spec/values/gateways".to_owned());
        found
            .on(
                97,
                object,
                from.clone(),
                "meshConfig has no gateways: the ingress gateway keeps its defaults, a Service of type \
                LoadBalancer among them",
            )
            .fix("move it to values.gateways, or write components.ingressGateways")
            .edit(object.id.clone(), Operation::Move { from, path });
    }
}
