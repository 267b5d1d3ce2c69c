//! What is sent, and what is made of the answers.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use plenipo_resources::{ObjectId, Verdict};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::learn::resource_version;
use super::look::{Job, Wanted, of_unread};
use super::{SOON, Session};
use crate::api::{Answer, Payload, Silence, ask};
use crate::content::{Content, FIELD_MANAGER};
use crate::event::Subject;
use crate::kinds::Kind;
use crate::numbers::Result as Count;
use crate::shape::{List, Shape};

/// Pauses after an apiserver that could not: doubled from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// What came of a request.
#[derive(Debug)]
pub(super) enum Done {
    /// Of a status.
    Status(Box<Attempt>),
    /// Of an event.
    Event { name: String, came: Came },
}

/// A request to write a status, and what came of it.
#[derive(Debug)]
pub(super) struct Attempt {
    id: ObjectId,
    job: Job,
    /// What was written, if it came so far.
    wanted: Option<Wanted>,
    came: Came,
}

/// What came back.
#[derive(Debug)]
pub(super) enum Came {
    /// An answer.
    Answer(Answer),
    /// None.
    Silence(Silence),
    /// There was nothing to ask.
    Nothing,
}

/// What is needed to write a status.
struct Errand {
    client: Client,
    kind: &'static Kind,
    id: ObjectId,
    ambassador_id: String,
    /// What is known of the status.
    found: Value,
    /// For objects that could not be read.
    best: Option<(String, Arc<Shape>)>,
}

impl Session {
    pub(super) fn write_next(&mut self, now: Instant) {
        let Some((id, job)) = self.backlog.begin() else { return };
        let Some(kind) = Kind::named(&id.kind) else { return self.backlog.finish(&id) };
        let mut found = Value::Null;
        if let Job::Write(wanted) = &job {
            // What it was put there for may have come true in the meantime.
            let of = (&*wanted.uid, wanted.generation);
            if !self.records.lacks(&id, of, &wanted.content, &wanted.shape) {
                return self.backlog.finish(&id);
            }
            found = self.records.of(&id, &wanted.uid).map(|record| record.status.clone()).unwrap_or_default();
        }
        self.budget.take(now);
        let errand = Errand {
            client: self.client.clone(),
            kind,
            ambassador_id: self.options.ambassador_id.clone(),
            found,
            best: self.shapes.best(kind),
            id: id.clone(),
        };
        self.in_flight.spawn(async move {
            let (wanted, came) = match &job {
                Job::Write(wanted) => (Some(wanted.clone()), errand.write(wanted).await),
                Job::Unread(verdict) => errand.write_unread(verdict).await,
            };
            Done::Status(Box::new(Attempt { id, job, wanted, came: came.unwrap_or_else(Came::Silence) }))
        });
    }

    pub(super) fn tell_next(&mut self) {
        let Some((name, event)) = self.events.begin() else { return };
        let (client, body, path) = (self.client.clone(), event.written(&self.options.identity), event.path());
        self.in_flight.spawn(async move {
            let answer = ask(&client, Method::POST, &path, Payload::Object(&body)).await;
            Done::Event { name, came: answer.map_or_else(Came::Silence, Came::Answer) }
        });
    }

    pub(super) fn settle(&mut self, done: Done) {
        match done {
            Done::Status(attempt) => {
                self.backlog.finish(&attempt.id);
                self.settle_status(*attempt);
            }
            Done::Event { name, came } => {
                self.events.finish(&name);
                self.settle_event(came);
            }
        }
    }

    fn settle_status(&mut self, Attempt { id, job, wanted, came }: Attempt) {
        let answer = match came {
            Came::Answer(answer) => answer,
            Came::Nothing => return,
            Came::Silence(why) => {
                tracing::debug!(object = %id, %why, "status is not written yet");
                self.pause(None);
                self.numbers.wrote(Count::Deferred);
                return self.backlog.put_back(id, job);
            }
        };
        let count = match answer.status {
            status if status.is_success() => {
                self.failures = 0;
                if let Some(wanted) = &wanted {
                    if matches!(job, Job::Unread(_)) {
                        self.tell_of_unread(&id, wanted);
                    }
                    self.records.settled(id, &wanted.content, &wanted.shape, &answer.body);
                }
                Count::Written
            }
            // The object that is there now, if there is one, comes with the next outcome.
            StatusCode::NOT_FOUND => {
                self.records.forget(&id);
                Count::Gone
            }
            StatusCode::CONFLICT => {
                // One of that name that is another object comes by itself; one that somebody else wrote to is tried again.
                if wanted.as_ref().is_some_and(|wanted| wanted.shape.conditions == List::Atomic) {
                    self.backlog.put_back(id, job);
                }
                Count::Conflict
            }
            status if is_for_now(status) && !is_undeclared(&answer) => {
                self.pause(answer.retry_after);
                self.backlog.put_back(id, job);
                Count::Deferred
            }
            status => {
                self.say(&format!("status of {}", id.kind), status, &answer);
                // The definition may be another than the one that was read.
                self.definitions_at = self.definitions_at.min(Instant::now() + SOON);
                if let Some(wanted) = &wanted {
                    self.records.refused(id, &wanted.uid, &wanted.content, &wanted.shape);
                }
                Count::Refused
            }
        };
        self.numbers.wrote(count);
    }

    fn tell_of_unread(&mut self, id: &ObjectId, wanted: &Wanted) {
        let Wanted { api_version, uid, generation, content: Content::Judged(judgement), .. } = wanted else {
            return;
        };
        let subject = Subject { id, generation: *generation, place: id, api_version, uid };
        self.tell_of(&subject, judgement);
    }

