//! Istio's kinds, as far as a gateway reads them (`istio.io/api`). All versions of a kind have the same fields.

#![allow(missing_docs, reason = "the fields are those of Istio's API, and described there")]

mod authentication;
mod authorization;
mod destination_rule;
mod gateway;
mod mesh_config;
mod service_entry;
mod telemetry;
mod virtual_service;

pub use authentication::{
    ClaimToHeader, JwtHeader, JwtRule, MutualTls, PeerAuthentication, RequestAuthentication, TargetRef,
};
pub use authorization::{
    AuthorizationPolicy, AuthorizationRule, Provider, RuleCondition, RuleFrom, RuleOperation, RuleSource,
    RuleTo,
};
pub use destination_rule::{
    ClientTls, ConnectionPool, ConsistentHash, CookieAttribute, DestinationRule, Distribute, Failover,
    Http2Keepalive, HttpCookie, HttpPool, LabelSelector, LoadBalancer, LocalityLbSetting, Maglev,
    OutlierDetection, PortTrafficPolicy, ProxyProtocol, RetryBudget, RingHash, Subset, TcpKeepalive, TcpPool,
    TrafficPolicy, Tunnel, Warmup,
};
pub use gateway::{CertificateFiles, Gateway, Port, Server, ServerTls};
pub use mesh_config::{
    DefaultProviders, HeaderSwitch, MeshConfig, PathNormalization, ProxyConfig, ProxyHeaders, ServerHeader,
    TlsDefaults, Topology,
};
pub use service_entry::{ServiceEntry, ServiceEntryPort, WorkloadEntry, WorkloadSelector};
pub use telemetry::{AccessLogging, LogFilter, LogSelector, Telemetry};
pub use virtual_service::{
    Abort, Body, ConnectionMatch, CorsPolicy, Delay, Delegate, Destination, DirectResponse, Fault,
    HeaderOperations, Headers, HttpDestination, HttpMatch, HttpRedirect, HttpRoute, Mirror, Percent,
    PortSelector, RegexRewrite, Retries, Rewrite, RouteDestination, StringMatch, TcpRoute, TlsRoute,
    VirtualService,
};
