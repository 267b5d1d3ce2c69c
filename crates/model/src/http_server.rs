//! What is behind a chain that speaks HTTP: the virtual hosts and the rules that hold for all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use serde::Serialize;

use crate::authentication::Authentication;
use crate::authorization::Authorization;
use crate::balancer::{BalancerRules, ClientCertificateFields};
use crate::client_auth::ClientRoots;
use crate::host::HostPattern;
use crate::http_limits::HttpLimits;
use crate::policy::HeaderEdits;
use crate::route::Route;
use crate::source::Source;
use crate::template::Template;

/// HTTP behind one chain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HttpServer {
    /// Who asked for it.
    pub source: Source,
    /// In the order of their patterns' precedence; no two have the same pattern.
    pub hosts: Vec<VirtualHost>,
    /// Names that the listener's TLS chains serve (this one's too), in the order of their precedence; shared by them all.
    /// On a TLS connection made for one name, a request whose best match here is not among `hosts` is answered 421 (RFC
    /// 9110 §15.5.20): the client opens the right connection, and no request gets past another name's client
    /// certificates through the chain of `*`. Empty on clear text.
    pub elsewhere: Arc<[HostPattern]>,
    /// How a request is judged secure.
    pub security: SecurityModel,
    /// Who is believed about the client's address and scheme.
    pub forwarding: Forwarding,
    /// What is done to paths before anything looks at them.
    pub path: PathPolicy,
    /// Take a port off the Host header before matching when it is the listener's declared one.
    pub strip_matching_port: bool,
    /// Header names with an underscore (which some upstreams take for a dash).
    pub underscores: UnderscorePolicy,
    /// Sizes and times.
    pub limits: HttpLimits,
    /// `server` of every response; none leaves the upstream's.
    pub server_name: Option<String>,
    /// Keep an `x-request-id` that the client sent, instead of making a new one.
    pub keep_request_id: bool,
    /// Answer HTTP/1.0 requests, instead of 426.
    pub http10: bool,
    /// Let `Content-Length` stand beside `Transfer-Encoding` (and drop it), instead of 400.
    pub allow_chunked_length: bool,
    /// Write `Proper-Case` header names to HTTP/1 clients.
    pub proper_case: bool,
    /// Leave out the `x-envoy-*` headers that say what the gateway did.
    pub suppress_envoy_headers: bool,
    /// Tell upstreams the number of the attempt (`x-envoy-attempt-count`).
    #[serde(skip_serializing_if = "is_false")]
    pub attempt_count: bool,
    /// Client certificate towards upstreams (`x-forwarded-client-cert`).
    pub client_cert: ClientCertHeader,
    /// Who may come in at all.
    pub addresses: Option<AddressRules>,
    /// Tokens are looked for and verified, before anything is routed; none = requests are nobody's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Arc<Authentication>>,
    /// Who may ask for what, decided before anything is routed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Arc<Authorization>>,
    /// Own bodies for error answers.
    pub error_responses: Vec<Arc<ErrorResponse>>,
    /// Every request is refused with this status and reason: what was asked for (authorisation, say) is not there, and
    /// nothing weaker is served.
    pub refuse: Option<Refusal>,
    /// Changes to every response, after the route's.
    pub response_headers: HeaderEdits,
    /// Where requests are reported.
    pub access_log: Option<Arc<AccessLog>>,
    /// Messages are treated as by a load balancer; none = by a gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balancer: Option<Arc<BalancerRules>>,
}

/// One name (or pattern) and its routes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct VirtualHost {
    /// Who asked for it.
    pub source: Source,
    /// Which hosts.
    pub host: HostPattern,
    /// What happens to a request that is not secure.
    pub insecure: InsecureAction,
    /// Redirect every request of an insecure host, not only those that a route takes.
    pub redirect_unmatched: bool,
    /// Every request is refused with this status: the host's TLS or authorisation cannot be set up as asked.
    pub refuse: Option<Refusal>,
    /// Load balancers in front that tell who the client is; none = only its TLS connection to us does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_identity: Option<Arc<ForwardedIdentity>>,
    /// In the order in which they are tried. Shared, because the same ones stand behind several chains and outlive changes
    /// elsewhere.
    pub routes: Arc<[Arc<Route>]>,
}

/// A host that refuses traffic, and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Refusal {
    /// Status of the answer.
    pub status: u16,
    /// For the log and `explain`; never sent to clients.
    pub reason: String,
}

/// What happens to a request that is not secure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InsecureAction {
    /// 301 to the same URL with `https`, if a route takes it.
    Redirect,
    /// As if it were secure.
    Route,
    /// 404.
    Reject,
}

/// How a request is judged secure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecurityModel {
    /// By the scheme: that of the connection, or `x-forwarded-proto` where the peer is believed.
    Forwarded,
    /// Every request is.
    Secure,
    /// No request is.
    Insecure,
}

/// Who is believed about the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Forwarding {
    /// True: we are the edge; our peer is appended to `x-forwarded-for`, and the client is the `trusted_hops`-th address
    /// from its right end (0 = the peer itself). False: `x-forwarded-for` is used as it came and `x-forwarded-proto` is
    /// believed.
    pub use_remote_address: bool,
    /// Proxies in front of us that append to `x-forwarded-for`.
    pub trusted_hops: u32,
}

impl Forwarding {
    /// Is a proxy in front believed at all?
    pub const fn believes(self) -> bool {
        !self.use_remote_address || self.trusted_hops > 0
    }

    /// From where in `x-forwarded-for`, as it arrives, the client's address is taken, counted from the right end: the number
    /// of proxies that are counted on. 0 = the peer is the client.
    pub const fn place_of_client(self) -> u32 {
        if self.use_remote_address { self.trusted_hops } else { self.trusted_hops.saturating_add(1) }
    }
}

