//! Older spellings into the shape of v3alpha1, in this one place. Emissary accepts most of them in every version (its
//! compiler reads v1 annotations and v3alpha1 objects alike), so they are not tied to the version; the meaning of a
//! Mapping's `host` is.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::shape::{self, forgive};

type Fields = Map<String, Value>;

/// The version an object is written in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Version {
    /// `getambassador.io/v1`, and the annotations' `ambassador/v0` and `v1`.
    V1,
    /// `getambassador.io/v2`.
    V2,
    /// `getambassador.io/v3alpha1`.
    V3alpha1,
}

impl Version {
    /// `v2` → [`Version::V2`].
    pub fn parse(version: &str) -> Option<Self> {
        Some(match version {
            "v0" | "v1" => Self::V1,
            "v2" => Self::V2,
            "v3alpha1" => Self::V3alpha1,
            _ => return None,
        })
    }
}

/// Brings a `spec` into the shape of v3alpha1. What it does not recognise it leaves alone.
pub fn upgrade(kind: &str, version: Version, spec: &mut Value) {
    let Value::Object(fields) = spec else { return };
    ambassador_id(fields);
    match kind {
        "Mapping" => mapping(version, fields),
        "TCPMapping" => tcp_mapping(version, fields),
        "TLSContext" => tls_config(fields),
        "Host" => host(fields),
        "Listener" => forgive(fields, shape::LISTENER),
        "AuthService" => {
            rename(fields, "v3StatsName", "stats_name");
            rename(fields, "v3CircuitBreakers", "circuit_breakers");
            explicit_tls(fields, "auth_service");
        }
        _ => {}
    }
}

/// Prefix that Emissary's conversion puts before ids so that older Emissaries leave the object alone.
pub(super) const ONLY_V3ALPHA1: &str = "--apiVersion-v3alpha1-only--";

/// A text or a list, in two spellings; a v2 Host may have both, which add up.
fn ambassador_id(fields: &mut Fields) {
    let mut ids = Vec::new();
    for spelling in ["ambassador_id", "ambassadorId", "ambassadorID"] {
        match fields.remove(spelling) {
            Some(Value::Array(items)) => ids.extend(items),
            Some(Value::Null) | None => {}
            Some(one) => ids.push(one),
        }
    }
    for id in &mut ids {
        match id {
            Value::String(name) => {
                if let Some(real) = name.strip_prefix(ONLY_V3ALPHA1) {
                    *name = real.to_owned();
                }
            }
            Value::Number(number) => *id = number.to_string().into(),
            _ => {}
        }
    }
    if !ids.is_empty() {
        fields.insert("ambassador_id".to_owned(), ids.into());
    }
}

fn mapping(version: Version, fields: &mut Fields) {
    rename(fields, "v3StatsName", "stats_name");
    rename(fields, "v3health_checks", "health_checks");
    for bookkeeping in ["v2BoolHeaders", "v2BoolQueryParameters"] {
        fields.remove(bookkeeping);
    }
    presence(fields, "headers", "regex_headers");
    presence(fields, "query_parameters", "regex_query_parameters");
    explicit_tls(fields, "service");
    if let Some(Value::Object(cors)) = fields.get_mut("cors") {
        cors.remove("v2CommaSeparatedOrigins");
    }
    if let Some(Value::Object(keepalive)) = fields.get_mut("keepalive") {
        rename(keepalive, "time", "idle_time");
    }
    if let Some(labels) = fields.get_mut("labels") {
        descriptors(labels);
    }
    forgive(fields, shape::MAPPING);
    if version < Version::V3alpha1 {
        hostname(fields);
    }
}

/// Before v3alpha1 a `host` that is no regex is what `hostname` is now, and a Mapping without one is for every host.
/// (In v3alpha1 one without is for none, unless a Host selects it by label.)
fn hostname(fields: &mut Fields) {
    if fields.get("host_regex") == Some(&Value::Bool(true)) {
        return;
    }
    let host = match fields.remove("host") {
        Some(Value::String(host)) if host == NO_HOST => return,
        Some(Value::String(host)) if !host.is_empty() => host,
        Some(Value::String(_)) | None if !names_authority(fields) => "*".to_owned(),
        Some(Value::String(_)) | None => return,
        Some(other) => return drop(fields.insert("host".to_owned(), other)),
    };
    fields.entry("hostname").or_insert_with(|| host.into());
}

/// What Emissary's conversion writes into the `host` of a v3alpha1 Mapping without hostname when it stores it as v2.
pub(super) const NO_HOST: &str = "_skip_mapping_with_empty_host_";

fn names_authority(fields: &Fields) -> bool {
    ["headers", "regex_headers"].iter().any(|map| {
        let map = fields.get(*map).and_then(Value::as_object);
        map.is_some_and(|map| map.keys().any(|name| name.eq_ignore_ascii_case(":authority")))
    })
}

fn tcp_mapping(version: Version, fields: &mut Fields) {
    // Before v3alpha1 the scheme of a TCPMapping's service said nothing; only `tls` did.
    if version < Version::V3alpha1
        && let Some(Value::String(service)) = fields.get_mut("service")
        && let Some((_, bare)) = service.split_once("://")
    {
        *service = bare.to_owned();
    }
    rename(fields, "v3StatsName", "stats_name");
    explicit_tls(fields, "service");
    forgive(fields, shape::TCP_MAPPING);
}

