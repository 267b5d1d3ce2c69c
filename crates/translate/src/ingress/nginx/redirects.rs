//! Redirects in place of Services.

use http::StatusCode;
use plenipo_model::{Redirect, RedirectPath};

use super::super::policy::Policy;
use super::annotations::Annotations;
use super::variables;

pub(super) fn read(annotations: &mut Annotations<'_, '_>, policy: &mut Policy) {
    let permanent =
        one(annotations, "permanent-redirect", "permanent-redirect-code", StatusCode::MOVED_PERMANENTLY);
    let temporal = one(annotations, "temporal-redirect", "temporal-redirect-code", StatusCode::FOUND);
    // As ingress-nginx has it, the temporary one goes first.
    policy.redirect = temporal.or(permanent);
    if let Some(root) = annotations.text("app-root") {
        if root.starts_with('/') {
            policy.app_root = Some(root.to_owned());
        } else {
            annotations.bad("app-root", format!("'{root}' is not a path"), "write a path, as in /app");
        }
    }
}

fn one(
    annotations: &mut Annotations<'_, '_>,
    name: &'static str,
    code: &'static str,
    usual: StatusCode,
) -> Option<Redirect> {
    let number = annotations.number(code);
    let place = annotations.text(name)?;
    let status = match number.and_then(|number| StatusCode::from_u16(u16::try_from(number).ok()?).ok()) {
        Some(status) if status.is_redirection() => status,
        Some(other) => {
            annotations.bad(code, format!("{other} is not a redirect"), "write 301, 302, 303, 307 or 308");
            usual
        }
        None => usual,
    };
    if place.starts_with('/') && !place.contains('$') {
        return Some(Redirect {
            path: RedirectPath::To(place.to_owned()),
            strip_query: true,
            ..Redirect::new(status)
        });
    }
    match variables::location(place) {
        Ok(location) => Some(Redirect { location: Some(location), ..Redirect::new(status) }),
        Err(reason) => {
            annotations.bad(name, reason, "write a whole URL, with $scheme, $host and $request_uri at most");
            None
        }
    }
}
