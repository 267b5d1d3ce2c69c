//! What is written into a status, what is found there, and whether that is the same.

use serde_json::{Map, Value, json};

use crate::condition::Condition;
use crate::judgement::Judgement;
use crate::reason::Aspect;
use crate::shape::{List, Shape};

/// Who we are to the apiserver.
pub(crate) const FIELD_MANAGER: &str = "plenipo";

/// What a status shall hold.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Content {
    /// Conditions and fields.
    Judged(Judgement),
    /// `status.loadBalancer.ingress`; empty to take back what was written.
    Addresses(Vec<Address>),
}

/// Where the gateway is.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum Address {
    /// An IP address.
    Ip(String),
    /// A host name.
    Hostname(String),
}

impl Address {
    /// Which of the two it is.
    pub(crate) fn new(text: &str) -> Self {
        match text.parse::<std::net::IpAddr>() {
            Ok(_) => Self::Ip(text.to_owned()),
            Err(_) => Self::Hostname(text.to_owned()),
        }
    }

    fn written(&self) -> Value {
        match self {
            Self::Ip(address) => json!({"ip": address}),
            Self::Hostname(name) => json!({"hostname": name}),
        }
    }
}

impl Content {
    /// Does a status say this already, as far as its shape lets it?
    pub(crate) fn is_in(&self, status: &Value, shape: &Shape) -> bool {
        match self {
            Self::Judged(judgement) => {
                let there = |condition: &Condition| {
                    written(status, condition.aspect).is_some_and(|it| condition.is(it))
                };
                let conditions = shape.conditions == List::Absent || judgement.conditions.iter().all(there);
                let same = |name: &str| match (judgement.fields.get(name), status.get(name)) {
                    (Some(ours), Some(theirs)) => theirs == &**ours,
                    (None, Some(theirs)) => theirs == "",
                    (ours, None) => ours.is_none(),
                };
                let names = ["state", "reason", "errorReason"];
                // A field that we never write may hold what it likes.
                conditions
                    && (judgement.fields.is_empty() || names.into_iter().filter(|it| shape.has(it)).all(same))
            }
            Self::Addresses(addresses) => {
                let there = status["loadBalancer"]["ingress"].as_array();
                // What ports a load balancer adds is nothing we know of.
                let plain = |it: &Value| {
                    let text = it["hostname"].as_str().or_else(|| it["ip"].as_str());
                    text.map(Address::new)
                };
                let there: Vec<Option<Address>> = there.into_iter().flatten().map(plain).collect();
                there.len() == addresses.len()
                    && there.iter().zip(addresses).all(|(there, ours)| there.as_ref() == Some(ours))
            }
        }
    }

    /// The `status` to apply. `found` is the status as it was: a condition keeps the time since when it is as it is, and where
    /// a list has one writer only, the others' entries are kept. `now` is RFC 3339.
    pub(crate) fn status(&self, found: &Value, shape: &Shape, now: &str) -> Value {
        let judgement = match self {
            Self::Judged(judgement) => judgement,
            Self::Addresses(addresses) if addresses.is_empty() => return json!({}),
            Self::Addresses(addresses) => {
                let ingress: Vec<Value> = addresses.iter().map(Address::written).collect();
                return json!({"loadBalancer": {"ingress": ingress}});
            }
        };
        let mut status = Map::new();
        for (name, value) in judgement.fields.iter().filter(|(name, _)| shape.has(name)) {
            status.insert((*name).to_owned(), (&**value).into());
        }
        if shape.conditions != List::Absent {
            let mut conditions: Vec<Value> = judgement
                .conditions
                .iter()
                .map(|condition| condition.written(since(condition, found, now)))
                .collect();
            if shape.conditions == List::Atomic {
                conditions.extend(others(found).cloned());
            }
            status.insert("conditions".to_owned(), conditions.into());
        }
        status.into()
    }
}

/// Since when a condition is as it shall be.
fn since<'a>(condition: &Condition, found: &'a Value, now: &'a str) -> &'a str {
    let same = |it: &&Value| it["status"] == crate::condition::status(condition.holds);
    let before = written(found, condition.aspect).filter(same);
    before.and_then(|it| it["lastTransitionTime"].as_str()).filter(|it| !it.is_empty()).unwrap_or(now)
}

/// The condition of this type, as it is written.
pub(crate) fn written(status: &Value, aspect: Aspect) -> Option<&Value> {
    status["conditions"].as_array()?.iter().find(|it| it["type"] == aspect.name())
}

/// Conditions that are not ours.
fn others(status: &Value) -> impl Iterator<Item = &Value> {
    let is_others = |it: &&Value| it["type"].as_str().is_none_or(|name| Aspect::named(name).is_none());
    status["conditions"].as_array().into_iter().flatten().filter(is_others)
}

/// What of a status is worth remembering: what is ours, or could be.
pub(crate) fn remembered(status: &Value) -> Value {
    let mut kept = Map::new();
    for name in ["state", "reason", "errorReason", "loadBalancer"] {
        if let Some(value) = status.get(name) {
            kept.insert(name.to_owned(), value.clone());
        }
    }
    let ours: Vec<Value> =
        Aspect::ALL.into_iter().filter_map(|aspect| written(status, aspect).cloned()).collect();
    if !ours.is_empty() {
        kept.insert("conditions".to_owned(), ours.into());
    }
    kept.into()
}

#[cfg(test)]
mod tests;
