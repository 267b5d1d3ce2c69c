//! Who asks, and may they? What is before routing, and what guards a route.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use http::StatusCode;
use plenipo_model::{Authorization, ExternalAuthorization, Guard};

use super::HttpConnection;
use super::incoming::Arrived;
use crate::authorization::{Subject, Verdict};
use crate::body::{Break, Inbound};
use crate::external::{self, Answer, Question};
use crate::failure::Failure;
use crate::snapshot::CompiledHttp;

/// Why a request goes no further.
pub(super) enum Stopped {
    Failed(Failure),
    Refused(external::Refused),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Does the server ask who comes?
pub(super) fn is_asked(server: &CompiledHttp) -> bool {
    server.authentication.is_some() || server.model.authorization.is_some()
}

/// What is asked of every request.
pub(super) async fn admit(
    http: &HttpConnection,
    server: &CompiledHttp,
    arrived: &mut Arrived,
) -> Result<(), Stopped> {
    if let Some(authentication) = &server.authentication {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let claims = authentication.authenticate(&mut arrived.parts, now).await;
        arrived.claims = claims.map_err(Failure::Token)?.map(Rc::new);
    }
    match &server.model.authorization {
        Some(rules) => authorize(http, server, rules, arrived).await,
        None => Ok(()),
    }
}

/// What is asked of a request that a route takes. True when the route is to be looked for again.
pub(super) async fn guard(
    http: &HttpConnection,
    server: &CompiledHttp,
    guard: &Guard,
    arrived: &mut Arrived,
) -> Result<bool, Stopped> {
    if let Some(rules) = &guard.authorization {
        authorize(http, server, rules, arrived).await?;
    }
    let Some(service) = &guard.external else { return Ok(false) };
    if arrived.passed.contains(service) {
        return Ok(false);
    }
    check(http, server, service, &guard.context, arrived).await?;
    arrived.passed.push(Arc::clone(service));
    Ok(service.reroute)
}

async fn authorize(
    http: &HttpConnection,
    server: &CompiledHttp,
    rules: &Authorization,
    arrived: &mut Arrived,
) -> Result<(), Stopped> {
    // Where nobody is let in, nobody has to be asked.
    let asked = if rules.refuse.is_none() { rules.external.as_slice() } else { &[] };
    for rule in asked {
        let subject = subject(arrived);
        if rule.policies.iter().any(|policy| subject.is_taken_by(policy)) {
            check(http, server, &rule.service, &BTreeMap::new(), arrived).await?;
        }
    }
    match subject(arrived).judged(rules) {
        Verdict::Allowed => Ok(()),
        Verdict::Denied(by) => {
            tracing::debug!(
                by = by.map(|source| source.as_str()),
                reason = rules.refuse,
                "a request is denied"
            );
            Err(Failure::Denied.into())
        }
    }
}

fn subject(arrived: &Arrived) -> Subject<'_> {
    Subject::request(&arrived.exchange, &arrived.parts, arrived.claims.as_deref())
}

/// Asks a service, and does what it says.
async fn check(
    http: &HttpConnection,
    server: &CompiledHttp,
    service: &ExternalAuthorization,
    context: &BTreeMap<String, String>,
    arrived: &mut Arrived,
) -> Result<(), Stopped> {
    let (body, partial) = match service.body {
        None => (None, false),
        Some(wanted) => {
            let limit = server.model.limits.body_bytes;
            let (body, partial) = arrived.look_at_body(wanted.max_bytes, limit).await.map_err(broken)?;
            if partial && !wanted.partial {
                return Err(Failure::BodyTooLarge.into());
            }
            (Some(body), partial)
        }
    };
    let question = Question { exchange: &arrived.exchange, parts: &arrived.parts, body, partial, context };
    match external::ask(&http.worker, service, &question).await {
        Ok(Answer::Yes(changes)) => {
            changes.apply(&mut arrived.parts.headers);
            if !changes.response.is_empty() {
                arrived.exchange.added.get_or_insert_default().replace(changes.response);
            }
            Ok(())
        }
        Ok(Answer::No(refused)) => Err(Stopped::Refused(refused)),
        Err(error) => {
            tracing::warn!(
                service = &*service.cluster, open = service.fail_open, %error, "no answer to whether a request may pass"
            );
            if !service.fail_open {
                return Err(Failure::Unanswered(service.status_on_error).into());
            }
            external::unanswered(service, &arrived.parts.headers).apply(&mut arrived.parts.headers);
            Ok(())
        }
    }
}

fn broken(body: &Inbound) -> Stopped {
    let failure = match body.broken() {
        _ if body.exceeded() => Failure::BodyTooLarge,
        Some(Break::Malformed) => Failure::Request(StatusCode::BAD_REQUEST, "http1.codec_error"),
        _ => Failure::ClientGone,
    };
    failure.into()
}
