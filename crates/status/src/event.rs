//! Kubernetes Events for what is refused: once for every object, generation and reason.

use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use plenipo_resources::{Meta, Object, ObjectId, Origin, Set};
use serde_json::{Value, json};

use crate::condition::{Condition, cut};
use crate::judgement::Judgement;
use crate::reason::{Aspect, Reason};

/// What the apiserver takes of a note, in bytes.
const NOTE: usize = 1024;
/// What it takes of a name is 253; the rest is the dot and the hash.
const NAME: usize = 230;
/// Who reports.
const CONTROLLER: &str = "plenipo.dev/gateway";

/// Something to tell about an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Event {
    /// The same for the same object, generation and reason: the apiserver takes one of a name.
    pub(crate) name: String,
    pub(crate) namespace: String,
    regarding: Value,
    reason: &'static str,
    note: String,
}

/// Is this worth an event? What only follows from another condition is not.
fn tells(condition: &Condition) -> bool {
    !matches!(
        condition.reason,
        Reason::Accepted
            | Reason::ResolvedRefs
            | Reason::Programmed
            | Reason::NotAccepted
            | Reason::RefsNotResolved
            | Reason::NoListener
    ) && (condition.aspect != Aspect::Programmed || condition.reason != Reason::EarlierVersionServes)
}

/// Whom an event is about.
#[derive(Clone, Debug)]
pub(crate) struct Subject<'a> {
    /// The object judged.
    pub(crate) id: &'a ObjectId,
    /// Its generation, or that of the object that carries it.
    pub(crate) generation: i64,
    /// The object in the cluster: the same, or the one that carries it in an annotation.
    pub(crate) place: &'a ObjectId,
    /// Of `place`.
    pub(crate) api_version: &'a str,
    /// Of `place`.
    pub(crate) uid: &'a str,
}

impl<'a> Subject<'a> {
    /// None of an object that is not in the cluster.
    pub(crate) fn of(set: &'a Set, object: &'a Object) -> Option<Self> {
        let place = match &object.origin {
            Origin::Cluster => object,
            Origin::Annotation { parent, .. } => set.get(&parent.kind, &parent.namespace, &parent.name)?,
            Origin::File { .. } => return None,
        };
        let Meta { api_version, uid, .. } = &place.meta;
        Some(Self { id: &object.id, generation: object.meta.generation, place: &place.id, api_version, uid })
    }

    /// What there is to tell of a judgement, but for what `is_known`.
    pub(crate) fn events(&self, judgement: &Judgement, is_known: impl Fn(&Condition) -> bool) -> Vec<Event> {
        let new = judgement.conditions.iter().filter(|condition| tells(condition) && !is_known(condition));
        new.map(|condition| Event::new(self, condition)).collect()
    }
}

impl Event {
    fn new(subject: &Subject<'_>, condition: &Condition) -> Self {
        let Subject { id, place, api_version, uid, generation } = subject;
        let mut hasher = DefaultHasher::new();
        (id, uid, generation, condition.reason.name()).hash(&mut hasher);
        let ObjectId { kind, namespace, name } = place;
        // Names of some kinds may hold what those of Events may not; the hash tells them apart all the same.
        let plain =
            |it: char| if it.is_ascii_lowercase() || it.is_ascii_digit() || it == '.' { it } else { '-' };
        let prefix: String = cut(name, NAME).chars().map(plain).collect();
        let about = if id == place { String::new() } else { format!("{id}: ") };
        Self {
            name: format!("{}.{:016x}", prefix.trim_matches(['-', '.']), hasher.finish()),
            namespace: if namespace.is_empty() { "default".to_owned() } else { namespace.to_string() },
            regarding: json!({
                "apiVersion": api_version, "kind": **kind, "namespace": **namespace, "name": **name, "uid": uid,
            }),
            reason: condition.reason.name(),
            note: cut(&format!("{about}{}", condition.message), NOTE).to_owned(),
        }
    }

    /// As it is written (`events.k8s.io/v1`), by this replica.
    pub(crate) fn written(&self, instance: &str) -> Value {
        json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "eventTime": MicroTime::from(Timestamp::now()),
            "reportingController": CONTROLLER,
            "reportingInstance": cut(instance, 128),
            "action": "Serve",
            "reason": self.reason,
            "type": "Warning",
            "regarding": self.regarding,
            "note": self.note,
        })
    }

    /// Where it is written.
    pub(crate) fn path(&self) -> String {
        format!("/apis/events.k8s.io/v1/namespaces/{}/events", self.namespace)
    }
}
