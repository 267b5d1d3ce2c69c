//! Values of Emissary's Helm chart as values of Plenipo's.

mod names;

use serde::Serialize;
use serde_json::{Map, Value, json};

use names::{ENVIRONMENT, MEANINGLESS, RENAMED, SAME};

/// Values for Plenipo's chart, and what became of the others.
#[derive(Debug)]
pub struct Values {
    /// For `helm install plenipo … --values`.
    pub values: Value,
    /// What was not taken over, or in another way.
    pub told: Vec<Told>,
}

/// A value of Emissary's chart that is not simply taken over.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Told {
    /// `service.portsRaw`.
    pub key: String,
    /// What becomes of it, or why nothing does.
    pub what: String,
}

/// Values of the chart `emissary-ingress` (8.x, and those before it), or of a chart that has it as a part.
#[must_use]
pub fn values(written: &Value) -> Values {
    let part = ["emissary-ingress", "ambassador"].iter().find_map(|name| written.get(*name));
    let whole = part.filter(|part| part.is_object()).unwrap_or(written);
    let mut reader = Reader { left: whole.clone(), out: Map::new(), told: Vec::new() };
    for key in SAME {
        if let Some(value) = reader.take(key) {
            reader.put(key, value);
        }
    }
    for (from, to) in RENAMED {
        if let Some(value) = reader.take(from) {
            reader.put(to, value);
            reader.tell(from, format!("is {to}"));
        }
    }
    reader.environment();
    reader.raw_environment();
    reader.disruption_budget();
    reader.ingress_class();
    reader.listeners();
    reader.names_of_secrets();
    for (key, why) in MEANINGLESS {
        if reader.take(key).is_some() {
            reader.tell(key, format!("has no meaning: {why}"));
        }
    }
    reader.finish()
}

struct Reader {
    /// What nobody has taken yet.
    left: Value,
    out: Map<String, Value>,
    told: Vec<Told>,
}

impl Reader {
    /// A value as written; none when it is absent, null or empty (which Emissary's chart has as "not set").
    fn take(&mut self, key: &str) -> Option<Value> {
        let (parent, name) = key.rsplit_once('.').map_or((None, key), |(parent, name)| (Some(parent), name));
        let mut place = &mut self.left;
        for step in parent.into_iter().flat_map(|parent| parent.split('.')) {
            place = place.get_mut(step)?;
        }
        let taken = place.as_object_mut()?.remove(name)?;
        (!is_empty(&taken)).then_some(taken)
    }

    fn put(&mut self, key: &str, value: Value) {
        let mut place = &mut self.out;
        let mut steps = key.split('.').peekable();
        while let Some(step) = steps.next() {
            if steps.peek().is_none() {
                place.insert(step.to_owned(), value);
                return;
            }
            let inner = place.entry(step.to_owned()).or_insert_with(|| json!({}));
            let Value::Object(inner) = inner else { return };
            place = inner;
        }
    }

    fn tell(&mut self, key: &str, what: impl Into<String>) {
        self.told.push(Told { key: key.to_owned(), what: what.into() });
    }

    /// Variables that mean something here, some of them as values of their own.
    fn environment(&mut self) {
        let Some(Value::Object(variables)) = self.take("env") else { return };
        for (name, value) in variables {
            let key = format!("env.{name}");
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            match name.as_str() {
                "AMBASSADOR_ID" => self.renamed(&key, "ambassadorId", json!(text)),
                "AMBASSADOR_SINGLE_NAMESPACE" if !text.is_empty() => {
                    self.renamed(&key, "scope.singleNamespace", json!(true));
                }
                "AMBASSADOR_DRAIN_TIME" => match text.parse::<u64>() {
                    Ok(seconds) => self.renamed(&key, "drain.maxSeconds", json!(seconds)),
                    Err(_) => self.tell(&key, "has no meaning: it is no number of seconds"),
                },
                "ENVOY_CONCURRENCY" => match text.parse::<u16>() {
                    Ok(threads) => self.renamed(&key, "workers", json!(threads)),
                    Err(_) => self.tell(&key, "has no meaning: it is no number"),
                },
                "AES_LOG_LEVEL" => self.renamed(&key, "log.level", json!(text)),
                "AMBASSADOR_JSON_LOGGING" => {
                    let format = if text.eq_ignore_ascii_case("true") { "json" } else { "text" };
                    self.renamed(&key, "log.format", json!(format));
                }
                "AMBASSADOR_ENVOY_BIND_ADDRESS" => self.renamed(&key, "bindAddress", json!(text)),
                "AMBASSADOR_HEALTHCHECK_BIND_PORT" => match text.parse::<u16>() {
                    Ok(port) => self.renamed(&key, "admin.port", json!(port)),
                    Err(_) => self.tell(&key, "has no meaning: it is no port"),
                },
                known if ENVIRONMENT.contains(&known) => self.put(&key, value),
                _ => self.tell(
                    &key,
                    "has no meaning: Plenipo does not read it, and replaces no variables in objects",
                ),
            }
        }
    }

