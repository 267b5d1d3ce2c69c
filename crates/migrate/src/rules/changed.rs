//! What is served by both, in another way.

use crate::difference::{Effect, Evidence, Rule};

/// `module-stops`.
pub static MODULE_STOPS: Rule = Rule {
    code: "module-stops",
    effect: Effect::Changed,
    evidence: Evidence::Seen,
    emissary: "does not read the rest of the Module after this mistake",
    plenipo: "the mistake costs itself",
    todo: "mend it",
};

/// `client-ca-from-tls-crt`.
pub static CLIENT_CA_KEY: Rule = Rule {
    code: "client-ca-from-tls-crt",
    effect: Effect::Changed,
    evidence: Evidence::Read,
    emissary: "reads the roots of clients from tls.crt",
    plenipo: "reads them from ca.crt, else from tls.crt",
    todo: "look at what each of the two holds",
};

/// `xff-trusted-hops`.
pub static XFF_HOPS: Rule = Rule {
    code: "xff-trusted-hops",
    effect: Effect::Changed,
    evidence: Evidence::Compiled,
    emissary: "has no effect: the number of proxies is the Listener's l7Depth alone",
    plenipo: "is the number of proxies in front, where the Listener has no l7Depth",
    todo: "remove it, or see that it is right: addresses of clients depend on it",
};

/// `tcp-idle-timeout`.
pub static TCP_IDLE: Rule = Rule {
    code: "tcp-idle-timeout",
    effect: Effect::Changed,
    evidence: Evidence::Compiled,
    emissary: "has no effect: idle connections are closed after an hour",
    plenipo: "works",
    todo: "see that the time is what you want",
};

/// `tcp-weights`.
pub static TCP_WEIGHTS: Rule = Rule {
    code: "tcp-weights",
    effect: Effect::Changed,
    evidence: Evidence::Seen,
    emissary: "takes the running sums of the weights for the weights",
    plenipo: "takes the weights as shares",
    todo: "nothing, or write the shares that you had",
};

/// `weights-over-100`.
pub static WEIGHTS: Rule = Rule {
    code: "weights-over-100",
    effect: Effect::Changed,
    evidence: Evidence::Seen,
    emissary: "the order decides who gets what is within the first 100; one weight above 100 costs all of them, 404",
    plenipo: "each gets its part of the sum",
    todo: "make them sum to 100",
};

/// `shared-cluster`.
pub static SHARED_CLUSTER: Rule = Rule {
    code: "shared-cluster",
    effect: Effect::Changed,
    evidence: Evidence::Compiled,
    emissary: "has the times of the first Mapping to the same service",
    plenipo: "has its own",
    todo: "see that the times are what you want, they hold now",
};

/// `service-port`.
pub static PORT: Rule = Rule {
    code: "service-port",
    effect: Effect::Changed,
    evidence: Evidence::Seen,
    emissary: "goes to port 80",
    plenipo: "goes to 443, as https does",
    todo: "write a number",
};

/// `old-tls-version`.
pub static OLD_TLS: Rule = Rule {
    code: "old-tls-version",
    effect: Effect::Changed,
    evidence: Evidence::Seen,
    emissary: "takes the bounds as they are; with a ceiling of 1.1 no client gets through",
    plenipo: "speaks 1.2 and 1.3 only; a ceiling below 1.2 refuses the name",
    todo: "see that no client needs less",
};

/// `old-cipher-suites`.
pub static WEAK_CIPHERS: Rule = Rule {
    code: "old-cipher-suites",
    effect: Effect::Changed,
    evidence: Evidence::Read,
    emissary: "offers suites without forward secrecy, or with CBC",
    plenipo: "does not",
    todo: "see that no client needs them",
};

/// `edge-stack-mtls`.
pub static EDGE_STACK_MTLS: Rule = Rule {
    code: "edge-stack-mtls",
    effect: Effect::Changed,
    evidence: Evidence::Read,
    emissary: "does not know it (Edge Stack does): no certificate is asked for",
    plenipo: "asks clients for certificates",
    todo: "write tls: {ca_secret: …, cert_required: …}, which both understand",
};

/// `misdirected-requests`.
pub static MISDIRECTED: Rule = Rule {
    code: "misdirected-requests",
    effect: Effect::Changed,
    evidence: Evidence::Seen,
    emissary: "a name asked for on the TLS connection of another one is answered 404",
    plenipo: "is answered 421, and the client opens the right connection",
    todo: "",
};

/// `redirect-scheme`.
pub static REDIRECT_SCHEME: Rule = Rule {
    code: "redirect-scheme",
    effect: Effect::Changed,
    evidence: Evidence::Seen,
    emissary: "takes the whole text for the host: Location: http://https://…",
    plenipo: "goes where it says",
    todo: "",
};

/// `keepalive-idle-time`.
pub static KEEPALIVE: Rule = Rule {
    code: "keepalive-idle-time",
    effect: Effect::Changed,
    evidence: Evidence::Compiled,
    emissary: "drops idle_time",
    plenipo: "uses it",
    todo: "",
};

/// `auth-headers-of-clients`.
pub static AUTH_HEADERS: Rule = Rule {
    code: "auth-headers-of-clients",
    effect: Effect::Changed,
    evidence: Evidence::Seen,
    emissary: "passes on what clients sent in these fields when the service does not set them",
    plenipo: "leaves them out",
    todo: "nothing, if only the service shall set them",
};

/// `diagnostics-in-public`.
pub static DIAGNOSTICS: Rule = Rule {
    code: "diagnostics-in-public",
    effect: Effect::Changed,
    evidence: Evidence::Compiled,
    emissary: "serves its diagnostics on the public listeners, under /ambassador/v0/diag/",
    plenipo: "serves none there: they are on the admin address",
    todo: "point scripts to port 8877",
};

/// `pods-directly`.
pub static ENDPOINTS: Rule = Rule {
    code: "pods-directly",
    effect: Effect::Changed,
    evidence: Evidence::Read,
    emissary: "sends requests to the address of the Service, behind which the cluster's network chooses a pod for a connection",
    plenipo: "chooses a ready pod for every request itself",
    todo: "nothing, or set AMBASSADOR_DISABLE_ENDPOINTS where the Service's own address must be used (session affinity, a mesh)",
};
