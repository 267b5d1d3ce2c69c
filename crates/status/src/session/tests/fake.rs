//! An apiserver, as far as it matters here.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// What is in it, and what it was asked.
#[derive(Default)]
pub(super) struct State {
    /// Objects, Leases and Events by their path.
    pub(super) objects: BTreeMap<String, Value>,
    /// `GET /path`, without the query.
    pub(super) asked: Vec<String>,
    /// What `status.conditions` is: `map`, `atomic`, or nothing at all.
    pub(super) list: Option<&'static str>,
    /// Answers this to every write of a status, with `Retry-After` if it is not 0.
    pub(super) refusing: Option<(u16, u64)>,
    /// And this is why.
    pub(super) why: &'static str,
    /// Does not answer for Leases.
    pub(super) leases_away: bool,
    version: u64,
}

#[derive(Clone)]
pub(super) struct Fake(Arc<Mutex<State>>);

type Answer = (u16, Value);

impl Fake {
    pub(super) fn new(list: Option<&'static str>) -> Self {
        Self(Arc::new(Mutex::new(State { list, ..State::default() })))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while it has it")
    }

    pub(super) fn client(&self) -> Client {
        let fake = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let fake = fake.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap_or_default();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let mut state = fake.state();
                let (status, value) = state.answer(&head.method, head.uri.path(), &body);
                let mut response = Response::builder().status(status);
                if let Some((_, seconds)) =
                    state.refusing.filter(|(refused, after)| *refused == status && *after > 0)
                {
                    response = response.header("retry-after", seconds);
                }
                Ok::<_, Infallible>(
                    response.body(Body::from(value.to_string().into_bytes())).expect("it is one"),
                )
            }
        });
        Client::new(service, "default")
    }

    /// How often something was asked that begins and ends like this.
    pub(super) fn count(&self, begins: &str, ends: &str) -> usize {
        self.state().asked.iter().filter(|it| it.starts_with(begins) && it.ends_with(ends)).count()
    }

    pub(super) fn writes(&self) -> usize {
        self.count("PATCH", "/status")
    }
}

impl State {
    fn answer(&mut self, method: &Method, path: &str, body: &Value) -> Answer {
        self.asked.push(format!("{method} {path}"));
        let absent = (404, json!({"message": "not found"}));
        if path.contains("/leases") && self.leases_away {
            return (503, Value::Null);
        }
        match (method, path) {
            (&Method::GET, "/openapi/v3") => {
                let hash = self.list.unwrap_or("none");
                let place = format!("/openapi/v3/apis/getambassador.io/v3alpha1?hash={hash}");
                let place = json!({"serverRelativeURL": place});
                (200, json!({"paths": {"apis/getambassador.io/v3alpha1": place}}))
            }
            (&Method::GET, path) if path.starts_with("/openapi/v3/") => (200, self.definitions()),
            (&Method::GET, path) => match self.objects.get(path) {
                Some(object) => (200, object.clone()),
                None if is_list(path) => (200, self.list_of(path)),
                None => absent,
            },
            (&Method::POST, path) => {
                let name = body["metadata"]["name"].as_str().unwrap_or_default();
                let path = format!("{path}/{name}");
                match self.objects.contains_key(&path) {
                    true => (409, Value::Null),
                    false => (201, self.store(path, body.clone())),
                }
            }
            (&Method::PUT, path) => match self.objects.get(path) {
                None => absent,
                Some(found)
                    if found["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] =>
                {
                    (409, Value::Null)
                }
                Some(_) => (200, self.store(path.to_owned(), body.clone())),
            },
            (&Method::PATCH, path) => self.apply(path.trim_end_matches("/status"), body),
            _ => (405, Value::Null),
        }
    }

    fn store(&mut self, path: String, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.objects.insert(path, object.clone());
        object
    }

    fn apply(&mut self, path: &str, body: &Value) -> Answer {
        if let Some((status, _)) = self.refusing {
            return (status, json!({"message": self.why}));
        }
        let Some(mut object) = self.objects.get(path).cloned() else { return (404, Value::Null) };
        let differs = |name: &str| {
            let wanted = &body["metadata"][name];
            !wanted.is_null() && *wanted != object["metadata"][name]
        };
        if differs("uid") || differs("resourceVersion") {
            return (409, json!({"message": "Precondition failed"}));
        }
        let mut status = body["status"].clone();
        if self.list == Some("map") {
            let ours = status["conditions"].as_array().cloned().unwrap_or_default();
            let theirs = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let theirs = theirs.into_iter().filter(|it| !ours.iter().any(|our| our["type"] == it["type"]));
            let all: Vec<Value> = theirs.chain(ours.iter().cloned()).collect();
            if !all.is_empty() {
                status["conditions"] = all.into();
            }
        }
        object["status"] = status;
        object["metadata"]["managedFields"] = json!([{"manager": "plenipo"}]);
        (200, self.store(path.to_owned(), object))
    }

    fn list_of(&self, path: &str) -> Value {
        let plural = path.rsplit('/').next().unwrap_or_default();
        let part = format!("/{plural}/");
        let items: Vec<&Value> =
            self.objects.iter().filter(|(path, _)| path.contains(&part)).map(|(_, object)| object).collect();
        json!({"metadata": {}, "items": items})
    }

    fn definitions(&self) -> Value {
        let mut status = json!({"properties": {"state": {}, "reason": {}, "errorReason": {}}});
        if let Some(list) = self.list {
            status["properties"]["conditions"] = json!({"x-kubernetes-list-type": list});
        }
        let mut document = json!({"paths": {}, "components": {"schemas": {}}});
        for (kind, plural) in [("Mapping", "mappings"), ("Host", "hosts"), ("Listener", "listeners")] {
            let path =
                format!("/apis/getambassador.io/v3alpha1/namespaces/{{namespace}}/{plural}/{{name}}/status");
            document["paths"][path] = json!({});
            let names = json!([{"group": "getambassador.io", "version": "v3alpha1", "kind": kind}]);
            document["components"]["schemas"][kind] =
                json!({"properties": {"status": status}, "x-kubernetes-group-version-kind": names});
        }
        document
    }
}

fn is_list(path: &str) -> bool {
    path.starts_with("/apis/") && path.split('/').count() == 5
}
