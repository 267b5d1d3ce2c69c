//! What Plenipo serves and Emissary does not.

use crate::difference::{Effect, Evidence, Rule};

/// `tls-before-proxy`.
pub static TLS_BEFORE_PROXY: Rule = Rule {
    code: "tls-before-proxy",
    effect: Effect::Gained,
    evidence: Evidence::Compiled,
    emissary: "looks for TLS before the PROXY header, which cannot work",
    plenipo: "PROXY is first on the wire in any order",
    todo: "",
};

/// `error-responses`.
pub static ERROR_RESPONSES: Rule = Rule {
    code: "error-responses",
    effect: Effect::Gained,
    evidence: Evidence::Seen,
    emissary: "4.x drops the Mapping (404) that has them, and ignores the Module's; 2.x and 3.x carry them out",
    plenipo: "carries them out",
    todo: "",
};

/// `names-in-upper-case`.
pub static UPPER_CASE: Rule = Rule {
    code: "names-in-upper-case",
    effect: Effect::Gained,
    evidence: Evidence::Seen,
    emissary: "404, unless clients write the name in the same case",
    plenipo: "names match in any case",
    todo: "",
};

/// `alpn-with-spaces`.
pub static ALPN: Rule = Rule {
    code: "alpn-with-spaces",
    effect: Effect::Gained,
    evidence: Evidence::Seen,
    emissary: "offers a protocol with a space in its name, which is never agreed",
    plenipo: "spaces are trimmed",
    todo: "",
};

/// `host-context-without-secret`.
pub static CONTEXT_SECRET: Rule = Rule {
    code: "host-context-without-secret",
    effect: Effect::Gained,
    evidence: Evidence::Seen,
    emissary: "no TLS for this Host, without a word; clear text works",
    plenipo: "uses the certificate of the TLSContext",
    todo: "nothing, or remove tlsContext when TLS was not meant",
};

/// `host-secret-in-two-spellings`.
pub static SECRET_TWICE: Rule = Rule {
    code: "host-secret-in-two-spellings",
    effect: Effect::Gained,
    evidence: Evidence::Seen,
    emissary: "takes them for two Secrets and leaves the Host out",
    plenipo: "knows that they are one",
    todo: "",
};

/// `plenipo-alone`.
pub static OURS_ALONE: Rule = Rule {
    code: "plenipo-alone",
    effect: Effect::Gained,
    evidence: Evidence::Ours,
    emissary: "does not know it",
    plenipo: "carries it out",
    todo: "leave it out while Emissary reads the object",
};

/// `istio-gateways`.
pub static ISTIO: Rule = Rule {
    code: "istio-gateways",
    effect: Effect::Gained,
    evidence: Evidence::Read,
    emissary: "knows nothing of Istio's objects",
    plenipo: "serves Istio's Gateways, and the VirtualServices bound to them",
    todo: "if Istio's own gateway shall go on serving them, name a label that none of them selects (--istio-label)",
};

/// `other-ingresses`.
pub static OTHER_INGRESS: Rule = Rule {
    code: "other-ingresses",
    effect: Effect::Gained,
    evidence: Evidence::Read,
    emissary: "serves Ingresses of its own class only",
    plenipo: "serves those of its own controllers, and of the class nginx unless ingress-nginx is seen to run",
    todo: "if another controller shall go on serving them, name the classes that are yours (--ingress-class)",
};
