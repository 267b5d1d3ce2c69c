//! Cross-origin resource sharing (Fetch standard, "HTTP-CORS protocol").

use http::{HeaderName, HeaderValue, Method, header};
use plenipo_model::Cors;

use crate::fields::Fields;
use crate::message::RequestHead;

/// The answer to a preflight, if it is answered here; none for every other request.
pub(super) fn preflight(cors: &Cors, parts: &RequestHead) -> Option<Fields> {
    if parts.method != Method::OPTIONS || !parts.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return None;
    }
    let mut headers = Fields::new();
    let Some(origin) = admitted(cors, &parts.headers) else {
        // Without the fields that would let the origin in.
        let comes_from_somewhere = parts.headers.contains_key(header::ORIGIN);
        return (comes_from_somewhere && !cors.unmatched_preflights_forwarded).then_some(headers);
    };
    allow(cors, &origin, &mut headers);
    set(&mut headers, header::ACCESS_CONTROL_ALLOW_METHODS, cors.methods.as_deref());
    set(&mut headers, header::ACCESS_CONTROL_ALLOW_HEADERS, cors.headers.as_deref());
    set(&mut headers, header::ACCESS_CONTROL_MAX_AGE, cors.max_age.as_deref());
    Some(headers)
}

/// The origin of a request, if it is let in.
pub(super) fn admitted(cors: &Cors, request: &Fields) -> Option<HeaderValue> {
    let origin = request.get(header::ORIGIN)?;
    let text = origin.to_str().ok()?;
    cors.origins.iter().any(|pattern| pattern.matches(text)).then(|| origin.clone())
}

/// What is said in every answer to an origin that is let in.
pub(super) fn allow(cors: &Cors, origin: &HeaderValue, headers: &mut Fields) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    if cors.credentials {
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    set(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, cors.exposed_headers.as_deref());
}

fn set(headers: &mut Fields, name: HeaderName, value: Option<&str>) {
    if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
        headers.insert(name, value);
    }
}
