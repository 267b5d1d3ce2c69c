//! TLS settings.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::AmbassadorId;
use crate::definition::form;

/// What `min_tls_version` and `max_tls_version` may be: v1.2, and the other spellings that are understood.
const TLS_VERSION: &str = r"^\s*([tT][lL][sS])?[vV]?1[._][0-3]\s*$";

/// TLS settings: all of a TLSContext's, and `spec.tls` of a Host (where both spellings occur).
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TlsConfig {
    /// File with the certificate and its chain, instead of a Secret.
    #[serde(alias = "certChainFile")]
    pub cert_chain_file: Option<String>,
    /// File with the private key that belongs to cert_chain_file.
    #[serde(alias = "privateKeyFile")]
    pub private_key_file: Option<String>,
    /// Secret with the authorities whose certificates are accepted: of clients, or of the service when TLS is spoken to
    /// it. Its ca.crt is read, else its tls.crt.
    #[serde(alias = "caSecret")]
    pub ca_secret: Option<String>,
    /// File with those authorities, instead of a Secret.
    #[serde(alias = "cacertChainFile")]
    pub cacert_chain_file: Option<String>,
    /// Secret with a list of revoked certificates, in crl.pem.
    #[serde(alias = "crlSecret", alias = "v3CRLSecret")]
    pub crl_secret: Option<String>,
    /// File with that list, instead of a Secret.
    #[serde(alias = "crlFile")]
    pub crl_file: Option<String>,
    /// Whether clients must show a certificate. Without it, one that is shown is checked.
    #[serde(alias = "certRequired")]
    pub cert_required: Option<bool>,
    /// Protocols offered to clients, joined by commas: "h2, http/1.1". Absent: none.
    #[serde(alias = "alpnProtocols")]
    pub alpn_protocols: Option<String>,
    /// Lowest version of TLS: v1.2 or v1.3. v1.0 and v1.1 are read as v1.2.
    #[serde(alias = "minTLSVersion", alias = "minTlsVersion")]
    #[schemars(extend("pattern" = TLS_VERSION))]
    pub min_tls_version: Option<String>,
    /// Highest version of TLS: v1.2 or v1.3. Below v1.2 nobody can connect, and the name is refused.
    #[serde(alias = "maxTLSVersion", alias = "maxTlsVersion")]
    #[schemars(extend("pattern" = TLS_VERSION))]
    pub max_tls_version: Option<String>,
    /// Cipher suites up to TLS 1.2, by their OpenSSL or IANA names.
    #[serde(alias = "cipherSuites")]
    pub cipher_suites: Option<Vec<String>>,
    /// Has no effect: X25519, P-256 and P-384 are offered.
    #[serde(alias = "ecdhCurves")]
    pub ecdh_curves: Option<Vec<String>>,
    /// Has no effect, as in Emissary: a Host's requestPolicy says what becomes of clear text.
    #[serde(alias = "redirectCleartextFrom")]
    pub redirect_cleartext_from: Option<i64>,
    /// The server name told to the service when TLS is spoken to it.
    pub sni: Option<String>,
    /// Names that the service's certificate must hold one of. Plenipo's own.
    #[serde(alias = "verifySubjectAltNames")]
    #[schemars(schema_with = "form::one_or_many")]
    pub verify_subject_alt_names: Option<Vec<String>>,
    /// Check the service's certificate against the authorities of the operating system. Plenipo's own.
    #[serde(alias = "verifySystemRoots")]
    pub verify_system_roots: Option<bool>,
    /// Fields that are not understood.
    #[serde(flatten)]
    #[schemars(skip)]
    pub rest: BTreeMap<String, Value>,
}

/// TLS settings under a name: for Hosts, for TCPMappings, and for TLS to services.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TlsContext {
    /// Which gateways read this: those whose $AMBASSADOR_ID is listed. One name or a list; absent is "default".
    #[schemars(schema_with = "form::one_or_many")]
    pub ambassador_id: AmbassadorId,
    /// Names of Hosts and TCPMappings that these settings are for.
    pub hosts: Vec<String>,
    /// Secret with the certificate: "name", or "name.namespace".
    pub secret: Option<String>,
    /// Whether what follows a dot in the names of Secrets is a namespace (true, unless the Module says otherwise).
    pub secret_namespacing: Option<bool>,
    /// The other fields of `spec`; [`decode`](crate::decode()) reads them.
    #[serde(skip)]
    pub tls: TlsConfig,
}
