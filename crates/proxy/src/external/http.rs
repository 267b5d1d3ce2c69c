//! A service asked by a plain request.

use http::header::{CONTENT_LENGTH, HOST, LOCATION};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, StatusCode, Uri, Version};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use plenipo_model::{CheckPath, ExternalAuthorization, HttpCheck, NameMatch, SignIn, UpstreamProtocol};

use super::{
    Answer, Changes, Field, How, NoAnswer, Question, Refused, end_to_end, exchange, is_protected, upstream,
};
use crate::body::RequestBody;
use crate::fields::Fields;
use crate::headers;
use crate::message::{Request, RequestHead};
use crate::render::{Facts, render, render_header};
use crate::worker::Worker;

/// What stands as it is in a value of a query (RFC 3986 §2.3).
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) async fn ask(
    worker: &Worker,
    service: &ExternalAuthorization,
    check: &HttpCheck,
    question: &Question<'_>,
) -> Result<Answer, NoAnswer> {
    let upstream = upstream(worker, service)?;
    let (secure, facts) = (upstream.model.tls.is_some(), facts(question));
    let path = path(check, question, &facts)?;
    let headers = fields(check, question, &facts);
    let request = |protocol| request(check, question, protocol, secure, &path, &headers);
    let (parts, read) = exchange(worker, service, &upstream, question, request).await?;
    let status = parts.status;
    if status == StatusCode::OK || (check.any_success && status.is_success()) {
        read?;
        return Ok(Answer::Yes(changes(check, &question.parts.headers, &parts.headers)));
    }
    let refuses = match check.strict_refusals {
        true => matches!(status.as_u16(), 401 | 403),
        // A 101, which nobody asked for, is no answer that a client could have.
        false => !status.is_server_error() && !status.is_informational(),
    };
    if !refuses {
        return Err(NoAnswer::Status(status));
    }
    if status == StatusCode::UNAUTHORIZED
        && let Some(sign_in) = &check.sign_in
    {
        return Ok(Answer::No(elsewhere(sign_in, question, &facts)));
    }
    let wanted = |name: &HeaderName| match &check.client_headers_on_refusal {
        Some(names) => matches(names, name),
        None => true,
    };
    // The status says no, whatever becomes of the words.
    let body = read.map(|(body, _)| body).unwrap_or_default();
    Ok(Answer::No(Refused { status, headers: end_to_end(&parts.headers, wanted), body }))
}

fn facts<'a>(question: &Question<'a>) -> Facts<'a> {
    Facts { request: Some(&question.parts.headers), ..Facts::of(question.exchange) }
}

fn matches(names: &[NameMatch], name: &HeaderName) -> bool {
    names.iter().any(|one| one.matches(name))
}

fn path(check: &HttpCheck, question: &Question<'_>, facts: &Facts<'_>) -> Result<PathAndQuery, NoAnswer> {
    let text = match &check.path {
        CheckPath::Prefix(prefix) => {
            let own = question.parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
            format!("{prefix}{own}").into_bytes()
        }
        CheckPath::Exact(template) => {
            let mut text = Vec::new();
            render(template, facts, &mut text);
            text
        }
    };
    PathAndQuery::try_from(text).map_err(|error| NoAnswer::Question(error.into()))
}

fn fields(check: &HttpCheck, question: &Question<'_>, facts: &Facts<'_>) -> Fields {
    let own = &question.parts.headers;
    let mut headers = end_to_end(own, |name| matches(&check.request_headers, name));
    for added in &check.added {
        // Also without a value it is not the client's.
        headers::strip(&added.name, &mut headers);
        if let Some(value) = render_header(&added.value, facts) {
            headers.insert(&added.name, value);
        }
    }
    let host = check.host.as_deref().and_then(|host| HeaderValue::from_str(host).ok());
    if let Some(host) = host.or_else(|| own.get(HOST).cloned()) {
        headers.insert(HOST, host);
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(question.body.as_ref().map_or(0, bytes::Bytes::len)));
    headers
}

