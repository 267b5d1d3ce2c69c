//! Hosts: the names served, who gets in without TLS, and which Mappings belong to which.

mod association;
mod tls;

use std::collections::BTreeMap;
use std::sync::Arc;

use plenipo_model::{HostPattern, InsecureAction, Source, TlsServer};
use plenipo_resources::Object;
use plenipo_resources::ambassador::{Host, Selector};

use super::module::Settings;
use super::ours::{Of, Ours, source_of};
use super::tls::Contexts;
use crate::findings::Findings;
use crate::options::Options;
use crate::secrets::Secrets;

pub(crate) use association::{Association, Taken, fit, fit_loosely};
pub(crate) use tls::certificate_for;

/// A Host, read.
#[derive(Debug)]
pub(crate) struct HostEntry<'a> {
    /// None: nobody wrote a Host, and this one stands in for all.
    pub(crate) object: Option<&'a Object>,
    pub(crate) source: Source,
    pub(crate) pattern: HostPattern,
    pub(crate) selector: Option<Labels<'a>>,
    pub(crate) insecure: InsecureAction,
    pub(crate) tls: HostTls,
}

/// Labels that a selector demands.
pub(crate) type Labels<'a> = &'a BTreeMap<String, String>;

/// What a Host's TLS came to.
#[derive(Clone, Debug)]
pub(crate) enum HostTls {
    /// None was asked for.
    None,
    /// It works.
    Terminate(Arc<TlsServer>),
    /// It was asked for and cannot be had: the Host serves nothing, in clear text neither.
    Broken(String),
}

impl HostEntry<'_> {
    /// Its namespace, for the Listeners that bind by it.
    pub(crate) fn namespace<'b>(&'b self, options: &'b Options) -> &'b str {
        self.object.map_or(&options.namespace, |object| &object.id.namespace)
    }

    /// Its labels.
    pub(crate) fn labels(&self) -> Labels<'_> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        self.object.map_or(&NONE, |object| &object.meta.labels)
    }
}

/// All Hosts in load order; if nobody wrote one, the one that Emissary makes up.
pub(crate) fn read<'a>(
    ours: &Ours<'a>,
    contexts: &Contexts<'a>,
    settings: &Settings<'a>,
    options: &Options,
    secrets: &mut Secrets<'a>,
    findings: &mut Findings,
) -> Vec<HostEntry<'a>> {
    // A Host that cannot be read is one that somebody wrote: everything in clear text is not what was meant.
    if ours.hosts.is_empty() && !findings.unreadable("Host") {
        return vec![stand_in(settings, options, secrets, findings)];
    }
    let mut reader = tls::Reader { contexts, settings, secrets, findings };
    ours.hosts.iter().filter_map(|host| read_one(*host, &mut reader)).collect()
}

fn read_one<'a>(host: Of<'a, Host>, reader: &mut tls::Reader<'_, 'a>) -> Option<HostEntry<'a>> {
    let spec = host.spec;
    let hostname = spec.hostname.as_deref().filter(|name| !name.is_empty()).unwrap_or("*");
    let pattern = match HostPattern::parse(hostname) {
        Ok(pattern) => pattern,
        Err(error) => {
            let fix = "write a name, or a star at its beginning or end";
            reader.findings.refuse(host.object, "bad-hostname", "spec.hostname", error.to_string(), fix);
            return None;
        }
    };
    let selector = selector(host, reader.findings);
    let insecure = insecure(host, reader.findings);
    inert(host, reader.findings);
    let tls = match reader.read(host, &pattern) {
        Ok(None) => HostTls::None,
        Ok(Some(server)) => HostTls::Terminate(Arc::new(server)),
        Err(flaw) => {
            let reason = format!("{} {}: {}", host.object.id, flaw.field, flaw.message);
            reader.findings.fatal(host.object, &flaw);
            HostTls::Broken(reason)
        }
    };
    let source = source_of(host.object);
    Some(HostEntry { object: Some(host.object), source, pattern, selector, insecure, tls })
}

