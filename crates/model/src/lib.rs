//! What the edge shall do, in no dialect.
//!
//! *In:* constructors called by the translators (and by the load-balancer model). *Out:* one [`Edge`], a plain value
//! that compares, serialises and says for every part which object and field asked for it. The data plane compiles it;
//! `check`, `explain` and the admin page print it.
//!
//! Nothing here knows a socket, a clock, a file, a cluster or the name of any configuration dialect. Constructors
//! refuse what cannot work, so that whoever holds a value may rely on it.

mod action;
mod authentication;
mod authorization;
mod balancer;
mod client_auth;
mod cluster;
mod duration;
mod edge;
mod external;
mod fault;
mod health;
mod host;
mod http_limits;
mod http_server;
mod listener;
mod location;
mod matching;
mod mesh;
mod policy;
mod regex;
mod route;
mod source;
mod template;
mod tls;

pub use action::{
    Action, Forward, HostRewrite, Mirror, PathRewrite, Payload, PortFrom, Redirect, RedirectPath, Respond,
    Target,
};
pub use authentication::{Authentication, ClaimHeader, KeySource, RemoteKeys, TokenLocation, TokenRule};
pub use authorization::{
    AccessPolicy, AccessRule, AccessTest, Authorization, ExternalRule, Fact, Guard, TextMatch,
};
pub use balancer::{
    BalancerAnswers, BalancerRules, ClientCertificateFields, ClientProtocol, Desync, ForwardedFor,
    StickyEndpoint, StickyTargets, TlsFields,
};
pub use client_auth::{ClientAuth, ClientRoots};
pub use cluster::{
    Balance, Cluster, Dns, DnsFamily, DnsKind, Endpoint, Endpoints, Http2Keepalive, LimitSet, Limits,
    Priority, RetryBudget, TcpKeepalive, UpstreamProtocol,
};
pub use edge::{Edge, PortMap};
pub use external::{
    CheckHeader, CheckPath, CheckedBody, ExternalAuthorization, ExternalProtocol, GrpcCheck, HttpCheck,
    NameMatch, SignIn,
};
pub use fault::{Abort, Fault};
pub use health::{FailOpen, HealthCheck, HealthProbe, HealthTransport, OutlierDetection, SlowStartCurve};
pub use host::{HostPattern, HostPatternError};
pub use http_limits::HttpLimits;
pub use http_server::{
    AccessLog, AccessLogFormat, AddressRules, ClientCertDetails, ClientCertHeader, ErrorBody, ErrorResponse,
    ForwardedIdentity, Forwarding, HttpServer, InsecureAction, PathPolicy, Refusal, SecurityModel,
    UnderscorePolicy, VirtualHost,
};
pub use listener::{
    Accepts, Chain, ChainTls, Listener, ProxyProtocol, ProxyTlvs, SendProxyProtocol, Serve, TcpRoute,
    TcpTarget, Transport, UdpRoute,
};
pub use location::{LocationError, LocationPart, LocationTemplate};
pub use matching::{ClaimMatch, Fraction, HeaderMatch, PathMatch, QueryMatch, RouteMatch, ValueMatch};
pub use mesh::{MeshIdentity, MeshIdentityError};
pub use policy::{Backoff, Cors, HashKey, HeaderEdit, HeaderEdits, OriginMatch, RetryOn, RetryPolicy};
pub use regex::{Pattern, PatternError};
pub use route::Route;
pub use source::{Fingerprint, Pin, Source};
pub use template::{Operator, Segment, Template, TemplateError};
pub use tls::{
    Certificate, CertificateError, RevocationList, RootStore, Roots, SecretKey, TlsClient, TlsServer,
    TlsVersion, Verify,
};
