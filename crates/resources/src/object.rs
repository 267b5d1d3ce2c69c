//! One thing a user wrote.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::problem::{Code, Problem, Severity};
use crate::{ambassador, core, elbv2, istio, networking};

/// Kind, namespace and name: what makes an object that object. Cluster-scoped kinds have an empty namespace.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize)]
#[serde(into = "String")]
pub struct ObjectId {
    /// `Mapping`, `Secret`, …
    pub kind: Arc<str>,
    /// Never empty for kinds that live in one (`default` when the file named none).
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl ObjectId {
    /// From its three parts.
    pub fn new(kind: &str, namespace: &str, name: &str) -> Self {
        Self { kind: kind.into(), namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.namespace {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.kind, self.name),
        }
    }
}

impl From<ObjectId> for String {
    fn from(id: ObjectId) -> Self {
        id.to_string()
    }
}

/// Where an object was read from.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize)]
pub enum Origin {
    /// A file (path as shown to the user) and the line where the document begins.
    File {
        /// Path.
        path: Arc<str>,
        /// 1-based.
        line: u32,
    },
    /// A `getambassador.io/config` annotation of another object.
    Annotation {
        /// The object that carries it.
        parent: Box<ObjectId>,
        /// Where that was read from: of two parents with the same id the annotations of the first count, too.
        #[serde(skip)]
        place: Box<Self>,
    },
    /// The Kubernetes API.
    Cluster,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Annotation { parent, .. } => write!(f, "annotation of {parent}"),
            Self::Cluster => f.write_str("cluster"),
        }
    }
}

/// What every object has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Meta {
    /// As written: `getambassador.io/v2`.
    pub api_version: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Keys of annotations whose value stands without quotes (`"x": true`): Kubernetes refuses the whole object.
    pub unquoted_annotations: Vec<String>,
    /// `metadata.uid`; empty in files.
    pub uid: String,
    /// Is it being deleted (`metadata.deletionTimestamp`)?
    pub deleting: bool,
    /// `metadata.creationTimestamp` as written (RFC 3339, UTC: texts in the order of time); empty in files.
    pub created: String,
    /// `metadata.generation`; 0 in files.
    pub generation: i64,
}

/// One thing a user wrote, read as far as the gateway understands it.
#[derive(Clone, PartialEq, Debug)]
pub struct Object {
    /// What it is.
    pub id: ObjectId,
    /// Labels, annotations, versions.
    pub meta: Meta,
    /// Where it was read from.
    pub origin: Origin,
    /// Its content, typed.
    pub view: View,
    /// Fields that were there and are not understood (`spec.foo`), for the report.
    pub unknown_fields: Vec<String>,
}

/// The typed content of an object.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs, reason = "the names are the kinds")]
pub enum View {
    Listener(Box<ambassador::Listener>),
    Host(Box<ambassador::Host>),
    Mapping(Box<ambassador::Mapping>),
    TcpMapping(Box<ambassador::TcpMapping>),
    TlsContext(Box<ambassador::TlsContext>),
    Module(Box<ambassador::Module>),
    Resolver(ambassador::Resolver),
    AuthService(Box<ambassador::AuthService>),
    Service(Box<core::Service>),
    EndpointSlice(Box<core::EndpointSlice>),
    Endpoints(Box<core::Endpoints>),
    Secret(Box<core::Secret>),
    Namespace,
    Ingress(Box<networking::Ingress>),
    IngressClass(Box<networking::IngressClass>),
    IngressClassParams(Box<elbv2::IngressClassParams>),
    TargetGroupBinding(Box<elbv2::TargetGroupBinding>),
    ConfigMap(Box<core::ConfigMap>),
    Pod(Box<core::Pod>),
    AuthorizationPolicy(Box<istio::AuthorizationPolicy>),
    DestinationRule(Box<istio::DestinationRule>),
    Gateway(Box<istio::Gateway>),
    PeerAuthentication(Box<istio::PeerAuthentication>),
    RequestAuthentication(Box<istio::RequestAuthentication>),
    ServiceEntry(Box<istio::ServiceEntry>),
    Telemetry(Box<istio::Telemetry>),
    VirtualService(Box<istio::VirtualService>),
    WorkloadEntry(Box<istio::WorkloadEntry>),
    /// A kind that only checks look at (Deployment, IstioOperator, …), as it was written, without its metadata.
    Written(Box<serde_json::Value>),
    /// A kind of a group we read that this version does not act on (RateLimitService, ConsulResolver, …).
    Inactive,
    /// A kind of a group that is nobody's business here (Deployment, …).
    Foreign,
}

/// What reading one document gave.
#[derive(Debug, Default)]
pub struct Decoded {
    /// The object, and those written inside its annotations.
    pub objects: Vec<Object>,
    /// What could not be read. Each names the object, where that is known.
    pub problems: Vec<Problem>,
}

impl Object {
    /// A problem of this object.
    pub fn problem(
        &self,
        severity: Severity,
        code: Code,
        field: &str,
        message: String,
        fix: &str,
    ) -> Problem {
        Problem {
            severity,
            code,
            object: Some(self.id.clone()),
            origin: Some(self.origin.clone()),
            field: field.to_owned(),
            message,
            fix: fix.to_owned(),
        }
    }
}
