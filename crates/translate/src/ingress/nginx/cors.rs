//! `enable-cors` and what belongs to it.

use std::sync::Arc;

use plenipo_model::{Cors, OriginMatch, Source};

use super::super::policy::Policy;
use super::annotations::Annotations;

const METHODS: &str = "GET, PUT, POST, DELETE, PATCH, OPTIONS";
const HEADERS: &str = "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization";

pub(super) fn read(annotations: &mut Annotations<'_, '_>, policy: &mut Policy, source: &Source) {
    let enabled = annotations.flag("enable-cors");
    let origins = annotations.list("cors-allow-origin").unwrap_or_else(|| vec!["*"]);
    let methods = annotations.text("cors-allow-methods").unwrap_or(METHODS);
    let headers = annotations.text("cors-allow-headers").unwrap_or(HEADERS);
    let exposed = annotations.text("cors-expose-headers");
    let credentials = annotations.flag("cors-allow-credentials").unwrap_or(true);
    let max_age = annotations.text("cors-max-age").unwrap_or("1728000");
    if enabled != Some(true) {
        return;
    }
    let origin = |text: &str| match text.split_once('*') {
        Some(("", "")) => OriginMatch::Any,
        Some((before, after)) => OriginMatch::Wildcard(before.to_owned(), after.to_owned()),
        None => OriginMatch::Exact(text.to_owned()),
    };
    let any = origins.contains(&"*");
    if any && credentials {
        let message =
            "any origin may send requests with the user's credentials, and read the answers".to_owned();
        let fix = "name the origins in cors-allow-origin, or write cors-allow-credentials: \"false\"";
        annotations.findings.warn(
            annotations.object,
            "cors-any-origin-with-credentials",
            &super::field("nginx.ingress.kubernetes.io/enable-cors"),
            message,
            fix,
        );
    }
    policy.cors = Some(Arc::new(Cors {
        source: source.clone(),
        origins: origins.into_iter().map(origin).collect(),
        methods: Some(methods.to_owned()),
        headers: Some(headers.to_owned()),
        exposed_headers: exposed.map(str::to_owned),
        credentials,
        max_age: Some(max_age.to_owned()),
        unmatched_preflights_forwarded: false,
    }));
}
