//! The ways in which Plenipo differs. docs/migration.md has them as a table, and a test keeps the two in step.

mod changed;
mod gained;
mod lost;

use crate::difference::Rule;

pub use changed::*;
pub use gained::*;
pub use lost::*;

/// All of them.
pub static ALL: [&Rule; 46] = [
    &REFUSES_EVERYTHING,
    &REFUSED_HERE,
    &CONSUL,
    &HTTP3,
    &RATE_LIMIT,
    &SEVERAL_AUTH_SERVICES,
    &AUTH_SERVICE_REFUSED,
    &CONTEXT_TO_UPSTREAM,
    &MODULE_FILTER,
    &VARIABLES,
    &IP_ALLOW,
    &WIDER_HOST,
    &HOST_SECRET,
    &ALL_HOSTS_BROKEN,
    &CLIENT_CA,
    &HOST_TLS,
    &LOG_SERVICE,
    &TRACING_SERVICE,
    &MODULE_EXTRA,
    &TLS_EXTRA,
    &MODULE_STOPS,
    &CLIENT_CA_KEY,
    &XFF_HOPS,
    &TCP_IDLE,
    &TCP_WEIGHTS,
    &WEIGHTS,
    &SHARED_CLUSTER,
    &PORT,
    &OLD_TLS,
    &WEAK_CIPHERS,
    &EDGE_STACK_MTLS,
    &MISDIRECTED,
    &REDIRECT_SCHEME,
    &KEEPALIVE,
    &AUTH_HEADERS,
    &DIAGNOSTICS,
    &ENDPOINTS,
    &TLS_BEFORE_PROXY,
    &ERROR_RESPONSES,
    &UPPER_CASE,
    &ALPN,
    &CONTEXT_SECRET,
    &SECRET_TWICE,
    &ISTIO,
    &OTHER_INGRESS,
    &OURS_ALONE,
];
