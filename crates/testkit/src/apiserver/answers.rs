//! Which request gives which answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Channel, Full};
use serde_json::{Value, json};
use std::convert::Infallible;
use tokio::time::{Instant, timeout_at};

use super::Shared;
use super::store::{Resource, Store, place, split};

type Body = BoxBody<Bytes, Infallible>;

/// What is asked for.
#[derive(Clone, Debug)]
struct Question {
    api_version: String,
    resource: Resource,
    namespace: Option<String>,
    name: Option<String>,
    query: BTreeMap<String, String>,
    /// Only names and labels are wanted.
    names_only: bool,
}

pub(super) fn answer<B>(shared: &Arc<Shared>, request: &Request<B>) -> Response<Body> {
    let uri = request.uri();
    let mut store = shared.store();
    store.asked.push(uri.to_string());
    let parts: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
    let (api_version, rest) = match parts.as_slice() {
        ["apis"] => return json_answer(StatusCode::OK, &groups(&store)),
        ["apis", group, version] => return json_answer(StatusCode::OK, &resources(&store, group, version)),
        ["api", version, rest @ ..] => ((*version).to_owned(), rest),
        ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
        _ => return failure(404, "there is no such path"),
    };
    let (namespace, plural, name) = match rest {
        ["namespaces", namespace, plural] => (Some(*namespace), *plural, None),
        ["namespaces", namespace, plural, name] => (Some(*namespace), *plural, Some(*name)),
        [plural] => (None, *plural, None),
        [plural, name] => (None, *plural, Some(*name)),
        _ => return failure(404, "there is no such path"),
    };
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let question = Question {
        resource: (split(&api_version).0, plural.to_owned()),
        api_version,
        namespace: namespace.map(str::to_owned),
        name: name.map(str::to_owned),
        query: query(uri.query().unwrap_or_default()),
        names_only: accept.is_some_and(|accept| accept.contains("PartialObjectMetadata")),
    };
    if let Some(refusal) = question.refusal(&store) {
        return refusal;
    }
    if question.query.get("watch").is_some_and(|value| value == "true") {
        drop(store);
        return watch(Arc::clone(shared), question);
    }
    match &question.name {
        Some(_) => match question.objects(&store).next() {
            Some(object) => json_answer(StatusCode::OK, &object),
            None => failure(404, "there is no such object"),
        },
        None => list(&store, &question),
    }
}

fn groups(store: &Store) -> Value {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for ((group, _), (of_kind, _)) in store.served.iter().filter(|((group, _), _)| !group.is_empty()) {
        versions.entry(group).or_default().extend(of_kind.iter().map(String::as_str));
    }
    for (group, version) in [("apps", "v1"), ("discovery.k8s.io", "v1"), ("networking.k8s.io", "v1")] {
        versions.entry(group).or_default().push(version);
    }
    let groups = versions.into_iter().map(|(group, mut versions)| {
        versions.sort_unstable();
        versions.dedup();
        let all: Vec<_> = versions
            .iter()
            .map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
            .collect();
        json!({"name": group, "versions": all, "preferredVersion": all[0]})
    });
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups.collect::<Vec<_>>()})
}

fn resources(store: &Store, group: &str, version: &str) -> Value {
    let here = store
        .served
        .iter()
        .filter(|((other, _), (versions, _))| other == group && versions.contains(version));
    let resources = here.map(|((_, plural), (_, kind))| {
        json!({"name": plural, "singularName": "", "namespaced": true, "kind": kind, "verbs": ["get", "list", "watch"]})
    });
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{group}/{version}"),
           "resources": resources.collect::<Vec<_>>()})
}

impl Question {
    fn refusal(&self, store: &Store) -> Option<Response<Body>> {
        let by_name = self.name.is_some()
            || self.query.get("fieldSelector").is_some_and(|it| it.contains("metadata.name="));
        if let Some((code, message)) = store.refused.get(&self.resource.1)
            && (*code != 403 || !by_name)
        {
            return Some(failure(*code, message));
        }
        if store.unconvertible.contains(&self.api_version) {
            return Some(failure(500, "conversion webhook for it failed"));
        }
        let built_in =
            ["", "apps", "discovery.k8s.io", "networking.k8s.io"].contains(&self.resource.0.as_str());
        let served = store
            .served
            .get(&self.resource)
            .is_some_and(|(versions, _)| versions.contains(&split(&self.api_version).1));
        (!served && !built_in).then(|| failure(404, "the server could not find the requested resource"))
    }

