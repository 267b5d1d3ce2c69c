//! Requests to the apiserver, and what matters of its answers.

use std::time::Duration;

use http::{Method, Request, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::Value;
use tokio::time::timeout;

/// No answer to a write is waited for longer. Shorter than what is left of a lease when renewing it is given up, so that nothing that a
/// leader began is done after another can have become leader.
pub(crate) const ANSWER: Duration = Duration::from_secs(5);

/// Nor one to a read, of which some are long.
const LONG_ANSWER: Duration = Duration::from_secs(30);

/// What the apiserver said.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// `Retry-After`, where there is one.
    pub(crate) retry_after: Option<Duration>,
    /// The object, or the `Status` that says what is wrong; null if it is no JSON.
    pub(crate) body: Value,
}

/// There was no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Silence {
    /// Not in time.
    #[error("the apiserver did not answer in time")]
    Late,
    /// The connection failed.
    #[error("the apiserver cannot be asked: {0}")]
    Lost(#[from] kube::Error),
    /// It answers that it cannot answer now.
    #[error("the apiserver answers {0}")]
    Refused(StatusCode),
    /// We asked nonsense.
    #[error("the request cannot be made: {0}")]
    Request(#[from] http::Error),
}

/// A body, and how it is to be understood.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Payload<'a> {
    /// None.
    Nothing,
    /// An object.
    Object(&'a Value),
    /// A server-side apply of these fields.
    Apply(&'a Value),
}

/// Asks, and waits for the answer.
pub(crate) async fn ask(
    client: &Client,
    method: Method,
    path: &str,
    payload: Payload<'_>,
) -> Result<Answer, Silence> {
    let patience = if method == Method::GET { LONG_ANSWER } else { ANSWER };
    let (kind, body) = match payload {
        Payload::Nothing => (None, Vec::new()),
        Payload::Object(object) => (Some("application/json"), object.to_string().into_bytes()),
        // JSON is YAML.
        Payload::Apply(object) => (Some("application/apply-patch+yaml"), object.to_string().into_bytes()),
    };
    let mut request =
        Request::builder().method(method).uri(path).header(http::header::ACCEPT, "application/json");
    if let Some(kind) = kind {
        request = request.header(http::header::CONTENT_TYPE, kind);
    }
    let request = request.body(Body::from(body))?;
    let answered = async {
        let (head, body) = client.send(request).await?.into_parts();
        let retry_after = head.headers.get(http::header::RETRY_AFTER);
        let seconds = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let bytes = body.collect_bytes().await?;
        Ok(Answer {
            status: head.status,
            retry_after: seconds.map(Duration::from_secs),
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        })
    };
    timeout(patience, answered).await.map_err(|_| Silence::Late)?
}

impl Answer {
    /// What the apiserver says is wrong.
    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or("no reason given")
    }
}