fn host(fields: &mut Fields) {
    if let Some(Value::Object(tls)) = fields.get_mut("tls") {
        tls_config(tls);
    }
    forgive(fields, shape::HOST);
}

/// One spelling of each field. Both are met, in v3alpha1 too; the one with underscores wins.
fn tls_config(fields: &mut Fields) {
    for (other, name) in [
        ("certChainFile", "cert_chain_file"),
        ("privateKeyFile", "private_key_file"),
        ("caSecret", "ca_secret"),
        ("cacertChainFile", "cacert_chain_file"),
        ("crlSecret", "crl_secret"),
        ("v3CRLSecret", "crl_secret"),
        ("crlFile", "crl_file"),
        ("certRequired", "cert_required"),
        ("alpnProtocols", "alpn_protocols"),
        ("minTLSVersion", "min_tls_version"),
        ("minTlsVersion", "min_tls_version"),
        ("maxTLSVersion", "max_tls_version"),
        ("maxTlsVersion", "max_tls_version"),
        ("cipherSuites", "cipher_suites"),
        ("ecdhCurves", "ecdh_curves"),
        ("redirectCleartextFrom", "redirect_cleartext_from"),
        ("verifySubjectAltNames", "verify_subject_alt_names"),
        ("verifySystemRoots", "verify_system_roots"),
    ] {
        rename(fields, other, name);
    }
    forgive(fields, shape::TLS);
}

fn rename(fields: &mut Fields, from: &str, to: &str) {
    if let Some(value) = fields.remove(from) {
        fields.entry(to).or_insert(value);
    }
}

/// `tls: true` is `https://`; `false` and the empty text are nothing; any other text names a TLSContext.
fn explicit_tls(fields: &mut Fields, service: &str) {
    fields.remove("v2ExplicitTLS");
    let on = match fields.get("tls") {
        Some(Value::Bool(on)) => *on,
        Some(Value::Null) => false,
        Some(Value::String(context)) if context.is_empty() => false,
        _ => return,
    };
    fields.remove("tls");
    if on && let Some(Value::String(service)) = fields.get_mut(service) {
        let bare = service.split_once("://").map_or(service.as_str(), |(_, bare)| bare);
        *service = format!("https://{bare}");
    }
}

/// A header or query parameter matched with `true` has only to be there; with `false` it means nothing.
fn presence(fields: &mut Fields, exact: &str, regex: &str) {
    let Some(Value::Object(map)) = fields.get_mut(exact) else { return };
    let present: Vec<String> =
        map.iter().filter(|(_, value)| **value == Value::Bool(true)).map(|(name, _)| name.clone()).collect();
    map.retain(|_, value| !value.is_boolean());
    if present.is_empty() {
        return;
    }
    if let Value::Object(patterns) = fields.entry(regex).or_insert_with(|| json!({})) {
        for name in present {
            patterns.entry(name).or_insert_with(|| ".*".into());
        }
    }
}

/// Rate limit labels: `{domain: [{group: [specifier, …]}]}`, where specifiers used to be bare texts or
/// `{key: {header, omit_if_not_present}}`.
fn descriptors(labels: &mut Value) {
    let domains = labels.as_object_mut().into_iter().flat_map(Map::values_mut);
    let groups = domains.filter_map(Value::as_array_mut).flatten().filter_map(Value::as_object_mut);
    for specifier in groups.flat_map(Map::values_mut).filter_map(Value::as_array_mut).flatten() {
        if let Some(typed) = typed_specifier(specifier) {
            *specifier = typed;
        }
    }
}

fn typed_specifier(specifier: &Value) -> Option<Value> {
    let fields = match specifier {
        Value::String(name) => {
            return Some(match name.as_str() {
                "source_cluster" | "destination_cluster" | "remote_address" => json!({name: {"key": name}}),
                other => json!({"generic_key": {"value": other}}),
            });
        }
        Value::Object(fields) if fields.len() == 1 => fields,
        _ => return None,
    };
    let (key, value) = fields.iter().next()?;
    match value {
        Value::String(value) if key == "generic_key" => Some(json!({"generic_key": {"value": value}})),
        Value::Object(old) => {
            let mut header = json!({"key": key, "header_name": old.get("header")?});
            if let Some(omit) = old.get("omit_if_not_present") {
                header["omit_if_not_present"] = omit.clone();
            }
            Some(json!({"request_headers": header}))
        }
        _ => None,
    }
}

/// A list, or texts joined by commas.
pub(super) fn comma_list<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<String>>, D::Error> {
    let split = |one: String| one.split(',').map(|item| item.trim().to_owned()).collect();
    Ok(OneOrMany::deserialize(deserializer)?.list(split))
}

/// A list, or a single text.
pub(super) fn one_or_many<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<String>>, D::Error> {
    Ok(OneOrMany::deserialize(deserializer)?.list(|one| vec![one]))
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts was expected")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
    None,
}

impl OneOrMany {
    fn list(self, split: impl Fn(String) -> Vec<String>) -> Option<Vec<String>> {
        match self {
            Self::One(one) => Some(split(one)),
            Self::Many(many) => Some(many),
            Self::None => None,
        }
    }
}

#[cfg(test)]
mod tests;
