//! Which objects are for this gateway, in the order in which they are loaded.

use std::sync::Arc;

use plenipo_resources::ambassador::{
    AmbassadorId, AuthService, Host, Listener, Module, Resolver, TcpMapping, TlsContext,
};
use plenipo_resources::{Object, ObjectId, View};

use super::elsewhere;
use crate::findings::Findings;
pub(crate) use crate::findings::source_of;
use crate::options::Options;

/// An object with its typed content.
#[derive(Debug)]
pub(crate) struct Of<'a, T> {
    pub(crate) object: &'a Object,
    pub(crate) spec: &'a T,
}

impl<T> Clone for Of<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Of<'_, T> {}

/// The place of an object in the order in which objects of its kind are loaded: by `name.namespace`, which is what "first
/// wins" means everywhere (Emissary sorts its resources by that key, not by age). Of two equal texts the one whose namespace
/// comes first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct LoadOrder(String, Arc<str>);

impl LoadOrder {
    pub(crate) fn of(id: &ObjectId) -> Self {
        Self([&*id.name, ".", &*id.namespace].concat(), Arc::clone(&id.namespace))
    }
}

/// Our objects by kind, but for Mappings, which are read one by one. Each list is in load order.
#[derive(Debug, Default)]
pub(crate) struct Ours<'a> {
    pub(crate) listeners: Vec<Of<'a, Listener>>,
    pub(crate) hosts: Vec<Of<'a, Host>>,
    pub(crate) tcp_mappings: Vec<Of<'a, TcpMapping>>,
    pub(crate) contexts: Vec<Of<'a, TlsContext>>,
    pub(crate) modules: Vec<Of<'a, Module>>,
    pub(crate) resolvers: Vec<Of<'a, Resolver>>,
    pub(crate) auth_services: Vec<Of<'a, AuthService>>,
}

impl<'a> Ours<'a> {
    /// Picks our objects and says of every other of a kind we read that it is left aside.
    pub(crate) fn select(frame: &'a [Arc<Object>], options: &Options, findings: &mut Findings) -> Self {
        let mut ours = Self::default();
        for object in frame {
            ours.take(object, options, findings);
        }
        by_load_order(&mut ours.listeners);
        by_load_order(&mut ours.hosts);
        by_load_order(&mut ours.tcp_mappings);
        by_load_order(&mut ours.contexts);
        by_load_order(&mut ours.modules);
        by_load_order(&mut ours.resolvers);
        by_load_order(&mut ours.auth_services);
        ours
    }

    fn take(&mut self, object: &'a Object, options: &Options, findings: &mut Findings) {
        let (ids, list): (&AmbassadorId, &mut dyn FnMut(&mut Self)) = match &object.view {
            View::Listener(spec) => {
                (&spec.ambassador_id, &mut |ours| ours.listeners.push(Of { object, spec }))
            }
            View::Host(spec) => (&spec.ambassador_id, &mut |ours| ours.hosts.push(Of { object, spec })),
            View::TcpMapping(spec) => {
                (&spec.ambassador_id, &mut |ours| ours.tcp_mappings.push(Of { object, spec }))
            }
            View::TlsContext(spec) => {
                (&spec.ambassador_id, &mut |ours| ours.contexts.push(Of { object, spec }))
            }
            View::Module(spec) => (&spec.ambassador_id, &mut |ours| ours.modules.push(Of { object, spec })),
            View::AuthService(spec) => {
                (&spec.ambassador_id, &mut |ours| ours.auth_services.push(Of { object, spec }))
            }
            View::Resolver(spec) => {
                let (Resolver::KubernetesService(ids) | Resolver::KubernetesEndpoint(ids)) = spec;
                (ids, &mut |ours| ours.resolvers.push(Of { object, spec }))
            }
            View::Inactive => return inactive(object, findings),
            View::Written(_)
            | View::Foreign
            | View::AuthorizationPolicy(_)
            | View::DestinationRule(_)
            | View::Gateway(_)
            | View::PeerAuthentication(_)
            | View::RequestAuthentication(_)
            | View::ServiceEntry(_)
            | View::Telemetry(_)
            | View::VirtualService(_)
            | View::WorkloadEntry(_) => return elsewhere::report(object, findings),
            View::Mapping(_)
            | View::Service(_)
            | View::EndpointSlice(_)
            | View::Endpoints(_)
            | View::Secret(_)
            | View::Namespace
            | View::ConfigMap(_)
            | View::Pod(_)
            | View::Ingress(_)
            | View::IngressClass(_)
            | View::IngressClassParams(_)
            | View::TargetGroupBinding(_) => return,
        };
        if is_taken(object, ids, options, findings) {
            list(self);
        }
    }
}

/// Is this object for us? What is not for us is left aside, and of what is ours the fields that nobody reads are named.
pub(crate) fn is_taken(
    object: &Object,
    ids: &AmbassadorId,
    options: &Options,
    findings: &mut Findings,
) -> bool {
    let elsewhere = options.single_namespace && *object.id.namespace != *options.namespace;
    if elsewhere || !is_ours(ids, &options.ambassador_id) {
        findings.ignore(object);
        return false;
    }
    findings.accept(object);
    for field in &object.unknown_fields {
        unknown_field(object, field, findings);
    }
    true
}

fn is_ours(ids: &AmbassadorId, ours: &str) -> bool {
    let matches = |id: &String| id == ours || id == "_automatic_";
    if ids.is_empty() { ours == "default" } else { ids.iter().any(matches) }
}

/// Fields that are metadata for other programs, or that never did anything: not worth a word.
const METADATA_FIELDS: [&str; 4] = ["spec.docs", "spec.modules", "spec.envoy_override", "spec.previewUrl"];

fn unknown_field(object: &Object, field: &str, findings: &mut Findings) {
    // Selectors have a word of their own on these.
    if field.ends_with(".matchExpressions") {
        return;
    }
    if METADATA_FIELDS.iter().any(|known| field == *known || field.starts_with(&format!("{known}."))) {
        return;
    }
    findings.warn(
        object,
        "unknown-field",
        field,
        format!("'{field}' is not a field of a {} that is understood, it has no effect", object.id.kind),
        "check the spelling, or remove it",
    );
}

fn inactive(object: &Object, findings: &mut Findings) {
    if !object.meta.api_version.starts_with("getambassador.io/") {
        return;
    }
    findings.ignore(object);
    findings.warn(
        object,
        "not-supported",
        "",
        format!("{} objects are not supported yet, this one has no effect", object.id.kind),
        "remove it, or keep what it does in front of the gateway",
    );
}

fn by_load_order<T>(list: &mut [Of<'_, T>]) {
    list.sort_by_cached_key(|one| LoadOrder::of(&one.object.id));
}