    /// Events are worth one attempt.
    fn settle_event(&mut self, came: Came) {
        match came {
            Came::Answer(answer) if answer.status.is_success() => self.numbers.told(),
            // It was told before.
            Came::Answer(answer) if answer.status == StatusCode::CONFLICT => {}
            Came::Answer(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => {
                self.pause(answer.retry_after);
                self.numbers.dropped();
            }
            Came::Answer(answer) => {
                self.say("events", answer.status, &answer);
                self.numbers.dropped();
            }
            Came::Silence(_) | Came::Nothing => self.numbers.dropped(),
        }
    }

    /// Sends nothing for a while: so long as the apiserver says, or longer every time.
    fn pause(&mut self, asked: Option<Duration>) {
        let (first, last) = PAUSES;
        let pause = first.saturating_mul(1 << self.failures.min(8)).min(last);
        self.failures = self.failures.saturating_add(1);
        self.not_before = self.not_before.max(Instant::now() + asked.unwrap_or(pause).min(last));
    }

    fn say(&mut self, what: &str, status: StatusCode, answer: &Answer) {
        if self.said.insert(format!("{what} {status}")) {
            let why = answer.message();
            tracing::warn!(%status, why, "the apiserver does not take the {what}; said once");
        }
    }
}

/// Will it be otherwise soon? (A token that has ended is replaced by another.)
fn is_for_now(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
        )
}

/// Does the definition not have what was to be written? (The apiserver answers 500.)
fn is_undeclared(answer: &Answer) -> bool {
    answer.message().contains("field not declared in schema")
}

impl Errand {
    /// Writes what is wanted. Where the list of conditions is one writer's, what others wrote is read first, and nothing is
    /// written if they have written more in the meantime.
    async fn write(&self, wanted: &Wanted) -> Result<Came, Silence> {
        if wanted.shape.conditions != List::Atomic || self.kind.content == crate::kinds::Content::Addresses {
            return self.apply(wanted, &self.found, None).await;
        }
        let now = self.look_up(&wanted.api_version).await?;
        if !now.status.is_success() {
            return Ok(Came::Answer(now));
        }
        self.apply(wanted, &now.body["status"], Some(resource_version(&now.body))).await
    }

    /// Looks up an object that could not be read, and writes what follows from the verdict, if it is ours.
    async fn write_unread(&self, verdict: &Verdict) -> (Option<Wanted>, Result<Came, Silence>) {
        let Some((api_version, shape)) = &self.best else { return (None, Ok(Came::Nothing)) };
        let now = match self.look_up(api_version).await {
            Ok(now) if now.status.is_success() => now.body,
            Ok(other) => return (None, Ok(Came::Answer(other))),
            Err(silence) => return (None, Err(silence)),
        };
        let generation = now["metadata"]["generation"].as_i64().unwrap_or_default();
        let content = of_unread(&self.id, generation, verdict);
        let Some(content) = content.filter(|_| is_ours(&now["spec"], &self.ambassador_id)) else {
            return (None, Ok(Came::Nothing));
        };
        if content.is_in(&now["status"], shape) {
            return (None, Ok(Came::Nothing));
        }
        let wanted = Wanted {
            api_version: api_version.clone(),
            uid: now["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
            generation,
            content,
            shape: Arc::clone(shape),
        };
        let came = self.apply(&wanted, &now["status"], Some(resource_version(&now))).await;
        (Some(wanted), came)
    }

    async fn look_up(&self, api_version: &str) -> Result<Answer, Silence> {
        ask(&self.client, Method::GET, &self.path(api_version), Payload::Nothing).await
    }

    async fn apply(&self, wanted: &Wanted, found: &Value, version: Option<&str>) -> Result<Came, Silence> {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let mut body = json!({
            "apiVersion": wanted.api_version,
            "kind": self.kind.name,
            // The uid keeps it from being written to another object of that name.
            "metadata": {"name": *self.id.name, "namespace": *self.id.namespace, "uid": wanted.uid},
            "status": wanted.content.status(found, &wanted.shape, &now),
        });
        if let Some(version) = version {
            body["metadata"]["resourceVersion"] = version.into();
        }
        let path =
            format!("{}/status?fieldManager={FIELD_MANAGER}&force=true", self.path(&wanted.api_version));
        Ok(Came::Answer(ask(&self.client, Method::PATCH, &path, Payload::Apply(&body)).await?))
    }

    fn path(&self, api_version: &str) -> String {
        let ObjectId { namespace, name, .. } = &self.id;
        format!("/apis/{api_version}/namespaces/{namespace}/{}/{name}", self.kind.plural)
    }
}

/// Is an object of this `spec` ours? (All spellings that Emissary's versions have.)
fn is_ours(spec: &Value, id: &str) -> bool {
    let named = ["ambassador_id", "ambassadorId", "ambassadorID"].map(|name| &spec[name]);
    let mut ids = named.into_iter().flat_map(|it| match it {
        Value::Array(list) => list.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    });
    let text = |it: &Value| {
        it.as_str().map_or_else(
            || it.to_string(),
            |it| it.trim_start_matches("--apiVersion-v3alpha1-only--").to_owned(),
        )
    };
    let all: Vec<String> = ids.by_ref().map(text).collect();
    if all.is_empty() { id == "default" } else { all.iter().any(|it| it == id) }
}
