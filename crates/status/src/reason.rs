//! Why a condition is as it is, in one word out of a fixed list, and which problems it stands for.

use plenipo_resources::Problem;

/// What a condition speaks of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum Aspect {
    /// Is the object valid, and is there something for it to work on? Never `False` for a failure of the gateway's, nor
    /// while an earlier version serves: external-dns deletes records when it is.
    Accepted,
    /// Is there, and is usable, what the object refers to?
    ResolvedRefs,
    /// Does the gateway serve the object as it is written now?
    Programmed,
}

/// One word for why, as the apiserver wants it (`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`). What there is to say besides
/// goes into the message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum Reason {
    /// Accepted: nothing stops it.
    Accepted,
    /// Accepted, without the parts that the message names.
    PartiallyInvalid,
    /// As it is now it is refused; an earlier version serves.
    EarlierVersionServes,
    /// Not accepted: something in it cannot be.
    Invalid,
    /// Not accepted: this version of the gateway does not do that.
    UnsupportedValue,
    /// Not accepted: another object has what it asks for.
    Conflicted,
    /// Not accepted: there is nothing to attach it to.
    NotAttached,
    /// Everything it refers to is there.
    ResolvedRefs,
    /// Something it refers to does not exist.
    RefNotFound,
    /// Something it refers to exists and cannot be used.
    InvalidRef,
    /// It may not refer to that.
    RefNotPermitted,
    /// The gateway serves it.
    Programmed,
    /// Not served, because it is not accepted.
    NotAccepted,
    /// Not served, because of what it refers to.
    RefsNotResolved,
    /// The gateway has no listener at all.
    NoListener,
    /// The address could not be bound.
    AddressNotBound,
    /// The gateway could not make of it what serves: its traffic is refused.
    NotCompiled,
}

impl Aspect {
    /// All, in the order in which they are written.
    pub(crate) const ALL: [Self; 3] = [Self::Accepted, Self::ResolvedRefs, Self::Programmed];

    /// The condition's `type`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::Programmed => "Programmed",
        }
    }

    /// By the condition's `type`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|aspect| aspect.name() == name)
    }
}

impl Reason {
    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::PartiallyInvalid => "PartiallyInvalid",
            Self::EarlierVersionServes => "EarlierVersionServes",
            Self::Invalid => "Invalid",
            Self::UnsupportedValue => "UnsupportedValue",
            Self::Conflicted => "Conflicted",
            Self::NotAttached => "NotAttached",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::RefNotFound => "RefNotFound",
            Self::InvalidRef => "InvalidRef",
            Self::RefNotPermitted => "RefNotPermitted",
            Self::Programmed => "Programmed",
            Self::NotAccepted => "NotAccepted",
            Self::RefsNotResolved => "RefsNotResolved",
            Self::NoListener => "NoListener",
            Self::AddressNotBound => "AddressNotBound",
            Self::NotCompiled => "NotCompiled",
        }
    }

    /// What a problem (an error) is to its object: of what it refers to, or of itself.
    ///
    /// A code that is not listed is a flaw of the object itself.
    pub(crate) fn of(problem: &Problem) -> (Aspect, Self) {
        match problem.code.0 {
            // These have one code for a Secret that is broken and one that is not there yet, which others wait for.
            "bad-credential" | "bad-tls-secret" if problem.message.contains("there is no Secret") => {
                (Aspect::ResolvedRefs, Self::RefNotFound)
            }

            "missing-ca"
            | "missing-certificate"
            | "missing-mesh-identity"
            | "missing-tls-secret"
            | "no-destination"
            | "no-endpoints"
            | "no-workload"
            | "secret-gone"
            | "unknown-delegate"
            | "unknown-gateway"
            | "unknown-module"
            | "unknown-resolver"
            | "unknown-service"
            | "unknown-service-port"
            | "unknown-subset"
            | "unknown-tls-context"
            | "port-not-on-service" => (Aspect::ResolvedRefs, Self::RefNotFound),

            "bad-credential"
            | "bad-jwt-keys"
            | "bad-mesh-identity"
            | "bad-secret"
            | "bad-tls-secret"
            | "broken-tls-context"
            | "tls-secret-mismatch" => (Aspect::ResolvedRefs, Self::InvalidRef),

            "certificate-for-others"
            | "not-exported"
            | "secret-beside-ingress"
            | "secret-elsewhere"
            | "tls-context-for-others" => (Aspect::ResolvedRefs, Self::RefNotPermitted),

            "not-applied" | "not-supported" | "protection-not-available" | "unknown-api-version" => {
                (Aspect::Accepted, Self::UnsupportedValue)
            }

            "auth-service-twice"
            | "conflict"
            | "delegate-conflict"
            | "duplicate-host"
            | "duplicate-listener"
            | "duplicate-module"
            | "duplicate-object"
            | "duplicate-server-name"
            | "duplicate-subset"
            | "duplicate-tls-host"
            | "group-conflict"
            | "host-conflict"
            | "policy-conflict"
            | "port-conflict"
            | "protocol-conflict"
            | "route-conflict"
            | "rule-conflict"
            | "second-redirect"
            | "second-shadow"
            | "shadowed-by-server"
            | "several-redirects"
            | "tcp-mapping-takes-host"
            | "tcp-takes-clear-text" => (Aspect::Accepted, Self::Conflicted),

            "host-not-in-gateway"
            | "listener-without-hosts"
            | "missing-host-binding"
            | "no-gateway"
            | "no-listener"
            | "no-server"
            | "routes-without-server" => (Aspect::Accepted, Self::NotAttached),

            _ => (Aspect::Accepted, Self::Invalid),
        }
    }
}

#[cfg(test)]
impl Reason {
    pub(crate) const ALL: [Self; 17] = [
        Self::Accepted,
        Self::PartiallyInvalid,
        Self::EarlierVersionServes,
        Self::Invalid,
        Self::UnsupportedValue,
        Self::Conflicted,
        Self::NotAttached,
        Self::ResolvedRefs,
        Self::RefNotFound,
        Self::InvalidRef,
        Self::RefNotPermitted,
        Self::Programmed,
        Self::NotAccepted,
        Self::RefsNotResolved,
        Self::NoListener,
        Self::AddressNotBound,
        Self::NotCompiled,
    ];
}
