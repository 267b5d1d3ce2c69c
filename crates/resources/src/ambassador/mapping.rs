//! Mapping.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{
    AddedHeader, AmbassadorId, CircuitBreaker, Cors, ErrorResponseOverride, HealthCheck, Keepalive,
    LoadBalancer, RegexRewrite, RetryPolicy,
};
use crate::definition::form;

/// Which requests, and the service that answers them.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend(
    "required" = ["prefix", "service"],
    // A prefix of `$…` is for gateways that put in variables of their environment.
    "x-kubernetes-validations" = [{
        "rule": "!has(self.prefix) || self.prefix.startsWith('/') || self.prefix.startsWith('$') || \
                 (has(self.prefix_regex) && self.prefix_regex)",
        "message": "prefix begins with a slash, as every path does, unless prefix_regex is true",
    }]
))]
pub struct Mapping {
    /// Which gateways read this: those whose $AMBASSADOR_ID is listed. One name or a list; absent is "default".
    #[schemars(schema_with = "form::one_or_many")]
    pub ambassador_id: AmbassadorId,
    /// Beginning of the paths it takes (not only whole segments: /foo takes /foobar).
    #[schemars(length(min = 1))]
    pub prefix: Option<String>,
    /// Whether prefix is a regular expression (RE2) for the whole path.
    pub prefix_regex: Option<bool>,
    /// Whether prefix is the whole path.
    pub prefix_exact: Option<bool>,
    /// Whether case counts in prefix (true).
    pub case_sensitive: Option<bool>,
    /// Where requests go: `[https://]name[.namespace][:port]`; with https:// TLS is spoken to it. With host_redirect,
    /// the host of the redirect.
    pub service: Option<String>,
    /// For which names: exact, "*.suffix", "prefix.*" or "*". A Host of a name that fits must be there. Absent, it is
    /// for Hosts that select it by its labels (in v1 and v2: for every Host).
    pub hostname: Option<String>,
    /// Deprecated: one exact name, or with host_regex an expression. hostname goes before it. (In v1 and v2 it is what
    /// hostname is now.)
    pub host: Option<String>,
    /// Whether host is a regular expression (RE2).
    pub host_regex: Option<bool>,
    /// Only requests of this method.
    pub method: Option<String>,
    /// Whether method is a regular expression (RE2).
    pub method_regex: Option<bool>,
    /// Only requests with these headers: the value, or true for any value.
    #[schemars(schema_with = "form::map_of_scalars")]
    pub headers: BTreeMap<String, String>,
    /// Only requests with headers whose whole values match these regular expressions (RE2).
    pub regex_headers: BTreeMap<String, String>,
    /// Only requests with these query parameters: the value, or true for any value.
    #[schemars(schema_with = "form::map_of_scalars")]
    pub query_parameters: BTreeMap<String, String>,
    /// Only requests with query parameters whose whole values match these regular expressions (RE2).
    pub regex_query_parameters: BTreeMap<String, String>,
    /// Higher is tried first (0). Else the longer prefix is, then more conditions.
    pub precedence: Option<i64>,
    /// Percent of the requests that several Mappings for the same requests divide; 0 is none. Those without a weight
    /// share what is left. With shadow: percent that is copied.
    #[schemars(range(min = 0, max = 100))]
    pub weight: Option<i64>,
    /// What the prefix is replaced by on the way to the service: "/" when absent; "" leaves the path as it is.
    pub rewrite: Option<String>,
    /// Replaces in the path instead.
    pub regex_rewrite: Option<RegexRewrite>,
    /// Answer with a redirect to the host in service.
    pub host_redirect: Option<bool>,
    /// With host_redirect: the path redirected to.
    pub path_redirect: Option<String>,
    /// With host_redirect: what the prefix is replaced by.
    pub prefix_redirect: Option<String>,
    /// With host_redirect: what is replaced in the path.
    pub regex_redirect: Option<RegexRewrite>,
    /// With host_redirect: the status, 301 (the default), 302, 303, 307 or 308.
    #[schemars(extend("enum" = [301, 302, 303, 307, 308]))]
    pub redirect_response_code: Option<i64>,
    /// The Host header that the service gets.
    pub host_rewrite: Option<String>,
    /// Whether the service gets its own name as Host header.
    pub auto_host_rewrite: Option<bool>,
    /// Headers added to requests: {value, append}, or just the value; append is true when absent. Values may hold
    /// operators, "%REQ(name)%".
    #[schemars(schema_with = "form::added_headers")]
    pub add_request_headers: Option<BTreeMap<String, AddedHeader>>,
    /// Headers added to responses: {value, append}, or just the value.
    #[schemars(schema_with = "form::added_headers")]
    pub add_response_headers: Option<BTreeMap<String, AddedHeader>>,
    /// Headers taken out of requests.
    #[schemars(schema_with = "form::one_or_many")]
    pub remove_request_headers: Option<Vec<String>>,
    /// Headers taken out of responses.
    #[schemars(schema_with = "form::one_or_many")]
    pub remove_response_headers: Option<Vec<String>>,
    /// Whether Linkerd is told the service in l5d-dst-override.
    pub add_linkerd_headers: Option<bool>,
    /// Whether the AuthService is not asked.
    pub bypass_auth: Option<bool>,
    /// What an AuthService with proto: grpc is told besides the request.
    #[schemars(schema_with = "form::map_of_scalars")]
    pub auth_context_extensions: Option<BTreeMap<String, String>>,
    /// Which pages of other origins may use the answers.
    pub cors: Option<Cors>,
    /// What is tried again.
    pub retry_policy: Option<RetryPolicy>,
    /// Limits of what is asked of the service at a time, per priority.
    #[schemars(with = "Vec<CircuitBreaker>")]
    pub circuit_breakers: Option<Value>,
    /// Which endpoint of the service gets a request; needs the resolver kubernetes-endpoint.
    pub load_balancer: Option<LoadBalancer>,
    /// The resolver that finds the service (that of the Module, else kubernetes-service).
    pub resolver: Option<String>,
    /// Milliseconds for the whole exchange (3000, or the Module's); 0 = no limit.
    #[schemars(range(min = 0))]
    pub timeout_ms: Option<i64>,
    /// Milliseconds without a byte after which the exchange ends (5 minutes); 0 = never.
    #[schemars(range(min = 0))]
    pub idle_timeout_ms: Option<i64>,
    /// Milliseconds for connecting to the service (3000).
    #[schemars(range(min = 0))]
    pub connect_timeout_ms: Option<i64>,
    /// Milliseconds after which an idle connection to the service is closed (an hour).
    #[schemars(range(min = 0))]
    pub cluster_idle_timeout_ms: Option<i64>,
    /// Milliseconds after which a connection to the service gets no more requests.
    #[schemars(range(min = 0))]
    pub cluster_max_connection_lifetime_ms: Option<i64>,
    /// Whether HTTP/2 is spoken to the service.
    pub grpc: Option<bool>,
    /// Protocols that clients may upgrade to: websocket, …
    pub allow_upgrade: Option<Vec<String>>,
    /// Deprecated: `allow_upgrade: [websocket]`.
    #[schemars(with = "bool")]
    pub use_websocket: Option<Value>,
    /// strict_dns (every address is an endpoint) or logical_dns (the first is).
    pub dns_type: Option<String>,
    /// Whether names are looked up again when their records expire.
    pub respect_dns_ttl: Option<bool>,
    /// Whether addresses of IPv4 are used (true, or the Module's).
    pub enable_ipv4: Option<bool>,
    /// Whether addresses of IPv6 are used (false, or the Module's).
    pub enable_ipv6: Option<bool>,
    /// What endpoints are asked to know whether they are well.
    pub health_checks: Option<Vec<HealthCheck>>,
    /// Which circuit breaker counts: default or high.
    pub priority: Option<String>,
    /// Send a copy of the requests of the other Mappings for them, and leave the answers aside.
    pub shadow: Option<bool>,
    /// TCP keepalive probes to the service.
    pub keepalive: Option<Keepalive>,
    /// What a RateLimitService is told of requests: {domain: [{group: [specifier, …]}]}. Has no effect yet.
    #[schemars(schema_with = "form::free_map")]
    pub labels: Option<Value>,
    /// The TLSContext for TLS to the service; true or false only say whether TLS is spoken.
    #[schemars(schema_with = "form::context_or_bool")]
    pub tls: Option<String>,
    /// Part of the cluster's name in metrics.
    pub cluster_tag: Option<String>,
    /// The service's name in metrics.
    pub stats_name: Option<String>,
    /// What is answered in place of errors, instead of what the Module says.
    pub error_response_overrides: Option<Vec<ErrorResponseOverride>>,
    /// Whether errors are answered as they are.
    pub bypass_error_response_overrides: Option<bool>,
    /// Fields that are not understood.
    #[serde(flatten)]
    #[schemars(skip)]
    pub rest: BTreeMap<String, Value>,
}
