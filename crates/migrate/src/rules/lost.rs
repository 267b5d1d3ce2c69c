//! What is lost, missing, or stops everything.

use crate::difference::{Effect, Evidence, Rule};

/// `refuses-everything`.
pub static REFUSES_EVERYTHING: Rule = Rule {
    code: "refuses-everything",
    effect: Effect::Frozen,
    evidence: Evidence::Seen,
    emissary: "Envoy refuses the whole configuration: no change of any object is taken, and a pod that starts serves nothing",
    plenipo: "it costs this object or field alone, and is reported",
    todo: "mend it first; before is shown as if Emissary served the rest",
};

/// `refused-here`.
pub static REFUSED_HERE: Rule = Rule {
    code: "refused-here",
    effect: Effect::Lost,
    evidence: Evidence::Read,
    emissary: "may serve it; no rule says what it makes of this",
    plenipo: "refuses it",
    todo: "mend it before you move",
};

/// `consul-resolver`.
pub static CONSUL: Rule = Rule {
    code: "consul-resolver",
    effect: Effect::Lost,
    evidence: Evidence::Read,
    emissary: "asks Consul where the service is",
    plenipo: "refuses the Mapping: Consul is not asked",
    todo: "use a Kubernetes Service (of type ExternalName, perhaps) and its resolver",
};

/// `http3-listener`.
pub static HTTP3: Rule = Rule {
    code: "http3-listener",
    effect: Effect::Lost,
    evidence: Evidence::Compiled,
    emissary: "serves HTTP/3 over UDP there",
    plenipo: "refuses the Listener",
    todo: "leave the Listener to Emissary's id, or let clients come by TCP: they do when HTTP/3 is not offered",
};

/// `rate-limit-service`.
pub static RATE_LIMIT: Rule = Rule {
    code: "rate-limit-service",
    effect: Effect::Lost,
    evidence: Evidence::Compiled,
    emissary: "asks it about requests whose Mappings have labels (with protocol_version v3)",
    plenipo: "does not ask: nothing is limited",
    todo: "limit in front of the gateway (AWS WAF), or in the services, before you move",
};

/// `auth-services-merged`.
pub static SEVERAL_AUTH_SERVICES: Rule = Rule {
    code: "auth-services-merged",
    effect: Effect::Lost,
    evidence: Evidence::Compiled,
    emissary: "asks the endpoints of all AuthServices in turn",
    plenipo: "answers 500 where they would be asked",
    todo: "leave one AuthService, whose Service has the endpoints of them all",
};

/// `auth-service-refused`.
pub static AUTH_SERVICE_REFUSED: Rule = Rule {
    code: "auth-service-refused",
    effect: Effect::Lost,
    evidence: Evidence::Compiled,
    emissary: "may ask it",
    plenipo: "answers 500 where it would be asked",
    todo: "mend it before you move",
};

/// `upstream-context-broken`.
pub static CONTEXT_TO_UPSTREAM: Rule = Rule {
    code: "upstream-context-broken",
    effect: Effect::Lost,
    evidence: Evidence::Read,
    emissary: "posts an error and goes by the scheme of the service alone, without the certificate or the check that was asked for",
    plenipo: "refuses the Mapping: nothing weaker than was asked for",
    todo: "create or mend the TLSContext, or remove 'tls'",
};

/// `module-filter`.
pub static MODULE_FILTER: Rule = Rule {
    code: "module-filter",
    effect: Effect::Lost,
    evidence: Evidence::Compiled,
    emissary: "puts it into the way of every request",
    plenipo: "does not know it",
    todo: "do it in the services, or keep Emissary for what needs it",
};

/// `environment-variables`.
pub static VARIABLES: Rule = Rule {
    code: "environment-variables",
    effect: Effect::Lost,
    evidence: Evidence::Read,
    emissary: "replaces $NAME and ${NAME} by its environment in everything it reads",
    plenipo: "takes the text as it stands",
    todo: "write the value",
};

/// `ip-allow-without-entry`.
pub static IP_ALLOW: Rule = Rule {
    code: "ip-allow-without-entry",
    effect: Effect::Lost,
    evidence: Evidence::Compiled,
    emissary: "switches the list off: everybody comes in",
    plenipo: "lets nobody in",
    todo: "mend the list before you move",
};

/// `host-secret-missing`.
pub static HOST_SECRET: Rule = Rule {
    code: "host-secret-missing",
    effect: Effect::Changed,
    evidence: Evidence::Read,
    emissary: "leaves the Host out: its names are as unknown, or belong to a wider Host",
    plenipo: "refuses its names, over TLS and in clear text",
    todo: "create the Secret, or remove the Host",
};

/// `all-hosts-broken`.
pub static ALL_HOSTS_BROKEN: Rule = Rule {
    code: "all-hosts-broken",
    effect: Effect::Lost,
    evidence: Evidence::Compiled,
    emissary: "makes up a Host '*' that routes clear text for every name",
    plenipo: "serves nothing in their place",
    todo: "mend the Hosts before you move; until then Emissary serves in clear text what was to be encrypted",
};

/// `client-ca-missing`.
pub static CLIENT_CA: Rule = Rule {
    code: "client-ca-missing",
    effect: Effect::Lost,
    evidence: Evidence::Read,
    emissary: "drops the TLS settings: no certificate is asked for, and none is shown",
    plenipo: "refuses the name: nothing weaker than was asked for",
    todo: "name a Secret with the roots, and with the revocation list",
};

/// `host-tls-refused`.
pub static HOST_TLS: Rule = Rule {
    code: "host-tls-refused",
    effect: Effect::Changed,
    evidence: Evidence::Read,
    emissary: "leaves the Host out: its names are as unknown, or belong to a wider Host",
    plenipo: "refuses its names, over TLS and in clear text",
    todo: "mend the TLS settings before you move",
};

/// `log-service`.
pub static LOG_SERVICE: Rule = Rule {
    code: "log-service",
    effect: Effect::Missing,
    evidence: Evidence::Read,
    emissary: "sends access logs there by gRPC",
    plenipo: "writes access logs to a file or to its output only",
    todo: "collect the output, it has the same formats (Module envoy_log_type, envoy_log_format)",
};

/// `tracing-service`.
pub static TRACING_SERVICE: Rule = Rule {
    code: "tracing-service",
    effect: Effect::Missing,
    evidence: Evidence::Read,
    emissary: "sends traces there",
    plenipo: "passes trace headers on, and sends no spans of its own",
    todo: "nothing in the objects; expect traces to begin at the services",
};

/// `module-extra`.
pub static MODULE_EXTRA: Rule = Rule {
    code: "module-extra",
    effect: Effect::Missing,
    evidence: Evidence::Compiled,
    emissary: "does it",
    plenipo: "does not",
    todo: "see the setting's own word above",
};

/// `tls-extra`.
pub static TLS_EXTRA: Rule = Rule {
    code: "tls-extra",
    effect: Effect::Missing,
    evidence: Evidence::Compiled,
    emissary: "offers what is listed",
    plenipo: "offers what it thinks safe",
    todo: "remove it",
};

/// `wider-host`.
pub static WIDER_HOST: Rule = Rule {
    code: "wider-host",
    effect: Effect::Lost,
    evidence: Evidence::Read,
    emissary: "leaves the Host out, so that a wider Host answers for its names",
    plenipo: "refuses its names",
    todo: "mend the Host, or remove it, before you move",
};
