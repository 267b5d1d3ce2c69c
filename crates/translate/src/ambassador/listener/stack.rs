//! `protocol` and `protocolStack`.

use plenipo_resources::ambassador::Listener;

use super::super::ours::Of;
use crate::findings::{Findings, Flaw};

/// What is looked for on a connection. The order is always PROXY, then TLS, then HTTP: a PROXY header comes before
/// everything (Emissary's HTTPSPROXY has it the other way round, which cannot work).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stack {
    pub(crate) proxy: bool,
    pub(crate) tls: bool,
    pub(crate) http: bool,
}

const PROTOCOL_FIX: &str = "write protocol: HTTP, HTTPS, HTTPPROXY, HTTPSPROXY, TCP or TLS";

impl Stack {
    pub(crate) fn read(listener: Of<'_, Listener>, findings: &mut Findings) -> Result<Self, Flaw> {
        let spec = listener.spec;
        let bad = |field: &str, message: String, fix| Err(Flaw::new("bad-protocol", field, message, fix));
        if let Some(stack) = spec.protocol_stack.as_ref().filter(|stack| !stack.is_empty()) {
            if spec.protocol.is_some() {
                let message = "protocolStack is there too, which is the one that is used".to_owned();
                findings.error(
                    listener.object,
                    "protocol-and-stack",
                    "spec.protocol",
                    message,
                    "keep one of the two",
                );
            }
            return Self::of_stack(stack);
        }
        let (proxy, tls, http) = match spec.protocol.as_deref() {
            Some("HTTP") => (false, false, true),
            Some("HTTPS") => (false, true, true),
            Some("HTTPPROXY") => (true, false, true),
            Some("HTTPSPROXY") => (true, true, true),
            Some("TCP") => (false, false, false),
            Some("TLS") => (false, true, false),
            Some("UDP") => return Err(no_udp("spec.protocol")),
            Some(other) => return bad("spec.protocol", format!("'{other}' is not a protocol"), PROTOCOL_FIX),
            None => return bad("spec.protocol", "a Listener needs a protocol".to_owned(), PROTOCOL_FIX),
        };
        Ok(Self { proxy, tls, http })
    }

    fn of_stack(stack: &[String]) -> Result<Self, Flaw> {
        const FIELD: &str = "spec.protocolStack";
        let bad = |message: String| {
            Flaw::new("bad-protocol", FIELD, message, "write a list like [PROXY, TLS, HTTP, TCP]")
        };
        let mut found = Self { proxy: false, tls: false, http: false };
        for (index, layer) in stack.iter().enumerate() {
            match layer.as_str() {
                "PROXY" => found.proxy = true,
                "TLS" => found.tls = true,
                "HTTP" => found.http = true,
                "TCP" if index + 1 == stack.len() => return Ok(found),
                "UDP" => return Err(no_udp(FIELD)),
                "TCP" => return Err(bad("TCP is the last of a stack".to_owned())),
                other => return Err(bad(format!("'{other}' is not a layer"))),
            }
        }
        Err(bad("a stack ends with TCP".to_owned()))
    }

    /// Emissary's names for the metrics of a listener.
    pub(crate) fn stats_prefix(self, port: u16) -> String {
        match (self.http, self.tls) {
            (true, true) => "ingress_https".to_owned(),
            (true, false) => "ingress_http".to_owned(),
            (false, true) => format!("ingress_tls_{port}"),
            (false, false) => format!("ingress_tcp_{port}"),
        }
    }
}

fn no_udp(field: &str) -> Flaw {
    Flaw::new("not-supported", field, "HTTP/3 and UDP are not supported yet", "use protocol: HTTPS")
}
