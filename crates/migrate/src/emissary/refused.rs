//! Mistakes: what Envoy will not load at all, and what Plenipo refuses though Emissary might serve it.

use plenipo_resources::{Object, Problem, Severity, View};

use crate::draft::Draft;
use crate::rules;

/// Mistakes that Emissary's compiler passes on as they are, and Envoy refuses with everything else.
const REFUSED_BY_ENVOY: [&str; 4] = ["bad-regex", "bad-header-value", "bad-priority", "both-host-rewrites"];

/// Mistakes because of which Emissary makes nothing of the object either, or of the field.
const REFUSED_BY_BOTH: [&str; 41] = [
    "bad-address",
    "bad-circuit-breakers",
    "bad-header-name",
    "bad-host-binding",
    "bad-hostname",
    "bad-load-balancer",
    "bad-method",
    "bad-module",
    "bad-port",
    "bad-protocol",
    "bad-proxy-protocol",
    "bad-redirect",
    "bad-retry-policy",
    "bad-secret",
    "bad-security-model",
    "bad-service",
    "bad-tls-secret",
    "bad-tls-version",
    "duplicate-host",
    "duplicate-listener",
    "duplicate-module",
    "duplicate-object",
    "group-conflict",
    "load-balancer-without-endpoints",
    "missing-host-binding",
    "missing-name",
    "missing-prefix",
    "missing-tls-secret",
    "passthrough-and-origination",
    "redirect-and-forward",
    "second-redirect",
    "second-shadow",
    "shadow-alone",
    "tcp-mapping-takes-host",
    "tcp-takes-clear-text",
    "tcp-without-certificate",
    "tls-mismatch",
    "tls-secret-mismatch",
    "unknown-api-version",
    "unknown-resolver",
    "wrong-type",
];

/// Kinds whose mistakes cost requests, and are not looked at elsewhere.
fn is_concerned(view: &View) -> bool {
    matches!(view, View::Listener(_) | View::Mapping(_) | View::TcpMapping(_))
}

pub(super) fn read(draft: &mut Draft<'_>) {
    for object in draft.ours() {
        let errors: Vec<&Problem> =
            draft.problems(&object.id).iter().filter(|problem| problem.severity == Severity::Error).collect();
        for problem in &errors {
            if REFUSED_BY_ENVOY.contains(&problem.code.0) {
                refuses_everything(draft, object, problem);
            }
        }
        if !draft.is_refused(&object.id) || !is_concerned(&object.view) {
            continue;
        }
        for problem in errors {
            of_refused(draft, object, problem);
        }
    }
}

/// Envoy refuses the whole configuration because of this; before is shown as if the rest were served. (A Host stays, or
/// it would look as if nobody had written one.)
pub(super) fn refuses_everything(draft: &mut Draft<'_>, object: &Object, problem: &Problem) {
    draft.say(&rules::REFUSES_EVERYTHING, object, &problem.field, problem.message.clone());
    if matches!(object.view, View::Mapping(_)) {
        draft.remove(&object.id);
    }
}

fn of_refused(draft: &mut Draft<'_>, object: &Object, problem: &Problem) {
    let about = problem.message.clone();
    let rule = match (problem.code.0, &object.view) {
        ("unknown-tls-context" | "broken-tls-context", _) => {
            draft.edit(object, |view| match view {
                View::Mapping(mapping) => mapping.tls = None,
                View::TcpMapping(mapping) => mapping.tls = None,
                _ => {}
            });
            &rules::CONTEXT_TO_UPSTREAM
        }
        ("bad-duration", View::TcpMapping(_)) => {
            draft.edit(object, |view| {
                if let View::TcpMapping(mapping) = view {
                    mapping.idle_timeout_ms = None;
                }
            });
            &rules::TCP_IDLE
        }
        ("not-supported", View::Listener(_)) => &rules::HTTP3,
        // Emissary knows none of them.
        (_, View::Listener(_)) if problem.field.starts_with("metadata.annotations.plenipo.io/") => {
            draft.change(object, |object| {
                object.meta.annotations.retain(|key, _| !key.starts_with("plenipo.io/"));
            });
            &rules::REFUSED_HERE
        }
        ("unknown-resolver", View::Mapping(_) | View::TcpMapping(_)) if about.contains("asks Consul") => {
            draft.edit(object, |view| match view {
                View::Mapping(mapping) => mapping.resolver = Some("kubernetes-service".to_owned()),
                View::TcpMapping(mapping) => mapping.resolver = Some("kubernetes-service".to_owned()),
                _ => {}
            });
            &rules::CONSUL
        }
        (code, _) if REFUSED_BY_ENVOY.contains(&code) || REFUSED_BY_BOTH.contains(&code) => return,
        _ => &rules::REFUSED_HERE,
    };
    draft.say(rule, object, &problem.field, about);
}