    fn takes(&self, object: &Value) -> bool {
        let (namespace, name) = place(object);
        let fields = self.query.get("fieldSelector").map(String::as_str).unwrap_or_default();
        let field = |term: &str| match term.split_once("!=") {
            Some(("type", value)) => object["type"] != value,
            _ => term.split_once('=').is_none_or(|(key, value)| match key {
                "metadata.name" => name == value,
                "metadata.namespace" => namespace == value,
                _ => true,
            }),
        };
        let labels = self.query.get("labelSelector").map(String::as_str).unwrap_or_default();
        let label = |term: &str| {
            term.split_once('=').is_none_or(|(key, value)| object["metadata"]["labels"][key] == value)
        };
        self.namespace.as_ref().is_none_or(|own| *own == namespace)
            && self.name.as_ref().is_none_or(|own| *own == name)
            && fields.split(',').filter(|term| !term.is_empty()).all(field)
            && labels.split(',').filter(|term| !term.is_empty()).all(label)
    }

    /// As it is asked for.
    fn shown(&self, object: &Value) -> Value {
        let mut shown = object.clone();
        shown["apiVersion"] = self.api_version.clone().into();
        if self.names_only {
            shown = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": shown["metadata"]});
        }
        shown
    }

    fn objects<'a>(&'a self, store: &'a Store) -> impl Iterator<Item = Value> + 'a {
        store.objects(&self.resource).filter(|object| self.takes(object)).map(|object| self.shown(object))
    }
}

/// Pages are small, so that there are several. Lists of Kubernetes' own kinds leave out the kind of each.
fn list(store: &Store, question: &Question) -> Response<Body> {
    const PAGE: usize = 3;
    let skipped = question.query.get("continue").and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
    let all: Vec<Value> = question.objects(store).collect();
    let mut items: Vec<Value> = all.iter().skip(skipped).take(PAGE).cloned().collect();
    for item in items.iter_mut().filter(|_| !question.resource.0.contains("getambassador")) {
        if let Value::Object(fields) = item {
            fields.remove("kind");
            fields.remove("apiVersion");
        }
    }
    let next = if all.len() > skipped + PAGE { (skipped + PAGE).to_string() } else { String::new() };
    let metadata = json!({"resourceVersion": store.version.to_string(), "continue": next});
    let items = if items.is_empty() && question.names_only { Value::Null } else { items.into() };
    json_answer(
        StatusCode::OK,
        &json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items}),
    )
}

fn watch(shared: Arc<Shared>, question: Question) -> Response<Body> {
    let number = |key: &str| question.query.get(key).and_then(|text| text.parse::<u64>().ok());
    let mut from = number("resourceVersion").unwrap_or(0);
    let end = Instant::now() + Duration::from_secs(number("timeoutSeconds").unwrap_or(60));
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(16);
    tokio::spawn(async move {
        let mut changed = shared.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let mut lines = Vec::new();
            {
                let store = shared.store();
                if from < store.oldest {
                    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                                        "message": "too old resource version", "reason": "Expired", "code": 410});
                    lines.push(json!({"type": "ERROR", "object": status}));
                    from = u64::MAX;
                } else {
                    let new = store
                        .events
                        .iter()
                        .filter(|event| event.version > from && event.resource == question.resource);
                    lines.extend(
                        new.filter(|event| question.takes(&event.object)).map(
                            |event| json!({"type": event.name, "object": question.shown(&event.object)}),
                        ),
                    );
                    from = store.version;
                }
            }
            for line in lines {
                if sender.send_data(Bytes::from(format!("{line}\n"))).await.is_err() {
                    return;
                }
            }
            if from == u64::MAX || !matches!(timeout_at(end, changed.changed()).await, Ok(Ok(()))) {
                return;
            }
        }
    });
    let mut answer = Response::new(body.boxed());
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    answer
}

fn query(text: &str) -> BTreeMap<String, String> {
    let decoded = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            let digits = || [rest.clone().next(), rest.clone().nth(1)];
            let value = match (byte, digits()) {
                (b'%', [Some(high), Some(low)]) => {
                    let text = [high, low];
                    let value =
                        std::str::from_utf8(&text).ok().and_then(|text| u8::from_str_radix(text, 16).ok());
                    rest.nth(1);
                    value.unwrap_or(b'?')
                }
                (b'+', _) => b' ',
                (other, _) => other,
            };
            bytes.push(value);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (decoded(key), decoded(value))).collect()
}

fn json_answer(status: StatusCode, value: &Value) -> Response<Body> {
    let mut answer = Response::new(Full::new(Bytes::from(value.to_string())).boxed());
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    answer
}

fn failure(code: u16, message: &str) -> Response<Body> {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
                        "reason": "Test", "code": code});
    json_answer(StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &status)
}