/// What is done to paths before anything looks at them. What was matched is what is sent.
/// By default escapes of unreserved characters are decoded, `\` becomes `/` and dot segments are resolved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct PathPolicy {
    /// `//` becomes `/`.
    pub merge_slashes: bool,
    /// `%2F` and `%5C` are refused with 400, instead of kept as they are.
    pub reject_escaped_slashes: bool,
    /// `%2F` and `%5C` become `/`, before anything else is done to the path.
    #[serde(skip_serializing_if = "is_false")]
    pub decode_escaped_slashes: bool,
    /// Paths are taken as they are written: none of the above is done, nor anything that is done by default. Rules for a
    /// path can then be walked around by writing it otherwise.
    #[serde(skip_serializing_if = "is_false")]
    pub as_written: bool,
}

/// Header names with an underscore.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnderscorePolicy {
    /// Pass.
    Allow,
    /// 400.
    Reject,
    /// Are left out.
    Drop,
}

/// Client certificate towards upstreams.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientCertHeader {
    /// Remove what the client sent, send none.
    Sanitize,
    /// On a connection with a client certificate pass on what was sent; else remove it.
    ForwardOnly,
    /// On a connection with a client certificate add this hop to what was sent; else remove it.
    AppendForward(ClientCertDetails),
    /// On a connection with a client certificate replace what was sent by this hop; else remove it.
    SanitizeSet(ClientCertDetails),
    /// Pass on what was sent, always.
    AlwaysForwardOnly,
}

/// What of a client certificate is told; the hash always is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ClientCertDetails {
    /// `Subject="…"`.
    pub subject: bool,
    /// `Cert="…"`: the certificate, URL-encoded PEM.
    pub cert: bool,
    /// `Chain="…"`: all certificates shown.
    pub chain: bool,
    /// `DNS=…` for every DNS name.
    pub dns: bool,
    /// `URI=…` for every URI.
    pub uri: bool,
}

/// A load balancer in front that ends the client's TLS and tells in header fields which certificate it saw. What it
/// tells counts as the certificate of a TLS connection does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ForwardedIdentity {
    /// TCP peers (or who their PROXY header says they are) that are believed. Fields from others are left out.
    pub from: Vec<IpNet>,
    /// The fields; with [`ClientCertificateFields::None`] nothing is read, only kept from others. Those of a passthrough are a certificate that nobody has checked yet, and are passed on to upstreams as
    /// they came; those of a verification are taken as told.
    pub fields: ClientCertificateFields,
    /// What certificates of a passthrough are checked against; none = nothing. One that does not pass is answered 403.
    pub roots: Option<ClientRoots>,
    /// Requests without a certificate are answered 403, whoever sent them.
    pub required: bool,
}

/// Who may come in at all; others are answered 403.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AddressRules {
    /// True: only these; false: all but these.
    pub allow: bool,
    /// Against the TCP peer (or what its PROXY header says).
    pub peer: Vec<IpNet>,
    /// Against the trusted client address.
    pub remote: Vec<IpNet>,
}

/// A body for error answers, made here or upstream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ErrorResponse {
    /// The status it is for (400–599).
    pub status: u16,
    /// What is sent instead.
    pub body: ErrorBody,
    /// Its content type.
    pub content_type: String,
}

/// The body of an [`ErrorResponse`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorBody {
    /// Text.
    Text(Template),
    /// A JSON object of texts.
    Json(BTreeMap<String, Template>),
}

/// Where and how requests are reported.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AccessLog {
    /// A file; `/dev/stdout` and `/dev/fd/1` are standard output.
    pub path: String,
    /// What is written for each.
    pub format: AccessLogFormat,
}

/// What is written for each request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessLogFormat {
    /// A line.
    Text(Template),
    /// A JSON object on a line. With `typed`, numbers are written as numbers and missing values as null.
    Json {
        /// Keys and values, in the order in which they are written.
        fields: Vec<(String, Template)>,
        /// See above.
        typed: bool,
    },
}

impl HttpServer {
    /// The usual edge: nobody in front is believed, paths are normalised, nothing else.
    pub fn new(source: Source, hosts: Vec<VirtualHost>) -> Self {
        Self {
            source,
            hosts,
            elsewhere: Arc::from([]),
            security: SecurityModel::Forwarded,
            forwarding: Forwarding { use_remote_address: true, trusted_hops: 0 },
            path: PathPolicy::default(),
            strip_matching_port: false,
            underscores: UnderscorePolicy::Allow,
            limits: HttpLimits::default(),
            server_name: None,
            keep_request_id: false,
            http10: false,
            allow_chunked_length: false,
            proper_case: false,
            suppress_envoy_headers: false,
            attempt_count: false,
            client_cert: ClientCertHeader::Sanitize,
            addresses: None,
            authentication: None,
            authorization: None,
            error_responses: Vec::new(),
            refuse: None,
            response_headers: HeaderEdits::default(),
            access_log: None,
            balancer: None,
        }
    }
}

impl HttpServer {
    /// Are `x-envoy-*` fields written, which say what the gateway did?
    pub fn adds_envoy_headers(&self) -> bool {
        !self.suppress_envoy_headers && self.balancer.is_none()
    }
}

impl VirtualHost {
    /// A host that serves these routes whether the request is secure or not.
    pub fn new(source: Source, host: HostPattern, routes: impl Into<Arc<[Arc<Route>]>>) -> Self {
        Self {
            source,
            host,
            insecure: InsecureAction::Route,
            redirect_unmatched: false,
            refuse: None,
            client_identity: None,
            routes: routes.into(),
        }
    }
}

fn is_false(value: &bool) -> bool {
    !*value
}
