//! In which version an object of a cluster was written.
//!
//! A cluster gives every object in the version that it is asked for. Where nothing is converted between versions that
//! says nothing about the object, and a few fields mean something else in v2 than in v3alpha1: a Mapping without a host
//! is for every Host, `host` may be a pattern, the scheme of a TCPMapping's service says nothing. What else an object
//! shows tells in which version its author thought.

use serde::Deserialize;
use serde_json::Value;

use super::Version;
use super::upgrade::{NO_HOST, ONLY_V3ALPHA1};

/// The annotation in which kubectl keeps what was applied.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The version in whose sense an object is to be read that is given in version `given`.
pub(crate) fn version(given: Version, metadata: &Value, spec: Option<&Value>) -> Version {
    let writers = || {
        let entries = metadata.get("managedFields").and_then(Value::as_array);
        entries.into_iter().flatten().filter_map(Writer::read)
    };
    spec.and_then(shape)
        // Who applies on the server's side says the version anew each time.
        .or_else(|| {
            writers().filter(|writer| writer.applies).max_by_key(|writer| writer.at).map(|it| it.version)
        })
        .or_else(|| last_applied(metadata))
        // Other programs change single fields, in the version they like best: `kubectl edit` takes v2. One that knew
        // v3alpha1 is enough.
        .or_else(|| writers().map(|writer| writer.version).max())
        .unwrap_or(given)
}

/// What only Emissary's conversion writes: `v3…` and marked ids when it turned v3alpha1 into v2, `v2…` the other way.
fn shape(spec: &Value) -> Option<Version> {
    let fields = spec.as_object()?;
    let begins =
        |fields: &serde_json::Map<String, Value>, with: &str| fields.keys().any(|key| key.starts_with(with));
    if begins(fields, "v2")
        || fields.get("cors").and_then(Value::as_object).is_some_and(|cors| begins(cors, "v2"))
    {
        return Some(Version::V3alpha1);
    }
    let marked = |id: &Value| id.as_str().is_some_and(|id| id.starts_with(ONLY_V3ALPHA1));
    let ids = fields.get("ambassador_id");
    let marked = ids.is_some_and(|ids| marked(ids) || ids.as_array().into_iter().flatten().any(marked));
    let no_host = fields.get("host").and_then(Value::as_str) == Some(NO_HOST);
    (marked || no_host || begins(fields, "v3")).then_some(Version::V2)
}

fn last_applied(metadata: &Value) -> Option<Version> {
    #[derive(Deserialize)]
    struct Applied {
        #[serde(rename = "apiVersion")]
        api_version: String,
    }
    let text = metadata.get("annotations")?.get(LAST_APPLIED)?.as_str()?;
    of_group(&serde_json::from_str::<Applied>(text).ok()?.api_version)
}

/// Somebody who wrote some of `spec`.
struct Writer<'a> {
    version: Version,
    applies: bool,
    /// RFC 3339, in UTC: later texts are later times.
    at: &'a str,
}

impl<'a> Writer<'a> {
    fn read(entry: &'a Value) -> Option<Self> {
        entry.get("fieldsV1")?.get("f:spec")?;
        let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
        let version = of_group(text("apiVersion"))?;
        Some(Self { version, applies: text("operation") == "Apply", at: text("time") })
    }
}

fn of_group(api_version: &str) -> Option<Version> {
    Version::parse(api_version.strip_prefix("getambassador.io/")?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Version::{V1, V2, V3alpha1};
    use super::*;

    fn writer(operation: &str, version: &str, at: &str, fields: &str) -> Value {
        json!({
            "manager": "somebody", "operation": operation, "apiVersion": format!("getambassador.io/{version}"),
            "time": at, "fieldsType": "FieldsV1", "fieldsV1": {fields: {}},
        })
    }

    #[track_caller]
    fn check(metadata: &Value, spec: &Value, expected: Version) {
        assert_eq!(version(V3alpha1, metadata, Some(spec)), expected, "{metadata} {spec}");
    }

    #[test]
    fn nothing_to_go_by() {
        check(&json!({}), &json!({"prefix": "/"}), V3alpha1);
        assert_eq!(version(V1, &json!({"annotations": {LAST_APPLIED: "{"}}), None), V1);
        check(
            &json!({"managedFields": [writer("Update", "v2", "2026-01-01T00:00:00Z", "f:status")]}),
            &json!({}),
            V3alpha1,
        );
        check(
            &json!({"annotations": {LAST_APPLIED: r#"{"apiVersion": "other.io/v2"}"#}}),
            &json!({}),
            V3alpha1,
        );
    }

    #[test]
    fn what_conversion_leaves() {
        let says_v2 = json!({"managedFields": [writer("Apply", "v2", "2026-01-01T00:00:00Z", "f:spec")]});
        check(&says_v2, &json!({"v2ExplicitTLS": {"tls": "bool:true"}, "service": "https://a"}), V3alpha1);
        check(&says_v2, &json!({"cors": {"v2CommaSeparatedOrigins": true}}), V3alpha1);
        check(&json!({}), &json!({"ambassador_id": ["--apiVersion-v3alpha1-only--default"]}), V2);
        check(&json!({}), &json!({"ambassador_id": "--apiVersion-v3alpha1-only--default"}), V2);
        check(&json!({}), &json!({"host": "_skip_mapping_with_empty_host_"}), V2);
        check(&json!({}), &json!({"v3StatsName": "a"}), V2);
    }

    #[test]
    fn who_wrote_it() {
        let spec = json!({"prefix": "/", "service": "a"});
        let early = "2026-01-01T00:00:00Z";
        let late = "2026-06-01T00:00:00Z";
        let by = |entries: &[Value]| json!({"managedFields": entries});
        // Argo Rollouts creates Mappings as v2.
        check(&by(&[writer("Update", "v2", early, "f:spec")]), &spec, V2);
        // `kubectl edit` of an object that Helm made.
        check(
            &by(&[writer("Update", "v3alpha1", early, "f:spec"), writer("Update", "v2", late, "f:spec")]),
            &spec,
            V3alpha1,
        );
        check(
            &by(&[writer("Apply", "v2", early, "f:spec"), writer("Apply", "v3alpha1", late, "f:spec")]),
            &spec,
            V3alpha1,
        );
        check(
            &by(&[writer("Update", "v3alpha1", early, "f:spec"), writer("Apply", "v2", early, "f:spec")]),
            &spec,
            V2,
        );
    }

    #[test]
    fn what_kubectl_remembers() {
        let mut metadata =
            json!({"annotations": {LAST_APPLIED: r#"{"apiVersion": "getambassador.io/v1", "spec": {}}"#}});
        check(&metadata, &json!({}), V1);
        metadata["managedFields"] = json!([writer("Update", "v3alpha1", "2026-01-01T00:00:00Z", "f:spec")]);
        check(&metadata, &json!({}), V1);
        metadata["managedFields"] = json!([writer("Apply", "v3alpha1", "2026-01-01T00:00:00Z", "f:spec")]);
        check(&metadata, &json!({}), V3alpha1);
    }
}
