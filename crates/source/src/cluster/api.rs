//! One question to the apiserver.
//!
//! The client's own way of reading lists logs a text that it cannot read, and that may be a Secret: here nothing does.

use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt};
use kube::Client;
use kube::api::{GetParams, ListParams, WatchParams};
use kube::core::WatchEvent;
use kube::core::request::Request;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use super::kinds::{Kind, Need};

/// So long an answer may take. Lists come in pages, and a page in well under a second.
const ANSWER: Duration = Duration::from_secs(15);

/// So long the apiserver keeps up a watch, in seconds. It sends a bookmark just before the end, so that going on costs
/// next to nothing, and a peer that is not there any more is noticed within a minute.
const WATCH: u32 = 35;

/// So long nothing at all may come of a watch.
pub(super) const SILENCE: Duration = Duration::from_secs(WATCH as u64 + 10);

/// Objects of a page. Secrets and the like are asked for by name, and their pages are small however many there are.
const PAGE: u32 = 500;

/// Letters of an apiserver's words that are passed on.
const LONGEST: usize = 400;

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) kind: &'static Kind,
    pub(super) version: &'static str,
    /// None = of all namespaces, or of none.
    pub(super) namespace: Option<String>,
    pub(super) labels: Option<String>,
    pub(super) fields: Option<String>,
    /// Only one object, whole, even of a kind of which others are only known by name.
    pub(super) name: Option<String>,
    /// Everything that is written in it, for checks.
    pub(super) whole: bool,
}

/// Why a question was not answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// We may not ask.
    Forbidden(String),
    /// There is no such kind, or no longer.
    Missing(String),
    /// What we know is too old to go on from (410 Gone).
    Expired,
    /// The cluster cannot convert its objects to this version.
    Unconvertible(String),
    /// Anything else: it is tried again.
    Other(String),
}

/// A page of a list.
#[derive(Deserialize)]
pub(super) struct Page {
    pub(super) metadata: PageMeta,
    /// Null for an empty list of names.
    pub(super) items: Option<Vec<Value>>,
}

/// `metadata` of a list.
#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
pub(super) struct PageMeta {
    pub(super) resource_version: String,
    #[serde(rename = "continue")]
    pub(super) next: String,
}

/// What comes of a watch.
pub(super) type Events = BoxStream<'static, Result<WatchEvent<Value>, Failure>>;

impl Target {
    /// Whether names and labels are all that is asked for.
    pub(super) fn is_glimpsed(&self) -> bool {
        self.kind.need == Need::Referenced && self.name.is_none()
    }

    fn request(&self) -> Request {
        let root = if self.kind.group.is_empty() { "api" } else { "apis" };
        let version = self.kind.api_version(self.version);
        let plural = self.kind.plural;
        Request::new(match &self.namespace {
            Some(namespace) => format!("/{root}/{version}/namespaces/{namespace}/{plural}"),
            None => format!("/{root}/{version}/{plural}"),
        })
    }

    fn fields(&self) -> Option<String> {
        let name = self.name.as_ref().map(|name| format!("metadata.name={name}"));
        let all: Vec<_> = self.fields.iter().chain(&name).map(String::as_str).collect();
        (!all.is_empty()).then(|| all.join(","))
    }
}

/// One page of a list, from the beginning or from where the last one ended.
///
/// # Errors
/// When the list cannot be had.
pub(super) async fn page(client: &Client, target: &Target, next: Option<String>) -> Result<Page, Failure> {
    let params = ListParams {
        label_selector: target.labels.clone(),
        field_selector: target.fields(),
        limit: Some(PAGE),
        continue_token: next,
        ..ListParams::default()
    };
    let request = match target.is_glimpsed() {
        true => target.request().list_metadata(&params),
        false => target.request().list(&params),
    };
    let text = text(client, request).await?;
    serde_json::from_str(&text).map_err(|_| unreadable())
}

/// One object, none if there is none.
///
/// # Errors
/// When it cannot be had.
pub(super) async fn object(client: &Client, target: &Target, name: &str) -> Result<Option<Value>, Failure> {
    match text(client, target.request().get(name, &GetParams::default())).await {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|_| unreadable()),
        Err(Failure::Missing(_)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// What changes from a version on.
///
/// # Errors
/// When it cannot be had.
pub(super) async fn watch(client: &Client, target: &Target, version: &str) -> Result<Events, Failure> {
    let params = WatchParams {
        label_selector: target.labels.clone(),
        field_selector: target.fields(),
        timeout: Some(WATCH),
        bookmarks: true,
        send_initial_events: false,
    };
    let request = match target.is_glimpsed() {
        true => target.request().watch_metadata(&params, version),
        false => target.request().watch(&params, version),
    };
    let request = request.map_err(|error| Failure::Other(error.to_string()))?;
    let opened = timeout(ANSWER, client.request_events::<Value>(request)).await.map_err(|_| silent())?;
    let events = opened.map_err(|error| Failure::of(&error))?;
    Ok(events.map(|event| event.map_err(|error| Failure::of(&error))).boxed())
}

async fn text(
    client: &Client,
    request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
) -> Result<String, Failure> {
    let request = request.map_err(|error| Failure::Other(error.to_string()))?;
    let answer = timeout(ANSWER, client.request_text(request)).await.map_err(|_| silent())?;
    answer.map_err(|error| Failure::of(&error))
}

fn silent() -> Failure {
    Failure::Other(format!("no answer within {} s", ANSWER.as_secs()))
}

fn unreadable() -> Failure {
    Failure::Other("the answer is not what was asked for".to_owned())
}

impl Failure {
    pub(super) fn of(error: &kube::Error) -> Self {
        let kube::Error::Api(status) = error else { return Self::Other(reason(error)) };
        Self::of_status(status)
    }

    /// Of what the apiserver says, as the answer or as an event.
    pub(super) fn of_status(status: &kube::core::Status) -> Self {
        // What a proxy in between says can be a whole page.
        let message: String = status.message.chars().take(LONGEST).collect();
        match status.code {
            403 => Self::Forbidden(message),
            404 => Self::Missing(message),
            410 => Self::Expired,
            500 if message.contains("conversion") => Self::Unconvertible(message),
            code => Self::Other(format!("{code} {message}")),
        }
    }
}

/// An error with those that caused it: the outermost says little (`ServiceError: client error (Connect)`).
pub(super) fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Forbidden(message) => write!(f, "forbidden: {message}"),
            Self::Missing(_) => f.write_str("the cluster does not serve it"),
            Self::Expired => f.write_str("what was known is too old to go on from"),
            Self::Unconvertible(message) => write!(f, "the cluster cannot convert it: {message}"),
            Self::Other(message) => f.write_str(message),
        }
    }
}