    fn renamed(&mut self, from: &str, to: &str, value: Value) {
        self.put(to, value);
        self.tell(from, format!("is {to}"));
    }

    /// A text of YAML in Emissary's chart, a list here.
    fn raw_environment(&mut self) {
        let Some(value) = self.take("envRaw") else { return };
        let list = match value {
            Value::String(text) => {
                plenipo_resources::documents(&text).first().and_then(|document| document.value().ok())
            }
            other => Some(other),
        };
        match list {
            Some(list @ Value::Array(_)) => {
                self.put("envRaw", list);
                self.tell("envRaw", "is taken over; what Plenipo does not read has no effect");
            }
            _ => self.tell("envRaw", "has no meaning: it is no list of variables"),
        }
    }

    fn disruption_budget(&mut self) {
        let Some(Value::Object(budget)) = self.take("podDisruptionBudget") else { return };
        for (name, value) in budget {
            match name.as_str() {
                "minAvailable" | "maxUnavailable" => self.put(&format!("podDisruptionBudget.{name}"), value),
                _ => self
                    .tell(&format!("podDisruptionBudget.{name}"), "has no meaning: the chart knows the pods"),
            }
        }
        self.put("podDisruptionBudget.enabled", json!(true));
    }

    /// Ingresses of Emissary's class are read without a class of Plenipo's; its object is the old release's.
    fn ingress_class(&mut self) {
        let Some(Value::Object(class)) = self.take("ingressClassResource") else { return };
        if class.get("enabled").is_some_and(|enabled| enabled == false) {
            self.put("ingressClass.create", json!(false));
        }
        if class.get("default").is_some_and(|default| default == true) {
            self.put("ingressClass.default", json!(true));
        }
        let name = class.get("name").and_then(Value::as_str).unwrap_or("ambassador");
        let what = format!(
            "is ingressClass: Plenipo's is named plenipo; keep the IngressClass '{name}' for the Ingresses that name it, \
             they are read as Emissary reads them"
        );
        self.tell("ingressClassResource", what);
    }

    /// Two have names in both charts; others become objects.
    fn listeners(&mut self) {
        let Some(Value::Object(listeners)) = self.take("listeners") else { return };
        let mut objects = Vec::new();
        for (name, listener) in listeners {
            if name == "http" || name == "https" {
                self.put(&format!("listeners.{name}"), listener);
            } else if listener.get("create").is_some_and(|create| create == true) {
                objects.push(json!({
                    "apiVersion": "getambassador.io/v3alpha1",
                    "kind": "Listener",
                    "metadata": { "name": name },
                    "spec": listener.get("spec").cloned().unwrap_or_else(|| json!({})),
                }));
                self.tell(&format!("listeners.{name}"), "is an object of extraObjects");
            }
        }
        if !objects.is_empty() {
            self.put("extraObjects", Value::Array(objects));
        }
    }

    /// Where the chart's own image comes from stays; Emissary's does not.
    fn names_of_secrets(&mut self) {
        if let Some(secrets) = self.take("imagePullSecrets") {
            self.put("imagePullSecrets", secrets);
        }
    }

    fn finish(mut self) -> Values {
        let mut unknown = Vec::new();
        leaves("", &self.left, &mut unknown);
        for key in unknown {
            self.tell(&key, "is no value of Emissary's chart that has a counterpart");
        }
        Values { values: Value::Object(self.out), told: self.told }
    }
}

/// Not set, as Emissary's chart has it.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The paths of everything that is set.
fn leaves(at: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                leaves(&path, value, found);
            }
        }
        value if is_empty(value) => {}
        _ => found.push(at.to_owned()),
    }
}
