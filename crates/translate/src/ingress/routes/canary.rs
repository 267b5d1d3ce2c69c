//! Two Ingresses for one path, of which the canary takes a part of the requests: by a header, else by a cookie, else by
//! chance.

use plenipo_model::{HeaderMatch, Pattern, Route, RouteMatch, Target, ValueMatch};

use super::super::policy::{Canary, Policy};
use super::{Outline, forward};

/// Which of the two a request is for.
#[derive(Clone, Copy)]
enum Side {
    Canary,
    Main,
}

/// The routes of a path with a canary, in the order in which they are tried. The canary has nothing of its own but its
/// Service: everything else is as the main Ingress says.
pub(super) fn routes(
    outline: &Outline<'_, '_, '_>,
    policy: &Policy,
    terms: &Canary,
    main: Target,
    canary: Target,
    routes: &mut Vec<Route>,
) {
    for (word, side, header) in demands(terms) {
        let headers = vec![header];
        let outline = Outline {
            claim: outline.claim,
            name: format!("{}/{word}", outline.name),
            matches: RouteMatch { headers, ..outline.matches.clone() },
        };
        let target = match side {
            Side::Canary => canary.clone(),
            Side::Main => main.clone(),
        };
        routes.push(outline.route(forward(policy, vec![target], 100), policy));
    }
    let weight = terms.weight.min(terms.total);
    let targets = vec![Target { weight: terms.total - weight, ..main }, Target { weight, ..canary }];
    routes.push(outline.route(forward(policy, targets, terms.total), policy));
}

/// What a request can say for itself, the more decisive first.
fn demands(terms: &Canary) -> Vec<(&'static str, Side, HeaderMatch)> {
    let mut demands = Vec::new();
    let mut demand = |word, side, header| demands.push((word, side, header));
    match &terms.header {
        Some((name, Some(value))) => {
            demand("canary-header", Side::Canary, HeaderMatch::new(name.clone(), value.clone()));
        }
        Some((name, None)) => {
            let says = |value: &str| HeaderMatch::new(name.clone(), ValueMatch::Exact(value.to_owned()));
            demand("canary-header", Side::Canary, says("always"));
            demand("canary-header-never", Side::Main, says("never"));
        }
        None => {}
    }
    if let Some(name) = &terms.cookie {
        let mut says = |word, side, value: &str| {
            let text = format!("(?:.*[;,] *)?{}={value}(?: *[;,].*)?", escaped(name));
            if let Ok(pattern) = Pattern::new(&text) {
                demand(word, side, HeaderMatch::new(http::header::COOKIE, ValueMatch::Regex(pattern)));
            }
        };
        says("canary-cookie", Side::Canary, "always");
        says("canary-cookie-never", Side::Main, "never");
    }
    demands
}

/// Text that means itself in an expression.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if !(c.is_ascii_alphanumeric() || c == '_' || c == '-') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
