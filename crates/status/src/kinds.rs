//! The kinds of objects whose status we write.

/// One of the kinds whose status we write.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Kind {
    /// `Mapping`.
    pub(crate) name: &'static str,
    /// `getambassador.io`.
    pub(crate) group: &'static str,
    /// `mappings`.
    pub(crate) plural: &'static str,
    /// What is written.
    pub(crate) content: Content,
}

/// What is written into a status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Content {
    /// Conditions, and the fields that Emissary's own definition has.
    Conditions,
    /// The gateway's addresses.
    Addresses,
}

const AMBASSADOR: &str = "getambassador.io";

/// All of them.
pub(crate) const KINDS: [Kind; 8] = [
    conditions("Listener", "listeners"),
    conditions("Host", "hosts"),
    conditions("TLSContext", "tlscontexts"),
    conditions("Mapping", "mappings"),
    conditions("TCPMapping", "tcpmappings"),
    conditions("AuthService", "authservices"),
    conditions("Module", "modules"),
    Kind { name: "Ingress", group: "networking.k8s.io", plural: "ingresses", content: Content::Addresses },
];

const fn conditions(name: &'static str, plural: &'static str) -> Kind {
    Kind { name, group: AMBASSADOR, plural, content: Content::Conditions }
}

impl Kind {
    /// By its name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }
}
