//! The Module.

use plenipo_resources::{Object, Problem, Severity, View};
use serde_json::{Map, Value};

use super::refused::refuses_everything;
use crate::draft::Draft;
use crate::rules;

/// Settings whose mistakes end Emissary's reading, in the order in which it reads them, with what comes after.
const READ_IN_ORDER: [&str; 11] = [
    "buffer",
    "cors",
    "retry_policy",
    "ip_allow",
    "ip_deny",
    "load_balancer",
    "circuit_breakers",
    "envoy_log_type",
    "envoy_log_format",
    "forward_client_cert_details",
    "set_current_client_cert_details",
];

/// Those among them that go on after a mistake.
const GO_ON: [&str; 2] = ["ip_allow", "ip_deny"];

pub(super) fn read(draft: &mut Draft<'_>) {
    let mut diagnostics = true;
    for object in draft.ours() {
        let View::Module(module) = &object.view else { continue };
        if &*object.id.name != "ambassador" || draft.is_refused(&object.id) {
            continue;
        }
        let Value::Object(config) = &module.config else { continue };
        mistakes(draft, object, config);
        settings(draft, object, config);
        unsupported(draft, object);
        if let Some(Value::Bool(enabled)) = config.get("diagnostics").and_then(|it| it.get("enabled")) {
            diagnostics = *enabled;
        }
    }
    let serves = draft.ours().any(|object| matches!(object.view, View::Listener(_)));
    if diagnostics && serves {
        draft.say_of_all(&rules::DIAGNOSTICS, String::new());
    }
}

/// The setting that a field of the Module belongs to: `spec.config.cors.origins` → `cors`.
fn setting(field: &str) -> Option<&str> {
    field.strip_prefix("spec.config.")?.split(['.', '[']).next()
}

fn mistakes(draft: &mut Draft<'_>, object: &Object, config: &Map<String, Value>) {
    let mut told = false;
    let problems = draft.problems(&object.id).iter();
    let errors: Vec<&Problem> = problems.filter(|it| it.severity == Severity::Error).collect();
    for problem in &errors {
        let Some(name) = setting(&problem.field) else { continue };
        match name {
            // Emissary's compiler falls over, Envoy refuses the other.
            "headers_with_underscores_action" => refuses_everything(draft, object, problem),
            "cors"
                if config.get("cors").and_then(|cors| cors.get("origins")).is_some_and(Value::is_number) =>
            {
                refuses_everything(draft, object, problem);
            }
            "ip_allow" if problem.code.0 == "empty-ip-allow" => {
                draft.say(&rules::IP_ALLOW, object, &problem.field, String::new());
            }
            _ => {
                let Some(at) = READ_IN_ORDER.iter().position(|known| *known == name) else { continue };
                if GO_ON.contains(&name) || told {
                    continue;
                }
                let is_good = |later: &str| !errors.iter().any(|other| setting(&other.field) == Some(later));
                let after = READ_IN_ORDER[at + 1..].iter().copied();
                let after: Vec<&str> =
                    after.filter(|later| config.contains_key(*later) && is_good(later)).collect();
                if !after.is_empty() {
                    told = true;
                    let about = format!("off before, on after: {}", after.join(", "));
                    draft.say(&rules::MODULE_STOPS, object, &problem.field, about);
                }
            }
        }
    }
}

fn settings(draft: &mut Draft<'_>, object: &Object, config: &Map<String, Value>) {
    let hops = config.get("xff_num_trusted_hops").and_then(Value::as_i64).unwrap_or(0);
    let without_depth = draft.ours().any(|object| match &object.view {
        View::Listener(listener) => listener.l7_depth.unwrap_or(0) <= 0,
        _ => false,
    });
    if hops > 0 && without_depth {
        draft.say(&rules::XFF_HOPS, object, "spec.config.xff_num_trusted_hops", hops.to_string());
    }
    if config.contains_key("error_response_overrides") {
        draft.say(&rules::ERROR_RESPONSES, object, "spec.config.error_response_overrides", String::new());
    }
    if config.contains_key("redirect_unmatched_paths") {
        draft.say(&rules::OURS_ALONE, object, "spec.config.redirect_unmatched_paths", String::new());
    }
    if config.contains_key("header_case_overrides") {
        let about = "it is made into a setting that only an Envoy of Emissary's own ever knew".to_owned();
        draft.say(&rules::REFUSES_EVERYTHING, object, "spec.config.header_case_overrides", about);
    }
}

/// What Plenipo names as not supported, and Emissary does.
fn unsupported(draft: &mut Draft<'_>, object: &Object) {
    for problem in draft.problems(&object.id).iter().filter(|it| it.code.0 == "not-supported") {
        let rule = match setting(&problem.field) {
            Some("lua_scripts" | "enable_grpc_web" | "enable_grpc_http11_bridge") => &rules::MODULE_FILTER,
            Some("gzip" | "grpc_stats" | "statsd" | "runtime_flags") => &rules::MODULE_EXTRA,
            _ => continue,
        };
        draft.say(rule, object, &problem.field, problem.fix.clone());
    }
}