fn request(
    check: &HttpCheck,
    question: &Question<'_>,
    protocol: UpstreamProtocol,
    secure: bool,
    path: &PathAndQuery,
    headers: &Fields,
) -> Result<Request<RequestBody>, NoAnswer> {
    let body = question.body.clone().filter(|body| !body.is_empty());
    let method = check.method.clone().unwrap_or_else(|| question.parts.method.clone());
    let mut headers = headers.clone();
    let (uri, version) = match protocol {
        UpstreamProtocol::Http1 => (Uri::from(path.clone()), Version::HTTP_11),
        UpstreamProtocol::Http2 => {
            let host = headers.remove(HOST);
            let authority = host.as_ref().map_or(&b""[..], |host| host.as_bytes());
            let scheme = if secure { "https" } else { "http" };
            let uri =
                Uri::builder().scheme(scheme).authority(authority).path_and_query(path.clone()).build()?;
            (uri, Version::HTTP_2)
        }
    };
    let head = RequestHead { method, uri, version, headers };
    Ok(Request { head, body: body.map_or_else(RequestBody::empty, RequestBody::whole) })
}

/// What a yes changes. A field that only the service may set is not left as the client sent it.
fn changes(check: &HttpCheck, sent: &Fields, answer: &Fields) -> Changes {
    let mut remove = own(check, sent);
    let mut request = Vec::new();
    for (name, value) in answer {
        if matches(&check.upstream_headers, name) && !is_protected(name) {
            request.push(Field { name: name.clone(), value: value.clone(), how: How::Append });
            remove.push(name.clone());
        }
    }
    let response = end_to_end(answer, |name| matches(&check.client_headers_on_success, name));
    Changes { remove, request, response }
}

/// The fields that only the service may set: those named exactly, and of the families that are named those that were sent,
/// also under names that upstreams may take for theirs.
pub(super) fn own(check: &HttpCheck, sent: &Fields) -> Vec<HeaderName> {
    let exact = check.upstream_headers.iter().filter_map(|name| match name {
        NameMatch::Exact(name) => name.parse().ok(),
        _ => None,
    });
    let families: Vec<&NameMatch> = check.upstream_headers.iter().filter(|name| is_family(name)).collect();
    let dashed = |name: &HeaderName| name.as_str().replace('_', "-").parse::<HeaderName>().ok();
    let is_of_one = |name: &HeaderName| families.iter().any(|family| family.matches(name));
    let of_families = sent.keys().filter(|_| !families.is_empty()).filter_map(dashed).filter(is_of_one);
    exact.chain(of_families).filter(|name| check.replaces_all || !is_others(name)).collect()
}

/// Does it name fields of one kind? `*` and `x-*` name nearly everything, which clients may send.
fn is_family(name: &NameMatch) -> bool {
    matches!(name, NameMatch::Prefix(text) | NameMatch::Suffix(text) if text.len() > "x-".len())
}

/// Is it a field that clients may bring, or that the gateway writes? A service may set these too, and need not. (What
/// else begins with `x-forwarded-`, as `x-forwarded-user`, is a service's alone.)
fn is_others(name: &HeaderName) -> bool {
    const KNOWN: [&str; 10] = [
        "authorization",
        "cookie",
        "proxy-authorization",
        "user-agent",
        "x-forwarded-client-cert",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-request-id",
    ];
    KNOWN.contains(&name.as_str()) || name.as_str().starts_with("x-envoy-")
}

/// To where clients prove who they are.
fn elsewhere(sign_in: &SignIn, question: &Question<'_>, facts: &Facts<'_>) -> Refused {
    let mut url = Vec::new();
    render(&sign_in.url, facts, &mut url);
    let mut url = String::from_utf8_lossy(&url).into_owned();
    if let Some(parameter) = &sign_in.return_parameter {
        let exchange = question.exchange;
        let wanted = format!("{}://{}{}", exchange.scheme, exchange.authority, exchange.original_path);
        let separator = if url.contains('?') { '&' } else { '?' };
        url.push_str(&format!("{separator}{parameter}={}", utf8_percent_encode(&wanted, KEPT)));
    }
    let mut headers = Fields::new();
    if let Ok(location) = HeaderValue::from_str(&url) {
        headers.insert(LOCATION, location);
    }
    Refused { status: StatusCode::FOUND, headers, body: bytes::Bytes::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{fields, headers};

    #[test]
    fn a_field_with_several_values_is_passed_on_once_each() {
        let check = HttpCheck { upstream_headers: vec![NameMatch::parse("x-team")], ..HttpCheck::default() };
        let mut sent = headers(&[("x-team", "forged"), ("accept", "*/*")]);
        let answer = headers(&[("x-team", "a"), ("x-other", "1"), ("x-team", "b")]);
        changes(&check, &sent.clone(), &answer).apply(&mut sent);
        let expected = [("accept", "*/*"), ("x-team", "a"), ("x-team", "b")];
        assert_eq!(fields(&sent), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
