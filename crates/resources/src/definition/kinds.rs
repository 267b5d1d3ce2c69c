//! The kinds of `getambassador.io`.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

use crate::ambassador::{
    AuthService, Host, Listener, Mapping, Module, OnlyId, TcpMapping, TlsConfig, TlsContext,
};

/// A kind, and of which type its schema is made.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Those that Emissary serves, oldest first.
    pub(super) versions: &'static [&'static str],
    spec: fn(&mut SchemaGenerator) -> Value,
    /// Where the type's own comment does not say what the kind is.
    description: Option<&'static str>,
}

const ALL: &[&str] = &["v1", "v2", "v3alpha1"];

/// In the order of their names.
pub(super) const KINDS: [Kind; 14] = [
    read("AuthService", ALL, of::<AuthService>),
    kept(
        "ConsulResolver",
        ALL,
        "Finds services in Consul. Not read yet: a Mapping that names one is refused.",
    ),
    kept("DevPortal", ALL, "Has no effect: there is no developer portal."),
    // Hosts came with v2, and Listeners with v3alpha1.
    read("Host", &["v2", "v3alpha1"], of::<Host>),
    kept("KubernetesEndpointResolver", ALL, "Finds services by their endpoints."),
    kept("KubernetesServiceResolver", ALL, "Finds services by their names."),
    read("Listener", &["v3alpha1"], of::<Listener>),
    kept("LogService", ALL, "A service that is told of every request. Not read yet, and reported."),
    read("Mapping", ALL, of::<Mapping>),
    read("Module", ALL, of::<Module>),
    kept(
        "RateLimitService",
        ALL,
        "A service that says whether a client asks too often. Not read yet, and reported.",
    ),
    read("TCPMapping", ALL, of::<TcpMapping>),
    read("TLSContext", ALL, tls_context),
    kept("TracingService", ALL, "A service that gets traces of requests. Not read yet, and reported."),
];

const fn read(
    name: &'static str,
    versions: &'static [&'static str],
    spec: fn(&mut SchemaGenerator) -> Value,
) -> Kind {
    Kind { name, versions, spec, description: None }
}

/// A kind of which only the gateways it is for are read.
const fn kept(name: &'static str, versions: &'static [&'static str], description: &'static str) -> Kind {
    Kind { name, versions, spec: of::<OnlyId>, description: Some(description) }
}

impl Kind {
    pub(super) fn singular(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    pub(super) fn plural(&self) -> String {
        format!("{}s", self.singular())
    }

    /// What `spec` may be, as JSON Schema.
    pub(super) fn spec(&self) -> Value {
        let settings = SchemaSettings::draft07().with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        });
        (self.spec)(&mut settings.into_generator())
    }

    pub(super) fn description(&self) -> String {
        let of_type =
            || self.spec().get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.description.map_or_else(of_type, str::to_owned)
    }
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    T::json_schema(generator).to_value()
}

/// A TLSContext has the fields of TLS settings beside its own.
fn tls_context(generator: &mut SchemaGenerator) -> Value {
    let mut context = of::<TlsContext>(generator);
    let settings = of::<TlsConfig>(generator);
    let fields = settings.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    if let Some(own) = context.get_mut("properties").and_then(Value::as_object_mut) {
        own.extend(fields);
    }
    context
}
