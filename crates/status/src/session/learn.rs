//! What the cluster holds and lets a status hold, read when this replica begins to lead.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use plenipo_resources::{ObjectId, Origin};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{ANEW, DEFINITIONS, Session};
use crate::api::{Answer, Payload, Silence, ask};
use crate::kinds::{KINDS, Kind};
use crate::outcome::Outcome;
use crate::record::Record;
use crate::shape::Shape;

/// Objects in one answer.
const PAGE: usize = 500;
/// The versions there are of the gateway's own kinds, the best first.
const VERSIONS: [&str; 3] = ["v3alpha1", "v2", "v1"];
/// The group of the gateway's own kinds.
const GROUP: &str = "getambassador.io";
/// Longest pause between two attempts to read.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a status may hold, by the group and version and the kind of its object.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    known: HashMap<(String, &'static str), Arc<Shape>>,
    /// Groups and versions that were read, with the address (which has a hash in it) they were read from.
    read: BTreeMap<String, String>,
    /// Nobody tells: what is written is what our own definitions hold.
    assumed: bool,
}

impl Shapes {
    /// What a status of this kind may hold; none when there is nothing to write.
    pub(super) fn of(&self, kind: &Kind, api_version: &str) -> Option<Arc<Shape>> {
        if self.assumed || kind.group != GROUP {
            return Some(Arc::new(Shape::assumed()));
        }
        self.known.get(&(api_version.to_owned(), kind.name)).cloned()
    }

    /// Was the definition read?
    pub(super) fn knows(&self, kind: &Kind, api_version: &str) -> bool {
        self.assumed || kind.group != GROUP || self.read.contains_key(api_version)
    }

    /// The best version there is of a kind.
    pub(super) fn best(&self, kind: &Kind) -> Option<(String, Arc<Shape>)> {
        let versions = VERSIONS.iter().map(|version| format!("{GROUP}/{version}"));
        versions.into_iter().find_map(|version| Some((version.clone(), self.of(kind, &version)?)))
    }
}

impl Session {
    /// Reads the definitions and what is written now. As long as that cannot be, nothing is written.
    pub(super) async fn learn(&mut self, outcome: &Outcome) {
        let mut pause = Duration::from_secs(1);
        while let Err(why) = self.read_all(outcome).await {
            tracing::warn!(%why, "what the cluster holds cannot be read; status is not written yet");
            sleep(pause).await;
            pause = (pause * 2).min(PATIENCE);
        }
        self.anew_at = Instant::now() + ANEW;
    }

    async fn read_all(&mut self, outcome: &Outcome) -> Result<(), Silence> {
        self.read_definitions().await?;
        for kind in &KINDS {
            self.read_statuses(kind, outcome).await?;
        }
        Ok(())
    }

    /// Others may have changed what is written.
    pub(super) async fn look_anew(&mut self) {
        self.anew_at = Instant::now() + ANEW;
        let Some(outcome) = self.last.clone() else { return };
        self.records.clear();
        self.learn(&outcome).await;
        self.review_all();
    }

    /// When they are others than before everything is looked at.
    pub(super) async fn look_at_definitions(&mut self) {
        match self.read_definitions().await {
            Ok(true) => self.review_all(),
            Ok(false) => {}
            Err(why) => tracing::debug!(%why, "the definitions cannot be read"),
        }
    }

    /// Are they others than before?
    async fn read_definitions(&mut self) -> Result<bool, Silence> {
        self.definitions_at = Instant::now() + DEFINITIONS;
        let index = self.get("/openapi/v3").await?;
        if !index.status.is_success() {
            if index.status.is_server_error() || index.status == StatusCode::TOO_MANY_REQUESTS {
                return Err(Silence::Refused(index.status));
            }
            tracing::debug!(status = %index.status, "no definitions are published; ours are assumed");
            return Ok(!std::mem::replace(&mut self.shapes.assumed, true));
        }
        let mut shapes = Shapes::default();
        let mut changed = self.shapes.assumed;
        for version in VERSIONS {
            let api_version = format!("{GROUP}/{version}");
            let place = &index.body["paths"][format!("apis/{api_version}")]["serverRelativeURL"];
            let Some(place) = place.as_str() else { continue };
            if self.shapes.read.get(&api_version).is_some_and(|read| read == place) {
                let same = self.shapes.known.iter().filter(|((read, _), _)| *read == api_version);
                shapes.known.extend(same.map(|(key, shape)| (key.clone(), Arc::clone(shape))));
            } else {
                changed = true;
                let document = self.get(place).await?.body;
                for kind in KINDS.iter().filter(|kind| kind.group == GROUP) {
                    let shape = Shape::of(kind, version, &document).map(Arc::new);
                    shapes.known.extend(shape.map(|shape| ((api_version.clone(), kind.name), shape)));
                }
            }
            shapes.read.insert(api_version, place.to_owned());
        }
        changed |= shapes.read.len() != self.shapes.read.len();
        self.shapes = shapes;
        Ok(changed)
    }

    /// What is written in the objects of a kind: all at once, or where that is forbidden in each namespace with objects.
    async fn read_statuses(&mut self, kind: &Kind, outcome: &Outcome) -> Result<(), Silence> {
        let objects = outcome.set.of_kind(kind.name).iter().filter(|object| object.origin == Origin::Cluster);
        let mut api_version = None;
        let mut namespaces = BTreeSet::new();
        for object in objects {
            api_version.get_or_insert(&object.meta.api_version);
            namespaces.insert(&object.id.namespace);
        }
        let Some(api_version) = api_version.filter(|version| self.shapes.of(kind, version).is_some()) else {
            return Ok(());
        };
        let everywhere = format!("/apis/{api_version}/{}", kind.plural);
        if self.read_pages(kind, &everywhere, outcome).await? != StatusCode::FORBIDDEN {
            return Ok(());
        }
        for namespace in namespaces {
            let there = format!("/apis/{api_version}/namespaces/{namespace}/{}", kind.plural);
            self.read_pages(kind, &there, outcome).await?;
        }
        Ok(())
    }

    /// Gives the status of the last answer.
    async fn read_pages(
        &mut self,
        kind: &Kind,
        path: &str,
        outcome: &Outcome,
    ) -> Result<StatusCode, Silence> {
        let mut after = String::new();
        loop {
            let page = self.get(&format!("{path}?limit={PAGE}{after}")).await?;
            // What may not be read, or is not there, is not known; anything else is tried again.
            if !page.status.is_success() {
                return match page.status {
                    StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Ok(page.status),
                    other => Err(Silence::Refused(other)),
                };
            }
            for object in page.body["items"].as_array().into_iter().flatten() {
                let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
                let id = ObjectId::new(kind.name, text("namespace"), text("name"));
                let is_known = outcome.set.get(&id.kind, &id.namespace, &id.name).is_some();
                if is_known || outcome.report.verdicts.contains_key(&id) {
                    self.records.found(id, Record::of(object));
                }
            }
            after = match page.body["metadata"]["continue"].as_str() {
                None | Some("") => return Ok(page.status),
                Some(token) => format!("&continue={}", percent_encoded(token)),
            };
        }
    }

    async fn get(&self, path: &str) -> Result<Answer, Silence> {
        ask(&self.client, Method::GET, path, Payload::Nothing).await
    }
}

/// A token is base64 of some kind; what a query may not hold of that is encoded.
fn percent_encoded(token: &str) -> String {
    token.replace('%', "%25").replace('+', "%2B").replace('/', "%2F").replace('=', "%3D").replace('&', "%26")
}

/// Of an object as the apiserver gives it: its resource version.
pub(super) fn resource_version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap_or_default()
}
