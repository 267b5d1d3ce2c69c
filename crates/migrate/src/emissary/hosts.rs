//! Hosts and TLSContexts. What cannot be had as asked Emissary leaves out, or serves with less.

use plenipo_resources::ambassador::{Host, TlsConfig};
use plenipo_resources::{Object, ObjectId, Problem, Set, Severity, View};

use super::refused::refuses_everything;
use crate::difference::Rule;
use crate::draft::Draft;
use crate::rules;

/// Suites that BoringSSL knows and Plenipo does not offer (BoringSSL's list of TLS 1.2 suites).
const OLD_SUITES: [&str; 11] = [
    "AES128-GCM-SHA256",
    "AES128-SHA",
    "AES256-GCM-SHA384",
    "AES256-SHA",
    "DES-CBC3-SHA",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-PSK-AES128-CBC-SHA",
    "ECDHE-PSK-AES256-CBC-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES256-SHA",
];

pub(super) fn read(draft: &mut Draft<'_>) {
    let mut names_with_tls = 0;
    for object in draft.ours() {
        match &object.view {
            View::Host(host) => {
                names_with_tls += usize::from(!draft.is_refused(&object.id) && asks_for_tls(host));
                of_host(draft, object, host);
                of_fields(draft, object, host.tls.as_ref(), "spec.tls");
            }
            View::TlsContext(context) => of_fields(draft, object, Some(&context.tls), "spec"),
            _ => {}
        }
    }
    all_broken(draft);
    if names_with_tls > 1 && ends_tls(draft) {
        draft.say_of_all(&rules::MISDIRECTED, format!("{names_with_tls} Hosts have TLS here"));
    }
}

/// Is there a Listener on which TLS ends?
fn ends_tls(draft: &Draft<'_>) -> bool {
    draft.ours().any(|object| match &object.view {
        View::Listener(listener) => {
            let stacked = listener.protocol_stack.iter().flatten().any(|layer| layer == "TLS");
            stacked || listener.protocol.as_deref().is_some_and(|name| name.starts_with("HTTPS"))
        }
        _ => false,
    })
}

fn asks_for_tls(host: &Host) -> bool {
    host.tls_secret.is_some() || host.tls_context.is_some() || host.tls.is_some()
}

fn of_host(draft: &mut Draft<'_>, object: &Object, host: &Host) {
    let edge_stack = host.authentication.as_ref().is_some_and(|found| found.mtls.is_some());
    if edge_stack {
        draft.say(&rules::EDGE_STACK_MTLS, object, "spec.authentication.mTLS", String::new());
        draft.edit(object, |view| {
            if let View::Host(host) = view {
                host.authentication = None;
            }
        });
    }
    let hostname = host.hostname.as_deref().unwrap_or("*");
    if asks_for_tls(host) && hostname.len() > 1 && hostname.ends_with('*') {
        let about = format!("'{hostname}' has TLS, and Envoy takes no server name with a star at its end");
        return draft.say(&rules::REFUSES_EVERYTHING, object, "spec.hostname", about);
    }
    let context = host.tls_context.as_ref().and_then(|context| context.name.as_deref());
    if context.is_some() && host.tls_secret.is_none() && !draft.is_refused(&object.id) {
        draft.say(&rules::CONTEXT_SECRET, object, "spec.tlsContext", String::new());
        without_tls(draft, object, host);
    }
    if draft.is_refused(&object.id) {
        let problems = draft.problems(&object.id);
        problems
            .iter()
            .filter(|it| it.severity == Severity::Error)
            .for_each(|it| refused(draft, object, host, it));
    } else if let (Some(context), Some(reference)) = (context, &host.tls_secret) {
        secret_twice(draft, object, context, reference.namespace.as_deref());
    }
}

