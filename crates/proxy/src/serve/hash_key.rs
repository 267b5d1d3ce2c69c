//! What a request is hashed by, to find its endpoint.

use http::HeaderValue;
use plenipo_model::{Forward, HashKey};

use super::HttpConnection;
use super::incoming::Arrived;
use crate::request;
use crate::upstream::hashing;

/// The key of the balancer, and the cookie to set when the client has none yet.
pub(super) fn of(
    http: &HttpConnection,
    rule: &Forward,
    arrived: &Arrived,
) -> (Option<u64>, Option<HeaderValue>) {
    let headers = &arrived.parts.headers;
    match &rule.hash {
        None => (None, None),
        Some(HashKey::SourceIp) => (Some(hashing::key(arrived.exchange.client.to_string().as_bytes())), None),
        Some(HashKey::Query(name)) => {
            let value = arrived.parts.uri.query().and_then(|query| request::parameter(query, name));
            (value.map(|value| hashing::key(value.as_bytes())), None)
        }
        Some(HashKey::Header(name)) => (headers.get(name).map(|value| hashing::key(value.as_bytes())), None),
        Some(HashKey::Cookie { name, path, ttl }) => match (request::cookie(headers, name), ttl) {
            (Some(value), _) => (Some(hashing::key(value.as_bytes())), None),
            (None, None) => (None, None),
            (None, Some(ttl)) => {
                let value = format!("{:016x}", http.worker.random.next());
                let key = hashing::key(value.as_bytes());
                let mut cookie = format!("{name}={value}; HttpOnly");
                if !ttl.is_zero() {
                    cookie.push_str(&format!("; Max-Age={}", ttl.as_secs()));
                }
                if let Some(path) = path {
                    cookie.push_str(&format!("; Path={path}"));
                }
                (Some(key), HeaderValue::from_str(&cookie).ok())
            }
        },
    }
}
