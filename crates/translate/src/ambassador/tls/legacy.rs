//! TLS written into a Module: the old Module named `tls`, and the same inside the one named `ambassador`.

use plenipo_resources::Object;
use plenipo_resources::ambassador::{TlsConfig, TlsContext};
use serde::Deserialize;
use serde_json::Value;

use crate::secrets::SecretName;

/// `server` (a certificate), `client` (what client certificates are checked against), and contexts for upstreams by any
/// other name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LegacyTls<'a> {
    pub(crate) object: &'a Object,
    /// `spec.config` or `spec.config.tls`.
    pub(crate) field: &'static str,
    config: &'a Value,
}

impl<'a> LegacyTls<'a> {
    pub(crate) fn new(object: &'a Object, field: &'static str, config: &'a Value) -> Option<Self> {
        config.is_object().then_some(Self { object, field, config })
    }

    /// The certificate, in the Module's namespace unless the name says otherwise. Default `ambassador-certs`.
    pub(crate) fn server(&self, namespacing: bool) -> Option<SecretName> {
        let part = self.part("server")?;
        let name = part.get("secret").and_then(Value::as_str).unwrap_or("ambassador-certs");
        Some(SecretName::parse(name, &self.object.id.namespace, namespacing))
    }

    /// Settings that ask for client certificates. Default `ambassador-cacert`.
    pub(crate) fn client(&self) -> Option<TlsConfig> {
        let part = self.part("client")?;
        let name = part.get("secret").and_then(Value::as_str).unwrap_or("ambassador-cacert");
        let required =
            ["cert_required", "certificate_required"].iter().find_map(|key| part.get(*key)?.as_bool());
        Some(TlsConfig { ca_secret: Some(name.to_owned()), cert_required: required, ..TlsConfig::default() })
    }

    /// The context for upstreams of this name.
    pub(crate) fn context(&self, name: &str) -> Option<TlsContext> {
        let part = self.part(name).filter(|_| name != "server" && name != "client")?;
        let tls = TlsConfig::deserialize(part).ok()?;
        let secret = part.get("secret").and_then(Value::as_str).map(str::to_owned);
        Some(TlsContext { secret, tls, ..TlsContext::default() })
    }

    /// A part that is there and not switched off.
    fn part(&self, name: &str) -> Option<&'a Value> {
        let part = self.config.get(name).filter(|part| part.is_object())?;
        let off = part.get("enabled").is_some_and(|enabled| enabled == false || enabled == "false");
        (!off).then_some(part)
    }
}