/// `{name, namespace}` in the Host, `name.namespace` in its context: one Secret, which Emissary takes for two.
fn secret_twice(draft: &mut Draft<'_>, object: &Object, context: &str, namespace: Option<&str>) {
    let Some(namespace) = namespace else { return };
    let contexts = draft.set.of_kind("TLSContext").iter();
    let dotted = contexts.filter(|found| *found.id.name == *context).any(|found| match &found.view {
        View::TlsContext(context) => {
            context.secret.as_deref().is_some_and(|name| name.ends_with(&format!(".{namespace}")))
        }
        _ => false,
    });
    if dotted {
        draft.say(&rules::SECRET_TWICE, object, "spec.tlsSecret", String::new());
        draft.remove(&object.id);
    }
}

/// No TLS for this Host, whoever asks for it.
fn without_tls(draft: &mut Draft<'_>, object: &Object, host: &Host) {
    draft.edit(object, |view| {
        if let View::Host(host) = view {
            (host.tls, host.tls_context, host.tls_secret) = (None, None, None);
        }
    });
    let name = host.hostname.as_deref().unwrap_or("*");
    for context in draft.ours() {
        draft.edit_if(context, |view| match view {
            View::TlsContext(context) => {
                let before = context.hosts.len();
                context.hosts.retain(|host| !host.eq_ignore_ascii_case(name));
                before != context.hosts.len()
            }
            _ => false,
        });
    }
}

/// A Host that Plenipo refuses.
fn refused(draft: &mut Draft<'_>, object: &Object, host: &Host, problem: &Problem) {
    let about = problem.message.clone();
    let field = problem.field.as_str();
    let of_clients = problem.code.0 == "missing-ca" || field.contains("ca_secret") || field.contains("crl");
    let rule: &'static Rule = match problem.code.0 {
        "unknown-cipher-suite" => return refuses_everything(draft, object, problem),
        "old-tls-version" => &rules::OLD_TLS,
        _ if of_clients => {
            without_tls(draft, object, host);
            return draft.say(&rules::CLIENT_CA, object, field, about);
        }
        "bad-tls-secret" if secret_is_there(draft.set, &object.id, host) => {
            return refuses_everything(draft, object, problem);
        }
        "bad-tls-secret" => &rules::HOST_SECRET,
        "missing-tls-secret" | "tls-and-tls-context" | "bad-tls-version" | "unknown-tls-context" => {
            &rules::HOST_TLS
        }
        _ => return,
    };
    draft.remove(&object.id);
    match wider(draft, object, host) {
        Some(wider) => draft.say(&rules::WIDER_HOST, object, field, format!("{about}; {wider} answers")),
        None => draft.say(rule, object, field, about),
    }
}

/// Another Host whose name takes in that of this one.
fn wider(draft: &Draft<'_>, object: &Object, host: &Host) -> Option<ObjectId> {
    let name = host.hostname.as_deref().unwrap_or("*");
    let takes_in = |other: &Host| {
        let pattern = other.hostname.as_deref().unwrap_or("*");
        let suffix = pattern.strip_prefix('*').is_some_and(|suffix| name.ends_with(suffix));
        pattern != name && suffix
    };
    let others = draft.ours().filter(|other| other.id != object.id && !draft.is_refused(&other.id));
    let mut wider = others.filter(|other| matches!(&other.view, View::Host(host) if takes_in(host)));
    wider.next().map(|other| other.id.clone())
}

/// Is the Secret there that `tlsSecret` names (so that what is wrong is its content)?
fn secret_is_there(set: &Set, host: &ObjectId, spec: &Host) -> bool {
    let Some(reference) = &spec.tls_secret else { return false };
    let Some(name) = reference.name.as_deref() else { return false };
    let in_namespace = |namespace: &str, name: &str| set.get("Secret", namespace, name).is_some();
    match reference.namespace.as_deref().filter(|namespace| !namespace.is_empty()) {
        Some(namespace) => in_namespace(namespace, name),
        None => {
            let dotted = name.rsplit_once('.').is_some_and(|(name, namespace)| in_namespace(namespace, name));
            in_namespace(&host.namespace, name) || dotted
        }
    }
}