/// `mappingSelector`, or its deprecated spelling. Only `matchLabels` counts; without it the selector takes all.
fn selector<'a>(host: Of<'a, Host>, findings: &mut Findings) -> Option<Labels<'a>> {
    static ALL: BTreeMap<String, String> = BTreeMap::new();
    let (field, selector) = match (&host.spec.mapping_selector, &host.spec.selector) {
        (Some(selector), _) => ("spec.mappingSelector", selector),
        (None, Some(selector)) => ("spec.selector", selector),
        (None, None) => return None,
    };
    if selector.match_labels.is_none() && selector.rest.is_empty() {
        return None;
    }
    Some(labels_of(selector, field, host.object, findings).unwrap_or(&ALL))
}

/// The labels of a selector, with a word on what is not evaluated.
pub(crate) fn labels_of<'a>(
    selector: &'a Selector,
    field: &str,
    object: &Object,
    findings: &mut Findings,
) -> Option<Labels<'a>> {
    if selector.rest.contains_key("matchExpressions") {
        let message = "matchExpressions are not evaluated, matchLabels alone decide".to_owned();
        let field = format!("{field}.matchExpressions");
        findings.warn(object, "not-supported", &field, message, "use matchLabels");
    }
    selector.match_labels.as_ref()
}

fn insecure(host: Of<'_, Host>, findings: &mut Findings) -> InsecureAction {
    let policy = host.spec.request_policy.as_ref().and_then(|policy| policy.insecure.as_ref());
    match policy.and_then(|insecure| insecure.action.as_deref()) {
        None | Some("Redirect") => InsecureAction::Redirect,
        Some("Route") => InsecureAction::Route,
        Some("Reject") => InsecureAction::Reject,
        Some(other) => {
            let message = format!("'{other}' is not an action, insecure requests are rejected");
            let field = "spec.requestPolicy.insecure.action";
            findings.error(
                host.object,
                "bad-insecure-action",
                field,
                message,
                "write Redirect, Route or Reject",
            );
            InsecureAction::Reject
        }
    }
}

fn inert(host: Of<'_, Host>, findings: &mut Findings) {
    let policy = host.spec.request_policy.as_ref().and_then(|policy| policy.insecure.as_ref());
    if policy.is_some_and(|insecure| insecure.additional_port.is_some_and(|port| port > 0)) {
        let message = "ports are what Listeners say, this has no effect".to_owned();
        let field = "spec.requestPolicy.insecure.additionalPort";
        findings.note(host.object, "inert-field", field, message, "create a Listener for the port");
    }
    let acme =
        host.spec.acme_provider.as_ref().and_then(|acme| acme.get("authority")).and_then(|a| a.as_str());
    if acme.is_some_and(|authority| !authority.is_empty() && !authority.eq_ignore_ascii_case("none")) {
        let message = "certificates are not ordered by the gateway".to_owned();
        let fix = "let cert-manager write the Secret that tlsSecret names";
        findings.warn(host.object, "not-supported", "spec.acmeProvider.authority", message, fix);
    }
}

/// Without any Host, every name is served: with TLS and a redirect when the Module or the fallback Secret has a
/// certificate, else in clear text. (Hosts that are there and broken are another matter: they serve nothing.)
fn stand_in<'a>(
    settings: &Settings<'a>,
    options: &Options,
    secrets: &mut Secrets<'a>,
    findings: &mut Findings,
) -> HostEntry<'a> {
    let source = Source::new("no Host");
    let tls = tls::of_module(settings, secrets, findings)
        .unwrap_or_else(|| tls::fallback(&source, options, secrets, findings));
    let insecure =
        if matches!(tls, HostTls::None) { InsecureAction::Route } else { InsecureAction::Redirect };
    HostEntry { object: None, source, pattern: HostPattern::Any, selector: None, insecure, tls }
}