/// If no Host is left of those that somebody wrote, Emissary makes one up.
fn all_broken(draft: &mut Draft<'_>) {
    let written = draft.ours().filter(|object| &*object.id.kind == "Host");
    let gone: Vec<ObjectId> = written
        .map(|object| object.id.clone())
        .filter(|id| !draft.remains(id) || draft.set.get("Host", &id.namespace, &id.name).is_none())
        .collect();
    let unreadable = draft
        .report
        .verdicts
        .keys()
        .filter(|id| &*id.kind == "Host" && draft.set.get("Host", &id.namespace, &id.name).is_none());
    let broken: Vec<String> = gone.iter().chain(unreadable).map(ToString::to_string).collect();
    let remain = draft.ours().any(|object| &*object.id.kind == "Host" && draft.remains(&object.id));
    if !remain && !broken.is_empty() {
        draft.say_of_all(&rules::ALL_HOSTS_BROKEN, broken.join(", "));
    }
}

/// Settings of TLS, in a Host or in a context.
fn of_fields(draft: &mut Draft<'_>, object: &Object, tls: Option<&TlsConfig>, at: &str) {
    let Some(tls) = tls else { return };
    let spaced =
        tls.alpn_protocols.as_deref().is_some_and(|list| list.split(',').any(|one| one.trim() != one));
    if spaced {
        let about = tls.alpn_protocols.clone().unwrap_or_default();
        draft.say(&rules::ALPN, object, &format!("{at}.alpn_protocols"), about);
    }
    for problem in draft.problems(&object.id) {
        match (problem.code.0, problem.severity) {
            ("old-tls-version", Severity::Warning) => {
                draft.say(&rules::OLD_TLS, object, &problem.field, String::new());
            }
            ("not-supported", _) if problem.field.ends_with("ecdh_curves") => {
                draft.say(&rules::TLS_EXTRA, object, &problem.field, problem.message.clone());
            }
            _ => {}
        }
    }
    cipher_suites(draft, object, tls, at);
    for (field, written) in [
        ("verify_subject_alt_names", tls.verify_subject_alt_names.is_some()),
        ("verify_system_roots", tls.verify_system_roots.is_some()),
    ] {
        if written {
            draft.say(&rules::OURS_ALONE, object, &format!("{at}.{field}"), String::new());
        }
    }
    if let Some(secret) = tls.ca_secret.as_deref() {
        client_ca_key(draft, object, secret, at);
    }
}

fn cipher_suites(draft: &mut Draft<'_>, object: &Object, tls: &TlsConfig, at: &str) {
    let Some(written) = &tls.cipher_suites else { return };
    let old: Vec<&str> =
        written.iter().map(String::as_str).filter(|suite| OLD_SUITES.contains(suite)).collect();
    if !old.is_empty() {
        draft.say(&rules::WEAK_CIPHERS, object, &format!("{at}.cipher_suites"), old.join(", "));
    }
    let unknown = draft.problems(&object.id).iter().find(|problem| {
        problem.code.0 == "unknown-cipher-suite"
            && problem.severity == Severity::Warning
            && !OLD_SUITES.iter().any(|suite| problem.message.contains(&format!("'{suite}'")))
    });
    if let Some(problem) = unknown {
        refuses_everything(draft, object, problem);
    }
}

/// Emissary takes the roots of clients from `tls.crt`.
fn client_ca_key(draft: &mut Draft<'_>, object: &Object, name: &str, at: &str) {
    let plain = draft.set.get("Secret", &object.id.namespace, name);
    let dotted =
        || name.rsplit_once('.').and_then(|(name, namespace)| draft.set.get("Secret", namespace, name));
    let Some(secret) = plain.or_else(dotted) else { return };
    let View::Secret(content) = &secret.view else { return };
    if let Some(roots) = content.data.get("ca.crt")
        && content.data.get("tls.crt") != Some(roots)
    {
        let about = match content.data.contains_key("tls.crt") {
            true => format!("{} holds both, and they differ", secret.id),
            false => {
                format!("{} holds ca.crt only: Emissary finds no roots and drops the settings", secret.id)
            }
        };
        draft.say(&rules::CLIENT_CA_KEY, object, &format!("{at}.ca_secret"), about);
    }
}
